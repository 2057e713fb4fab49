package collect

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/posture"
)

// fwTree is a node with an address, a running firewall and the given cluster.fw; more replaces or adds files.
func fwTree(clusterFW string, more map[string]string) map[string]string {
	files := map[string]string{
		"etc/hostname": "pve1\n", "etc/hosts": "10.0.0.11 pve1\n", "etc/pve/nodes/pve1/lrm_status": "{}",
		"etc/network/interfaces":                                          "auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.11/24\n\tbridge-ports eno1\n",
		"etc/pve/firewall/cluster.fw":                                     clusterFW,
		".castellan/run/pvesh-nodes-pve1-services-pve-firewall-state":     `{"state":"running"}`,
		".castellan/run/pvesh-nodes-pve1-services-proxmox-firewall-state": `{"state":"running"}`,
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

const fwOn = "[OPTIONS]\n\nenable: 1\n\n[IPSET management]\n\n10.0.0.0/24\n192.0.2.0/28\n\n"

func fwFacts(t *testing.T, files map[string]string, backends ...string) posture.FirewallFacts {
	t.Helper()
	f := collectTree(t, Estate(backends...), files)
	if len(f.Target.Faults) > 0 {
		t.Fatal(f.Target.Faults)
	}
	return f.Firewall
}

// scopesOf lists "port/scope4/scope6" of the exposures.
func scopesOf(f posture.FirewallFacts) []string {
	var out []string
	for _, e := range f.Exposures.Value {
		out = append(out, e.Proto+" "+e.Port+" "+e.Scope4.Value+" "+e.Scope6.Value)
	}
	return out
}

func TestFirewallDefaults(t *testing.T) {
	files := fwTree("", nil)
	delete(files, "etc/pve/firewall/cluster.fw")
	f := fwFacts(t, files)
	type defaults struct {
		Enabled, Ebtables, RateLimit bool
		In, Out, Forward             string
	}
	got := defaults{f.Enabled.Value, f.Ebtables.Value, f.LogRateLimit.Value, f.PolicyIn.Value, f.PolicyOut.Value, f.PolicyForward.Value}
	if d := cmp.Diff(defaults{false, true, true, "DROP", "ACCEPT", "ACCEPT"}, got); d != "" {
		t.Error(d)
	}
	if f.PolicyIn.Origin != posture.Default {
		t.Errorf("policy_in is %s, not a default", f.PolicyIn.Origin)
	}
	n := f.Nodes.Value[0]
	if !n.Enabled.Value || !n.NoSmurfs.Value || n.TCPFlags.Value || n.SynFlood.Value || n.ConntrackMax.Value != 262144 || n.LogIn.Value != "nolog" {
		t.Errorf("the defaults of a node are %+v", n)
	}
	for _, s := range scopesOf(f) {
		if !strings.HasSuffix(s, " everyone everyone") {
			t.Errorf("without a firewall %s", s)
		}
	}
	if l := f.LimitsHere; !l.IsKnown() || len(l.Value) > 0 {
		t.Errorf("without a firewall something is limited: %+v", l)
	}
}

func TestFirewallExposures(t *testing.T) {
	nft := map[string]string{"etc/pve/nodes/pve1/host.fw": "[OPTIONS]\n\nnftables: 1\n"}
	tests := []struct {
		name, rules string
		more        map[string]string
		want        []string
	}{
		{"what PVE adds by itself", "", nil, []string{"tcp 22 management nobody", "tcp 8006 management nobody", "tcp 3128 management nobody",
			"tcp 5900:5999 management nobody", "tcp 111 nobody nobody", "udp 111 nobody nobody", "tcp 25 nobody nobody", "tcp 60000:60050 management nobody", "udp 5405:5412 nobody nobody"}},
		{"with nftables", "", nft, []string{"tcp 22 management nobody", "tcp 8006 management nobody", "tcp 3128 management nobody",
			"tcp 5900:5999 management nobody", "tcp 111 nobody nobody", "udp 111 nobody nobody", "tcp 25 nobody nobody", "tcp 60000:60050 nobody nobody", "udp 5405:5412 everyone everyone"}},
		{"a rule for all, one for a private and one for a public network", "[RULES]\n\nIN ACCEPT -p tcp -dport 8006\nIN ACCEPT -source 172.16.0.0/12 -p tcp -dport 22\nIN ACCEPT -source 2001:db8::/32 -p tcp -dport 25\n", nil,
			[]string{"tcp 22 private nobody", "tcp 8006 everyone everyone", "tcp 3128 management nobody", "tcp 5900:5999 management nobody", "tcp 111 nobody nobody",
				"udp 111 nobody nobody", "tcp 25 nobody public", "tcp 60000:60050 management nobody", "udp 5405:5412 nobody nobody"}},
		{"one port of a range is enough", "[RULES]\n\nIN ACCEPT -p tcp -dport 5901\n", nil,
			[]string{"tcp 22 management nobody", "tcp 8006 management nobody", "tcp 3128 management nobody", "tcp 5900:5999 everyone everyone", "tcp 111 nobody nobody",
				"udp 111 nobody nobody", "tcp 25 nobody nobody", "tcp 60000:60050 management nobody", "udp 5405:5412 nobody nobody"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := fwFacts(t, fwTree(fwOn+tt.rules, tt.more))
			if d := cmp.Diff(tt.want, scopesOf(f)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A program that does not run filters nothing, and one of which nothing is known limits nothing for sure.
func TestFirewallService(t *testing.T) {
	const state = ".castellan/run/pvesh-nodes-pve1-services-pve-firewall-state"
	f := fwFacts(t, fwTree(fwOn, nil))
	if !slices.Contains(f.LimitsHere.Value, "web") || !slices.Contains(f.LimitsHere.Value, "ssh") {
		t.Errorf("a running firewall limits %v", f.LimitsHere.Value)
	}
	f = fwFacts(t, fwTree(fwOn, map[string]string{state: `{"state":"stopped"}`}))
	if !f.LimitsHere.IsKnown() || len(f.LimitsHere.Value) > 0 || !f.Nodes.Value[0].ServiceOff {
		t.Errorf("a stopped firewall limits %+v", f.LimitsHere)
	}
	for name, answer := range map[string]string{"no answer": "", "another form": `{"state":7}`, "a list": `[]`} {
		files := fwTree(fwOn, map[string]string{state: answer})
		if f = fwFacts(t, files); f.LimitsHere.IsKnown() || f.Nodes.Value[0].Service.IsKnown() {
			t.Errorf("%s: the firewall limits %+v", name, f.LimitsHere)
		}
	}
	files := fwTree(fwOn, nil)
	delete(files, state)
	if f = fwFacts(t, files); f.LimitsHere.IsKnown() {
		t.Errorf("nobody was asked, and the firewall limits %+v", f.LimitsHere)
	}
}

// A time behind enable counts for a minute.
func TestFirewallTrial(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for seconds, want := range map[int64]bool{0: true, 59: true, 60: false, -1: false} {
		f := fwFacts(t, fwTree(fmt.Sprintf("[OPTIONS]\n\nenable: %d\n", now.Unix()-seconds), nil))
		if f.Enabled.Value != want {
			t.Errorf("%d s after the time behind enable the firewall is on: %v", seconds, f.Enabled.Value)
		}
	}
	if f := fwFacts(t, fwTree("[OPTIONS]\n\nenable: 2\n", nil)); f.Enabled.Value || f.EnableValue.Value != 2 {
		t.Error("enable: 2 is off")
	}
}

// A scan may be asked for the reading of both programs.
func TestFirewallBackends(t *testing.T) {
	f := fwFacts(t, fwTree(fwOn, nil), "iptables", "nftables")
	seen := map[string]string{}
	for _, e := range f.Exposures.Value {
		if e.Service == "corosync" {
			seen[e.Backend] = e.Scope4.Value
		}
	}
	if d := cmp.Diff(map[string]string{"iptables": "nobody", "nftables": "everyone"}, seen); d != "" {
		t.Error(d)
	}
}

const twoNodes = "nodelist {\n  node {\n    name: pve1\n    nodeid: 1\n    ring0_addr: 10.0.0.11\n  }\n  node {\n    name: pve2\n    nodeid: 2\n    ring0_addr: %s\n  }\n}\ntotem {\n  cluster_name: x\n}\n"

// The directory of a node that left the cluster is no member.
func TestFirewallMembers(t *testing.T) {
	f := fwFacts(t, fwTree(fwOn, map[string]string{"etc/pve/corosync.conf": fmt.Sprintf(twoNodes, "10.0.0.12"), "etc/pve/nodes/gone/host.fw": "[OPTIONS]\n\nenable: 0\n"}))
	var names []string
	for _, n := range f.Nodes.Value {
		names = append(names, n.Name)
	}
	if d := cmp.Diff([]string{"pve1", "pve2"}, names); d != "" {
		t.Error(d)
	}
}

// Where a peer is in a network that this node does not know, what is beyond the networks of the nodes is not known either.
func TestFirewallUnknownPeer(t *testing.T) {
	rule := "[RULES]\n\nIN ACCEPT -source 10.9.0.0/16 -p udp -dport 5405:5412\n"
	for address, known := range map[string]bool{"10.0.0.12": true, "10.9.0.12": false} {
		f := fwFacts(t, fwTree(fwOn+rule, map[string]string{"etc/pve/corosync.conf": fmt.Sprintf(twoNodes, address)}))
		for _, e := range f.Exposures.Value {
			if e.Service == "corosync" && e.Node == "pve1" && e.BeyondNodes.IsKnown() != known {
				t.Errorf("with a peer at %s: %+v", address, e.BeyondNodes)
			}
		}
	}
}

// fwDenied is a target on which some files cannot be read.
type fwDenied struct {
	host.Reader
	name string
}

func (d fwDenied) ReadFile(p string) ([]byte, error) {
	if p == d.name {
		return nil, &host.Error{Op: "read", Path: p, Err: fs.ErrPermission}
	}
	return d.Reader.ReadFile(p)
}

// What cannot be read is unknown, with all that follows from it.
func TestFirewallUnreadable(t *testing.T) {
	guest := map[string]string{"etc/pve/nodes/pve1/qemu-server/100.conf": "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n",
		"etc/pve/firewall/100.fw": "[OPTIONS]\n\nenable: 1\n", "etc/pve/nodes/pve1/host.fw": "[OPTIONS]\n\nenable: 1\n"}
	for _, name := range []string{"/etc/pve/firewall/cluster.fw", "/etc/pve/nodes/pve1/host.fw", "/etc/pve/firewall/100.fw", "/etc/pve/nodes/pve1/qemu-server/100.conf"} {
		reader := Collector{Name: "estate", Collect: func(c *Context) {
			own := *c
			own.Host = fwDenied{c.Host, name}
			collectEstate(&own)
		}}
		f := collectTree(t, reader, fwTree(fwOn, guest)).Firewall
		unknown := map[string]bool{"enabled": !f.Enabled.IsKnown(), "exposures": !f.Exposures.IsKnown(), "cards": !f.Cards.IsKnown(),
			"faults": !f.Faults.IsKnown(), "rules": !f.Rules.IsKnown(), "limits": !f.LimitsHere.IsKnown()}
		for _, e := range f.Exposures.Value {
			unknown["exposures"] = unknown["exposures"] || !e.Everyone.IsKnown()
		}
		for _, k := range f.Cards.Value {
			unknown["cards"] = unknown["cards"] || !k.Filtered.IsKnown() || !k.IPFilter.IsKnown()
		}
		want := map[string][]string{
			"/etc/pve/firewall/cluster.fw":             {"enabled", "exposures", "rules", "faults", "limits", "cards"},
			"/etc/pve/nodes/pve1/host.fw":              {"exposures", "rules", "faults", "limits", "cards"},
			"/etc/pve/firewall/100.fw":                 {"faults", "cards"},
			"/etc/pve/nodes/pve1/qemu-server/100.conf": {"cards"},
		}[name]
		for _, w := range want {
			if !unknown[w] {
				t.Errorf("%s cannot be read, and %s is known", name, w)
			}
		}
	}
}

// Files that grow to a megabyte are answered soon, if with unknown.
func TestFirewallHostile(t *testing.T) {
	var b strings.Builder
	b.WriteString(fwOn + "[RULES]\n\n")
	for i := range 12000 {
		fmt.Fprintf(&b, "IN %s -source %d.%d.%d.0/28\n", []string{"ACCEPT", "DROP"}[i%2], 1+i%200, i/200%250, i%250)
	}
	f := fwFacts(t, fwTree(b.String(), nil))
	if f.Exposures.Value[0].Everyone.IsKnown() {
		t.Error("12,000 rules were worked out, which takes minutes")
	}
	if f.LimitsHere.IsKnown() {
		t.Error("what is not worked out limits something")
	}
}

// A larger set is never in a narrower scope.
func TestScopesGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := func(name string) netset.Addrs {
			var sets []netset.Addrs
			for i := range rapid.IntRange(0, 4).Draw(t, name) {
				a := [4]byte{rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b"), 0, byte(i)}
				sets = append(sets, netset.Prefix(netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(0, 32).Draw(t, "bits"))))
			}
			return netset.Join(sets...)
		}
		s := fwScopes{nodes: netset.Prefix(netip.MustParsePrefix("10.0.0.0/24")), management: set("management"), public: publicAddrs()}
		small := set("small")
		large := small.Union(set("more"))
		if scopeRank(s.of(small)) > scopeRank(s.of(large)) {
			t.Fatalf("%v is %s, %v is %s", small, s.of(small), large, s.of(large))
		}
	})
}
