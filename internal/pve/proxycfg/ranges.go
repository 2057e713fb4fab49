package proxycfg

import (
	"errors"
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
)

// Range is a run of addresses of one family, both ends included.
type Range struct{ From, To netip.Addr }

func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	for bits := 0; bits <= r.From.BitLen(); bits++ {
		if p, err := r.From.Prefix(bits); err == nil && p.Addr() == r.From && last(p) == r.To {
			return p.String()
		}
	}
	return r.From.String() + "-" + r.To.String()
}

// Contains reports whether the address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.From.BitLen() && r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0
}

func everything() []Range {
	return []Range{prefixRange(netip.MustParsePrefix("0.0.0.0/0")), prefixRange(netip.MustParsePrefix("::/0"))}
}

func inAny(list []Range, a netip.Addr) bool {
	for _, r := range list {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// covers reports whether the ranges hold the whole family of the address, which is the first one of it.
func covers(list []Range, first netip.Addr) bool {
	var same []Range
	for _, r := range list {
		if r.From.BitLen() == first.BitLen() {
			same = append(same, r)
		}
	}
	sort.Slice(same, func(i, j int) bool { return same[i].From.Compare(same[j].From) < 0 })
	next := first
	for _, r := range same {
		if r.From.Compare(next) > 0 {
			return false
		}
		if r.To.Compare(next) >= 0 {
			next = r.To.Next()
			if !next.IsValid() {
				return true
			}
		}
	}
	return false
}

// ParseRange reads what Net::IP 1.26 takes as one expression: an address, a network whose host bits are zero, short
// forms of IPv4 (10/8), a range a-b, or a + n. IPv4 addresses written as IPv6 become IPv4, and networks that reach into
// ::ffff:0:0/96 are refused, because PVE's normalize_v4_in_v6 fails on them.
func ParseRange(s string) (Range, error) {
	r, err := parseNetIP(s)
	if err != nil {
		return r, err
	}
	mapped := prefixRange(netip.MustParsePrefix("::ffff:0:0/96"))
	if r.From.Is4() || r.To.Compare(mapped.From) < 0 || r.From.Compare(mapped.To) > 0 {
		return r, nil
	}
	tail := s[strings.LastIndexByte(s, ':')+1:]
	a, err := parseIPv4(tail)
	if err != nil {
		return Range{}, errors.New("reaches into the addresses of IPv4 written as IPv6; write all, or the IPv4 form")
	}
	return Range{a, a}, nil
}

func parseNetIP(s string) (Range, error) {
	if s != strings.TrimSpace(s) || s == "" {
		return Range{}, errors.New("Net::IP refuses blanks and empty entries; the list is divided by commas alone")
	}
	if from, n, ok := strings.Cut(s, " + "); ok {
		return plusRange(strings.TrimSpace(from), strings.TrimSpace(n))
	}
	// A slash followed by anything but a length makes Net::IP take the address alone (ip_normalize).
	if addr, length, ok := strings.Cut(s, "/"); ok && length != "" && !strings.ContainsAny(s, " \t") {
		return cidrRange(addr, length)
	}
	if from, to, ok := strings.Cut(s, "-"); ok && from != "" && to != "" {
		return spanRange(strings.TrimSpace(from), strings.TrimSpace(to))
	}
	if strings.ContainsAny(s, " \t") {
		return Range{}, errors.New("Net::IP refuses blanks; the list is divided by commas alone")
	}
	a, err := parseAddr(s)
	return Range{a, a}, err
}

func plusRange(from, n string) (Range, error) {
	a, err := parseAddr(from)
	if err != nil {
		return Range{}, err
	}
	count, err := strconv.ParseUint(n, 10, 16)
	if err != nil {
		return Range{}, fmt.Errorf("%q is no number of addresses", clip(n))
	}
	to := a
	for range count {
		if to = to.Next(); !to.IsValid() {
			return Range{}, errors.New("the range leaves the address space")
		}
	}
	return Range{a, to}, nil
}

func cidrRange(addr, length string) (Range, error) {
	a, err := parseAddr(addr)
	if err != nil {
		return Range{}, err
	}
	bits, err := strconv.ParseUint(length, 10, 16)
	if err != nil {
		return Range{a, a}, nil
	}
	p, err := a.Prefix(int(bits))
	if err != nil {
		return Range{}, fmt.Errorf("prefix length %d is too long", bits)
	}
	if p.Addr() != a {
		return Range{}, fmt.Errorf("Net::IP refuses a network with host bits; the network is %s", p)
	}
	return prefixRange(p), nil
}

func spanRange(from, to string) (Range, error) {
	a, err := parseAddr(from)
	if err != nil {
		return Range{}, err
	}
	b, err := parseAddr(to)
	switch {
	case err != nil:
		return Range{}, err
	case a.BitLen() != b.BitLen():
		return Range{}, errors.New("the range mixes IPv4 and IPv6")
	case b.Compare(a) < 0:
		return Range{}, errors.New("the range ends before it begins")
	}
	return Range{a, b}, nil
}

func parseAddr(s string) (netip.Addr, error) {
	if !strings.Contains(s, ":") {
		return parseIPv4(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is no address", clip(s))
	}
	return a, nil
}

// parseIPv4 takes short forms (10.1 is 10.1.0.0) and leading zeros, which are decimal in Net::IP.
func parseIPv4(s string) (netip.Addr, error) {
	quads := strings.Split(s, ".")
	var out [4]byte
	if len(quads) > 4 {
		return netip.Addr{}, fmt.Errorf("%q is no address", clip(s))
	}
	for i, q := range quads {
		n, err := strconv.ParseUint(q, 10, 8)
		if err != nil || len(q) > 3 || q[0] == '+' {
			return netip.Addr{}, fmt.Errorf("%q is no address", clip(s))
		}
		out[i] = byte(n)
	}
	return netip.AddrFrom4(out), nil
}

func prefixRange(p netip.Prefix) Range { return Range{p.Addr(), last(p)} }

// last returns the last address of a network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
