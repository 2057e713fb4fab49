// Package reach answers who can reach a port: it sends the set of all packets through the stages of package filter and
// says which sources each rule lets in or keeps out. Nothing is sampled: the accepted, dropped and rejected packets of a
// zone are disjoint, and together they are all packets to the port. It must not know rules or files itself: what a rule
// means is decided in package filter alone, so that reach and simulate cannot disagree.
package reach

import (
	"cmp"
	"fmt"
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
	// Members are the NICs of the zone guests ("vm/100/net0"), or the interfaces of the zone outside when it matters
	// through which one the packets come.
	Members []string
	// Family is 4 or 6.
	Family  int
	Sources Sources
	// Shown is Sources for people: with or without the broadcast and multicast addresses that nosmurfs keeps out of everything,
	// and that no honest packet comes from, whichever is shorter.
	Shown Sources
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
	// Unknown are places to ask from whose own rules could not be read; they are left out.
	Unknown []string
}

// Prober answers questions about one node with one of the firewalls.
type Prober struct {
	cluster *inventory.Cluster
	net     *filter.Network
	builtIn []Name
	nics    []filter.NIC
	// names are those for the target at hand; most guests share those of the cluster.
	names, shared *Names
}

// NewProber prepares questions about a compiled network.
func NewProber(c *inventory.Cluster, n *filter.Network) *Prober {
	return &Prober{cluster: c, net: n, nics: n.NICs(), builtIn: builtIn(n)}
}

// call chooses the names for a target: the aliases and ipsets of the cluster and, where it has some, those of the guest.
func (p *Prober) call(to filter.Endpoint) {
	if g, ok := p.cluster.Guest(to.VMID); to.Kind == filter.GuestNIC && ok && g.Firewall.Known() && g.Firewall.Value != nil &&
		len(g.Firewall.Value.Aliases)+len(g.Firewall.Value.IPSets) > 0 {
		p.names = NewNames(append(Named(p.cluster, to.VMID), p.builtIn...))
		return
	}
	if p.shared == nil {
		p.shared = NewNames(append(Named(p.cluster, 0), p.builtIn...))
	}
	p.names = p.shared
}

// never are sets of addresses of a family that no honest packet comes from.
func (p *Prober) never(family int) []netset.Addrs {
	var out []netset.Addrs
	for _, n := range p.builtIn {
		if n.Text == smurfs && (n.Set.V4().IsEmpty() == (family == 6)) {
			out = append(out, n.Set)
		}
	}
	return out
}

// origin is a place to ask from.
type origin struct {
	zone, member string
	from         filter.Endpoint
	source       netset.Addrs // empty: any
}

// Reach answers one question. The error means that the rules of the target could not be read, or [ErrTooLarge].
func (p *Prober) Reach(q Query) (Answer, error) {
	a := Answer{Node: p.net.Node, Backend: p.net.Backend, To: q.To}
	if err := p.net.Known(q.To); err != nil {
		return a, fmt.Errorf("cannot tell who reaches it: %w", err)
	}
	p.call(q.To)
	var rows []Row
	for _, family := range []int{4, 6} {
		for _, o := range p.origins(q, family) {
			if err := p.net.Known(o.from); err != nil {
				if family == 4 {
					a.Unknown = append(a.Unknown, o.member)
				}
				continue
			}
			more, err := p.rows(q, o, family)
			if err != nil {
				return a, fmt.Errorf("cannot tell who reaches it: %w", err)
			}
			rows = append(rows, more...)
		}
	}
	a.Rows = together(rows)
	slices.SortStableFunc(a.Rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(rank(x.Verdict), rank(y.Verdict)), cmp.Compare(zoneRank(x.Zone), zoneRank(y.Zone)),
			slices.Compare(x.Members, y.Members), cmp.Compare(x.Family, y.Family), cmp.Compare(x.Order, y.Order))
	})
	return a, nil
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

// Parts is the exact partition of the packets of a family from one place to the target of a question.
func (p *Prober) Parts(q Query, from filter.Endpoint, family int) ([]Part, error) {
	return Partition(space(family, q.Service, q.Source), p.net.Path(from, q.To, family), p.net.Unfiltered(from, q.To))
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
	for _, nic := range p.nics {
		switch {
		case !wanted(ZoneGuests), !nic.Firewall, q.From != 0 && nic.VMID != q.From, Template(p.cluster, nic.VMID):
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
	for _, nic := range p.nics {
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

// peers are the other nodes: packets from outside with one of their addresses.
func (p *Prober) peers(q Query, family int) []origin {
	var sets []netset.Addrs
	for _, n := range nodeNames(p.cluster) {
		if n.Text != p.net.Node {
			sets = append(sets, n.Set)
		}
	}
	set := netset.Join(sets...)
	if set = set.V4(); family == 6 {
		set = netset.Join(sets...).V6()
	}
	if set.IsEmpty() {
		return nil
	}
	return []origin{{zone: ZoneNodes, source: set, from: filter.Endpoint{Kind: filter.Outside, Iface: p.ifaces(q.To)[0]}}}
}

// Template reports whether a guest is a template, which never runs.
func Template(c *inventory.Cluster, vmid int) bool {
	g, ok := c.Guest(vmid)
	return ok && g.Config.Known() && g.Config.Value != nil && g.Config.Value.On("template")
}

// rows makes the readable lines of one origin.
func (p *Prober) rows(q Query, o origin, family int) ([]Row, error) {
	source := q.Source
	if !o.source.IsEmpty() {
		if source = o.source; !q.Source.IsEmpty() {
			source = source.Intersect(q.Source)
		}
		if source.IsEmpty() {
			return nil, nil
		}
	}
	parts, err := Partition(space(family, q.Service, source), p.net.Path(o.from, q.To, family), p.net.Unfiltered(o.from, q.To))
	if err != nil {
		return nil, err
	}
	var out []Row
	for i, part := range parts {
		for _, b := range part.Region.Simplify().Boxes() {
			r := Row{
				Zone: o.zone, Members: []string{o.member}, Family: family, Sources: p.names.Describe(b.Source), Service: b.Service,
				Shown:   p.names.loosely(b.Source, p.never(family)...),
				Verdict: part.Verdict, Why: part.Why, Stage: part.Stage, Rest: part.Rest, Order: i,
			}
			if !b.Dest.Covers(unicast(family)) {
				dest := p.names.loosely(b.Dest, shared(family))
				r.Dest = &dest
			}
			out = append(out, r)
		}
	}
	return out, nil
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
	if len(order) == 1 {
		return alone(rows)
	}
	groups := map[string]*group{}
	var keys []string
	for _, m := range order {
		text := answerKey(byMember[m])
		g := groups[text]
		if g == nil {
			g = &group{rows: byMember[m]}
			groups[text] = g
			keys = append(keys, text)
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
			if r.Members = g.members; len(g.members) > 1 && r.Why.Line == 0 {
				r.Why.File = ""
			}
			if r.Zone == ZoneHost || r.Zone == ZoneNodes || r.Zone == ZoneOutside && outsides == 1 {
				r.Members = nil
			}
			out = append(out, r)
		}
	}
	return out
}

// answerKey is a text that the rows of two members have in common when they say the same.
func answerKey(rows []Row) string {
	var text strings.Builder
	for i := range rows {
		r := &rows[i]
		why := r.Why
		if why.Line == 0 {
			why.File = "" // a default is the same for all files
		}
		for _, part := range []string{
			r.Zone, strconv.Itoa(r.Family), r.Sources.key(), r.Dest.key(), r.Service.Key(), string(r.Verdict), why.File, strconv.Itoa(why.Line), why.Rule, why.Group,
		} {
			text.WriteString(part)
			text.WriteByte(0)
		}
	}
	return text.String()
}

// alone is the answer when there is one place to ask from: then its name says nothing.
func alone(rows []Row) []Row {
	for i := range rows {
		if rows[i].Zone != ZoneGuests {
			rows[i].Members = nil
		}
	}
	return rows
}

func (s *Sources) key() string {
	if s == nil {
		return ""
	}
	return s.set.Key()
}
