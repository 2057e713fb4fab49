// Package hosts reads /etc/hosts (hosts(5)): the names that a machine knows without asking anybody. It does not resolve by any
// other way, and says nothing about which of several addresses a program would take.
package hosts

import (
	"net/netip"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
)

// Table holds the addresses of names, the names in lower case. Loopback addresses are left out: they name no machine to others.
type Table map[string][]netip.Addr

// Parse reads the file. A line whose first word is no address says nothing.
func Parse(b []byte) Table {
	t := Table{}
	for _, l := range host.Lines(b) {
		l, _, _ = strings.Cut(l, "#")
		f := strings.Fields(l)
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil || a.IsLoopback() {
			continue
		}
		for _, n := range f[1:] {
			t[strings.ToLower(n)] = append(t[strings.ToLower(n)], a.Unmap())
		}
	}
	return t
}

// Resolve gives the addresses of a name, or the address that s is itself.
func (t Table) Resolve(s string) []netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	return t[strings.ToLower(s)]
}
