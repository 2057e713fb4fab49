package filter

import (
	"fmt"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// strictBox is what a rule matches in one family, as proxmox-firewall generates it (src/rule.rs). A rule belongs to a
// family as soon as its protocol or an address says so; an address of the other family that comes after is left out, so
// that the rule matches more than it says.
func (n *names) strictBox(r *firewall.Rule, family int, local *firewall.File) (b netset.Box, ok bool, err error) {
	b = all(family)
	of := 0
	b.Service, err = n.cached(service{r.Proto, r.DPort, r.SPort, r.ICMPType, family}, strictServices)
	if err != nil {
		return b, false, err
	}
	if r.Macro != "" {
		m, known := firewall.StrictMacro(r.Macro)
		if !known {
			return b, false, fmt.Errorf("no macro %s", r.Macro)
		}
		set, err := n.cached(service{proto: "macro " + m.Name, family: family}, func(service) (netset.Services, error) { return macroServices(m, family), nil })
		if err != nil {
			return b, false, err
		}
		b.Service = b.Service.Intersect(set)
	}
	if num, known := firewall.StrictProtocol(r.Proto); known {
		switch num {
		case netset.ProtoICMP:
			of = 4
		case netset.ProtoICMPv6:
			of = 6
		}
	}
	for _, side := range []struct {
		value string
		set   *netset.Addrs
	}{{r.Source, &b.Source}, {r.Dest, &b.Dest}} {
		if side.value == "" {
			continue
		}
		set, err := n.addresses(side.value, local)
		if err != nil {
			return b, false, err
		}
		if firewall.IsSet(side.value) {
			if of == 0 {
				of = family
			}
		} else {
			own := 6
			if set.V6().IsEmpty() {
				own = 4
			}
			if of == 0 {
				of = own
			}
			if of != own {
				continue
			}
		}
		*side.set = cut(set, family)
	}
	return b, (of == 0 || of == family) && !b.Service.IsEmpty(), nil
}

func macroServices(m *firewall.Macro, family int) netset.Services {
	rules := m.Rules(family)
	if m.Name == "DHCPv6" {
		rules = m.Rules(0) // proxmox-firewall does not tie it to IPv6
	}
	var union netset.Services
	for _, t := range rules {
		if firewall.IsICMP(t.Proto) {
			union = union.Union(icmp(family, t.DPort))
			continue
		}
		if one, err := strictServices(service{proto: t.Proto, dport: t.DPort, sport: t.SPort, family: family}); err == nil {
			union = union.Union(one)
		}
	}
	return union
}

// strictServices is what the protocol, ports and ICMP type of a rule match. Ports without a protocol that has them are
// left out without a word.
func strictServices(s service) (netset.Services, error) {
	if s.proto == "" {
		return netset.AnyService(), nil
	}
	proto, ok := firewall.StrictProtocol(s.proto)
	if !ok {
		return netset.Services{}, fmt.Errorf("unknown protocol %s", s.proto)
	}
	switch {
	case netset.HasPorts(proto):
		var source, dest []firewall.PortRange
		if s.sport != "" {
			source, _ = firewall.StrictPorts(s.sport)
		}
		if s.dport != "" {
			dest, _ = firewall.StrictPorts(s.dport)
		}
		return netset.PortService(proto, ports(source), ports(dest)), nil
	case netset.HasTypes(proto) && s.icmp != "":
		t, ok := firewall.StrictICMP(s.icmp, proto == netset.ProtoICMPv6)
		if !ok {
			return netset.Services{}, fmt.Errorf("unknown ICMP type %s", s.icmp)
		}
		return icmpSet(proto, t), nil
	}
	return netset.Protocol(proto), nil
}
