package kinds

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/grub"
)

const (
	grubDefaults = "/etc/default/grub"
	grubCfg      = "/boot/grub/grub.cfg"
	kernelArgs   = "/etc/kernel/cmdline"
	bootUUIDs    = "/etc/kernel/proxmox-boot-uuids"
)

// bootArg is a kernel argument that needs no quoting in a shell, in a grub.cfg and in /etc/kernel/cmdline.
var bootArg = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.,:/@+=-]*$`)

// bootLoader changes how the system starts, by the keys of Set: cmdline_add and cmdline_remove (kernel arguments; in the latter a
// bare name or a trailing "=" means any value), editor (of systemd-boot: yes, no), superuser with password_file, and
// unattended: yes, which opens the entry that starts by itself to everybody (GRUB).
//
// On a running host the files that a person edits are changed and GRUB's generator makes grub.cfg of them; taking the change
// back puts the files back and runs the generator again, so grub.cfg itself is no path of the plan. A directory runs nothing:
// there grub.cfg and the entries of systemd-boot are edited too.
func bootLoader(d *change.Draft, c change.Change) error {
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		if !slices.Contains([]string{"cmdline_add", "cmdline_remove", "editor", "superuser", "password_file", "unattended"}, k) {
			return change.Cannot("the boot loader has no setting %q", k)
		}
	}
	b := &boot{Draft: d, add: strings.Fields(c.Set["cmdline_add"]), remove: strings.Fields(c.Set["cmdline_remove"]), gone: map[string]bool{}}
	if len(b.add)+len(b.remove) > 0 {
		if err := b.cmdline(); err != nil {
			return err
		}
	}
	if v := c.Set["editor"]; v != "" {
		if err := b.editor(v); err != nil {
			return err
		}
	}
	if v := c.Set["unattended"]; v != "" {
		if v != "yes" {
			return change.Cannot("unattended is yes, not %q", v)
		}
		if err := b.unattended(); err != nil {
			return err
		}
	}
	if v := c.Set["superuser"]; v != "" {
		if err := b.superuser(v, c.Set["password_file"]); err != nil {
			return err
		}
	}
	return b.refresh()
}

// boot is the boot loader of a draft.
type boot struct {
	*change.Draft
	add, remove []string
	// gone are the arguments that were taken out somewhere.
	gone map[string]bool
	// generate is set when a file was changed of which a generator makes what the boot loader reads.
	generate bool
}

// unwanted reports whether an argument is to go: the words of remove, of which a bare name or a trailing "=" stands for every
// value, and other values of what is to be added.
func (b *boot) unwanted(arg string) bool {
	if slices.Contains(b.add, arg) {
		return false
	}
	name, _, valued := strings.Cut(arg, "=")
	for _, r := range b.remove {
		if arg == r || strings.HasSuffix(r, "=") && name+"=" == r || valued && !strings.Contains(r, "=") && name == r || valued && strings.HasPrefix(arg, r+"=") {
			return true
		}
	}
	return slices.ContainsFunc(b.add, func(a string) bool {
		n, _, v := strings.Cut(a, "=")
		return v && n == name
	})
}

// edit gives the arguments of one place as they shall be: what is unwanted goes, what is missing of add comes last.
func (b *boot) edit(text string, add []string) string {
	out := removeArgs(text, func(a string) bool {
		if b.unwanted(a) {
			b.gone[a] = true
			return true
		}
		return false
	})
	if strings.Count(out, `"`)%2 == 1 {
		return out // what is added would become part of the open quotation; whoever asks finds it missing
	}
	have := grub.Args(out)
	for _, a := range add {
		if slices.Contains(have, a) {
			continue
		}
		if out != "" && !strings.HasSuffix(out, " ") && !strings.HasSuffix(out, "\t") {
			out += " "
		}
		out += a
	}
	return out
}

// entry is edit for the entries of a menu.
func (b *boot) entry(args string, adds bool) string {
	if adds {
		return b.edit(args, b.add)
	}
	return b.edit(args, nil)
}

// cmdline changes the kernel's arguments wherever the next start takes them from.
func (b *boot) cmdline() error {
	for _, a := range slices.Concat(b.add, b.remove) {
		if !bootArg.MatchString(a) {
			return change.Cannot("%q cannot be written as an argument of the kernel", a)
		}
	}
	places := 0
	for _, step := range []func() (int, error){b.defaults, b.kernelFile, b.generated} {
		n, err := step()
		if err != nil {
			return err
		}
		places += n
	}
	if _, err := b.Stat(grubCfg); places == 0 && (len(b.add) > 0 || b.Live() && err == nil) {
		return change.Cannot("neither %s nor %s is there: where the kernel's arguments come from is not known", grubDefaults, kernelArgs)
	}
	if err := b.holds(); err != nil {
		return err
	}
	if b.generate {
		b.Reboot("the kernel's arguments change at the next start: %s", b.words())
	}
	return nil
}

func (b *boot) words() string {
	var s []string
	if len(b.add) > 0 {
		s = append(s, "with "+strings.Join(b.add, " "))
	}
	if len(b.gone) > 0 {
		s = append(s, "without "+strings.Join(slices.Sorted(maps.Keys(b.gone)), " "))
	}
	return strings.Join(s, ", ")
}

// defaultFiles are the files of GRUB's settings, in the order in which grub-mkconfig reads them.
func (b *boot) defaultFiles() ([]string, error) {
	if _, there, err := b.Content(grubDefaults); err != nil || !there {
		return nil, err
	}
	out := []string{grubDefaults}
	list, err := b.List("/etc/default/grub.d/*.cfg")
	for _, f := range list {
		out = append(out, f.Path)
	}
	return out, err
}

// defaults changes the settings of GRUB: every assignment loses what is unwanted, the one that counts gets what is missing.
func (b *boot) defaults() (int, error) {
	files, err := b.defaultFiles()
	if err != nil || len(files) == 0 {
		return 0, err
	}
	texts := map[string]*assignments{}
	last := ""
	for _, f := range files {
		content, _, err := b.Content(f)
		if err != nil {
			return 0, err
		}
		a := parseAssignments(string(content))
		if a.has(grub.CmdlineLinuxDefault) {
			last = f
		}
		texts[f] = a
	}
	if last == "" {
		last = grubDefaults
	}
	// What GRUB_CMDLINE_LINUX gives to all entries need not be given again.
	vars, err := b.vars(files)
	if err != nil {
		return 0, err
	}
	all := grub.Args(vars[grub.CmdlineLinux])
	add := slices.DeleteFunc(slices.Clone(b.add), func(a string) bool { return slices.Contains(all, a) })
	for _, f := range files {
		texts[f].each(grub.CmdlineLinux, func(v string, _ bool) string { return b.edit(v, nil) })
		texts[f].each(grub.CmdlineLinuxDefault, func(v string, final bool) string {
			if f == last && final {
				return b.edit(v, add)
			}
			return b.edit(v, nil)
		})
		if f == last && !texts[f].has(grub.CmdlineLinuxDefault) && len(add) > 0 {
			texts[f].append(grub.CmdlineLinuxDefault, strings.Join(add, " "))
		}
		if err := b.put(f, texts[f].text(), true); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

func (b *boot) vars(files []string) (map[string]string, error) {
	var contents [][]byte
	for _, f := range files {
		content, _, err := b.Content(f)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return grub.ParseDefaults(contents...), nil
}

// put writes a file when it changes.
func (b *boot) put(name, text string, generate bool) error {
	old, _, err := b.Content(name)
	if err != nil || string(old) == text {
		return err
	}
	b.generate = b.generate || generate
	return b.Write(name, []byte(text), 0o644)
}

// kernelFile changes the arguments that proxmox-boot-tool gives to systemd-boot.
func (b *boot) kernelFile() (int, error) {
	old, there, err := b.Content(kernelArgs)
	if err != nil || !there {
		return 0, err
	}
	text, end := cutEnding(string(old))
	switch {
	case strings.TrimSpace(text) == "":
		text = ""
	case strings.ContainsAny(text, "\r\n"):
		return 0, change.Cannot("%s has several lines; write the arguments in one", kernelArgs)
	}
	if text == "" && len(b.add) == 0 {
		return 1, nil
	}
	text = b.edit(text, b.add)
	for _, a := range b.add {
		if !slices.Contains(grub.Args(text), a) {
			return 0, change.Cannot("%s has a quotation mark without its partner; correct it first", kernelArgs)
		}
	}
	return 1, b.put(kernelArgs, text+end, true)
}

// generated changes what the generators made, on a target that cannot run them.
func (b *boot) generated() (int, error) {
	if b.Live() {
		return 0, nil
	}
	if old, there, err := b.Content(grubCfg); err != nil {
		return 0, err
	} else if there {
		if err := b.put(grubCfg, editEntries(string(old), b.entry), false); err != nil {
			return 0, err
		}
	}
	for _, dir := range []string{"/boot/efi", "/efi", "/boot"} {
		list, err := b.List(dir + "/loader/entries/*.conf")
		if err != nil {
			return 0, err
		}
		for _, f := range list {
			old, _, err := b.Content(f.Path)
			if err != nil {
				return 0, err
			}
			if err := b.put(f.Path, editOptions(string(old), b.entry), false); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

// holds checks that the settings say what was wanted: a value may come from a variable or a command that cannot be edited.
func (b *boot) holds() error {
	files, err := b.defaultFiles()
	if err != nil || len(files) == 0 {
		return err
	}
	vars, err := b.vars(files)
	if err != nil {
		return err
	}
	args := grub.Args(vars[grub.CmdlineLinux] + " " + vars[grub.CmdlineLinuxDefault])
	for _, a := range b.add {
		if !slices.Contains(args, a) {
			return change.Cannot("%s gets its value in %s in a way that cannot be edited safely; add %s there by hand", grub.CmdlineLinuxDefault, strings.Join(files, ", "), a)
		}
	}
	for _, a := range args {
		if b.unwanted(a) {
			return change.Cannot("%s stands in %s in a way that cannot be edited safely; remove it there by hand", oneWord(a), strings.Join(files, ", "))
		}
	}
	return nil
}

// refresh lets the generators make what the boot loader reads, and checks it.
func (b *boot) refresh() error {
	if !b.generate {
		return nil
	}
	if _, err := b.Stat(grubCfg); err == nil {
		if err := b.Do(change.Action{Verb: change.Refresh, Object: "update-grub"}); err != nil {
			return err
		}
		if b.Live() {
			b.Effect("update-grub writes %s anew; when the change is taken back it is written from the old files again", grubCfg)
		}
	}
	if _, err := b.Stat(bootUUIDs); err == nil {
		return b.Do(change.Action{Verb: change.Refresh, Object: "proxmox-boot-tool refresh"})
	}
	return nil
}
