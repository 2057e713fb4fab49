package firewall

import (
	"net/netip"
	"strconv"
	"strings"
)

// plainCIDR checks the form of an address or network as PVE does for aliases and ipsets (parse_ip_or_cidr): the prefix
// length may be any number. The length of a single address is taken off.
func plainCIDR(s string) (string, bool) {
	text, bits, found := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || found && !digits(bits) {
		return s, false
	}
	if bits == "32" && a.Is4() || bits == "128" && a.Is6() {
		return text, true
	}
	return s, true
}

// ValidCIDR reports whether an address or network of the form that [Parse] lets pass can be one at all.
func ValidCIDR(s string) bool { _, ok := CIDR(s); return ok }

// CIDR reads an address or network; bits of the host are cut off, as the kernel does.
func CIDR(s string) (netip.Prefix, bool) {
	text, bits, found := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	n := a.BitLen()
	if found {
		if !digits(bits) || len(bits) > 5 {
			return netip.Prefix{}, false
		}
		if n, err = strconv.Atoi(bits); err != nil || n > a.BitLen() {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(a, n).Masked(), true
}

// Range is a range of addresses of one family, both ends included.
type Range struct{ From, To netip.Addr }

func prefixRange(p netip.Prefix) Range {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return Range{p.Addr(), last}
}

// IsSet reports whether a source or destination is the name of an ipset, IsAlias whether it is that of an alias.
func IsSet(s string) bool { return strings.HasPrefix(s, "+") }

// IsAlias reports whether a source or destination is the name of an alias.
func IsAlias(s string) bool {
	_, name := cutScope(s, "dc/", "guest/")
	return validName(name)
}

// AddressList reads the source or destination of a rule that is no name, as pve-firewall does (parse_address_list, with
// Net::IP): single addresses and networks, or one range. Net::IP refuses a network with bits of the host.
func AddressList(s string) (ranges []Range, why string) {
	elems := strings.Split(s, ",")
	if elems[len(elems)-1] == "" {
		return nil, "extraneous commas in the list"
	}
	family := 0
	for _, e := range elems {
		r, isRange, why := addressElement(e)
		if why != "" {
			return nil, why
		}
		if isRange && len(elems) > 1 {
			return nil, "a range cannot be in a list"
		}
		if fam := familyOf(r.From); family != 0 && fam != family {
			return nil, "IPv4 and IPv6 are mixed"
		} else {
			family = fam
		}
		ranges = append(ranges, r)
	}
	return ranges, ""
}

func addressElement(e string) (r Range, isRange bool, why string) {
	bad := "invalid IP address " + strconv.Quote(clip(e))
	if from, to, ok := strings.Cut(e, "-"); ok {
		r, good := parseRange(from, to)
		if !good {
			return r, true, bad
		}
		return r, true, ""
	}
	p, ok := CIDR(e)
	if !ok {
		return r, false, bad
	}
	if text, _, found := strings.Cut(e, "/"); found {
		if a, _ := netip.ParseAddr(text); a != p.Addr() {
			return r, false, bad + ": the network is " + p.String()
		}
	}
	return prefixRange(p), false, ""
}

func parseRange(from, to string) (Range, bool) {
	a, err1 := netip.ParseAddr(trimSpace(from))
	b, err2 := netip.ParseAddr(trimSpace(to))
	if err1 != nil || err2 != nil || a.Zone() != "" || b.Zone() != "" || a.Is4() != b.Is4() || b.Less(a) {
		return Range{}, false
	}
	return Range{a, b}, true
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// FamilyOf is 4 or 6 for the address or network of an alias or entry, 0 when it is neither.
func FamilyOf(cidr string) int {
	p, ok := CIDR(cidr)
	if !ok {
		return 0
	}
	return familyOf(p.Addr())
}
