package topology_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/topology"
)

func build(t *testing.T, r host.Reader, o topology.Options) *topology.Graph {
	t.Helper()
	c, err := inventory.Read(r, 9)
	if err != nil {
		t.Fatal(err)
	}
	return topology.Build(c, o)
}

func memory(files map[string]string) *host.Memory {
	m := &host.Memory{Files: map[string][]byte{}, Answers: map[string][]byte{}}
	for name, s := range files {
		m.Files[name] = []byte(s)
	}
	return m
}

func estate(t *testing.T) *topology.Graph {
	t.Helper()
	r, err := host.OpenDir("../../../examples/estate")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return build(t, r, topology.Options{})
}

func TestEstate(t *testing.T) {
	g := estate(t)
	if g.Cluster != "harbour" || g.Members() != 3 || len(g.Guests) != 25 {
		t.Errorf("%s: %d members, %d guests", g.Cluster, g.Members(), len(g.Guests))
	}
	zones := map[string]string{}
	for i := range g.Networks {
		var z []string
		for _, zone := range g.Networks[i].Zones {
			z = append(z, string(zone.Name))
		}
		zones[g.Networks[i].ID] = strings.Join(z, "+")
	}
	want := map[string]string{"vmbr0": "management+cluster+guest", "10.10.20.0/24": "cluster", "10.10.30.0/24": "storage+migration", "vmbr2": "external+guest", "vmbr1": "guest",
		"vmbr1.100": "guest", "vmbr1.110": "guest", "vmbr1.120": "guest", "vmbr1.130": "guest", "vmbr3@pve1": "guest", "lab0": "guest", "ta1": "guest", "tb1": "guest", "tb2": "",
		"user-mode": "guest"}
	if d := cmp.Diff(want, zones); d != "" {
		t.Errorf("zones (-want +got):\n%s", d)
	}
	kinds := map[string]bool{}
	for _, f := range g.Findings {
		kinds[f.Control+" "+f.Kind] = true
		if f.Text == "" || f.Control == "" {
			t.Errorf("a finding without words: %+v", f)
		}
	}
	for _, k := range []string{"NET-01 management-guests", "NET-04 trunk-all", "NET-11 difference", "NET-13 dual-homed", "NET-18 user-mode", "NET-19 hidden-nat", "NET-20 pending",
		"NET-20 pending-sdn", "NET-21 not-isolated", "NET-22 vxlan"} {
		if !kinds[k] {
			t.Errorf("nothing is found of %s", k)
		}
	}
}

func TestLeftOver(t *testing.T) {
	g := estate(t)
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.LeftOver != (n.Name == "pve0") {
			t.Errorf("%s: left over is %v", n.Name, n.LeftOver)
		}
	}
	for _, u := range g.Unknown {
		if strings.Contains(u, "pve0") {
			t.Errorf("a node that is left over is missed: %s", u)
		}
	}
	for i := range g.Networks {
		if slices.Contains(g.Networks[i].Nodes, "pve0") {
			t.Errorf("%s is on a node that is left over", g.Networks[i].ID)
		}
	}
	// A directory with a guest in it is none, and without corosync.conf nobody knows.
	corosync := "totem {\n cluster_name: c\n}\nnodelist {\n node {\n  name: pve1\n  nodeid: 1\n  ring0_addr: 192.0.2.1\n }\n}\n"
	for _, c := range []struct {
		files map[string]string
		want  bool
	}{
		{map[string]string{"/etc/pve/corosync.conf": corosync, "/etc/pve/nodes/pve2/lrm_status": "{}"}, true},
		{map[string]string{"/etc/pve/corosync.conf": corosync, "/etc/pve/nodes/pve2/lxc/100.conf": "hostname: a\n"}, false},
		{map[string]string{"/etc/pve/nodes/pve2/lrm_status": "{}"}, false},
	} {
		g := build(t, memory(c.files), topology.Options{})
		i := slices.IndexFunc(g.Nodes, func(n topology.Node) bool { return n.Name == "pve2" })
		if i < 0 || g.Nodes[i].LeftOver != c.want {
			t.Errorf("%v: want %v, got %+v", c.files, c.want, g.Nodes)
		}
	}
}

// TestUnfiltered maps each switch that can be missing to the control that judges it.
func TestUnfiltered(t *testing.T) {
	files := map[string]string{"/etc/hostname": "pve1\n", "/etc/network/interfaces": "iface vmbr0 inet manual\n\tbridge-ports eno1\n",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"}
	for missing, control := range map[string]string{"cluster.fw enable": "FW-01", "100.fw enable": "FW-17", "firewall=1 on the NIC": "FW-16", "host.fw enable": "FW-05",
		"chain: a security group cannot be generated": "FW-22", "ruleset: proxmox-firewall refuses a file": "FW-27"} {
		g := build(t, memory(files), topology.Options{Firewall: map[topology.CardID]topology.Firewall{{Guest: 100, Key: "net0"}: {State: topology.Unfiltered, Missing: missing}}})
		if i := slices.IndexFunc(g.Findings, func(f topology.Finding) bool { return f.Kind == "unfiltered" }); i < 0 || g.Findings[i].Control != control || g.Findings[i].Card != "net0" {
			t.Errorf("%s: want %s, got %+v", missing, control, g.Findings)
		}
	}
	if g := build(t, memory(files), topology.Options{}); len(g.Findings) != 0 {
		t.Errorf("a card of unknown state is called %+v", g.Findings)
	}
}

// vlans is a node with one bridge and guests in so many VLANs, the last of them in all.
func vlans(n int, through bool) map[string]string {
	files := map[string]string{"/etc/hostname": "pve1\n", "/etc/hosts": "10.0.0.1 pve1\n",
		"/etc/network/interfaces": "iface eno1 inet manual\niface eno2 inet manual\niface vmbr0 inet static\n\taddress 10.0.0.1/24\n\tgateway 10.0.0.254\n\tbridge-ports eno1\n" +
			"iface vmbr1 inet manual\n\tbridge-ports eno2\n\tbridge-vlan-aware yes\n"}
	all := ""
	for i := range n {
		files[fmt.Sprintf("/etc/pve/nodes/pve1/qemu-server/%d.conf", 100+i)] = fmt.Sprintf("name: g\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=%d\n", 10+i)
		all += fmt.Sprintf("net%d: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=%d\n", i, 10+i)
	}
	if through {
		files["/etc/pve/nodes/pve1/qemu-server/900.conf"] = all
	}
	return files
}

func TestComplexity(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		points int
		class  string
	}{
		{"nothing", map[string]string{"/etc/pve/nodes/pve1/lrm_status": "{}"}, 0, "simple"},
		{"two bridges and two VLANs are free", vlans(2, false), 0, "simple"},
		// vmbr0, vmbr1 and ten VLANs are eight beyond the fourth
		{"each further network is a point", vlans(10, false), 8, "simple"},
		// a guest in all ten adds nine pairs of two points each, and itself
		{"a guest in all of them", vlans(10, true), 8 + 9*2 + 1, "moderate"},
		{"many", vlans(20, true), 18 + 19*2 + 1, "complex"},
	} {
		g := build(t, memory(c.files), topology.Options{})
		if g.Complexity.Points != c.points || g.Complexity.Class != c.class {
			t.Errorf("%s: %+v, want %d points, %s", c.name, g.Complexity, c.points, c.class)
		}
	}
	g := estate(t)
	sum := 0
	for i, cost := range g.Complexity.Costs {
		sum += cost.Points
		if cost.Count < len(cost.Examples) || len(cost.Examples) == 0 || i > 0 && cost.Points > g.Complexity.Costs[i-1].Points {
			t.Errorf("%+v", cost)
		}
	}
	if sum != g.Complexity.Points || g.Complexity.Class != "complex" {
		t.Errorf("the parts are %d points, the whole %d: %s", sum, g.Complexity.Points, g.Complexity.Class)
	}
}

// TestCrossings counts pairs of connections that cross when the networks are drawn in their order.
func TestCrossings(t *testing.T) {
	files := vlans(4, false)
	files["/etc/pve/nodes/pve1/qemu-server/200.conf"] = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=10\nnet1: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=12\n"
	nested := "net0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=10\nnet1: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=11\n"
	across := "net0: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=11\nnet1: virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=13\n"
	for second, want := range map[string]int{nested: 0, across: 1} {
		files["/etc/pve/nodes/pve1/qemu-server/201.conf"] = second
		g, got := build(t, memory(files), topology.Options{}), 0
		for _, c := range g.Complexity.Costs {
			if strings.Contains(c.What, "crossings") {
				got = c.Count
			}
		}
		if got != want {
			t.Errorf("%d crossings, want %d: %+v", got, want, g.Joins)
		}
	}
}
