package filter

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// perl compiles as pve-firewall does: PVE::Firewall, compile_iptables_filter. The order of the steps is the order of the
// rules in its chains.
type perl struct {
	node  *nodeFiles
	names *names
	// groups and plans are per family, [0] for IPv4.
	groups [2]map[string]*perlGroup
	plans  [2]*plan
}

// direction of a chain.
type direction uint8

const (
	in direction = iota
	out
	forward
)

func (d direction) String() string { return [...]string{"in", "out", "forward"}[d] }

// perlGroup is the chain of a security group in both directions.
type perlGroup struct {
	steps [2][]Step
	// dies says in which direction, and why, the generation ends within the group; the steps are those before.
	dies [2]error
	at   [2]int // the line where it ends
}

func newPerl(node *nodeFiles, n *names) *perl {
	p := &perl{node: node, names: n}
	p.groups = [2]map[string]*perlGroup{{}, {}}
	return p
}

func index(family int) int { return family/2 - 2 } // 4 and 6 to 0 and 1

// scope is where the rules of a file look for names when they are read.
func (p *perl) scope(local *firewall.File, own bool) firewall.Scope {
	return firewall.Scope{Cluster: p.node.cluster, Local: local, Own: own, SDN: p.names.isSDN}
}

// group compiles a security group. One that is not defined is an empty chain.
func (p *perl) group(name string, family int) *perlGroup {
	i := index(family)
	if g, ok := p.groups[i][name]; ok {
		return g
	}
	g := &perlGroup{}
	p.groups[i][name] = g
	def, ok := p.node.cluster.Group(name)
	if !ok {
		return g
	}
	sc := p.scope(nil, true)
	for d := in; d <= out; d++ {
		b := &builder{family: family}
		for k := range def.Rules {
			r := &def.Rules[k]
			if r.Type != d.String() || !r.Enabled {
				continue
			}
			if c := sc.Check(r); len(c.Errors) > 0 || c.Family != 0 && c.Family != family {
				continue
			}
			box, ok, err := p.names.box(r, family, nil)
			if err != nil {
				g.dies[d], g.at[d] = err, r.Line
				break
			}
			if ok {
				b.verdict(r, box, Reason{File: p.node.clusterPath, Line: r.Line, Rule: p.node.cluster.Text(r.Line), Group: name})
			}
		}
		g.steps[d] = b.steps
		if g.dies[d] != nil {
			break // the other direction is not reached
		}
	}
	return g
}

func (b *builder) verdict(r *firewall.Rule, x netset.Box, why Reason) {
	if v := verdictOf(r.Action); v != Reject {
		b.add(v, why, x)
		return
	}
	b.rejectBox(x, why)
}

// ruleList is a list of rules of one file that a chain holds.
type ruleList struct {
	file  *firewall.File
	path  string
	rules []firewall.Rule
	local *firewall.File
	own   bool
}

// rules adds the rules of a list. Use decides about the GROUP lines: it returns the steps that take their place.
func (p *perl) rules(b *builder, l ruleList, d direction, match func(iface string) bool, use func(*firewall.Rule) []Step) {
	sc := p.scope(l.local, l.own)
	for i := range l.rules {
		r := &l.rules[i]
		if !r.Enabled || r.Type != "group" && r.Type != d.String() || given(r.Iface) && r.Type != "group" && !match(r.Iface) {
			continue
		}
		c := sc.Check(r)
		if len(c.Errors) > 0 || c.Family != 0 && c.Family != b.family {
			continue
		}
		if r.Type == "group" {
			b.steps = append(b.steps, use(r)...)
			continue
		}
		if box, ok, err := p.names.box(r, b.family, l.local); ok && err == nil {
			b.verdict(r, box, Reason{File: l.path, Line: r.Line, Rule: l.file.Text(r.Line)})
		}
	}
}

// inputFilters are the checks before the rules for what comes to the node and to its guests.
func (p *perl) inputFilters(b *builder) {
	if set, ok := p.node.cluster.IPSet("blacklist"); ok {
		b.add(Drop, Reason{File: p.node.clusterPath, Line: set.Line, Rule: "ipset blacklist"}, b.any(source(p.names.set(set, nil))))
	}
	if b.family != 4 || !p.node.host.On("nosmurfs", true) {
		return
	}
	from := p.node.broadcasts().Union(multicast4()).Minus(prefix("0.0.0.0/32"))
	why := built("smurfs: the source is a broadcast or multicast address")
	if o, ok := p.node.host.Option("nosmurfs"); ok {
		why.File, why.Line = p.node.hostPath, o.Line
	}
	b.add(Drop, why, b.any(source(from)))
}

// hostIn is the chain PVEFW-HOST-IN for packets that come through an interface. Marked packets come from a guest whose
// rules accepted them; see hostGroup.
func (p *perl) hostIn(iface string, marked bool, family int) *Stage {
	b := &builder{family: family}
	if family == 6 {
		p.ndp(b, p.node.host, p.node.hostPath, in, false)
	}
	p.inputFilters(b)
	b.add(Accept, built("IGMP"), b.any(services(netset.Protocol(2))))
	p.hostRules(b, in, iface, marked)
	managers := b.any(source(p.names.management()))
	for _, s := range managementServices() {
		x := managers
		x.Service = to(netset.ProtoTCP, s.from, s.to)
		b.add(Accept, p.managementReason(s.text), x)
	}
	p.corosync(b, in)
	policy, why := optionReason(p.node.clusterPath, p.node.cluster, "policy_in", "DROP")
	b.policy(verdictOf(policy), why)
	return &Stage{Name: "host in", Family: family, Steps: b.steps}
}

func (p *perl) managementReason(text string) Reason {
	why := Reason{Rule: "management: " + text}
	if set, ok := p.node.cluster.IPSet("management"); ok {
		why.File, why.Line = p.node.clusterPath, set.Line
	}
	return why
}

type portRange struct {
	text     string
	from, to uint16
}

// managementServices are open to the ipset management without a rule; the first four of them to the local network on the
// way out.
func managementServices() []portRange {
	return []portRange{
		{"tcp 8006", 8006, 8006}, {"tcp 5900:5999", 5900, 5999}, {"tcp 3128", 3128, 3128}, {"tcp 22", 22, 22},
		{"tcp 60000:60050", 60000, 60050},
	}
}

// hostOut is the chain PVEFW-HOST-OUT for packets that leave through an interface.
func (p *perl) hostOut(iface string, family int) *Stage {
	b := &builder{family: family}
	if family == 6 {
		p.ndp(b, p.node.host, p.node.hostPath, out, false)
	}
	b.add(Accept, built("IGMP"), b.any(services(netset.Protocol(2))))
	p.hostRules(b, out, iface, false)
	if net := p.names.localNet; net.IsValid() {
		local := b.any(dest(netset.Prefix(net)))
		for _, s := range managementServices()[:4] {
			x := local
			x.Service = to(netset.ProtoTCP, s.from, s.to)
			b.add(Accept, built("local network "+net.String()+": "+s.text), x)
		}
	}
	p.corosync(b, out)
	policy, why := optionReason(p.node.clusterPath, p.node.cluster, "policy_out", "ACCEPT")
	b.policy(verdictOf(policy), why)
	return &Stage{Name: "host out", Family: family, Steps: b.steps}
}

// hostRules are those of host.fw, then those of cluster.fw.
func (p *perl) hostRules(b *builder, d direction, iface string, marked bool) {
	match := func(name string) bool { return name == iface }
	use := func(r *firewall.Rule) []Step { return p.hostGroup(b, r, d, iface, &marked) }
	p.rules(b, ruleList{file: p.node.host, path: p.node.hostPath, rules: p.node.host.Rules}, d, match, use)
	p.rules(b, ruleList{file: p.node.cluster, path: p.node.clusterPath, rules: p.node.cluster.Rules, own: true}, d, match, use)
}

// hostGroup is a GROUP line of the node. After the jump to the group stands a rule that accepts what carries the mark that
// groups put on what they accept. When "-i" keeps the packet out of the group, a packet that still carries the mark of
// the guest that sent it is accepted there: every group begins by taking the mark away.
func (p *perl) hostGroup(b *builder, r *firewall.Rule, d direction, iface string, marked *bool) []Step {
	if p.plan(b.family).lost[d][r] {
		return nil
	}
	if given(r.Iface) && r.Iface != iface {
		if !*marked {
			return nil
		}
		why := Reason{File: p.node.hostPath, Line: r.Line, Rule: p.node.host.Text(r.Line) + " (accepts what a guest's own rules accepted)"}
		if !within(p.node.host.Rules, r) {
			why.File, why.Rule = p.node.clusterPath, p.node.cluster.Text(r.Line)+" (accepts what a guest's own rules accepted)"
		}
		return []Step{{Match: []netset.Box{b.any()}, Verdict: Accept, Why: why}}
	}
	*marked = false
	if !b.once(r.Action) {
		return nil
	}
	return p.group(r.Action, b.family).steps[d]
}

func within(rules []firewall.Rule, r *firewall.Rule) bool {
	for i := range rules {
		if &rules[i] == r {
			return true
		}
	}
	return false
}

// ndp adds neighbour discovery (IPv6), unless the option ndp is 0.
func (p *perl) ndp(b *builder, f *firewall.File, path string, d direction, radv bool) {
	if !f.On("ndp", true) {
		return
	}
	types := []string{"router-solicitation", "neighbor-solicitation", "neighbor-advertisement"}
	if d == in || radv {
		types = append(types, "router-advertisement")
	}
	why := built("neighbour discovery (ndp)")
	if o, ok := f.Option("ndp"); ok {
		why.File, why.Line = path, o.Line
	}
	b.add(Accept, why, b.any(services(icmp(6, types...))))
}

// corosync adds what the members of the cluster say to each other: udp 5404:5405 between addresses of the same link, and
// multicast when the transport is udp.
func (p *perl) corosync(b *builder, d direction) {
	c := p.node.corosync
	if c == nil {
		return
	}
	udp := services(to(netset.ProtoUDP, 5404, 5405))
	if c.Totem["transport"] == "udp" {
		b.add(Accept, built("corosync: multicast udp 5404:5405"), b.any(udp, class(netset.Multicast)))
	}
	own := map[int]netip.Addr{}
	for _, m := range p.node.links {
		if m.node == p.node.name && is(m.addr, b.family) {
			own[m.ring] = m.addr
		}
	}
	for _, m := range p.node.links {
		mine, ok := own[m.ring]
		if m.node == p.node.name || !ok || !is(m.addr, b.family) {
			continue
		}
		from, toward := m.addr, mine
		if d == out {
			from, toward = mine, m.addr
		}
		b.add(Accept, built(fmt.Sprintf("corosync: link %d of %s, udp 5404:5405", m.ring, m.node)),
			b.any(udp, source(netset.Addr(from)), dest(netset.Addr(toward))))
	}
}

func is(a netip.Addr, family int) bool { return a.IsValid() && a.Is4() == (family == 4) }

// guest is the chain of a NIC: tapNiM-IN or -OUT, with what FWBR-IN checks before.
func (p *perl) guest(nic *nic, d direction, family int) *Stage {
	b := &builder{family: family}
	if d == in {
		p.inputFilters(b)
	}
	name := nic.title() + " " + d.String()
	if missing, _ := p.missing(nic, d, family); missing != "" {
		b.add(Accept, p.unfiltered(nic, missing, d, family), b.any())
		return &Stage{Name: name, Family: family, Steps: b.steps}
	}
	fw, path := nic.guest.file, nic.guest.path
	p.guestOptions(b, nic, d)
	netid := fmt.Sprintf("net%d", nic.Net)
	p.rules(b, ruleList{file: fw, path: path, rules: fw.Rules, local: fw}, d, func(iface string) bool { return iface == netid },
		func(r *firewall.Rule) []Step {
			if given(r.Iface) && r.Iface != netid || !b.once(r.Action) {
				return nil
			}
			return p.group(r.Action, family).steps[d]
		})
	key, absent := "policy_in", "DROP"
	if d == out {
		key, absent = "policy_out", "ACCEPT"
	}
	policy, why := optionReason(path, fw, key, absent)
	b.policy(verdictOf(policy), why)
	return &Stage{Name: name, Family: family, Steps: b.steps}
}

// unfiltered says why a NIC with "firewall=1" has no chain.
func (p *perl) unfiltered(c *nic, m Missing, d direction, family int) Reason {
	if m == MissingChain {
		m := p.plan(family).unplugged[d][c]
		return Reason{File: p.node.clusterPath, Line: m.line, Rule: "not filtered: " + m.text}
	}
	return Reason{File: c.guest.path, Line: enableLine(c.guest.file), Rule: "not filtered: " + string(m) + " is off"}
}

// guestOptions are the steps before the rules of a guest (ruleset_create_vm_chain).
func (p *perl) guestOptions(b *builder, nic *nic, d direction) {
	fw, path := nic.guest.file, nic.guest.path
	server, client := uint16(67), uint16(68)
	if b.family == 6 {
		server, client = 547, 546
	}
	if fw.On("dhcp", true) {
		_, why := optionReason(path, fw, "dhcp", "1")
		s := udpFromTo(server, client, client)
		if d == out {
			s = udpFromTo(client, server, server)
		}
		b.add(Accept, why, b.any(services(s)))
	}
	if d == out {
		p.guestSource(b, nic)
	}
	if b.family == 6 {
		p.ndp(b, fw, path, d, fw.On("radv", false))
	}
}

// guestSource are the filters of what a guest claims to be.
func (p *perl) guestSource(b *builder, nic *nic) {
	fw, path := nic.guest.file, nic.guest.path
	if nic.MAC != "" && fw.On("macfilter", true) {
		_, why := optionReason(path, fw, "macfilter", "1")
		why.Rule += ": the frame does not come from " + nic.MAC
		b.steps = append(b.steps, Step{Verdict: Drop, Why: why, ForeignMAC: true})
	}
	if b.family == 6 && !fw.On("radv", false) {
		_, why := optionReason(path, fw, "radv", "0")
		b.add(Drop, why, b.any(services(icmp(6, "router-advertisement"))))
	}
	set, ok := fw.IPSet(fmt.Sprintf("ipfilter-net%d", nic.Net))
	if !ok && !fw.On("ipfilter", false) {
		return
	}
	why := Reason{File: path, Rule: "ipfilter: the source is not in ipfilter-net" + fmt.Sprint(nic.Net)}
	var nets []net
	if ok {
		nets, why.Line = p.names.entries(set, fw), set.Line
	} else if o, found := fw.Option("ipfilter"); found {
		why.Line = o.Line
	}
	b.add(Drop, why, b.any(source(p.names.resolve(append(nets, nic.own()...)).Complement())))
}

// own are the addresses that every ipfilter set holds: the link-local address made of the hardware address and no other
// of that range, and the static addresses of a container.
func (c *nic) own() []net {
	nets := []net{{netip.MustParsePrefix("fe80::/10"), true}}
	if ll, ok := linkLocal(c.MAC); ok {
		nets = append(nets, net{netip.PrefixFrom(ll, 128), false})
	}
	if c.guest.container {
		for _, a := range c.Addresses {
			nets = append(nets, net{netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), false})
		}
	}
	return nets
}

// linkLocal is fe80::/64 with the modified EUI-64 of a hardware address (RFC 4291, appendix A).
func linkLocal(mac string) (netip.Addr, bool) {
	parts := strings.Split(mac, ":")
	if len(parts) != 6 {
		return netip.Addr{}, false
	}
	var m [6]byte
	for i, s := range parts {
		if _, err := fmt.Sscanf(s, "%02x", &m[i]); err != nil || len(s) != 2 {
			return netip.Addr{}, false
		}
	}
	a := [16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}
	return netip.AddrFrom16(a), true
}

// forward has nothing: pve-firewall ignores FORWARD rules and does not filter what the node routes.
func (p *perl) forward(_, _ string, _ int) []*Stage { return nil }
