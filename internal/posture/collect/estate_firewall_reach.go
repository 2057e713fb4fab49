package collect

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

// watchedPort is a port of a node that matters.
type watchedPort struct {
	service  string
	proto    uint8
	from, to uint16
}

func (p watchedPort) text() string {
	if p.from == p.to {
		return strconv.Itoa(int(p.from))
	}
	return strconv.Itoa(int(p.from)) + ":" + strconv.Itoa(int(p.to))
}

func (p watchedPort) set() netset.Services {
	return netset.PortService(p.proto, netset.AnyPorts(), netset.PortRange(p.from, p.to))
}

// watchedPorts are the ports that Proxmox VE uses (pve-docs, pve-firewall: "Ports used by Proxmox VE").
func watchedPorts() []watchedPort {
	return []watchedPort{
		{"ssh", netset.ProtoTCP, 22, 22}, {"web", netset.ProtoTCP, 8006, 8006}, {"spice", netset.ProtoTCP, 3128, 3128},
		{"console", netset.ProtoTCP, 5900, 5999}, {"rpcbind", netset.ProtoTCP, 111, 111}, {"rpcbind", netset.ProtoUDP, 111, 111},
		{"smtp", netset.ProtoTCP, 25, 25}, {"migration", netset.ProtoTCP, 60000, 60050}, {"corosync", netset.ProtoUDP, 5405, 5412},
	}
}

// The scopes, from narrow to wide.
const (
	scopeNobody     = "nobody"
	scopeNodes      = "nodes"
	scopeManagement = "management"
	scopePrivate    = "private"
	scopePublic     = "public"
	scopeEveryone   = "everyone"
)

func scopeRank(s string) int {
	return slices.Index([]string{scopeNobody, scopeNodes, scopeManagement, scopePrivate, scopePublic, scopeEveryone}, s)
}

// maxListed bounds the lists of sources: a person reads no more, and a blacklist of thousands leaves as many gaps.
const maxListed = 20

func prefixSet(p netip.Prefix) netset.Addrs { return netset.Prefix(p) }

// publicAddrs are the addresses that the internet could route to; those for documentation count (as in NetworkFacts).
func publicAddrs() netset.Addrs {
	special := netset.Addrs{}
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"} {
		special = special.Union(netset.Prefix(netip.MustParsePrefix(p)))
	}
	return netset.Any4().Minus(special).Union(netset.Prefix(netip.MustParsePrefix("2000::/3")))
}

// fwScopes are the sets that sources are compared with.
type fwScopes struct {
	nodes, management, public netset.Addrs
	nodesErr                  error
}

// scopes collects the networks that the nodes are in, and those of the ipset management. A scan of one node does not know
// how its peers are configured; where all their addresses are in networks of this one, nothing is missing.
func (v *fwView) scopes(management posture.Fact[[]posture.FirewallNet]) fwScopes {
	s := fwScopes{public: publicAddrs()}
	sets := []netset.Addrs{netset.Prefix(netip.MustParsePrefix("fe80::/10"))}
	var missing []netset.Addrs
	var missingErr error
	for _, n := range v.members() {
		net, err := n.Network.Get()
		for _, a := range n.Addresses {
			ip, parseErr := netip.ParseAddr(a)
			switch {
			case parseErr != nil: // a name; the address is unknown
			case err != nil:
				missing = append(missing, netset.Addr(ip))
			default:
				sets = append(sets, netset.Addr(ip))
			}
		}
		if err != nil || net == nil {
			missingErr = err
			continue
		}
		for _, i := range net.Interfaces {
			if i.Kind == netcfg.Loopback {
				continue
			}
			for _, p := range i.Addresses {
				sets = append(sets, netset.Prefix(p))
			}
		}
	}
	s.nodes = netset.Join(sets...)
	if peers := netset.Join(missing...); missingErr != nil && !s.nodes.Covers(peers) {
		s.nodesErr = missingErr
		s.nodes = s.nodes.Union(peers)
	}
	for _, e := range management.Value {
		if p, err := netip.ParsePrefix(e.CIDR); err == nil && !e.Not {
			s.management = s.management.Union(netset.Prefix(p))
		}
	}
	return s
}

func (s *fwScopes) of(set netset.Addrs) string {
	switch {
	case set.IsEmpty():
		return scopeNobody
	case s.nodes.Covers(set):
		return scopeNodes
	case halfOfAll(set):
		return scopeEveryone
	}
	rest := set.Minus(s.nodes.Union(s.management))
	switch {
	case rest.IsEmpty():
		return scopeManagement
	case s.public.Overlaps(rest):
		return scopePublic
	}
	return scopePrivate
}

// halfOfAll reports whether a set of one family holds half of its public addresses: everyone, with some exceptions.
func halfOfAll(set netset.Addrs) bool {
	var four, six uint64 // sixteenths of a thousandth are enough: /32 of IPv4, /35 of IPv6
	for _, p := range set.Prefixes() {
		if p.Addr().Is4() {
			four += 1 << (32 - p.Bits())
		} else if p.Bits() <= 35 {
			six += 1 << (35 - max(p.Bits(), 3))
		}
	}
	return four >= 1<<31 || six >= 1<<31
}

// exposures says who reaches the ports that matter, on every node.
func (v *fwView) exposures(nodes []posture.FirewallNode, management posture.Fact[[]posture.FirewallNet]) posture.Fact[[]posture.FirewallExposure] {
	if !management.IsKnown() {
		return posture.Unknown[[]posture.FirewallExposure](management.Problem, management.Source)
	}
	scopes := v.scopes(management)
	out := []posture.FirewallExposure{}
	for _, n := range nodes {
		if !n.Backends.IsKnown() {
			return posture.Unknown[[]posture.FirewallExposure](n.Backends.Problem, n.Backends.Source)
		}
		for _, b := range n.Backends.Value {
			out = append(out, v.nodeExposures(n, filter.Backend(b), &scopes)...)
		}
	}
	return posture.Known(out, posture.Configured, "/etc/pve/firewall")
}

// nodeExposures says who reaches the ports of one node.
func (v *fwView) nodeExposures(n posture.FirewallNode, backend filter.Backend, scopes *fwScopes) []posture.FirewallExposure {
	var four, six []fwEntry
	net, err := v.network(n.Name, backend)
	if err == nil {
		four, err = v.entries(n, net, 4)
	}
	if err == nil {
		six, err = v.entries(n, net, 6)
	}
	var out []posture.FirewallExposure
	for _, p := range watchedPorts() {
		proto := map[uint8]string{netset.ProtoTCP: "tcp", netset.ProtoUDP: "udp"}[p.proto]
		e := posture.FirewallExposure{Node: n.Name, Here: n.Here, Backend: string(backend), Proto: proto, Port: p.text(), Service: p.service,
			Name: n.Name + " " + proto + " " + p.text()}
		if len(v.c.Backends) > 1 {
			e.Name += " (" + string(backend) + ")"
		}
		if err != nil {
			unknownExposure(&e, err)
		} else {
			p.fill(&e, four, six, scopes)
		}
		out = append(out, e)
	}
	return out
}

// fill judges who gets to a port.
func (p watchedPort) fill(e *posture.FirewallExposure, entries4, entries6 []fwEntry, scopes *fwScopes) {
	four, why4 := p.sources(entries4)
	six, why6 := p.sources(entries6)
	const source = "/etc/pve/firewall"
	s4, s6 := scopes.of(four), scopes.of(six)
	both := four.Union(six)
	e.Sources = posture.Known(listed(four, six), posture.Configured, source)
	why := slices.Concat(why4, why6)
	slices.Sort(why)
	e.Rules = posture.Known(slices.Compact(why), posture.Configured, source)
	e.Public = posture.Known(scopes.public.Overlaps(both), posture.Configured, source)
	e.Everyone = posture.Known(halfOfAll(four) || halfOfAll(six), posture.Configured, source)
	beyond := both.Minus(scopes.nodes)
	// What the networks of the nodes are decides only about sources that are left over and not those of everybody.
	if scopes.nodesErr != nil && !beyond.IsEmpty() && !e.Everyone.Value {
		e.Scope4, e.Scope6 = posture.Unknown[string](scopes.nodesErr, source), posture.Unknown[string](scopes.nodesErr, source)
		e.Wider6 = posture.Unknown[bool](scopes.nodesErr, source)
		e.BeyondNodes, e.Beyond = posture.Unknown[[]string](scopes.nodesErr, source), posture.Unknown[string](scopes.nodesErr, source)
		return
	}
	e.Scope4, e.Scope6 = posture.Known(s4, posture.Configured, source), posture.Known(s6, posture.Configured, source)
	e.Wider6 = posture.Known(scopeRank(s6) > scopeRank(s4), posture.Configured, source)
	list := listed(beyond.V4(), beyond.V6())
	e.BeyondNodes = posture.Known(list, posture.Configured, source)
	short := "everyone"
	if !e.Everyone.Value {
		short = strings.Join(list[:min(len(list), 2)], ", ")
		if len(list) > 2 {
			short += " ..."
		}
	}
	e.Beyond = posture.Known(short, posture.Configured, source)
}

func unknownExposure(e *posture.FirewallExposure, err error) {
	const source = "/etc/pve/firewall"
	e.Scope4, e.Scope6 = posture.Unknown[string](err, source), posture.Unknown[string](err, source)
	e.Beyond = posture.Unknown[string](err, source)
	e.Public, e.Everyone, e.Wider6 = posture.Unknown[bool](err, source), posture.Unknown[bool](err, source), posture.Unknown[bool](err, source)
	e.Sources, e.BeyondNodes, e.Rules = posture.Unknown[[]string](err, source), posture.Unknown[[]string](err, source), posture.Unknown[[]string](err, source)
}

// fwEntry is packets from outside that get to a node, by one reason.
type fwEntry struct {
	box netset.Box
	why string
}

// entries are all packets of a family from outside that get to a watched port of a node.
func (v *fwView) entries(n posture.FirewallNode, net *filter.Network, family int) ([]fwEntry, error) {
	all := netset.Any4()
	if family == 6 {
		all = netset.Any6()
	}
	services := netset.Services{}
	for _, p := range watchedPorts() {
		services = services.Union(p.set())
	}
	var dests []netset.Addrs
	for _, a := range net.Addresses() {
		dests = append(dests, netset.Addr(a.Addr()))
	}
	dest := netset.Join(dests...).Intersect(all)
	if dest.IsEmpty() {
		dest = all
	}
	box := netset.Box{Source: all, Dest: dest, Class: netset.Unicast, Service: services}
	if n.ServiceOff {
		return []fwEntry{{box, "the firewall service does not run"}}, nil
	}
	var out []fwEntry
	var seen [][]*filter.Stage // most interfaces share their stages
	to := filter.Endpoint{Kind: filter.Host}
	for _, iface := range v.ifaces(n.Name) {
		from := filter.Endpoint{Kind: filter.Outside, Iface: iface}
		way := net.Path(from, to, family)
		if slices.ContainsFunc(seen, func(w []*filter.Stage) bool { return slices.Equal(w, way) }) {
			continue
		}
		seen = append(seen, way)
		parts, err := reach.Partition(netset.RegionOf(box), way, net.Unfiltered(from, to))
		if err != nil {
			return nil, posture.Problemf("too-large", "cannot work out who reaches the ports of %s: %v", n.Name, err)
		}
		for _, part := range parts {
			if part.Verdict != filter.Accept {
				continue
			}
			for _, b := range part.Region.Boxes() {
				out = append(out, fwEntry{b, reasonText(part.Why)})
			}
		}
	}
	return out, nil
}

// sources are the addresses among the entries that reach a port, and what lets them in.
func (p watchedPort) sources(entries []fwEntry) (netset.Addrs, []string) {
	var sets []netset.Addrs
	var why []string
	service := p.set()
	for _, e := range entries {
		if e.box.Service.Overlaps(service) {
			sets = append(sets, e.box.Source)
			why = append(why, e.why)
		}
	}
	return netset.Join(sets...), why
}

func reasonText(r filter.Reason) string {
	if r.File != "" {
		return path.Base(r.File) + ":" + strconv.Itoa(r.Line)
	}
	return r.Rule
}

// ifaces are the interfaces of a node that packets from outside come in by: those with addresses.
func (v *fwView) ifaces(node string) []string {
	var out []string
	if n, ok := v.cl.Node(node); ok && n.Network.Known() && n.Network.Value != nil {
		for _, i := range n.Network.Value.Interfaces {
			if len(i.Addresses) > 0 && i.Kind != netcfg.Loopback {
				out = append(out, i.Name)
			}
		}
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

// listed names the addresses, IPv4 first.
func listed(four, six netset.Addrs) []string {
	out := []string{}
	for _, set := range []netset.Addrs{four, six} {
		ranges := set.Ranges()
		for i, r := range ranges {
			if i == maxListed/2 {
				out = append(out, "and "+strconv.Itoa(len(ranges)-i)+" more")
				break
			}
			out = append(out, netset.RangeText(r))
		}
	}
	return out
}

// limitsHere sums up what the PVE firewall of the scanned node closes to everybody but listed sources.
func limitsHere(f *posture.FirewallFacts) posture.Fact[[]string] {
	const source = "/etc/pve/firewall"
	switch {
	case !f.Enabled.IsKnown():
		return posture.Unknown[[]string](f.Enabled.Problem, f.Enabled.Source)
	case !f.Enabled.Value:
		return posture.Known([]string{}, posture.Configured, source)
	case !f.Exposures.IsKnown():
		return posture.Unknown[[]string](f.Exposures.Problem, f.Exposures.Source)
	}
	open := map[string]bool{}
	for _, e := range f.Exposures.Value {
		if !e.Here {
			continue
		}
		if !e.Everyone.IsKnown() {
			return posture.Unknown[[]string](e.Everyone.Problem, e.Everyone.Source)
		}
		open[e.Service] = open[e.Service] || e.Everyone.Value
	}
	limited := []string{}
	for _, service := range sortedNames(open) {
		if !open[service] {
			limited = append(limited, service)
		}
	}
	for _, n := range f.Nodes.Value {
		if n.Here && len(limited) > 0 && !n.Service.IsKnown() {
			return posture.Unknown[[]string](n.Service.Problem, n.Service.Source)
		}
	}
	return posture.Known(limited, posture.Configured, source)
}
