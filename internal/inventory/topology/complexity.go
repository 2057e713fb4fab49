package topology

import (
	"fmt"
	"slices"
	"strings"
)

// Complexity is how hard the network is to draw and to keep in mind: a sum of points, and where they come from.
//
// Points: each network beyond the fourth 1; each pair of networks that guests connect 2, and each such guest 1; each crossing of two
// such connections in the order of drawing 1; each network that is in more than one zone, guests and external ones not counted
// as a pair, 3; each hidden NAT 4; each card with all VLANs or in user mode 2; each difference between nodes 3; each node or
// part of SDN with changes that wait 2; each zone of tunnels 2; each bridge that never leaves its node 1; both kinds of bridges 3.
type Complexity struct {
	Points int `json:"points"`
	// Class is simple (up to 15 points), moderate (up to 40) or complex.
	Class string `json:"class"`
	// Costs are the parts, most costly first.
	Costs []Cost `json:"costs,omitempty"`
}

// Cost is one thing that makes a network complex.
type Cost struct {
	Points int    `json:"points"`
	Count  int    `json:"count"`
	What   string `json:"what"`
	// Examples are up to three of them.
	Examples []string `json:"examples,omitempty"`
}

// The limits of the classes. Fifteen points are about a cluster with separate networks for guests, management, corosync and storage,
// a few VLANs and one firewall guest.
const (
	simpleUpTo   = 15
	moderateUpTo = 40
	freeNetworks = 4
	examples     = 3
)

func (c *Complexity) add(each int, what string, items []string) {
	if len(items) == 0 {
		return
	}
	c.Points += each * len(items)
	c.Costs = append(c.Costs, Cost{Points: each * len(items), Count: len(items), What: what, Examples: slices.Clone(items[:min(len(items), examples)])})
}

func measure(g *Graph) Complexity {
	var c Complexity
	var beyond, mixed, local, tunnels []string
	used := 0
	for i := range g.Networks {
		n := &g.Networks[i]
		if used++; used > freeNetworks {
			beyond = append(beyond, n.Title())
		}
		if z := inner(n); len(z) > 1 {
			mixed = append(mixed, n.Title()+": "+strings.Join(z, ", "))
		}
		if n.Local && n.Kind != "user-mode" {
			local = append(local, n.Title())
		}
		if n.Tunnelled && n.SDNZone != "" && !slices.Contains(tunnels, n.SDNZone) {
			tunnels = append(tunnels, n.SDNZone)
		}
	}
	c.add(1, "networks beyond the fourth", beyond)
	c.add(3, "networks that carry several kinds of traffic", mixed)
	c.add(1, "bridges that never leave their node", local)
	c.add(2, "zones of tunnels", tunnels)
	c.measureGuests(g)
	kinds := map[string][]string{}
	for i := range g.Findings {
		kinds[g.Findings[i].Kind] = append(kinds[g.Findings[i].Kind], g.Findings[i].Text)
	}
	c.add(4, "translations that PVE does not show", kinds["hidden-nat"])
	c.add(2, "cards with every VLAN", kinds["trunk-all"])
	c.add(2, "cards in user mode", kinds["user-mode"])
	c.add(3, "differences between nodes", kinds["difference"])
	c.add(2, "changes that wait", append(kinds["pending"], kinds["pending-sdn"]...))
	if both := bothBridges(g); both != "" {
		c.add(3, "both kinds of bridges", []string{both})
	}
	slices.SortStableFunc(c.Costs, func(x, y Cost) int { return y.Points - x.Points })
	switch {
	case c.Points <= simpleUpTo:
		c.Class = "simple"
	case c.Points <= moderateUpTo:
		c.Class = "moderate"
	default:
		c.Class = "complex"
	}
	return c
}

func (c *Complexity) measureGuests(g *Graph) {
	var pairs, guests []string
	multi := map[int]bool{}
	for _, j := range g.Joins {
		pairs = append(pairs, g.Networks[g.network[j.A]].Title()+" and "+g.Networks[g.network[j.B]].Title())
		for _, id := range j.Guests {
			multi[id] = true
		}
	}
	for i := range g.Guests {
		if multi[g.Guests[i].ID] {
			guests = append(guests, fmt.Sprintf("%d %s", g.Guests[i].ID, g.Guests[i].Name))
		}
	}
	c.add(2, "pairs of networks that guests connect", pairs)
	c.add(1, "guests in several networks", guests)
	c.add(1, "crossings of such connections", g.crossings())
}

// maxCrossings bounds what is counted of a hostile configuration.
const maxCrossings = 1000

// crossings are the pairs of joins that cross when the networks are drawn as lanes in their order.
func (g *Graph) crossings() []string {
	var out []string
	for i := range g.Joins {
		a, b := g.network[g.Joins[i].A], g.network[g.Joins[i].B]
		for j := i + 1; j < len(g.Joins) && len(out) < maxCrossings; j++ {
			x, y := g.network[g.Joins[j].A], g.network[g.Joins[j].B]
			if a < x && x < b && b < y || x < a && a < y && y < b {
				out = append(out, g.Joins[i].A+" - "+g.Joins[i].B+" with "+g.Joins[j].A+" - "+g.Joins[j].B)
			}
		}
		if len(out) >= maxCrossings || i >= maxCrossings {
			break
		}
	}
	return out
}

// inner are the zones of a network that ought to be apart. Migration with storage is usual, and guests in an external network is what
// it is for.
func inner(n *Network) []string {
	var out []string
	for _, z := range n.Zones {
		switch {
		case z.Name == ZoneExternal && !n.In(ZoneManagement) && !n.In(ZoneCluster) && !n.In(ZoneStorage):
		case z.Name == ZoneMigration && (n.In(ZoneStorage) || n.In(ZoneManagement)):
		default:
			out = append(out, string(z.Name))
		}
	}
	return out
}

func bothBridges(g *Graph) string {
	linux, ovs := "", ""
	for i := range g.Nodes {
		for j := range g.Nodes[i].Ports {
			p := &g.Nodes[i].Ports[j]
			switch p.Kind {
			case "bridge":
				linux = g.Nodes[i].Name + " " + p.Name
			case "ovs-bridge":
				ovs = g.Nodes[i].Name + " " + p.Name
			}
		}
	}
	if linux == "" || ovs == "" {
		return ""
	}
	return linux + " (Linux), " + ovs + " (Open vSwitch)"
}
