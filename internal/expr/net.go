package expr

import (
	"net/netip"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// netFunctions are the functions on addresses: cidr_contains(cidr, address) and is_private(address).
func netFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Function("cidr_contains", cel.Overload("cidr_contains_string_string",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(cidrContains))),
		cel.Function("is_private", cel.Overload("is_private_string",
			[]*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(isPrivate))),
	}
}

// ParseAddr reads an address as logs and configurations write it: with brackets, a zone, or mapped into IPv6
// (::ffff:192.0.2.1 is 192.0.2.1).
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}, err
	}
	return a.Unmap().WithZone(""), nil
}

func cidrContains(cidr, addr ref.Val) ref.Val {
	c, a := string(cidr.(types.String)), string(addr.(types.String))
	ip, err := ParseAddr(a)
	if err != nil {
		return types.NewErr("%q is not an address", a)
	}
	if !strings.Contains(c, "/") {
		other, err := ParseAddr(c)
		if err != nil {
			return types.NewErr("%q is not a network", c)
		}
		return types.Bool(other == ip)
	}
	p, err := netip.ParsePrefix(c)
	if err != nil {
		return types.NewErr("%q is not a network", c)
	}
	return types.Bool(p.Contains(ip))
}

// isPrivate is true for addresses that the internet does not route: RFC 1918, RFC 4193, RFC 6598 (shared address
// space), loopback and link-local.
func isPrivate(addr ref.Val) ref.Val {
	a := string(addr.(types.String))
	ip, err := ParseAddr(strings.SplitN(a, "/", 2)[0])
	if err != nil {
		return types.NewErr("%q is not an address", a)
	}
	shared := netip.MustParsePrefix("100.64.0.0/10")
	return types.Bool(ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || shared.Contains(ip))
}
