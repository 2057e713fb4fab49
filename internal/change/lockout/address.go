package lockout

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
)

// maxSamples bounds how many addresses of a prefix are judged. Configurations that draw more borders through one network
// are refused: that they let everybody in cannot be shown with reason.
const maxSamples = 2000

// from is where an operator comes from: one address or a network.
type from struct {
	prefix netip.Prefix
	one    bool
}

// parseFrom reads the address of an operator.
func parseFrom(text string) (from, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return from{netip.PrefixFrom(a, a.BitLen()), true}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return from{}, fmt.Errorf("%q is neither an address nor a network", text)
	}
	return from{p.Masked(), p.IsSingleIP()}, nil
}

// samples are addresses that stand for all of the network: its first and last one, and each one on both sides of a border
// that the rules draw through it. Between two borders every rule says the same of every address, so what holds for the
// samples holds for all.
func (f from) samples(borders []netip.Prefix) ([]netip.Addr, error) {
	if f.one {
		return []netip.Addr{f.prefix.Addr()}, nil
	}
	first, last := f.prefix.Addr(), lastOf(f.prefix)
	out := []netip.Addr{first, last}
	add := func(a netip.Addr) {
		if a.IsValid() && f.prefix.Contains(a) {
			out = append(out, a)
		}
	}
	for _, b := range borders {
		if !b.IsValid() || !b.Overlaps(f.prefix) || b.Bits() < f.prefix.Bits() {
			continue
		}
		lo, hi := b.Masked().Addr(), lastOf(b)
		for _, a := range []netip.Addr{lo.Prev(), lo, hi, hi.Next()} {
			add(a)
		}
		if len(out) > 8*maxSamples {
			break
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	if out = slices.Compact(out); len(out) > maxSamples {
		return nil, fmt.Errorf("the rules draw more than %d borders through %s; name a smaller network", maxSamples, f.prefix)
	}
	return out, nil
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				b[i] |= 0x80 >> bit
			}
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// networks finds the networks in words of sshd's lists (Match Address, user@host, from=). Of a pattern with wildcards it
// takes the network that the trailing wildcard stands for; ok is false when a pattern draws other borders.
func networks(words string) (nets []netip.Prefix, ok bool) {
	ok = true
	for _, w := range strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" \t,=\"!", r) }) {
		if i := strings.LastIndexByte(w, '@'); i >= 0 {
			w = strings.TrimPrefix(w[i+1:], "!")
		}
		if p, err := netip.ParsePrefix(w); err == nil {
			nets = append(nets, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(w); err == nil {
			nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		if w == "*" || !strings.ContainsAny(w, "*?") || !strings.ContainsAny(w, ".:") {
			continue
		}
		p, wild := wildcardNetwork(w)
		if wild {
			nets = append(nets, p)
		}
		// A pattern with letters is of names, unless it can be one of IPv6.
		numeric := strings.Trim(w, "0123456789.*?") == "" || strings.Contains(w, ":") && strings.Trim(w, "0123456789abcdefABCDEF:*?") == ""
		ok = ok && (wild || !numeric)
	}
	return nets, ok
}

// wildcardNetwork reads "10.1.*" and "10.1.2.*".
func wildcardNetwork(w string) (netip.Prefix, bool) {
	head, found := strings.CutSuffix(w, ".*")
	if !found {
		return netip.Prefix{}, false
	}
	for strings.HasSuffix(head, ".*") {
		head = strings.TrimSuffix(head, ".*")
	}
	parts := strings.Count(head, ".") + 1
	if parts > 3 || strings.Trim(head, "0123456789.") != "" {
		return netip.Prefix{}, false
	}
	a, err := netip.ParseAddr(head + strings.Repeat(".0", 4-parts))
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, 8*parts), true
}

// port is the local port of an operator's connection.
func port(o change.Operator) int {
	if o.Port == 0 {
		return 22
	}
	return o.Port
}

// local is the address of the host that an operator connected to: his own, else that of another operator of the same
// family, who is connected to the same host.
func local(c change.Case, o change.Operator, a netip.Addr) string {
	if l, err := netip.ParseAddr(o.Local); err == nil {
		return l.Unmap().WithZone("").String()
	}
	for _, x := range c.Operators {
		if l, err := netip.ParseAddr(x.Local); err == nil && l.Unmap().Is4() == a.Is4() {
			return l.Unmap().WithZone("").String()
		}
	}
	return ""
}
