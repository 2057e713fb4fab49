package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/sdncfg"
)

// Finding is something on the map that an administrator would mark with a red pen. Exactly what it is about is in Node, Port, Guest,
// Card and Network, as far as they apply.
type Finding struct {
	// Control is the id of the control that judges this.
	Control string `json:"control"`
	// Kind names it in one word.
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Node    string `json:"node,omitempty"`
	Port    string `json:"port,omitempty"`
	Guest   int    `json:"guest,omitempty"`
	Card    string `json:"card,omitempty"`
	Network string `json:"network,omitempty"`
}

func (b *builder) findings() []Finding {
	var out []Finding
	for i := range b.g.Guests {
		out = append(out, b.guestFindings(&b.g.Guests[i])...)
	}
	for _, m := range b.missing {
		out = append(out, Finding{Control: "NET-25", Kind: "missing-bridge", Node: m.node, Guest: m.guest, Card: m.key,
			Text: fmt.Sprintf("%s of guest %d names %s, which %s does not have: the guest does not start there", m.key, m.guest, clip(m.bridge), m.node)})
	}
	for i := range b.g.Nodes {
		out = append(out, b.nodeFindings(&b.g.Nodes[i])...)
	}
	for i := range b.g.Networks {
		out = append(out, networkFindings(&b.g.Networks[i])...)
	}
	out = append(out, b.sdnPending()...)
	for _, d := range b.differences() {
		out = append(out, Finding{Control: "NET-11", Kind: "difference", Text: d.text, Node: d.node, Port: d.port})
	}
	slices.SortStableFunc(out, func(x, y Finding) int {
		if d := strings.Compare(x.Control, y.Control); d != 0 {
			return d
		}
		if x.Guest != y.Guest {
			return x.Guest - y.Guest
		}
		return strings.Compare(x.Text, y.Text)
	})
	return out
}

func (b *builder) guestFindings(g *Guest) []Finding {
	var out []Finding
	if g.Template {
		return nil
	}
	for i := range g.Cards {
		c := &g.Cards[i]
		f := Finding{Node: g.Node, Guest: g.ID, Card: c.Key, Network: c.Network}
		add := func(control, kind, text string) {
			f.Control, f.Kind, f.Text = control, kind, fmt.Sprintf("%s of guest %d ", c.Key, g.ID)+text
			out = append(out, f)
		}
		switch {
		case c.UserMode:
			add("NET-18", "user-mode", "has no bridge: QEMU translates its addresses on the node, past every rule of the firewall")
		case c.Bridge != "" && c.Firewall.State == Unfiltered:
			add(unfilteredControl(c.Firewall.Missing), "unfiltered", "is not filtered: "+c.Firewall.Missing)
		}
		if c.TrunkAll {
			add("NET-04", "trunk-all", "may send and receive every VLAN of "+c.Bridge+": neither tag nor trunks is set")
		}
	}
	if nets := g.Networks(); len(nets) > 1 {
		f := Finding{Control: "NET-13", Kind: "dual-homed", Node: g.Node, Guest: g.ID, Network: nets[0]}
		f.Text = fmt.Sprintf("guest %d connects %s", g.ID, strings.Join(b.titles(nets), ", "))
		if b.crosses(nets) {
			f.Text += ", which are in different zones"
		}
		out = append(out, f)
	}
	return out
}

// unfilteredControl is the control of the switch that is missing.
func unfilteredControl(missing string) string {
	switch {
	case strings.HasPrefix(missing, "chain"):
		return "FW-22" // a security group that cannot be generated
	case strings.HasPrefix(missing, "ruleset"):
		return "FW-27" // proxmox-firewall refuses a file
	case strings.Contains(missing, "cluster.fw"):
		return "FW-01"
	case strings.Contains(missing, "host.fw"), strings.Contains(missing, "node"):
		return "FW-05"
	case strings.Contains(missing, ".fw"):
		return "FW-17"
	}
	return "FW-16"
}

func (b *builder) titles(ids []string) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, b.nets[id].Title())
	}
	return out
}

// crosses reports whether networks are in different zones, or each carries something beyond guests that the other does not.
func (b *builder) crosses(ids []string) bool {
	for _, id := range ids[1:] {
		if b.nets[id].Zone() != b.nets[ids[0]].Zone() {
			return true
		}
	}
	return false
}

func (b *builder) nodeFindings(n *Node) []Finding {
	var out []Finding
	for i := range n.Ports {
		p := &n.Ports[i]
		if len(p.NAT) > 0 {
			out = append(out, Finding{Control: "NET-19", Kind: "hidden-nat", Node: n.Name, Port: p.Name, Network: p.Network,
				Text: fmt.Sprintf("%s of %s runs %q when it comes up: rules that PVE does not show", p.Name, n.Name, clip(p.NAT[0]))})
		}
	}
	if n.Pending != nil && *n.Pending {
		f := Finding{Control: "NET-20", Kind: "pending", Node: n.Name, Text: "changes of the interfaces of " + n.Name + " wait for a reload or the next boot"}
		if len(n.Changes) > 0 {
			f.Text += ": " + strings.Join(n.Changes[:min(len(n.Changes), 5)], ", ")
			f.Port = n.Changes[0]
		}
		out = append(out, f)
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		if gs := n.gateways(family == "IPv6"); len(gs) > 1 {
			out = append(out, Finding{Control: "NET-24", Kind: "gateways", Node: n.Name, Text: n.Name + " has several " + family + " default routes: " + strings.Join(gs, ", ")})
		}
	}
	if text := n.CorosyncShares(); text != "" {
		out = append(out, Finding{Control: "NET-23", Kind: "shared-corosync", Node: n.Name, Port: n.corosyncPort(), Text: text})
	}
	return out
}

func (n *Node) gateways(v6 bool) []string {
	var out []string
	for _, g := range n.Gateways {
		hop, _, _ := strings.Cut(g, " on ")
		if strings.Contains(hop, ":") == v6 {
			out = append(out, g)
		}
	}
	return out
}

// CorosyncShares says what shares a card with every corosync link of the node; "" when one link has a card without guests,
// storage, migration and Ceph, which can fill a cable and then cost the node its place in the cluster.
func (n *Node) CorosyncShares() string {
	worst := ""
	for i := range n.Ports {
		p := &n.Ports[i]
		if p.Layer != LayerUplink || !slices.Contains(p.Roles, Corosync) {
			continue
		}
		var others []string
		for _, r := range p.Roles {
			if r != Corosync && r != Management {
				others = append(others, string(r))
			}
		}
		if len(others) == 0 {
			return ""
		}
		if worst == "" {
			worst = fmt.Sprintf("corosync of %s shares every card with other traffic: %s carries %s", n.Name, p.Name, strings.Join(others, ", "))
		}
	}
	return worst
}

func (n *Node) corosyncPort() string {
	for i := range n.Ports {
		if n.Ports[i].Layer == LayerUplink && slices.Contains(n.Ports[i].Roles, Corosync) {
			return n.Ports[i].Name
		}
	}
	return ""
}

func networkFindings(n *Network) []Finding {
	var out []Finding
	if n.In(ZoneManagement) && n.Guests > 0 {
		out = append(out, Finding{Control: "NET-01", Kind: "management-guests", Network: n.ID,
			Text: fmt.Sprintf("%d guest(s) are in the management network %s", n.Guests, n.Title())})
	}
	for _, z := range []ZoneName{ZoneCluster, ZoneStorage, ZoneMigration} {
		if n.In(z) && !n.In(ZoneManagement) && n.Guests > 0 {
			out = append(out, Finding{Control: "NET-03", Kind: "mixed", Network: n.ID,
				Text: fmt.Sprintf("%d guest(s) are in the %s network %s", n.Guests, z, n.Title())})
			break
		}
	}
	if n.Tunnelled && n.VNet != "" && !n.Planned && n.VLAN == 0 {
		out = append(out, Finding{Control: "NET-22", Kind: "vxlan", Network: n.ID, Text: "the frames of " + n.Title() + " travel between nodes in VXLAN, unencrypted"})
	}
	if n.VNet != "" && !n.Isolated && n.Guests > 1 && n.VLAN == 0 {
		out = append(out, Finding{Control: "NET-21", Kind: "not-isolated", Network: n.ID, Text: "the guests in " + n.Title() + " reach each other: isolate-ports is off"})
	}
	return out
}

func (b *builder) sdnPending() []Finding {
	cfg, err := b.c.SDN.Get()
	if err != nil || cfg == nil {
		return nil
	}
	var out []Finding
	for _, p := range cfg.Pending {
		out = append(out, Finding{Control: "NET-20", Kind: "pending-sdn", Network: b.vnetNetwork(p), Text: "SDN: " + p.String() + ", not applied"})
	}
	return out
}

func (b *builder) vnetNetwork(p sdncfg.Pending) string {
	if v := b.vnet[p.ID]; v != nil && p.Kind == "vnets" {
		return b.vnetID(v)
	}
	return ""
}
