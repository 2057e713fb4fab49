package filter

import (
	"fmt"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// rust compiles as proxmox-firewall does: its fixed rules (resources/proxmox-firewall.nft) and what it adds
// (src/firewall.rs).
type rust struct {
	node    *nodeFiles
	names   *names
	refused []Refusal
}

func newRust(node *nodeFiles, n *names, refused []Refusal) *rust { return &rust{node, n, refused} }

// chain is where rules of proxmox-firewall stand.
type chain struct {
	dir    direction
	family int
	guest  bool // in the table of the guests, where rejecting what comes in means dropping it
	// iface is what "-i" is compared with: an interface of the node, or netN.
	iface string
	local *firewall.File
	// group is the security group that the rules are in.
	group string
}

// unloaded is the stage of a node whose files are refused.
func (x *rust) unloaded(name string, family int) *Stage {
	r := x.refused[0]
	b := &builder{family: family}
	b.add(Accept, Reason{File: r.Path, Line: r.Line, Rule: "nothing is loaded after a boot, because proxmox-firewall refuses the file: " + r.Text}, b.any())
	return &Stage{Name: name, Family: family, Steps: b.steps}
}

func (x *rust) missing(c *nic, _ direction, _ int) (Missing, string) {
	switch {
	case len(x.refused) > 0:
		r := x.refused[0]
		return MissingRuleset, fmt.Sprintf("%s:%d: %s", r.Path, r.Line, r.Text)
	case !c.Firewall:
		return MissingFlag, ""
	case !c.guest.enabled():
		return MissingGuest, ""
	}
	return "", ""
}

// fixed adds one of the steps that proxmox-firewall always makes.
func (b *builder) fixed(v Verdict, text string, boxes ...netset.Box) { b.add(v, built(text), boxes...) }

// allowICMP comes first everywhere, for guests too.
func (b *builder) allowICMP() {
	types := []string{"destination-unreachable", "source-quench", "time-exceeded"}
	if b.family == 6 {
		types = []string{"destination-unreachable", "packet-too-big", "time-exceeded", "parameter-problem"}
	}
	b.fixed(Accept, "ICMP that paths need (allow-icmp)", b.any(services(icmp(b.family, types...))))
}

// doReject adds the chain do-reject: broadcasts and what comes from a multicast address are dropped.
func (b *builder) doReject(x netset.Box, why Reason) {
	if b.family == 4 {
		b.add(Drop, why, x.Intersect(b.any(class(netset.Broadcast))), x.Intersect(b.any(source(multicast4()))))
	}
	b.add(Reject, why, x)
}

// onOff adds a step that an option allows, or forbids when it is off.
func (b *builder) onOff(f *firewall.File, path, option, absent string, boxes ...netset.Box) {
	value, why := optionReason(path, f, option, absent)
	v := Accept
	if value == "0" {
		v = Drop
	}
	b.add(v, why, boxes...)
}

func ndpTypes(d direction) []string {
	types := []string{"router-solicitation", "neighbor-solicitation", "neighbor-advertisement"}
	if d == in {
		types = append(types, "router-advertisement", "redirect")
	}
	return types
}

func (x *rust) hostIn(iface string, _ bool, family int) *Stage {
	if len(x.refused) > 0 {
		return x.unloaded("host in", family)
	}
	b := &builder{family: family}
	b.allowICMP()
	b.fixed(Accept, "IGMP", b.any(services(netset.Protocol(2))))
	x.management(b)
	b.fixed(Accept, "corosync: udp 5405-5412", b.any(services(to(netset.ProtoUDP, 5405, 5412))))
	b.doReject(b.any(services(to(netset.ProtoUDP, 135, 135), to(netset.ProtoUDP, 137, 139), to(netset.ProtoUDP, 445, 445),
		udpFromTo(137, 1024, 65535),
		to(netset.ProtoTCP, 135, 135), to(netset.ProtoTCP, 139, 139), to(netset.ProtoTCP, 445, 445))), built("default: SMB"))
	b.fixed(Drop, "default: UPnP", b.any(services(to(netset.ProtoUDP, 1900, 1900))))
	b.fixed(Drop, "default: DNS answers", b.any(services(udpFromTo(53, 0, 65535))))
	x.helpers(b)
	if family == 6 {
		b.onOff(x.node.host, x.node.hostPath, "ndp", "1", b.any(services(icmp(6, ndpTypes(in)...))))
	}
	if family == 4 && x.node.host.On("nosmurfs", true) {
		_, why := optionReason(x.node.hostPath, x.node.host, "nosmurfs", "1")
		named := source(prefix("0.0.0.0/32").Complement())
		b.add(Drop, why, b.any(class(netset.Broadcast), named), b.any(source(multicast4())))
	}
	x.hostRules(b, in, iface)
	return &Stage{Name: "host in", Family: family, Steps: b.steps}
}

// management opens the ports of PVE to the ipset management; without one in cluster.fw it holds the networks that the
// addresses of the node's name are in.
func (x *rust) management(b *builder) {
	why := Reason{Rule: "management: tcp 8006, 5900-5999, 3128, 22"}
	var set netset.Addrs
	if s, ok := x.node.cluster.IPSet("management"); ok {
		set, why.File, why.Line = x.names.set(s, nil), x.node.clusterPath, s.Line
	} else {
		for _, p := range x.node.namedNetworks() {
			set = set.Union(netset.Prefix(p))
		}
	}
	tcp := services(to(netset.ProtoTCP, 8006, 8006), to(netset.ProtoTCP, 5900, 5999), to(netset.ProtoTCP, 3128, 3128), to(netset.ProtoTCP, 22, 22))
	b.add(Accept, why, b.any(tcp, source(set)))
}

// helpers accept new connections to the ports of the conntrack helpers that host.fw names (chain ct-in).
func (x *rust) helpers(b *builder) {
	o, ok := x.node.host.Option("nf_conntrack_helpers")
	if !ok {
		return
	}
	why := Reason{File: x.node.hostPath, Line: o.Line, Rule: "nf_conntrack_helpers: " + o.Value}
	for _, h := range firewall.Tracked(o.Value) {
		if b.family == 6 && !h.Six {
			continue
		}
		proto := netset.ProtoUDP
		if h.TCP {
			proto = netset.ProtoTCP
		}
		b.add(Accept, why, b.any(services(to(proto, h.Port, h.Port))))
	}
}

func (x *rust) hostOut(iface string, family int) *Stage {
	if len(x.refused) > 0 {
		return x.unloaded("host out", family)
	}
	b := &builder{family: family}
	b.allowICMP()
	if family == 6 {
		b.onOff(x.node.host, x.node.hostPath, "ndp", "1", b.any(services(icmp(6, ndpTypes(out)...))))
	}
	x.hostRules(b, out, iface)
	return &Stage{Name: "host out", Family: family, Steps: b.steps}
}

// hostRules are those of host.fw, those of cluster.fw, and the policy, which has no chain of its own here.
func (x *rust) hostRules(b *builder, d direction, iface string) {
	c := chain{dir: d, family: b.family, iface: iface}
	x.rules(b, c, ruleList{file: x.node.host, path: x.node.hostPath, rules: x.node.host.Rules})
	x.rules(b, c, ruleList{file: x.node.cluster, path: x.node.clusterPath, rules: x.node.cluster.Rules})
	absent := "ACCEPT"
	if d == in {
		absent = "DROP"
	}
	policy, why := optionReason(x.node.clusterPath, x.node.cluster, "policy_"+d.String(), absent)
	x.verdict(b, c, verdictOf(policy), b.any(), why)
}

// verdict adds the end of a rule or chain.
func (x *rust) verdict(b *builder, c chain, v Verdict, box netset.Box, why Reason) {
	switch {
	case v != Reject:
		b.add(v, why, box)
	case c.guest && c.dir == in:
		why.Rule += " (REJECT of what comes to a guest means DROP)"
		b.add(Drop, why, box)
	default:
		b.doReject(box, why)
	}
}

// rules adds rules of a file. A rule that cannot be generated is left out.
func (x *rust) rules(b *builder, c chain, l ruleList) {
	for i := range l.rules {
		r := &l.rules[i]
		if !r.Enabled || len(r.Errors) > 0 || r.Type != "group" && r.Type != c.dir.String() {
			continue
		}
		if r.Iface != "" && (c.dir == forward || r.Iface != c.iface) {
			continue
		}
		if r.Type == "group" {
			x.group(b, r.Action, c)
			continue
		}
		if box, ok, err := x.names.strictBox(r, c.family, c.local); ok && err == nil {
			x.verdict(b, c, verdictOf(r.Action), box, Reason{File: l.path, Line: r.Line, Rule: l.file.Text(r.Line), Group: c.group})
		}
	}
}

// group adds the rules of a security group. "-i" in its rules is compared with interfaces of the node, which guests do
// not meet.
func (x *rust) group(b *builder, name string, c chain) {
	def, ok := x.node.cluster.Group(name)
	if !ok || !b.once(name) {
		return
	}
	if c.local, c.group = nil, name; c.guest {
		c.iface = ""
	}
	x.rules(b, c, ruleList{file: x.node.cluster, path: x.node.clusterPath, rules: def.Rules})
}

func (x *rust) guest(c *nic, d direction, family int) *Stage {
	name := c.title() + " " + d.String()
	if len(x.refused) > 0 {
		return x.unloaded(name, family)
	}
	b := &builder{family: family}
	b.allowICMP()
	if m, _ := x.missing(c, d, family); m != "" {
		b.add(Accept, Reason{File: c.guest.path, Line: enableLine(c.guest.file), Rule: "not filtered: " + string(m) + " is off"}, b.any())
		return &Stage{Name: name, Family: family, Steps: b.steps}
	}
	fw, path := c.guest.file, c.guest.path
	if d == out {
		x.guestSource(b, c)
	}
	b.onOff(fw, path, "dhcp", "1", b.any(services(dhcp(d))))
	if family == 6 {
		b.onOff(fw, path, "ndp", "1", b.any(services(icmp(6, ndpTypes(d)...))))
		if d == out {
			b.onOff(fw, path, "radv", "0", b.any(services(icmp(6, "router-advertisement", "redirect"))))
		}
	}
	ch := chain{dir: d, family: family, guest: true, iface: fmt.Sprintf("net%d", c.Net), local: fw}
	x.rules(b, ch, ruleList{file: fw, path: path, rules: fw.Rules})
	key, absent := "policy_in", "DROP"
	if d == out {
		key, absent = "policy_out", "ACCEPT"
	}
	policy, why := optionReason(path, fw, key, absent)
	x.verdict(b, ch, verdictOf(policy), b.any(), why)
	return &Stage{Name: name, Family: family, Steps: b.steps}
}

// dhcp is both versions of it, in each family.
func dhcp(d direction) netset.Services {
	if d == in {
		return udpFromTo(67, 68, 68).Union(udpFromTo(547, 546, 546))
	}
	return udpFromTo(68, 67, 67).Union(udpFromTo(546, 547, 547))
}

// guestSource are the filters of what a guest claims to be. The set ipfilter-netN counts with "ipfilter: 1" only, and
// then holds what stands in it and nothing else; without a set it is made of the addresses that the configuration gives.
func (x *rust) guestSource(b *builder, c *nic) {
	fw, path := c.guest.file, c.guest.path
	if o, ok := fw.Option("ipfilter"); ok && o.Value != "0" {
		name := fmt.Sprintf("ipfilter-net%d", c.Net)
		why := Reason{File: path, Line: o.Line, Rule: "ipfilter: the source is not in " + name}
		var set netset.Addrs
		if s, found := fw.IPSet(name); found {
			set, why.Line = x.names.set(s, fw), s.Line
		} else {
			if ll, ok := linkLocal(c.MAC); ok {
				set = netset.Addr(ll)
			}
			if c.guest.container {
				for _, a := range c.Addresses {
					set = set.Union(netset.Addr(a.Addr()))
				}
			}
		}
		b.add(Drop, why, b.any(source(set.Complement())))
	}
	if c.MAC != "" && fw.On("macfilter", true) {
		_, why := optionReason(path, fw, "macfilter", "1")
		why.Rule += ": the frame does not come from " + c.MAC
		b.steps = append(b.steps, Step{Verdict: Drop, Why: why, ForeignMAC: true})
	}
}

// forward is what packets meet that the node routes from one interface to another (FORWARD rules of host.fw and
// cluster.fw, policy_forward), and what they meet within a vnet that has a firewall, or between it and the node.
func (x *rust) forward(from, to string, family int) []*Stage {
	if len(x.refused) > 0 {
		return nil
	}
	if from == "" || to == "" || from == to {
		bridge := or(from, to)
		v, ok := x.node.vnets[bridge]
		if !ok || !v.On("enable", false) || (from == "" || to == "") && !x.node.hostEnabled() {
			return nil
		}
		b := &builder{family: family}
		c := chain{dir: forward, family: family, guest: from == to}
		x.rules(b, c, ruleList{file: v, path: x.node.vnetPaths[bridge], rules: v.Rules})
		policy, why := optionReason(x.node.vnetPaths[bridge], v, "policy_forward", "ACCEPT")
		x.verdict(b, c, verdictOf(policy), b.any(), why)
		return []*Stage{{Name: "vnet " + bridge + " forward", Family: family, Steps: b.steps}}
	}
	if !x.node.hostEnabled() {
		return nil
	}
	b := &builder{family: family}
	x.hostRules(b, forward, "")
	return []*Stage{{Name: "host forward", Family: family, Steps: b.steps}}
}
