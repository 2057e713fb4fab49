package collect

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

// collectTree writes a copy of parts of a root file system and collects one subject from it.
func collectTree(t *testing.T, col Collector, files map[string]string) *posture.Facts {
	t.Helper()
	return collectTreeAt(t, col, files, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
}

// collectTreeAt is collectTree at a moment.
func collectTreeAt(t *testing.T, col Collector, files map[string]string, now time.Time) *posture.Facts {
	t.Helper()
	if _, ok := files[".castellan/meta"]; !ok {
		files[".castellan/meta"] = "now 2026-11-20T12:00:00Z\n"
	}
	root := hosttest.Write(t, files)
	d := hosttest.Open(t, root)
	live := strings.Contains(files[".castellan/meta"], "live yes")
	f, err := Run(d, host.Description{Name: root, Kind: "dir", Live: live, Root: true, Now: now}, []Collector{col})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOSOfNode(t *testing.T) {
	f := collectTree(t, OS(), map[string]string{
		"usr/lib/os-release":  "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
		"etc/hostname":        "pve1.example.org\n",
		"etc/hosts":           "127.0.0.1 localhost\n10.0.0.1 pve1.example.org pve1\n10.0.0.2 pve2 # other\n",
		"var/lib/dpkg/status": "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\nPackage: pve-manager\nStatus: deinstall ok config-files\nVersion: 7.1\n\nPackage: pve-manager\nStatus: install ok installed\nVersion: 8.4.1\n",
		"etc/pve/corosync.conf": "nodelist {\n node {\n name: pve1\n nodeid: 1\n ring0_addr: 10.0.0.1\n ring1_addr: 10.1.0.1\n }\n" +
			" node {\n name: pve2\n nodeid: 2\n ring0_addr: pve2\n }\n}\n",
		"etc/pve/.members": `{"nodename":"pve1","cluster":{"name":"c","quorate":0},"nodelist":{"pve1":{"id":1,"online":1,"ip":"10.0.0.1"},"pve2":{"id":2,"online":0,"ip":"192.168.5.2"}}}`,
	}).OS
	if f.ID.Value != "debian" || f.Version.Value != "12" || f.Codename.Value != "bookworm" || f.Hostname.Value != "pve1" || f.Arch.Value != "amd64" {
		t.Errorf("release: %+v", f)
	}
	if !f.PVE.Value || f.PVEVersion.Value != "8.4.1" || f.PVEMajor.Value != 8 || !f.Cluster.Value || f.Quorate.Value || !f.Quorate.IsKnown() {
		t.Errorf("node: %+v", f)
	}
	want := []posture.ClusterNode{
		{Name: "pve1", ID: 1, Addresses: []string{"10.0.0.1", "10.1.0.1"}, Online: true},
		{Name: "pve2", ID: 2, Addresses: []string{"10.0.0.2", "192.168.5.2"}},
	}
	if d := cmp.Diff(want, f.Nodes.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"10.0.0.1", "10.0.0.2", "10.1.0.1", "192.168.5.2"}, f.NodeAddresses.Value); d != "" {
		t.Error(d)
	}
}

func TestOSUnknowns(t *testing.T) {
	f := collectTree(t, OS(), map[string]string{
		"etc/corosync/corosync.conf": "nodelist {\n node {\n name: a\n ring0_addr: a.lan\n }\n}\n",
	}).OS
	if f.PVE.IsKnown() || f.ID.IsKnown() || f.Hostname.IsKnown() || f.NodeAddresses.IsKnown() || f.Quorate.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
	if !f.Cluster.Value {
		t.Error("not a member")
	}
	f = collectTree(t, OS(), map[string]string{"var/lib/dpkg/status": "Package: dpkg\nStatus: install ok installed\nArchitecture: arm64\n"}).OS
	if f.PVE.Value || !f.PVE.IsKnown() || f.Cluster.Value || !f.Cluster.IsKnown() || f.PVEMajor.Value != 0 || !f.Quorate.Value {
		t.Errorf("Debian: %+v", f)
	}
	f = collectTree(t, OS(), map[string]string{"etc/pve/user.cfg": ""}).OS
	if !f.PVE.Value || f.PVEVersion.IsKnown() {
		t.Errorf("copy of /etc/pve: %+v", f)
	}
}

func TestNetworkOffline(t *testing.T) {
	f := collectTree(t, Network(), map[string]string{
		"etc/hostname": "pve1\n", "etc/hosts": "203.0.113.10 pve1.example.org pve1\n",
		"etc/network/interfaces": "auto lo\niface lo inet loopback\niface eno1 inet manual\nauto vmbr0\niface vmbr0 inet static\n" +
			" address 203.0.113.10/24\n gateway 203.0.113.1\n bridge-ports eno1\nauto vmbr1\niface vmbr1 inet static\n address 10.0.0.1/24\n" +
			" bridge-ports none\n post-up iptables -t nat -A POSTROUTING -j MASQUERADE\niface vmbr0 inet6 auto\nsource interfaces.d/*\n",
		"etc/network/interfaces.d/v6": "iface vmbr0 inet6 static\n address 2001:db8::10/64\n",
		"etc/pve/sdn/zones.cfg":       "simple: s1\n\tdhcp dnsmasq\n\nvlan: v1\n\tbridge vmbr0\n\nvxlan: x1\n\tpeers 1.2.3.4\n",
		"etc/pve/sdn/subnets.cfg":     "subnet: s1-10.9.0.0-24\n\tvnet v\n\tsnat 1\n",
		"etc/wireguard/wg0.conf":      "[Interface]\nPrivateKey = c2VjcmV0\n[Peer]\nAllowedIPs = 0.0.0.0/0\n",
		"etc/resolv.conf":             "nameserver 10.0.0.53\n",
	}).Network
	if f.ManagementAddress.Value != "203.0.113.10" || !f.ManagementPublic.Value || !f.MultiHomed.Value || !f.UsesSLAAC.Value {
		t.Errorf("%+v", f)
	}
	if d := cmp.Diff([]string{"2001:db8::10"}, f.IPv6Addresses.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]posture.NetRoute{{Family: "inet", Gateway: "203.0.113.1", Interface: "vmbr0"}}, f.DefaultRoutes.Value); d != "" {
		t.Error(d)
	}
	reasons := strings.Join(f.RoutingReasons.Value, "\n")
	for _, want := range []string{"hook translates source", "no port", "SDN zone s1", "SDN subnet s1-10.9.0.0-24"} {
		if !strings.Contains(reasons, want) {
			t.Errorf("no reason %q in:\n%s", want, reasons)
		}
	}
	if strings.Contains(reasons, "v1") || strings.Contains(reasons, "x1") {
		t.Errorf("zones that only bridge: %s", reasons)
	}
	w := f.WireGuard.Value
	if len(w) != 1 || w[0].Name != "wg0" || w[0].FileMode != 0o644 || !w[0].FileExposed || !w[0].Peers[0].Everything {
		t.Errorf("%+v", w)
	}
}

func TestNetworkLive(t *testing.T) {
	f := collectTree(t, Network(), map[string]string{
		".castellan/meta": "now 2026-11-20T12:00:00Z\nlive yes\n",
		".castellan/run/ip-address": `[{"ifname":"lo","flags":["UP"],"link_type":"loopback","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
{"ifname":"eno1","flags":["UP"],"link_type":"ether","addr_info":[{"family":"inet","local":"192.168.1.5","prefixlen":24,"scope":"global"},
{"family":"inet6","local":"2001:db8::5","prefixlen":64,"scope":"global","dynamic":true,"mngtmpaddr":true},{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
{"ifname":"vmbr1","flags":[],"link_type":"ether","linkinfo":{"info_kind":"bridge"},"addr_info":[]},
{"ifname":"tap100i0","flags":[],"master":"vmbr1","linkinfo":{"info_kind":"tun"},"addr_info":[]}]`,
		".castellan/run/ip-route-default": `[{"dst":"default","gateway":"192.168.1.1","dev":"eno1"}]`,
		"proc/net/ipv6_route":             "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00450003 eno1\n",
	}).Network
	if d := cmp.Diff([]string{"192.168.1.5", "2001:db8::5"}, f.Addresses.Value); d != "" {
		t.Error(d)
	}
	if f.MultiHomed.Value || !f.UsesSLAAC.Value || f.ManagementAddress.Value != "192.168.1.5" || f.ManagementPublic.Value {
		t.Errorf("%+v", f)
	}
	if len(f.DefaultRoutes.Value) != 2 || f.DefaultRoutes.Value[1].Gateway != "fe80::1" {
		t.Errorf("%+v", f.DefaultRoutes)
	}
	if len(f.Interfaces.Value) != 3 || !f.Interfaces.Value[2].Guests {
		t.Errorf("%+v", f.Interfaces.Value)
	}
	if !f.RoutingReasons.IsKnown() || len(f.RoutingReasons.Value) != 0 {
		t.Errorf("%+v", f.RoutingReasons)
	}
}

func TestNetworkUnknown(t *testing.T) {
	f := collectTree(t, Network(), map[string]string{"etc/hosts": ""}).Network
	if f.Interfaces.IsKnown() || f.RoutingReasons.IsKnown() || f.MultiHomed.IsKnown() || f.UsesSLAAC.IsKnown() ||
		f.ManagementPublic.IsKnown() || f.IPv6Addresses.IsKnown() || f.DefaultRoutes.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
}

func FuzzNetworkFiles(f *testing.F) {
	f.Add([]byte("simple: a\n\tb c\n"), []byte("0 00 0 0 0\n"))
	f.Add([]byte("\t\n:"), []byte("00000000000000000000000000000000 00 0 00 fe800000000000000000000000000001 0 0 0 00450003 e\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		routingZones(a)
		routingSubnets(a)
		routingFRR(a)
		hostTable(a)
		osPackage(a, "dpkg")
		osPVECfg(a)
		ipv6Defaults(b)
	})
}
