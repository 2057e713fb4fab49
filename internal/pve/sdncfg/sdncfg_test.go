package sdncfg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/castellan-project/castellan/internal/pve"
)

func sample() map[string][]byte {
	return map[string][]byte{
		"zones.cfg": []byte("vlan: z1\n\tbridge vmbr1\n\tnodes pve1,pve2\n\nvxlan: z2\n\tpeers 192.0.2.11,192.0.2.12\n\tmtu 1450\n\nevpn: z3\n\tcontroller c1\n\tvrf-vxlan 100\n" +
			"\texitnodes pve1\n\nstrange: z4\n\nsimple: z1\n"),
		"vnets.cfg": []byte("vnet: web\n\tzone z1\n\ttag 20\n\talias The%20web\n\tisolate-ports 1\n\nvnet: lab\n\tzone gone\n\ttag 99999999\n\nvnet: same\n\tzone z2\n\ttag 7\n"),
		"subnets.cfg": []byte("subnet: z1-10.0.0.0-24\n\tvnet web\n\tgateway 10.0.0.1\n\tsnat 1\n\tdhcp-range start-address=10.0.0.10,end-address=10.0.0.20\n\n" +
			"subnet: z1-2001:db8::-64\n\tvnet web\n\nsubnet: broken\n\tvnet web\n"),
		"controllers.cfg": []byte("evpn: c1\n\tasn 65000\n\tpeers 192.0.2.11\n"),
		"ipams.cfg":       []byte("netbox: nb\n\turl https://ipam.example.org\n\ttoken SECRETVALUE\n"),
		"dns.cfg":         []byte("powerdns: d1\n\turl http://192.0.2.53\n\tkey SECRETVALUE\n"),
		".running-config": []byte(`{"version":7,"zones":{"ids":{"z1":{"type":"vlan","bridge":"vmbr1","nodes":{"pve2":1,"pve1":1}},"z2":{"type":"vxlan","peers":"192.0.2.12,192.0.2.11","mtu":1500},
"z9":{"type":"simple"}}},"vnets":{"ids":{"web":{"type":"vnet","zone":"z1","tag":20,"alias":"The%20web","isolate-ports":1},"same":{"zone":"z2","tag":"7","digest":"x"}}},
"subnets":{"ids":{"z1-10.0.0.0-24":{"type":"subnet","vnet":"web","gateway":"10.0.0.1","snat":1,"dhcp-range":["start-address=10.0.0.10,end-address=10.0.0.20"]}}},
"controllers":{"ids":{"c1":{"type":"evpn","asn":65000,"peers":{"192.0.2.11":1}}}}}`),
	}
}

func TestParse(t *testing.T) {
	c, problems := Parse(sample())
	wantZones := []Zone{
		{ID: "z1", Type: "vlan", Nodes: []string{"pve1", "pve2"}, Bridge: "vmbr1", Line: 1},
		{ID: "z2", Type: "vxlan", Peers: []string{"192.0.2.11", "192.0.2.12"}, MTU: 1450, Line: 5},
		{ID: "z3", Type: "evpn", Controller: "c1", ExitNodes: []string{"pve1"}, Line: 9},
	}
	if d := cmp.Diff(wantZones, c.Zones, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	wantVNets := []VNet{{ID: "web", Zone: "z1", Tag: 20, Alias: "The web", IsolatePorts: true, Line: 1}, {ID: "lab", Zone: "gone", Line: 7}, {ID: "same", Zone: "z2", Tag: 7, Line: 11}}
	if d := cmp.Diff(wantVNets, c.VNets); d != "" {
		t.Error(d)
	}
	wantSubnets := []Subnet{
		{ID: "z1-10.0.0.0-24", VNet: "web", Gateway: "10.0.0.1", CIDR: "10.0.0.0/24", SNAT: true, DHCPRanges: []string{"start-address=10.0.0.10,end-address=10.0.0.20"}, Line: 1},
		{ID: "z1-2001:db8::-64", VNet: "web", CIDR: "2001:db8::/64", Line: 7}, {ID: "broken", VNet: "web", Line: 10}}
	if d := cmp.Diff(wantSubnets, c.Subnets); d != "" {
		t.Error(d)
	}
	var pending []string
	for _, p := range c.Pending {
		pending = append(pending, p.String())
	}
	if d := cmp.Diff([]string{"subnet broken is new", "subnet z1-2001:db8::-64 is new", "vnet lab is new", "zone z2 is changed (mtu)", "zone z3 is new", "zone z9 is deleted"}, pending); d != "" {
		t.Error(d)
	}
	if !c.Applied || c.Version != 7 {
		t.Errorf("applied %v, version %d", c.Applied, c.Version)
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	if d := cmp.Diff([]string{
		"14: zones.cfg: no such type: strange (skipped)", "16: zones.cfg: a second section named z1 (skipped)",
		"9: vnets.cfg: tag is no number, or out of range: 99999999 (skipped)", "7: vnets.cfg: vnet lab is in zone gone, which does not exist (warned)",
		"10: subnets.cfg: the id of the subnet holds no network: broken (warned)"}, texts); d != "" {
		t.Error(d)
	}
}

func TestSecrets(t *testing.T) {
	c, _ := Parse(sample())
	for _, o := range append(c.IPAMs, c.DNS...) {
		if len(o.Values) != 1 || strings.Contains(o.Values[0].Value, "SECRET") {
			t.Errorf("%+v", o)
		}
	}
}

func TestRunning(t *testing.T) {
	zones := []byte("simple: z1\n")
	c, _ := Parse(map[string][]byte{"zones.cfg": zones})
	if c.Applied || len(c.Pending) != 1 {
		t.Errorf("never applied: %+v", c)
	}
	c, problems := Parse(map[string][]byte{"zones.cfg": zones, ".running-config": []byte("{")})
	if c.Applied || len(c.Pending) != 0 || len(problems) != 1 || problems[0].Effect != pve.Aborted {
		t.Errorf("broken: %+v %v", c, problems)
	}
	if c, problems := Parse(nil); c == nil || len(problems) != 0 || len(c.Pending) != 0 {
		t.Errorf("nothing: %+v %v", c, problems)
	}
}

func FuzzParse(f *testing.F) {
	s := sample()
	f.Add(s["zones.cfg"], s["vnets.cfg"], s["subnets.cfg"], s[".running-config"])
	f.Add([]byte("vlan:\n\t\x00\xff"), []byte("vnet: a\n\tzone"), []byte("subnet: --"), []byte(`{"zones":[],"vnets":{"ids":{"a":3}}}`))
	f.Fuzz(func(t *testing.T, zones, vnets, subnets, running []byte) {
		c, _ := Parse(map[string][]byte{"zones.cfg": zones, "vnets.cfg": vnets, "subnets.cfg": subnets, ".running-config": running})
		for _, p := range c.Pending {
			if p.State == "" || (p.State == "changed") != (len(p.Keys) > 0) {
				t.Fatalf("%+v", p)
			}
		}
	})
}
