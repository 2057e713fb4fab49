package filter_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// TestSDNSets: SDN makes ipsets of its subnets, which rules find after those of the guest and of the cluster.
func TestSDNSets(t *testing.T) {
	sdn := []string{
		"/etc/pve/sdn/zones.cfg", "simple: z1\n\n", "/etc/pve/sdn/vnets.cfg", "vnet: v1\n\tzone z1\n\n",
		"/etc/pve/sdn/subnets.cfg", "subnet: z1-198.51.100.0-24\n\tvnet v1\n\tgateway 198.51.100.1\n\tdhcp-range start-address=198.51.100.50,end-address=198.51.100.60\n\n",
		"100.fw", on + "[RULES]\nIN ACCEPT -source +sdn/v1-no-gateway -p tcp\nIN ACCEPT -source +v1-gateway -p udp\nIN ACCEPT -source +sdn/v1-dhcp -p sctp\n" +
			"IN ACCEPT -source +dc/v1-all -p 47\nIN ACCEPT -source +sdn/v2-all\n",
	}
	for _, b := range []filter.Backend{filter.IPTables, filter.NFTables} {
		expect(t, network(t, b, sdn...), `
			ACCEPT outside vm/100 tcp source=198.51.100.9
			DROP outside vm/100 tcp source=198.51.100.1
			ACCEPT outside vm/100 udp source=198.51.100.1
			ACCEPT outside vm/100 sctp source=198.51.100.55
			DROP outside vm/100 sctp source=198.51.100.61
			DROP outside vm/100 47 source=198.51.100.9`)
	}
}

// TestOtherNode: the interfaces of a peer are not in the files; it is taken to be in the networks of the node at hand.
func TestOtherNode(t *testing.T) {
	m := map[string][]byte{}
	for name, text := range base() {
		m[name] = []byte(text)
	}
	m["/etc/hosts"] = []byte("10.0.0.2 pve1\n10.0.0.3 pve2\n")
	m["/etc/pve/nodes/pve2/host.fw"] = []byte("[RULES]\nIN ACCEPT -p tcp -dport 9100\n")
	n := compile(t, cluster(t, m), "pve2", filter.IPTables)
	expect(t, n, `
		ACCEPT outside host tcp source=10.0.0.9 dport=8006 # management
		ACCEPT outside host tcp dport=9100
		DROP outside host tcp source=192.0.2.9 dport=8006`)
	if a := n.Addresses(); len(a) != 1 || a[0].String() != "10.0.0.3/24" {
		t.Errorf("addresses: %v", a)
	}
	if len(n.NICs()) != 0 {
		t.Errorf("guests of another node: %v", n.NICs())
	}
	if _, err := filter.New(cluster(t, m), "pve3", filter.IPTables, filter.Options{}); err == nil || !strings.Contains(err.Error(), "no node pve3") {
		t.Errorf("a node that is not there: %v", err)
	}
}

// TestUnreadable: what could not be read is never taken for what it is when it is absent.
func TestUnreadable(t *testing.T) {
	read := func(denied string) *inventory.Cluster {
		m := &host.Memory{Files: map[string][]byte{}, Dirs: []string{"/etc/pve"}, Errs: map[string]error{denied: fs.ErrPermission}}
		for name, text := range base() {
			m.Files[name] = []byte(text)
		}
		c, err := inventory.Read(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, name := range []string{"/etc/pve/firewall/cluster.fw", "/etc/pve/nodes/pve1/host.fw"} {
		if _, err := filter.New(read(name), "pve1", filter.IPTables, filter.Options{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range []filter.Backend{filter.IPTables, filter.NFTables} {
		n := compile(t, read("/etc/pve/firewall/100.fw"), "pve1", b)
		_, err := n.Simulate(filter.Query{From: "outside", To: "vm/100"})
		var unknown *filter.UnknownError
		if !errors.As(err, &unknown) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", b, err)
		}
		if _, err := n.Simulate(filter.Query{From: "outside", To: "vm/101"}); err != nil {
			t.Errorf("%s: the other guests are known: %v", b, err)
		}
	}
}

// TestNICs names the first switch that is off.
func TestNICs(t *testing.T) {
	config := "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nnet1: virtio=BC:24:11:00:00:02,bridge=vmbr1,firewall=1\nipconfig1: ip=10.0.0.40/24,ip6=fd00::40/64\n"
	want := map[string]filter.Missing{"100/0": filter.MissingFlag, "100/1": "", "101/0": filter.MissingGuest, "200/0": filter.MissingGuest}
	n := network(t, filter.IPTables, "100.conf", config)
	for _, c := range n.NICs() {
		if c.Missing != want[key(c)] {
			t.Errorf("%s: %q, want %q", key(c), c.Missing, want[key(c)])
		}
		if key(c) == "100/1" && len(c.Addresses) != 2 {
			t.Errorf("addresses of %s: %v", key(c), c.Addresses)
		}
	}
	for _, c := range network(t, filter.IPTables, "100.conf", config, "cluster.fw", "").NICs() {
		if c.Missing != filter.MissingCluster {
			t.Errorf("%s: %q", key(c), c.Missing)
		}
	}
}
