package netset

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// u128 is an address as a number; those of IPv4 have hi 0.
type u128 struct{ hi, lo uint64 }

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) next() u128 {
	a.lo++
	if a.lo == 0 {
		a.hi++
	}
	return a
}

func (a u128) prev() u128 {
	if a.lo == 0 {
		a.hi--
	}
	a.lo--
	return a
}

// span is a range of addresses, both ends included.
type span struct{ lo, hi u128 }

// Sets of addresses of one family are sorted spans that neither overlap nor touch.
var (
	max4  = u128{0, 1<<32 - 1}
	max6  = u128{1<<64 - 1, 1<<64 - 1}
	full4 = []span{{u128{}, max4}}
	full6 = []span{{u128{}, max6}}
)

// Addrs is a set of addresses of both families. The zero Addrs is empty.
type Addrs struct{ v4, v6 []span }

// AnyAddrs is every address of both families.
func AnyAddrs() Addrs { return Addrs{full4, full6} }

// Any4 is every IPv4 address.
func Any4() Addrs { return Addrs{v4: full4} }

// Any6 is every IPv6 address.
func Any6() Addrs { return Addrs{v6: full6} }

func number(a netip.Addr) (u128, bool) {
	if a.Is4() {
		b := a.As4()
		return u128{0, uint64(binary.BigEndian.Uint32(b[:]))}, true
	}
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, false
}

func (a u128) addr(v4 bool) netip.Addr {
	if v4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a.lo)) //nolint:gosec // numbers of IPv4 addresses have 32 bits
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

// AddrRange is the addresses from one to another, both included. It is empty when they are out of order, invalid or of
// different families. Zones are ignored.
func AddrRange(from, to netip.Addr) Addrs {
	if !from.IsValid() || !to.IsValid() || from.Is4() != to.Is4() {
		return Addrs{}
	}
	lo, v4 := number(from)
	hi, _ := number(to)
	if hi.less(lo) {
		return Addrs{}
	}
	if v4 {
		return Addrs{v4: []span{{lo, hi}}}
	}
	return Addrs{v6: []span{{lo, hi}}}
}

// Prefix is the addresses of a prefix; host bits are ignored. An invalid prefix is empty.
func Prefix(p netip.Prefix) Addrs {
	if !p.IsValid() {
		return Addrs{}
	}
	r := netipx.RangeOfPrefix(p.Masked())
	return AddrRange(r.From(), r.To())
}

// Addr is the set of one address.
func Addr(a netip.Addr) Addrs { return AddrRange(a, a) }

// Join is the union of many sets, in one pass.
func Join(sets ...Addrs) Addrs {
	switch len(sets) {
	case 0:
		return Addrs{}
	case 1:
		return sets[0]
	case 2:
		return sets[0].Union(sets[1])
	}
	var v4, v6 []span
	for _, s := range sets {
		v4 = append(v4, s.v4...)
		v6 = append(v6, s.v6...)
	}
	return Addrs{merge(v4), merge(v6)}
}

// merge sorts spans in place and joins those that overlap or touch.
func merge(s []span) []span {
	if len(s) < 2 {
		return s
	}
	slices.SortFunc(s, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.lo.hi, b.lo.hi), cmp.Compare(a.lo.lo, b.lo.lo))
	})
	out := s[:1]
	for _, x := range s[1:] {
		last := &out[len(out)-1]
		// The end of the space has no successor, and covers whatever follows.
		if x.lo.less(last.hi) || x.lo == last.hi || last.hi != max6 && x.lo == last.hi.next() {
			if last.hi.less(x.hi) {
				last.hi = x.hi
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

func intersect(a, b, full []span) []span {
	switch {
	case len(a) == 0 || len(b) == 0:
		return nil
	case len(a) == 1 && a[0] == full[0]:
		return b
	case len(b) == 1 && b[0] == full[0], same(a, b):
		return a
	}
	var out []span
	for i, j := 0, 0; i < len(a) && j < len(b); {
		lo, hi := a[i].lo, a[i].hi
		if lo.less(b[j].lo) {
			lo = b[j].lo
		}
		if b[j].hi.less(hi) {
			hi = b[j].hi
		}
		if !hi.less(lo) {
			out = append(out, span{lo, hi})
		}
		if a[i].hi.less(b[j].hi) {
			i++
		} else {
			j++
		}
	}
	return out
}

// same reports whether two sets share their memory, which the results of operations often do.
func same(a, b []span) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

func overlaps(a, b []span) bool {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].hi.less(b[j].lo):
			i++
		case b[j].hi.less(a[i].lo):
			j++
		default:
			return true
		}
	}
	return false
}

// covers reports whether every address of b is in a.
func covers(a, b []span) bool {
	i := 0
	for _, x := range b {
		for i < len(a) && a[i].hi.less(x.lo) {
			i++
		}
		if i == len(a) || x.lo.less(a[i].lo) || a[i].hi.less(x.hi) {
			return false
		}
	}
	return true
}

func minus(a, b []span) []span {
	if len(a) == 0 || len(b) == 0 || !overlaps(a, b) {
		return a
	}
	var out []span
	j := 0
	for _, x := range a {
		for j < len(b) && b[j].hi.less(x.lo) {
			j++
		}
		lo, done := x.lo, false
		for k := j; k < len(b) && !x.hi.less(b[k].lo); k++ {
			if lo.less(b[k].lo) {
				out = append(out, span{lo, b[k].lo.prev()})
			}
			if !b[k].hi.less(x.hi) {
				done = true
				break
			}
			lo = b[k].hi.next()
		}
		if !done {
			out = append(out, span{lo, x.hi})
		}
	}
	return out
}

func union(a, b []span) []span {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0, covers(a, b):
		return a
	case covers(b, a):
		return b
	}
	return merge(append(append(make([]span, 0, len(a)+len(b)), a...), b...))
}

// Union is every address of either set.
func (a Addrs) Union(b Addrs) Addrs { return Addrs{union(a.v4, b.v4), union(a.v6, b.v6)} }

// Intersect is every address of both sets.
func (a Addrs) Intersect(b Addrs) Addrs {
	return Addrs{intersect(a.v4, b.v4, full4), intersect(a.v6, b.v6, full6)}
}

// Minus is every address of a that is not in b.
func (a Addrs) Minus(b Addrs) Addrs { return Addrs{minus(a.v4, b.v4), minus(a.v6, b.v6)} }

// Complement is every address of both families that is not in a.
func (a Addrs) Complement() Addrs { return AnyAddrs().Minus(a) }

// V4 is the part of IPv4, V6 that of IPv6.
func (a Addrs) V4() Addrs { return Addrs{v4: a.v4} }

// V6 is the part of IPv6.
func (a Addrs) V6() Addrs { return Addrs{v6: a.v6} }

// IsEmpty reports whether there is no address in the set.
func (a Addrs) IsEmpty() bool { return len(a.v4) == 0 && len(a.v6) == 0 }

// IsAny reports whether every address of both families is in the set.
func (a Addrs) IsAny() bool { return a.IsAny4() && a.IsAny6() }

// IsAny4 reports whether every IPv4 address is in the set.
func (a Addrs) IsAny4() bool { return len(a.v4) == 1 && a.v4[0] == full4[0] }

// IsAny6 reports whether every IPv6 address is in the set.
func (a Addrs) IsAny6() bool { return len(a.v6) == 1 && a.v6[0] == full6[0] }

// Overlaps reports whether the sets have an address in common.
func (a Addrs) Overlaps(b Addrs) bool { return overlaps(a.v4, b.v4) || overlaps(a.v6, b.v6) }

// Covers reports whether every address of b is in a.
func (a Addrs) Covers(b Addrs) bool { return covers(a.v4, b.v4) && covers(a.v6, b.v6) }

// Equal reports whether both sets hold the same addresses.
func (a Addrs) Equal(b Addrs) bool {
	return (same(a.v4, b.v4) || slices.Equal(a.v4, b.v4)) && (same(a.v6, b.v6) || slices.Equal(a.v6, b.v6))
}

// Contains reports whether an address is in the set. A 4-in-6 address is one of IPv6, an invalid one is nowhere.
func (a Addrs) Contains(ip netip.Addr) bool {
	if !ip.IsValid() {
		return false
	}
	n, v4 := number(ip)
	s := a.v6
	if v4 {
		s = a.v4
	}
	i, _ := slices.BinarySearchFunc(s, n, func(x span, n u128) int {
		if x.hi.less(n) {
			return -1
		}
		return 1
	})
	return i < len(s) && !n.less(s[i].lo)
}

// Ranges returns the set as sorted ranges, IPv4 first.
func (a Addrs) Ranges() []netipx.IPRange {
	out := make([]netipx.IPRange, 0, len(a.v4)+len(a.v6))
	for _, s := range a.v4 {
		out = append(out, netipx.IPRangeFrom(s.lo.addr(true), s.hi.addr(true)))
	}
	for _, s := range a.v6 {
		out = append(out, netipx.IPRangeFrom(s.lo.addr(false), s.hi.addr(false)))
	}
	return out
}

// Prefixes returns the set as the least number of prefixes, sorted, IPv4 first.
func (a Addrs) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range a.Ranges() {
		out = r.AppendPrefixes(out)
	}
	return out
}

// String lists the ranges, each as a prefix where it is one.
func (a Addrs) String() string {
	switch {
	case a.IsEmpty():
		return "none"
	case a.IsAny():
		return "any"
	}
	var b strings.Builder
	for i, r := range a.Ranges() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(RangeText(r))
	}
	return b.String()
}

// RangeText writes a range as an address, a prefix, or "first-last".
func RangeText(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.From().String() + "-" + r.To().String()
}

// First is the lowest address of the set, of IPv4 when there is one; the zero Addr when the set is empty.
func (a Addrs) First() netip.Addr {
	switch {
	case len(a.v4) > 0:
		return a.v4[0].lo.addr(true)
	case len(a.v6) > 0:
		return a.v6[0].lo.addr(false)
	}
	return netip.Addr{}
}

// Key is a text that two sets have in common when they are equal, and only then.
func (a Addrs) Key() string { return string(a.key(nil)) }

// Size is about how many addresses of the larger family are in the set; it is for comparing sets by how wide they are.
func (a Addrs) Size() float64 {
	n := 0.0
	for _, s := range [][]span{a.v4, a.v6} {
		sum := 0.0
		for _, x := range s {
			sum += float64(x.hi.hi-x.lo.hi)*(1<<64) + float64(x.hi.lo) - float64(x.lo.lo) + 1
		}
		n = max(n, sum)
	}
	return n
}

// Shape counts the ranges of the set, and those of them that are no network.
func (a Addrs) Shape() (ranges, odd int) {
	for _, s := range [][]span{a.v4, a.v6} {
		ranges += len(s)
		for _, x := range s {
			// A network differs from its first to its last address in all of the low bits, which are 0 in the first.
			diff := u128{x.lo.hi ^ x.hi.hi, x.lo.lo ^ x.hi.lo}
			more := diff.next()
			if diff.hi&more.hi != 0 || diff.lo&more.lo != 0 || x.lo.hi&diff.hi != 0 || x.lo.lo&diff.lo != 0 {
				odd++
			}
		}
	}
	return ranges, odd
}
