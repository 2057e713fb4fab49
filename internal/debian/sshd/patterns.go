package sshd

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// matchPattern reports whether s matches a pattern of literal bytes, * and ?. It takes linear space and at most
// quadratic time.
func matchPattern(s, pattern string) bool {
	si, pi, star, mark := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(pattern) && pattern[pi] == '*':
			star, mark = pi, si
			pi++
		case pi < len(pattern) && (pattern[pi] == '?' || pattern[pi] == s[si]):
			si++
			pi++
		case star >= 0:
			mark++
			si, pi = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[pi:], "*") == ""
}

// matchList matches s against patterns separated by commas, of which some may be negated with !. It gives 1 for a
// match, -1 for a negated match, which wins, and 0 for none.
func matchList(s, patterns string, lower bool) int {
	got := 0
	for patterns != "" {
		negated := strings.HasPrefix(patterns, "!")
		if negated {
			patterns = patterns[1:]
		}
		sub, after, _ := strings.Cut(patterns, ",")
		patterns = after
		if len(sub) >= 1023 {
			return 0 // sshd gives up on such a pattern and matches nothing
		}
		if lower {
			sub = lowerASCII(sub)
		}
		if matchPattern(s, sub) {
			if negated {
				return -1
			}
			got = 1
		}
	}
	return got
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

var (
	errNetwork = errors.New("not an address or network")
	// errHostBits is also given for a mask that is too long: both make sshd refuse the configuration.
	errHostBits = errors.New("the network has bits set beyond its mask")
)

// parseAddress reads an address as getaddrinfo does with numeric hosts: IPv6, IPv4, and the old forms of IPv4 with
// fewer parts, octal and hexadecimal numbers.
func parseAddress(s string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a, nil
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, errNetwork
	}
	var sum uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || notC(p) {
			return netip.Addr{}, errNetwork
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, errNetwork
			}
			sum |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(4-i)) {
			return netip.Addr{}, errNetwork
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), nil
}

// parseNetwork reads an address with an optional mask length. An address whose host bits are set is errHostBits.
func parseNetwork(s string) (netip.Prefix, error) {
	if len(s) >= 64 {
		return netip.Prefix{}, errNetwork
	}
	text, mask, masked := strings.Cut(s, "/")
	bits := int64(-1)
	if masked {
		n, err := parseNumber(mask, 1<<31-1)
		if err != nil {
			return netip.Prefix{}, errNetwork
		}
		bits = n
	}
	a, err := parseAddress(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !masked {
		bits = int64(a.BitLen())
	}
	if bits > int64(a.BitLen()) {
		return netip.Prefix{}, errHostBits
	}
	p := netip.PrefixFrom(a, int(bits))
	if p.Masked().Addr() != a {
		return netip.Prefix{}, errHostBits
	}
	return p, nil
}

// matchAddresses matches an address against a list of networks, addresses and patterns with optional negation. It
// gives 1, -1 (negated match) or 0; an empty address only checks the list.
func matchAddresses(addr, list string) (int, error) {
	var ip netip.Addr
	if addr != "" {
		a, err := parseAddress(addr)
		if err != nil {
			return 0, nil
		}
		ip = a
	}
	got := 0
	for _, item := range strings.Split(list, ",") {
		negated := strings.HasPrefix(item, "!")
		item = strings.TrimPrefix(item, "!")
		if item == "" {
			return 0, errors.New("empty entry in a list of addresses")
		}
		var hit bool
		p, err := parseNetwork(item)
		switch {
		case errors.Is(err, errHostBits):
			return 0, errors.New("inconsistent mask length in " + item)
		case err == nil:
			hit = addr != "" && p.Contains(ip)
		default:
			hit = addr != "" && matchPattern(addr, item)
		}
		if hit && negated {
			return -1, nil
		}
		if hit {
			got = 1
		}
	}
	return got, nil
}

// matchUserPattern matches user, or user@host-list, as AllowUsers and DenyUsers do.
func matchUserPattern(user, host, addr, pattern string, modern bool) (bool, error) {
	name, hosts, at := cutUser(pattern, modern)
	if !at {
		return matchPattern(user, pattern), nil
	}
	if !matchPattern(user, name) {
		return false, nil
	}
	ip, err := matchAddresses(addr, hosts)
	if err != nil {
		return false, err
	}
	if ip == -1 || addr == "" {
		return false, nil
	}
	h := matchList(lowerASCII(host), hosts, true)
	return h != -1 && (h == 1 || ip == 1), nil
}

// cutUser splits user@hosts: at the first @ in OpenSSH 9.2, at the last one in 10.0.
func cutUser(pattern string, modern bool) (user, hosts string, ok bool) {
	i := strings.IndexByte(pattern, '@')
	if modern {
		i = strings.LastIndexByte(pattern, '@')
	}
	if i < 0 {
		return pattern, "", false
	}
	return pattern[:i], pattern[i+1:], true
}
