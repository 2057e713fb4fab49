package change

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// ground is a directory that answers for its units when a test wants a running machine.
type ground struct{ *host.Tree }

func (g ground) Run(c host.Command) (host.Output, error) {
	if c.Name == "unit-state" {
		return host.Output{Stdout: []byte("ActiveState=active\n")}, nil
	}
	return g.Tree.Run(c)
}

// newPlanner plans on a directory with the given files.
func newPlanner(t *testing.T, live bool, files map[string]string) *Planner {
	t.Helper()
	root := hosttest.Write(t, files)
	for _, d := range []string{"etc/ssh", "etc/pve/firewall"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree := hosttest.Open(t, root)
	target := tree.Describe()
	if live {
		target.Kind, target.Live = "local", true
	}
	return &Planner{Machine: ground{tree}, Target: target, Host: Host{Target: "/host", Kind: target.Kind}, Kinds: someKinds(), Tool: "castellan test",
		Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Titles: map[string]string{"TST-01": "One"}}
}

// someKinds are enough kinds to plan with: they write the content of a path, and do actions.
func someKinds() map[string]Kind {
	write := KindFunc(func(d *Draft, c Change) error {
		if c.Ensure == "absent" {
			return d.Remove(c.Path)
		}
		if c.Content == "cannot" {
			if err := d.Write(c.Path, []byte("half"), 0o644); err != nil {
				return err
			}
			d.Effect("half")
			d.Reboot("half")
			return Cannot("it is broken")
		}
		if c.Content != "" {
			if err := d.Write(c.Path, []byte(c.Content), 0o644); err != nil {
				return err
			}
		}
		if c.Mode == "0600" {
			mode := uint32(0o600)
			return d.Attr(c.Path, &mode, c.Owner)
		}
		return nil
	})
	return map[string]Kind{"file": write, "line": write,
		"sshd": KindFunc(func(d *Draft, c Change) error {
			if err := d.Write("/etc/ssh/sshd_config", []byte(c.Set["text"]), 0o600); err != nil {
				return err
			}
			d.Effect("open sessions stay")
			if err := d.Do(Action{Verb: Check, Object: "sshd -t"}); err != nil {
				return err
			}
			return d.Do(Action{Verb: Reload, Object: "ssh.service"})
		}),
		"pvefirewall": KindFunc(func(d *Draft, c Change) error {
			for name, text := range c.Set {
				if err := d.Write("/etc/pve/firewall/"+name, []byte(text), 0o640); err != nil {
					return err
				}
			}
			return nil
		}),
		"unit": KindFunc(func(d *Draft, c Change) error {
			if c.State == "restarted" {
				return d.Do(Action{Verb: Restart, Object: c.Unit})
			}
			return d.Do(Action{Verb: Stop, Object: c.Unit})
		}),
		"package": KindFunc(func(d *Draft, c Change) error {
			return d.Do(Action{Verb: Install, Object: strings.Join(c.Install, " ")})
		}),
	}
}

func (p *Planner) mustPlan(t *testing.T, changes ...Change) *Plan {
	t.Helper()
	plan, err := p.Plan(changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func shape(p *Plan) []string {
	var out []string
	for _, w := range p.Windows {
		out = append(out, "["+w.Name+" "+w.Lockout+"]")
		for _, s := range w.Steps {
			out = append(out, strings.TrimSpace(s.What+" "+s.Path)+" "+strings.Join(s.Controls, ","))
		}
	}
	return out
}

func reasons(p *Plan) map[string]string {
	out := map[string]string{}
	for _, o := range p.Omitted {
		out[o.Control] = o.Code + ": " + o.Reason
	}
	return out
}

// everyWindow asks for something in each window.
func everyWindow() []Change {
	return []Change{
		{Control: "FW-02", Kind: "pvefirewall", Lockout: "cluster", Set: map[string]string{"cluster.fw": "[OPTIONS]\n", "a.fw": "x\n"}},
		{Control: "SSH-02", Kind: "sshd", Lockout: "session", Set: map[string]string{"text": "PasswordAuthentication no\n"}},
		{Control: "SYS-01", Kind: "file", Lockout: "none", Path: "/etc/motd", Content: "hello\n"},
		{Control: "SSH-30", Kind: "file", Lockout: "none", Path: "/etc/ssh/banner", Content: "hello\n"},
		{Control: "UPD-01", Kind: "package", Lockout: "none", Install: []string{"debsums"}},
	}
}

func TestWindowsAndOrder(t *testing.T) {
	p := newPlanner(t, true, nil)
	want := []string{
		"[packages none]", "install the packages debsums UPD-01",
		"[host none]", "create /etc/motd SYS-01",
		"[ssh session]", "create /etc/ssh/banner SSH-30", "create /etc/ssh/sshd_config SSH-02", "check with sshd -t SSH-02", "reload ssh.service SSH-02",
		"[firewall cluster]", "create /etc/pve/firewall/a.fw FW-02", "create /etc/pve/firewall/cluster.fw FW-02",
	}
	if diff := cmp.Diff(want, shape(p.mustPlan(t, everyWindow()...))); diff != "" {
		t.Error(diff)
	}
	// The order in which controls come does not change what is done.
	changes := everyWindow()
	slices.Reverse(changes)
	if diff := cmp.Diff(want, shape(p.mustPlan(t, changes...))); diff != "" {
		t.Error(diff)
	}
	// A directory has one window and no actions.
	dir := newPlanner(t, false, nil)
	want = []string{"[all cluster]", "create /etc/motd SYS-01", "create /etc/pve/firewall/a.fw FW-02", "create /etc/ssh/banner SSH-30",
		"create /etc/ssh/sshd_config SSH-02", "create /etc/pve/firewall/cluster.fw FW-02"}
	if diff := cmp.Diff(want, shape(dir.mustPlan(t, everyWindow()...))); diff != "" {
		t.Error(diff)
	}
}

func TestSSHAndFirewallAreNeverInOneWindow(t *testing.T) {
	ssh := []Change{{Kind: "sshd"}, {Kind: "unit", Unit: "ssh.service"}, {Kind: "unit", Unit: "ssh.socket"}, {Kind: "unit", Unit: "sshd"}, {Kind: "file", Path: "/etc/ssh/x"}}
	firewall := []Change{{Kind: "pvefirewall"}, {Kind: "unit", Unit: "pve-firewall.service"}, {Kind: "unit", Unit: "nftables"},
		{Kind: "file", Path: "/etc/pve/firewall/100.fw"}, {Kind: "line", Path: "/etc/pve/nodes/a/host.fw"}, {Kind: "file", Path: "/etc/nftables.conf"}}
	for _, c := range ssh {
		if windowOf(c) != "ssh" {
			t.Errorf("%+v is in %s", c, windowOf(c))
		}
	}
	for _, c := range firewall {
		if windowOf(c) != "firewall" {
			t.Errorf("%+v is in %s", c, windowOf(c))
		}
	}
}

func TestFailingChangeLeavesNothing(t *testing.T) {
	p := newPlanner(t, true, map[string]string{"etc/a": "a\n"})
	plan := p.mustPlan(t,
		Change{Control: "TST-01", Kind: "file", Path: "/etc/b", Content: "b\n"},
		Change{Control: "TST-01", Kind: "file", Path: "/etc/a", Content: "cannot"},
		Change{Control: "TST-02", Kind: "file", Path: "/etc/c", Content: "c\n"},
		Change{Control: "TST-03", Kind: "nonsense"},
		Change{Control: "TST-04", Kind: "file", Path: "/etc/d", Content: "\xff"},
	)
	if diff := cmp.Diff([]string{"[host none]", "create /etc/c TST-02"}, shape(plan)); diff != "" {
		t.Error(diff)
	}
	if w := plan.Windows[0]; len(w.Effects)+len(w.Reboots) != 0 {
		t.Errorf("a change that cannot be made leaves %v %v", w.Effects, w.Reboots)
	}
	want := map[string]string{"TST-01": "cannot: it is broken", "TST-03": `cannot: castellan does not know changes of the kind "nonsense"`,
		"TST-04": "cannot: it would write bytes that are no text (UTF-8)"}
	if diff := cmp.Diff(want, reasons(plan)); diff != "" {
		t.Error(diff)
	}
	if plan.Omitted[0].Title != "One" {
		t.Errorf("the title is %q", plan.Omitted[0].Title)
	}
	for _, c := range plan.Changes {
		if c.Control != "TST-02" {
			t.Errorf("the plan holds a change of %s", c.Control)
		}
	}
}

func TestPackagesFirst(t *testing.T) {
	p := newPlanner(t, true, nil)
	install := Change{Control: "BAN-01", Kind: "package", Install: []string{"fail2ban"}}
	configure := Change{Control: "BAN-01", Kind: "file", Path: "/etc/jail", Content: "x\n"}
	plan := p.mustPlan(t, install, configure, Change{Control: "BAN-02", Kind: "file", Path: "/etc/x", Content: "x\n", After: []string{"BAN-01"}})
	if diff := cmp.Diff([]string{"[packages none]", "install the packages fail2ban BAN-01"}, shape(plan)); diff != "" {
		t.Error(diff)
	}
	got := reasons(plan)
	if !strings.HasPrefix(got["BAN-01"], "later: its packages are installed first") || !strings.HasPrefix(got["BAN-02"], "needs: BAN-01 comes first") {
		t.Errorf("%v", got)
	}
	if _, _, err := p.Redraft(plan); err != nil {
		t.Errorf("the plan cannot be drafted again: %v", err)
	}
}

func TestWhatComesFirst(t *testing.T) {
	p := newPlanner(t, true, nil)
	plan := p.mustPlan(t,
		Change{Control: "BAN-07", Kind: "file", Path: "/etc/a", Content: "cannot"},
		Change{Control: "BAN-01", Kind: "file", Path: "/etc/b", Content: "b\n", After: []string{"BAN-07"}},
		Change{Control: "BAN-09", Kind: "file", Path: "/etc/c", Content: "c\n", After: []string{"BAN-01"}})
	if len(plan.Windows) != 0 {
		t.Errorf("%v", shape(plan))
	}
	if got := reasons(plan)["BAN-01"]; got != "needs: BAN-07 comes first, and is left out: it is broken" {
		t.Error(got)
	}
	if got := reasons(plan)["BAN-09"]; !strings.HasPrefix(got, "needs: BAN-01 comes first") {
		t.Error(got)
	}
}

func TestConflicts(t *testing.T) {
	one := func(kind string, set map[string]string) Change { return Change{Kind: kind, Set: set} }
	for name, c := range map[string]struct {
		a, b Change
		want string // empty for no conflict
	}{
		"same value":      {one("sysctl", map[string]string{"a.b": "1"}), one("sysctl", map[string]string{"a/b": "1"}), ""},
		"other value":     {one("sysctl", map[string]string{"a.b": "1"}), one("sysctl", map[string]string{"a/b": "2"}), "sysctl a.b"},
		"folded":          {one("sshd", map[string]string{"X11Forwarding": "no"}), one("sshd", map[string]string{"x11forwarding": "yes"}), "x11forwarding"},
		"other match":     {Change{Kind: "sshd", Match: "User a", Set: map[string]string{"A": "1"}}, one("sshd", map[string]string{"A": "2"}), ""},
		"file":            {Change{Kind: "file", Path: "/etc/a", Content: "a"}, Change{Kind: "file", Path: "/etc/a", Content: "b"}, "/etc/a"},
		"file and mode":   {Change{Kind: "file", Path: "/etc/a", Content: "a"}, Change{Kind: "file", Path: "/etc/a", Mode: "0600"}, ""},
		"modes":           {Change{Kind: "file", Path: "/etc/a", Mode: "0640"}, Change{Kind: "file", Path: "/etc/a", Mode: "600"}, "the mode of /etc/a"},
		"removed":         {Change{Kind: "file", Path: "/etc/a", Ensure: "absent"}, Change{Kind: "file", Path: "/etc/a", Content: "b"}, "/etc/a"},
		"unit":            {Change{Kind: "unit", Unit: "a.service", State: "masked"}, Change{Kind: "unit", Unit: "a", State: "enabled"}, "the unit a"},
		"unit twice":      {Change{Kind: "unit", Unit: "a.service", State: "masked"}, Change{Kind: "unit", Unit: "a", State: "disabled"}, ""},
		"package":         {Change{Kind: "package", Install: []string{"a", "b"}}, Change{Kind: "package", Purge: []string{"b"}}, "the package b"},
		"kernel":          {one("grub", map[string]string{"cmdline_add": "lockdown=integrity"}), one("grub", map[string]string{"cmdline_remove": "lockdown="}), "the kernel argument lockdown"},
		"kernel value":    {one("grub", map[string]string{"cmdline_add": "pti=off"}), one("grub", map[string]string{"cmdline_remove": "pti=off"}), "pti"},
		"kernel other":    {one("grub", map[string]string{"cmdline_add": "pti=on"}), one("grub", map[string]string{"cmdline_remove": "pti=off"}), ""},
		"kernel replaced": {one("grub", map[string]string{"cmdline_remove": "pti=", "cmdline_add": "pti=on"}), one("grub", map[string]string{"cmdline_add": "pti=on"}), ""},
		"pam args":        {one("pam", map[string]string{"pam_unix.so": "+a"}), one("pam", map[string]string{"pam_unix.so": "-b"}), ""},
		"pam one arg":     {one("pam", map[string]string{"pam_unix.so": "+a"}), one("pam", map[string]string{"pam_unix.so": "-a"}), "pam_unix.so a"},
		"guests": {Change{Kind: "guest", Each: []string{"100", "101"}, Set: map[string]string{"protection": "1"}},
			Change{Kind: "guest", Each: []string{"101"}, Set: map[string]string{"protection": "0"}}, "guest 101 protection"},
		"other guests": {Change{Kind: "guest", Each: []string{"100"}, Set: map[string]string{"protection": "1"}},
			Change{Kind: "guest", Each: []string{"101"}, Set: map[string]string{"protection": "0"}}, ""},
		"nobody": {Change{Kind: "guest", Each: []string{}, Set: map[string]string{"protection": "1"}},
			Change{Kind: "guest", Each: []string{"101"}, Set: map[string]string{"protection": "0"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.a.Control, c.b.Control = "TST-01", "TST-02"
			left, omitted := withoutConflicts([]Change{c.a, c.b, {Control: "TST-02", Kind: "file", Path: "/etc/z", Content: "z"}})
			if c.want == "" {
				if len(omitted) > 0 || len(left) != 3 {
					t.Errorf("%+v", omitted)
				}
				return
			}
			if len(omitted) != 1 || omitted[0].Control != "TST-02" || !strings.HasPrefix(omitted[0].Reason, "TST-01 wants another value") || !strings.Contains(omitted[0].Reason, c.want) {
				t.Errorf("%+v", omitted)
			}
			if len(left) != 1 {
				t.Errorf("of the control that is refused, %v is left", left)
			}
		})
	}
}

func TestControlsThatShareAStep(t *testing.T) {
	p := newPlanner(t, true, map[string]string{"etc/held": "x\n"})
	same := Change{Kind: "sshd", Set: map[string]string{"text": "a\n"}}
	first, second := same, same
	first.Control, second.Control = "SSH-01", "SSH-02"
	plan := p.mustPlan(t, first, second, Change{Control: "TST-09", Kind: "file", Path: "/etc/held", Content: "x\n"})
	for _, s := range plan.Windows[0].Steps {
		if !slices.Equal(s.Controls, []string{"SSH-01", "SSH-02"}) {
			t.Errorf("%s serves %v", s.What, s.Controls)
		}
	}
	if got := reasons(plan); len(got) != 1 || !strings.HasPrefix(got["TST-09"], "nothing: ") {
		t.Errorf("%v", got)
	}
	if _, _, err := p.Redraft(plan); err != nil {
		t.Error(err)
	}
}

func TestDigest(t *testing.T) {
	p := newPlanner(t, true, map[string]string{"etc/motd": "\xff latin\n"})
	a, err := json.Marshal(p.mustPlan(t, everyWindow()...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p.mustPlan(t, everyWindow()...))
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Error("two plans for one host are not the same")
	}
	read, err := ReadPlan(a)
	if err != nil {
		t.Fatalf("a plan whose file held other bytes than UTF-8: %v", err)
	}
	if _, _, err := p.Redraft(read); err != nil {
		t.Error(err)
	}
	p.Now = p.Now.Add(time.Hour)
	if later := p.mustPlan(t, everyWindow()...); later.Digest != read.Digest {
		t.Error("the digest depends on when the plan was made")
	}
}

func TestReadPlanRefuses(t *testing.T) {
	p := newPlanner(t, true, nil)
	b, err := json.Marshal(p.mustPlan(t, everyWindow()...))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, now, want string }{
		"a word":      {`"/etc/motd"`, `"/etc/motd2"`, "was edited after it was made"},
		"a control":   {`"SYS-01"`, `"SYS-02"`, "was edited"},
		"a step":      {`{"controls":["SYS-01"]`, `{"trial":"x","controls":["SYS-01"]`, "was edited"},
		"a key":       {`"tool":`, `"tools":`, "this is no plan of castellan"},
		"the version": {`"version":"1"`, `"version":"7"`, "make the plan again"},
		"an end":      {`"digest"`, "", "this is no plan"},
	} {
		edited := strings.Replace(string(b), c.old, c.now, 1)
		if edited == string(b) {
			t.Fatalf("%s: nothing to edit", name)
		}
		if _, err := ReadPlan([]byte(edited)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadPlan(append(b, []byte(" {}")...)); err == nil {
		t.Error("a plan with something after it is read")
	}
}

func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(`{"version":"1","digest":"x","windows":[]}`))
	f.Add([]byte("\x00"))
	f.Add([]byte(`{"changes":[{"set":{"a":"\ufffd"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPlan(b)
		if err == nil && p.Digest == "" {
			t.Error("a plan without a digest is read")
		}
	})
}

func TestStale(t *testing.T) {
	change := []Change{{Control: "TST-01", Kind: "file", Path: "/etc/a", Content: "new\n"}, {Control: "TST-02", Kind: "file", Path: "/etc/b", Content: "new\n"}}
	for name, c := range map[string]struct {
		edit func(t *testing.T, m host.Machine)
		want string
	}{
		"edited":  {func(t *testing.T, m host.Machine) { put(t, m, "/etc/a", "other\n") }, "/etc/a was changed"},
		"done":    {func(t *testing.T, m host.Machine) { put(t, m, "/etc/a", "new\n") }, "/etc/a needs no change any more"},
		"removed": {func(t *testing.T, m host.Machine) { gone(t, m, "/etc/a") }, "/etc/a was changed"},
		"blocked": {func(t *testing.T, m host.Machine) {
			gone(t, m, "/etc/a")
			if err := m.Put("/etc/a", host.Node{Type: host.Dir, Mode: 0o755, UID: -1, GID: -1}); err != nil {
				t.Fatal(err)
			}
		}, "TST-01 can no longer be made: /etc/a is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlanner(t, true, map[string]string{"etc/a": "old\n"})
			plan := p.mustPlan(t, change...)
			c.edit(t, p.Machine)
			_, _, err := p.Redraft(plan)
			var stale *StaleError
			if !errors.As(err, &stale) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	p := newPlanner(t, true, map[string]string{"etc/a": "old\n"})
	plan := p.mustPlan(t, change...)
	d, place, err := p.Redraft(plan)
	if err != nil || place != 0 || string(d.After["/etc/a"].Content) != "new\n" || string(d.Before["/etc/a"].Content) != "old\n" {
		t.Fatalf("%+v %d %v", d, place, err)
	}
	for name, n := range d.After {
		n.UID, n.GID = -1, -1 // whoever runs the test may not be root
		if err := p.Machine.Put(name, n); err != nil {
			t.Fatal(err)
		}
	}
	if d, place, err := p.Redraft(plan); d != nil || place != 1 || err != nil {
		t.Errorf("a plan that is done: %v %d %v", d, place, err)
	}
}

func put(t *testing.T, m host.Machine, name, content string) {
	t.Helper()
	if err := m.Put(name, host.Node{Type: host.Regular, Content: []byte(content), Mode: 0o644, UID: -1, GID: -1}); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, m host.Machine, name string) {
	t.Helper()
	if err := m.Put(name, host.Node{Type: host.Absent}); err != nil {
		t.Fatal(err)
	}
}

// TestSecretsStayOut writes to files that hold secrets and looks for them everywhere in the plan.
func TestSecretsStayOut(t *testing.T) {
	const secret = "$y$j9T$verysecret"
	p := newPlanner(t, true, map[string]string{"etc/shadow": "root:" + secret + ":1\n", "etc/pve/priv/token.cfg": "a " + secret + "\n", "etc/mine": secret + "\n",
		"etc/ssh/ssh_host_rsa_key": secret + "\n", "etc/gshadow-": secret + "\n"})
	p.Kinds["mine"] = KindFunc(func(d *Draft, c Change) error {
		if err := d.Secret("/etc/mine"); err != nil {
			return err
		}
		return d.Write("/etc/mine", []byte(secret+"2\n"), 0o600)
	})
	changes := []Change{{Control: "TST-09", Kind: "mine"}}
	for i, name := range []string{"/etc/shadow", "/etc/pve/priv/token.cfg", "/etc/ssh/ssh_host_rsa_key", "/etc/gshadow-"} {
		changes = append(changes, Change{Control: []string{"TST-01", "TST-02", "TST-03", "TST-04"}[i], Kind: "file", Path: name, Content: "x\n"})
	}
	plan := p.mustPlan(t, changes...)
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "verysecret") {
		t.Errorf("the plan holds a secret: %s", b)
	}
	steps := 0
	for _, w := range plan.Windows {
		for _, s := range w.Steps {
			steps++
			if !strings.Contains(s.Diff, "(the content is secret: ") {
				t.Errorf("%s: %q", s.Path, s.Diff)
			}
		}
	}
	if steps != 5 {
		t.Errorf("%d steps", steps)
	}
}

// TestGuardsSeeTheWindow gives each guard the host before and after one window.
func TestGuardsSeeTheWindow(t *testing.T) {
	p := newPlanner(t, true, nil)
	g := &watcher{}
	p.Guards, p.Operators = []Guard{g}, []Operator{{User: "root", Address: "192.0.2.1"}}
	plan := p.mustPlan(t, everyWindow()...)
	want := []string{"packages : -> ", "host /etc/motd: -> hello\n", "ssh /etc/ssh/banner /etc/ssh/sshd_config: hello\n -> hello\n",
		"firewall /etc/pve/firewall/a.fw /etc/pve/firewall/cluster.fw: hello\n -> hello\n"}
	if diff := cmp.Diff(want, g.seen); diff != "" {
		t.Error(diff)
	}
	if v := plan.Windows[0].Verdicts; len(v) != 1 || v[0].Operator != "root@192.0.2.1" || v[0].Admitted {
		t.Errorf("%+v", v)
	}
}

type watcher struct{ seen []string }

func (w *watcher) Judge(c Case) []Verdict {
	before, _ := c.Before.ReadFile("/etc/motd")
	after, _ := c.After.ReadFile("/etc/motd")
	w.seen = append(w.seen, c.Window+" "+strings.Join(c.Paths, " ")+": "+strings.TrimPrefix(string(before), " ")+" -> "+string(after))
	if before == nil {
		w.seen[len(w.seen)-1] = c.Window + " " + strings.Join(c.Paths, " ") + ": -> " + string(after)
	}
	return []Verdict{{Guard: "test", Operator: c.Operators[0].Words(), Reason: "no"}}
}

func TestSameAction(t *testing.T) {
	p := newPlanner(t, true, nil)
	plan := p.mustPlan(t, Change{Control: "TST-01", Kind: "unit", Unit: "rpcbind.service"}, Change{Control: "TST-02", Kind: "unit", Unit: "rpcbind.service"},
		Change{Control: "TST-03", Kind: "unit", Unit: "-x"})
	if diff := cmp.Diff([]string{"[host none]", "stop rpcbind.service TST-01,TST-02"}, shape(plan)); diff != "" {
		t.Error(diff)
	}
	if a := plan.Windows[0].Steps[0].Action; a.Was != "active" {
		t.Errorf("%+v", a)
	}
	if reasons(plan)["TST-03"] == "" {
		t.Error("a unit that begins with a dash is planned")
	}
	// What one change switches off is not started again by another, whichever comes first.
	stop, restart := Change{Control: "TST-01", Kind: "unit", Unit: "spiceproxy.service"}, Change{Control: "TST-02", Kind: "unit", Unit: "spiceproxy", State: "restarted"}
	for _, list := range [][]Change{{stop, restart}, {restart, stop}} {
		if diff := cmp.Diff([]string{"[host none]", "stop spiceproxy.service TST-01"}, shape(p.mustPlan(t, list...))); diff != "" {
			t.Error(diff)
		}
	}
}
