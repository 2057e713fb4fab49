package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

// maxPorts bounds the interfaces of one node that are looked at: a real one has some dozens.
const maxPorts = 2000

// maxOver bounds the ports of a bridge and the members of a bond: Linux bridges have at most 1024 (net/bridge/br_private.h, BR_MAX_PORTS).
const maxOver = 1024

// node reads the interfaces of one node.
func (b *builder) node(in *inventory.Node) {
	n := Node{Name: in.Name, port: map[string]int{}}
	cfg, err := in.Network.Get()
	switch {
	case b.leftOver(in):
		n.LeftOver = true
		n.Why = "/etc/pve/nodes/" + in.Name + " is left over: no member of the cluster, without guests"
	case err != nil:
		n.Why = err.Error()
		b.unknown("the interfaces of " + in.Name + ": " + n.Why)
	case in.Network.Absent || cfg == nil:
		n.Why = in.Network.Path + " is not there"
		b.unknown("the interfaces of " + in.Name + ": " + n.Why)
	default:
		n.Known = true
		b.ports(&n, cfg)
	}
	if pending, err := in.Pending.Get(); err == nil {
		waits := !in.Pending.Absent
		if waits && n.Known {
			n.Changes = changed(cfg, pending)
			waits = len(n.Changes) > 0 || string(cfg.Bytes()) != string(pending.Bytes())
		}
		n.Pending = &waits
	}
	b.nodeIndex[n.Name] = len(b.g.Nodes)
	b.g.Nodes = append(b.g.Nodes, n)
}

// leftOver reports whether a directory remains of a node that has been removed: PVE does not delete it (pvecm(1), "Remove a Cluster Node").
func (b *builder) leftOver(in *inventory.Node) bool {
	if !b.c.Corosync.Known() || b.c.Corosync.Absent || b.c.Corosync.Value == nil || len(b.c.Corosync.Value.Nodes) == 0 {
		return false
	}
	for _, m := range b.c.Corosync.Value.Nodes {
		if m.Name == in.Name {
			return false
		}
	}
	return !slices.ContainsFunc(b.c.Guests, func(g *inventory.Guest) bool { return g.Node == in.Name })
}

func (n *Node) add(p Port) {
	if _, ok := n.port[p.Name]; ok || p.Name == "" {
		return
	}
	n.port[p.Name] = len(n.Ports)
	n.Ports = append(n.Ports, p)
}

func (b *builder) ports(n *Node, cfg *netcfg.Config) {
	if len(cfg.Interfaces) > maxPorts {
		b.unknown(fmt.Sprintf("the interfaces of %s beyond the first %d", n.Name, maxPorts))
	}
	for i := range cfg.Interfaces[:min(len(cfg.Interfaces), maxPorts)] {
		iface := &cfg.Interfaces[i]
		if iface.Kind == netcfg.Loopback || iface.Kind == netcfg.VXLAN || iface.Kind == netcfg.Alias {
			continue
		}
		n.add(portOf(iface))
		for _, g := range iface.Gateways {
			n.Gateways = append(n.Gateways, g.String()+" on "+iface.Name)
		}
	}
	for i := range cfg.Interfaces[:min(len(cfg.Interfaces), maxPorts)] {
		iface := &cfg.Interfaces[i]
		switch iface.Kind {
		case netcfg.Alias:
			base, _, _ := strings.Cut(iface.Name, ":")
			if p, ok := n.Port(base); ok {
				p.Addresses = append(p.Addresses, addresses(iface)...)
			}
		case netcfg.OVSPort, netcfg.OVSBond, netcfg.OVSIntPort:
			n.ovs(iface)
		}
	}
	n.complete(cfg)
}

// ovs puts a port of Open vSwitch below its bridge, where the bridge does not list it itself.
func (n *Node) ovs(iface *netcfg.Interface) {
	if iface.Kind == netcfg.OVSIntPort || iface.OVSBridge == "" {
		return
	}
	if br, ok := n.Port(iface.OVSBridge); ok && !slices.Contains(br.Over, iface.Name) {
		br.Over = append(br.Over, iface.Name)
	}
}

// complete adds the interfaces that are only named as ports, and takes away what is no way to the cable: VXLAN devices, and
// internal ports of Open vSwitch, which are the node's own.
func (n *Node) complete(cfg *netcfg.Config) {
	kinds := make(map[string]netcfg.Kind, len(cfg.Interfaces))
	for i := range cfg.Interfaces {
		kinds[cfg.Interfaces[i].Name] = cfg.Interfaces[i].Kind
	}
	for i := 0; i < len(n.Ports) && len(n.Ports) < maxPorts; i++ {
		var over []string
		for _, name := range n.Ports[i].Over[:min(len(n.Ports[i].Over), maxOver)] {
			kind, ok := kinds[name]
			if kind == netcfg.VXLAN || kind == netcfg.OVSIntPort {
				continue
			}
			over = append(over, name)
			if !ok {
				n.add(implied(name))
			}
		}
		n.Ports[i].Over = over
	}
	for i := range n.Ports {
		n.Ports[i].Over = slices.DeleteFunc(n.Ports[i].Over, func(o string) bool { _, ok := n.port[o]; return !ok || o == n.Ports[i].Name })
	}
	for i := range n.Ports {
		p := &n.Ports[i]
		if p.Kind == string(netcfg.VLAN) && len(p.Addresses) == 0 {
			p.Layer = LayerBond // a step on the way to a bridge
		}
	}
}

// implied is an interface that no stanza describes but a bridge or bond names: a card, or a VLAN of one.
func implied(name string) Port {
	p := Port{Name: name, Kind: string(netcfg.Physical)}
	if base, tag, ok := cutLast(name, "."); ok {
		if id := atoi(tag); id > 0 {
			p.Kind, p.VLAN, p.Over, p.Layer = string(netcfg.VLAN), id, []string{base}, LayerBond
		}
	}
	return p
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i <= 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func atoi(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i > 4 {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func portOf(i *netcfg.Interface) Port {
	p := Port{Name: i.Name, Kind: string(i.Kind), Over: slices.Clone(i.Carries()), Addresses: addresses(i), MTU: i.MTU, VLANAware: i.VLANAware, VIDs: i.VIDs,
		BondMode: i.BondMode, VLAN: i.VLANID}
	switch i.Kind {
	case netcfg.Bond, netcfg.OVSBond:
		p.Layer = LayerBond
	case netcfg.Bridge, netcfg.OVSBridge, netcfg.VLAN, netcfg.OVSIntPort:
		p.Layer = LayerBridge
	case netcfg.VNet:
		p.Layer = LayerVNet
	}
	if i.File != "" {
		p.Source = fmt.Sprintf("%s:%d", i.File, i.Line)
	}
	for _, h := range i.Hooks() {
		if strings.HasSuffix(h.Key, "up") && translates(h.Value) && h.File != "/etc/network/interfaces.d/sdn" { // what SDN writes, PVE shows
			p.NAT = append(p.NAT, h.Value)
		}
	}
	return p
}

// translates reports whether a command of the configuration changes what packets get through, or their addresses: then the
// rules that PVE shows are not all there is.
func translates(cmd string) bool {
	if strings.Contains(cmd, "-t raw") && strings.Contains(cmd, "fwbr") { // the line that PVE's own manual gives for conntrack zones
		return false
	}
	for _, word := range strings.FieldsFunc(cmd, func(r rune) bool { return r == ' ' || r == '\t' || r == ';' || r == '/' || r == '"' || r == '\'' }) {
		switch word {
		case "iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "nft", "ebtables", "iptables-legacy", "iptables-nft":
			return true
		}
	}
	return false
}

func addresses(i *netcfg.Interface) []string {
	var out []string
	for _, a := range i.Addresses {
		if !a.Addr().IsLoopback() && !a.Addr().IsLinkLocalUnicast() {
			out = append(out, a.String())
		}
	}
	return out
}

// changed names the interfaces that two configurations describe differently, sorted.
func changed(now, next *netcfg.Config) []string {
	a, b := map[string]string{}, map[string]string{}
	for m, c := range map[*map[string]string]*netcfg.Config{&a: now, &b: next} {
		for i := range c.Interfaces {
			(*m)[c.Interfaces[i].Name] = signature(&c.Interfaces[i])
		}
	}
	out := map[string]bool{}
	for name, s := range a {
		if b[name] != s {
			out[name] = true
		}
	}
	for name, s := range b {
		if a[name] != s {
			out[name] = true
		}
	}
	return sortedKeys(out)
}

// signature is everything that counts of an interface, without where it stands.
func signature(i *netcfg.Interface) string {
	c := *i
	c.File, c.Line, c.Comments = "", 0, nil
	c.Options = slices.Clone(i.Options)
	for j := range c.Options {
		c.Options[j].File, c.Options[j].Line = "", 0
	}
	return fmt.Sprintf("%+v", c)
}

// Roots are the cards that an interface sends through, sorted: itself when nothing is below it.
func (n *Node) Roots(name string) []string {
	found, seen := map[string]bool{}, map[string]bool{}
	todo := []string{name}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, ok := n.Port(at)
		if !ok || seen[at] {
			continue
		}
		seen[at] = true
		if len(p.Over) == 0 && p.Layer == LayerUplink {
			found[at] = true
		}
		todo = append(todo, p.Over...)
	}
	return sortedKeys(found)
}
