package kinds

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/grub"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	grubUserScript = "/etc/grub.d/01_castellan"
	grubLinux      = "/etc/grub.d/10_linux"
	// grubLinuxOrig is where the packaged script goes: outside of grub.d, of which every executable file is run.
	grubLinuxOrig  = "/etc/grub.d.orig/10_linux"
	dpkgDiversions = "/var/lib/dpkg/diversions"
)

var (
	grubUser = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	grubHash = regexp.MustCompile(`grub\.pbkdf2\.sha512\.([0-9]+)\.[0-9A-Fa-f]+\.[0-9A-Fa-f]+`)
)

// leastRounds is how often grub-mkpasswd-pbkdf2 hashes when it is told nothing else; fewer are no protection.
const leastRounds = 10000

// superuser gives GRUB a superuser whose password hash stands in a file of the host, which the plan names and never quotes. Package
// files stay as they are. First the entry that starts by itself is opened to everybody, or the host would wait for the
// password at its next start.
func (b *boot) superuser(name, file string) error {
	if !grubUser.MatchString(name) {
		return change.Cannot("%q cannot be the name of a superuser of GRUB", name)
	}
	hash, err := b.passwordHash(file)
	if err != nil {
		return err
	}
	if err := b.otherPasswords(); err != nil {
		return err
	}
	if err := b.unattended(); err != nil {
		return err
	}
	lines := fmt.Sprintf("set superusers=\"%s\"\nexport superusers\npassword_pbkdf2 %s %s\n", name, name, hash)
	script := "#!/bin/sh\n# Written by castellan: who may edit the entries of the boot menu and start those that are not open to everybody.\n" +
		"cat <<'END'\n" + lines + "END\n"
	if err := b.Secret(grubUserScript); err != nil {
		return err
	}
	old, there, err := b.Content(grubUserScript)
	if err != nil {
		return err
	}
	if string(old) != script {
		b.generate = true
		if err := b.Write(grubUserScript, []byte(script), 0o700); err != nil {
			return err
		}
		b.Effect("the boot menu asks %s for a password before an entry is edited and before every entry but the usual one; it still starts by itself", name)
	}
	if st, err := b.Stat(grubUserScript); there && err == nil && !st.OwnerUnknown && st.Mode != 0o700 {
		mode := uint32(0o700)
		if err := b.Attr(grubUserScript, &mode, ""); err != nil {
			return err
		}
	}
	return b.menuPassword(lines)
}

// passwordHash reads the hash that an administrator put on the host.
func (b *boot) passwordHash(file string) (string, error) {
	if !strings.HasPrefix(file, "/") || path.Clean(file) != file {
		return "", change.Cannot("the file with the hash of the password needs an absolute path, not %q", file)
	}
	content, there, err := b.Content(file)
	if err != nil {
		return "", err
	}
	if !there {
		return "", change.Cannot("there is no %s: run grub-mkpasswd-pbkdf2 on the host, put what it prints into that file with mode 0600, and plan again", file)
	}
	if st, err := b.Stat(file); err != nil {
		return "", err
	} else if !st.OwnerUnknown && st.Mode&0o077 != 0 {
		return "", change.Cannot("%s can be read by others; give it mode 0600 first (chmod 600 %s)", file, file)
	}
	found := grubHash.FindAllStringSubmatch(string(content), 2)
	if len(found) != 1 {
		return "", change.Cannot("%s does not hold exactly one hash of grub-mkpasswd-pbkdf2", file)
	}
	if n, err := strconv.Atoi(found[0][1]); err != nil || n < leastRounds {
		return "", change.Cannot("the hash in %s has fewer than %d iterations; make it again with grub-mkpasswd-pbkdf2", file, leastRounds)
	}
	return found[0][0], nil
}

// otherPasswords refuses while another script sets a password: which of them is known to people cannot be told.
func (b *boot) otherPasswords() error {
	list, err := b.List("/etc/grub.d/*")
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Type != host.Regular || f.Path == grubUserScript {
			continue
		}
		content, _, err := b.Content(f.Path)
		if err != nil {
			return err
		}
		hashed, plain := grub.PasswordLines(content)
		if lines := slices.Concat(hashed, plain); len(lines) > 0 {
			return change.Cannot("%s:%d sets a password of GRUB already; remove that line first", f.Path, lines[0])
		}
	}
	return nil
}

// unattended opens the entry that starts by itself to everybody. The word stands in a script of grub-common, which is diverted so
// that an update neither undoes it nor asks (dpkg-divert(1)); where the script or the menu is not as Debian makes it,
// nothing is touched.
func (b *boot) unattended() error {
	cfg, there, err := b.Content(grubCfg)
	if err != nil {
		return err
	}
	if !there {
		return change.Cannot("there is no %s, so which entry starts by itself is not known", grubCfg)
	}
	e, ok := defaultEntry(cfg)
	if !ok {
		return change.Cannot("%s holds no entry", grubCfg)
	}
	if e.Unrestricted && !strings.Contains(e.Path, ">") {
		return nil
	}
	files, err := b.defaultFiles()
	if err != nil {
		return err
	}
	vars, err := b.vars(files)
	if err != nil {
		return err
	}
	if v := vars["GRUB_DEFAULT"]; v != "" && v != "0" || e.Submenu || e.Path != "0" || !strings.HasPrefix(e.ID, "gnulinux-simple") {
		return change.Cannot("the entry that starts by itself (%s) is not the first one that 10_linux of grub-common makes, and it is not open to everybody: "+
			"with a superuser the host would wait for the password; mark the entry --unrestricted by hand (BOOT-02)", oneWord(e.Title))
	}
	if err := b.openScript(); err != nil {
		return err
	}
	return b.openMenu(cfg, e.Line)
}

func defaultEntry(cfg []byte) (grub.Entry, bool) {
	c := grub.Parse(cfg)
	i, ok := c.DefaultEntry()
	if !ok {
		return grub.Entry{}, false
	}
	return c.Entries[i], true
}

// openScript marks the first entry in 10_linux, which is diverted first.
func (b *boot) openScript() error {
	old, there, err := b.Content(grubLinux)
	if err != nil {
		return err
	}
	if !there {
		return change.Cannot("there is no %s, so the next update-grub would close the usual entry again", grubLinux)
	}
	const before, after = `${CLASS} \$menuentry_id_option 'gnulinux-simple-`, `${CLASS} --unrestricted \$menuentry_id_option 'gnulinux-simple-`
	text := string(old)
	if strings.Contains(text, after) {
		b.generate = true // grub.cfg is older than the script
		return nil
	}
	if strings.Count(text, before) != 1 {
		return change.Cannot("%s is not the script of grub-common that castellan knows; mark the usual entry --unrestricted by hand (BOOT-02)", grubLinux)
	}
	diversions, _, err := b.Content(dpkgDiversions)
	if err != nil {
		return err
	}
	lines := host.Lines(diversions)
	if len(lines)%3 != 0 {
		return change.Cannot("%s is damaged: it does not hold groups of three lines", dpkgDiversions)
	}
	if slices.Contains(lines, grubLinux) || slices.Contains(lines, grubLinuxOrig) {
		return change.Cannot("%s is diverted already and does not mark the usual entry --unrestricted; add it there by hand (BOOT-02)", grubLinux)
	}
	if _, taken, err := b.Content(grubLinuxOrig); err != nil || taken {
		if taken {
			return change.Cannot("%s exists and no diversion knows it; move it away first", grubLinuxOrig)
		}
		return err
	}
	if err := b.Write(grubLinuxOrig, old, 0o755); err != nil {
		return err
	}
	more := string(diversions)
	if more != "" && !strings.HasSuffix(more, "\n") {
		more += "\n"
	}
	if err := b.Write(dpkgDiversions, []byte(more+grubLinux+"\n"+grubLinuxOrig+"\n:\n"), 0o644); err != nil {
		return err
	}
	b.Effect("%s is diverted to %s, as dpkg-divert --local does; compare the two after updates of grub-common", grubLinux, grubLinuxOrig)
	return b.put(grubLinux, strings.Replace(text, before, after, 1), true)
}

// openMenu marks the entry in the generated menu of a target that cannot generate it.
func (b *boot) openMenu(cfg []byte, line int) error {
	if b.Live() {
		return nil
	}
	lines := strings.SplitAfter(string(cfg), "\n")
	l := lines[line-1]
	i := strings.Index(l, "$menuentry_id_option")
	if i < 0 {
		i = strings.LastIndex(l, "{")
	}
	if i < 0 {
		return change.Cannot("%s:%d begins an entry in a way that cannot be edited safely", grubCfg, line)
	}
	lines[line-1] = l[:i] + "--unrestricted " + l[i:]
	text := strings.Join(lines, "")
	if e, ok := defaultEntry([]byte(text)); !ok || !e.Unrestricted {
		return change.Cannot("%s:%d begins an entry in a way that cannot be edited safely", grubCfg, line)
	}
	return b.put(grubCfg, text, false)
}

// menuPassword puts the superuser into the generated menu of a target that cannot generate it, behind the part of 00_header.
func (b *boot) menuPassword(lines string) error {
	if b.Live() {
		return nil
	}
	if err := b.Secret(grubCfg); err != nil {
		return err
	}
	old, _, err := b.Content(grubCfg)
	if err != nil {
		return err
	}
	text := string(old)
	begin, end := "### BEGIN "+grubUserScript+" ###\n", "### END "+grubUserScript+" ###\n"
	block := begin + lines + end
	from := strings.Index(text, begin)
	to := strings.Index(text, end)
	switch {
	case from >= 0 && to > from:
		text = text[:from] + block + text[to+len(end):]
	case from >= 0 || to >= 0:
		return change.Cannot("%s holds half of the part of %s; run update-grub there first", grubCfg, grubUserScript)
	default:
		const header = "### END /etc/grub.d/00_header ###\n"
		at := 0
		if i := strings.Index(text, header); i >= 0 {
			at = i + len(header)
		}
		text = text[:at] + block + text[at:]
	}
	if err := b.put(grubCfg, text, false); err != nil {
		return err
	}
	if st, err := b.Stat(grubCfg); err == nil && !st.OwnerUnknown && st.Mode&0o077 != 0 {
		mode := uint32(0o600)
		return b.Attr(grubCfg, &mode, "")
	}
	return nil
}
