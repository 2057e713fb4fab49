package kinds

import (
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/modprobe"
)

const modprobeFile = "/etc/modprobe.d/castellan.conf"

var (
	moduleName   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	moduleOption = regexp.MustCompile(`^[A-Za-z0-9_.-]+(=[A-Za-z0-9_.,:/@+-]*)?$`)
)

// modules blocks kernel modules, or gives one options: in a file of ours below /etc/modprobe.d. With a list in Each only those of
// Block that are in it too are blocked.
func modules(d *change.Draft, c change.Change) error {
	conf, err := modprobeConfig(d)
	if err != nil {
		return err
	}
	var lines []string
	for _, m := range c.Block {
		if !moduleName.MatchString(m) {
			return change.Cannot("%q is not the name of a kernel module", m)
		}
		if c.Each != nil && !slices.ContainsFunc(c.Each, func(e string) bool { return modprobe.Name(e) == modprobe.Name(m) }) {
			continue
		}
		more, err := blockLines(d, conf, m)
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	if err := otherOptions(d, conf, c.Options); err != nil {
		return err
	}
	if conf, err = modprobeConfig(d); err != nil {
		return err
	}
	option, err := optionLine(conf, c.Options)
	if err != nil {
		return err
	}
	if option != "" {
		lines = append(lines, option)
		d.Reboot("module options take effect when the module is loaded again, at the latest at the next start: %s", c.Options)
	}
	if err := appendLines(d, modprobeFile, lines, 0o644); err != nil {
		return err
	}
	if err := earlyModules(d, lines); err != nil {
		return err
	}
	return modulesHold(d, c)
}

// earlyModules makes the initial RAM disk anew when it may load what was changed before the root file system is there: it holds a
// copy of modprobe.d. Drivers of disks and options matter there, exotic file systems and protocols do not.
func earlyModules(d *change.Draft, lines []string) error {
	early := slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "options ") || strings.HasPrefix(l, "install ") && strings.HasPrefix(modprobe.Name(l), "install usb_storage ")
	})
	if _, err := d.Stat("/usr/sbin/update-initramfs"); !early || err != nil {
		return nil //nolint:nilerr // without initramfs-tools there is nothing to make anew
	}
	return d.Do(change.Action{Verb: change.Refresh, Object: "update-initramfs -u"})
}

// modprobeConfig reads modprobe.d of the draft as kmod does.
func modprobeConfig(d *change.Draft) (modprobe.Config, error) {
	var found []string
	for _, dir := range modprobe.Dirs() {
		list, err := d.List(dir + "/*.conf")
		if err != nil {
			return modprobe.Config{}, err
		}
		for _, f := range list {
			found = append(found, f.Path)
		}
	}
	var rules []modprobe.Rule
	for _, p := range modprobe.Order(found) {
		b, _, err := d.Content(p)
		if err != nil {
			return modprobe.Config{}, err
		}
		rules = append(rules, modprobe.Parse(p, b)...)
	}
	return modprobe.NewConfig(rules), nil
}

// blockLines are the lines that a module still needs. The install line keeps it from being loaded in any way, the blacklist line
// keeps its aliases from asking for it (modprobe.d(5)).
func blockLines(d *change.Draft, conf modprobe.Config, m string) ([]string, error) {
	var lines []string
	r, blocked := conf.Blocked(m)
	switch {
	case !blocked && r.File != "":
		return nil, change.Cannot("%s:%d already says what loading %s does (%q); remove that line if the module is not needed", r.File, r.Line, m, r.Verb+" "+m)
	case !blocked:
		users, err := moduleUsers(d, m)
		if err != nil {
			return nil, err
		}
		if users != "" {
			return nil, change.Cannot("the module %s is in use (%s); allow it with the parameter allow, or stop what uses it first", m, users)
		}
		lines = append(lines, "install "+m+" /bin/false")
	}
	if _, ok := conf.Blacklisted(m); !ok {
		lines = append(lines, "blacklist "+m)
	}
	return lines, noteLoaded(d, m)
}

// loadedModule gives the line of /proc/modules of a module: name, size, count of users, their names (proc(5)).
func loadedModule(d *change.Draft, m string) ([]string, error) {
	b, _, err := d.Content("/proc/modules")
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) > 3 && modprobe.Name(f[0]) == modprobe.Name(m) {
			return f, nil
		}
	}
	return nil, nil
}

// moduleUsers says who uses a loaded module: "" when nobody does.
func moduleUsers(d *change.Draft, m string) (string, error) {
	f, err := loadedModule(d, m)
	switch {
	case err != nil || f == nil || f[2] == "0":
		return "", err
	case f[3] == "-":
		return f[2] + " users", nil
	}
	return "by " + strings.Trim(f[3], ","), nil
}

func noteLoaded(d *change.Draft, m string) error {
	f, err := loadedModule(d, m)
	if err == nil && f != nil {
		d.Reboot("the module %s is loaded and nobody uses it: it stays until the next start, or until modprobe -r %s", m, m)
	}
	return err
}

// optionLine is the line that "MODULE NAME=VALUE ..." still needs, or "".
func optionLine(conf modprobe.Config, options string) (string, error) {
	f := strings.Fields(options)
	if len(f) == 0 {
		return "", nil
	}
	if len(f) < 2 || !moduleName.MatchString(f[0]) {
		return "", change.Cannot("%q is no module with its options", options)
	}
	var missing []string
	for _, o := range f[1:] {
		if !moduleOption.MatchString(o) {
			return "", change.Cannot("%q is not an option of a kernel module", o)
		}
		if !hasOption(conf, f[0], o) {
			missing = append(missing, o)
		}
	}
	if len(missing) == 0 {
		return "", nil
	}
	return "options " + f[0] + " " + strings.Join(missing, " "), nil
}

// otherOptions rewrites what the administrator's files say otherwise about the same options, because lines that contradict each
// other mislead whoever reads them.
func otherOptions(d *change.Draft, conf modprobe.Config, options string) error {
	f := strings.Fields(options)
	for i := 1; i < len(f); i++ {
		name, _, _ := strings.Cut(f[i], "=")
		for _, r := range conf.Options() {
			k, _, _ := strings.Cut(r.Rest, "=")
			if r.Module != modprobe.Name(f[0]) || k != name || r.Rest == f[i] || !strings.HasPrefix(r.File, "/etc/") {
				continue
			}
			old, _, err := d.Content(r.File)
			if err != nil {
				return err
			}
			lines := strings.SplitAfter(string(old), "\n")
			word := regexp.MustCompile(`([ \t])` + regexp.QuoteMeta(r.Rest) + `([ \t\r\n\\]|$)`)
			for n := r.Line - 1; n < len(lines); n++ {
				if word.MatchString(lines[n]) {
					lines[n] = word.ReplaceAllString(lines[n], "${1}"+strings.ReplaceAll(f[i], "$", "$$")+"${2}")
					break
				}
			}
			if err := d.Write(r.File, []byte(strings.Join(lines, "")), 0o644); err != nil {
				return err
			}
			d.Reboot("module options take effect when the module is loaded again, at the latest at the next start: %s", options)
		}
	}
	return nil
}

// hasOption reports whether the last value that the files give an option is the wanted one.
func hasOption(conf modprobe.Config, module, option string) bool {
	name, _, _ := strings.Cut(option, "=")
	last := ""
	for _, r := range conf.Options() {
		if k, _, _ := strings.Cut(r.Rest, "="); r.Module == modprobe.Name(module) && k == name {
			last = r.Rest
		}
	}
	return last == option
}

// modulesHold checks that the files say what was wanted: a file that is read before ours may say something else.
func modulesHold(d *change.Draft, c change.Change) error {
	conf, err := modprobeConfig(d)
	if err != nil {
		return err
	}
	f := strings.Fields(c.Options)
	for i := 1; i < len(f); i++ {
		if !hasOption(conf, f[0], f[i]) {
			return change.Cannot("another file of modprobe.d gives the module %s another %s; remove it there", f[0], f[i])
		}
	}
	return nil
}

// appendLines adds lines at the end of a file, in its own line ending. No lines change nothing.
func appendLines(d *change.Draft, name string, lines []string, mode uint32) error {
	if len(lines) == 0 {
		return nil
	}
	old, _, err := d.Content(name)
	if err != nil {
		return err
	}
	text, end := string(old), "\n"
	if i := strings.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		end = "\r\n"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += end
	}
	return d.Write(name, []byte(text+strings.Join(lines, end)+end), mode)
}
