package kinds

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/systemd"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	unitDir    = "/etc/systemd/system"
	runtimeDir = "/run/systemd/system"
	noUnit     = "/dev/null"
)

// unit enables, disables, masks, starts, stops or restarts a unit of systemd. Enabling and disabling are the links that
// systemctl(1) would make and remove, drafted one by one: so an image is changed as a host is, and each link has its
// inverse.
func unit(d *change.Draft, c change.Change) error {
	if !unitNames.MatchString(c.Unit) {
		return change.Cannot("%.80q is no name of a unit", c.Unit)
	}
	switch c.State {
	case "disabled", "masked", "stopped":
		if why := mustRun(c.Unit); why != "" {
			return change.Cannot("%s is not switched off: %s", c.Unit, why)
		}
	}
	u, err := readUnits(d)
	if err != nil {
		return err
	}
	switch c.State {
	case "enabled":
		return u.enabled(c.Unit)
	case "disabled":
		return u.disabled(c.Unit)
	case "masked":
		return u.masked(c.Unit)
	case "started":
		return d.Do(change.Action{Verb: change.Start, Object: c.Unit})
	case "stopped":
		return d.Do(change.Action{Verb: change.Stop, Object: c.Unit})
	case "restarted":
		return d.Do(change.Action{Verb: change.Restart, Object: c.Unit})
	}
	return change.Cannot("a unit has no state %.40q", c.State)
}

// unitNames follows systemd.unit(5): letters, digits and ":-_.\@", and an ending that is a type.
var unitNames = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]{1,200}\.(service|socket|target|timer|mount|automount|path|swap|slice)$`)

// mustRun says why a unit stays on.
func mustRun(name string) string {
	switch strings.TrimSuffix(strings.TrimSuffix(name, ".service"), ".socket") {
	case "ssh", "sshd":
		return "it is a way into this host"
	case "pve-cluster", "pvedaemon", "pveproxy", "pvestatd", "corosync", "pve-guests", "qmeventd":
		return "Proxmox VE does not work without it"
	case "systemd-journald", "systemd-logind", "systemd-udevd", "dbus", "networking", "init", "multi-user.target":
		return "the host does not work without it"
	}
	return ""
}

// unitTree is what the files say about units, in the draft.
type unitTree struct {
	d    *change.Draft
	tree *systemd.Tree
	// entries by path, vendor true when the units of packages are among them: in a copy of parts of a host they may not be.
	entries []systemd.Entry
	vendor  bool
}

func readUnits(d *change.Draft) (*unitTree, error) {
	u := &unitTree{d: d}
	patterns := []string{"/etc/init.d/*", "/etc/rc[2-5].d/*"}
	for _, dir := range systemd.SearchPath() {
		patterns = append(patterns, dir+"/*", dir+"/*.wants/*", dir+"/*.requires/*", dir+"/*.upholds/*")
	}
	for _, p := range patterns {
		list, err := d.List(p)
		if err != nil && !host.NotExist(err) {
			return nil, err
		}
		for _, f := range list {
			if f.Type == host.Dir {
				continue
			}
			u.entries = append(u.entries, systemd.Entry{Path: f.Path, Link: f.Link, Size: f.Size})
			u.vendor = u.vendor || strings.HasPrefix(f.Path, "/usr/lib/systemd/") || strings.HasPrefix(f.Path, "/lib/systemd/")
		}
	}
	u.tree = systemd.NewTree(u.entries)
	return u, nil
}

// again reads the files anew after a change.
func (u *unitTree) again() error {
	fresh, err := readUnits(u.d)
	if err == nil {
		*u = *fresh
	}
	return err
}

// state is what the files say of a unit now.
func (u *unitTree) state(name string) (systemd.State, []byte, error) {
	file := u.tree.File(name)
	if file == "" {
		return u.tree.State(name, nil), nil, nil
	}
	b, _, err := u.d.Content(file)
	return u.tree.State(name, b), b, err
}

// enabled takes a mask away, makes the links of [Install] and starts the unit.
func (u *unitTree) enabled(name string) error {
	changed, err := u.unmask(name)
	if err != nil {
		return err
	}
	if err := u.again(); err != nil {
		return err
	}
	s, text, err := u.state(name)
	if err != nil {
		return err
	}
	if skip, err := u.byFstab(name); skip || err != nil {
		return err
	}
	switch {
	case !s.Exists && slices.Contains(u.tree.EnabledNames(), name):
		// The links are there; the copy lacks the unit's own file.
	case !s.Exists && !u.vendor && !u.d.Live():
		return change.Cannot("the file of %s is not part of this copy, so which links enable it is not known", name)
	case !s.Exists:
		return change.Cannot("%s is not installed", name)
	case strings.HasPrefix(s.Path, "/etc/init.d/"):
		linked, err := u.script(s, true)
		if err != nil {
			return err
		}
		changed = changed || linked
	case s.Enabled == systemd.Static && !s.Boots:
		return change.Cannot("%s has no [Install] section, so that it cannot be enabled; another unit starts it when it is needed", name)
	case s.Enabled == systemd.Disabled || s.Enabled == systemd.EnabledRuntime || s.Enabled == systemd.Indirect:
		linked, err := u.install(s.Name, text, map[string]bool{})
		if err != nil {
			return err
		}
		changed = changed || linked
	}
	if changed {
		if err := u.d.Do(change.Action{Verb: change.DaemonReload}); err != nil {
			return err
		}
	}
	if name == "tmp.mount" {
		if changed {
			// Mounted now it would hide what running programs keep in /tmp.
			u.d.Reboot("%s is mounted at the next start of the host, so that nothing that runs loses its files in /tmp", "/tmp")
		}
		return nil
	}
	return u.d.Do(change.Action{Verb: change.Start, Object: name})
}

// byFstab reports whether fstab mounts what a mount unit would: then it is neither written nor enabled.
func (u *unitTree) byFstab(name string) (bool, error) {
	if name != "tmp.mount" {
		return false, nil
	}
	return inFstab(u.d, "/tmp")
}

// unmask removes links to /dev/null and empty files of a unit's name, which mask it.
func (u *unitTree) unmask(name string) (bool, error) {
	changed := false
	for _, e := range u.entries {
		if path.Base(e.Path) != name || path.Dir(e.Path) != unitDir && path.Dir(e.Path) != runtimeDir {
			continue
		}
		if e.Link == "" && e.Size == 0 || pointsTo(e, noUnit) {
			changed = true
			if err := u.d.Remove(e.Path); err != nil {
				return false, err
			}
		}
	}
	return changed, nil
}

// pointsTo reports whether a link leads to a path, which it may write relatively.
func pointsTo(e systemd.Entry, target string) bool {
	if e.Link == "" {
		return false
	}
	if strings.HasPrefix(e.Link, "/") {
		return path.Clean(e.Link) == target
	}
	return path.Join(path.Dir(e.Path), e.Link) == target
}

// install makes the links that [Install] asks for (systemd.unit(5)), of the units of Also= too.
func (u *unitTree) install(name string, text []byte, seen map[string]bool) (changed bool, err error) {
	if seen[name] || len(seen) > 32 {
		return false, nil
	}
	seen[name] = true
	file := u.tree.File(name)
	if file == "" {
		return false, change.Cannot("%s has no unit file", name)
	}
	section := systemd.ParseUnit(text)
	link := name
	if base, rest, ok := strings.Cut(name, "@."); ok { // a template is enabled as its default instance
		instance, has := section.Last("Install", "DefaultInstance")
		if !has || instance == "" {
			return false, change.Cannot("%s is a template; name an instance of it", name)
		}
		link = base + "@" + instance + "." + rest
	}
	place := func(at string) error {
		if u.present(at, file) {
			return nil
		}
		changed = true
		return u.link(at, file)
	}
	for _, by := range [][2]string{{"WantedBy", ".wants"}, {"RequiredBy", ".requires"}, {"UpheldBy", ".upholds"}} {
		for _, target := range installWords(section, by[0]) {
			if target, err = specifiers(target, link); err != nil {
				return false, err
			}
			if err := place(unitDir + "/" + target + by[1] + "/" + link); err != nil {
				return false, err
			}
		}
	}
	for _, alias := range installWords(section, "Alias") {
		if alias, err = specifiers(alias, link); err != nil {
			return false, err
		}
		if alias != link {
			if err := place(unitDir + "/" + alias); err != nil {
				return false, err
			}
		}
	}
	return u.also(section, link, changed, seen)
}

// also installs the units that go with one. One that is not there is left out, as systemctl does with a warning.
func (u *unitTree) also(section systemd.Unit, link string, changed bool, seen map[string]bool) (bool, error) {
	for _, other := range installWords(section, "Also") {
		other, err := specifiers(other, link)
		if err != nil {
			return false, err
		}
		s, b, err := u.state(other)
		if err != nil {
			return false, err
		}
		if !s.Exists || s.Enabled == systemd.Masked || s.Enabled == systemd.Static || b == nil {
			continue
		}
		more, err := u.install(other, b, seen)
		if err != nil {
			return false, err
		}
		changed = changed || more
	}
	return changed, nil
}

func installWords(u systemd.Unit, key string) []string {
	var out []string
	for _, v := range u.Values("Install", key) {
		out = append(out, strings.Fields(v)...)
	}
	return out
}

// specifiers fills in what a name of [Install] may hold: %i and %I the instance, %p, %P and %j the part before "@", %n and %N the
// name (systemd.unit(5), Specifiers). Instances with escapes would need more.
func specifiers(text, name string) (string, error) {
	bare := strings.TrimSuffix(name, path.Ext(name))
	prefix, instance, _ := strings.Cut(bare, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		i++
		value, ok := map[byte]string{'i': instance, 'p': prefix, 'j': last, 'n': name, 'N': bare, '%': "%"}[text[i]]
		if !ok {
			return "", change.Cannot("%s is enabled under a name with %%%c in it, which castellan does not fill in; use systemctl", name, text[i])
		}
		out.WriteString(value)
	}
	if !unitNames.MatchString(out.String()) {
		return "", change.Cannot("%s wants to be enabled under %.60q, which is no name of a unit", name, out.String())
	}
	return out.String(), nil
}

// present reports whether a link for a unit file is there, however it is written.
func (u *unitTree) present(at, file string) bool {
	return slices.ContainsFunc(u.entries, func(e systemd.Entry) bool {
		return e.Path == at && (path.Base(e.Link) == path.Base(file) || path.Base(e.Link) == path.Base(at) && e.Link != "")
	})
}

func (u *unitTree) link(at, file string) error {
	for _, e := range u.entries {
		if e.Path == at && e.Link == "" {
			return change.Cannot("%s is a file of its own where a link is wanted; move it away first", at)
		}
	}
	return u.d.Symlink(at, file)
}
