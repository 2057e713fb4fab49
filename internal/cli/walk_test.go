package cli

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/kinds"
	"github.com/castellan-project/castellan/internal/expr"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// walkNow is the moment of every walk.
func walkNow() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// outcomes counts how the walks of a catalogue ended.
type outcomes struct {
	mu     sync.Mutex
	counts map[string]int
	// walked are the controls of which a fixture was repaired.
	walked map[string]bool
}

func (o *outcomes) add(id, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[outcome]++
	o.walked[id] = o.walked[id] || outcome != outcomeOmitted
}

// How a walk can end.
const (
	outcomeRepaired = "repaired, judged to pass, taken back"
	outcomeRecorded = "file state proved; the verdict rests on recorded output"
	outcomeOmitted  = "left out for a reason in the table"
)

// TestWalk walks the catalogue: every failing fixture of every control with a remediation is planned, changed, judged to pass, and
// taken back to what it was, byte for byte and mode for mode. Run one group with -run 'TestWalk/SSH-'.
func TestWalk(t *testing.T) {
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	cs, err := controlsOf(catalogueDir, env)
	if err != nil {
		t.Fatal(err)
	}
	done := &outcomes{counts: map[string]int{}, walked: map[string]bool{}}
	t.Run("controls", func(t *testing.T) {
		for _, c := range cs {
			if !repairs(c) {
				continue
			}
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				walkControl(t, walk{env: env, all: cs, control: c, done: done})
			})
		}
	})
	for _, k := range slices.Sorted(maps.Keys(done.counts)) {
		t.Logf("%4d fixtures: %s", done.counts[k], k)
	}
	for _, id := range slices.Sorted(maps.Keys(done.walked)) {
		why, ok := walkNever()[id]
		switch {
		case !done.walked[id] && !ok:
			t.Errorf("%s: no fixture of it was repaired, and walkNever does not say why", id)
		case done.walked[id] && ok:
			t.Errorf("%s is repaired; take it out of walkNever (%s)", id, why)
		}
	}
}

// TestWalkTables finds entries of the tables that nothing uses.
func TestWalkTables(t *testing.T) {
	keys := slices.Concat(slices.Collect(maps.Keys(walkOmissions())), slices.Collect(maps.Keys(walkRecorded())),
		slices.Collect(maps.Keys(walkParams())), slices.Collect(maps.Keys(walkNever())))
	for _, k := range keys {
		if _, err := os.Stat(filepath.Join(catalogueDir, "testdata", k)); err != nil {
			t.Errorf("%s is in a table, and there is no such fixture", k)
		}
	}
}

// walkNever are the controls of which no fixture can be repaired in a copy.
//
// table: control to reason
func walkNever() map[string]string {
	return map[string]string{
		"BOOT-01": "a password is for a person to choose; change/kinds repairs a host that has one",
		"BOOT-02": "the script that is changed is Debian's; change/kinds repairs a host with it",
		"BOOT-10": "packages are not installed into a directory",
		"SSH-28":  "a unit is not restarted in a copy",
	}
}

// repairs reports whether a control has a remediation of any variant.
func repairs(c posture.Control) bool {
	return len(c.Remediation) > 0 || c.Cluster != nil && len(c.Cluster.Remediation) > 0
}

// walk is the walk of one control.
type walk struct {
	env     *expr.Env
	all     []posture.Control
	control posture.Control
	done    *outcomes
}

func walkControl(t *testing.T, w walk) {
	dirs, err := filepath.Glob(filepath.Join(catalogueDir, "testdata", w.control.ID, "fail*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Fatal("a control with a remediation needs a failing fixture")
	}
	w.control = walkable(t, w.all, w.control.ID)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			w.fixture(t, dir)
		})
	}
}

// walkable is a control with the parameters that only an administrator knows.
func walkable(t *testing.T, all []posture.Control, id string) posture.Control {
	t.Helper()
	c, ok := find(all, id)
	if !ok {
		t.Fatalf("there is no control %s", id)
	}
	for _, param := range walkParams()[id] {
		name, value, _ := strings.Cut(param, "=")
		var err error
		if c, err = withParam(c, name, value); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// fixture repairs one failing fixture and takes it back.
func (w walk) fixture(t *testing.T, dir string) {
	name := w.control.ID + "/" + filepath.Base(dir)
	root := filepath.Join(t.TempDir(), "root")
	copyTree(t, dir, root)
	before := treeOf(t, root)
	f := w.judge(t, root)
	if f.Status != posture.Fail {
		t.Fatalf("is %s before anything is changed: %s", f.Status, f.Reason)
	}
	plan := w.plan(t, root)
	if why, ok := omitted(plan, w.control.ID); ok {
		allowed, ok := walkOmissions()[name]
		if !ok && installs(w.control) {
			allowed, ok = leftOut{"packages are not installed into a directory", ""}, true
		}
		if !ok || !strings.Contains(why.Reason, allowed.reason) {
			t.Fatalf("is left out (%s): %s", why.Code, why.Reason)
		}
		w.done.add(w.control.ID, outcomeOmitted)
		return
	}
	if _, ok := walkOmissions()[name]; ok {
		t.Errorf("is in the table of what is left out, and is not left out")
	}
	if len(plan.Windows) == 0 {
		t.Fatalf("nothing is planned; it fails because %s", f.Reason)
	}
	undo := applyPlan(t, root, plan)
	outcome := outcomeRepaired
	after := w.judge(t, root)
	recorded, isRecorded := walkRecorded()[name]
	switch {
	case isRecorded && after.Status == posture.Pass:
		t.Errorf("is in the table of recorded output, and passes: take it out")
	case isRecorded:
		outcome = outcomeRecorded
		recorded.prove(t, root)
	case after.Status != posture.Pass && after.Status != posture.NotApplicable:
		t.Errorf("is %s after the plan was made so: %s%s\n%s", after.Status, after.Reason, evidenceWords(after), diffs(plan))
	}
	if again := w.plan(t, root); len(again.Windows) > 0 {
		t.Errorf("a second plan has something to do:\n%s", diffs(again))
	}
	undo(t)
	if diff := cmp.Diff(before, treeOf(t, root)); diff != "" {
		t.Errorf("taken back it is not what it was: %s", diff)
	}
	w.done.add(w.control.ID, outcome)
}

func (w walk) judge(t *testing.T, root string) posture.Finding {
	t.Helper()
	f, err := judgeFixture(w.env, w.control, root, walkNow())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// plan makes the plan that repairs the control in a directory.
func (w walk) plan(t *testing.T, root string) *change.Plan {
	t.Helper()
	p := planner(t, root)
	facts, err := fixtureFacts(root, walkNow())
	if err != nil {
		t.Fatal(err)
	}
	judged, ids := []posture.Control{w.control}, append([]string{w.control.ID}, posture.Prerequisites()[w.control.ID]...)
	for _, id := range ids[1:] {
		judged = append(judged, walkable(t, w.all, id))
	}
	judge := posture.NewJudge(w.env, judged, nil, nil)
	f := &planFlags{}
	if facts.Target.Kind == posture.KindVMX {
		f.machine = facts.Target.Name
	}
	changes, left, err := f.changesFor(p, judge, facts, judge.Evaluate(facts).Findings, posture.Wanted{Controls: ids})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(changes, left)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// planner makes plans for a directory.
func planner(t *testing.T, root string) *change.Planner {
	t.Helper()
	d, err := host.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	target := d.Describe()
	if target.Now.IsZero() {
		target.Now = walkNow()
	}
	return &change.Planner{Machine: d, Target: target, Host: change.Host{Target: root, Kind: "dir"}, Kinds: kinds.All(), Now: walkNow()}
}

func omitted(p *change.Plan, id string) (change.Omission, bool) {
	for _, o := range p.Omitted {
		if o.Control == id {
			return o, true
		}
	}
	return change.Omission{}, false
}

func diffs(p *change.Plan) string {
	var b strings.Builder
	for _, w := range p.Windows {
		for _, s := range w.Steps {
			fmt.Fprintf(&b, "%s %s\n%s", s.What, s.Path, s.Diff)
		}
	}
	return b.String()
}

// applyPlan makes a plan so with the real engine, and returns what takes it back.
func applyPlan(t *testing.T, root string, plan *change.Plan) func(t *testing.T) {
	t.Helper()
	bare, err := host.OpenBare(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	p := planner(t, root)
	e, err := change.NewEngine(change.EngineOptions{Machine: bare, Host: p.Host, Store: host.NewLocal(), State: t.TempDir(), Now: walkNow})
	if err != nil {
		t.Fatal(err)
	}
	by := change.Actor{User: "walker"}
	// The plan goes through its file, as it does for everybody else.
	file, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = change.ReadPlan(file); err != nil {
		t.Fatal(err)
	}
	made, err := e.Apply(p, plan, change.ApplyOptions{By: by})
	if err != nil {
		t.Fatal(err)
	}
	if made.State != change.AwaitingConfirm {
		t.Fatalf("is %s after apply", made.State)
	}
	return func(t *testing.T) {
		t.Helper()
		back, err := e.Revert(made.ID, by, change.RevertOptions{Reason: "walk"})
		if err != nil {
			t.Fatal(err)
		}
		if back.State != change.Reverted {
			t.Errorf("is %s after revert", back.State)
		}
	}
}

// treeOf lists everything below a directory: type, mode, content or target by path.
func treeOf(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		text := st.Mode().String()
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			text += " -> " + target
		case st.Mode().IsRegular():
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += " " + string(b)
		}
		out[strings.TrimPrefix(name, root)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// copyTree copies a directory with modes and links.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(name, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case st.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			return os.Symlink(target, at)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(at, b, 0o600); err != nil {
			return err
		}
		return os.Chmod(at, st.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// walkParams are values that only an administrator knows, so that controls that need them are walked too.
//
// table: name=value by control
func walkParams() map[string][]string {
	return map[string][]string{
		"VMX-05": {"wanted=true"},
		"WEB-02": {"admin_networks=192.0.2.0/24"},
		"BAN-07": {"ignore=192.0.2.0/24"},
		"WEB-07": {"address=192.168.10.11"},
		"WEB-13": {"gateway=192.0.2.1"},
		"LOG-02": {"server=logs.example.com"},
		"SVC-11": {"servers=192.0.2.123"},
		"IAM-20": {"text=Authorized use only."},
		"FW-01":  {"admin_networks=192.0.2.0/24"},
		"FW-06":  {"admin_networks=192.0.2.0/24"},
		"FW-29":  {"admin_networks=192.0.2.0/24"},
	}
}

// installs reports whether a remediation of a control is about packages, which castellan does not put into a directory.
func installs(c posture.Control) bool {
	list := c.Remediation
	if c.Cluster != nil {
		list = slices.Concat(list, c.Cluster.Remediation)
	}
	return slices.ContainsFunc(list, func(r posture.Remediation) bool { return r.Kind == "package" })
}

// leftOut is why a fixture is left out: what the plan says of it contains reason.
type leftOut struct{ reason, because string }

// walkOmissions are the fixtures that cannot be repaired as copies, with why.
//
// table: fixture to reason
func walkOmissions() map[string]leftOut {
	return map[string]leftOut{
		"ACC-07/fail-absent":         {"accounts.pam.faillock.active", "the order of a PAM stack is for a person to say"},
		"ACC-10/fail-old-hash":       {"set already", "only its owner can set a password anew"},
		"ACC-12/fail-root":           {"root_restricted", "what was built on root's umask cannot be read"},
		"BOOT-17/fail-forced":        {"set already", "who forced the shell open is for a person to find out"},
		"BOOT-17/fail-locked":        {"set already", "a password of root is for a person to choose"},
		"BOOT-01/fail":               {"there is no /etc/castellan/grub-password", "a password is for a person to choose"},
		"BOOT-01/fail-plain":         {"there is no /etc/castellan/grub-password", "a password is for a person to choose"},
		"BOOT-01/fail-packaged":      {"there is no /etc/castellan/grub-password", "a password is for a person to choose"},
		"BOOT-02/fail":               {"there is no /etc/grub.d/10_linux", "Debian's script is not in the copy; change/kinds tests it with one"},
		"BOOT-02/fail-submenu":       {"e.unrestricted", "which words of the administrator's script go is for a person to say"},
		"BOOT-02/fail-recovery":      {"e.unrestricted", "which words of the administrator's script go is for a person to say"},
		"BOOT-10/fail-source":        {"kernel.microcode_source", "a package source is for the administrator to choose"},
		"SYS-37/fail-namespaces":     {"remove that line first", "a line of the administrator's own, which says something else as well"},
		"SYS-38/fail-firewall-blind": {"sysctl.bridge_firewall", "who filters bridges needs the other value"},
		"SYS-40/fail-needed":         {"set already", "a module that is needed is not blocked; the line that blocks it is the administrator's"},
		"SSH-02/fail-exception":      {"remove it there if it is not meant to be an exception", "an exception of the administrator's own"},
		"SSH-28/fail":                {"set already", "a unit is not restarted in a copy"},
		"SVC-09/fail-used":           {"services.spice_guests", "guests use what would be switched off"},
		"SVC-18/fail-vzdump":         {"vzdump_tmpdir", "where vzdump shall unpack is for the administrator to say"},
		"BAN-01/fail-two":            {"size(bans.engines) < 2", "which of two engines stays is for a person to say"},
		"BAN-08/fail-cluster":        {"a person has to do this", "fail2ban cannot share bans"},
		"WEB-10/fail-expired":        {"days_left", "a new certificate needs an authority outside of the host"},
		"FW-05/fail-stopped":         {"service_off", "a unit is not started in a copy"},
		"FW-06/fail":                 {"needs a value", "which of the wide networks go is for the administrator to say"},
		"FW-06/fail-public":          {"needs a value", "which of the wide networks go is for the administrator to say"},
		"FW-18/fail-ipfilter":        {"needs a value", "the addresses of a guest stand in no configuration"},
		"FW-18/fail-nftables":        {"needs a value", "the addresses of a guest stand in no configuration"},
	}
}

// proof is what a repaired copy shows in its files while the verdict rests on recorded output of commands.
type proof struct {
	because string
	// files hold these texts afterwards; "" for a file that is gone.
	files map[string]string
}

func (p proof) prove(t *testing.T, root string) {
	t.Helper()
	for name, text := range p.files {
		b, err := os.ReadFile(filepath.Join(root, path.Clean("/"+name)))
		switch {
		case text == "" && err == nil:
			t.Errorf("%s is still there", name)
		case text != "" && (err != nil || !strings.Contains(string(b), text)):
			t.Errorf("%s does not hold %q: %v\n%s", name, text, err, b)
		}
	}
	if len(p.files) == 0 {
		t.Error("the table proves nothing")
	}
}

// walkRecorded are the fixtures whose verdict rests on recorded output of commands, which no change of files alters.
//
// table: fixture to the state of files that is proved instead
func walkRecorded() map[string]proof {
	return map[string]proof{
		"ACC-05/fail-nopasswd":   {"who has NOPASSWD may have no password", map[string]string{"/etc/sudoers.d/castellan": "Defaults "}},
		"SVC-15/fail-not-loaded": {"the rules in force are recorded output", map[string]string{"/etc/audit/rules.d/50-castellan.rules": "-w /etc/pve -p wa"}},
		"UPD-13/fail-errors":     {"the last run stands in a log", map[string]string{"/etc/apt/apt.conf.d/99castellan": "Unattended-Upgrade::MailReport"}},
		"SYS-40/fail-loaded":     {"a module is not taken out of a kernel that runs", map[string]string{"/etc/modprobe.d/castellan.conf": "blacklist tipc"}},
		"BOOT-09/fail":           {"an argument of the kernel counts from the next start", map[string]string{"/etc/default/grub": "lockdown=integrity"}},
		"BOOT-12/fail":           {"an argument of the kernel counts from the next start", map[string]string{"/etc/default/grub": "intel_iommu=on"}},
		"SVC-11/fail-offset":     {"the clock is off by recorded output", map[string]string{"/etc/chrony/conf.d/castellan.conf": "server 192.0.2.123 iburst"}},
		"SVC-11/fail-stopped":    {"a unit is not started in a copy", map[string]string{"/etc/chrony/conf.d/castellan.conf": "server 192.0.2.123 iburst"}},
	}
}
