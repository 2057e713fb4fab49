package reach_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

// Words of random rules; each stands for something in the files, or nearly.
func genRule(t *rapid.T, kinds []string) string {
	pick := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(t, label) }
	kind := pick("kind", kinds...)
	if kind == "GROUP" {
		return "GROUP " + pick("group", "web", "admin", "none") + pick("iface", "", "", " -i net0")
	}
	action := pick("action", "ACCEPT", "DROP", "REJECT", "SSH(ACCEPT)", "HTTP(DROP)", "Ping(ACCEPT)", "DNS(REJECT)", "Web(ACCEPT)")
	rule := kind + " " + action
	rule += pick("source", "", "", " -source 10.1.0.0/16", " -source 10.1.2.3", " -source 10.1.0.5-10.1.0.9", " -source dc/office", " -source +dc/hosts",
		" -source +management", " -source 2001:db8::/32", " -source 2001:db8:1::5", " -source 10.0.0.0/8,192.0.2.1", " -source guest/own", " -source +own")
	rule += pick("dest", "", "", "", " -dest 10.0.0.1", " -dest dc/office", " -dest 2001:db8::/64")
	if !strings.Contains(action, "(") {
		rule += pick("proto", "", " -p tcp -dport 22", " -p tcp -dport 22,80,8000:8010", " -p udp -dport 53 -sport 1024:65535", " -p tcp", " -p udp -sport 53",
			" -p icmp -icmp-type echo-request", " -p icmpv6", " -p 47", " -dport 80", " -p tcp -dport 8006", " -p sctp -dport 80")
	}
	return pick("disabled", "", "", "", "", "|") + rule
}

func genRules(t *rapid.T, kinds ...string) string {
	var b strings.Builder
	b.WriteString("[RULES]\n")
	for range rapid.IntRange(0, 7).Draw(t, "rules") {
		b.WriteString(genRule(t, kinds) + "\n")
	}
	return b.String()
}

func genOptions(t *rapid.T, names ...string) string {
	var b strings.Builder
	b.WriteString("[OPTIONS]\n")
	for _, n := range names {
		values := []string{"0", "1"}
		if strings.HasPrefix(n, "policy") {
			values = []string{"ACCEPT", "DROP", "REJECT"}
		}
		if rapid.IntRange(0, 2).Draw(t, n+" set") == 0 {
			fmt.Fprintf(&b, "%s: %s\n", n, rapid.SampledFrom(values).Draw(t, n))
		}
	}
	return b.String()
}

// genFiles makes a small cluster: two nodes, two virtual machines and a container on the first.
func genFiles(t *rapid.T) map[string][]byte {
	var c strings.Builder
	c.WriteString("[OPTIONS]\nenable: 1\n")
	c.WriteString(strings.TrimPrefix(genOptions(t, "policy_in", "policy_out", "policy_forward"), "[OPTIONS]\n"))
	c.WriteString("[ALIASES]\noffice 10.1.0.0/16\nsix 2001:db8:1::/48\n")
	if rapid.Bool().Draw(t, "local_network") {
		c.WriteString("local_network 10.0.0.0/24\n")
	}
	entries := []string{"10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24", "dc/office", "2001:db8::/32", "!2001:db8:1::5", "198.51.100.7"}
	for _, set := range []string{"hosts", "management", "blacklist"} {
		if rapid.Bool().Draw(t, set) || set == "hosts" {
			fmt.Fprintf(&c, "[IPSET %s]\n%s\n", set, strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(entries), 0, 4, rapid.ID).Draw(t, set+" entries"), "\n"))
		}
	}
	c.WriteString(genRules(t, "IN", "OUT", "GROUP", "IN", "FORWARD"))
	for _, g := range []string{"web", "admin"} {
		fmt.Fprintf(&c, "[group %s]\n%s", g, strings.TrimPrefix(genRules(t, "IN", "OUT", "IN"), "[RULES]\n"))
	}
	files := map[string][]byte{
		"/etc/hostname": []byte("n1\n"), "/etc/hosts": []byte("10.0.0.1 n1\n10.0.0.2 n2\n"),
		"/etc/network/interfaces": []byte("iface vmbr0 inet static\n\taddress 10.0.0.1/24\n\tbridge-ports eth0\n"),
		"/etc/pve/corosync.conf": []byte("totem {\n cluster_name: c\n}\nnodelist {\n node {\n  name: n1\n  ring0_addr: 10.0.0.1\n }\n" +
			" node {\n  name: n2\n  ring0_addr: 10.0.0.2\n }\n}\n"),
		"/etc/pve/firewall/cluster.fw":           []byte(c.String()),
		"/etc/pve/nodes/n1/host.fw":              []byte(genOptions(t, "enable", "nosmurfs", "ndp", "tcpflags") + genRules(t, "IN", "OUT", "GROUP")),
		"/etc/pve/nodes/n1/qemu-server/100.conf": []byte("net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n"),
		"/etc/pve/nodes/n1/qemu-server/101.conf": []byte("net0: virtio=BC:24:11:00:00:02,bridge=vmbr0,firewall=1\n"),
		"/etc/pve/nodes/n1/lxc/200.conf":         []byte("net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:03,firewall=1,ip=10.1.2.3/24\n"),
		"/etc/pve/nodes/n2/qemu-server/300.conf": []byte("net0: virtio=BC:24:11:00:00:04,bridge=vmbr0\n"),
		"/etc/os-release":                        []byte("VERSION_ID=\"13\"\n"),
		"/etc/pve/nodes/n1/lrm_status":           []byte("{}"),
		"/etc/pve/nodes/n2/lrm_status":           []byte("{}"),
	}
	for _, id := range []int{100, 101, 200} {
		fw := genOptions(t, "enable", "policy_in", "policy_out", "dhcp", "ndp", "radv", "ipfilter", "macfilter")
		if rapid.IntRange(0, 3).Draw(t, "on") > 0 {
			fw += "enable: 1\n"
		}
		if rapid.Bool().Draw(t, "local names") {
			fw += "[ALIASES]\nown 10.1.2.3\n[IPSET own]\nown\n10.9.0.0/16\n[IPSET ipfilter-net0]\n10.1.2.3\n"
		}
		files["/etc/pve/firewall/"+strconv.Itoa(id)+".fw"] = []byte(fw + genRules(t, "IN", "OUT", "GROUP"))
	}
	return files
}

// genPacket draws near the edges of what the rules speak of.
func genPacket(t *rapid.T, family int) netset.Packet {
	addrs := []string{"10.0.0.1", "10.0.0.2", "10.1.2.3", "10.1.0.5", "10.1.0.9", "10.1.0.10", "10.2.0.1", "192.0.2.1", "198.51.100.7", "10.0.0.255", "203.0.113.5"}
	if family == 6 {
		addrs = []string{"2001:db8::1", "2001:db8:1::5", "2001:db8:1::6", "2001:db9::1", "fe80::be24:11ff:fe00:1", "::1"}
	}
	p := netset.Packet{
		Source: netip.MustParseAddr(rapid.SampledFrom(addrs).Draw(t, "source")), Dest: netip.MustParseAddr(rapid.SampledFrom(addrs).Draw(t, "dest")),
		Proto: rapid.SampledFrom([]uint8{6, 6, 6, 17, 17, 1, 58, 47, 132, 2, 50}).Draw(t, "proto"), Class: netset.Unicast,
	}
	if netset.HasPorts(p.Proto) {
		p.DPort = rapid.SampledFrom([]uint16{0, 22, 53, 67, 68, 80, 443, 445, 546, 547, 5404, 5405, 5412, 8000, 8006, 8010, 8011, 60000, 65535}).Draw(t, "dport")
		p.SPort = rapid.SampledFrom([]uint16{0, 53, 67, 68, 547, 1023, 1024, 65535}).Draw(t, "sport")
	}
	if netset.HasTypes(p.Proto) {
		p.Type = rapid.SampledFrom([]uint8{0, 1, 2, 3, 4, 8, 11, 128, 133, 134, 135, 137}).Draw(t, "type")
		p.Code = rapid.SampledFrom([]uint8{0, 4}).Draw(t, "code")
	}
	return p
}

func endpoints() []string { return []string{"host", "outside", "vm/100", "vm/101", "ct/200"} }

// query is a packet in the words of simulate.
func query(p netset.Packet, from, to string) filter.Query {
	q := filter.Query{From: from, To: to, Proto: strconv.Itoa(int(p.Proto)), Source: p.Source.String(), Dest: p.Dest.String()}
	if netset.HasPorts(p.Proto) {
		q.DPort, q.SPort = strconv.Itoa(int(p.DPort)), strconv.Itoa(int(p.SPort))
	}
	if netset.HasTypes(p.Proto) {
		q.ICMPType = fmt.Sprintf("%d/%d", p.Type, p.Code)
	}
	return q
}

// TestReachSaysWhatSimulateSays asks both about random packets in random clusters: the part of the partition that holds the packet has
// the verdict and the reason of the simulation, and no other part holds it.
func TestReachSaysWhatSimulateSays(t *testing.T) {
	asked := 0
	rapid.Check(t, func(t *rapid.T) {
		c := read(t, genFiles(t))
		backend := rapid.SampledFrom([]filter.Backend{filter.IPTables, filter.NFTables}).Draw(t, "backend")
		n, err := filter.New(c, "n1", backend, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := reach.NewProber(c, n)
		for range 4 {
			from, to := rapid.SampledFrom(endpoints()).Draw(t, "from"), rapid.SampledFrom(endpoints()).Draw(t, "to")
			if from == to {
				continue
			}
			a, errA := n.Endpoint(from)
			b, errB := n.Endpoint(to)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			for _, family := range []int{4, 6} {
				parts, err := p.Parts(reach.Query{To: b, Service: netset.AnyService()}, a, family)
				if err != nil {
					t.Fatal(err)
				}
				exact(t, parts, family)
				for range 5 {
					packet := genPacket(t, family)
					answer, err := n.Simulate(query(packet, from, to))
					if err != nil {
						t.Fatalf("%v: %v", query(packet, from, to), err)
					}
					if answer.Packet.Class != netset.Unicast {
						continue
					}
					asked++
					compare(t, parts, answer)
				}
			}
		}
	})
	if asked == 0 {
		t.Fatal("no packet was asked about")
	}
}

func compare(t *rapid.T, parts []reach.Part, answer filter.Answer) {
	var hits []reach.Part
	for _, part := range parts {
		if part.Region.Contains(answer.Packet) {
			hits = append(hits, part)
		}
	}
	if len(hits) != 1 {
		t.Fatalf("%v is in %d parts", answer.Packet, len(hits))
	}
	last := answer.Trace[len(answer.Trace)-1]
	if hits[0].Verdict != answer.Verdict || hits[0].Why != last.Reason {
		t.Fatalf("%v: reach says %s by %v, simulate %s by %v", answer.Packet, hits[0].Verdict, hits[0].Why, answer.Verdict, last)
	}
}

// exact proves that parts are disjoint and that together they are every packet that can be for one machine.
func exact(t *rapid.T, parts []reach.Part, family int) {
	var sum netset.Region
	for _, p := range parts {
		for _, b := range p.Region.Boxes() {
			if sum.Overlaps(b) {
				t.Fatalf("two parts hold %v", b)
			}
			sum = netset.Disjoint(append(slices.Clip(sum.Boxes()), b))
		}
	}
	all := netset.AnyBox()
	all.Class = netset.Unicast
	all.Source, all.Dest = all.Source.V4(), all.Dest.V4().Minus(netset.Prefix(netip.MustParsePrefix("224.0.0.0/4"))).Minus(netset.Prefix(netip.MustParsePrefix("255.255.255.255/32")))
	if family == 6 {
		all.Source, all.Dest = netset.Any6(), netset.Any6().Minus(netset.Prefix(netip.MustParsePrefix("ff00::/8")))
	}
	if !sum.Equal(netset.RegionOf(all)) {
		t.Fatalf("the parts are not everything; %v is missing", netset.RegionOf(all).Minus(sum))
	}
}

// TestRowsAreTheParts proves that the readable answer holds the same packets: each row's sources and services, put together, are
// the space again.
func TestRowsAreTheParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := read(t, genFiles(t))
		n, err := filter.New(c, "n1", filter.IPTables, filter.Options{})
		if err != nil {
			t.Fatal(err)
		}
		to, err := n.Endpoint(rapid.SampledFrom([]string{"host", "vm/100", "ct/200"}).Draw(t, "to"))
		if err != nil {
			t.Fatal(err)
		}
		service := netset.PortService(netset.ProtoTCP, netset.AnyPorts(), netset.PortRange(22, 22))
		a, err := reach.NewProber(c, n).Reach(reach.Query{To: to, Service: service, Zones: []string{reach.ZoneOutside}})
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range []int{4, 6} {
			var boxes []netset.Box
			for _, r := range a.Rows {
				if r.Family != family {
					continue
				}
				b := netset.Box{Source: parse(t, r.Sources.Parts()), Dest: netset.AnyAddrs(), Service: r.Service, Class: netset.Unicast}
				if r.Dest != nil {
					b.Dest = parse(t, r.Dest.Parts())
				}
				boxes = append(boxes, b)
			}
			got := netset.RegionOf(boxes...)
			want := netset.Box{Source: netset.Any4(), Dest: unicast4(), Service: service, Class: netset.Unicast}
			if family == 6 {
				want.Source, want.Dest = netset.Any6(), netset.Any6().Minus(netset.Prefix(netip.MustParsePrefix("ff00::/8")))
			}
			if !got.Covers(netset.RegionOf(want)) {
				t.Fatalf("IPv%d: the rows leave out %v", family, netset.RegionOf(want).Minus(got))
			}
		}
	})
}

func unicast4() netset.Addrs {
	return netset.Any4().Minus(netset.Prefix(netip.MustParsePrefix("224.0.0.0/4"))).Minus(netset.Prefix(netip.MustParsePrefix("255.255.255.255/32")))
}

func parse(t *rapid.T, parts []string) netset.Addrs {
	var sets []netset.Addrs
	for _, s := range parts {
		if from, to, ok := strings.Cut(s, "-"); ok {
			sets = append(sets, netset.AddrRange(netip.MustParseAddr(from), netip.MustParseAddr(to)))
			continue
		}
		if p, err := netip.ParsePrefix(s); err == nil {
			sets = append(sets, netset.Prefix(p))
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, netset.Addr(a))
	}
	return netset.Join(sets...)
}
