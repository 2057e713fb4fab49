package reach

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/castellan-project/castellan/internal/netset"
)

// Name is a set of addresses that the configuration names: an alias ("dc/office") or an ipset ("+dc/management").
type Name struct {
	Text string
	Set  netset.Addrs
}

// Names finds names for sets of addresses.
type Names struct {
	v4, v6 family
	// said keeps descriptions: the same sets come again for rule after rule and guest after guest.
	said, loose map[string]Sources
}

// family is the named sets of one family, cut to it.
type family struct {
	names []named // by first address
	exact map[string]string
}

type named struct {
	text  string
	set   netset.Addrs
	first netip.Addr
	size  float64
}

// Bounds of what is tried: more names than a person reads at a glance help nobody.
const (
	maxNames      = 6    // names in one description
	maxCandidates = 256  // named sets that are tried for one description
	maxSaid       = 4096 // descriptions that are kept
)

// NewNames prepares a list of named sets. Of two names for the same set the first counts.
func NewNames(list []Name) *Names {
	n := &Names{said: map[string]Sources{}, loose: map[string]Sources{}}
	n.v4.fill(list, netset.Addrs.V4)
	n.v6.fill(list, netset.Addrs.V6)
	return n
}

func (f *family) fill(list []Name, cut func(netset.Addrs) netset.Addrs) {
	f.exact = make(map[string]string, len(list))
	for _, n := range list {
		set := cut(n.Set)
		if set.IsEmpty() || set.IsAny4() || set.IsAny6() {
			continue
		}
		key := set.Key()
		if _, ok := f.exact[key]; ok {
			continue
		}
		f.exact[key] = n.Text
		f.names = append(f.names, named{n.Text, set, set.First(), set.Size()})
	}
	slices.SortStableFunc(f.names, func(a, b named) int { return a.first.Compare(b.first) })
}

// Sources describes a set of source addresses of one family.
type Sources struct {
	// Everyone is true when it is every address of the family.
	Everyone bool
	// Names are the aliases and ipsets whose union is exactly the set; empty when there are none.
	Names []string
	// Except is set when it is shorter to say who is not in the set.
	Except *Sources
	set    netset.Addrs
}

// Parts are the addresses: as few addresses, networks and ranges "first-last" as possible.
func (s *Sources) Parts() []string { return texts(s.set) }

// Describe describes a set, which must be of one family.
func (n *Names) Describe(set netset.Addrs) Sources {
	key := set.Key()
	s, ok := n.said[key]
	if !ok {
		s = n.describe(set)
		if len(n.said) >= maxSaid {
			clear(n.said)
		}
		n.said[key] = s
	}
	return s
}

// loosely describes a set when some addresses do not matter: with some of them or without, whichever is shortest.
func (n *Names) loosely(set netset.Addrs, ignored ...netset.Addrs) Sources {
	best := n.Describe(set)
	if best.weight() <= shortest {
		return best
	}
	key := set.Key()
	for _, x := range ignored {
		key += "|" + x.Key()
	}
	if s, ok := n.loose[key]; ok {
		return s
	}
	best = n.looser(best, set, ignored)
	if len(n.loose) >= maxSaid {
		clear(n.loose)
	}
	n.loose[key] = best
	return best
}

// shortest is the weight of one network or name, which nothing beats but "everyone".
const shortest = 2

func (n *Names) looser(best Sources, set netset.Addrs, ignored []netset.Addrs) Sources {
	for _, x := range ignored {
		for _, more := range []netset.Addrs{x, touching(set, x)} {
			if s := n.Describe(set.Union(more)); s.weight() < best.weight() {
				best = s
			}
		}
	}
	for _, x := range ignored {
		rest := wholeFamily(set).Minus(set.Union(x))
		if rest.IsEmpty() {
			continue
		}
		out := n.Describe(rest.Union(touching(rest, x)))
		if s := (Sources{set: set, Except: &out}); out.Except == nil && !out.Everyone && s.weight() < best.weight() {
			best = s
		}
	}
	return best
}

func wholeFamily(set netset.Addrs) netset.Addrs {
	if set.V4().IsEmpty() {
		return netset.Any6()
	}
	return netset.Any4()
}

// touching are the ranges of ignored addresses that stand next to some of a set: the holes that they cut into it.
func touching(set, ignored netset.Addrs) netset.Addrs {
	var out []netset.Addrs
	for _, r := range ignored.Ranges() {
		if set.Contains(r.From().Prev()) || set.Contains(r.To().Next()) {
			out = append(out, netset.AddrRange(r.From(), r.To()))
		}
	}
	return netset.Join(out...)
}

// weight is about how much there is to read.
func (s Sources) weight() int {
	switch {
	case s.Everyone:
		return 0
	case len(s.Names) > 0:
		return 2 * len(s.Names)
	case s.Except != nil:
		return 1 + s.Except.weight()
	}
	// A range that is no network is harder to read than one.
	ranges, odd := s.set.Shape()
	return 2*ranges + odd
}

func (n *Names) describe(set netset.Addrs) Sources {
	s := n.plain(set)
	if s.Everyone || len(s.Names) > 0 {
		return s
	}
	rest := n.plain(wholeFamily(set).Minus(set))
	ranges, _ := set.Shape()
	if others, _ := rest.set.Shape(); len(rest.Names) > 0 && ranges > 1 || others < ranges {
		s.Except = &rest
	}
	return s
}

func (n *Names) plain(set netset.Addrs) Sources {
	if set.IsAny4() || set.IsAny6() {
		return Sources{Everyone: true, set: set}
	}
	f := &n.v4
	if set.V4().IsEmpty() {
		f = &n.v6
	}
	return Sources{set: set, Names: f.find(set)}
}

// find returns names whose union is the set: one that is equal, or a few that together are.
func (f *family) find(set netset.Addrs) []string {
	if set.IsEmpty() {
		return nil
	}
	if text, ok := f.exact[set.Key()]; ok {
		return []string{text}
	}
	var inside []named
	first := set.First()
	for _, r := range set.Ranges() {
		i, _ := slices.BinarySearchFunc(f.names, r.From(), func(n named, a netip.Addr) int {
			if n.first.Less(a) {
				return -1
			}
			return 1
		})
		// Something has to begin where the set begins.
		if r.From() == first && (i == len(f.names) || f.names[i].first != first) {
			return nil
		}
		for ; i < len(f.names) && !r.To().Less(f.names[i].first); i++ {
			if len(inside) == maxCandidates {
				return nil
			}
			if set.Covers(f.names[i].set) {
				inside = append(inside, f.names[i])
			}
		}
	}
	return cover(set, inside)
}

// cover takes the largest sets first, leaving out those that add nothing, until the union is the whole.
func cover(set netset.Addrs, inside []named) []string {
	slices.SortStableFunc(inside, func(a, b named) int { return cmp.Compare(b.size, a.size) })
	var out []string
	for _, n := range inside {
		if !n.set.Overlaps(set) {
			continue
		}
		if len(out) == maxNames {
			return nil
		}
		out = append(out, n.text)
		set = set.Minus(n.set)
	}
	if !set.IsEmpty() {
		return nil
	}
	slices.Sort(out)
	return out
}

// texts lists a set, each part as an address, a network, or a range "first-last" that is no network: a complement has a
// handful of ranges and hundreds of networks.
func texts(set netset.Addrs) []string {
	ranges := set.Ranges()
	out := make([]string, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, netset.RangeText(r))
	}
	return out
}

// maxShown is the number of prefixes that a text shows.
const maxShown = 12

// String is the description in words: "everyone", "+dc/management", "10.0.0.0/8, 192.0.2.1", "everyone except dc/office".
func (s Sources) String() string {
	switch {
	case s.Everyone:
		return "everyone"
	case len(s.Names) > 0:
		return list(s.Names)
	case s.Except != nil:
		return "everyone except " + s.Except.String()
	}
	return list(s.Parts())
}

func list(items []string) string {
	text := ""
	for i, s := range items {
		if i == maxShown {
			return text + " and " + strconv.Itoa(len(items)-i) + " more"
		}
		if i > 0 {
			text += ", "
		}
		text += s
	}
	return text
}
