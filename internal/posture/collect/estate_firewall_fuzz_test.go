package collect

import (
	"os"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// FuzzFirewallFacts holds that no content of the firewall's files brings the collector down, and that a firewall which is off
// or of which nothing is known limits nothing.
func FuzzFirewallFacts(f *testing.F) {
	const estate = "../../../examples/estate/etc/pve/"
	read := func(name string) []byte {
		b, err := os.ReadFile(estate + name)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	cluster := read("firewall/cluster.fw")
	for _, guest := range []string{"103", "105", "106", "109"} {
		f.Add(cluster, read("nodes/pve1/host.fw"), read("firewall/"+guest+".fw"))
	}
	f.Add([]byte(fwOn+"[group a]\nGROUP b\n[group b]\nGROUP a\n[RULES]\nGROUP a\n"), []byte("[OPTIONS]\nnftables: 1\n"), []byte("[RULES]\nGROUP a\n"))
	f.Add([]byte(fwOn+"\x00\xff[RULES]\nIN ACCEPT -p tcp -dport 1:0,,-1\n"), []byte(strings.Repeat("|", 5000)), []byte("[IPSET ipfilter-net0]\n!0.0.0.0/0\n"))
	f.Fuzz(func(t *testing.T, clusterFW, hostFW, guestFW []byte) {
		m := &host.Memory{Files: map[string][]byte{
			"/etc/hostname": []byte("pve1\n"), "/etc/hosts": []byte("10.0.0.11 pve1\n"),
			"/etc/network/interfaces":                     []byte("auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.11/24\n\tbridge-ports eno1\n"),
			"/etc/pve/nodes/pve1/qemu-server/100.conf":    []byte("net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n"),
			"/etc/pve/nodes/pve1/host.fw":                 hostFW,
			"/etc/pve/firewall/cluster.fw":                clusterFW,
			"/etc/pve/firewall/100.fw":                    guestFW,
			"/etc/systemd/system/multi-user.target.wants": nil,
		}}
		facts, err := Run(m, host.Description{Kind: "dir", Root: true}, []Collector{Estate()})
		if err != nil {
			t.Fatal(err)
		}
		if len(facts.Target.Faults) > 0 {
			t.Fatal(facts.Target.Faults)
		}
		fw := facts.Firewall
		if fw.LimitsHere.IsKnown() && len(fw.LimitsHere.Value) > 0 {
			t.Errorf("nobody knows whether the firewall runs, and it limits %v", fw.LimitsHere.Value)
		}
		for _, e := range fw.Exposures.Value {
			exposureHolds(t, e, fw.Enabled)
		}
	})
}

// exposureHolds checks what has to be true of every exposure.
func exposureHolds(t *testing.T, e posture.FirewallExposure, enabled posture.Fact[bool]) {
	t.Helper()
	switch {
	case !e.Everyone.IsKnown():
	case enabled.IsKnown() && !enabled.Value && !e.Everyone.Value:
		t.Errorf("the firewall is off, and %s is limited to %v", e.Name, e.Sources.Value)
	case e.Everyone.Value && !e.Public.Value:
		t.Errorf("%s is open to everyone and not to the internet", e.Name)
	case e.Scope4.Value == scopeNobody && e.Scope6.Value == scopeNobody && len(e.Sources.Value) > 0:
		t.Errorf("nobody reaches %s, and %v do", e.Name, e.Sources.Value)
	}
}
