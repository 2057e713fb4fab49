package inventory_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/inventory"
)

// tree writes files below a directory and opens it as a target.
func tree(t *testing.T, files map[string]string) *host.Tree {
	t.Helper()
	return hosttest.Open(t, hosttest.Write(t, files))
}

func TestNoNode(t *testing.T) {
	_, err := inventory.Read(tree(t, map[string]string{"etc/hostname": "plain\n"}), 0)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a host without /etc/pve gives %v", err)
	}
}

func TestCluster(t *testing.T) {
	c, err := inventory.Read(tree(t, map[string]string{
		"etc/hostname":   "b.example.org\n",
		"etc/os-release": "VERSION_ID=\"12\"\n",
		"etc/hosts":      "127.0.1.1 b\n10.0.0.2 b.example.org b # the second\n10.9.9.9 other\n",
		"etc/pve/corosync.conf": "totem {\n cluster_name: lab\n}\nnodelist {\n node {\n  name: a\n  ring0_addr: 10.0.0.1\n  ring1_addr: 10.1.0.1\n }\n" +
			" node {\n  name: b\n  ring0_addr: 10.1.0.2\n }\n}\n",
		"etc/pve/nodes/b/qemu-server/200.conf":    "name: x\n",
		"etc/pve/nodes/a/qemu-server/100.conf":    "name: y\n",
		"etc/pve/nodes/a/lxc/101.conf":            "hostname: z\n",
		"etc/pve/nodes/a/qemu-server/99x.conf":    "",
		"etc/pve/nodes/a/qemu-server/readme.conf": "",
		"etc/pve/nodes/gone/pve-ssl.pem":          "",
		"etc/pve/firewall/100.fw":                 "[OPTIONS]\nenable: 1\n",
		"etc/pve/sdn/firewall/vnet1.fw":           "[OPTIONS]\nenable: 1\n",
	}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "lab" || c.Standalone || c.Here != "b" || c.Release != 8 || !c.ReleaseKnown {
		t.Errorf("cluster is %q, standalone %v, here %q, release %d", c.Name, c.Standalone, c.Here, c.Release)
	}
	type node struct {
		Name      string
		Here      bool
		Addresses []string
	}
	var nodes []node
	for _, n := range c.Nodes {
		nodes = append(nodes, node{n.Name, n.Here, n.Addresses})
	}
	want := []node{{"a", false, []string{"10.0.0.1", "10.1.0.1"}}, {"b", true, []string{"10.1.0.2", "10.0.0.2"}}, {"gone", false, nil}}
	if d := cmp.Diff(want, nodes); d != "" {
		t.Error(d)
	}
	var guests []string
	for _, g := range c.Guests {
		guests = append(guests, g.Title()+" on "+g.Node)
	}
	if d := cmp.Diff([]string{"vm 100 on a", "ct 101 on a", "vm 200 on b"}, guests); d != "" {
		t.Error(d)
	}
	if g, ok := c.Guest(100); !ok || g.Firewall.Absent || !g.Firewall.Known() {
		t.Error("the firewall file of guest 100 was not read")
	}
	if g, ok := c.Guest(200); !ok || !g.Firewall.Absent || !g.Firewall.Known() {
		t.Error("guest 200 has no firewall file, which is known")
	}
	if f, ok := c.VNetFirewalls["vnet1"]; !ok || f.Absent {
		t.Error("the firewall file of vnet1 was not read")
	}
	if !c.Users.Known() || !c.Users.Absent {
		t.Error("an absent user.cfg is known to be absent")
	}
	if n, _ := c.Node("a"); n.Network.Known() {
		t.Error("the interfaces of another node are known without anybody having said them")
	}
	if n, _ := c.Node("b"); !n.Network.Known() || !n.Network.Absent {
		t.Error("this node's own interfaces are absent, which is known")
	}
}

// TestZero holds that nothing is known of what was not read.
func TestZero(t *testing.T) {
	var f inventory.File[int]
	if _, err := f.Get(); err == nil || f.Known() {
		t.Error("the zero File is known")
	}
}

// denied is a Reader on which some files cannot be read.
type denied struct {
	host.Reader
	path string
}

func (d denied) ReadFile(p string) ([]byte, error) {
	if p == d.path {
		return nil, &host.Error{Op: "read", Path: p, Err: fs.ErrPermission}
	}
	return d.Reader.ReadFile(p)
}

func TestDenied(t *testing.T) {
	d := tree(t, map[string]string{"etc/pve/user.cfg": "user:root@pam:1:0:::::\n", "etc/pve/priv/tfa.cfg": "{}", "etc/pve/ha/resources.cfg": "vm: 100\n"})
	for _, p := range []string{"/etc/pve/priv/tfa.cfg", "/etc/pve/user.cfg", "/etc/pve/ha/resources.cfg"} {
		c, err := inventory.Read(denied{d, p}, 9)
		if err != nil {
			t.Fatal(err)
		}
		errs := map[string]error{"/etc/pve/priv/tfa.cfg": c.TFA.Err, "/etc/pve/user.cfg": c.Users.Err, "/etc/pve/ha/resources.cfg": c.HA.Err}
		for name, err := range errs {
			if (err != nil) != (name == p) {
				t.Errorf("with %s refused, the error of %s is %v", p, name, err)
			}
		}
	}
}

func TestAPICommand(t *testing.T) {
	if got := inventory.APICommand("/nodes/PVE1/storage/local-zfs/content").Name; got != "pvesh-nodes-pve1-storage-local-zfs-content" {
		t.Error(got)
	}
}
