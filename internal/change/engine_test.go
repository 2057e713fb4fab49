package change

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// scratchDir is a directory in memory where there is one: thousands of fsyncs of a disk take minutes.
func scratchDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "castellan-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rig is a target with its state directory, a clock, and what can go wrong.
type rig struct {
	t       testing.TB
	root    string
	state   string
	live    bool
	draft   func(d *Draft) error
	now     time.Time
	boot    string
	fault   host.Fault
	running map[string]bool // the units
	ran     []string        // the commands, as far as they change something
	answer  map[string]host.Output
	armed   map[string]time.Time
	arms    []time.Time // all deadlines that were set, in order
	trials  map[string]Trial
	slept   time.Duration
	verdict []Verdict
	onSleep func()
	second  Second
	foreign *foreignLocks // nil: a host without locks
}

// soon is a trial that says in the file until when it holds. It fails when the host is dead.
type soon struct{ dead error }

func (soon) Content(after []byte, now time.Time) ([]byte, error) {
	return fmt.Appendf(nil, "until %d\n%s", now.Add(time.Minute).Unix(), after), nil
}
func (soon) Hold() time.Duration              { return 20 * time.Second }
func (s soon) Alive(host.Reader, Actor) error { return s.dead }

// target is the machine of a rig.
type target struct {
	*host.Tree
	r *rig
}

// Look and Put take whoever runs the test for root, whom a host that runs belongs to.
func (m target) Look(name string) (host.Node, error) {
	n, err := m.Tree.Look(name)
	if n.UID == os.Geteuid() && n.GID == os.Getegid() {
		n.UID, n.GID = 0, 0
	}
	return n, err
}

// Put implements host.Machine. Below /etc/pve owners follow from the path, whatever is asked for.
func (m target) Put(name string, n host.Node) error {
	if n.UID == 0 && (n.GID == 0 || strings.HasPrefix(name, "/etc/pve/")) {
		n.UID, n.GID = os.Geteuid(), os.Getegid()
	}
	return m.Tree.Put(name, n)
}

func (m target) Run(c host.Command) (host.Output, error) {
	words := strings.Join(c.Argv, " ")
	unit := c.Argv[len(c.Argv)-1]
	if c.Name == "unit-state" {
		state := "inactive"
		if m.r.running[unit] {
			state = "active"
		}
		return host.Output{Stdout: []byte("LoadState=loaded\nActiveState=" + state + "\n")}, nil
	}
	if m.r.fault != nil {
		if err := m.r.fault("run", c.Name); err != nil {
			return host.Output{}, err
		}
	}
	if !strings.HasPrefix(c.Name, "candidate-") {
		m.r.ran = append(m.r.ran, words)
	}
	switch c.Name {
	case "change-start", "undo-stop": // the inverse of stop
		m.r.running[unit] = true
	case "change-stop", "undo-start":
		m.r.running[unit] = false
	}
	return m.r.answer[c.Name], nil
}

// Arm and Disarm make a rig the Keeper of its host.
func (r *rig) Arm(t Transaction, deadline time.Time) error {
	if r.fault != nil {
		if err := r.fault("arm", t.ID); err != nil {
			return err
		}
	}
	r.armed[t.ID] = deadline
	r.arms = append(r.arms, deadline)
	return nil
}

func (r *rig) Disarm(t Transaction) error {
	if r.fault != nil {
		if err := r.fault("disarm", t.ID); err != nil {
			return err
		}
	}
	delete(r.armed, t.ID)
	return nil
}

func newRig(t testing.TB, live bool, draft func(d *Draft) error) *rig {
	t.Helper()
	dir := scratchDir(t)
	r := &rig{t: t, root: dir + "/root", state: dir + "/state", live: live, draft: draft, trials: map[string]Trial{"soon": soon{}}}
	r.reset()
	return r
}

// reset gives the rig a new target and an empty record.
func (r *rig) reset() {
	r.t.Helper()
	for _, d := range []string{r.root, r.state} {
		if err := os.RemoveAll(d); err != nil {
			r.t.Fatal(err)
		}
	}
	r.now, r.boot, r.fault = time.Date(2026, 11, 21, 7, 49, 0, 0, time.UTC), "boot-1", nil
	r.running, r.armed, r.ran = map[string]bool{"old.service": true}, map[string]time.Time{}, nil
	r.resetLocks()
	old := r.now.Add(-time.Hour)
	r.write("etc/a.conf", "alpha\n", 0o644)
	r.write("etc/b.conf", "beta\n", 0o600)
	r.write("etc/c.conf", "gamma\n", 0o664)
	r.write("etc/sub/keep", "kept\n", 0o640)
	r.write("proc/sys/kernel/knob", "0\n", 0o644)
	for _, err := range []error{os.Mkdir(r.root+"/run", 0o755), os.Symlink("a.conf", r.root+"/etc/link"), os.Mkdir(r.root+"/etc/wide", 0o700), os.Chmod(r.root+"/etc/wide", 0o777)} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/a.conf", "etc/b.conf", "etc/c.conf"} {
		if err := os.Chtimes(r.root+"/"+name, old, old); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) write(name, content string, mode fs.FileMode) {
	r.t.Helper()
	full := filepath.Join(r.root, name)
	for _, err := range []error{os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), mode), os.Chmod(full, mode)} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// manySteps touches a path of every sort.
func manySteps(d *Draft) error {
	narrow, private := uint32(0o755), uint32(0o600)
	errs := []error{
		d.Write("/etc/a.conf", []byte("alpha\nmore\n"), 0o644), d.Remove("/etc/b.conf"), d.Attr("/etc/c.conf", &private, ""),
		d.Write("/etc/sub/new.conf", []byte("new\n"), 0o640), d.Write("/etc/fresh/deep/x.conf", []byte("x\n"), 0o600),
		d.Symlink("/etc/link", "c.conf"), d.Symlink("/etc/second", "sub/new.conf"), d.Attr("/etc/wide", &narrow, ""),
		d.Sysctl("kernel.knob", "1"),
	}
	if d.Live() {
		errs = append(errs, d.Candidate("/etc/a.conf", "nft -c -f"), d.Candidate("/etc/sub/new.conf", "nft -c -f"), d.OnTrial("/etc/sub/new.conf", "soon"), d.Do(Action{Verb: Check, Object: "sshd -t"}), d.Do(Action{Verb: DaemonReload}), d.Do(Action{Verb: Refresh, Object: "newaliases"}),
			d.Do(Action{Verb: Start, Object: "new.service"}), d.Do(Action{Verb: Restart, Object: "old.service"}))
	}
	return errors.Join(errs...)
}

// fewSteps touches a few.
func fewSteps(d *Draft) error {
	errs := []error{d.Write("/etc/a.conf", []byte("alpha\nmore\n"), 0o644), d.Remove("/etc/b.conf"), d.Write("/etc/fresh/x.conf", []byte("x\n"), 0o600)}
	if d.Live() {
		errs = append(errs, d.Do(Action{Verb: Restart, Object: "old.service"}))
	}
	return errors.Join(errs...)
}

func (r *rig) host() Host {
	if r.live {
		return Host{Target: "local", Kind: "local", Hostname: "pve1", MachineID: "abc"}
	}
	return Host{Target: r.root, Kind: "dir"}
}

// open gives a planner and an engine as a new process has them; f is asked before every act of either.
func (r *rig) open() (*Planner, *Engine) {
	r.t.Helper()
	tree, err := host.OpenBare(r.root)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { tree.Close() })
	ask := func(act, path string) error {
		if r.fault == nil {
			return nil
		}
		return r.fault(act, path)
	}
	tree.SetFault(ask)
	m := target{tree, r}
	desc := tree.Describe()
	desc.Live, desc.Root = r.live, true
	o := EngineOptions{Machine: m, Host: r.host(), Store: host.NewLocal().WithFault(ask), State: r.state, Now: func() time.Time { return r.now },
		Stamp: func() (string, uint64) { return r.boot, 4711 }, Trials: r.trials,
		Sleep: func(d time.Duration) {
			r.slept += d
			r.now = r.now.Add(d)
			r.noLock("a pause")
			if r.onSleep != nil {
				r.onSleep()
			}
		}}
	if r.live {
		desc.Kind, o.Keeper, o.Second = "local", r, r.second
	}
	if r.foreign != nil {
		o.Machine = lockingTarget{m}
	}
	e, err := NewEngine(o)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &Planner{Machine: m, Target: desc, Host: r.host(), Now: r.now, Guards: []Guard{r},
		Kinds: map[string]Kind{"test": KindFunc(func(d *Draft, _ Change) error { return r.draft(d) })}}
	return p, e
}

// Judge makes a rig the guard of its planner.
func (r *rig) Judge(Case) []Verdict { return r.verdict }

func (r *rig) plan(p *Planner) *Plan {
	r.t.Helper()
	plan, err := p.Plan([]Change{{Control: "TST-01", Kind: "test"}}, nil)
	if err != nil || len(plan.Windows) != 1 || len(plan.Omitted) > 0 {
		r.t.Fatalf("%+v, %v", plan, err)
	}
	return plan
}

const tenMinutes = 10 * time.Minute

func me() Actor { return Actor{User: "root", Login: "alice", From: "192.0.2.7"} }

func (r *rig) apply() (*Transaction, error) {
	r.t.Helper()
	p, e := r.open()
	return e.Apply(p, r.plan(p), ApplyOptions{By: me(), Within: tenMinutes})
}

func (r *rig) mustApply() *Transaction {
	r.t.Helper()
	x, err := r.apply()
	if err != nil || x.State != AwaitingConfirm {
		r.t.Fatalf("%+v, %v", x, err)
	}
	return x
}

func (r *rig) engine() *Engine {
	_, e := r.open()
	return e
}

// tree describes everything below the root: types, modes, contents, links, and the times of files that are old.
func (r *rig) tree() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(r.root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(name)
		if err != nil {
			return err
		}
		s := fmt.Sprintf("%v ", st.Mode())
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			link, _ := os.Readlink(name)
			s = "-> " + link
		case st.Mode().IsRegular():
			b, _ := os.ReadFile(name)
			s += fmt.Sprintf("%q", b)
			if age := time.Since(st.ModTime()); age < -time.Hour || age > time.Hour {
				s += st.ModTime().UTC().String()
			}
		}
		out[strings.TrimPrefix(name, r.root)] = s
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	// An empty private directory of castellan's that could not be removed harms nobody; a file in it would show.
	delete(out, scratch)
	return out
}

// trees gives the target before and after the plan.
func (r *rig) trees() (before, after map[string]string) {
	r.t.Helper()
	r.reset()
	before = r.tree()
	r.mustApply()
	after = r.tree()
	r.reset()
	return before, after
}

func (r *rig) is(want map[string]string, when string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.tree()); diff != "" {
		r.t.Fatalf("%s the tree is (-want +got):\n%s", when, diff)
	}
}

func newConnection() ConfirmOptions {
	return ConfirmOptions{Connection{New: true, Why: "opened later"}}
}

func TestApplyConfirmRevert(t *testing.T) {
	for _, live := range []bool{false, true} {
		t.Run(fmt.Sprintf("live=%v", live), func(t *testing.T) {
			r := newRig(t, live, manySteps)
			before, after := r.trees()
			p, e := r.open()
			plan := r.plan(p)
			x := r.mustApply()
			r.is(after, "after the apply")
			if x.ID != "20261121-074900-"+x.Window || x.Place != 1 || x.Windows != 1 || live != !x.Deadline.IsZero() || len(x.Paths) != 11 {
				t.Errorf("%+v", x)
			}
			if live && !r.armed[x.ID].Equal(r.now.Add(tenMinutes)) {
				t.Errorf("armed %v", r.armed)
			}
			if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !isRefused(err, "awaits confirmation", "castellan revert "+x.ID) {
				t.Errorf("a second apply: %v", err)
			}
			x, err := r.engine().Confirm("", me(), newConnection())
			if err != nil || x.State != Committed || len(r.armed) != 0 {
				t.Fatalf("%+v, %v, %v", x, err, r.armed)
			}
			if _, err := r.engine().Confirm(x.ID, me(), newConnection()); !isRefused(err, "confirmed already") {
				t.Errorf("a second confirm: %v", err)
			}
			if x, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); x != nil || !errors.Is(err, ErrNothingLeft) {
				t.Errorf("a plan that was made already: %v, %v", x, err)
			}
			r.ran = nil
			x, err = r.engine().Revert(x.ID, me(), RevertOptions{Reason: "I say so"})
			if err != nil || x.State != Reverted || len(x.Conflicts) > 0 {
				t.Fatalf("%+v, %v", x, err)
			}
			r.is(before, "after the revert")
			if want := []string{"systemctl daemon-reload", "newaliases", "systemctl stop -- new.service", "systemctl try-restart -- old.service"}; live && !cmp.Equal(r.ran, want) {
				t.Errorf("ran %q, want %q", r.ran, want)
			}
			if _, err := r.engine().Revert(x.ID, me(), RevertOptions{}); !isRefused(err, "taken back already") {
				t.Errorf("a second revert: %v", err)
			}
		})
	}
}

func isRefused(err error, words ...string) bool {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return false
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			return false
		}
	}
	return true
}

// A restart leaves nothing by which the host could tell that it was made: a confirmed window with one is done all the same,
// and only for the plan that was confirmed.
func TestRestartIsDoneOnce(t *testing.T) {
	r := newRig(t, true, func(d *Draft) error {
		if err := d.Write("/etc/a.conf", []byte("new\n"), 0o644); err != nil {
			return err
		}
		return d.Do(Action{Verb: Restart, Object: "old.service"})
	})
	p, e := r.open()
	plan := r.plan(p)
	o := ApplyOptions{By: me(), Within: tenMinutes}
	x, err := e.Apply(p, plan, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Confirmed(plan); len(got) != 0 || err != nil {
		t.Errorf("confirmed before it was: %v, %v", got, err)
	}
	if _, err := e.Confirm(x.ID, me(), newConnection()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(p, plan, o); !errors.Is(err, ErrNothingLeft) {
		t.Errorf("a plan that was confirmed: %v", err)
	}
	if _, err := e.Revert(x.ID, me(), RevertOptions{}); err != nil {
		t.Fatal(err)
	}
	if x, err := e.Apply(p, plan, o); err != nil || x.State != AwaitingConfirm {
		t.Errorf("a plan that was taken back: %+v, %v", x, err)
	}
}

// A generator may take minutes. Should apply die meanwhile, the host looks after what it left as soon as the time to confirm is
// over, and not minutes later.
func TestPatienceIsNotTheHosts(t *testing.T) {
	r := newRig(t, true, func(d *Draft) error {
		if err := d.Write("/etc/a.conf", []byte("new\n"), 0o644); err != nil {
			return err
		}
		return d.Do(Action{Verb: Refresh, Object: "update-grub"})
	})
	began := r.now
	r.mustApply()
	if len(r.arms) != 2 || !r.arms[0].Equal(began.Add(tenMinutes)) {
		t.Errorf("armed for %v, want %v first", r.arms, began.Add(tenMinutes))
	}
}

func TestConfirmRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		with func(r *rig)
		o    ConfirmOptions
		want string
	}{
		"old connection": {func(*rig) {}, ConfirmOptions{Connection{Why: "this session began before it"}}, "this session began before it"},
		"no connection":  {func(*rig) {}, ConfirmOptions{}, "nothing shows"},
		"too late":       {func(r *rig) { r.now = r.now.Add(tenMinutes + time.Second) }, newConnection(), "deadline"},
		"restarted":      {func(r *rig) { r.boot = "boot-2" }, newConnection(), "started again"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, fewSteps)
			before := r.tree()
			r.mustApply()
			c.with(r)
			if _, err := r.engine().Confirm("", me(), c.o); !isRefused(err, c.want) {
				t.Fatal(err)
			}
			r.now = r.now.Add(tenMinutes)
			got, err := r.engine().Recover(Actor{User: "timer"}, RecoverOptions{Boot: true})
			if err != nil || len(got) != 1 || got[0].State != Reverted {
				t.Fatalf("%+v, %v", got, err)
			}
			r.is(before, "after the recovery")
			if _, err := r.engine().Confirm("", me(), newConnection()); !isRefused(err, "no transaction") {
				t.Error(err)
			}
		})
	}
}

func TestRecoverLeavesWhatWaits(t *testing.T) {
	for _, live := range []bool{false, true} {
		r := newRig(t, live, fewSteps)
		_, after := r.trees()
		r.mustApply()
		if got, err := r.engine().Recover(me(), RecoverOptions{}); len(got) != 0 || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
		r.is(after, "before the deadline")
		if live {
			continue
		}
		r.boot, r.now = "boot-2", r.now.AddDate(1, 0, 0)
		if got, err := r.engine().Recover(me(), RecoverOptions{Boot: true}); len(got) != 0 || err != nil {
			t.Errorf("a directory waits for ever: %+v, %v", got, err)
		}
	}
}

func TestApplyRefusals(t *testing.T) {
	r := newRig(t, true, fewSteps)
	before := r.tree()
	p, e := r.open()
	plan := r.plan(p)
	for _, c := range []struct {
		within time.Duration
		want   string
	}{{0, "deadline of zero"}, {-time.Second, "deadline of zero"}, {29 * time.Second, "between 30s and 24h"}, {25 * time.Hour, "between"}} {
		if _, err := e.Apply(p, plan, ApplyOptions{Within: c.within}); !isRefused(err, c.want) {
			t.Errorf("%v: %v", c.within, err)
		}
	}
	p.Target.Root = false
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !isRefused(err, "needs root") {
		t.Error(err)
	}
	p.Target.Root = true
	other := *plan
	other.Host.MachineID = "def"
	var wrong *PlanError
	if _, err := e.Apply(p, &other, ApplyOptions{Within: tenMinutes}); !errors.As(err, &wrong) {
		t.Error(err)
	}
	r.verdict = []Verdict{{Guard: "sshd", Operator: "alice@192.0.2.7", Reason: "AllowUsers does not name her", Add: "add alice"}}
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !isRefused(err, "sshd: alice@192.0.2.7: AllowUsers", "add alice") {
		t.Error(err)
	}
	r.verdict = nil
	keeper := e.o.Keeper
	e.o.Keeper = nil
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !isRefused(err, "nothing on this host") {
		t.Error(err)
	}
	e.o.Keeper = keeper
	r.write("etc/a.conf", "by hand\n", 0o644)
	var stale *StaleError
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !errors.As(err, &stale) {
		t.Error(err)
	}
	r.write("etc/a.conf", "alpha\n", 0o644)
	release, err := host.Lock(r.state+"/lock", "apply by bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes}); !isRefused(err, "apply by bob", "process") {
		t.Error(err)
	}
	release()
	if err := os.Chtimes(r.root+"/etc/a.conf", r.now.Add(-time.Hour), r.now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.is(before, "after refusals")
	if all, _, err := e.Transactions(); len(all) != 0 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
	r.verdict = []Verdict{{Guard: "sshd", Reason: "no"}}
	x, err := e.Apply(p, plan, ApplyOptions{Within: tenMinutes, Override: true})
	if err != nil || !cmp.Equal(x.Override, []string{"sshd: no"}) {
		t.Errorf("overridden: %+v, %v", x, err)
	}
}

// TestFailures proves that a validator that refuses, and a host that somebody else changes meanwhile, leave the host as before.
func TestFailures(t *testing.T) {
	r := newRig(t, true, manySteps)
	before := r.tree()
	r.answer = map[string]host.Output{"check-sshd--t": {Code: 255, Stderr: []byte("line 3: \x1b[31mBad option\x07\n" + strings.Repeat("x", 500))}}
	x, err := r.apply()
	var failed *StepError
	if !errors.As(err, &failed) || failed.Taken != nil || x.State != Reverted || !strings.Contains(err.Error(), "line 3: [31mBad option") {
		t.Fatalf("%+v, %v", x, err)
	}
	if strings.Contains(err.Error(), strings.Repeat("x", 400)) || len(r.armed) > 0 {
		t.Errorf("%v, armed %v", err, r.armed)
	}
	r.is(before, "after a check that failed")
	if len(r.ran) != 1 {
		t.Errorf("what was not done was undone: %q", r.ran)
	}
	r.reset()
	r.answer = nil
	r.fault = func(act, path string) error {
		if act == "rename" && path == "/etc/a.conf" {
			r.write("etc/c.conf", "by hand\n", 0o644)
		}
		return nil
	}
	x, err = r.apply()
	if x.State != Reverted || err == nil || !strings.Contains(err.Error(), "/etc/c.conf was changed by somebody else") {
		t.Fatalf("%+v, %v", x, err)
	}
	if b, err := os.ReadFile(r.root + "/etc/c.conf"); string(b) != "by hand\n" || err != nil {
		t.Errorf("the edit by hand is gone: %q, %v", b, err)
	}
}

func TestEditsByHand(t *testing.T) {
	r := newRig(t, true, manySteps)
	before, _ := r.trees()
	x := r.mustApply()
	r.write("etc/a.conf", "by hand\n", 0o644)
	hand := r.tree()
	if _, err := r.engine().Revert("", me(), RevertOptions{}); !isRefused(err, "/etc/a.conf is now of another content", "--skip-conflicts") {
		t.Fatal(err)
	}
	r.is(hand, "after the refusal")
	want := func() map[string]string {
		m := map[string]string{}
		for k, v := range before {
			m[k] = v
		}
		m["/etc/a.conf"] = hand["/etc/a.conf"]
		return m
	}()
	got, err := r.engine().Revert(x.ID, me(), RevertOptions{SkipConflicts: true})
	if err != nil || got.State != Reverted || !cmp.Equal(got.Conflicts, []string{"/etc/a.conf"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	r.is(want, "without the conflict")

	r.reset()
	x = r.mustApply()
	r.write("etc/a.conf", "by hand\n", 0o644)
	r.now = r.now.Add(time.Hour)
	all, err := r.engine().Recover(me(), RecoverOptions{})
	var left *LeftError
	if len(all) != 1 || all[0].State != Failed || !errors.As(err, &left) {
		t.Fatalf("%+v, %v", all, err)
	}
	r.is(want, "after the deadline")
	blob := ""
	for _, ev := range all[0].Events {
		if _, at, ok := strings.Cut(ev.Text, "held before is "); ok {
			blob = at
		}
	}
	if b, err := os.ReadFile(blob); string(b) != "alpha\n" || err != nil {
		t.Errorf("the old content lies in %q: %q, %v", blob, b, err)
	}
	// Somebody gives way, and what is left comes back.
	r.write("etc/a.conf", "alpha\nmore\n", 0o644)
	if got, err := r.engine().Revert(x.ID, me(), RevertOptions{}); err != nil || got.State != Reverted || len(got.Conflicts) > 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	r.is(before, "at last")
}

func TestLaterTransactions(t *testing.T) {
	r := newRig(t, false, fewSteps)
	before, _ := r.trees()
	first := r.mustApply()
	if _, err := r.engine().Confirm("", me(), ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	r.draft = func(d *Draft) error { return d.Write("/etc/a.conf", []byte("more still\n"), 0o644) }
	second := r.mustApply()
	if second.ID <= first.ID {
		t.Errorf("%s after %s", second.ID, first.ID)
	}
	if _, err := r.engine().Revert(first.ID, me(), RevertOptions{}); !isRefused(err, second.ID+" is awaiting-confirm") {
		t.Error(err)
	}
	if _, err := r.engine().Confirm("", me(), ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.engine().Revert(first.ID, me(), RevertOptions{}); !isRefused(err, "/etc/a.conf", "castellan revert "+second.ID+" first") {
		t.Error(err)
	}
	for _, id := range []string{"", first.ID} {
		if x, err := r.engine().Revert(id, me(), RevertOptions{}); err != nil || x.State != Reverted {
			t.Fatal(x, err)
		}
	}
	r.is(before, "after both")
}

func TestDirectoryInUseStays(t *testing.T) {
	r := newRig(t, false, fewSteps)
	r.mustApply()
	r.write("etc/fresh/mine", "mine\n", 0o644)
	x, err := r.engine().Revert("", me(), RevertOptions{})
	if err != nil || x.State != Reverted {
		t.Fatal(x, err)
	}
	if b, err := os.ReadFile(r.root + "/etc/fresh/mine"); string(b) != "mine\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if s := fmt.Sprint(x.Events); !strings.Contains(s, "/etc/fresh was left") {
		t.Error(s)
	}
}

// TestTrial proves that a file is put for good only after its trial, and that what is on trial counts as ours.
func TestTrial(t *testing.T) {
	r := newRig(t, true, manySteps)
	before, after := r.trees()
	var seen string
	r.slept, r.onSleep = 0, func() {
		b, _ := os.ReadFile(r.root + "/etc/sub/new.conf")
		seen = string(b)
	}
	r.mustApply()
	r.is(after, "after the trial")
	if !strings.HasPrefix(seen, "until ") || r.slept != 20*time.Second {
		t.Errorf("on trial was %q, for %v", seen, r.slept)
	}
	r.reset()
	r.trials["soon"] = soon{errors.New("nobody answers")}
	x, err := r.apply()
	if err == nil || x.State != Reverted || !strings.Contains(err.Error(), "nobody answers") {
		t.Fatal(x, err)
	}
	r.is(before, "after a trial that failed")
	r.reset()
	r.trials["soon"] = soon{}
	r.onSleep = func() { r.write("etc/sub/new.conf", "by hand\n", 0o644) }
	if x, err = r.apply(); err == nil || x.State != Failed || !cmp.Equal(x.Conflicts, []string{"/etc/sub/new.conf"}) {
		t.Fatal(x, err)
	}
	if b, _ := os.ReadFile(r.root + "/etc/sub/new.conf"); string(b) != "by hand\n" {
		t.Errorf("an edit during the trial is gone: %q", b)
	}
}
