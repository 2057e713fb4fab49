package change

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/host"
)

// foreignLocks are the locks of a host that runs, taken by castellan and by others.
type foreignLocks struct {
	mu    sync.Mutex
	since map[string]time.Time
	// own are those that the engine of now holds. It has to hold them while it puts, and at no other time.
	own map[string]bool
	// refuse is what every try answers when it is set.
	refuse error
}

// take takes a lock for somebody else.
func (f *foreignLocks) take(name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, held := f.since[name]; held {
		return false
	}
	if f.since == nil {
		f.since = map[string]time.Time{}
	}
	f.since[name] = now
	return true
}

func (f *foreignLocks) drop(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, held := f.since[name]
	delete(f.since, name)
	return held
}

func (f *foreignLocks) held(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, held := f.since[name]
	return held
}

// expired drops a directory that is older than pmxcfs lets it become, because somebody asked; a try after that gets the lock.
func (f *foreignLocks) expired(l host.SharedLock, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since, held := f.since[l.Path]; held && l.Kind == host.LockDir && now.Sub(since) > 120*time.Second {
		delete(f.since, l.Path)
	}
}

// newLockedRig is a rig on a host that runs and has locks.
func newLockedRig(t testing.TB, draft func(*Draft) error) *rig {
	t.Helper()
	r := newRig(t, true, draft)
	r.foreign = &foreignLocks{}
	r.reset()
	return r
}

// resetLocks frees every lock, and writes files that have one.
func (r *rig) resetLocks() {
	if r.foreign == nil {
		return
	}
	r.foreign = &foreignLocks{}
	r.write(clusterFW, "[OPTIONS]\n", 0o640)
	r.write("etc/shadow", "root:*:20000::::::\n", 0o600)
}

// lockedSteps touches files that have a lock of every kind, one of them on trial.
func lockedSteps(d *Draft) error {
	return errors.Join(d.Write(clusterFW, []byte("[OPTIONS]\nenable: 1\n"), 0o640), d.OnTrial(clusterFW, "soon"), d.Candidate(clusterFW, "nft -c -f"),
		d.Write("/etc/pve/nodes/pve1/qemu-server/100.conf", []byte("protection: 1\n"), 0o640), d.Write("/etc/shadow", []byte("root:!:20000::::::\n"), 0o600),
		d.Do(Action{Verb: Restart, Object: "old.service"}))
}

// fewLockedSteps touches a file that has a lock and one that has none.
func fewLockedSteps(d *Draft) error {
	return errors.Join(d.Write("/etc/a.conf", []byte("alpha\nmore\n"), 0o644), d.Write(clusterFW, []byte("[OPTIONS]\nenable: 1\n"), 0o640))
}

// rigs are a directory, a host that runs, and one that has locks.
func rigs(t *testing.T, draft, locked func(*Draft) error) []*rig {
	t.Helper()
	return []*rig{newRig(t, false, draft), newRig(t, true, draft), newLockedRig(t, locked)}
}

// noLock proves that the engine keeps nobody out.
func (r *rig) noLock(during string) {
	if r.foreign != nil && len(r.foreign.own) > 0 && r.fault == nil {
		r.t.Errorf("%s while the lock %v is held", during, slices.Collect(maps.Keys(r.foreign.own)))
	}
}

// lockingTarget is the machine of a rig that runs, with locks.
type lockingTarget struct{ target }

// TryLock implements host.Locker.
func (m lockingTarget) TryLock(l host.SharedLock) (func() error, error) {
	f := m.r.foreign
	if m.r.fault != nil {
		if err := m.r.fault("lock", l.Path); err != nil {
			return nil, &host.Error{Op: "lock", Path: l.Path, Err: err}
		}
	}
	if f.refuse != nil {
		return nil, &host.Error{Op: "lock", Path: l.Path, Err: f.refuse}
	}
	if !f.take(l.Path, m.r.now) {
		f.expired(l, m.r.now)
		return nil, &host.LockedError{Path: l.Path}
	}
	f.own = map[string]bool{l.Path: true}
	return func() error {
		delete(f.own, l.Path)
		if m.r.fault != nil {
			if err := m.r.fault("unlock", l.Path); err != nil {
				return &host.Error{Op: "unlock", Path: l.Path, Err: err}
			}
		}
		if !f.drop(l.Path) {
			return &host.Error{Op: "unlock", Path: l.Path, Err: unix.ENOENT}
		}
		return nil
	}, nil
}

// Run proves that no lock is held while a command runs.
func (m lockingTarget) Run(c host.Command) (host.Output, error) {
	m.r.noLock(c.Name)
	return m.target.Run(c)
}

// Put proves that a lock is held, unless somebody else has it.
func (m lockingTarget) Put(name string, n host.Node) error {
	if l, ok := lockOf(name); ok && m.r.fault == nil && m.r.foreign.refuse == nil && !m.r.foreign.own[l.Path] {
		if m.r.foreign.take(l.Path, m.r.now) {
			m.r.foreign.drop(l.Path)
			m.r.t.Errorf("%s is put without its lock", name)
		}
	}
	return m.target.Put(name, n)
}

func TestLockOf(t *testing.T) {
	const flock, record, none = "flock ", "record ", ""
	for name, want := range map[string]string{
		"/etc/pve/user.cfg":                           pveLocks + "file-user_cfg",
		"/etc/pve/datacenter.cfg":                     pveLocks + "file-datacenter_cfg",
		"/etc/pve/storage.cfg":                        pveLocks + "file-storage_cfg",
		"/etc/pve/corosync.conf":                      pveLocks + "file-corosync_conf",
		"/etc/pve/priv/tfa.cfg":                       pveLocks + "file-priv_tfa_cfg",
		"/etc/pve/virtual-guest/cpu-models.conf":      pveLocks + "file-virtual-guest_cpu-models_conf",
		"/etc/pve/ha/resources.cfg":                   pveLocks + "domain-ha",
		"/etc/pve/ha/manager_status":                  none,
		"/etc/pve/sdn/zones.cfg":                      pveLocks + "domain-sdn",
		"/etc/pve/firewall/cluster.fw":                pveLocks + "firewall-cluster",
		"/etc/pve/firewall/100.fw":                    pveLocks + "firewall-vm-100",
		"/etc/pve/firewall/mine.fw":                   none,
		"/etc/pve/firewall/.fw":                       none,
		"/etc/pve/firewall":                           none,
		"/etc/pve/firewall/.cluster.fw.castellan-new": none,
		"/etc/pve/sdn/firewall/lan.fw":                pveLocks + "firewall-vnet-lan",
		"/etc/pve/sdn/firewall/.fw":                   none,
		"/etc/pve/nodes/pve1/host.fw":                 pveLocks + "firewall-host-pve1",
		"/etc/pve/nodes/host.fw":                      none,
		"/etc/pve/nodes/pve1/priv/host.fw":            none,
		"/etc/pve/nodes/pve1/qemu-server/100.conf":    flock + "/var/lock/qemu-server/lock-100.conf",
		"/etc/pve/nodes/pve1/lxc/200.conf":            flock + "/run/lock/lxc/pve-config-200.lock",
		"/etc/pve/nodes/pve1/lxc/x.conf":              none,
		"/etc/pve/nodes/pve1/openvz/1.conf":           none,
		"/etc/pve/nodes/pve1/config":                  none,
		"/etc/passwd":                                 record + "/etc/.pwd.lock",
		"/etc/shadow":                                 record + "/etc/.pwd.lock",
		"/etc/ssh/sshd_config":                        none,
		"/etc/pve":                                    none,
		"/srv/etc/pve/user.cfg":                       none,
	} {
		l, ok := lockOf(name)
		got := map[host.LockKind]string{host.LockFlock: flock, host.LockRecord: record}[l.Kind] + l.Path
		if got != want || ok != (want != none) {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
		}
	}
}

const (
	clusterFW   = "/etc/pve/firewall/cluster.fw"
	clusterHeld = pveLocks + "firewall-cluster"
)

// during lets somebody hold the lock of cluster.fw until castellan has asked for it so often, and do something then.
func (r *rig) during(asked int, do func()) {
	r.t.Helper()
	if !r.foreign.take(clusterHeld, r.now) {
		r.t.Fatal("the lock is not free")
	}
	r.slept = 0
	r.onSleep = func() {
		if asked--; asked == 0 {
			do()
			r.foreign.drop(clusterHeld)
		}
	}
}

func (r *rig) content(name string) string {
	b, err := os.ReadFile(filepath.Join(r.root, name))
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
	return string(b)
}

const changedByPVE = "[OPTIONS]\npolicy_in: DROP\n"

// TestApplyWaits: an apply waits for whoever holds the lock, and does not replace what he made.
func TestApplyWaits(t *testing.T) {
	newOne := func() (*rig, map[string]string) {
		r := newLockedRig(t, fewLockedSteps)
		return r, r.tree()
	}
	t.Run("who changes nothing", func(t *testing.T) {
		r, _ := newOne()
		r.during(3, func() {})
		r.mustApply()
		if r.slept != 3*time.Second || !strings.Contains(r.content(clusterFW), "enable") {
			t.Errorf("after %s", r.slept)
		}
	})
	t.Run("who changes the file", func(t *testing.T) {
		r, want := newOne()
		r.during(3, func() { r.write(clusterFW, changedByPVE, 0o640) })
		x, err := r.apply()
		if err == nil || !strings.Contains(err.Error(), "was changed by somebody else meanwhile; everything was taken back") || x.State != Reverted {
			t.Errorf("%+v, %v", x, err)
		}
		if got := r.content(clusterFW); got != changedByPVE {
			t.Errorf("his change is lost: %q", got)
		}
		r.write(clusterFW, "[OPTIONS]\n", 0o640)
		r.is(want, "but for his change")
	})
	t.Run("who does not end", func(t *testing.T) {
		r, want := newOne()
		r.during(1000, func() {})
		x, err := r.apply()
		for _, words := range []string{clusterHeld + " is locked by another process, which is changing " + clusterFW, "Proxmox VE or another task", "within 10s", "apply the plan again"} {
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%v, want %q in it", err, words)
			}
		}
		if x.State != Reverted || r.slept != foreignWait {
			t.Errorf("%s after %s", x.State, r.slept)
		}
		r.is(want, "taken back")
	})
	t.Run("who died", func(t *testing.T) {
		r, _ := newOne()
		r.foreign.take(clusterHeld, r.now.Add(-3*time.Minute))
		r.mustApply()
		if r.slept != foreignPause {
			t.Errorf("after %s", r.slept)
		}
	})
	for _, refuse := range []error{unix.EACCES, unix.EPERM, unix.EROFS} {
		t.Run("nobody: "+refuse.Error(), func(t *testing.T) {
			r, _ := newOne()
			r.foreign.refuse = refuse // the Put says so, if it cannot be written
			r.mustApply()
		})
	}
	t.Run("a lock that fails", func(t *testing.T) {
		r, want := newOne()
		r.foreign.refuse = unix.ENOSPC
		if x, err := r.apply(); !errors.Is(err, unix.ENOSPC) || x.State != Reverted {
			t.Errorf("%+v, %v", x, err)
		}
		r.is(want, "taken back")
	})
}

// TestTrialWithoutLock: others may write while a file is on trial, and it is not put for good over what they made.
func TestTrialWithoutLock(t *testing.T) {
	r := newLockedRig(t, func(d *Draft) error {
		return errors.Join(d.Write(clusterFW, []byte("[OPTIONS]\nenable: 1\n"), 0o640), d.OnTrial(clusterFW, "soon"))
	})
	r.onSleep = func() {
		if !r.foreign.take(clusterHeld, r.now) {
			t.Error("the lock is held during the trial")
		}
		r.write(clusterFW, changedByPVE, 0o640)
		r.foreign.drop(clusterHeld)
		r.onSleep = nil
	}
	if _, err := r.apply(); err == nil || !strings.Contains(err.Error(), "was changed by somebody else meanwhile") {
		t.Errorf("%v", err)
	}
	if got := r.content(clusterFW); got != changedByPVE {
		t.Errorf("his change is lost: %q", got)
	}
}

// TestRevertWaits: taking back waits for whoever holds the lock, but not for ever, and does not replace what he made.
func TestRevertWaits(t *testing.T) {
	newOne := func() (*rig, map[string]string) {
		r := newLockedRig(t, fewLockedSteps)
		before := r.tree()
		r.mustApply()
		return r, before
	}
	story := func(r *rig) string {
		var all []string
		for _, e := range r.only().Events {
			all = append(all, e.Text)
		}
		return strings.Join(all, "\n")
	}
	t.Run("who changes nothing", func(t *testing.T) {
		r, before := newOne()
		r.during(3, func() {})
		if x, err := r.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted || r.slept != 3*time.Second {
			t.Errorf("%+v, %v after %s", x, err, r.slept)
		}
		r.is(before, "taken back")
	})
	t.Run("who does not end", func(t *testing.T) {
		r, before := newOne()
		r.during(1000, func() {})
		if x, err := r.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted || r.slept != foreignWait {
			t.Errorf("%+v, %v after %s", x, err, r.slept)
		}
		r.is(before, "taken back without the lock")
		if got := story(r); !strings.Contains(got, clusterFW+" is put back all the same: "+clusterHeld+" is locked by another process") {
			t.Errorf("the story is\n%s", got)
		}
	})
	t.Run("who changes the file, at the deadline", func(t *testing.T) {
		r, _ := newOne()
		r.now = r.now.Add(time.Hour)
		r.during(3, func() { r.write(clusterFW, changedByPVE, 0o640) })
		_, err := r.engine().Recover(me(), RecoverOptions{})
		if x := r.only(); err == nil || x.State != Failed || !slices.Equal(x.Conflicts, []string{clusterFW}) {
			t.Errorf("%+v, %v", x, err)
		}
		if r.content(clusterFW) != changedByPVE || r.content("etc/a.conf") != "alpha\n" || !strings.Contains(story(r), clusterFW+" was left alone") {
			t.Errorf("the story is\n%s", story(r))
		}
	})
	t.Run("who changes the file, by hand", func(t *testing.T) {
		r, _ := newOne()
		r.during(3, func() { r.write(clusterFW, changedByPVE, 0o640) })
		if _, err := r.engine().Revert("", me(), RevertOptions{}); err == nil || !strings.Contains(err.Error(), "somebody else changed "+clusterFW+" meanwhile") {
			t.Errorf("%v", err)
		}
		if _, err := r.engine().Revert("", me(), RevertOptions{}); !isRefused(err, clusterFW+" is now of another content", "--skip-conflicts") {
			t.Errorf("%v", err)
		}
		if x, err := r.engine().Revert("", me(), RevertOptions{SkipConflicts: true}); err != nil || x.State != Reverted || r.content(clusterFW) != changedByPVE {
			t.Errorf("%+v, %v, %q", x, err, r.content(clusterFW))
		}
	})
	t.Run("who puts back the file himself", func(t *testing.T) {
		r, before := newOne()
		r.during(3, func() { r.write(clusterFW, "[OPTIONS]\n", 0o640) })
		if x, err := r.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted {
			t.Errorf("%+v, %v", x, err)
		}
		r.is(before, "taken back")
	})
}

// TestRevertWaitsOnce: many locks that nobody gives back do not add up.
func TestRevertWaitsOnce(t *testing.T) {
	r := newLockedRig(t, func(d *Draft) error {
		var errs []error
		for i := range 20 {
			errs = append(errs, d.Write(fmt.Sprintf("/etc/pve/firewall/%d.fw", 100+i), []byte("[RULES]\n"), 0o640))
		}
		return errors.Join(errs...)
	})
	before := r.tree()
	r.mustApply()
	for i := range 20 {
		r.foreign.take(fmt.Sprintf("%sfirewall-vm-%d", pveLocks, 100+i), r.now)
	}
	r.slept = 0
	if x, err := r.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted || r.slept != foreignWait {
		t.Errorf("%+v, %v after %s", x, err, r.slept)
	}
	r.is(before, "taken back")
}

// TestKilledWithLock: a process that was killed while it held a lock does not keep the host from being taken back, and the lock is
// somebody else's to take two minutes later.
func TestKilledWithLock(t *testing.T) {
	r := newLockedRig(t, fewLockedSteps)
	before := r.tree()
	held := false
	r.fault = func(act, path string) error {
		held = held || act == "rename" && path == clusterFW
		return failIf(held, errKilled)
	}
	_, _ = r.apply()
	r.fault, r.slept, r.foreign.own = nil, 0, nil
	if !held || len(r.foreign.since) != 1 {
		t.Fatalf("it was not killed with the lock: %v", r.foreign.since)
	}
	if _, err := r.engine().Recover(me(), RecoverOptions{}); err != nil || r.slept > deadlineWait {
		t.Errorf("%v after %s", err, r.slept)
	}
	r.is(before, "taken back")
	r.now = r.now.Add(3 * time.Minute)
	r.mustApply()
	if len(r.foreign.since) != 0 {
		t.Errorf("left behind: %v", r.foreign.since)
	}
}

// TestNoLostUpdate lets somebody add lines to a file, under its lock, while it is hardened and taken back: none of them is lost.
func TestNoLostUpdate(t *testing.T) {
	for round := range 40 {
		r := newLockedRig(t, fewLockedSteps)
		p, e := r.open()
		plan := r.plan(p)
		r.onSleep = func() { // he holds the lock three times, so nobody waits for too long
			for r.foreign.held(clusterHeld) {
				time.Sleep(50 * time.Microsecond)
			}
		}
		var all sync.WaitGroup
		lines, began := 0, r.now
		all.Go(func() {
			for lines < 3 {
				if !r.foreign.take(clusterHeld, began) {
					time.Sleep(50 * time.Microsecond)
					continue
				}
				lines++
				old := r.content(clusterFW)
				time.Sleep(time.Duration(round*10) * time.Microsecond)
				r.write(clusterFW+".tmp", fmt.Sprintf("%s# line %d\n", old, lines), 0o640)
				if err := os.Rename(r.root+clusterFW+".tmp", r.root+clusterFW); err != nil {
					r.t.Error(err)
				}
				r.foreign.drop(clusterHeld)
				time.Sleep(200 * time.Microsecond)
			}
		})
		_, applied := e.Apply(p, plan, ApplyOptions{By: me(), Within: tenMinutes})
		_, taken := e.Revert("", me(), RevertOptions{SkipConflicts: true})
		all.Wait()
		for i := range lines {
			if line := fmt.Sprintf("# line %d\n", i+1); !strings.Contains(r.content(clusterFW), line) {
				t.Fatalf("round %d: %q is lost (apply: %v, revert: %v):\n%s", round, line, applied, taken, r.content(clusterFW))
			}
		}
	}
}

// TestUnlockFails: a lock that cannot be given back is told, and the change stands.
func TestUnlockFails(t *testing.T) {
	r := newLockedRig(t, fewLockedSteps)
	r.fault = func(act, _ string) error { return failIf(act == "unlock", unix.EIO) }
	x := r.mustApply()
	if n := slices.IndexFunc(x.Events, func(e Event) bool { return strings.Contains(e.Text, "cannot unlock "+clusterHeld) }); n < 0 {
		t.Errorf("%+v", x.Events)
	}
	if _, err := r.engine().Confirm("", me(), newConnection()); err != nil {
		t.Error(err)
	}
}

// slowGuard is a guard that takes so long that somebody changes a file meanwhile.
type slowGuard struct{ change func() }

func (g slowGuard) Judge(Case) []Verdict {
	g.change()
	return nil
}

// TestChangedWhileJudged: what somebody changes while an apply judges is not taken for what was there before.
func TestChangedWhileJudged(t *testing.T) {
	r := newLockedRig(t, fewLockedSteps)
	p, e := r.open()
	plan := r.plan(p)
	p.Guards = append(p.Guards, slowGuard{func() { r.write(clusterFW, changedByPVE, 0o640) }})
	x, err := e.Apply(p, plan, ApplyOptions{By: me(), Within: tenMinutes})
	var stale *StaleError
	if !errors.As(err, &stale) || !slices.Equal(stale.Reasons, []string{clusterFW + " was changed"}) {
		t.Errorf("%+v, %v", x, err)
	}
	if r.content(clusterFW) != changedByPVE || r.content("etc/a.conf") != "alpha\n" {
		t.Errorf("%q", r.content(clusterFW))
	}
}
