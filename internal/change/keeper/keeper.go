// Package keeper lets systemd hold the deadline of a transaction on the host itself: a timer that takes it back when nobody
// confirms, and a service that does so at the next start. Neither depends on the process, the session or the file system
// path that made the change: both run a copy of castellan that lies beside the record of transactions.
//
// The room writes units and asks systemd whether it will keep them. When something is to be taken back, and how, is the
// engine's matter (change.Engine.Recover).
package keeper

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// Options are what a Systemd works with; all are needed.
type Options struct {
	// Machine is the host.
	Machine host.Machine
	// State is the directory of the record of transactions, absolute. The copy of castellan lies in its bin.
	State string
	// Binary gives the program that takes changes back: the one that runs.
	Binary func() ([]byte, error)
	Now    func() time.Time
}

// Systemd is a change.Keeper that writes units.
type Systemd struct{ o Options }

// New returns a keeper for a host with systemd, or an error that says why the host has no such keeper or the state directory
// is of no use. It changes nothing.
func New(o Options) (*Systemd, error) {
	if o.Machine == nil || o.Binary == nil || o.Now == nil {
		return nil, errors.New("the keeper of deadlines needs a machine, a program and a clock")
	}
	if err := usableInUnits(o.State); err != nil {
		return nil, err
	}
	o.State = path.Clean(o.State)
	if err := booted(o.Machine); err != nil {
		return nil, err
	}
	return &Systemd{o}, nil
}

// usableInUnits refuses paths that a unit file cannot name without doubt (systemd.syntax(7), systemd.service(5)).
func usableInUnits(state string) error {
	switch {
	case !strings.HasPrefix(state, "/"):
		return fmt.Errorf("the state directory %q is not an absolute path", state)
	case !utf8.ValidString(state) || strings.ContainsFunc(state, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`"'\$`, r) }):
		return fmt.Errorf("the state directory %q has characters that a unit of systemd cannot name; give --state another path", state)
	}
	return nil
}

// booted reports why a host has no systemd that runs (sd_booted(3)).
func booted(m host.Machine) error {
	f, err := m.Stat("/run/systemd/system")
	if host.NotExist(err) || err == nil && f.Type != host.Dir {
		return errors.New("systemd does not run this host, so nothing would take the change back at the deadline; " +
			"castellan changes hosts that run only with systemd. Of a host that is not running change its directory: castellan plan DIR")
	}
	if err != nil {
		return fmt.Errorf("cannot tell whether systemd runs this host: %w", err)
	}
	return nil
}

// The names of the units.
const (
	revertService  = "castellan-revert.service"
	revertTimer    = "castellan-revert.timer"
	recoverService = "castellan-recover.service"
	unitDir        = "/etc/systemd/system"
	// stamp is where systemd remembers when a persistent timer elapsed last (systemd.timer(5)).
	stamp = "/var/lib/systemd/timers/stamp-" + revertTimer
)

// links are what enables the units at the next start, with what they point to.
func links() map[string]string {
	return map[string]string{
		unitDir + "/multi-user.target.wants/" + recoverService: "../" + recoverService,
		unitDir + "/timers.target.wants/" + revertTimer:        "../" + revertTimer,
	}
}

// late is how much later than the deadline the timer may elapse: deadlines are rounded up to the second.
const late = 2 * time.Second

// Arm implements change.Keeper. When it fails for a transaction that had no deadline yet, nothing is left behind.
func (k *Systemd) Arm(t change.Transaction, deadline time.Time) error {
	left := deadline.Sub(k.o.Now())
	if left <= 0 {
		return fmt.Errorf("cannot hold the deadline %s of %s: it has passed", deadline.UTC().Format(time.RFC3339), t.ID)
	}
	was, err := k.o.Machine.Look(path.Join(unitDir, revertTimer))
	if err != nil {
		return fmt.Errorf("cannot hold the deadline of %s: %w", t.ID, err)
	}
	err = k.arm(t, deadline, left)
	if err != nil && was.Type == host.Absent {
		err = errors.Join(err, k.Disarm(t))
	}
	if err != nil {
		return fmt.Errorf("cannot hold the deadline of %s: %w", t.ID, err)
	}
	return nil
}

func (k *Systemd) arm(t change.Transaction, deadline time.Time, left time.Duration) error {
	program, err := k.install()
	if err != nil {
		return err
	}
	u := units{program: program, state: k.o.State, id: t.ID, deadline: deadline, left: left}
	for _, f := range u.files() {
		n := host.Node{Type: host.Regular, Mode: 0o644, Content: []byte(f.content)}
		if err := k.o.Machine.Put(path.Join(unitDir, f.name), n); err != nil {
			return err
		}
	}
	for link, target := range links() {
		if err := k.link(link, target); err != nil {
			return err
		}
	}
	if err := k.systemctl("keeper-reload", "daemon-reload"); err != nil {
		return err
	}
	// A timer that runs gets its new deadline by restart, in one job.
	if err := k.systemctl("keeper-restart", "restart", revertTimer); err != nil {
		return err
	}
	return k.verify(deadline)
}

// link makes a link and its directory.
func (k *Systemd) link(name, target string) error {
	dir, err := k.o.Machine.Look(path.Dir(name))
	if err != nil {
		return err
	}
	if dir.Type == host.Absent {
		if err := k.o.Machine.Put(path.Dir(name), host.Node{Type: host.Dir, Mode: 0o755}); err != nil {
			return err
		}
	}
	return k.o.Machine.Put(name, host.Node{Type: host.Link, Link: target, Mode: 0o777})
}

// install puts a copy of the program into the state directory, once, and sees whether it runs there.
func (k *Systemd) install() (string, error) {
	content, err := k.o.Binary()
	if err != nil {
		return "", fmt.Errorf("cannot read castellan's own program: %w", err)
	}
	program, digest := change.ProgramCopy(k.o.State, content)
	dir := path.Dir(program)
	if !k.installed(program, digest, int64(len(content))) {
		for _, d := range []string{k.o.State, dir} {
			if err := k.mkdir(d); err != nil {
				return "", err
			}
		}
		if err := k.o.Machine.Put(program, host.Node{Type: host.Regular, Mode: 0o700, Content: content}); err != nil {
			return "", err
		}
	}
	if err := k.runs(program); err != nil {
		return "", err
	}
	return program, k.prune(dir, program)
}

// installed reports whether the copy is there already and whole.
func (k *Systemd) installed(program, digest string, size int64) bool {
	f, err := host.Lstat(k.o.Machine, program)
	if err != nil || f.Type != host.Regular || f.Size != size || f.Mode != 0o700 {
		return false
	}
	out, err := k.o.Machine.Run(host.Command{Name: "keeper-digest", Argv: []string{"sha256sum", "--", program}})
	return err == nil && out.Code == 0 && strings.HasPrefix(string(out.Stdout), digest)
}

// mkdir makes a private directory; the state directory itself may be a link to one.
func (k *Systemd) mkdir(name string) error {
	if f, err := k.o.Machine.Stat(name); err == nil && f.Type == host.Dir {
		return nil
	}
	return k.o.Machine.Put(name, host.Node{Type: host.Dir, Mode: 0o700})
}

// runs sees whether the copy can be executed where it lies.
func (k *Systemd) runs(program string) error {
	out, err := k.o.Machine.Run(host.Command{Name: "keeper-try", Argv: []string{program, "--version"}})
	const instead = "give --state a directory on a file system from which programs may run (not mounted noexec)"
	switch {
	case host.Denied(err):
		return fmt.Errorf("the copy of castellan that would take the change back cannot be run from %s: permission denied; %s", path.Dir(program), instead)
	case err != nil:
		return fmt.Errorf("the copy of castellan that would take the change back does not run: %w; %s", err, instead)
	case out.Code != 0 || !strings.HasPrefix(string(out.Stdout), "castellan "):
		return fmt.Errorf("the copy of castellan that would take the change back, %s, does not run: it ended with %d%s", program, out.Code, tail(out.Stderr))
	}
	return nil
}

// prune removes copies of other versions: the units name this one alone.
func (k *Systemd) prune(dir, keep string) error {
	found, err := k.o.Machine.List(host.Quote(dir) + "/castellan-*")
	if err != nil && !host.NotExist(err) {
		return err
	}
	for _, f := range found {
		if f.Path == keep || f.Type != host.Regular {
			continue
		}
		if err := k.o.Machine.Put(f.Path, host.Node{Type: host.Absent}); err != nil {
			return err
		}
	}
	return nil
}

// Disarm implements change.Keeper. It may be called by the service that the timer started: that one is not stopped.
func (k *Systemd) Disarm(t change.Transaction) error {
	fail := func(err error) error { return fmt.Errorf("cannot forget the deadline of %s: %w", t.ID, err) }
	present := false
	names := []string{stamp}
	for link := range links() {
		names = append(names, link)
	}
	for _, f := range (units{}).files() {
		names = append(names, path.Join(unitDir, f.name))
	}
	for _, name := range names {
		n, err := k.o.Machine.Look(name)
		if err != nil {
			return fail(err)
		}
		present = present || n.Type != host.Absent
	}
	if !present {
		return nil
	}
	// The timer first: when the rest fails, nothing is taken back that was confirmed.
	failed := []error{k.stop()}
	for _, name := range names {
		failed = append(failed, k.o.Machine.Put(name, host.Node{Type: host.Absent}))
	}
	failed = append(failed, k.systemctl("keeper-reload", "daemon-reload"))
	// Nothing runs the copy any more; that this process may do so keeps nobody from removing its name.
	dir := path.Join(k.o.State, "bin")
	failed = append(failed, k.prune(dir, ""))
	if rest, err := k.o.Machine.List(host.Quote(dir) + "/*"); err == nil && len(rest) == 0 {
		failed = append(failed, k.o.Machine.Put(dir, host.Node{Type: host.Absent}))
	}
	if err := errors.Join(failed...); err != nil {
		return fail(err)
	}
	return nil
}

// stop stops the timer; one that is not loaded does not run.
func (k *Systemd) stop() error {
	out, err := k.o.Machine.Run(host.Command{Name: "keeper-stop", Argv: []string{"systemctl", "stop", revertTimer}})
	const notLoaded = 5 // systemctl(1), exit status: as for init scripts of LSB
	if err == nil && out.Code != 0 && out.Code != notLoaded {
		err = fmt.Errorf("systemctl stop %s ended with %d%s", revertTimer, out.Code, tail(out.Stderr))
	}
	return err
}

func (k *Systemd) systemctl(name string, args ...string) error {
	out, err := k.o.Machine.Run(host.Command{Name: name, Argv: append([]string{"systemctl"}, args...), Timeout: time.Minute})
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("systemctl %s ended with %d%s", strings.Join(args, " "), out.Code, tail(out.Stderr))
	}
	return err
}

// verify asks systemd whether the timer runs and when it elapses.
func (k *Systemd) verify(deadline time.Time) error {
	// Times are printed in the zone of the environment, weekday first.
	out, err := k.o.Machine.Run(host.Command{Name: "keeper-verify", Argv: []string{"env", "TZ=UTC", "systemctl", "show",
		"-p", "LoadState,ActiveState,NextElapseUSecRealtime", revertTimer}})
	if err != nil {
		return err
	}
	got := map[string]string{}
	for _, l := range host.Lines(out.Stdout) {
		if name, value, ok := strings.Cut(l, "="); ok {
			got[name] = value
		}
	}
	if out.Code != 0 || got["LoadState"] != "loaded" || got["ActiveState"] != "active" {
		return fmt.Errorf("systemd does not run %s: it is %s and %s%s", revertTimer, or(got["LoadState"], "unknown"), or(got["ActiveState"], "unknown"), tail(out.Stderr))
	}
	next, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", got["NextElapseUSecRealtime"])
	if err != nil {
		return fmt.Errorf("systemd does not tell when %s elapses (%s)", revertTimer, or(got["NextElapseUSecRealtime"], "nothing"))
	}
	if next.After(deadline.Add(late)) {
		return fmt.Errorf("systemd would take the change back at %s only, and the deadline is %s", next.Format(time.RFC3339), deadline.UTC().Format(time.RFC3339))
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// tail is what a program said at last, on one line.
func tail(stderr []byte) string {
	lines := host.Lines(stderr)
	if len(lines) == 0 {
		return ""
	}
	last := strings.ToValidUTF8(lines[len(lines)-1], "?")
	return ": " + strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, last[:min(len(last), 200)])
}
