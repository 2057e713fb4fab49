package kinds

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/mounts"
	"github.com/castellan-project/castellan/internal/debian/systemd"
)

const fstab = "/etc/fstab"

var (
	mountPath   = regexp.MustCompile(`^/[A-Za-z0-9_./-]*$`)
	mountOption = regexp.MustCompile(`^[a-z0-9_]+(=[A-Za-z0-9_.%-]+)?$`)
)

// opposites are the options that say the contrary of another (mount(8)).
func opposites() map[string]string {
	return map[string]string{"nosuid": "suid", "nodev": "dev", "noexec": "exec", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "ro": "rw", "rw": "ro",
		"noatime": "atime", "relatime": "norelatime"}
}

// mountOptions adds options to a file system that is mounted at a path: in fstab, else in the mount unit that mounts it, and now. It
// mounts nothing that is not mounted already.
func mountOptions(d *change.Draft, c change.Change) error {
	want := strings.Split(c.Options, ",")
	if !mountPath.MatchString(c.Path) || path.Clean(c.Path) != c.Path || c.Path == "/" {
		return change.Cannot("%q is no mount point whose options can be changed", c.Path)
	}
	for _, o := range want {
		if !mountOption.MatchString(o) {
			return change.Cannot("%q is not an option of mount", o)
		}
	}
	if err := persistMount(d, c.Path, want); err != nil {
		return err
	}
	return remount(d, c.Path, want)
}

// persistMount changes what the next start mounts.
func persistMount(d *change.Draft, at string, want []string) error {
	b, _, err := d.Content(fstab)
	if err != nil {
		return err
	}
	table, err := mounts.Parse(b)
	if err != nil {
		return change.Cannot("%s cannot be read (%v); correct that line first", fstab, err)
	}
	if m, ok := mounts.At(table, at); ok {
		return editFstab(d, string(b), m, want)
	}
	done, err := editMountUnit(d, at, want)
	if err != nil || done {
		return err
	}
	if at != "/dev/shm" {
		return change.Cannot("%s is no file system of its own: neither %s nor a mount unit mentions it; give it one first", at, fstab)
	}
	// systemd mounts it in its own code, with nosuid and nodev; a line of fstab changes the options (systemd-remount-fs(8)).
	if !slices.ContainsFunc(want, func(o string) bool { return o != "nosuid" && o != "nodev" }) {
		return nil
	}
	options := []string{"nosuid", "nodev"}
	return appendLines(d, fstab, []string{"tmpfs " + at + " tmpfs " + strings.Join(withOptions(options, want), ",") + " 0 0"}, 0o644)
}

// withOptions adds what is missing and takes the contrary out.
func withOptions(have, want []string) []string {
	out := slices.DeleteFunc(slices.Clone(have), func(o string) bool {
		return slices.ContainsFunc(want, func(w string) bool { return opposites()[w] == o })
	})
	for _, w := range want {
		key, _, valued := strings.Cut(w, "=")
		if valued {
			out = slices.DeleteFunc(out, func(o string) bool { return o != w && strings.HasPrefix(o, key+"=") })
		}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// fstabField finds the fourth field of a line.
var fstabField = regexp.MustCompile(`^([ \t]*[^ \t]+[ \t]+[^ \t]+[ \t]+[^ \t]+)([ \t]*)([^ \t\r\n]*)`)

func editFstab(d *change.Draft, text string, m mounts.Mount, want []string) error {
	lines := strings.SplitAfter(text, "\n")
	f := fstabField.FindStringSubmatch(lines[m.Line-1])
	if f == nil {
		return change.Cannot("%s:%d cannot be edited; write the options there by hand", fstab, m.Line)
	}
	options := withOptions(m.Options, want)
	if slices.Equal(options, m.Options) {
		return nil
	}
	blank := f[2]
	if blank == "" {
		blank = " "
	}
	lines[m.Line-1] = f[1] + blank + strings.Join(options, ",") + lines[m.Line-1][len(f[0]):]
	if err := d.Write(fstab, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return err
	}
	return d.Do(change.Action{Verb: change.DaemonReload}) // systemd makes mount units of fstab
}

// editMountUnit changes the unit that mounts a path: one of the administrator's in place, one of a package by a drop-in.
func editMountUnit(d *change.Draft, at string, want []string) (bool, error) {
	name := unitName(at)
	for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/"} {
		b, there, err := d.Content(dir + name)
		if err != nil {
			return false, err
		}
		if !there {
			continue
		}
		options, err := unitOptions(d, name, b)
		if err != nil {
			return false, err
		}
		if wanted := withOptions(options, want); !slices.Equal(wanted, options) {
			text := "# Written by castellan.\n[Mount]\nOptions=" + strings.Join(wanted, ",") + "\n"
			if err := d.Write("/etc/systemd/system/"+name+".d/castellan.conf", []byte(text), 0o644); err != nil {
				return false, err
			}
			if err := d.Do(change.Action{Verb: change.DaemonReload}); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return false, nil
}

// unitOptions are the options that a unit and its drop-ins give.
func unitOptions(d *change.Draft, name string, unit []byte) ([]string, error) {
	u := systemd.ParseUnit(unit)
	list, err := d.List("/etc/systemd/system/" + name + ".d/*.conf")
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		b, _, err := d.Content(f.Path)
		if err != nil {
			return nil, err
		}
		u = u.Merge(systemd.ParseUnit(b))
	}
	v, _ := u.Last("Mount", "Options")
	if v == "" {
		return nil, nil
	}
	return strings.Split(v, ","), nil
}

// unitName is the name of the unit of a mount point (systemd-escape(1)), for the characters that mountPath lets through.
func unitName(at string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.Trim(at, "/"), "-", `\x2d`), "/", "-") + ".mount"
}

// remount gives the running file system the options.
func remount(d *change.Draft, at string, want []string) error {
	if !d.Live() {
		return nil
	}
	b, there, err := d.Content("/proc/1/mounts")
	if err != nil || !there {
		return err
	}
	table, err := mounts.Parse(b)
	if err != nil {
		return change.Cannot("what is mounted cannot be read: %v", err)
	}
	m, ok := mounts.At(table, at)
	if !ok {
		d.Reboot("%s is not mounted now; the options count from the next time that it is", at)
		return nil
	}
	var missing []string
	for _, w := range want {
		if !m.Has(w) {
			missing = append(missing, w)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if slices.Contains(missing, "ro") {
		d.Effect("%s can be written no more", at)
	}
	return d.Do(change.Action{Verb: change.Remount, Object: at, Argument: strings.Join(missing, ","), Was: wasOptions(m, missing)})
}

// wasOptions are the options that take the missing ones back: a flag that is not shown is its contrary.
func wasOptions(m mounts.Mount, missing []string) string {
	var was []string
	for _, w := range missing {
		key, _, valued := strings.Cut(w, "=")
		old, had := m.Value(key)
		switch {
		case valued && had:
			was = append(was, key+"="+old)
		case opposites()[w] != "":
			was = append(was, opposites()[w])
		}
	}
	return strings.Join(was, ",")
}
