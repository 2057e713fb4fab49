package filter_test

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// base is a standalone node with one bridge, a virtual machine and a container.
func base() map[string]string {
	return map[string]string{
		"/etc/hostname": "pve1\n",
		"/etc/hosts":    "10.0.0.2 pve1\nfd00::2 pve1\n",
		"/etc/network/interfaces": "auto vmbr0\niface vmbr0 inet static\n\taddress 10.0.0.2/24\n\tgateway 10.0.0.1\n\tbridge-ports eth0\n" +
			"iface vmbr0 inet6 static\n\taddress fd00::2/64\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n" +
			"auto eth2\niface eth2 inet static\n\taddress 192.0.2.1/24\n",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n" +
			"net1: virtio=BC:24:11:00:00:02,bridge=vmbr1,firewall=1\n",
		"/etc/pve/nodes/pve1/qemu-server/101.conf": "net0: virtio=BC:24:11:00:00:03,bridge=vmbr0,firewall=1\n",
		"/etc/pve/nodes/pve1/lxc/200.conf":         "net0: name=eth0,hwaddr=BC:24:11:00:00:04,bridge=vmbr0,firewall=1,ip=10.0.0.50/24,ip6=fd00::50/64\n",
		"/etc/pve/firewall/cluster.fw":             "[OPTIONS]\nenable: 1\n",
		"/etc/pve/firewall/100.fw":                 "[OPTIONS]\nenable: 1\n",
	}
}

func network(t testing.TB, b filter.Backend, files ...string) *filter.Network {
	t.Helper()
	m := map[string][]byte{}
	for name, text := range base() {
		m[name] = []byte(text)
	}
	for i := 0; i < len(files); i += 2 {
		name := files[i]
		switch {
		case strings.HasPrefix(name, "/"):
		case name == "host.fw":
			name = "/etc/pve/nodes/pve1/host.fw"
		case strings.HasSuffix(name, ".conf"):
			name = "/etc/pve/nodes/pve1/qemu-server/" + name
		default:
			name = "/etc/pve/firewall/" + name
		}
		m[name] = []byte(files[i+1])
	}
	return compile(t, cluster(t, m), "pve1", b)
}

// packet reads "from to proto key=value ...".
func packet(text string) filter.Query {
	f := strings.Fields(text)
	q := filter.Query{From: f[0], To: f[1], Proto: f[2]}
	for _, kv := range f[3:] {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "source":
			q.Source = v
		case "dest":
			q.Dest = v
		case "dport":
			q.DPort = v
		case "sport":
			q.SPort = v
		case "type":
			q.ICMPType = v
		case "mac":
			q.MAC = v
		}
	}
	return q
}

// expect asks for packets, each line "VERDICT packet", with an optional "# part of the reason".
func expect(t *testing.T, n *filter.Network, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		text, reason, _ := strings.Cut(line, "#")
		want, rest, _ := strings.Cut(text, " ")
		got, err := n.Simulate(packet(rest))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		last := got.Trace[len(got.Trace)-1]
		if string(got.Verdict) != want || !strings.Contains(last.Rule, strings.TrimSpace(reason)) {
			t.Errorf("%s: got %s by %+v", line, got.Verdict, got.Trace)
		}
	}
}

const on = "[OPTIONS]\nenable: 1\n"

// TestRules are those parts of the grammar that PVE's own simulator cannot follow.
func TestRules(t *testing.T) {
	for _, c := range []struct{ name, fw, packets string }{
		{"list of ports", "IN ACCEPT -p tcp -dport 22,80:82,https", `
			ACCEPT outside vm/100 tcp dport=22
			ACCEPT outside vm/100 tcp dport=81
			ACCEPT outside vm/100 tcp dport=443
			DROP outside vm/100 tcp dport=83
			DROP outside vm/100 udp dport=22`},
		{"source ports", "IN ACCEPT -p udp -sport 123\nIN ACCEPT -p tcp -sport 1000:2000,3000 -dport 9", `
			ACCEPT outside vm/100 udp dport=5 sport=123
			DROP outside vm/100 udp dport=5 sport=124
			ACCEPT outside vm/100 tcp dport=9 sport=1500
			DROP outside vm/100 tcp dport=10 sport=1500
			DROP outside vm/100 tcp dport=9 sport=2500`},
		{"port 0 is no port to PVE", "IN ACCEPT -p tcp -dport 0", `
			ACCEPT outside vm/100 tcp dport=77
			DROP outside vm/100 udp dport=77`},
		{"range and list of addresses", "IN ACCEPT -source 192.0.2.10-192.0.2.20 -p tcp\nIN ACCEPT -source 198.51.100.1,203.0.113.0/24", `
			ACCEPT outside vm/100 tcp source=192.0.2.10
			ACCEPT outside vm/100 tcp source=192.0.2.20
			DROP outside vm/100 tcp source=192.0.2.21
			ACCEPT outside vm/100 udp source=203.0.113.9
			DROP outside vm/100 udp source=198.51.100.2`},
		{"bits of the host make a network an error", "IN ACCEPT -source 192.0.2.10/24", `DROP outside vm/100 tcp source=192.0.2.10`},
		{"a range in a list is an error", "IN ACCEPT -source 192.0.2.1,192.0.2.5-192.0.2.9", `DROP outside vm/100 tcp source=192.0.2.1`},
		{"ICMP by name", "IN ACCEPT -p icmp -icmp-type echo-request\nIN ACCEPT -p icmp -dport port-unreachable", `
			ACCEPT outside vm/100 icmp type=echo-request
			DROP outside vm/100 icmp type=echo-reply
			ACCEPT outside vm/100 icmp type=3/3
			DROP outside vm/100 icmp type=3/1`},
		{"ICMP by number is an error", "IN ACCEPT -p icmp -icmp-type 8", `DROP outside vm/100 icmp type=8`},
		{"a number in dport of old is none", "IN ACCEPT -p icmp -dport 8", `ACCEPT outside vm/100 icmp type=8`},
		{"any ICMP", "IN ACCEPT -p icmp -icmp-type any", `ACCEPT outside vm/100 icmp type=17`},
		{"ICMPv6", "IN ACCEPT -p ipv6-icmp -icmp-type packet-too-big\nIN ACCEPT -p icmpv6 -icmp-type echo-request", `
			ACCEPT outside vm/100 icmpv6 type=echo-request
			DROP outside vm/100 icmpv6 type=echo-reply
			DROP outside vm/100 icmp type=echo-request`},
		{"macro for both families", "IN Ping(ACCEPT)", `
			ACCEPT outside vm/100 icmp
			ACCEPT outside vm/100 icmpv6`},
		{"macro with parts", "IN sixxs(ACCEPT)", `
			ACCEPT outside vm/100 41
			ACCEPT outside vm/100 udp dport=8374
			DROP outside vm/100 udp dport=8375`},
		{"macro that is contradicted", "IN SSH(ACCEPT) -p udp", `DROP outside vm/100 udp dport=22`},
		{"protocol by number and name", "IN ACCEPT -p 47\nIN ACCEPT -p esp", `
			ACCEPT outside vm/100 gre
			ACCEPT outside vm/100 50
			DROP outside vm/100 51`},
		{"ports without protocol", "IN ACCEPT -dport 22", `DROP outside vm/100 tcp dport=22`},
		{"more than fifteen numbers", "IN ACCEPT -p tcp -dport 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", `DROP outside vm/100 tcp dport=1`},
		{"a range counts twice", "IN ACCEPT -p tcp -dport 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15", `ACCEPT outside vm/100 tcp dport=1`},
		{"two blanks lose the rule", "IN ACCEPT -p  tcp", `DROP outside vm/100 tcp`},
		{"one NIC", "IN ACCEPT -i net1 -p tcp -dport 22", `
			DROP outside vm/100 tcp dport=22
			ACCEPT vmbr1/x vm/100/net1 tcp dport=22`},
		{"FORWARD is an error", "FORWARD ACCEPT", `DROP outside vm/100 tcp`},
		{"disabled", "|IN ACCEPT", `DROP outside vm/100 tcp`},
		{"lower case action", "IN accept", `DROP outside vm/100 tcp`},
		{"type in any case", "in ACCEPT -p udp", `ACCEPT outside vm/100 udp`},
		{"IPv6 addresses", "IN ACCEPT -source 2001:db8::/32 -p tcp -dport 22", `
			ACCEPT outside vm/100 tcp source=2001:db8::1 dport=22
			DROP outside vm/100 tcp source=2001:db9::1 dport=22
			DROP outside vm/100 tcp dport=22`},
		{"mixed families", "IN ACCEPT -source 2001:db8::/32 -dest 10.0.0.0/8", `DROP outside vm/100 tcp source=2001:db8::1`},
		{"REJECT drops ICMP and broadcasts", "IN REJECT", `
			REJECT outside vm/100 tcp
			DROP outside vm/100 icmp
			DROP outside vm/100 udp dest=255.255.255.255
			DROP outside vm/100 udp dest=10.0.0.255
			DROP outside vm/100 icmpv6
			REJECT outside vm/100 udp source=2001:db8::1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, network(t, filter.IPTables, "100.fw", on+"[RULES]\n"+c.fw+"\n"), c.packets)
		})
	}
}

// TestPolicies looks at what the policies do by themselves.
func TestPolicies(t *testing.T) {
	drop := network(t, filter.IPTables)
	expect(t, drop, `
		DROP outside vm/100 tcp dport=80 # policy_in DROP
		DROP outside vm/100 udp dest=224.0.0.251 dport=5353 # policy DROP: broadcast
		ACCEPT outside vm/100 icmp type=fragmentation-needed # policy DROP: ICMP
		ACCEPT outside vm/100 icmp type=11/1
		DROP outside vm/100 icmp type=3/1
		REJECT outside vm/100 tcp source=2001:db8::1 dport=43 # tcp 43
		ACCEPT outside vm/100 icmpv6 type=destination-unreachable
		ACCEPT outside vm/100 icmpv6 type=packet-too-big
		DROP outside vm/100 icmpv6 type=parameter-problem
		DROP outside vm/100 udp source=2001:db8::1 dest=ff02::fb dport=5353 # multicast
		ACCEPT vm/100 outside tcp dport=80 # policy_out ACCEPT`)
	reject := network(t, filter.IPTables, "100.fw", "[OPTIONS]\nenable: 1\npolicy_in: REJECT\npolicy_out: reject\n")
	expect(t, reject, `
		REJECT outside vm/100 tcp dport=80 # policy_in: REJECT
		DROP outside vm/100 icmp
		ACCEPT outside vm/100 icmp type=time-exceeded
		DROP outside vm/100 udp dest=10.0.0.255
		DROP outside vm/100 udp dport=1900
		DROP outside vm/100 udp dport=9999 sport=53
		REJECT outside vm/100 udp dport=135 sport=53
		REJECT outside vm/100 udp dport=1900 sport=137
		REJECT outside vm/100 tcp dport=445
		REJECT outside vm/100 50
		REJECT outside vm/100 tcp source=2001:db8::1 dport=43
		DROP outside vm/100 icmpv6 type=echo-request
		REJECT vm/100 outside tcp dport=80`)
	node := network(t, filter.IPTables, "cluster.fw", "[OPTIONS]\nenable: 1\npolicy_in: REJECT\npolicy_out: DROP\n")
	expect(t, node, `
		REJECT outside host tcp dport=80
		DROP outside host udp dport=1900
		DROP host outside tcp dport=80 # policy_out: DROP
		ACCEPT host outside tcp dest=10.0.0.77 dport=8006 # local network
		ACCEPT host outside tcp dest=10.0.0.77 dport=3128
		DROP host outside tcp dest=10.0.0.77 dport=60000`)
}

func TestIPSets(t *testing.T) {
	clusterFW := on + `[ALIASES]
office 192.0.2.0/24
[IPSET nets]
10.0.0.0/8
!10.1.0.0/16
10.1.2.0/24
!10.1.2.3
office
!192.0.2.66
2001:db8::/32
!2001:db8:1::/48
0.0.0.0/0
10.0.0.0/8
[IPSET Mixed]
203.0.113.1
[IPSET early]
late
[ALIASES]
late 203.0.113.7
`
	rules := on + "[IPSET own]\n198.51.100.1\n[RULES]\nIN ACCEPT -source +nets -p tcp\nIN ACCEPT -source +Mixed\nIN ACCEPT -source +mixed -p udp\n" +
		"IN ACCEPT -source +guest/own\nIN ACCEPT -source +dc/own -p udp\nIN ACCEPT -source +early -p sctp\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", clusterFW, "100.fw", rules), `
		ACCEPT outside vm/100 tcp source=10.200.0.1
		DROP outside vm/100 tcp source=10.1.9.9
		ACCEPT outside vm/100 tcp source=10.1.2.4
		DROP outside vm/100 tcp source=10.1.2.3
		ACCEPT outside vm/100 tcp source=192.0.2.1
		DROP outside vm/100 tcp source=192.0.2.66
		ACCEPT outside vm/100 tcp source=2001:db8::1
		DROP outside vm/100 tcp source=2001:db8:1::1
		DROP outside vm/100 tcp source=198.51.100.200
		DROP outside vm/100 tcp source=203.0.113.1
		ACCEPT outside vm/100 udp source=203.0.113.1
		ACCEPT outside vm/100 tcp source=198.51.100.1
		DROP outside vm/100 sctp source=203.0.113.7`)
	// proxmox-firewall makes a second set of what does not match, which always wins.
	strict := strings.NewReplacer("0.0.0.0/0\n10.0.0.0/8\n", "", "[IPSET early]\nlate\n[ALIASES]\nlate 203.0.113.7\n", "").Replace(clusterFW)
	n := network(t, filter.NFTables, "cluster.fw", strict, "100.fw", on+"[RULES]\nIN ACCEPT -source +nets -p tcp\nIN ACCEPT -source +Mixed\n")
	expect(t, n, `
		ACCEPT outside vm/100 tcp source=10.200.0.1
		DROP outside vm/100 tcp source=10.1.2.4
		ACCEPT outside vm/100 udp source=203.0.113.1`)
}

func TestBlacklistAndSmurfs(t *testing.T) {
	black := on + "[IPSET blacklist]\n198.51.100.0/24\n2001:db8:bad::/48\n[RULES]\nIN ACCEPT\n"
	n := network(t, filter.IPTables, "cluster.fw", black, "100.fw", on+"[RULES]\nIN ACCEPT\n")
	expect(t, n, `
		DROP outside host tcp source=198.51.100.1 # ipset blacklist
		DROP outside vm/100 tcp source=198.51.100.1
		DROP outside vm/101 tcp source=198.51.100.1 # ipset blacklist
		ACCEPT outside vm/101 tcp source=203.0.113.1 # not filtered
		DROP outside host tcp source=2001:db8:bad::1
		DROP outside host udp source=255.255.255.255 # smurfs
		DROP outside host udp source=10.0.0.255
		DROP outside vm/100 udp source=224.0.0.1
		ACCEPT outside host udp source=0.0.0.0`)
	off := network(t, filter.IPTables, "cluster.fw", black, "host.fw", "[OPTIONS]\nnosmurfs: 0\ntcpflags: 1\n")
	expect(t, off, `ACCEPT outside host udp source=10.0.0.255`)
	nft := network(t, filter.NFTables, "cluster.fw", black, "100.fw", on+"[RULES]\nIN ACCEPT\n")
	expect(t, nft, `
		ACCEPT outside host tcp source=198.51.100.1
		ACCEPT outside vm/100 tcp source=198.51.100.1
		DROP outside host udp source=224.0.0.1 # nosmurfs
		DROP outside host udp dest=10.0.0.255 # nosmurfs`)
}

func TestGuestSources(t *testing.T) {
	open := "[OPTIONS]\nenable: 1\n"
	expect(t, network(t, filter.IPTables, "100.fw", open), `
		ACCEPT vm/100 outside tcp source=192.0.2.9 dport=80
		DROP vm/100 outside tcp source=192.0.2.9 dport=80 mac=02:00:00:00:00:01 # macfilter
		ACCEPT vm/100 outside udp source=0.0.0.0 dport=67 sport=68 mac=02:00:00:00:00:01 # dhcp
		ACCEPT vm/100 outside udp source=fe80::1 dport=547 sport=546
		ACCEPT outside vm/100 udp dport=68 sport=67 # dhcp
		ACCEPT outside vm/100 udp source=fe80::1 dport=546 sport=547
		DROP outside vm/100 udp dport=68 sport=66
		DROP vm/100 outside icmpv6 source=fe80::1 type=router-advertisement # radv
		ACCEPT vm/100 outside icmpv6 type=neighbor-solicitation # ndp
		ACCEPT outside vm/100 icmpv6 type=router-advertisement # ndp
		ACCEPT outside vm/100 icmpv6 type=neighbor-advertisement # ndp
		DROP outside vm/100 icmpv6 type=redirect`)
	options := "[OPTIONS]\nenable: 1\ndhcp: 0\nmacfilter: 0\nndp: 0\nradv: 1\npolicy_out: DROP\n"
	expect(t, network(t, filter.IPTables, "100.fw", options), `
		DROP vm/100 outside udp dport=67 sport=68
		DROP outside vm/100 udp dport=68 sport=67
		DROP outside vm/100 icmpv6 type=neighbor-advertisement
		DROP vm/100 outside icmpv6 type=router-advertisement # policy_out`)
	radv := "[OPTIONS]\nenable: 1\nradv: 1\npolicy_out: DROP\n"
	expect(t, network(t, filter.IPTables, "100.fw", radv), `ACCEPT vm/100 outside icmpv6 type=router-advertisement # ndp`)

	// An empty set drops everything but DHCP in IPv4, and in IPv6 everything but the NIC's own link-local address.
	filtered := network(t, filter.IPTables, "100.fw", "[OPTIONS]\nenable: 1\nipfilter: 1\n", "200.fw", "[OPTIONS]\nenable: 1\nipfilter: 1\n")
	expect(t, filtered, `
		DROP vm/100 outside tcp source=10.0.0.9 dport=80 # ipfilter
		ACCEPT vm/100 outside udp source=0.0.0.0 dport=67 sport=68
		ACCEPT vm/100 outside tcp source=fe80::be24:11ff:fe00:1 dport=80
		DROP vm/100 outside tcp source=fe80::1 dport=80
		ACCEPT ct/200 outside tcp dport=80
		DROP ct/200 outside tcp source=10.0.0.51 dport=80
		ACCEPT ct/200 outside tcp source=fd00::50 dest=2001:db8::1 dport=80`)
	set := "[OPTIONS]\nenable: 1\n[IPSET ipfilter-net0]\n10.0.0.9\nfe80::/10\n"
	expect(t, network(t, filter.IPTables, "100.fw", set), `
		ACCEPT vm/100 outside tcp source=10.0.0.9 dport=80
		DROP vm/100 outside tcp source=10.0.0.8 dport=80 # ipfilter-net0
		ACCEPT vm/100/net1 outside tcp source=10.0.0.8 dport=80
		DROP vm/100 outside tcp source=fe80::1 dport=80`)
}

func TestHostOrder(t *testing.T) {
	fw := on + "[IPSET management]\n203.0.113.5\n!10.0.0.66\n[RULES]\nIN DROP -p tcp -dport 3128\nIN ACCEPT -p tcp -dport 445\n"
	hostFW := "[RULES]\nIN ACCEPT -p tcp -dport 3128 -source 203.0.113.0/24\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", fw, "host.fw", hostFW), `
		ACCEPT outside host tcp source=10.0.0.9 dport=8006 # management: tcp 8006
		ACCEPT outside host tcp source=10.0.0.9 dport=22
		ACCEPT outside host tcp source=10.0.0.9 dport=5999
		ACCEPT outside host tcp source=10.0.0.9 dport=60050
		DROP outside host tcp source=10.0.0.9 dport=60051
		DROP outside host tcp source=10.0.0.9 dport=3128 # IN DROP
		ACCEPT outside host tcp source=203.0.113.5 dport=3128 # IN ACCEPT
		ACCEPT outside host tcp source=203.0.113.5 dport=8006
		DROP outside host tcp source=10.0.0.66 dport=8006
		DROP outside host tcp source=203.0.113.6 dport=8006
		ACCEPT outside host igmp
		ACCEPT outside host tcp source=192.0.2.9 dport=445
		ACCEPT outside host icmpv6 type=neighbor-solicitation
		DROP outside host udp source=10.0.0.9 dport=5405
		DROP outside host tcp source=fd00::9 dport=8006`)
	nft := network(t, filter.NFTables, "cluster.fw", fw, "host.fw", hostFW)
	expect(t, nft, `
		DROP outside host tcp source=10.0.0.9 dport=8006
		ACCEPT outside host tcp source=203.0.113.5 dport=8006 # management
		ACCEPT outside host tcp source=203.0.113.5 dport=3128 # management
		DROP outside host tcp source=203.0.113.5 dport=60000
		REJECT outside host tcp source=192.0.2.9 dport=445 # SMB
		ACCEPT outside host udp source=192.0.2.9 dport=5412 # corosync
		DROP outside host udp source=192.0.2.9 dport=5404
		DROP outside host udp dport=9 sport=53 # DNS`)
	local := network(t, filter.IPTables, "cluster.fw", on+"[ALIASES]\nlocal_network 198.51.100.0/24\n")
	expect(t, local, `
		ACCEPT outside host tcp source=198.51.100.1 dport=8006
		DROP outside host tcp source=10.0.0.9 dport=8006`)
	off := network(t, filter.IPTables, "host.fw", "[OPTIONS]\nenable: 0\n")
	expect(t, off, `
		ACCEPT outside host tcp dport=80 # the firewall of the node is off
		DROP outside vm/100 tcp dport=80`)
	disabled := network(t, filter.IPTables, "cluster.fw", "[OPTIONS]\nenable: 2\n")
	expect(t, disabled, `
		ACCEPT outside host tcp dport=80 # the firewall of the cluster is off
		ACCEPT outside vm/100 tcp dport=80`)
	window := network(t, filter.IPTables, "cluster.fw", "[OPTIONS]\nenable: 1699999950\n")
	expect(t, window, `DROP outside host tcp dport=80`)
	over := network(t, filter.IPTables, "cluster.fw", "[OPTIONS]\nenable: 1699999939\n")
	expect(t, over, `ACCEPT outside host tcp dport=80`)
}

// TestInterfaces: "-i" of the node names what the packet comes through, and a GROUP line with another interface accepts
// what the rules of a guest accepted before, because of the mark that is left on it.
func TestInterfaces(t *testing.T) {
	fw := on + "[group web]\nIN ACCEPT -p tcp -dport 80\n[RULES]\nIN ACCEPT -i eth2 -p tcp -dport 81\nOUT DROP -i vmbr1\nGROUP web -i eth2\nIN DROP\n"
	expect(t, network(t, filter.IPTables, "cluster.fw", fw), `
		ACCEPT outside/eth2 host tcp dport=81
		DROP outside host tcp dport=81
		ACCEPT outside/eth2 host tcp dport=80
		DROP outside host tcp dport=80
		DROP outside/eth0 host tcp dport=80
		ACCEPT vm/100 host tcp dport=9999 # GROUP web -i eth2
		DROP vm/101 host tcp dport=9999 # IN DROP
		DROP host vm/100/net1 tcp dport=80 # OUT DROP`)
}

func TestCorosync(t *testing.T) {
	conf := "totem {\n transport: knet\n}\nnodelist {\n node {\n name: pve1\n ring0_addr: 10.0.0.2\n ring1_addr: 192.0.2.1\n }\n" +
		" node {\n name: pve2\n ring0_addr: 10.0.0.3\n ring1_addr: 192.0.2.3\n }\n}\n"
	expect(t, network(t, filter.IPTables, "/etc/pve/corosync.conf", conf, "cluster.fw", "[OPTIONS]\nenable: 1\npolicy_out: DROP\n"), `
		ACCEPT outside host udp source=10.0.0.3 dest=10.0.0.2 dport=5405 # corosync: link 0 of pve2
		DROP outside host udp source=10.0.0.3 dest=10.0.0.2 dport=5406
		DROP outside host udp source=10.0.0.3 dest=192.0.2.1 dport=5405
		ACCEPT outside/eth2 host udp source=192.0.2.3 dest=192.0.2.1 dport=5404
		DROP outside host udp source=10.0.0.3 dest=239.192.1.1 dport=5405
		ACCEPT host outside udp source=10.0.0.2 dest=10.0.0.3 dport=5405
		DROP host outside udp source=192.0.2.1 dest=10.0.0.3 dport=5405`)
	udp := strings.Replace(conf, "knet", "udp", 1)
	expect(t, network(t, filter.IPTables, "/etc/pve/corosync.conf", udp), `
		ACCEPT outside host udp source=10.0.0.3 dest=239.192.1.1 dport=5405 # multicast`)
}
