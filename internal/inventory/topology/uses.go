package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
)

// uses finds out what runs over which network.
func (b *builder) uses() {
	for _, n := range b.c.Nodes {
		if !b.g.Nodes[b.nodeIndex[n.Name]].LeftOver {
			b.management(n)
		}
	}
	b.corosync()
	b.storage()
	b.migration()
	b.ceph()
	b.tunnels()
}

// locate is the network that an address of a node, or a machine reached from it, is in, with the node's interface and own address
// there. The longest subnet wins, as it does in routing.
func (b *builder) locate(node string, a netip.Addr) (id, iface, own string) {
	best := -1
	i, ok := b.nodeIndex[node]
	if ok {
		n := &b.g.Nodes[i]
		for j := range n.Ports {
			p := &n.Ports[j]
			for _, s := range p.Addresses {
				pre, err := netip.ParsePrefix(s)
				if err != nil || p.Network == "" {
					continue
				}
				if pre.Addr() == a {
					return p.Network, p.Name, s
				}
				if pre.Bits() > best && pre.Contains(a) {
					best, id, iface, own = pre.Bits(), p.Network, p.Name, s
				}
			}
		}
		if n.Known {
			return id, iface, own
		}
	}
	for _, s := range b.subnets { // of a node whose interfaces are not known: as the others have it
		if s.node == "" && s.prefix.Bits() > best && s.prefix.Contains(a) {
			best, id = s.prefix.Bits(), s.id
		}
	}
	return id, "", ""
}

func (b *builder) use(id string, u Use) {
	n, ok := b.nets[id]
	if at, known := b.nodeIndex[u.Node]; !ok || known && b.g.Nodes[at].LeftOver {
		return
	}
	if !slices.Contains(n.Uses, u) {
		n.Uses = append(n.Uses, u)
	}
	b.join(n, u.Node)
}

// management is the address that PVE uses for the node: that of its name in /etc/hosts, else that of the interface with the default route.
func (b *builder) management(in *inventory.Node) {
	links := b.links(in.Name)
	n := &b.g.Nodes[b.nodeIndex[in.Name]]
	for _, a := range in.Addresses {
		if !slices.Contains(links, a) && b.manage(in.Name, a, "the name of the node in /etc/hosts") {
			return
		}
	}
	for i := range n.Ports {
		p := &n.Ports[i]
		if len(p.Addresses) == 0 || !slices.ContainsFunc(n.Gateways, func(g string) bool { return strings.HasSuffix(g, " on "+p.Name) }) {
			continue
		}
		address, _, _ := strings.Cut(p.Addresses[0], "/")
		if b.manage(in.Name, address, "the default route leaves here") {
			return
		}
	}
	for _, a := range in.Addresses {
		if b.manage(in.Name, a, "the first address of the node in the cluster") {
			return
		}
	}
	b.unknown("the management network of " + in.Name + ": no address of the node was found")
}

func (b *builder) manage(node, address, why string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	id, iface, _ := b.locate(node, a)
	if id == "" {
		return false
	}
	b.use(id, Use{Role: Management, Node: node, Interface: iface, Address: address, Evidence: why})
	return true
}

// links are the addresses of a node in corosync.conf, by link.
func (b *builder) links(node string) []string {
	if !b.c.Corosync.Known() || b.c.Corosync.Absent || b.c.Corosync.Value == nil {
		return nil
	}
	for _, m := range b.c.Corosync.Value.Nodes {
		if m.Name == node {
			return m.Addresses
		}
	}
	return nil
}

func (b *builder) corosync() {
	for i := range b.g.Nodes {
		name := b.g.Nodes[i].Name
		for link, address := range b.links(name) {
			a, err := netip.ParseAddr(address)
			if err != nil {
				b.unknown(fmt.Sprintf("the network of corosync link %d of %s: %q is a name", link, name, clip(address)))
				continue
			}
			id, iface, _ := b.locate(name, a)
			if id == "" {
				b.unknown(fmt.Sprintf("the network of corosync link %d of %s: no interface has %s", link, name, a))
				continue
			}
			b.use(id, Use{Role: Corosync, Node: name, Interface: iface, Address: address, Detail: "link " + itoa(link), Evidence: fmt.Sprintf("ring%d_addr in corosync.conf", link)})
		}
	}
}

// storage places the servers of storage.cfg. One that no network of the node holds is reached through the default gateway.
func (b *builder) storage() {
	stores, err := stores(b.c)
	if err != nil {
		b.unknown("the networks of storages: " + err.Error())
	}
	for _, s := range stores {
		for _, server := range s.servers {
			a, err := netip.ParseAddr(server)
			if err != nil {
				b.unknown(fmt.Sprintf("the network of storage %s: %q is a name", s.id, clip(server)))
				continue
			}
			for i := range b.g.Nodes {
				if n := &b.g.Nodes[i]; len(s.nodes) == 0 || slices.Contains(s.nodes, n.Name) {
					b.reach(n, a, Use{Role: Storage, Node: n.Name, Peer: server, Detail: s.id, Evidence: s.evidence})
				}
			}
		}
	}
}

func (b *builder) reach(n *Node, to netip.Addr, u Use) {
	id, iface, own := b.locate(n.Name, to)
	if id == "" {
		for _, g := range n.Gateways {
			hop, on, _ := strings.Cut(g, " on ")
			via, err := netip.ParseAddr(hop)
			if err != nil || via.Is4() != to.Is4() {
				continue
			}
			if p, ok := n.Port(on); ok && p.Network != "" {
				id, iface = p.Network, on
				u.Evidence += ", through the gateway " + hop
				break
			}
		}
	}
	u.Interface, u.Address = iface, strings.SplitN(own, "/", 2)[0]
	b.use(id, u)
}

// migration is the network that datacenter.cfg names; without one it is that of the nodes' names.
func (b *builder) migration() {
	cidr, known := migrationNetwork(b.c)
	if !known || b.c.Standalone {
		return
	}
	pre, err := netip.ParsePrefix(cidr)
	for i := range b.g.Nodes {
		n := &b.g.Nodes[i]
		if err != nil {
			for _, id := range sortedKeys(b.nets) {
				for _, u := range b.nets[id].Uses {
					if u.Role == Management && u.Node == n.Name {
						u.Role, u.Evidence = Migration, "datacenter.cfg names no migration network"
						b.use(id, u)
					}
				}
			}
			continue
		}
		b.within(n, pre, Use{Role: Migration, Node: n.Name, Evidence: "migration in datacenter.cfg"})
	}
}

// within notes a use for the node's addresses in a subnet.
func (b *builder) within(n *Node, pre netip.Prefix, u Use) {
	for i := range n.Ports {
		p := &n.Ports[i]
		for _, s := range p.Addresses {
			own, err := netip.ParsePrefix(s)
			if err == nil && p.Network != "" && pre.Contains(own.Addr()) {
				u.Interface, u.Address = p.Name, own.Addr().String()
				b.use(p.Network, u)
			}
		}
	}
}

func (b *builder) ceph() {
	for _, part := range cephNetworks(b.c) {
		pre, err := netip.ParsePrefix(part.cidr)
		if err != nil {
			continue
		}
		for i := range b.g.Nodes {
			b.within(&b.g.Nodes[i], pre, Use{Role: part.role, Node: b.g.Nodes[i].Name, Evidence: part.evidence})
		}
	}
}

// tunnels notes the networks that carry the VXLAN of SDN zones.
func (b *builder) tunnels() {
	for _, id := range sortedKeys(b.zone) {
		z := b.zone[id]
		if !z.Tunnels() {
			continue
		}
		for i := range b.g.Nodes {
			n := &b.g.Nodes[i]
			for _, iface := range n.holding(z.Peers) {
				if p, ok := n.Port(iface); ok && p.Network != "" {
					b.use(p.Network, Use{Role: Tunnel, Node: n.Name, Interface: iface, Detail: "zone " + z.ID, Evidence: "peers in sdn/zones.cfg"})
				}
			}
		}
	}
}

// roles marks on each interface what runs over it, itself and through what lies above it.
func (b *builder) roles() {
	for i := range b.g.Networks {
		for _, u := range b.g.Networks[i].Uses {
			if at, ok := b.nodeIndex[u.Node]; ok && u.Interface != "" {
				b.g.Nodes[at].mark(u.Interface, u.Role)
			}
		}
	}
	done := map[place]bool{}
	for i := range b.g.Guests {
		g := &b.g.Guests[i]
		at, ok := b.nodeIndex[g.Node]
		for j := range g.Cards {
			p := place{g.Node, g.Cards[j].Bridge}
			if ok && p.name != "" && !done[p] {
				done[p] = true
				b.g.Nodes[at].mark(p.name, Guests)
			}
		}
	}
	order := []Role{Management, Corosync, Storage, Migration, CephPublic, CephCluster, Tunnel, Guests}
	for i := range b.g.Nodes {
		for j := range b.g.Nodes[i].Ports {
			slices.SortFunc(b.g.Nodes[i].Ports[j].Roles, func(x, y Role) int { return slices.Index(order, x) - slices.Index(order, y) })
		}
	}
}

func (n *Node) mark(name string, r Role) {
	seen := map[string]bool{}
	todo := []string{name}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, ok := n.Port(at)
		if !ok || seen[at] {
			continue
		}
		seen[at] = true
		if !slices.Contains(p.Roles, r) {
			p.Roles = append(p.Roles, r)
		}
		todo = append(todo, p.Over...)
	}
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
