package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// zoneOrder is from the most sensitive to the least: a network in several zones is drawn in the first.
func zoneOrder() []ZoneName {
	return []ZoneName{ZoneManagement, ZoneCluster, ZoneStorage, ZoneMigration, ZoneExternal, ZoneGuest}
}

// zones derives the zones of a network from what runs over it.
func (b *builder) zones(n *Network) {
	slices.Sort(n.Nodes)
	why := map[ZoneName]string{}
	note := func(z ZoneName, evidence string) {
		if why[z] == "" {
			why[z] = evidence
		}
	}
	for _, u := range n.Uses {
		switch u.Role {
		case Management:
			note(ZoneManagement, "management address of "+u.Node+": "+u.Evidence)
		case Corosync:
			note(ZoneCluster, u.Detail+" of corosync on "+u.Node)
		case Storage:
			note(ZoneStorage, "storage "+u.Detail+" is at "+u.Peer)
		case CephPublic, CephCluster:
			note(ZoneStorage, u.Evidence)
		case Migration:
			note(ZoneMigration, u.Evidence)
		}
	}
	for _, s := range n.Subnets {
		if p, err := netip.ParsePrefix(s); err == nil && public(p.Addr()) {
			note(ZoneExternal, "public addresses: "+s)
		}
	}
	n.Comment = b.comment(n)
	if w := externalWord(n.Comment + " " + n.Alias + " " + n.VNet); w != "" {
		note(ZoneExternal, "its name or comment says \""+w+"\"")
	}
	if n.Guests > 0 {
		note(ZoneGuest, fmt.Sprintf("%d guests", n.Guests))
		if n.Guests == 1 {
			why[ZoneGuest] = "1 guest"
		}
	}
	for _, z := range zoneOrder() {
		if why[z] != "" {
			n.Zones = append(n.Zones, Zone{z, why[z]})
		}
	}
}

// comment is what the first node that has the network says about its interface.
func (b *builder) comment(n *Network) string {
	for _, node := range b.c.Nodes {
		cfg, err := node.Network.Get()
		if err != nil || cfg == nil || !slices.Contains(n.Nodes, node.Name) {
			continue
		}
		at := &b.g.Nodes[b.nodeIndex[node.Name]]
		for i := range at.Ports {
			if at.Ports[i].Network != n.ID {
				continue
			}
			if iface, ok := cfg.Interface(at.Ports[i].Name); ok && len(iface.Comments) > 0 {
				return strings.Join(iface.Comments, " ")
			}
		}
	}
	return ""
}

// public reports whether an IPv4 address could be routed from the internet. IPv6 addresses say nothing: networks inside have
// global ones as well. 100.64.0.0/10 is shared space (RFC 6598).
func public(a netip.Addr) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10")
	return a.Is4() && a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

func externalWord(s string) string {
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		switch w {
		case "wan", "internet", "provider", "external", "isp", "public":
			return w
		}
	}
	return ""
}

// order puts the networks into the order of drawing: what runs the cluster, then bridges each with its VLANs, vnets, and QEMU's own
// translation last. External ones come first within each kind.
func (b *builder) order() {
	type key struct {
		rank int
		base string
		vlan int
	}
	keys := make(map[string]key, len(b.nets))
	for id, n := range b.nets {
		k := key{base: id, vlan: n.VLAN, rank: 20}
		if n.VLAN > 0 {
			k.base, _, _ = cutLast(id, ".")
		}
		switch {
		case n.Kind == "user-mode":
			k.rank = 40
		case n.In(ZoneManagement):
			k.rank = 1
		case n.In(ZoneCluster):
			k.rank = 2
		case n.In(ZoneStorage), n.In(ZoneMigration):
			k.rank = 3
		case n.In(ZoneExternal):
			k.rank = 10
		case n.Kind == "vnet":
			k.rank = 30
		}
		keys[id] = k
		b.g.Networks = append(b.g.Networks, *n)
	}
	slices.SortFunc(b.g.Networks, func(x, y Network) int {
		a, c := keys[x.ID], keys[y.ID]
		if a.rank != c.rank {
			return a.rank - c.rank
		}
		if d := strings.Compare(a.base, c.base); d != 0 {
			return d
		}
		if a.vlan != c.vlan {
			return a.vlan - c.vlan
		}
		return strings.Compare(x.ID, y.ID)
	})
	b.g.network = make(map[string]int, len(b.g.Networks))
	for i := range b.g.Networks {
		b.g.network[b.g.Networks[i].ID] = i
	}
}
