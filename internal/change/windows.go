package change

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
)

// The windows, in the order in which they are applied. SSH and firewall are never in one: whoever loses one way must be
// able to come back by the other.
func windowNames() []string { return []string{"packages", "host", "ssh", "firewall"} }

// WindowAll is the only window of a directory: nobody is logged in there.
const WindowAll = "all"

// windowOf says in which window a change is made.
func windowOf(c Change) string {
	switch c.Kind {
	case "package":
		return "packages"
	case "sshd":
		return "ssh"
	case "pvefirewall":
		return "firewall"
	case "unit":
		switch strings.TrimSuffix(c.Unit, ".service") {
		case "ssh", "sshd", "ssh.socket":
			return "ssh"
		case "pve-firewall", "proxmox-firewall", "nftables":
			return "firewall"
		}
	case "file", "line":
		switch {
		case strings.HasPrefix(c.Path, "/etc/ssh/"):
			return "ssh"
		case strings.HasPrefix(c.Path, "/etc/pve/firewall/"), path.Base(c.Path) == "host.fw", strings.HasPrefix(c.Path, "/etc/nftables"):
			return "firewall"
		}
	}
	return "host"
}

// drafted is one window with its draft.
type drafted struct {
	name    string
	changes []Change
	draft   *Draft
}

// draft drafts all changes. A control of which one change fails is left out, with those that must not be made without it, and the
// rest is drafted again, until all of what is left can be made.
func (p *Planner) draft(changes []Change) ([]drafted, []Change, []Omission, error) {
	changes, omissions := withoutConflicts(slices.Clone(changes))
	for {
		windows, failed, err := p.draftOnce(changes)
		if err != nil {
			return nil, nil, nil, err
		}
		failed = merged(append(failed, tooEarly(changes, append(slices.Clone(omissions), failed...))...))
		if len(failed) == 0 {
			if changes == nil {
				changes = []Change{}
			}
			return windows, changes, omissions, nil
		}
		omissions = append(omissions, failed...)
		codes := map[subject]string{}
		for _, o := range failed {
			codes[o.subject()] = o.Code
		}
		changes = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool {
			// What comes later leaves the part that is made now: the packages.
			code, left := codes[c.subject()]
			return left && (code != "later" || c.Kind != "package")
		})
	}
}

// tooEarly leaves out the controls that must not be made before one that is left out.
func tooEarly(changes []Change, omitted []Omission) []Omission {
	var out []Omission
	for _, c := range changes {
		for _, id := range c.After {
			i := slices.IndexFunc(omitted, func(o Omission) bool { return o.Control == id && o.Object == c.Object })
			if i >= 0 {
				out = append(out, Omission{Control: c.Control, Object: c.Object, Code: "needs", Reason: id + " comes first, and is left out: " + omitted[i].Reason})
			}
		}
	}
	return out
}

// merged joins the omissions of one control on one object: what cannot be made outweighs what comes later.
func merged(list []Omission) []Omission {
	var out []Omission
	at := map[subject]int{}
	for _, o := range list {
		i, ok := at[o.subject()]
		switch {
		case !ok:
			at[o.subject()] = len(out)
			out = append(out, o)
		case out[i].Code == "later" && o.Code != "later":
			out[i] = o
		case out[i].Code == o.Code && !strings.Contains(out[i].Reason, o.Reason):
			out[i].Reason += "; " + o.Reason
		}
	}
	return out
}

func (p *Planner) draftOnce(changes []Change) ([]drafted, []Omission, error) {
	names := windowNames()
	if p.Target.Kind == "dir" {
		names = []string{WindowAll}
	}
	var windows []drafted
	var failed []Omission
	below := host.NewOverlay(p.Machine)
	for _, name := range names {
		d, err := nextDraft(p.Machine, below, p.Target)
		if err != nil {
			return nil, nil, err
		}
		w := drafted{name: name, draft: d}
		for _, c := range changes {
			if name != WindowAll && windowOf(c) != name {
				continue
			}
			w.changes = append(w.changes, c)
			if o := p.draftChange(d, c, windows); o != nil {
				failed = append(failed, *o)
			}
		}
		windows = append(windows, w)
		below = d.Overlay
	}
	return windows, failed, nil
}

// draftChange drafts one change; on failure the draft is as before and the omission says why.
func (p *Planner) draftChange(d *Draft, c Change, before []drafted) *Omission {
	d.at, d.touched = c, false
	restore := d.snapshot()
	defer func() { d.undo = nil }()
	kind, ok := p.Kinds[c.Kind]
	var err error
	switch {
	case !validText(c):
		err = Cannot("it would write bytes that are no text (UTF-8)")
	case !ok:
		err = Cannot("castellan does not know changes of the kind %q", c.Kind)
	case c.Kind != "package" && installs(before, c.Control):
		err = Later("its packages are installed first; make a new plan once they are")
	default:
		err = kind.Draft(d, c)
	}
	if err == nil {
		if !d.touched {
			p.credit(d, c, before)
		}
		return nil
	}
	restore()
	code := "cannot"
	if isLater(err) {
		code = "later"
	}
	var why *CannotError
	if errors.As(err, &why) {
		err = why
	}
	return &Omission{Control: c.Control, Object: c.Object, Code: code, Reason: err.Error()}
}

// credit notes a control at the steps that already do what it asks for, because another control asks for the same.
func (p *Planner) credit(d *Draft, c Change, before []drafted) {
	if alone := p.alone(d.below, c); alone != nil {
		d.share(alone)
		return
	}
	if alone := p.alone(host.NewOverlay(p.Machine), c); alone != nil {
		for _, w := range before {
			w.draft.share(alone)
		}
	}
}

// alone drafts one change without the others; nil when it changes nothing.
func (p *Planner) alone(below *host.Overlay, c Change) *Draft {
	d, err := nextDraft(p.Machine, below, p.Target)
	if err != nil {
		return nil
	}
	d.at = c
	if err := p.Kinds[c.Kind].Draft(d, c); err != nil || !d.touched {
		return nil
	}
	return d
}

// share notes the control of another draft at what both do.
func (d *Draft) share(other *Draft) {
	for _, name := range other.Changed() {
		if _, ok := d.Node(name); ok && name != metaPath {
			d.noteOf(name).controls = with(d.noteOf(name).controls, other.at.Control)
		}
	}
	for i, mine := range d.actions {
		if slices.ContainsFunc(other.actions, func(p pending) bool { return p.action == mine.action }) {
			d.actions[i].controls = with(mine.controls, other.at.Control)
		}
	}
}

// idle are the controls whose changes do nothing: what they would set is set already.
func idle(changes []Change, windows []Window) []Omission {
	var out []Omission
	for _, c := range changes {
		if !slices.ContainsFunc(windows, func(w Window) bool { return slices.Contains(w.Controls, c.Control) }) {
			out = append(out, Omission{Control: c.Control, Object: c.Object, Code: "nothing", Reason: "what it would set is set already"})
		}
	}
	return merged(out)
}

// installs reports whether an earlier window installs something for a control.
func installs(before []drafted, control string) bool {
	for _, w := range before {
		for _, a := range w.draft.actions {
			if a.action.Verb == Install && slices.Contains(a.controls, control) {
				return true
			}
		}
	}
	return false
}

// gravest is the gravest class of lock-out among changes.
func gravest(changes []Change) string {
	classes := []string{"none", "boot", "session", "cluster"}
	worst := 0
	for _, c := range changes {
		worst = max(worst, slices.Index(classes, c.Lockout))
	}
	return classes[worst]
}

// steps turns the draft into steps, in their order: packages, directories, files (the firewall's switch last), knobs of the
// kernel, then actions by verb.
func (d *Draft) steps() ([]Step, error) {
	var files []Step
	for _, real := range d.Changed() {
		after, _ := d.Node(real)
		before, err := d.before(real)
		if err != nil {
			return nil, err
		}
		if before.Digest() == after.Digest() {
			continue
		}
		n := d.noteOf(real)
		files = append(files, Step{Controls: n.controls, Path: real, What: what(before, after), Before: before.Digest(), After: after.Digest(),
			Diff: diff(real, before, after, n.secret), Trial: n.trial, Candidate: n.candidate})
	}
	slices.SortStableFunc(files, func(a, b Step) int {
		return cmp.Or(cmp.Compare(d.rank(a.Path), d.rank(b.Path)), cmp.Compare(a.Path, b.Path))
	})
	var first, last []Step
	for _, v := range verbs() {
		for _, a := range d.actions {
			if a.action.Verb != v || d.stops(a.action) {
				continue
			}
			s := Step{Controls: a.controls, What: a.action.Words(), Action: &a.action}
			if v == Install || v == Purge {
				first = append(first, s)
			} else {
				last = append(last, s)
			}
		}
	}
	return slices.Concat(first, files, last), nil
}

// stops reports whether a unit that would be started again or reloaded is switched off in the same window by another change.
func (d *Draft) stops(a Action) bool {
	return (a.Verb == Restart || a.Verb == Reload) && slices.ContainsFunc(d.actions, func(p pending) bool {
		return p.action.Verb == Stop && strings.TrimSuffix(p.action.Object, ".service") == strings.TrimSuffix(a.Object, ".service")
	})
}

// rank orders the paths of a window.
func (d *Draft) rank(name string) int {
	n, _ := d.Node(name)
	switch {
	case n.Type == host.Dir:
		return 0
	case strings.HasPrefix(name, "/proc/"), strings.HasPrefix(name, "/sys/"):
		return 3
	case name == "/etc/pve/firewall/cluster.fw":
		return 2
	}
	return 1
}

// what says in words what happens to a path.
func what(before, after host.Node) string {
	switch {
	case after.Type == host.Absent:
		return "remove"
	case after.Type == host.Dir && before.Type == host.Absent:
		return "make the directory"
	case after.Type == host.Link:
		return "link to " + after.Link
	case before.Type == host.Absent:
		return "create"
	case before.Type == host.Regular && string(before.Content) != string(after.Content):
		return "write"
	}
	return "give " + attributes(before, after)
}
