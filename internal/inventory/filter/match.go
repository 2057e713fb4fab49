package filter

import (
	"errors"
	"fmt"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// box is what a rule matches in one family, as pve-firewall generates it. Ok is false when it makes nothing of the rule.
// The error is one of generation: the rule passed the check and fails all the same, which is the mishap that can leave a
// guest without any filter (see plan.go). Local is the file of the guest, nil elsewhere.
func (n *names) box(r *firewall.Rule, family int, local *firewall.File) (b netset.Box, ok bool, err error) {
	b = all(family)
	if given(r.Source) {
		set, err := n.addresses(r.Source, local)
		if err != nil {
			return b, false, err
		}
		b.Source = cut(set, family)
	}
	if given(r.Dest) {
		set, err := n.addresses(r.Dest, local)
		if err != nil {
			return b, false, err
		}
		b.Dest = cut(set, family)
	}
	if r.Macro == "" {
		b.Service, err = n.cached(service{r.Proto, r.DPort, r.SPort, r.ICMPType, family}, perlServices)
		return b, err == nil, err
	}
	m, known := firewall.MacroByName(r.Macro)
	if !known {
		return b, false, nil
	}
	if property := m.Contradicts(r, family); property != "" {
		return b, false, fmt.Errorf("the macro %s sets %s already", m.Name, property)
	}
	b.Service, err = n.cached(service{"macro " + m.Name, r.DPort, r.SPort, r.ICMPType, family}, func(service) (netset.Services, error) {
		var union netset.Services
		for _, t := range m.Rules(family) {
			one, err := perlServices(service{or(t.Proto, r.Proto), or(t.DPort, r.DPort), or(t.SPort, r.SPort), r.ICMPType, family})
			if err != nil {
				return union, err
			}
			union = union.Union(one)
		}
		return union, nil
	})
	return b, err == nil && !b.Service.IsEmpty(), err
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// perlServices is what the protocol, ports and ICMP type of a rule match (ipt_rule_to_cmds).
func perlServices(s service) (netset.Services, error) {
	if !given(s.proto) {
		if given(s.dport) || given(s.sport) {
			return netset.Services{}, errors.New("a port without a protocol")
		}
		return netset.AnyService(), nil
	}
	proto, ok := firewall.Protocol(s.proto)
	if !ok {
		return netset.Services{}, fmt.Errorf("unknown protocol %s", s.proto)
	}
	set := netset.Protocol(proto)
	if proto == 0 { // iptables takes it for every protocol
		set = netset.AnyService()
	}
	if firewall.IsICMP(s.proto) {
		return icmpServices(s, proto, set)
	}
	if s.dport == "" && !given(s.sport) {
		return set, nil
	}
	if !firewall.HasPorts(s.proto) {
		return set, fmt.Errorf("the protocol %s has no ports", s.proto)
	}
	var source, dest []firewall.PortRange
	if given(s.dport) {
		dest, _, _ = firewall.Ports(s.dport, false)
	}
	if given(s.sport) {
		source, _, _ = firewall.Ports(s.sport, false)
	}
	return netset.PortService(proto, ports(source), ports(dest)), nil
}

// icmpServices takes the type from -icmp-type, and from -dport as older releases wrote it.
func icmpServices(s service, proto uint8, set netset.Services) (netset.Services, error) {
	family := 6
	if s.proto == "icmp" {
		family = 4
	}
	if s.dport != "" {
		if s.proto == "ipv6-icmp" {
			return set, errors.New("the protocol ipv6-icmp has no ports")
		}
		t, ok := firewall.ICMPTypeOf(s.dport, family)
		if !ok {
			return set, fmt.Errorf("unknown ICMP type %s", s.dport)
		}
		set = set.Intersect(icmpSet(proto, t))
	}
	if s.icmp != "" {
		t, ok := firewall.ICMPTypeOf(s.icmp, family)
		if !ok {
			return set, fmt.Errorf("unknown ICMP type %s", s.icmp)
		}
		set = set.Intersect(icmpSet(proto, t))
	}
	return set, nil
}

// icmpSet is the packets of an ICMP type; a code without a type is that code of every type.
func icmpSet(proto uint8, t firewall.ICMPType) netset.Services {
	switch {
	case t.Type < 0 && t.Code < 0:
		return netset.Protocol(proto)
	case t.Type < 0:
		var union netset.Services
		for i := range 256 {
			union = union.Union(netset.ICMPService(proto, uint8(i), t.Code))
		}
		return union
	}
	return netset.ICMPService(proto, uint8(t.Type), t.Code)
}

// icmp is the union of some types of ICMP (family 4) or ICMPv6.
func icmp(family int, names ...string) netset.Services {
	var union netset.Services
	for _, name := range names {
		if t, ok := firewall.ICMPTypeOf(name, family); ok {
			union = union.Union(icmpSet(icmpProto(family), t))
		}
	}
	return union
}

func icmpProto(family int) uint8 {
	if family == 4 {
		return netset.ProtoICMP
	}
	return netset.ProtoICMPv6
}

// to is the packets of a protocol to a range of ports, from any.
func to(proto uint8, from, last uint16) netset.Services {
	return netset.PortService(proto, netset.AnyPorts(), netset.PortRange(from, last))
}

// udpFromTo is the packets of UDP from one port to a range.
func udpFromTo(source, from, last uint16) netset.Services {
	return netset.PortService(netset.ProtoUDP, netset.PortRange(source, source), netset.PortRange(from, last))
}
