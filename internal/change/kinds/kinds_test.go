package kinds

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// machine is a directory that answers commands, and claims to run when a test wants the actions.
type machine struct {
	*host.Tree
	run map[string]host.Output // by the name of the command, and by "unit-state UNIT"
}

func (m machine) Run(c host.Command) (host.Output, error) {
	key := c.Name
	if key == "unit-state" {
		key += " " + c.Argv[len(c.Argv)-1]
	}
	if out, ok := m.run[key]; ok {
		return out, nil
	}
	if c.Name == "unit-state" {
		return host.Output{Stdout: []byte("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n")}, nil
	}
	return m.Tree.Run(c)
}

// bench is a host of the given files on which kinds are tried.
type bench struct {
	root    string
	planner *change.Planner
}

func newBench(t *testing.T, live bool, files map[string]string) *bench {
	t.Helper()
	root := hosttest.Write(t, files)
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := hosttest.Open(t, root)
	target := tree.Describe()
	if live {
		target.Kind, target.Live = "local", true
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return &bench{root, &change.Planner{Machine: machine{Tree: tree}, Target: target, Kinds: All(), Now: now}}
}

// plan drafts changes; the control of each is filled in when empty.
func (b *bench) plan(t *testing.T, changes ...change.Change) *change.Plan {
	t.Helper()
	for i := range changes {
		if changes[i].Control == "" {
			changes[i].Control = "TST-01"
		}
	}
	p, err := b.planner.Plan(changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// after gives the content of files once the changes are made ("" for those that are not there), and fails when one of them
// cannot be made.
func (b *bench) after(t *testing.T, paths []string, changes ...change.Change) map[string]string {
	t.Helper()
	d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if err := b.planner.Kinds[c.Kind].Draft(d, c); err != nil {
			t.Fatalf("%s: %v", c.Kind, err)
		}
	}
	out := map[string]string{}
	for _, p := range paths {
		content, _, err := d.Content(p)
		if err != nil {
			t.Fatal(err)
		}
		out[p] = string(content)
	}
	return out
}

func TestSysctl(t *testing.T) {
	b := newBench(t, false, map[string]string{
		"etc/sysctl.d/60-castellan.conf":          "# mine\nkernel.sysrq = 1\n",
		"proc/sys/net/ipv4/conf/all/log_martians": "0\n",
	})
	c := change.Change{Kind: "sysctl", Set: map[string]string{"net.ipv4.conf.all.log_martians": "1"}}
	got := b.after(t, []string{sysctlFile, "/proc/sys/net/ipv4/conf/all/log_martians"}, c)
	if want := "# mine\nkernel.sysrq = 1\nnet.ipv4.conf.all.log_martians = 1\n"; got[sysctlFile] != want {
		t.Errorf("%q, want %q", got[sysctlFile], want)
	}
	if got["/proc/sys/net/ipv4/conf/all/log_martians"] != "1\n" {
		t.Errorf("the recorded knob is %q", got["/proc/sys/net/ipv4/conf/all/log_martians"])
	}
	if p := b.plan(t, c); len(p.Windows) != 1 || len(p.Windows[0].Steps) != 2 {
		t.Errorf("%+v", p.Windows)
	}
}
