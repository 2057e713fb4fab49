package netcfg

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/pve"
)

const sample = `# network interface settings
auto lo
iface lo inet loopback

iface eno1 inet manual
iface eno2 inet manual

auto bond0
iface bond0 inet manual
	bond_slaves eno1 eno2
	bond-mode 4
	bond-miimon 100

auto vmbr0
iface vmbr0 inet static
	address 192.0.2.10
	netmask 255.255.255.0
	gateway 192.0.2.1
	bridge-ports bond0
	bridge-stp off
	bridge-fd 0
	bridge-vlan-aware yes
	post-up iptables -t nat -A POSTROUTING -o vmbr0 -j MASQUERADE
# the uplink

iface vmbr0 inet6 static
	address 2001:db8::10/64
	gateway 2001:db8::1

auto vmbr0.20
iface vmbr0.20 inet static
	address 198.51.100.10/24

iface vlan30 inet manual
	vlan-raw-device bond0

auto vmbr1
iface vmbr1 inet manual
	ovs_type OVSBridge
	ovs_ports eno3 mgmt

iface mgmt inet static
	address 10.0.0.1/24
	ovs_type OVSIntPort
	ovs_bridge vmbr1
	ovs_options tag=50

iface eno3 inet manual
	ovs_type OVSPort
	ovs_bridge vmbr1

source /etc/network/interfaces.d/*
`

const sdn = `#version:4
auto vnet1
iface vnet1
	bridge_ports none
	mtu 1450

auto vx1
iface vx1
	vxlan-id 100
	vxlan_remoteip 192.0.2.11
	vxlan_remoteip 192.0.2.12
`

func TestParse(t *testing.T) {
	const inc = "/etc/network/interfaces.d/sdn"
	c, problems := Parse([]byte(sample), map[string][]byte{inc: []byte(sdn), "/etc/other": []byte("iface x\n")})
	if len(problems) != 0 {
		t.Errorf("problems: %v", problems)
	}
	m := mainFile
	want := []Interface{
		{Name: "lo", Kind: Loopback, Methods: []string{"inet loopback"}, Autostart: true, File: m, Line: 3},
		{Name: "eno1", Kind: Physical, Methods: []string{"inet manual"}, File: m, Line: 5},
		{Name: "eno2", Kind: Physical, Methods: []string{"inet manual"}, File: m, Line: 6},
		{Name: "bond0", Kind: Bond, Methods: []string{"inet manual"}, Autostart: true, Slaves: []string{"eno1", "eno2"}, BondMode: "802.3ad",
			Options: []Option{{"bond-miimon", "100", m, 12}}, File: m, Line: 9},
		{Name: "vmbr0", Kind: Bridge, Methods: []string{"inet static", "inet6 static"}, Autostart: true,
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")},
			Gateways:  []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			Ports:     []string{"bond0"}, VLANAware: true, VIDs: "2-4094", Comments: []string{"the uplink"},
			Options: []Option{{"bridge-fd", "0", m, 21}, {"post-up", "iptables -t nat -A POSTROUTING -o vmbr0 -j MASQUERADE", m, 23}}, File: m, Line: 15},
		{Name: "vmbr0.20", Kind: VLAN, Methods: []string{"inet static"}, Autostart: true, RawDevice: "vmbr0", VLANID: 20,
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.10/24")}, File: m, Line: 31},
		{Name: "vlan30", Kind: VLAN, Methods: []string{"inet manual"}, RawDevice: "bond0", VLANID: 30, File: m, Line: 34},
		{Name: "vmbr1", Kind: OVSBridge, Methods: []string{"inet manual"}, Autostart: true, Ports: []string{"eno3", "mgmt"}, File: m, Line: 38},
		{Name: "mgmt", Kind: OVSIntPort, Methods: []string{"inet static"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
			OVSBridge: "vmbr1", OVSTag: 50, VLANID: 50, OVSOptions: "tag=50", File: m, Line: 42},
		{Name: "eno3", Kind: OVSPort, Methods: []string{"inet manual"}, OVSBridge: "vmbr1", File: m, Line: 48},
		{Name: "vnet1", Kind: Bridge, Methods: []string{""}, Autostart: true, MTU: 1450, File: inc, Line: 3},
		{Name: "vx1", Kind: VXLAN, Methods: []string{""}, Autostart: true, VXLANID: 100, VXLANRemote: []string{"192.0.2.11", "192.0.2.12"}, File: inc, Line: 8},
	}
	if d := cmp.Diff(want, c.Interfaces, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/etc/network/interfaces.d/*"}, c.Sources); d != "" {
		t.Error(d)
	}
	if string(c.Bytes()) != sample {
		t.Error("the bytes of the file are not kept")
	}
}

func TestLenient(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string // part of the one problem
		line int
	}{
		"outside":         {"address 192.0.2.1/24\n", "not within a stanza", 1},
		"blank":           {"iface eno1 inet static\n\n\taddress 192.0.2.1/24\n", "after an empty line", 3},
		"continuation":    {"iface vmbr0 inet manual\n\tbridge-ports eno1 \\\n\t eno2\n", "backslash", 2},
		"no value":        {"iface vmbr0\n\tbridge-ports\n", "without a value", 2},
		"aware no":        {"iface vmbr0\n\tbridge-ports none\n\tbridge-vlan-aware no\n", "whatever the value", 3},
		"address":         {"iface eno1 inet static\n\taddress example.org\n", "no address", 2},
		"mask":            {"iface eno1 inet static\n\taddress 192.0.2.1\n\tnetmask 255.0.255.0\n", "no address", 2},
		"family":          {"iface eno1 inet3 static\n", "does not know this form", 1},
		"bond name":       {"iface team inet manual\n\tbond-slaves eno1 eno2\n", "only names like bond0", 1},
		"auto":            {"auto eno1\niface lo inet loopback\n", "no stanza defines", 1},
		"missing include": {"source /etc/network/more\n", "not there", 1},
		"mtu":             {"iface eno1\n\tmtu 99999999\n", "out of range", 2},
		"carriage":        {"iface eno1 inet static\r\n\taddress 300.1.1.1\r\n", "no address", 2},
	} {
		c, problems := Parse([]byte(tc.in), nil)
		if len(problems) != 1 || problems[0].Line != tc.line || !strings.Contains(problems[0].Text, tc.want) {
			t.Errorf("%s: %v", name, problems)
		}
		if name == "continuation" {
			if d := cmp.Diff([]string{"eno1", "eno2"}, c.Interfaces[0].Ports); d != "" {
				t.Error(d)
			}
		}
		if name == "blank" && len(c.Interfaces[0].Addresses) != 1 {
			t.Error("the address after an empty line counts for ifupdown")
		}
	}
}

func TestSDNNotIncluded(t *testing.T) {
	c, problems := Parse([]byte("iface lo inet loopback\n"), map[string][]byte{"/etc/network/interfaces.d/sdn": []byte(sdn)})
	if len(c.Interfaces) != 1 || len(problems) != 1 || !strings.Contains(problems[0].Text, "SDN") {
		t.Errorf("%v", problems)
	}
}

func TestIncludeLoop(t *testing.T) {
	loop := []byte("source /etc/network/interfaces.d/*\niface eno1\n")
	c, _ := Parse(loop, map[string][]byte{"/etc/network/interfaces.d/a": loop, "/etc/network/interfaces.d/b": loop})
	if len(c.Interfaces) != 1 {
		t.Errorf("%d interfaces", len(c.Interfaces))
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]Kind{"eth0": Physical, "enp3s0f0np0": Physical, "ibp1": Physical, "nic1": Physical, "if2": Physical, "wlp2s0": Physical, "bond12": Bond,
		"eno1:1": Alias, "eno1.5": VLAN, "vlan7": Unknown, "wg0": Unknown, "lo": Loopback, "ethernet": Unknown, "nicx": Unknown, "bond": Unknown} {
		c, _ := Parse([]byte("iface "+name+" inet manual\n"), nil)
		if got := c.Interfaces[0].Kind; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestParseAPI(t *testing.T) {
	const list = `[{"iface":"vmbr0","type":"bridge","cidr":"192.0.2.11/24","address":"192.0.2.11","netmask":"24","gateway":"192.0.2.1","bridge_ports":"bond0","bridge_vlan_aware":1,
"autostart":1,"active":1,"priority":5,"method":"static","bridge_vids":"2-4094","comments":"uplink\n","options":["post-up iptables -t nat -A POSTROUTING -j MASQUERADE"]},
{"iface":"bond0","type":"bond","slaves":"eno1 eno2","bond_mode":"active-backup","priority":"4","mtu":"9000","cidr6":"2001:db8::11/64"},
{"iface":"mgmt","type":"OVSIntPort","ovs_bridge":"vmbr1","ovs_tag":50,"vlan-id":{},"priority":9},
{"iface":"eno1.7","type":"vlan","vlan-raw-device":"eno1","vlan-id":7,"priority":10}]`
	for _, in := range []string{list, `{"data":` + list + `}`} {
		c, problems := ParseAPI([]byte(in))
		if len(problems) != 1 || !strings.Contains(problems[0].Text, "vlan-id") {
			t.Errorf("%v", problems)
		}
		want := []Interface{
			{Name: "bond0", Kind: Bond, Slaves: []string{"eno1", "eno2"}, BondMode: "active-backup", MTU: 9000, Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::11/64")}},
			{Name: "vmbr0", Kind: Bridge, Methods: []string{"inet static"}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")},
				Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Ports: []string{"bond0"}, VLANAware: true, VIDs: "2-4094", Autostart: true, Active: true,
				Comments: []string{"uplink"}, Options: []Option{{Key: "post-up", Value: "iptables -t nat -A POSTROUTING -j MASQUERADE"}}},
			{Name: "mgmt", Kind: OVSIntPort, OVSBridge: "vmbr1", OVSTag: 50, VLANID: 50},
			{Name: "eno1.7", Kind: VLAN, RawDevice: "eno1", VLANID: 7},
		}
		if d := cmp.Diff(want, c.Interfaces, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Error(d)
		}
	}
	for in, effect := range map[string]pve.Effect{"": pve.Aborted, "<html>": pve.Aborted, `[1]`: pve.Skipped, `[{"iface":7},{"iface":"7"}]`: pve.Skipped} {
		if c, problems := ParseAPI([]byte(in)); c == nil || len(problems) == 0 || problems[0].Effect != effect {
			t.Errorf("%q: %v", in, problems)
		}
	}
}

func TestCountVIDs(t *testing.T) {
	for in, want := range map[string]int{"2-4094": 4093, "10 20": 2, "5;7-9": 4, "": 0, "x;9-3;0;5000": 0} {
		if got := CountVIDs(in); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// TestRoundTrip: what is written down is found again, whatever the spelling of the keys.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ports := rapid.SliceOfNDistinct(rapid.StringMatching(`en[a-z0-9]{1,6}`), 0, 5, rapid.ID[string]).Draw(t, "ports")
		id := rapid.IntRange(1, 4094).Draw(t, "id")
		sep := rapid.SampledFrom([]string{"-", "_"}).Draw(t, "sep")
		eol := rapid.SampledFrom([]string{"\n", "\r\n", "  \n"}).Draw(t, "eol")
		lines := []string{"iface vmbr9 inet manual", "bridge" + sep + "ports none " + strings.Join(ports, " "), fmt.Sprintf("iface vmbr9.%d", id), "mtu 1400"}
		c, problems := Parse([]byte(strings.Join(lines, eol)+eol), nil)
		if len(problems) != 0 || len(c.Interfaces) != 2 {
			t.Fatalf("%v %v", problems, c.Interfaces)
		}
		if d := cmp.Diff(ports, c.Interfaces[0].Ports, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		if v := c.Interfaces[1]; v.VLANID != id || v.RawDevice != "vmbr9" || v.MTU != 1400 || v.Kind != VLAN {
			t.Fatalf("%+v", v)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), []byte(sdn))
	f.Add([]byte("iface\niface x y\n\\\n\x00\xff\niface a:1\nauto \nsource *\n"), []byte("source /etc/network/interfaces.d/[\n"))
	f.Add([]byte("iface vmbr0\n\taddress \\\n\\\n1.2.3.4/8"), []byte("iface ."))
	f.Fuzz(func(t *testing.T, b, inc []byte) {
		c, problems := Parse(b, map[string][]byte{"/etc/network/interfaces.d/sdn": inc, "/etc/network/interfaces.d/x": b})
		seen := map[string]bool{}
		for i := range c.Interfaces {
			iface := &c.Interfaces[i]
			if seen[iface.Name] || iface.Name == "" || iface.Kind == "" || iface.Line == 0 {
				t.Fatalf("%+v", iface)
			}
			seen[iface.Name] = true
			iface.Carries()
		}
		for _, p := range problems {
			if len(p.Text) > 400 {
				t.Fatal("a message as long as its line")
			}
		}
	})
}

func FuzzParseAPI(f *testing.F) {
	f.Add([]byte(`{"data":[{"iface":"vmbr0","type":"bridge","cidr":"192.0.2.11/24"}]}`))
	f.Add([]byte(`[{"iface":"a","vlan-id":[],"options":[1],"cidr":true}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, _ := ParseAPI(b); c == nil {
			t.Fatal("no model")
		}
	})
}

// TestHostile holds that a large file costs time in proportion to its size.
func TestHostile(t *testing.T) {
	var b strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&b, "auto x%d\niface x%d inet manual\n\tbridge-ports p%d\n", i, i, i)
	}
	b.WriteString("iface y\n\tbridge-ports " + strings.Repeat("p ", 1<<20) + "\n" + strings.Repeat("\\\n", 100_000))
	c, _ := Parse([]byte(b.String()), nil)
	if len(c.Interfaces) != 40_001 {
		t.Errorf("%d interfaces", len(c.Interfaces))
	}
}
