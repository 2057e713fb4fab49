// Package topology is the network of a cluster as a graph: which networks there are, which nodes and guests are in them, what
// runs over each (management, corosync, storage, migration, Ceph), which network card carries it, and what makes the whole
// hard to draw. A network that exists on several nodes is one network here.
//
// It judges nothing beyond its own findings, which say what is unusual, and it draws nothing: the picture is made by the
// package draw below. Whether the firewall filters a card is handed in, because that question has a room of its own.
package topology

// Graph is the network of a cluster.
type Graph struct {
	Cluster    string `json:"cluster,omitempty"`
	Standalone bool   `json:"standalone"`
	// Nodes are by name, Networks in the order of drawing: what runs the cluster first, then bridges with their VLANs, then vnets.
	Nodes    []Node    `json:"nodes"`
	Networks []Network `json:"networks"`
	Guests   []Guest   `json:"guests"`
	// Joins are the pairs of networks that guests connect.
	Joins      []Join     `json:"joins,omitempty"`
	Findings   []Finding  `json:"findings,omitempty"`
	Complexity Complexity `json:"complexity"`
	// Unknown says what could not be read and is therefore missing here.
	Unknown []string `json:"unknown,omitempty"`

	network map[string]int // index of Networks by id
}

// Role is something that runs over a network.
type Role string

// The roles, in order of importance.
const (
	Management  Role = "management"
	Corosync    Role = "corosync"
	Storage     Role = "storage"
	Migration   Role = "migration"
	CephPublic  Role = "ceph-public"
	CephCluster Role = "ceph-cluster"
	Tunnel      Role = "tunnel" // carries VXLAN of SDN
	Guests      Role = "guests"
)

// ZoneName is a kind of network by what runs over it.
type ZoneName string

// The zones.
const (
	ZoneManagement ZoneName = "management"
	ZoneCluster    ZoneName = "cluster"
	ZoneStorage    ZoneName = "storage"
	ZoneMigration  ZoneName = "migration"
	ZoneExternal   ZoneName = "external"
	ZoneGuest      ZoneName = "guest"
)

// Zone is one zone of a network, and why.
type Zone struct {
	Name     ZoneName `json:"name"`
	Evidence string   `json:"evidence"`
}

// Node is a member of the cluster with its interfaces.
type Node struct {
	Name string `json:"name"`
	// Known is false when its interfaces could not be read; Why says why.
	Known bool   `json:"known"`
	Why   string `json:"why,omitempty"`
	Ports []Port `json:"ports,omitempty"`
	// LeftOver is true for a directory in /etc/pve/nodes that belongs to no member of the cluster and holds no guest.
	LeftOver bool `json:"left_over,omitempty"`
	// Foreign is true for the hypervisor of VMware guests, which is no member of the cluster.
	Foreign bool `json:"foreign,omitempty"`
	// Pending is true when edits of the interfaces wait to be applied; nil when nobody knows.
	Pending *bool `json:"pending,omitempty"`
	// Changes names the interfaces that the waiting edits touch.
	Changes []string `json:"changes,omitempty"`
	// Gateways are the next hops of its default routes, with the interface: "10.0.0.1 on vmbr0".
	Gateways []string `json:"gateways,omitempty"`

	port map[string]int
}

// Layer is how far an interface is from the cable.
type Layer int

// The layers, from the cable.
const (
	LayerUplink Layer = iota // physical cards
	LayerBond
	LayerBridge // bridges, and VLANs of the host
	LayerVNet   // virtual networks of SDN
)

// Port is an interface of a node that takes part in the network.
type Port struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Layer Layer  `json:"layer"`
	// Over are the interfaces that it sends through, towards the cable.
	Over      []string `json:"over,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	MTU       int      `json:"mtu,omitempty"`
	VLANAware bool     `json:"vlan_aware,omitempty"`
	VIDs      string   `json:"vids,omitempty"`
	BondMode  string   `json:"bond_mode,omitempty"`
	VLAN      int      `json:"vlan,omitempty"`
	// Roles is what runs over it, itself or through what lies above.
	Roles []Role `json:"roles,omitempty"`
	// Network is the id of the network that it is in; "" for a card or bond that only carries others.
	Network string `json:"network,omitempty"`
	// NAT are commands of its configuration that change addresses or filter packets.
	NAT []string `json:"nat,omitempty"`
	// Source is where it is configured: "/etc/network/interfaces:12".
	Source string `json:"source,omitempty"`
}

// Network is one segment: who is in it can talk to each other without a router.
type Network struct {
	// ID is unique: "vmbr0", "vmbr1.100", "vnet1", "10.0.0.0/24", "vmbr3@pve1" for one that never leaves its node, "user-mode".
	ID string `json:"id"`
	// Kind is bridge, vlan, vnet, host (only addresses of nodes), user-mode, or port group for one of VMware.
	Kind   string `json:"kind"`
	Bridge string `json:"bridge,omitempty"`
	VLAN   int    `json:"vlan,omitempty"`
	// VNet and SDNZone are its names in SDN.
	VNet    string   `json:"vnet,omitempty"`
	SDNZone string   `json:"sdn_zone,omitempty"`
	Alias   string   `json:"alias,omitempty"`
	Subnets []string `json:"subnets,omitempty"`
	// Nodes are those that have it.
	Nodes []string `json:"nodes,omitempty"`
	// Local is true when it has no way out of its node.
	Local bool `json:"local,omitempty"`
	// Tunnelled is true when its frames travel in VXLAN, which does not encrypt.
	Tunnelled bool   `json:"tunnelled,omitempty"`
	Isolated  bool   `json:"isolated,omitempty"` // isolate-ports
	Planned   bool   `json:"planned,omitempty"`  // defined in SDN, never applied
	Zones     []Zone `json:"zones,omitempty"`
	Uses      []Use  `json:"uses,omitempty"`
	// Guests counts the guests with a card in it.
	Guests  int    `json:"guests"`
	Comment string `json:"comment,omitempty"`
}

// Use is one thing that runs over a network.
type Use struct {
	Role Role   `json:"role"`
	Node string `json:"node,omitempty"`
	// Interface and Address are the node's own; Peer is the other end: a gateway, a storage server.
	Interface string `json:"interface,omitempty"`
	Address   string `json:"address,omitempty"`
	Peer      string `json:"peer,omitempty"`
	// Detail is the number of a link, the name of a storage; Evidence where it is said.
	Detail   string `json:"detail,omitempty"`
	Evidence string `json:"evidence"`
}

// Filtering says whether the firewall of PVE looks at the packets of a card.
type Filtering string

// The states; the zero value counts as unknown.
const (
	Unsaid     Filtering = "unknown"
	Filtered   Filtering = "filtered"
	Unfiltered Filtering = "unfiltered"
)

// Firewall is the state of one card, and the switch that is missing when it is not filtered.
type Firewall struct {
	State   Filtering `json:"state"`
	Missing string    `json:"missing,omitempty"`
}

// CardID names a card of a guest.
type CardID struct {
	Guest int
	Key   string // "net0"
}

// Guest is a virtual machine or a container.
type Guest struct {
	// ID is the VMID; VMware guests have none, and negative numbers here.
	ID       int      `json:"vmid"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name,omitempty"`
	Node     string   `json:"node"`
	Template bool     `json:"template,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Cards    []Card   `json:"cards,omitempty"`
}

// Card is a network card of a guest.
type Card struct {
	Key    string `json:"key"`
	Bridge string `json:"bridge,omitempty"`
	Tag    int    `json:"tag,omitempty"`
	// Network is the id of the network that untagged frames are in; "" for a card that is connected to nothing.
	Network string `json:"network,omitempty"`
	// Trunk are the ids of further networks whose tagged frames it gets, of those that anybody else uses.
	Trunk []string `json:"trunk,omitempty"`
	// TrunkAll is true when it may send and receive every VLAN of its bridge because neither tag nor trunks is set.
	TrunkAll  bool     `json:"trunk_all,omitempty"`
	UserMode  bool     `json:"user_mode,omitempty"`
	Down      bool     `json:"down,omitempty"`
	Firewall  Firewall `json:"firewall"`
	Addresses []string `json:"addresses,omitempty"`
}

// Join is a pair of networks that guests are in both of.
type Join struct {
	A      string `json:"a"`
	B      string `json:"b"`
	Guests []int  `json:"guests"`
}

// Members are the nodes that are not left over.
func (g *Graph) Members() int {
	n := 0
	for i := range g.Nodes {
		if !g.Nodes[i].LeftOver && !g.Nodes[i].Foreign {
			n++
		}
	}
	return n
}

// Network returns a network by id.
func (g *Graph) Network(id string) (*Network, bool) {
	i, ok := g.network[id]
	if !ok {
		return nil, false
	}
	return &g.Networks[i], true
}

// Port returns an interface by name.
func (n *Node) Port(name string) (*Port, bool) {
	i, ok := n.port[name]
	if !ok {
		return nil, false
	}
	return &n.Ports[i], true
}

// Networks returns the ids of the networks that the guest is in, each once, in order of its cards.
func (g *Guest) Networks() []string {
	var out []string
	have := map[string]bool{}
	for i := range g.Cards {
		for _, id := range append([]string{g.Cards[i].Network}, g.Cards[i].Trunk...) {
			if id != "" && !have[id] {
				have[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}

// Title names the network for people: "vmbr1 VLAN 100", "web (vmbr1 VLAN 20)".
func (n *Network) Title() string {
	switch {
	case n.VNet != "" && n.Bridge != "":
		return n.VNet + " (" + n.Bridge + vlanText(n.VLAN) + ")"
	case n.VNet != "":
		return n.VNet + vlanText(n.VLAN)
	case n.Bridge != "":
		return n.Bridge + vlanText(n.VLAN)
	}
	return n.ID
}

func vlanText(tag int) string {
	if tag == 0 {
		return ""
	}
	return " VLAN " + itoa(tag)
}

// Zone is the zone that the network is drawn in: the most sensitive of its zones.
func (n *Network) Zone() ZoneName {
	if len(n.Zones) == 0 {
		return ""
	}
	return n.Zones[0].Name
}

// In reports whether the network is in a zone.
func (n *Network) In(z ZoneName) bool {
	for i := range n.Zones {
		if n.Zones[i].Name == z {
			return true
		}
	}
	return false
}
