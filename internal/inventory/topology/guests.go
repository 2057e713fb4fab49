package topology

import (
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

func (b *builder) guests() {
	for _, in := range b.c.Guests {
		cfg, err := in.Config.Get()
		if err != nil || cfg == nil {
			if err != nil {
				b.unknown("the configuration of " + in.Title() + ": " + err.Error())
			}
			continue
		}
		g := Guest{ID: in.ID, Kind: string(in.Kind), Name: cfg.Name(), Node: in.Node, Template: cfg.On("template"), Tags: cfg.Tags()}
		for _, nic := range cfg.NICs() {
			g.Cards = append(g.Cards, b.card(in, nic))
		}
		for _, id := range g.Networks() {
			b.nets[id].Guests++
		}
		b.g.Guests = append(b.g.Guests, g)
	}
}

func (b *builder) card(in *inventory.Guest, nic guestcfg.NIC) Card {
	c := Card{Key: nic.Key, Bridge: nic.Bridge, Tag: nic.Tag, UserMode: nic.UserMode, Down: nic.LinkDown, Firewall: Firewall{State: Unsaid}}
	if f, ok := b.opts.Firewall[CardID{in.ID, nic.Key}]; ok {
		c.Firewall = f
	}
	for _, a := range []string{nic.IP, nic.IP6} {
		if strings.Contains(a, "/") {
			c.Addresses = append(c.Addresses, a)
		}
	}
	switch {
	case nic.UserMode:
		n := b.net(UserMode, func() Network { return Network{Kind: "user-mode", Local: true} })
		b.join(n, in.Node)
		c.Network = n.ID
	case nic.Bridge != "":
		base := b.base(in, nic)
		n := b.sub(base, nic.Tag)
		b.join(n, in.Node)
		c.Network = n.ID
		c.TrunkAll = nic.Tag == 0 && len(nic.Trunks) == 0 && b.trunkAll(in.Node, nic.Bridge)
		for _, t := range nic.Trunks {
			id := CardID{in.ID, nic.Key}
			b.ranges[id] = append(b.ranges[id], t) // resolved when all VLANs are known
		}
	}
	return c
}

// base is the network of the bridge or vnet that a card names, as seen from the node of the guest. Of a node whose interfaces are
// not known the bridge is taken for that of the same name elsewhere.
func (b *builder) base(in *inventory.Guest, nic guestcfg.NIC) string {
	if id, ok := b.at[place{in.Node, nic.Bridge}]; ok {
		return id
	}
	known := false
	if i, ok := b.nodeIndex[in.Node]; ok {
		known = b.g.Nodes[i].Known
	}
	v := b.vnet[nic.Bridge]
	if known && (v == nil || b.planned[v.ID]) {
		b.missing = append(b.missing, missingBridge{in.ID, nic.Key, in.Node, nic.Bridge})
	}
	if v != nil {
		return b.vnetID(v)
	}
	for _, id := range b.bridgeOf[nic.Bridge] {
		if !b.nets[id].Local {
			return id
		}
	}
	n := b.net(nic.Bridge, func() Network { return Network{Kind: "bridge", Bridge: nic.Bridge} })
	return n.ID
}

// trunkAll reports whether a card without tag and trunks gets every VLAN of the bridge: on a VLAN-aware Linux bridge PVE gives it
// 2-4094 (pve-common PVE/Network.pm), and on Open vSwitch a port without a tag is a trunk (ovs-vswitchd.conf.db(5), Port).
func (b *builder) trunkAll(node, bridge string) bool {
	i, ok := b.nodeIndex[node]
	if ok && b.g.Nodes[i].Known {
		p, ok := b.g.Nodes[i].Port(bridge)
		return ok && aware(p)
	}
	for j := range b.g.Nodes {
		if p, ok := b.g.Nodes[j].Port(bridge); ok && aware(p) {
			return true
		}
	}
	return false
}

func aware(p *Port) bool { return p.VLANAware || p.Kind == string(netcfg.OVSBridge) }

// trunks finds the networks that the trunks of cards lead to: VLANs of the same bridge that somebody else is in.
func (b *builder) trunks() {
	vlans := map[string][]*Network{} // by the id of their bridge
	for _, id := range sortedKeys(b.nets) {
		if n := b.nets[id]; n.VLAN > 0 {
			base, _, _ := cutLast(id, ".")
			vlans[base] = append(vlans[base], n)
		}
	}
	for i := range b.g.Guests {
		g := &b.g.Guests[i]
		for j := range g.Cards {
			c := &g.Cards[j]
			ranges := b.ranges[CardID{g.ID, c.Key}]
			if len(ranges) == 0 {
				continue
			}
			for _, n := range vlans[c.Network] {
				if slices.ContainsFunc(ranges, func(r guestcfg.VLANs) bool { return n.VLAN >= r.First && n.VLAN <= r.Last }) {
					c.Trunk = append(c.Trunk, n.ID)
					n.Guests++
					b.join(n, g.Node)
				}
			}
			slices.SortFunc(c.Trunk, func(x, y string) int { return b.nets[x].VLAN - b.nets[y].VLAN })
		}
	}
}

// joins collects the pairs of networks that guests are in both of: each further network with the first.
func (b *builder) joins() {
	type pair struct{ a, b string }
	found := map[pair][]int{}
	for i := range b.g.Guests {
		g := &b.g.Guests[i]
		if g.Template {
			continue
		}
		nets := g.Networks()
		for _, other := range nets[min(1, len(nets)):] {
			p := pair{nets[0], other}
			if b.g.network[p.a] > b.g.network[p.b] {
				p.a, p.b = p.b, p.a
			}
			found[p] = append(found[p], g.ID)
		}
	}
	for p, guests := range found {
		b.g.Joins = append(b.g.Joins, Join{p.a, p.b, guests})
	}
	slices.SortFunc(b.g.Joins, func(x, y Join) int {
		if d := b.g.network[x.A] - b.g.network[y.A]; d != 0 {
			return d
		}
		return b.g.network[x.B] - b.g.network[y.B]
	})
}
