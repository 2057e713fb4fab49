package systemd

import (
	"path"
	"slices"
	"sort"
	"strings"
)

// SearchPath returns the directories that hold units, strongest first (systemd.unit(5), "System Unit Search Path").
func SearchPath() []string {
	return []string{
		"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
		"/run/systemd/generator.early", "/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
	}
}

// Entry is one file or link found below a directory of the search path, or a script of /etc/init.d and /etc/rcN.d.
type Entry struct {
	Path string
	Link string // where a link points, as written; empty when Path is a file
	Size int64
}

// Enablement says how a unit is enabled, in the words of systemctl(1) is-enabled, plus Absent.
type Enablement string

// The states of enablement.
const (
	Enabled        Enablement = "enabled"
	EnabledRuntime Enablement = "enabled-runtime"
	Disabled       Enablement = "disabled"
	Masked         Enablement = "masked"
	MaskedRuntime  Enablement = "masked-runtime"
	Static         Enablement = "static"
	Indirect       Enablement = "indirect"
	Generated      Enablement = "generated"
	Absent         Enablement = "absent"
)

// State is what the files say about one unit.
type State struct {
	Exists  bool       // a unit file, an alias of one, or a System V script; a mask alone does not make a unit exist
	Enabled Enablement //
	Path    string     // the file or link that decides
	Boots   bool       // something that boots the system pulls it in: a link in a .wants or .requires directory
	Name    string     // the unit's own name when it was asked for by an alias
}

// Tree is the set of unit files of a host.
type Tree struct {
	units   map[string][]Entry // by unit name, strongest directory first
	pulls   map[string][]Entry // links in .wants, .requires, .upholds, by the unit name of the link
	dropIns map[string][]string
	sysv    map[string]string // script name -> path
	started map[string]bool   // script name -> started in a runlevel 2 to 5
}

// NewTree arranges the entries of the search path (in any order).
func NewTree(entries []Entry) *Tree {
	t := &Tree{
		units: map[string][]Entry{}, pulls: map[string][]Entry{}, dropIns: map[string][]string{},
		sysv: map[string]string{}, started: map[string]bool{},
	}
	rank := map[string]int{}
	for i, d := range SearchPath() {
		rank[d] = i
	}
	for _, e := range entries {
		dir, base := path.Split(e.Path)
		dir = strings.TrimSuffix(dir, "/")
		if _, ok := rank[dir]; ok {
			t.units[base] = append(t.units[base], e)
			continue
		}
		t.addBelow(e, dir, base, rank)
	}
	for name, list := range t.units {
		sort.SliceStable(list, func(i, j int) bool { return rank[path.Dir(list[i].Path)] < rank[path.Dir(list[j].Path)] })
		t.units[name] = list
	}
	for name := range t.dropIns {
		sort.Strings(t.dropIns[name])
	}
	return t
}

func (t *Tree) addBelow(e Entry, dir, base string, rank map[string]int) {
	parent, sub := path.Split(dir)
	parent = strings.TrimSuffix(parent, "/")
	switch {
	case dir == "/etc/init.d":
		t.sysv[base] = e.Path
	case parent == "/etc" && strings.HasPrefix(sub, "rc") && strings.HasSuffix(sub, ".d"):
		if level := strings.TrimSuffix(strings.TrimPrefix(sub, "rc"), ".d"); strings.Contains("2345", level) && level != "" &&
			len(base) > 3 && base[0] == 'S' {
			t.started[base[3:]] = true
		}
	default:
		if _, ok := rank[parent]; !ok {
			return
		}
		if strings.HasSuffix(sub, ".wants") || strings.HasSuffix(sub, ".requires") || strings.HasSuffix(sub, ".upholds") {
			t.pulls[base] = append(t.pulls[base], e)
		} else if unit, ok := strings.CutSuffix(sub, ".d"); ok && strings.HasSuffix(base, ".conf") {
			t.dropIns[unit] = append(t.dropIns[unit], e.Path)
		}
	}
}

// DropIns returns the paths of the drop-ins of a unit, sorted.
func (t *Tree) DropIns(name string) []string { return t.dropIns[name] }

// EnabledNames returns the names of all units that a link below /etc or /run pulls in, sorted.
func (t *Tree) EnabledNames() []string {
	var out []string
	for name, pulls := range t.pulls {
		if slices.ContainsFunc(pulls, func(e Entry) bool { return !vendor(e.Path) }) {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// File returns the file that holds the unit's text: aliases and templates are followed. It is empty for a unit that is
// absent, masked, or made from a System V script.
func (t *Tree) File(name string) string {
	_, e := t.resolve(name)
	if e == nil || masks(*e) {
		return ""
	}
	return e.Path
}

// resolve follows alias links by name, at most 16 times so that a loop ends.
func (t *Tree) resolve(name string) (string, *Entry) {
	for range 16 {
		list := t.units[name]
		if len(list) == 0 {
			if tpl, ok := template(name); ok && len(t.units[tpl]) > 0 {
				return name, &t.units[tpl][0]
			}
			return name, nil
		}
		e := list[0]
		if e.Link == "" || masks(e) {
			return name, &e
		}
		next := path.Base(e.Link)
		if next == name { // a link to a file of the same name elsewhere: a linked unit
			return name, &e
		}
		name = next
	}
	return name, nil
}

// State resolves one unit. The content is the text of the file that File returns, nil when there is none; it tells
// static from disabled units.
func (t *Tree) State(name string, content []byte) State {
	own, e := t.resolve(name)
	if e == nil {
		return t.sysvState(name, own)
	}
	s := State{Name: own, Path: e.Path, Exists: true}
	if masks(*e) {
		s.Enabled = Masked
		if strings.HasPrefix(e.Path, "/run/") {
			s.Enabled = MaskedRuntime
		}
		s.Exists = len(t.units[own]) > 1 || t.sysv[strings.TrimSuffix(own, ".service")] != ""
		return s
	}
	s.Enabled, s.Boots = t.enablement(own, *e, content)
	return s
}

func (t *Tree) enablement(name string, e Entry, content []byte) (Enablement, bool) {
	var etc, run, pulled bool
	for _, p := range t.pulls[name] {
		pulled = true
		etc = etc || strings.HasPrefix(p.Path, "/etc/")
		run = run || strings.HasPrefix(p.Path, "/run/systemd/system/")
	}
	// An Alias= of [Install] is a link below /etc to this unit's file, under another name.
	for other, list := range t.units {
		if other == name {
			continue
		}
		for _, l := range list {
			if l.Link != "" && path.Base(l.Link) == name && strings.HasPrefix(l.Path, "/etc/") {
				etc, pulled = true, true
			}
		}
	}
	direct, indirect := ParseUnit(content).Installable()
	switch {
	case etc:
		return Enabled, true
	case run:
		return EnabledRuntime, true
	case strings.HasPrefix(e.Path, "/run/systemd/generator"):
		return Generated, pulled
	case direct:
		return Disabled, pulled
	case indirect:
		return Indirect, pulled
	}
	return Static, pulled
}

func (t *Tree) sysvState(name, own string) State {
	script, ok := strings.CutSuffix(own, ".service")
	p := t.sysv[script]
	if !ok || p == "" {
		return State{Name: name, Enabled: Absent}
	}
	s := State{Name: own, Path: p, Exists: true, Enabled: Disabled}
	if t.started[script] {
		s.Enabled, s.Boots = Enabled, true
	}
	return s
}

// masks reports whether the entry masks its unit: a link to /dev/null or an empty file (systemd.unit(5)).
func masks(e Entry) bool {
	return e.Link == "/dev/null" || e.Link == "" && e.Size == 0 || strings.HasPrefix(e.Link, "..") && strings.HasSuffix(e.Link, "/dev/null")
}

func template(name string) (string, bool) {
	at := strings.IndexByte(name, '@')
	dot := strings.LastIndexByte(name, '.')
	if at < 0 || dot < at || at+1 == dot {
		return "", false
	}
	return name[:at+1] + name[dot:], true
}

func vendor(p string) bool { return !strings.HasPrefix(p, "/etc/") && !strings.HasPrefix(p, "/run/") }
