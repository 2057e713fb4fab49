package topology

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
	"github.com/castellan-project/castellan/internal/pve/sdncfg"
)

func itoa(n int) string { return strconv.Itoa(n) }

// UserMode is the id of the network that stands for QEMU's own address translation.
const UserMode = "user-mode"

// Options are what the graph cannot find out by itself.
type Options struct {
	// Firewall is the state of each card; a card that is not in it is unknown.
	Firewall map[CardID]Firewall
}

// Build makes the graph of a cluster. What could not be read is listed in Unknown and missing from the rest.
func Build(c *inventory.Cluster, opts Options) *Graph {
	b := &builder{c: c, opts: opts, g: &Graph{Cluster: c.Name, Standalone: c.Standalone}, nets: map[string]*Network{}, at: map[place]string{},
		bridgeOf: map[string][]string{}, vnet: map[string]*sdncfg.VNet{}, zone: map[string]*sdncfg.Zone{}, planned: map[string]bool{}, nodeIndex: map[string]int{},
		onNode: map[place]bool{}, ranges: map[CardID][]guestcfg.VLANs{}}
	b.readSDN()
	for _, n := range c.Nodes {
		b.node(n)
	}
	b.bridges()
	b.vnets()
	b.hosts()
	b.guests()
	b.trunks()
	b.uses()
	for id := range b.nets {
		b.zones(b.nets[id])
	}
	b.order()
	b.roles()
	b.joins()
	if c.ListErr != nil {
		b.unknown("nodes or guests could not be listed: " + c.ListErr.Error())
	}
	slices.Sort(b.g.Unknown)
	b.g.Unknown = slices.Compact(b.g.Unknown)
	b.g.Findings = b.findings()
	b.g.Complexity = measure(b.g)
	return b.g
}

// place is an interface of a node, or a name as seen from it.
type place struct{ node, name string }

type builder struct {
	c    *inventory.Cluster
	opts Options
	g    *Graph

	nets      map[string]*Network
	at        map[place]string    // which network an interface is in
	bridgeOf  map[string][]string // networks by the name of their bridge, the usual one first
	subnets   []subnetOf
	vnet      map[string]*sdncfg.VNet
	zone      map[string]*sdncfg.Zone
	planned   map[string]bool
	nodeIndex map[string]int
	onNode    map[place]bool // network ids by node, so that Nodes has each once
	missing   []missingBridge
	ranges    map[CardID][]guestcfg.VLANs // the trunks of cards
}

type subnetOf struct {
	prefix netip.Prefix
	id     string
	node   string // of a network that never leaves its node
}

type missingBridge struct {
	guest  int
	key    string
	node   string
	bridge string
}

func (b *builder) unknown(s string) { b.g.Unknown = append(b.g.Unknown, s) }

func (b *builder) readSDN() {
	cfg, err := b.c.SDN.Get()
	if err != nil || cfg == nil {
		if err != nil {
			b.unknown("the software-defined networks: " + err.Error())
		}
		return
	}
	for i := range cfg.Zones {
		b.zone[cfg.Zones[i].ID] = &cfg.Zones[i]
	}
	for i := range cfg.VNets {
		b.vnet[cfg.VNets[i].ID] = &cfg.VNets[i]
	}
	for _, p := range cfg.Pending {
		if p.Kind == "vnets" && p.State == "new" {
			b.planned[p.ID] = true
		}
	}
}

// net returns the network of an id, made when it is not there.
func (b *builder) net(id string, make func() Network) *Network {
	n, ok := b.nets[id]
	if !ok {
		made := make()
		made.ID = id
		n = &made
		b.nets[id] = n
	}
	return n
}

// join notes that a node has a network.
func (b *builder) join(n *Network, node string) {
	if node != "" && !b.onNode[place{node, n.ID}] {
		b.onNode[place{node, n.ID}] = true
		n.Nodes = append(n.Nodes, node)
	}
}

func (b *builder) addSubnet(n *Network, p netip.Prefix, node string) {
	s := p.Masked().String()
	if !slices.Contains(n.Subnets, s) {
		n.Subnets = append(n.Subnets, s)
	}
	if !n.Local {
		node = ""
	}
	b.subnets = append(b.subnets, subnetOf{p.Masked(), n.ID, node})
}

// bridges makes a network of each bridge: one for all nodes that have a bridge of that name and a common subnet, or none of
// their own in it. A bridge without a port never leaves its node.
func (b *builder) bridges() {
	type member struct {
		node string
		port *Port
	}
	byName := map[string][]member{}
	for i := range b.g.Nodes {
		n := &b.g.Nodes[i]
		for j := range n.Ports {
			if p := &n.Ports[j]; isBridge(p) && b.vnet[p.Name] == nil {
				byName[p.Name] = append(byName[p.Name], member{n.Name, p})
			}
		}
	}
	for _, name := range sortedKeys(byName) {
		groups := map[string]string{} // subnet -> id
		first := ""
		for _, pass := range []bool{true, false} { // those with addresses first
			for _, m := range byName[name] {
				if (len(m.port.Addresses) > 0) != pass {
					continue
				}
				local := len(m.port.Over) == 0
				id := b.group(name, m.node, m.port, local, groups, first)
				if first == "" && !local {
					first = id
				}
				n := b.net(id, func() Network { return Network{Kind: "bridge", Bridge: name, Local: local} })
				b.join(n, m.node)
				b.at[place{m.node, name}] = id
				for _, a := range m.port.Addresses {
					p, _ := netip.ParsePrefix(a)
					groups[p.Masked().String()] = id
					b.addSubnet(n, p, m.node)
				}
				if !slices.Contains(b.bridgeOf[name], id) {
					b.bridgeOf[name] = append(b.bridgeOf[name], id)
				}
				m.port.Network = id
			}
		}
	}
}

// group is the id of the network that the bridge of a node is in.
func (b *builder) group(name, node string, p *Port, local bool, groups map[string]string, first string) string {
	if local {
		if len(b.c.Nodes) == 1 {
			return name
		}
		return name + "@" + node
	}
	for _, a := range p.Addresses {
		pre, _ := netip.ParsePrefix(a)
		if id, ok := groups[pre.Masked().String()]; ok && !b.nets[id].Local {
			return id
		}
	}
	if first == "" {
		return name
	}
	if len(p.Addresses) == 0 {
		return first
	}
	return name + "@" + node
}

// vnets makes networks of what SDN defines. A vnet of a VLAN zone is the VLAN of its bridge: guests on either meet.
func (b *builder) vnets() {
	cfg, err := b.c.SDN.Get()
	if err != nil || cfg == nil {
		return
	}
	for i := range cfg.VNets {
		v := &cfg.VNets[i]
		z := b.zone[v.Zone]
		n := b.net(b.vnetID(v), func() Network { return Network{Kind: "vnet"} })
		n.VNet, n.SDNZone, n.Alias, n.Isolated, n.Planned = v.ID, v.Zone, v.Alias, v.IsolatePorts, b.planned[v.ID]
		if z == nil {
			continue
		}
		n.Local = z.Type == "simple"
		n.Tunnelled = z.Tunnels()
		if z.Type == "vlan" && z.Bridge != "" {
			n.Bridge, n.VLAN = z.Bridge, v.Tag
		}
		for _, node := range b.c.Nodes {
			if (len(z.Nodes) == 0 || slices.Contains(z.Nodes, node.Name)) && !n.Planned && !b.g.Nodes[b.nodeIndex[node.Name]].LeftOver {
				b.join(n, node.Name)
				b.at[place{node.Name, v.ID}] = n.ID
				b.vnetPort(node.Name, v, z, n.ID)
			}
		}
	}
	for i := range cfg.Subnets {
		v := b.vnet[cfg.Subnets[i].VNet]
		p, err := netip.ParsePrefix(cfg.Subnets[i].CIDR)
		if v == nil || err != nil {
			continue
		}
		if n := b.nets[b.vnetID(v)]; !slices.Contains(n.Subnets, p.Masked().String()) {
			n.Subnets = append(n.Subnets, p.Masked().String())
		}
	}
}

func (b *builder) vnetID(v *sdncfg.VNet) string {
	if z := b.zone[v.Zone]; z != nil && z.Type == "vlan" && v.Tag > 0 {
		if ids := b.bridgeOf[z.Bridge]; len(ids) > 0 {
			return ids[0] + "." + itoa(v.Tag)
		}
	}
	return v.ID
}

// vnetPort puts the vnet among the interfaces of a node: those of peers do not list them, since the API leaves them out.
func (b *builder) vnetPort(node string, v *sdncfg.VNet, z *sdncfg.Zone, id string) {
	n := &b.g.Nodes[b.nodeIndex[node]]
	if !n.Known {
		return
	}
	var over []string
	switch {
	case z.Bridge != "":
		if _, ok := n.port[z.Bridge]; ok {
			over = []string{z.Bridge}
		}
	case z.Tunnels():
		over = n.holding(z.Peers)
	}
	if p, ok := n.Port(v.ID); ok {
		p.Kind, p.Layer, p.Network, p.Over = string(netcfg.VNet), LayerVNet, id, over
		return
	}
	n.add(Port{Name: v.ID, Kind: string(netcfg.VNet), Layer: LayerVNet, Over: over, Network: id, Source: "/etc/pve/sdn/vnets.cfg:" + itoa(v.Line)})
}

// holding are the interfaces that hold one of the addresses.
func (n *Node) holding(addresses []string) []string {
	var out []string
	for i := range n.Ports {
		for _, a := range n.Ports[i].Addresses {
			address, _, _ := strings.Cut(a, "/")
			if slices.Contains(addresses, address) {
				out = append(out, n.Ports[i].Name)
				break
			}
		}
	}
	return out
}

// hosts makes networks of addresses that are not on a bridge: VLANs of a bridge, and cards with an address of their own,
// which are one network where they have a subnet in common.
func (b *builder) hosts() {
	for i := range b.g.Nodes {
		n := &b.g.Nodes[i]
		for j := range n.Ports {
			p := &n.Ports[j]
			if p.Network != "" || len(p.Addresses) == 0 {
				continue
			}
			var net *Network
			if base := b.bridgeBelow(n, p); base != "" {
				net = b.sub(base, p.VLAN)
			} else {
				net = b.direct(p)
			}
			p.Network = net.ID
			b.at[place{n.Name, p.Name}] = net.ID
			b.join(net, n.Name)
			for _, a := range p.Addresses {
				if pre, err := netip.ParsePrefix(a); err == nil {
					b.addSubnet(net, pre, n.Name)
				}
			}
		}
	}
}

// bridgeBelow is the network of the bridge that a VLAN of the host is in, "" when it is in none.
func (b *builder) bridgeBelow(n *Node, p *Port) string {
	if p.Kind != string(netcfg.VLAN) && p.Kind != string(netcfg.OVSIntPort) || len(p.Over) == 0 {
		return ""
	}
	return b.at[place{n.Name, p.Over[0]}]
}

func (b *builder) direct(p *Port) *Network {
	first, _ := netip.ParsePrefix(p.Addresses[0])
	for _, s := range b.subnets {
		if s.node == "" && s.prefix == first.Masked() && first.Bits() != first.Addr().BitLen() {
			return b.nets[s.id]
		}
	}
	return b.net(first.Masked().String(), func() Network { return Network{Kind: "host"} })
}

// sub is a VLAN of a bridge or vnet; without a tag it is the network itself.
func (b *builder) sub(base string, tag int) *Network {
	parent := b.nets[base]
	if tag == 0 {
		return parent
	}
	return b.net(base+"."+itoa(tag), func() Network {
		return Network{Kind: "vlan", Bridge: parent.Bridge, VNet: parent.VNet, VLAN: tag, Local: parent.Local, Tunnelled: parent.Tunnelled}
	})
}

func isBridge(p *Port) bool {
	return p.Kind == string(netcfg.Bridge) || p.Kind == string(netcfg.OVSBridge) || p.Kind == string(netcfg.VNet)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
