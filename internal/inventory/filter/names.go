package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// names finds the sets that the words of a rule stand for, and keeps what is asked for twice. Set after set of a cluster
// is the same for a thousand guests.
type names struct {
	cluster *firewall.File
	sdn     map[string]netset.Addrs
	// localNet is what the alias local_network stands for where PVE uses it; zero when there is none.
	localNet netip.Prefix
	strict   bool // proxmox-firewall

	sets     map[*firewall.IPSet]netset.Addrs
	addrs    map[string]found // literals and names of the cluster
	services map[service]servicesFound
}

type found struct {
	set netset.Addrs
	err error
}

type service struct {
	proto, dport, sport, icmp string
	family                    int
}

type servicesFound struct {
	set netset.Services
	err error
}

func newNames(cluster *firewall.File, strict bool) *names {
	return &names{
		cluster: cluster, strict: strict, sets: map[*firewall.IPSet]netset.Addrs{}, addrs: map[string]found{},
		services: map[service]servicesFound{},
	}
}

func (n *names) isSDN(name string) bool { _, ok := n.sdn[name]; return ok }

// given is Perl's truth of a property: PVE takes "0" for a property that is not there.
func given(s string) bool { return s != "" && s != "0" }

// addresses is the set that the source or destination of a rule stands for. Local is the file of the guest, nil
// elsewhere. The error means that the rule cannot be generated.
func (n *names) addresses(value string, local *firewall.File) (netset.Addrs, error) {
	if local == nil || !firewall.IsSet(value) && !firewall.IsAlias(value) {
		if f, ok := n.addrs[value]; ok {
			return f.set, f.err
		}
		set, err := n.lookup(value, local)
		n.addrs[value] = found{set, err}
		return set, err
	}
	return n.lookup(value, local)
}

func (n *names) lookup(value string, local *firewall.File) (netset.Addrs, error) {
	switch {
	case firewall.IsSet(value):
		return n.ipset(value, local)
	case firewall.IsAlias(value):
		return n.alias(value, local)
	}
	ranges, why := firewall.AddressList(value)
	if n.strict {
		ranges, why = firewall.StrictAddresses(value)
	}
	if why != "" {
		return netset.Addrs{}, errors.New(why)
	}
	sets := make([]netset.Addrs, 0, len(ranges))
	for _, r := range ranges {
		sets = append(sets, netset.AddrRange(r.From, r.To))
	}
	return netset.Join(sets...), nil
}

// alias looks in the file of the guest, then in cluster.fw, unless the name says where.
func (n *names) alias(ref string, local *firewall.File) (netset.Addrs, error) {
	scope, name := firewall.AliasName(ref)
	var a *firewall.Alias
	ok := false
	if scope != "dc/" {
		a, ok = local.Alias(name)
	}
	if !ok && scope != "guest/" {
		a, ok = n.cluster.Alias(name)
	}
	if !ok {
		return netset.Addrs{}, fmt.Errorf("no such alias %s", ref)
	}
	p, ok := firewall.CIDR(a.CIDR)
	if !ok {
		return netset.Addrs{}, nil // iptables refuses it
	}
	return netset.Prefix(p), nil
}

func (n *names) ipset(ref string, local *firewall.File) (netset.Addrs, error) {
	scope, name := firewall.SetName(ref)
	in := func(s string) bool { return scope == "" || scope == s }
	if set, ok := local.IPSet(name); ok && in("guest/") {
		return n.set(set, local), nil
	}
	if set, ok := n.cluster.IPSet(name); ok && in("dc/") {
		if name == "management" && !n.strict {
			return n.management(), nil
		}
		return n.set(set, nil), nil
	}
	if set, ok := n.sdn[name]; ok && in("sdn/") {
		return set, nil
	}
	return netset.Addrs{}, fmt.Errorf("no such ipset %s", ref)
}

// set is what an ipset of a file holds.
func (n *names) set(s *firewall.IPSet, local *firewall.File) netset.Addrs {
	if set, ok := n.sets[s]; ok {
		return set
	}
	set := n.resolve(n.entries(s, local))
	n.sets[s] = set
	return set
}

// net is one element of an ipset.
type net struct {
	prefix  netip.Prefix
	nomatch bool
}

// entries are the elements that PVE puts into an ipset. An alias has to be defined above the entry when it is of the
// same file, because Perl checks the entry when it reads it.
func (n *names) entries(s *firewall.IPSet, local *firewall.File) []net {
	nets := make([]net, 0, len(s.Entries))
	for _, e := range s.Entries {
		if e.Error != "" {
			continue
		}
		cidr := e.CIDR
		if e.Alias {
			a, ok := n.entryAlias(e, local)
			if !ok {
				continue
			}
			cidr = a.CIDR
		}
		if p, ok := firewall.CIDR(cidr); ok && p.Bits() > 0 {
			nets = append(nets, net{p, e.NoMatch})
		}
	}
	return nets
}

func (n *names) entryAlias(e firewall.Entry, local *firewall.File) (*firewall.Alias, bool) {
	scope, name := firewall.AliasName(e.CIDR)
	own := local
	if own == nil {
		own = n.cluster
	}
	above := func(f *firewall.File) bool { return f != own || n.strict || f.AliasAbove(name, e.Line) }
	if scope != "dc/" && local != nil {
		if a, ok := local.Alias(name); ok && above(local) {
			return a, true
		}
	}
	if scope != "guest/" {
		if a, ok := n.cluster.Alias(name); ok && above(n.cluster) {
			return a, true
		}
	}
	return nil, false
}

// resolve makes a set of the elements of an ipset. The kernel looks for the longest prefix that holds an address, and an
// element with "nomatch" then means no (ipset(8), hash:net). proxmox-firewall makes two sets instead, and what is in the
// second is never in.
func (n *names) resolve(nets []net) netset.Addrs {
	if n.strict {
		var in, not []netset.Addrs
		for _, e := range nets {
			if e.nomatch {
				not = append(not, netset.Prefix(e.prefix))
			} else {
				in = append(in, netset.Prefix(e.prefix))
			}
		}
		return netset.Join(in...).Minus(netset.Join(not...))
	}
	last := make(map[netip.Prefix]bool, len(nets)) // of two elements for one network the later counts
	for _, e := range nets {
		last[e.prefix] = e.nomatch
	}
	byLength := map[int][2][]netset.Addrs{}
	for p, nomatch := range last {
		lists := byLength[p.Bits()]
		if nomatch {
			lists[1] = append(lists[1], netset.Prefix(p))
		} else {
			lists[0] = append(lists[0], netset.Prefix(p))
		}
		byLength[p.Bits()] = lists
	}
	lengths := make([]int, 0, len(byLength))
	for l := range byLength {
		lengths = append(lengths, l)
	}
	slices.Sort(lengths)
	var set netset.Addrs
	for _, l := range lengths { // the longer prefixes later: they win
		set = set.Union(netset.Join(byLength[l][0]...))
		if not := byLength[l][1]; len(not) > 0 {
			set = set.Minus(netset.Join(not...))
		}
	}
	return set
}

// management is the ipset of the addresses that may manage the node: its entries in cluster.fw and the local network.
func (n *names) management() netset.Addrs {
	var nets []net
	if set, ok := n.cluster.IPSet("management"); ok {
		nets = n.entries(set, nil)
	}
	if n.localNet.IsValid() {
		nets = append(nets, net{prefix: n.localNet})
	}
	return n.resolve(nets)
}

// cut leaves one family of a set.
func cut(a netset.Addrs, family int) netset.Addrs {
	if family == 4 {
		return a.V4()
	}
	return a.V6()
}

func anyOf(family int) netset.Addrs {
	if family == 4 {
		return netset.Any4()
	}
	return netset.Any6()
}

// all is every packet of a family.
func all(family int) netset.Box {
	return netset.Box{Source: anyOf(family), Dest: anyOf(family), Service: netset.AnyService(), Class: netset.AnyClass}
}

// ports makes a set of a list of ranges; none is every port.
func ports(ranges []firewall.PortRange) netset.Ports {
	if len(ranges) == 0 {
		return netset.AnyPorts()
	}
	spans := make([]netset.PortSpan, 0, len(ranges))
	for _, r := range ranges {
		spans = append(spans, netset.PortSpan{From: r.From, To: r.To})
	}
	return netset.PortSet(spans...)
}

// cached keeps the services of a combination of texts.
func (n *names) cached(s service, find func(service) (netset.Services, error)) (netset.Services, error) {
	if f, ok := n.services[s]; ok {
		return f.set, f.err
	}
	set, err := find(s)
	n.services[s] = servicesFound{set, err}
	return set, err
}
