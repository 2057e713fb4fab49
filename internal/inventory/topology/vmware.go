package topology

import "slices"

// VMware is the name of the hypervisor box that stands for all VMware guests.
const VMware = "VMware"

// Foreign is a guest of VMware, with the port groups that its cards are in.
type Foreign struct {
	Name  string
	Cards []ForeignCard
}

// ForeignCard is a network card of such a guest. Network is its port group, empty when nobody knows.
type ForeignCard struct {
	Name, Network string
	Connected     bool
}

// AddVMware puts the VMware guests of an estate beside its cluster: one more hypervisor, a network for each port group, and guests with
// negative numbers, because they have no VMID. What Proxmox VE is judged by (findings, complexity, joins) stays as it is: its
// firewall does not see them.
func (g *Graph) AddVMware(list []Foreign) {
	if len(list) == 0 {
		return
	}
	g.Nodes = append(g.Nodes, Node{Name: VMware, Known: true, Foreign: true})
	in := map[string]int{}
	id := func(network string) string { return network + "@" + VMware }
	for i, f := range list {
		guest := Guest{ID: -1 - i, Kind: "vmware", Name: f.Name, Node: VMware}
		for _, c := range f.Cards {
			card := Card{Key: c.Name, Bridge: c.Network, Down: !c.Connected, Firewall: Firewall{State: Unsaid, Missing: "the firewall of Proxmox VE does not see it"}}
			if c.Network != "" {
				card.Network = id(c.Network)
			}
			guest.Cards = append(guest.Cards, card)
		}
		for _, n := range guest.Networks() {
			in[n]++
		}
		g.Guests = append(g.Guests, guest)
	}
	names := make([]string, 0, len(in))
	for n := range in {
		names = append(names, n)
	}
	slices.Sort(names)
	if g.network == nil {
		g.network = map[string]int{}
	}
	for _, n := range names {
		g.network[n] = len(g.Networks)
		g.Networks = append(g.Networks, Network{ID: n, Kind: "port group", Nodes: []string{VMware}, Guests: in[n],
			Zones: []Zone{{ZoneGuest, "VMware guests are in it"}}})
	}
}

// Label names a guest for people: its number and name; of a VMware guest the name alone.
func (g *Guest) Label() string {
	if g.ID < 0 {
		return g.Name
	}
	return itoa(g.ID) + " " + g.Name
}
