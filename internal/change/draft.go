package change

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/sysctl"
	"github.com/castellan-project/castellan/internal/host"
)

// Draft is a host as it will be: a Reader that shows the changes drafted so far, and the operations that kinds draft with.
// Nothing of it touches the host.
type Draft struct {
	*host.Overlay
	// Target describes the host. Live is false for directories: no action is drafted then.
	Target host.Description

	machine host.Machine
	below   *host.Overlay // what the windows before this one leave
	at      Change        // the change that is being drafted
	touched bool          // whether it has changed something
	// notes by path: who wants it, and whether it is secret.
	notes   map[string]*note
	actions []pending
	effects []string
	reboots []string
	meta    *metaEdit
	// undo is what has to be put back when the change that is being drafted cannot be made; nil when none is.
	undo *undo
}

// note is what is known of a path that was drafted.
type note struct {
	controls []string
	secret   bool
	trial    string
	// candidate names the check that the content has to pass before it is put.
	candidate string
}

type pending struct {
	action   Action
	controls []string
}

// NewDraft returns a draft of a machine that changes nothing yet.
func NewDraft(m host.Machine, target host.Description) (*Draft, error) {
	return nextDraft(m, host.NewOverlay(m), target)
}

// nextDraft returns a draft that begins where an earlier window ends.
func nextDraft(m host.Machine, below *host.Overlay, target host.Description) (*Draft, error) {
	d := &Draft{Overlay: host.NewOverlay(below), Target: target, machine: m, below: below, notes: map[string]*note{}}
	if target.Kind == "dir" {
		meta, err := readMeta(d)
		if err != nil {
			return nil, err
		}
		d.meta = meta
	}
	return d, nil
}

// Live reports whether actions have an effect: the target is a running machine, and no copy of one that claims to be.
func (d *Draft) Live() bool { return d.Target.Live && d.Target.Kind != "dir" }

// Content returns the content of a file, and whether it exists.
func (d *Draft) Content(name string) ([]byte, bool, error) {
	b, err := d.ReadFile(name)
	if host.NotExist(err) {
		return nil, false, nil
	}
	return b, err == nil, err
}

// real gives the path without links, that of the file itself included.
func (d *Draft) real(name string) (string, error) { return host.Resolve(d, name) }

// node returns what is at a real path in the draft: what was drafted, what an earlier window leaves, or what is there.
func (d *Draft) node(real string) (host.Node, error) {
	if n, ok := d.Drafted(real); ok {
		return n, nil
	}
	if d.gonePath(real) {
		return host.Node{Type: host.Absent}, nil
	}
	return d.before(real)
}

func (d *Draft) gonePath(real string) bool {
	_, err := host.Lstat(d, real)
	return host.NotExist(err)
}

// before returns what is at a real path before this window.
func (d *Draft) before(real string) (host.Node, error) {
	if n, ok := d.below.Drafted(real); ok {
		return n, nil
	}
	return d.machine.Look(real)
}

// Write makes the content of a file so; links are followed. An existing file keeps mode and owner, a new one gets the
// mode and belongs to root; missing directories are made with mode 0755.
func (d *Draft) Write(name string, content []byte, mode uint32) error {
	real, err := d.real(name)
	if err != nil {
		return err
	}
	n, err := d.node(real)
	if err != nil {
		return err
	}
	switch n.Type {
	case host.Regular:
		if bytes.Equal(n.Content, content) {
			return nil
		}
	case host.Absent:
		if err := d.parents(real); err != nil {
			return err
		}
		n = d.clustered(real, d.fresh(host.Regular, mode))
		if err := d.describe(real, mode, 0o644); err != nil {
			return err
		}
	default:
		return Cannot("%s is not a regular file", name)
	}
	n.Content = slices.Clone(content)
	n.ModTime = time.Time{} // the moment of writing
	return d.put(real, n)
}

// fresh is a new node of root's. In a directory target it belongs to whoever makes it, as an image belongs to its builder,
// unless that is root.
func (d *Draft) fresh(t host.FileType, mode uint32) host.Node {
	n := host.Node{Type: t, Mode: mode}
	if d.Target.Kind == "dir" {
		n.UID, n.GID = -1, -1
	}
	return n
}

// clustered gives what is new on the cluster file system of a host that runs the mode and owner that the file system will give
// it (pmxcfs: 0640 and 0755 of root and www-data, without rights for the group below priv), so that what is found there later
// is what was planned.
func (d *Draft) clustered(real string, n host.Node) host.Node {
	if d.Target.Kind == "dir" || !strings.HasPrefix(real, "/etc/pve/") {
		return n
	}
	n.Mode = 0o640
	if n.Type == host.Dir {
		n.Mode = 0o755
	}
	if strings.HasPrefix(real+"/", "/etc/pve/priv/") {
		n.Mode &= 0o700
	}
	n.GID, _ = wellKnown("www-data")
	return n
}

// Mkdir makes a directory and those above it, when it is missing.
func (d *Draft) Mkdir(name string, mode uint32) error {
	real, err := d.real(name)
	if err != nil {
		return err
	}
	n, err := d.node(real)
	if err != nil {
		return err
	}
	if n.Type == host.Dir {
		return nil
	}
	if n.Type != host.Absent {
		return Cannot("%s is not a directory", name)
	}
	if err := d.parents(real); err != nil {
		return err
	}
	if err := d.describe(real, mode, 0o755); err != nil {
		return err
	}
	return d.put(real, d.clustered(real, d.fresh(host.Dir, mode)))
}

// describe lets the description of a copy tell the mode of something new, when it is not the one that goes without saying.
func (d *Draft) describe(real string, mode, usual uint32) error {
	if d.meta == nil || mode == usual {
		return nil
	}
	return d.meta.set(d, real, &mode, 0, 0)
}

func (d *Draft) parents(real string) error {
	if dir := path.Dir(real); dir != "/" {
		return d.Mkdir(dir, 0o755)
	}
	return nil
}

// Symlink makes a link; what is at the path already is replaced unless it is a directory.
func (d *Draft) Symlink(name, target string) error {
	dir, err := d.real(path.Dir(name))
	if err != nil {
		return err
	}
	at := path.Join(dir, path.Base(name))
	n, err := d.node(at)
	if err != nil {
		return err
	}
	switch {
	case n.Type == host.Link && n.Link == target:
		return nil
	case n.Type == host.Dir:
		return Cannot("%s is a directory", name)
	case n.Type == host.Absent:
		if err := d.parents(at); err != nil {
			return err
		}
	}
	link := d.fresh(host.Link, 0o777)
	link.Link = target
	return d.put(at, link)
}

// Remove removes a file or link (not what a link points to).
func (d *Draft) Remove(name string) error {
	dir, err := d.real(path.Dir(name))
	if err != nil {
		return err
	}
	at := path.Join(dir, path.Base(name))
	n, err := d.node(at)
	if err != nil || n.Type == host.Absent {
		return err
	}
	if n.Type == host.Dir {
		return Cannot("%s is a directory; directories are not removed", name)
	}
	if d.meta != nil {
		if err := d.meta.drop(d, at); err != nil {
			return err
		}
	}
	return d.put(at, host.Node{Type: host.Absent})
}

// Attr gives an existing file or directory a mode (unless nil) and an owner: "user:group" by name or number, "" for no
// change. Links are followed.
func (d *Draft) Attr(name string, mode *uint32, owner string) error {
	real, err := d.real(name)
	if err != nil {
		return err
	}
	n, err := d.node(real)
	if err != nil {
		return err
	}
	if n.Type != host.Regular && n.Type != host.Dir {
		return Cannot("%s does not exist", name)
	}
	if f, err := d.Stat(real); err == nil && f.OwnerUnknown {
		return Cannot("this copy did not keep the owner and mode of %s", name)
	}
	uid, gid, err := d.ids(owner)
	if err != nil {
		return err
	}
	if d.meta != nil {
		return d.meta.set(d, real, mode, uid, gid)
	}
	was := n.Digest()
	if mode != nil {
		n.Mode = *mode
	}
	if uid >= 0 {
		n.UID = uid
	}
	if gid >= 0 {
		n.GID = gid
	}
	if n.Digest() == was {
		return nil
	}
	return d.put(real, n)
}

// put notes a node and who wants it.
func (d *Draft) put(real string, n host.Node) error {
	d.undo.rememberNode(d, real)
	if err := d.Set(real, n); err != nil {
		return err
	}
	d.noteOf(real).controls = with(d.noteOf(real).controls, d.at.Control)
	d.touched = true
	return nil
}

func (d *Draft) noteOf(real string) *note {
	n := d.notes[real]
	d.undo.rememberNote(real, n)
	if n == nil {
		n = &note{secret: secretPath(real)}
		d.notes[real] = n
	}
	return n
}

// Secret keeps the content of a path out of plans, diffs and messages.
func (d *Draft) Secret(name string) error {
	real, err := d.real(name)
	if err == nil {
		d.noteOf(real).secret = true
	}
	return err
}

// OnTrial lets a file be put on trial first; see [Trial].
func (d *Draft) OnTrial(name, trial string) error {
	real, err := d.real(name)
	if err == nil {
		d.noteOf(real).trial = trial
	}
	return err
}

// Sysctl gives a value to the running kernel, and to the recorded knob of a copy. A kernel that lacks the knob is left alone.
func (d *Draft) Sysctl(key, value string) error {
	name := sysctl.Path(sysctl.Dotted(key))
	if _, err := d.Stat(name); err != nil {
		return nil //nolint:nilerr // a key that this kernel does not know takes effect when it is known
	}
	old, err := d.ReadFile(name)
	if err != nil {
		return err
	}
	if strings.Join(strings.Fields(string(old)), " ") == strings.Join(strings.Fields(value), " ") {
		return nil
	}
	return d.Write(name, []byte(value+"\n"), 0o644)
}

// Do drafts an action; on a target without running services it is left out. The same action is done once. A unit that
// does not run is not reloaded, restarted or stopped, and one that runs is not started: nothing is done that would have no effect.
// Nor is a unit started that was not, the last time, because a condition of its own did not hold (systemd.unit(5), Condition...):
// the start would do nothing again, and the window would never be done. It is tried when the change writes something as well.
func (d *Draft) Do(a Action) error {
	if err := a.Valid(); err != nil {
		return err
	}
	if !d.Live() {
		return nil
	}
	switch a.Verb {
	case Reload, Restart, Start, Stop:
		active, unmet, err := d.unit(a.Object)
		if err != nil {
			return err
		}
		if active == (a.Verb == Start) {
			return nil
		}
		if a.Verb == Start && unmet && !d.touched {
			d.Reboot("%s does not start now, because a condition of it does not hold; systemd tries again at the next start of the host", a.Object)
			return nil
		}
		a.Was = "inactive"
		if active {
			a.Was = "active"
		}
	}
	for i, p := range d.actions {
		if p.action == a {
			d.actions[i].controls = with(p.controls, d.at.Control)
			return nil
		}
	}
	d.actions = append(d.actions, pending{a, []string{d.at.Control}})
	d.touched = true
	return nil
}

// Active reports whether a unit runs now. Only live targets can tell.
func (d *Draft) Active(unit string) (bool, error) {
	active, _, err := d.unit(unit)
	return active, err
}

// unit tells whether a unit runs now, and whether its last start came to nothing for a condition that did not hold.
func (d *Draft) unit(unit string) (active, unmet bool, err error) {
	out, err := d.Run(UnitState(unit))
	if err != nil {
		return false, false, err
	}
	got := map[string]string{}
	for _, l := range host.Lines(out.Stdout) {
		if name, value, ok := strings.Cut(l, "="); ok {
			got[name] = value
		}
	}
	state, ok := got["ActiveState"]
	if !ok {
		return false, false, fmt.Errorf("systemctl does not tell the state of %s", unit)
	}
	tried := got["ConditionTimestampMonotonic"] != "" && got["ConditionTimestampMonotonic"] != "0"
	return state == "active" || state == "activating" || state == "reloading", tried && got["ConditionResult"] == "no", nil
}

// UnitState is the command that tells the state of a unit.
func UnitState(unit string) host.Command {
	return host.Command{Name: "unit-state", Argv: []string{"systemctl", "show",
		"-p", "ActiveState,LoadState,UnitFileState,ConditionResult,ConditionTimestampMonotonic", "--", unit}}
}

// Effect notes a side effect in words: "open sessions keep running; new ones get the new rules".
func (d *Draft) Effect(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(d.effects, s) {
		d.effects = append(d.effects, s)
	}
}

// Reboot notes what takes effect at the next start only.
func (d *Draft) Reboot(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(d.reboots, s) {
		d.reboots = append(d.reboots, s)
	}
}

// with adds to a sorted list without repeating.
func with(list []string, s string) []string {
	i, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, s)
}

// secretPath reports whether the content of a file is nobody's business but the host's.
func secretPath(name string) bool {
	for _, p := range []string{"/etc/shadow", "/etc/gshadow", "/etc/pve/priv", "/etc/ssl/private", "/etc/krb5.keytab", "/etc/postfix/sasl_passwd"} {
		if name == p || strings.HasPrefix(name, p+"/") || name == p+"-" {
			return true
		}
	}
	return strings.HasPrefix(name, "/etc/ssh/ssh_host_") && !strings.HasSuffix(name, ".pub")
}
