package change

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// pair are two nodes of a cluster: the rig is pve1, and what lies below etc/pve is the same directory for both. It is the Second
// of the first node.
type pair struct {
	*rig
	state2 string
	boot2  string
	ticks2 uint64
	armed2 map[string]time.Time
	fault2 host.Fault
	// others are the other nodes, cut is set when pve2 does not answer.
	others []string
	cut    bool
}

func newPair(t testing.TB) *pair {
	t.Helper()
	c := &pair{rig: newRig(t, true, clusterSteps)}
	c.second, c.state2 = c, path.Dir(c.state)+"/state2"
	c.reset()
	return c
}

// clusterSteps touches files of the cluster, of one node and of none.
func clusterSteps(d *Draft) error {
	return errors.Join(d.Write("/etc/a.conf", []byte("alpha\nmore\n"), 0o644), d.Write("/etc/pve/firewall/cluster.fw", []byte("[OPTIONS]\nenable: 1\n"), 0o640),
		d.Write("/etc/pve/firewall/fresh/100.fw", []byte("new\n"), 0o640), d.Remove("/etc/pve/jobs.cfg"),
		d.Write("/etc/pve/nodes/pve1/host.fw", []byte("[OPTIONS]\n"), 0o640), d.OnTrial("/etc/pve/firewall/cluster.fw", "soon"))
}

func (c *pair) reset() {
	c.t.Helper()
	c.rig.reset()
	if err := os.RemoveAll(c.state2); err != nil {
		c.t.Fatal(err)
	}
	c.boot2, c.ticks2, c.armed2, c.fault2, c.others, c.cut = "boot-x", 100, map[string]time.Time{}, nil, []string{"pve2"}, false
	c.write("etc/pve/.members", "{}", 0o640)
	c.write("etc/pve/firewall/cluster.fw", "[OPTIONS]\n", 0o640)
	c.write("etc/pve/jobs.cfg", "jobs\n", 0o640)
	c.write("etc/pve/priv/authorized_keys", "keys\n", 0o600)
	c.write("etc/pve/nodes/pve1/host.fw", "", 0o640)
}

func (c *pair) act(name string) error {
	if c.fault == nil {
		return nil
	}
	return c.fault(name, "pve2")
}

func (c *pair) Cluster() (string, []string, error) { return "pve1", c.others, c.act("members") }

func (c *pair) Hold(document []byte) (string, error) {
	if err := c.act("ssh"); err != nil || c.cut {
		return "", errors.Join(err, errors.New("pve2 does not answer"))
	}
	if _, err := c.engine2().Hold(document, Actor{User: "root", From: "192.0.2.1"}); err != nil {
		return "", err
	}
	return "pve2", c.act("ssh answer")
}

func (c *pair) Forget(node string) error {
	if err := c.act("ssh"); err != nil || c.cut || node != "pve2" {
		return errors.Join(err, errors.New("pve2 does not answer"))
	}
	_, err := c.engine2().Recover(Actor{User: "root"}, RecoverOptions{})
	return err
}

// keeper2 is the keeper of pve2.
type keeper2 struct{ c *pair }

func (k keeper2) Arm(t Transaction, deadline time.Time) error {
	if k.c.fault2 != nil {
		if err := k.c.fault2("arm", t.ID); err != nil {
			return err
		}
	}
	k.c.armed2[t.ID] = deadline
	return nil
}

func (k keeper2) Disarm(t Transaction) error {
	if k.c.fault2 != nil {
		if err := k.c.fault2("disarm", t.ID); err != nil {
			return err
		}
	}
	delete(k.c.armed2, t.ID)
	return nil
}

func (c *pair) open2() (*Planner, *Engine) {
	c.t.Helper()
	tree, err := host.OpenBare(c.root)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { tree.Close() })
	ask := func(act, path string) error {
		if c.fault2 == nil {
			return nil
		}
		return c.fault2(act, path)
	}
	tree.SetFault(ask)
	m, h := target{tree, c.rig}, Host{Target: "local", Kind: "local", Hostname: "pve2", MachineID: "def"}
	e, err := NewEngine(EngineOptions{Machine: m, Host: h, Store: host.NewLocal().WithFault(ask), State: c.state2, Keeper: keeper2{c}, Trials: c.trials,
		Now: func() time.Time { return c.now }, Stamp: func() (string, uint64) { return c.boot2, c.ticks2 }})
	if err != nil {
		c.t.Fatal(err)
	}
	desc := tree.Describe()
	desc.Live, desc.Root, desc.Kind = true, true, "local"
	return &Planner{Machine: m, Target: desc, Host: h, Now: c.now, Guards: []Guard{c.rig},
		Kinds: map[string]Kind{"test": KindFunc(func(d *Draft, _ Change) error { return d.Write("/etc/b.conf", nil, 0o600) })}}, e
}

func (c *pair) engine2() *Engine { _, e := c.open2(); return e }

// held is the only transaction of pve2, without a state when there is none.
func (c *pair) held() Transaction {
	c.t.Helper()
	all, damages, err := c.engine2().Transactions()
	if err != nil || len(damages) > 0 || len(all) > 1 {
		c.t.Fatalf("%+v, %+v, %v", all, damages, err)
	}
	if len(all) == 0 {
		return Transaction{}
	}
	return all[0]
}

// shared is what both nodes see, but for what is one node's.
func (c *pair) shared() map[string]string {
	all := c.tree()
	maps.DeleteFunc(all, func(name, _ string) bool {
		return !strings.HasPrefix(name, "/etc/pve/") || strings.HasPrefix(name, "/etc/pve/nodes")
	})
	return all
}

// leases are the files that say that something is open, and what was left of them.
func (c *pair) leases() []string {
	found, err := filepath.Glob(c.root + "/etc/pve/priv/*castellan*")
	hidden, herr := filepath.Glob(c.root + "/etc/pve/priv/.*castellan*")
	if err != nil || herr != nil {
		c.t.Fatal(err, herr)
	}
	return append(found, hidden...)
}

// timer2 lets time pass until the timer of pve2 elapses, and recovers there.
func (c *pair) timer2() []Transaction {
	c.t.Helper()
	c.fault2 = nil
	c.now = c.now.Add(time.Hour)
	out, err := c.engine2().Recover(Actor{User: "root", Session: "deadline"}, RecoverOptions{})
	if err != nil {
		c.t.Fatalf("recover on pve2: %v", err)
	}
	return out
}

func (c *pair) both() (before, after map[string]string) {
	c.reset()
	before = c.shared()
	c.mustApply()
	after = c.shared()
	maps.DeleteFunc(after, func(name, _ string) bool { return strings.Contains(name, leasePrefix) })
	c.reset()
	return before, after
}

func (c *pair) want(want map[string]string, when string) {
	c.t.Helper()
	if got := c.shared(); !maps.Equal(want, got) {
		c.t.Fatalf("%s the cluster has\n%v, want\n%v", when, got, want)
	}
}

func TestSecondForgetsWhatIsConfirmed(t *testing.T) {
	c := newPair(t)
	before, after := c.both()
	began := c.now
	x := c.mustApply()
	h := c.held()
	if x.Second != "pve2" || x.Alone != "" || x.Lease != "/etc/pve/priv/castellan-open-pve1-"+x.ID || len(c.leases()) != 1 {
		t.Fatalf("%+v, %v", x, c.leases())
	}
	if h.State != AwaitingConfirm || h.HeldFor == nil || *h.HeldFor != (HeldFor{"pve1", x.ID}) || h.By != me() ||
		strings.Join(h.Paths, " ") != "/etc/pve/firewall/cluster.fw /etc/pve/firewall/fresh /etc/pve/firewall/fresh/100.fw /etc/pve/jobs.cfg" {
		t.Fatalf("%+v", h)
	}
	if at := c.armed2[h.ID]; !at.Equal(began.Add(tenMinutes+secondGrace)) || at.Sub(x.Deadline) < secondMargin {
		t.Errorf("pve2 waits until %v, pve1 until %v", at, x.Deadline)
	}
	p2, e2 := c.open2()
	if _, err := e2.Confirm("", me(), newConnection()); !isRefused(err, "confirm it on pve1", "ssh root@pve1 castellan confirm "+x.ID) {
		t.Errorf("confirmed where it is held: %v", err)
	}
	if _, err := e2.Apply(p2, c.plan(p2), ApplyOptions{By: me(), Within: tenMinutes}); !isRefused(err, "held for pve1", x.ID) {
		t.Errorf("applied on the node that holds: %v", err)
	}
	if _, err := c.engine().Confirm("", me(), newConnection()); err != nil {
		t.Fatal(err)
	}
	if h := c.held(); h.State != Committed || len(c.armed2) != 0 || len(c.leases()) != 0 {
		t.Errorf("%+v, %v, %v", h, c.armed2, c.leases())
	}
	c.timer2()
	c.want(after, "confirmed:")
	if _, err := e2.Revert("", me(), RevertOptions{}); !isRefused(err, "nothing to take back") {
		t.Errorf("%v", err)
	}
	if _, err := e2.Revert(h.ID, me(), RevertOptions{}); !isRefused(err, "only held here", "castellan revert "+x.ID) {
		t.Errorf("%v", err)
	}
	if x, err := c.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted {
		t.Errorf("%+v, %v", x, err)
	}
	c.want(before, "taken back later:")
	if x, err := e2.Apply(p2, c.plan(p2), ApplyOptions{By: me(), Within: tenMinutes}); err != nil || x.State != AwaitingConfirm {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestSecondTakesBackWhatIsLeft(t *testing.T) {
	c := newPair(t)
	before, _ := c.both()
	x := c.mustApply()
	// Its own restart is no reason: pve1 may be well.
	c.boot2, c.ticks2 = "boot-y", 1
	if out, err := c.engine2().Recover(me(), RecoverOptions{Boot: true}); err != nil || len(out) != 0 {
		t.Errorf("at the start of pve2: %+v, %v", out, err)
	}
	out := c.timer2()
	if len(out) != 1 || out[0].State != Reverted || len(c.leases()) != 0 || len(c.armed2) != 0 {
		t.Errorf("%+v, %v", out, c.leases())
	}
	c.want(before, "pve1 is dead:")
	// It comes back, and somebody wants to confirm all the same.
	if _, err := c.engine().Confirm(x.ID, me(), newConnection()); !isRefused(err, "deadline") {
		t.Errorf("%v", err)
	}
	c.boot = "boot-2"
	if _, err := c.engine().Recover(me(), RecoverOptions{Boot: true}); err != nil || c.only().State != Reverted {
		t.Errorf("pve1 came back: %+v, %v", c.only(), err)
	}
	c.want(before, "pve1 came back:")
	if b, err := os.ReadFile(c.root + "/etc/a.conf"); err != nil || string(b) != "alpha\n" {
		t.Errorf("what is pve1's own: %q, %v", b, err)
	}
}

func TestSecondWithAClockSetBack(t *testing.T) {
	c := newPair(t)
	before, _ := c.both()
	c.mustApply()
	c.boot2, c.ticks2, c.now = "boot-y", 700*ticksPerSecond, c.now.Add(-24*time.Hour)
	if _, err := c.engine2().Recover(me(), RecoverOptions{}); err != nil {
		t.Fatal(err)
	}
	c.want(before, "the clock of the kernel counts:")
}

// TestSecondThatIsCutOff: what the second node is not told of, it must not take back, however late it looks.
func TestSecondThatIsCutOff(t *testing.T) {
	c := newPair(t)
	before, after := c.both()
	c.mustApply()
	c.cut = true
	if x, err := c.engine().Confirm("", me(), newConnection()); err != nil || x.State != Committed || len(c.leases()) != 0 {
		t.Fatalf("%+v, %v", x, err)
	}
	if h := c.held(); h.State != AwaitingConfirm {
		t.Fatalf("%+v", h)
	}
	c.timer2()
	c.want(after, "confirmed without pve2:")
	if h := c.held(); h.State != Committed {
		t.Errorf("%+v", h)
	}
	// The same content once more, after it was taken back, without pve2.
	c.reset()
	x := c.mustApply()
	c.cut = true
	if _, err := c.engine().Revert(x.ID, me(), RevertOptions{}); err != nil {
		t.Fatal(err)
	}
	c.want(before, "taken back:")
	if x, err := c.apply(); err != nil || x.Second != "" || !strings.Contains(x.Alone, "does not answer") || x.Lease != "" {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := c.engine().Confirm("", me(), newConnection()); err != nil {
		t.Fatal(err)
	}
	c.timer2()
	c.want(after, "a later apply of the same content:")
	if h := c.held(); h.State != Committed {
		t.Errorf("%+v", h)
	}
}

func TestSecondTakesBackByHand(t *testing.T) {
	c := newPair(t)
	before, _ := c.both()
	x := c.mustApply()
	if _, err := c.engine2().Revert("", me(), RevertOptions{}); err != nil {
		t.Fatal(err)
	}
	c.want(before, "taken back on pve2:")
	if _, err := c.engine().Confirm("", me(), newConnection()); !isRefused(err, "somebody took it back", "castellan revert "+x.ID) {
		t.Errorf("%v", err)
	}
	if x, err := c.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted {
		t.Errorf("%+v, %v", x, err)
	}
	c.want(before, "and on pve1:")
}

func TestSecondLeavesTheEditsOfOthers(t *testing.T) {
	c := newPair(t)
	c.mustApply()
	c.write("etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 0\n", 0o640)
	c.now = c.now.Add(time.Hour)
	out, err := c.engine2().Recover(me(), RecoverOptions{})
	var left *LeftError
	if !errors.As(err, &left) || len(out) != 1 || out[0].State != Failed || !slices.Equal(out[0].Conflicts, []string{"/etc/pve/firewall/cluster.fw"}) {
		t.Errorf("%+v, %v", out, err)
	}
	if b, _ := os.ReadFile(c.root + "/etc/pve/jobs.cfg"); string(b) != "jobs\n" || len(c.leases()) != 0 {
		t.Errorf("the rest is %q", b)
	}
}

func TestSecondTakesBackATrial(t *testing.T) {
	c := newPair(t)
	before, _ := c.both()
	c.onSleep = func() { c.fault = func(string, string) error { return errKilled } }
	if _, err := c.apply(); err == nil {
		t.Fatal("it was killed")
	}
	c.onSleep = nil
	if b, _ := os.ReadFile(c.root + "/etc/pve/firewall/cluster.fw"); !strings.HasPrefix(string(b), "until ") {
		t.Fatalf("%q", b)
	}
	c.timer2()
	c.want(before, "killed while it was on trial:")
}

func TestNoSecond(t *testing.T) {
	c := newPair(t)
	own := func(d *Draft) error { return d.Write("/etc/pve/nodes/pve1/host.fw", []byte("x\n"), 0o640) }
	for name, tt := range map[string]struct {
		prepare func()
		alone   string
	}{
		"in no cluster":              {func() { c.others = nil }, ""},
		"nothing is shared":          {func() { c.draft = own }, ""},
		"nobody answers":             {func() { c.cut = true }, "pve2 does not answer"},
		"the members are not told":   {func() { c.fault = func(act, _ string) error { return failIf(act == "members", errKilled) } }, "killed"},
		"pve2 has its own to do":     {func() { c.busy2() }, "awaits confirmation"},
		"pve2 sees another file":     {func() { c.fault = c.editAt("ssh") }, "cluster.fw is another one on this node"},
		"a lease cannot be written":  {func() { c.fault = once(leasePrefix) }, "killed"},
		"a node has a strange name":  {func() { c.second = named{c} }, `"-x" is no name of a node`},
		"pve2 has no systemd at all": {func() { c.fault2 = func(act, _ string) error { return failIf(act == "arm", errKilled) } }, "killed"},
	} {
		c.reset()
		c.draft, c.second = clusterSteps, c
		tt.prepare()
		x, err := c.apply()
		c.fault = nil
		if name == "pve2 sees another file" {
			if x == nil || !strings.Contains(x.Alone, tt.alone) {
				t.Errorf("%s: %+v, %v", name, x, err)
			}
			continue
		}
		if err != nil || x.Second != "" || (x.Alone == "") != (tt.alone == "") || !strings.Contains(x.Alone, tt.alone) || x.Lease != "" || len(c.leases()) != 0 {
			t.Errorf("%s: %+v, %v, %v", name, x, c.leases(), err)
			continue
		}
		if x, err = c.engine().Confirm("", me(), newConnection()); err != nil || x.State != Committed {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}

// once fails the first act on a path that has a word in it.
func once(word string) host.Fault {
	done := false
	return func(_, p string) error {
		hit := !done && strings.Contains(p, word)
		done = done || hit
		return failIf(hit, errKilled)
	}
}

// named is a cluster in which this node has no name that can be.
type named struct{ *pair }

func (named) Cluster() (string, []string, error) { return "-x", []string{"pve2"}, nil }

// busy2 gives pve2 a transaction of its own.
func (c *pair) busy2() {
	p, e := c.open2()
	if _, err := e.Apply(p, c.plan(p), ApplyOptions{By: me(), Within: tenMinutes}); err != nil {
		c.t.Fatal(err)
	}
}

// editAt changes a file of the cluster behind everybody's back.
func (c *pair) editAt(act string) host.Fault {
	return func(a, _ string) error {
		if a == act {
			c.write("etc/pve/firewall/cluster.fw", "other\n", 0o640)
		}
		return nil
	}
}

// TestNothingIsConfirmedWithoutQuorum: the lease cannot be removed, so nobody could know.
func TestNothingIsConfirmedWithoutQuorum(t *testing.T) {
	c := newPair(t)
	before, after := c.both()
	c.mustApply()
	c.fault = func(_, p string) error { return failIf(strings.HasPrefix(p, "/etc/pve"), os.ErrPermission) }
	if _, err := c.engine().Confirm("", me(), newConnection()); !isRefused(err, "cannot be told", "quorum") {
		t.Errorf("%v", err)
	}
	c.fault = nil
	if x := c.only(); x.State != AwaitingConfirm {
		t.Errorf("%+v", x)
	}
	if err := os.Rename(c.root+"/etc/pve", c.root+"/etc/gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.engine().Confirm("", me(), newConnection()); !isRefused(err, "pve-cluster") {
		t.Errorf("not mounted: %v", err)
	}
	c.now = c.now.Add(time.Hour)
	if _, err := c.engine2().Recover(me(), RecoverOptions{}); err == nil || !strings.Contains(err.Error(), "pve-cluster") {
		t.Errorf("pve2 took it for ended: %v", err)
	}
	if err := os.Rename(c.root+"/etc/gone", c.root+"/etc/pve"); err != nil {
		t.Fatal(err)
	}
	c.want2(after)
	c.timer2()
	c.want(before, "mounted again:")
}

func (c *pair) want2(want map[string]string) {
	c.t.Helper()
	got := c.shared()
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.Contains(name, leasePrefix) })
	if !maps.Equal(want, got) {
		c.t.Fatalf("%v, want %v", got, want)
	}
}

func TestTimeToConfirmEndsBeforeTheSecond(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := &work{}
	if got := w.confirmBy(now, time.Minute); !got.Equal(now.Add(time.Minute)) {
		t.Error(got)
	}
	w.until = now.Add(time.Hour)
	for within, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 2 * time.Hour: time.Hour - secondMargin} {
		if got := w.confirmBy(now, within).Sub(now); got != want {
			t.Errorf("%v: %v", within, got)
		}
	}
}

func TestClusterWide(t *testing.T) {
	for name, want := range map[string]bool{"/etc/pve/user.cfg": true, "/etc/pve/firewall/cluster.fw": true, "/etc/pve/priv/tfa.cfg": true, "/etc/pve/nodesx": true,
		"/etc/pve": false, "/etc/pve/": false, "/etc/pve/nodes/pve1/host.fw": false, "/etc/pve/local/host.fw": false, "/etc/pvex/a": false, "/etc/hosts": false,
		"/etc/pve/qemu-server/100.conf": false, "/etc/pve/lxc/100.conf": false, leaseName("pve1", "20261121-074900-all"): false} {
		if clusterWide(name) != want {
			t.Error(name)
		}
	}
}

func FuzzReadShare(f *testing.F) {
	c := newPair(f)
	var good []byte
	c.second = catching{c, &good}
	c.mustApply()
	if _, err := readShare(good); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(good), strings.ReplaceAll(string(good), "firewall", "nodes/x"), string(good[:len(good)/2]), "{}", "\x00\xff\r\n", strings.Repeat("[", 1<<20)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum keeps a fuzzer out: the body is tried with the right one, too.
		if body, ok := strings.CutPrefix(string(b), "{\"castellan\""); ok {
			_, rest, _ := strings.Cut(body, "\n")
			b = fmt.Appendf(nil, "{\"castellan\":\"share\",\"version\":1,\"sha256\":%q}\n%s", sum([]byte(rest)), rest)
		}
		doc, err := readShare(b)
		if err != nil {
			return
		}
		for _, s := range doc.Steps {
			if !strings.HasPrefix(s.Path, "/etc/pve/") || strings.Contains(s.Path, "/nodes/") && strings.HasPrefix(s.Path, "/etc/pve/nodes/") || path.Clean(s.Path) != s.Path {
				t.Fatalf("%q is held", s.Path)
			}
			if s.Old.Sum != "" && sum(doc.Blobs[s.Old.Sum]) != s.Old.Sum {
				t.Fatalf("%q has no content", s.Path)
			}
		}
		if doc.Seconds < 1 || doc.Seconds > 27*3600 {
			t.Fatalf("%d seconds", doc.Seconds)
		}
	})
}

// catching keeps the document.
type catching struct {
	*pair
	document *[]byte
}

func (c catching) Hold(b []byte) (string, error) { *c.document = b; return "", errors.New("no") }

// TestShareIsChecked: what comes from another node is believed in nothing.
func TestShareIsChecked(t *testing.T) {
	c := newPair(t)
	var good []byte
	c.second = catching{c, &good}
	c.mustApply()
	for name, edit := range map[string]func(*shareDoc){
		"a path of the node":     func(d *shareDoc) { d.Steps[0].Path = "/etc/pve/nodes/pve1/host.fw" },
		"a path of the host":     func(d *shareDoc) { d.Steps[0].Path = "/etc/shadow" },
		"a way out":              func(d *shareDoc) { d.Steps[0].Path = "/etc/pve/../shadow" },
		"a link":                 func(d *shareDoc) { d.Steps[0].Old = record{Type: "link", Link: "/etc/shadow"} },
		"a file of pmxcfs":       func(d *shareDoc) { d.Steps[0].Path = "/etc/pve/.members" },
		"a lease":                func(d *shareDoc) { d.Steps[0].Path = leaseName("pve1", d.ID) },
		"a line break":           func(d *shareDoc) { d.Steps[0].Path = "/etc/pve/a\nb" },
		"twice":                  func(d *shareDoc) { d.Steps = append(d.Steps, d.Steps[0]) },
		"nothing":                func(d *shareDoc) { d.Steps = nil },
		"no time":                func(d *shareDoc) { d.Seconds = 0 },
		"a long time":            func(d *shareDoc) { d.Seconds = 1 << 40 },
		"a node":                 func(d *shareDoc) { d.Node = "../x" },
		"an id":                  func(d *shareDoc) { d.ID = "../../x" },
		"a window":               func(d *shareDoc) { d.Window = "/" },
		"another content":        func(d *shareDoc) { d.Blobs[slices.Sorted(maps.Keys(d.Blobs))[0]] = []byte("x") },
		"no content":             func(d *shareDoc) { d.Blobs = nil },
		"a content for nothing":  func(d *shareDoc) { d.Blobs[sum([]byte("x"))] = []byte("x") },
		"attributes":             func(d *shareDoc) { d.Steps[0].Old.Xattrs = map[string][]byte{"user.x": nil} },
		"a mode that cannot be":  func(d *shareDoc) { d.Steps[0].New.Mode = 1 << 20 },
		"a size that cannot be":  func(d *shareDoc) { d.Steps[0].New.Size = 2 << 20 },
		"the directory itself":   func(d *shareDoc) { d.Steps[0].Path = "/etc/pve" },
		"somebody else's change": func(d *shareDoc) { d.Steps[0].Path = "/etc/pve/local/host.fw" },
	} {
		doc := shareDoc{}
		if err := unseal("share", good, &doc); err != nil {
			t.Fatal(err)
		}
		edit(&doc)
		b, err := seal("share", doc)
		if err != nil {
			t.Fatal(err)
		}
		var wrong *PlanError
		if _, err := c.engine2().Hold(b, me()); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readShare(make([]byte, maxShare+1)); err == nil {
		t.Error("too long")
	}
	// A link in the place of a directory leads out.
	if err := os.WriteFile(c.root+leaseName("pve1", c.only().ID), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.engine().Revert("", me(), RevertOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(c.root+"/etc/pve/firewall", c.root+"/etc/elsewhere"), os.Symlink("../elsewhere", c.root+"/etc/pve/firewall")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.engine2().Hold(good, me()); !isRefused(err, "is no directory") {
		t.Errorf("a link: %v", err)
	}
	if h := c.held(); h.State != "" || len(c.armed2) != 0 {
		t.Errorf("%+v", h)
	}
}
