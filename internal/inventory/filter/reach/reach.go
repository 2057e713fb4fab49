// Package reach answers who can reach a port: it sends the set of all packets through the stages of package filter and
// says which sources each rule lets in or keeps out. Nothing is sampled: the accepted, dropped and rejected packets of a
// zone are disjoint, and together they are all packets to the port. It must not know rules or files itself: what a rule
// means is decided in package filter alone, so that reach and simulate cannot disagree.
package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

// Zones are the places that packets come from, as seen from the node that filters.
const (
	ZoneOutside = "outside" // beyond the ports of a bridge or behind another interface
	ZoneNodes   = "nodes"   // the other members of the cluster, by their addresses: a part of outside
	ZoneGuests  = "guests"  // filtered NICs of guests on the same node, after their own rules for outgoing packets
	ZoneHost    = "host"    // the node itself
)

// Query is one question.
type Query struct {
	// To is the node itself, or a NIC of a guest on it.
	To filter.Endpoint
	// Service is what is asked about: one port, or everything.
	Service netset.Services
	// Zones limits the answer; empty means all of them.
	Zones []string
	// From limits the zone guests to one guest; 0 means all.
	From int
	// Source limits the sources; empty means all of them.
	Source netset.Addrs
}

// Row is one line of an answer: packets of a zone about which one rule decides in one way.
type Row struct {
	Zone string
	// Members are the NICs of the zone guests ("vm/100/net0"), the nodes of the zone nodes ("pve2"), or the interfaces
	// of the zone outside when it matters through which one the packets come.
	Members []string
	// Family is 4 or 6.
	Family  int
	Sources Sources
	// Dest is set when the rule looks at the destination address too.
	Dest *Sources
	// Service is what this row is about, a part of what was asked.
	Service netset.Services
	Verdict filter.Verdict
	Why     filter.Reason
	Stage   string
	// Rest is true when the policy or default at the end decides.
	Rest bool
	// Order is the place of the deciding rule among all that decide.
	Order int
}

// Answer is what one machine can be reached by.
type Answer struct {
	Node    string
	Backend filter.Backend
	To      filter.Endpoint
	Rows    []Row // accepted first, then by zone, family and order of the rules
}

// Prober answers questions about one node with one of the firewalls.
type Prober struct {
	cluster *inventory.Cluster
	net     *filter.Network
	names   *Names
}

// NewProber prepares questions about a compiled network. Named are the aliases and ipsets that sources may be called by.
func NewProber(c *inventory.Cluster, n *filter.Network, named []Name) *Prober {
	return &Prober{cluster: c, net: n, names: NewNames(named)}
}

// origin is a place to ask from.
type origin struct {
	zone, member string
	from         filter.Endpoint
	source       netset.Addrs // empty: any
	none         bool         // nobody is there in this family
}

// Reach answers one question.
func (p *Prober) Reach(q Query) Answer {
	a := Answer{Node: p.net.Node, Backend: p.net.Backend, To: q.To}
	for _, family := range []int{4, 6} {
		var rows []Row
		for _, o := range p.origins(q, family) {
			rows = append(rows, p.rows(q, o, family)...)
		}
		a.Rows = append(a.Rows, together(rows)...)
	}
	slices.SortStableFunc(a.Rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(rank(x.Verdict), rank(y.Verdict)), cmp.Compare(zoneRank(x.Zone), zoneRank(y.Zone)),
			cmp.Compare(x.Family, y.Family), slices.Compare(x.Members, y.Members), cmp.Compare(x.Order, y.Order))
	})
	return a
}

func rank(v filter.Verdict) int {
	if v == filter.Accept {
		return 0
	}
	return 1
}

func zoneRank(zone string) int {
	return slices.Index([]string{ZoneOutside, ZoneNodes, ZoneGuests, ZoneHost}, zone)
}

// Parts is the exact partition of the packets from one place to the target of a question.
func (p *Prober) Parts(q Query, from filter.Endpoint, family int) []Part {
	return Partition(space(family, q.Service, q.Source), p.net.Path(from, q.To, family), p.unfiltered(q.To))
}

// unfiltered says why nothing filters the way to a target.
func (p *Prober) unfiltered(to filter.Endpoint) filter.Reason {
	if to.Kind == filter.GuestNIC {
		for _, nic := range p.net.NICs() {
			if nic.VMID == to.VMID && nic.Net == to.Net && nic.Missing != "" {
				return filter.Reason{Rule: "not filtered: " + string(nic.Missing)}
			}
		}
	}
	return filter.Reason{Rule: "not filtered"}
}

// origins lists the places that a question is about.
func (p *Prober) origins(q Query, family int) []origin {
	wanted := func(zone string) bool { return len(q.Zones) == 0 || slices.Contains(q.Zones, zone) }
	var out []origin
	if wanted(ZoneOutside) {
		for _, iface := range p.ifaces(q.To) {
			out = append(out, origin{zone: ZoneOutside, member: iface, from: filter.Endpoint{Kind: filter.Outside, Iface: iface}})
		}
	}
	if wanted(ZoneNodes) {
		out = append(out, p.peers(q, family)...)
	}
	for _, nic := range p.net.NICs() {
		switch {
		case !wanted(ZoneGuests), !nic.Firewall, q.From != 0 && nic.VMID != q.From:
			continue
		case q.To.Kind == filter.GuestNIC && (nic.VMID == q.To.VMID || nic.Bridge != p.bridge(q.To)):
			continue // other bridges are reached through a router, which is outside
		}
		out = append(out, origin{zone: ZoneGuests, member: nicText(nic), from: filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net, Iface: nic.Bridge}})
	}
	if wanted(ZoneHost) && q.To.Kind != filter.Host {
		out = append(out, origin{zone: ZoneHost, from: filter.Endpoint{Kind: filter.Host}})
	}
	return out
}

func nicText(n filter.NIC) string {
	kind := "vm/"
	if n.Kind == inventory.LXC {
		kind = "ct/"
	}
	return kind + strconv.Itoa(n.VMID) + "/net" + strconv.Itoa(n.Net)
}

func (p *Prober) bridge(to filter.Endpoint) string {
	for _, nic := range p.net.NICs() {
		if nic.VMID == to.VMID && nic.Net == to.Net {
			return nic.Bridge
		}
	}
	return to.Iface
}

// ifaces lists the interfaces through which packets from outside come to a target: for a guest its bridge, for the node
// all bridges and interfaces that have an address.
func (p *Prober) ifaces(to filter.Endpoint) []string {
	if to.Kind == filter.GuestNIC {
		return []string{p.bridge(to)}
	}
	var out []string
	if node, ok := p.cluster.Node(p.net.Node); ok && node.Network.Known() && node.Network.Value != nil {
		for _, i := range node.Network.Value.Interfaces {
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

func parseAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}

// peers are the other nodes: packets from outside with one of their addresses.
func (p *Prober) peers(q Query, family int) []origin {
	iface := p.ifaces(q.To)[0]
	var out []origin
	for _, n := range p.cluster.Nodes {
		if n.Name == p.net.Node {
			continue
		}
		var sets []netset.Addrs
		for _, text := range n.Addresses {
			if a, ok := parseAddr(text); ok && (a.Is4() == (family == 4)) {
				sets = append(sets, netset.Addr(a))
			}
		}
		if set := netset.Join(sets...); !set.IsEmpty() {
			out = append(out, origin{zone: ZoneNodes, member: n.Name, source: set, from: filter.Endpoint{Kind: filter.Outside, Iface: iface}})
		}
	}
	return out
}

// rows makes the readable lines of one origin.
func (p *Prober) rows(q Query, o origin, family int) []Row {
	source := q.Source
	if !o.source.IsEmpty() {
		if source = o.source; !q.Source.IsEmpty() {
			source = source.Intersect(q.Source)
		}
		if source.IsEmpty() {
			return nil
		}
	}
	var out []Row
	for i, part := range Partition(space(family, q.Service, source), p.net.Path(o.from, q.To, family), p.unfiltered(q.To)) {
		for _, b := range part.Region.Simplify().Boxes() {
			r := Row{
				Zone: o.zone, Members: []string{o.member}, Family: family, Sources: p.names.Describe(b.Source), Service: b.Service,
				Verdict: part.Verdict, Why: part.Why, Stage: part.Stage, Rest: part.Rest, Order: i,
			}
			if !b.Dest.IsAny4() && !b.Dest.IsAny6() {
				dest := p.names.Describe(b.Dest)
				r.Dest = &dest
			}
			out = append(out, r)
		}
	}
	return out
}

// together joins the members of a zone for which the rows are the same.
func together(rows []Row) []Row {
	type group struct {
		members []string
		rows    []Row
	}
	var order []string // of members
	byMember := map[string][]Row{}
	for _, r := range rows {
		key := r.Zone + "\x00" + r.Members[0]
		if byMember[key] == nil {
			order = append(order, key)
		}
		byMember[key] = append(byMember[key], r)
	}
	groups := map[string]*group{}
	var keys []string
	for _, m := range order {
		var text strings.Builder
		for _, r := range byMember[m] {
			fmt.Fprintf(&text, "%s|%d|%s|%v|%s|%s|%v\n", r.Zone, r.Family, r.Sources.key(), r.Dest.key(), r.Service, r.Verdict, r.Why)
		}
		g := groups[text.String()]
		if g == nil {
			g = &group{rows: byMember[m]}
			groups[text.String()] = g
			keys = append(keys, text.String())
		}
		g.members = append(g.members, byMember[m][0].Members...)
	}
	outsides := 0
	for _, k := range keys {
		if groups[k].rows[0].Zone == ZoneOutside {
			outsides++
		}
	}
	var out []Row
	for _, k := range keys {
		g := groups[k]
		for _, r := range g.rows {
			r.Members = g.members
			if r.Zone == ZoneHost || r.Zone == ZoneOutside && outsides == 1 {
				r.Members = nil
			}
			out = append(out, r)
		}
	}
	return out
}

func (s *Sources) key() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.Prefixes, ",")
}
