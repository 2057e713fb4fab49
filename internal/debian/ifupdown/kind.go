package ifupdown

import (
	"net/netip"
	"strconv"
	"strings"
)

// Kind derives what an interface is, by the rules of PVE::Network/Interfaces.pm (pve-common): loopback, bridge, bond,
// vlan, ovs-bridge, ovs-port, vxlan, alias, physical, or other.
func (i *Interface) Kind() string {
	if i.Name == "lo" {
		return "loopback"
	}
	if t, ok := i.Option("ovs-type"); ok {
		switch t {
		case "OVSBridge":
			return "ovs-bridge"
		default:
			return "ovs-port"
		}
	}
	for _, k := range []struct{ key, kind string }{
		{"bridge-ports", "bridge"}, {"bond-slaves", "bond"}, {"slaves", "bond"}, {"vxlan-id", "vxlan"},
		{"vlan-raw-device", "vlan"}, {"wireguard-config-path", "wireguard"},
	} {
		if _, ok := i.Option(k.key); ok {
			return k.kind
		}
	}
	return kindByName(i.Name)
}

func kindByName(name string) string {
	switch {
	case strings.Contains(name, ":"):
		return "alias"
	case isVLANName(name):
		return "vlan"
	case strings.HasPrefix(name, "vmbr"):
		return "bridge"
	case strings.HasPrefix(name, "bond"):
		return "bond"
	case strings.HasPrefix(name, "wg"):
		return "wireguard"
	case strings.HasPrefix(name, "eth"), strings.HasPrefix(name, "en"), strings.HasPrefix(name, "ib"),
		strings.HasPrefix(name, "nic"), strings.HasPrefix(name, "wl"):
		return "physical"
	}
	return "other"
}

// isVLANName accepts dev.N with N a VLAN id (IEEE 802.1Q: 1 to 4094).
func isVLANName(name string) bool {
	_, id, ok := strings.Cut(name, ".")
	if !ok {
		return false
	}
	n, err := strconv.Atoi(id)
	return err == nil && n >= 1 && n <= 4094
}

// Ports returns the ports of a bridge or the slaves of a bond; "none" means no port.
func (i *Interface) Ports() []string {
	for _, key := range []string{"bridge-ports", "bond-slaves", "slaves", "ovs-ports", "ovs-bonds"} {
		v, ok := i.Option(key)
		if !ok {
			continue
		}
		var out []string
		for _, p := range strings.Fields(v) {
			if p != "none" {
				out = append(out, p)
			}
		}
		return out
	}
	return nil
}

// VLANAware is true for a bridge that keeps VLANs apart.
func (i *Interface) VLANAware() bool {
	v, _ := i.Option("bridge-vlan-aware")
	switch strings.ToLower(v) {
	case "yes", "on", "true", "1":
		return true
	}
	return false
}

// Addresses returns the addresses of all stanzas in CIDR notation. A separate netmask, dotted or as a length, is
// joined; an address without one gets the full length.
func (i *Interface) Addresses() []string {
	var out []string
	for _, s := range i.Stanzas {
		mask, _ := s.Get("netmask")
		for _, o := range s.Options {
			if o.Key != "address" {
				continue
			}
			for _, a := range strings.Fields(o.Value) {
				if c := cidr(a, mask); c != "" {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// Gateways returns the next hops of the default routes.
func (i *Interface) Gateways() []string {
	var out []string
	for _, s := range i.Stanzas {
		for _, o := range s.Options {
			if o.Key != "gateway" {
				continue
			}
			for _, g := range strings.Fields(o.Value) {
				if a, err := netip.ParseAddr(g); err == nil {
					out = append(out, a.String())
				}
			}
		}
	}
	return out
}

func cidr(address, mask string) string {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p.String()
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := a.BitLen()
	if n, err := strconv.Atoi(mask); err == nil && n >= 0 && n <= bits {
		bits = n
	} else if m, err := netip.ParseAddr(mask); err == nil && m.Is4() && a.Is4() {
		bits = leadingOnes(m.As4())
	}
	return netip.PrefixFrom(a, bits).String()
}

func leadingOnes(m [4]byte) int {
	n := 0
	for _, b := range m {
		for bit := 7; bit >= 0; bit-- {
			if b&(1<<bit) == 0 {
				return n
			}
			n++
		}
	}
	return n
}
