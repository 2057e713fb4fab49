package netcfg

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// apply sets the fields of an interface from the options of one stanza. What is wrong comes back as options whose value is
// the message.
func apply(i *Interface, opts []Option) (wrong []Option) {
	mask := ""
	for _, o := range opts {
		if o.Key == "netmask" {
			mask = o.Value
		}
	}
	bad := func(o Option, why string) {
		wrong = append(wrong, Option{File: o.File, Line: o.Line, Value: why + ": " + clip(o.Key+" "+o.Value)})
	}
	for _, o := range opts {
		switch o.Key {
		case "netmask", "broadcast", "network":
		case "address":
			for _, a := range strings.Fields(o.Value) {
				if p, ok := prefix(a, mask); ok {
					i.Addresses = append(i.Addresses, p)
				} else {
					bad(o, "no address")
				}
			}
		case "gateway":
			for _, g := range strings.Fields(o.Value) {
				if a, err := netip.ParseAddr(g); err == nil {
					i.Gateways = append(i.Gateways, a)
				} else {
					bad(o, "no address of a gateway")
				}
			}
		default:
			if why := set(i, o.Key, o.Value); why == unknownKey {
				i.Options = append(i.Options, o)
			} else if why != "" {
				bad(o, why)
			}
		}
	}
	return wrong
}

const unknownKey = "unknown key"

// set sets one plain setting; unknownKey when the setting has no field, else what is wrong, "" for nothing.
func set(i *Interface, key, v string) string {
	switch key {
	case "bridge-ports", "ovs-ports":
		i.Ports = addNames(i.Ports, v)
		if i.Kind == "" && key == "bridge-ports" {
			i.Kind = Bridge // also with "none"
		}
	case "bond-slaves", "slaves", "ovs-bonds":
		i.Slaves = addNames(i.Slaves, v)
	case "bridge-vlan-aware":
		i.VLANAware = yes(v)
		if !i.VLANAware {
			return "the bridge is not VLAN aware for ifupdown2, but PVE shows it as aware whatever the value is"
		}
	case "bridge-vids":
		i.VIDs = v
	case "bridge-stp":
		i.STP = strings.EqualFold(v, "on") || strings.EqualFold(v, "yes")
	case "bond-mode":
		i.BondMode = bondMode(v)
	case "bond-primary":
		i.BondPrimary = v
	case "vlan-raw-device":
		i.RawDevice = v
	case "vlan-protocol":
		i.VLANProtocol = v
	case "ovs-type":
		i.Kind = ovsKind(v)
		if i.Kind == Unknown {
			return "no type of Open vSwitch"
		}
	case "ovs-bridge":
		i.OVSBridge = v
	case "ovs-options":
		i.OVSOptions = v
	case "vxlan-local-tunnelip":
		i.VXLANLocal = v
	case "vxlan-remoteip":
		i.VXLANRemote = append(i.VXLANRemote, strings.Fields(v)...)
	case "link-type":
		if v != "dummy" {
			return unknownKey
		}
		i.Kind = Dummy
	case "mtu", "ovs-mtu":
		return setNumber(&i.MTU, v, 65535)
	case "vlan-id":
		return setNumber(&i.VLANID, v, 4094)
	case "vxlan-id":
		return setNumber(&i.VXLANID, v, 1<<24-1)
	default:
		return unknownKey
	}
	return ""
}

func setNumber(to *int, v string, most int) string {
	n, ok := number(v)
	if !ok || n > most {
		return "no number, or out of range"
	}
	*to = n
	return ""
}

func number(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}

// addNames adds the interfaces that v lists, each once; "none" is PVE's word for no port.
func addNames(to []string, v string) []string {
	have := make(map[string]bool, len(to))
	for _, n := range to {
		have[n] = true
	}
	for _, n := range strings.Fields(v) {
		if n != "none" && !have[n] {
			have[n] = true
			to = append(to, n)
		}
	}
	return to
}

// yes is how ifupdown2 reads a boolean.
func yes(v string) bool {
	switch strings.ToLower(v) {
	case "yes", "on", "1", "true":
		return true
	}
	return false
}

// bondMode gives the name of a mode that may be written as a number (Linux bonding driver, "mode").
func bondMode(v string) string {
	names := []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}
	if n, ok := number(v); ok && n < len(names) {
		return names[n]
	}
	return v
}

func ovsKind(v string) Kind {
	switch v {
	case "OVSBridge":
		return OVSBridge
	case "OVSBond":
		return OVSBond
	case "OVSPort":
		return OVSPort
	case "OVSIntPort":
		return OVSIntPort
	}
	return Unknown
}

// derive decides the kind, in PVE's order: what the settings say, then what the name says.
func derive(i *Interface) {
	switch {
	case i.Kind == Bridge, i.Kind == OVSBridge, i.Kind == OVSBond, i.Kind == OVSPort, i.Kind == OVSIntPort:
	case bondName(i.Name), len(i.Slaves) > 0:
		i.Kind = Bond
	case aliasName(i.Name):
		i.Kind = Alias
	case vlanOf(i):
		i.Kind = VLAN
	case PhysicalName(i.Name):
		i.Kind = Physical
	case i.Name == "lo":
		i.Kind = Loopback
	case i.VXLANID != 0:
		i.Kind = VXLAN
	case i.Kind == Dummy:
	default:
		i.Kind = Unknown
	}
	if i.VLANAware && i.VIDs == "" {
		i.VIDs = "2-4094"
	}
	for _, kv := range strings.Fields(i.OVSOptions) {
		k, v, _ := strings.Cut(kv, "=")
		switch n, ok := number(v); {
		case k == "tag" && ok:
			i.OVSTag = n
		case k == "bond_mode":
			i.BondMode = v
		}
	}
	if i.Kind == OVSIntPort {
		i.VLANID = i.OVSTag
	}
}

// vlanOf fills raw device and id of a VLAN from its name (dev.N, vlanN) and reports whether it is one.
func vlanOf(i *Interface) bool {
	if at := strings.LastIndexByte(i.Name, '.'); at > 0 {
		if id, ok := number(i.Name[at+1:]); ok {
			if i.RawDevice == "" {
				i.RawDevice = i.Name[:at]
			}
			if id != 0 {
				i.VLANID = id
			}
			return true
		}
	}
	if i.RawDevice == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(i.Name, "vlan"); ok {
		if id, ok := number(rest); ok && id != 0 {
			i.VLANID = id
		}
	}
	return true
}

func aliasName(name string) bool {
	base, n, ok := strings.Cut(name, ":")
	_, digits := number(n)
	return ok && base != "" && digits
}

func bondName(name string) bool {
	rest, ok := strings.CutPrefix(name, "bond")
	_, digits := number(rest)
	return ok && digits
}

// PhysicalName reports whether a name is one that PVE takes for a physical interface: eth0, eno1, enp3s0f0, ib0, nic0, if0,
// and Wi-Fi, which PVE leaves alone but which is no less physical.
func PhysicalName(name string) bool {
	for _, p := range []string{"eth", "nic", "if"} {
		rest, ok := strings.CutPrefix(name, p)
		if _, digits := number(rest); ok && digits {
			return true
		}
	}
	return slices.ContainsFunc([]string{"en", "ib", "wl"}, func(p string) bool {
		return len(name) > len(p) && strings.HasPrefix(name, p) && !strings.ContainsAny(name, ":.")
	})
}
