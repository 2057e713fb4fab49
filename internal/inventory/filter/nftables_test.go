package filter_test

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// TestNFTables goes through what proxmox-firewall does differently.
func TestNFTables(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   []string
		packets string
	}{
		{"default in before the rules", []string{"cluster.fw", on + "[RULES]\nIN DROP -p tcp -dport 8006\nIN ACCEPT -p udp -dport 1900\n"}, `
			ACCEPT outside host tcp source=10.0.0.9 dport=8006 # management
			DROP outside host tcp source=192.0.2.9 dport=8006 # IN DROP
			DROP outside host udp dport=1900 # UPnP
			REJECT outside host udp dport=138 # SMB
			REJECT outside host udp dport=2000 sport=137
			ACCEPT outside host udp dport=5405
			ACCEPT outside host tcp source=fd00::9 dport=22
			ACCEPT outside host igmp`},
		{"no way out without a rule", []string{"cluster.fw", "[OPTIONS]\nenable: 1\npolicy_out: DROP\n"}, `
			DROP host outside tcp dest=10.0.0.9 dport=8006
			DROP host outside udp dest=10.0.0.3 dport=5405
			ACCEPT host outside icmpv6 type=neighbor-solicitation
			ACCEPT host outside icmp type=time-exceeded`},
		{"ICMP first", []string{"100.fw", on + "[RULES]\nIN DROP -p icmp\n"}, `
			ACCEPT outside vm/100 icmp type=3/1
			ACCEPT outside vm/100 icmp type=source-quench
			DROP outside vm/100 icmp type=echo-request
			ACCEPT outside host icmpv6 type=parameter-problem
			ACCEPT outside vm/101 icmp type=echo-request`},
		{"REJECT of what comes in is DROP", []string{"100.fw", "[OPTIONS]\nenable: 1\npolicy_out: REJECT\n[RULES]\nIN REJECT -p tcp\nOUT REJECT -p udp\n"}, `
			DROP outside vm/100 tcp # REJECT of what comes to a guest means DROP
			REJECT vm/100 outside udp
			REJECT vm/100 outside tcp # policy_out
			DROP vm/100 outside udp dest=255.255.255.255`},
		{"REJECT in a group", []string{"cluster.fw", on + "[group g]\nIN REJECT\n[RULES]\nGROUP g\n", "100.fw", on + "[RULES]\nGROUP g\n"}, `
			REJECT outside host tcp dport=80
			REJECT outside host icmp
			DROP outside vm/100 tcp dport=80`},
		{"ports without protocol match everything", []string{"100.fw", on + "[RULES]\nIN ACCEPT -dport 22\n"}, `ACCEPT outside vm/100 udp dport=99`},
		{"case of macros and actions", []string{"100.fw", on + "[RULES]\nIN ssh(ACCEPT)\nIN accept -p udp\n"}, `
			DROP outside vm/100 tcp dport=22
			ACCEPT outside vm/100 udp dport=22`},
		{"case of groups", []string{"cluster.fw", on + "[group Web]\nIN ACCEPT\n", "100.fw", on + "[RULES]\nGROUP Web\n"}, `ACCEPT outside vm/100 tcp`},
		{"blanks do not matter", []string{"100.fw", on + "[RULES]\nIN ACCEPT -p  tcp   -dport 5 -log warning\n"}, `
			ACCEPT outside vm/100 tcp dport=5
			DROP outside vm/100 tcp dport=6`},
		{"dhcp, ndp, radv off are drops", []string{"100.fw", "[OPTIONS]\nenable: 1\ndhcp: 0\nndp: 0\n[RULES]\nIN ACCEPT\nOUT ACCEPT\n"}, `
			DROP outside vm/100 udp dport=68 sport=67 # dhcp
			DROP vm/100 outside udp dport=67 sport=68
			DROP outside vm/100 icmpv6 type=neighbor-solicitation # ndp
			DROP vm/100 outside icmpv6 type=router-advertisement # radv
			ACCEPT outside vm/100 udp dport=69 sport=67`},
		{"dhcp, ndp on", []string{"100.fw", "[OPTIONS]\nenable: 1\npolicy_out: DROP\nradv: on\n"}, `
			ACCEPT outside vm/100 udp dport=68 sport=67 # dhcp
			ACCEPT vm/100 outside udp dport=67 sport=68
			DROP vm/100 outside udp dport=67 sport=68 mac=02:00:00:00:00:01 # macfilter
			ACCEPT outside vm/100 icmpv6 type=nd-redirect
			ACCEPT vm/100 outside icmpv6 type=redirect # radv: 1
			ACCEPT vm/100 outside icmpv6 type=router-solicitation`},
		{"ipfilter needs its option", []string{"100.fw", on + "[IPSET ipfilter-net0]\n10.0.0.9\n"}, `ACCEPT vm/100 outside tcp source=10.0.0.8`},
		{"ipfilter with a set", []string{"100.fw", "[OPTIONS]\nenable: 1\nipfilter: 1\n[IPSET ipfilter-net0]\n10.0.0.0/24\n!10.0.0.8\n"}, `
			DROP vm/100 outside tcp source=10.0.0.8 # ipfilter
			ACCEPT vm/100 outside tcp source=10.0.0.9
			DROP vm/100 outside udp source=0.0.0.0 dport=67 sport=68
			DROP vm/100 outside tcp source=fe80::be24:11ff:fe00:1`},
		{"ipfilter without a set", []string{"200.fw", "[OPTIONS]\nenable: 1\nipfilter: 1\n"}, `
			ACCEPT ct/200 outside tcp source=10.0.0.50
			DROP ct/200 outside tcp source=10.0.0.51
			ACCEPT ct/200 outside tcp source=fe80::be24:11ff:fe00:4
			ACCEPT ct/200 outside tcp source=fd00::50`},
		{"FORWARD", []string{"cluster.fw", "[OPTIONS]\nenable: 1\npolicy_forward: DROP\n[RULES]\nFORWARD ACCEPT -p tcp -dport 22\nFORWARD ACCEPT -i vmbr0 -p udp\n"}, `
			ACCEPT outside/eth2 vm/101 tcp dport=22
			DROP outside/eth2 vm/101 tcp dport=23 # policy_forward
			DROP outside vm/100/net1 udp dport=23
			ACCEPT outside vm/101 tcp dport=23`},
		{"FORWARD in iptables is nothing", []string{"cluster.fw", "[OPTIONS]\nenable: 1\npolicy_forward: DROP\n"}, `ACCEPT outside vm/101 tcp dport=23`},
		{"vnet", []string{"/etc/pve/sdn/firewall/vmbr1.fw", "[OPTIONS]\nenable: 1\npolicy_forward: DROP\n[RULES]\nFORWARD ACCEPT -p tcp -dport 80\n",
			"100.fw", "[OPTIONS]\nenable: 1\npolicy_in: ACCEPT\n"}, `
			ACCEPT vmbr1/x vm/100/net1 tcp dport=80
			DROP vmbr1/x vm/100/net1 tcp dport=81 # policy_forward
			DROP host vm/100/net1 tcp dport=81
			ACCEPT outside vm/100 tcp dport=81`},
		{"an address of the other family is left out", []string{"cluster.fw", on + "[ALIASES]\nsix 2001:db8::1\n",
			"100.fw", on + "[RULES]\nIN ACCEPT -source 192.0.2.0/24 -dest six\n"}, `
			ACCEPT outside vm/100 tcp source=192.0.2.1 dest=10.9.9.9
			DROP outside vm/100 tcp source=2001:db8::9 dest=2001:db8::1`},
		{"a missing name costs one rule", []string{"100.fw", on + "[RULES]\nIN DROP -source nosuch\nIN DROP -source +nosuch\nIN ACCEPT\n"}, `
			ACCEPT outside vm/100 tcp`},
		{"conntrack helpers open their port", []string{"host.fw", "[OPTIONS]\nnf_conntrack_helpers: ftp,irc\n"}, `
			ACCEPT outside host tcp dport=21
			ACCEPT outside host tcp source=2001:db8::1 dport=21
			ACCEPT outside host tcp dport=6667
			DROP outside host tcp source=2001:db8::1 dport=6667`},
		{"ICMP codes have no type", []string{"100.fw", on + "[RULES]\nIN ACCEPT -p icmp -icmp-type port-unreachable\nIN ACCEPT -p icmp -icmp-type 17\n"}, `
			ACCEPT outside vm/100 icmp type=redirect/3
			DROP outside vm/100 icmp type=redirect/2
			ACCEPT outside vm/100 icmp type=17`},
		{"macro and protocol", []string{"100.fw", on + "[RULES]\nIN SSH(ACCEPT) -p udp\nIN PBS(ACCEPT)\nIN DHCPv6(ACCEPT)\n"}, `
			DROP outside vm/100 tcp dport=22
			DROP outside vm/100 udp dport=22
			ACCEPT outside vm/100 tcp dport=8007
			ACCEPT outside vm/100 udp dport=546 sport=546`},
		{"lists of ranges", []string{"100.fw", on + "[RULES]\nIN ACCEPT -source 192.0.2.1-192.0.2.5,198.51.100.0/24 -p tcp -dport ssh:80\n"}, `
			ACCEPT outside vm/100 tcp source=192.0.2.3 dport=25
			ACCEPT outside vm/100 tcp source=198.51.100.3 dport=80
			DROP outside vm/100 tcp source=192.0.2.6 dport=80`},
		{"groups in groups", []string{"cluster.fw", on + "[group a1]\nGROUP b1\nIN DROP -p udp\n[group b1]\nIN ACCEPT -p udp -dport 7\nGROUP a1\n",
			"100.fw", on + "[RULES]\nGROUP a1\nIN ACCEPT\n"}, `
			ACCEPT outside vm/100 udp dport=7
			DROP outside vm/100 udp dport=8
			ACCEPT outside vm/100 tcp`},
		{"interfaces of the node", []string{"host.fw", "[RULES]\nIN ACCEPT -i eth2 -p tcp -dport 80\n"}, `
			ACCEPT outside/eth2 host tcp dport=80
			DROP outside host tcp dport=80`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := filter.NFTables
			if strings.Contains(c.name, "in iptables") {
				b = filter.IPTables
			}
			expect(t, network(t, b, c.files...), c.packets)
		})
	}
}

// TestRefused: one bad line in the file of any guest of the node, and nothing is loaded after a boot.
func TestRefused(t *testing.T) {
	for name, files := range map[string][]string{
		"guest":     {"101.fw", "[RULES]\nIN ACCEPT -log loud\n"},
		"header":    {"cluster.fw", on + "[ipset nets]\n10.0.0.0/8\n"},
		"no header": {"cluster.fw", "enable: 1\n" + on},
		"duplicate": {"cluster.fw", on + "[group a1]\n[group a1]\n"},
		"flag":      {"host.fw", "[RULES]\nIN ACCEPT -x 1\n"},
		"value":     {"host.fw", "[OPTIONS]\nndp: maybe\n"},
		"sets":      {"host.fw", "[IPSET a1]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := network(t, filter.NFTables, files...)
			if len(n.Refused) != 1 {
				t.Errorf("refused: %v", n.Refused)
			}
			if !n.Enabled {
				return // the line that is left out was the switch
			}
			expect(t, n, `
				ACCEPT outside host tcp dport=80 # refuses the file
				ACCEPT outside vm/100 tcp dport=80 # refuses the file`)
			if c := n.NICs()[0]; c.Missing != filter.MissingRuleset || !strings.Contains(c.MissingWhy, ".fw:") {
				t.Errorf("%+v", c)
			}
		})
	}
	if n := network(t, filter.IPTables, "101.fw", "[RULES]\nIN ACCEPT -log loud\n"); len(n.Refused) != 0 {
		t.Errorf("pve-firewall refuses nothing: %v", n.Refused)
	}
}

func TestDefaultBackend(t *testing.T) {
	m := map[string][]byte{}
	for name, text := range base() {
		m[name] = []byte(text)
	}
	if b := filter.DefaultBackend(cluster(t, m), "pve1"); b != filter.IPTables {
		t.Errorf("without host.fw: %s", b)
	}
	m["/etc/pve/nodes/pve1/host.fw"] = []byte("[OPTIONS]\nnftables: 1\n")
	if b := filter.DefaultBackend(cluster(t, m), "pve1"); b != filter.NFTables {
		t.Errorf("with nftables: 1: %s", b)
	}
}
