package kinds

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// clusterFS is a running node whose /etc/pve refuses what pmxcfs refuses, over a directory: it knows no links, no file above 1 MiB, and
// gives modes and owners by path whatever is asked for. Its refusals were observed on a real one.
type clusterFS struct {
	machine
	refused *[]string
}

func onClusterFS(name string) bool { return name == pveDir || strings.HasPrefix(name, pveDir+"/") }

// as is a node as pmxcfs shows it.
func (m clusterFS) as(name string, n host.Node) host.Node {
	private := strings.HasPrefix(name, pveDir+"/priv")
	n.UID, n.GID = 0, 33
	switch {
	case n.Type == host.Regular && private:
		n.Mode = 0o600
	case n.Type == host.Regular:
		n.Mode = 0o640
	case n.Type == host.Dir && private:
		n.Mode = 0o700
	case n.Type == host.Dir:
		n.Mode = 0o755
	}
	return n
}

func (m clusterFS) Look(name string) (host.Node, error) {
	n, err := m.machine.Look(name)
	if err == nil && onClusterFS(name) && n.Type != host.Absent {
		n = m.as(name, n)
	}
	return n, err
}

func (m clusterFS) Put(name string, n host.Node) error {
	if onClusterFS(name) {
		var errno syscall.Errno
		switch {
		case n.Type == host.Link:
			errno = syscall.ENOSYS
		case len(n.Content) > 1<<20:
			errno = syscall.EFBIG
		case n.Type != host.Absent && len(n.Xattrs) > 0:
			errno = syscall.ENOTSUP
		}
		if errno != 0 {
			*m.refused = append(*m.refused, name)
			return &host.Error{Op: "change", Path: name, Err: errno}
		}
		n.UID, n.GID = -1, -1
	}
	return m.machine.Put(name, n)
}

// Arm and Disarm keep no deadline.
func (clusterFS) Arm(change.Transaction, time.Time) error { return nil }

// Disarm implements change.Keeper.
func (clusterFS) Disarm(change.Transaction) error { return nil }

const quorate = `{"nodename":"pve1","version":4,"cluster":{"name":"c","version":2,"nodes":2,"quorate":1},"nodelist":{}}`

// estateFiles are the files below /etc/pve of the sample estate.
func estateFiles(t testing.TB) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..", "..", "examples", "estate")
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(root, name)
		if !strings.HasPrefix(rel, ".castellan") {
			files[filepath.ToSlash(rel)] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// node1 is a running node of the sample estate with an engine.
func node1(t *testing.T, more map[string]string) (*change.Planner, *change.Engine, clusterFS, *time.Duration) {
	t.Helper()
	files := estateFiles(t)
	files["etc/pve/.members"] = quorate
	files["etc/hostname"] = "pve1\n"
	for name, content := range files { // nftables knows no trial
		files[name] = strings.Replace(content, "nftables: 1\n", "", 1)
	}
	for k, v := range more {
		files[k] = v
	}
	b := newBench(t, true, files)
	m := clusterFS{machine: b.planner.Machine.(machine), refused: new([]string)}
	m.run = map[string]host.Output{"pve-firewall-status": {Stdout: []byte("Status: enabled/running\n")}, "check-pve-firewall-compile": {}}
	b.planner.Machine = m
	b.planner.Host = change.Host{Target: "local", Kind: "local", Hostname: "pve1", MachineID: "abc"}
	slept := new(time.Duration)
	e, err := change.NewEngine(change.EngineOptions{Machine: m, Host: b.planner.Host, Store: host.NewLocal(), State: t.TempDir(), Keeper: m,
		Now: func() time.Time { return b.planner.Now.Add(*slept) }, Sleep: func(d time.Duration) { *slept += d },
		Stamp: func() (string, uint64) { return "boot", 1 }, Trials: Trials()})
	if err != nil {
		t.Fatal(err)
	}
	return b.planner, e, m, slept
}

// pveTree is everything below /etc/pve as pmxcfs shows it, without its times.
func pveTree(t *testing.T, m clusterFS) map[string]string {
	t.Helper()
	out := map[string]string{}
	found, err := m.List(pveDir + "/**")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		n, err := m.Look(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Path] = n.Digest()
	}
	return out
}

func TestChangesOnTheClusterFileSystem(t *testing.T) {
	// The file system has no links; /etc/pve/local of the sample is not needed here.
	off := strings.Replace(estateFiles(t)["etc/pve/firewall/cluster.fw"], "enable: 1", "enable: 0", 1)
	p, e, m, slept := node1(t, map[string]string{"etc/pve/firewall/cluster.fw": off,
		"proc/net/tcp": "  sl  local_address rem_address   st\n   0: 0A0A0A0A:0016 070200C0:D431 01 0:0\n"})
	before := pveTree(t, m)
	changes := []change.Change{
		{Control: "FW-01", Kind: "pvefirewall", Section: "cluster", Set: map[string]string{"enable": "1"}},
		{Control: "FW-17", Kind: "pvefirewall", Section: "guest", Set: map[string]string{"enable": "1", "policy_in": "DROP"}, Each: []string{"100", "101"}},
		{Control: "FW-16", Kind: "guest", Set: map[string]string{"net*.firewall": "1"}, Each: []string{"100", "104", "120"}},
		{Control: "IAM-23", Kind: "pveacl", Section: "dangling"},
		{Control: "NET-07", Kind: "datacenter", Set: map[string]string{"migration.type": "!insecure"}},
	}
	plan, err := p.Plan(changes, nil)
	if err != nil || len(plan.Omitted) > 0 {
		t.Fatalf("%v %+v", err, plan.Omitted)
	}
	var ids []string
	for range plan.Windows {
		txn, err := e.Apply(p, plan, change.ApplyOptions{By: change.Actor{User: "root", From: "192.0.2.7", Session: "ssh"}, Within: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, txn.ID)
		if _, err := e.Confirm(txn.ID, change.Actor{User: "root"}, change.ConfirmOptions{Connection: change.Connection{New: true, Why: "a console"}}); err != nil {
			t.Fatal(err)
		}
	}
	if *slept < 20*time.Second {
		t.Error("the firewall was not tried before it was switched on")
	}
	after := pveTree(t, m)
	for _, name := range []string{clusterFW, pveDir + "/firewall/100.fw", userFile, datacenterFile, pveDir + "/nodes/pve1/qemu-server/100.conf"} {
		if before[name] == after[name] {
			t.Errorf("%s did not change", name)
		}
	}
	for i := len(ids) - 1; i >= 0; i-- {
		if _, err := e.Revert(ids[i], change.Actor{User: "root"}, change.RevertOptions{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(before, pveTree(t, m)); d != "" {
		t.Errorf("taken back it is not what it was: %s", d)
	}
	if len(*m.refused) > 0 {
		t.Errorf("pmxcfs refused %v", *m.refused)
	}
}

// A trial that the operator's connection does not survive leaves the firewall off.
func TestTrialFails(t *testing.T) {
	off := strings.Replace(estateFiles(t)["etc/pve/firewall/cluster.fw"], "enable: 1", "enable: 0", 1)
	p, e, m, _ := node1(t, map[string]string{"etc/pve/firewall/cluster.fw": off, "proc/net/tcp": ""})
	before := pveTree(t, m)
	plan, err := p.Plan([]change.Change{{Control: "FW-01", Kind: "pvefirewall", Section: "cluster", Set: map[string]string{"enable": "1"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	by := change.Actor{User: "root", From: "192.0.2.7", Session: "ssh"}
	if _, err := e.Apply(p, plan, change.ApplyOptions{By: by, Within: 10 * time.Minute}); err == nil || !strings.Contains(err.Error(), "no connection from 192.0.2.7") {
		t.Fatalf("%v", err)
	}
	if d := cmp.Diff(before, pveTree(t, m)); d != "" {
		t.Errorf("%s", d)
	}
}

// What the cluster file system would refuse is refused before anything is written.
func TestRefusedBeforehand(t *testing.T) {
	big := "[OPTIONS]\n\nenable: 0\n\n[RULES]\n\n" + strings.Repeat("# a comment that fills the file\n", (1<<20)/32-2)
	big += strings.Repeat("#", 1<<20-len(big)-1) + "\n"
	for _, tc := range []struct {
		name, want string
		more       map[string]string
		c          change.Change
	}{
		{"too large", "1 MiB", map[string]string{"etc/pve/firewall/cluster.fw": big},
			change.Change{Kind: "pvefirewall", Section: "cluster", Set: map[string]string{"policy_in": "DROP"}}},
		{"no quorum", "no quorum", map[string]string{"etc/pve/.members": strings.Replace(quorate, `"quorate":1`, `"quorate":0`, 1)},
			change.Change{Kind: "guest", Set: map[string]string{"net*.firewall": "1"}, Each: []string{"100"}}},
		{"not understood", ".members", map[string]string{"etc/pve/.members": "{"},
			change.Change{Kind: "datacenter", Set: map[string]string{"migration.type": "!insecure"}}},
	} {
		p, _, m, _ := node1(t, tc.more)
		before := pveTree(t, m)
		tc.c.Control = "TST-01"
		plan, err := p.Plan([]change.Change{tc.c}, nil)
		if err != nil || len(plan.Omitted) != 1 || !strings.Contains(plan.Omitted[0].Reason, tc.want) || len(plan.Windows) > 0 {
			t.Errorf("%s: %v %+v", tc.name, err, plan)
		}
		if d := cmp.Diff(before, pveTree(t, m)); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

// A node whose cluster file system is not mounted is not changed: what is written would vanish below the mount.
func TestNotMounted(t *testing.T) {
	b := newBench(t, true, map[string]string{"etc/pve/datacenter.cfg": "migration: insecure\n"})
	plan := b.plan(t, change.Change{Kind: "datacenter", Set: map[string]string{"migration.type": "!insecure"}})
	if len(plan.Omitted) != 1 || !strings.Contains(plan.Omitted[0].Reason, "not mounted") {
		t.Errorf("%+v", plan)
	}
	if _, err := os.Stat(path.Join(b.root, "etc/pve/datacenter.cfg")); err != nil {
		t.Error(err)
	}
}
