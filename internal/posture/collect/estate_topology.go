package collect

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/topology"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/sdncfg"
)

// maxTopologyFindings bounds the findings of a kind: more say nothing new.
const maxTopologyFindings = 500

// topologyKinds are the kinds of findings of the map that controls judge.
func topologyKinds() []string {
	return []string{"user-mode", "trunk-all", "missing-bridge", "dual-homed", "hidden-nat", "pending", "pending-sdn", "gateways", "shared-corosync",
		"management-guests", "mixed", "vxlan", "not-isolated", "difference"}
}

// topoView is what the parts of the subject share.
type topoView struct {
	c  *Context
	cl *inventory.Cluster
	g  *topology.Graph
	f  posture.TopologyFacts

	members map[string]bool // nodes of corosync.conf; nil when it names none
	managed map[string]bool // nodes whose management network was found
	// links are the networks of links by node and address; stored are the ways to storages by their id.
	links  map[string]map[string][]string
	stored map[string]posture.TopologyStorage
}

// topologyFacts fills the subject topology.
func topologyFacts(c *Context, cl *inventory.Cluster) posture.TopologyFacts {
	v := &topoView{c: c, cl: cl, g: topology.Build(cl, topology.Options{})}
	v.index()
	v.gaps()
	v.ownFiles()
	v.findings()
	v.networks()
	v.trunks()
	v.vnets()
	v.firewallGuests()
	v.complexity()
	v.wire()
	v.storages()
	v.corosyncLinks()
	never := func(what string) posture.Fact[bool] {
		return posture.Unknown[bool](posture.Problemf("unavailable", "%s", what), "")
	}
	v.f.Approved = never("whether somebody agreed to the drawing, no file says")
	v.f.Routed = never("what routers outside of the cluster join, its files do not say")
	v.f.Guarded = never("who reaches UDP 4789, and what guards BGP and router advertisements, the files of SDN do not say")
	return v.f
}

// index goes once through what runs over the networks.
func (v *topoView) index() {
	if cfg, err := v.cl.Corosync.Get(); err == nil && cfg != nil && len(cfg.Nodes) > 0 {
		v.members = make(map[string]bool, len(cfg.Nodes))
		for _, n := range cfg.Nodes {
			v.members[n.Name] = true
		}
	}
	v.managed, v.links, v.stored = map[string]bool{}, map[string]map[string][]string{}, map[string]posture.TopologyStorage{}
	for i := range v.g.Networks {
		n := &v.g.Networks[i]
		for _, u := range n.Uses {
			switch u.Role {
			case topology.Management:
				v.managed[u.Node] = true
			case topology.Corosync:
				if v.links[u.Node] == nil {
					v.links[u.Node] = map[string][]string{}
				}
				v.links[u.Node][u.Address] = append(v.links[u.Node][u.Address], n.ID)
			case topology.Storage:
				s := v.stored[u.Detail]
				routed := strings.Contains(u.Evidence, "through the gateway")
				s.Routed, s.SharesGuests = s.Routed || routed, s.SharesGuests || n.Guests > 0 && !routed
				v.stored[u.Detail] = s
			}
		}
	}
}

// isMember reports whether a node is in corosync.conf; the directory of a node that was removed may still be there.
func (v *topoView) isMember(node string) bool { return v.members == nil || v.members[node] }

// gaps says what could not be read, and what that leaves open.
func (v *topoView) gaps() {
	var reading, peers, guests, placing []string
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		if !v.isMember(n.Name) {
			continue
		}
		var gap string
		if !n.Known {
			gap = "the interfaces of " + n.Name + " (" + n.Why + ")"
		} else if !v.managed[n.Name] {
			gap = "the management network of " + n.Name
		} else {
			continue
		}
		if v.cl.Here != "" && n.Name != v.cl.Here {
			peers = append(peers, gap)
		} else {
			reading = append(reading, gap)
		}
	}
	if len(v.g.Nodes) == 0 {
		reading = append(reading, "the nodes (there is no directory of a node below /etc/pve/nodes)")
	}
	if _, err := v.cl.SDN.Get(); err != nil {
		reading = append(reading, "SDN ("+err.Error()+")")
	}
	if v.cl.ListErr != nil {
		guests = append(guests, "nodes and guests ("+v.cl.ListErr.Error()+")")
	}
	for _, g := range v.cl.Guests {
		if _, err := g.Config.Get(); err != nil {
			guests = append(guests, "the configuration of "+g.Title()+" ("+err.Error()+")")
		}
	}
	for _, s := range v.g.Unknown { // of links, storages and too many interfaces; the others stand above
		if strings.HasPrefix(s, "the network of corosync link") || strings.HasPrefix(s, "the network of storage") || strings.HasPrefix(s, "the networks of storages") {
			placing = append(placing, s)
		} else if strings.Contains(s, " beyond the first ") {
			reading = append(reading, s)
		}
	}
	if _, err := v.cl.Corosync.Get(); err != nil {
		placing = append(placing, "the links of corosync ("+err.Error()+")")
	}
	v.f.GuestsRead = without(guests)
	v.f.Own = without(slices.Concat(guests, reading))
	v.f.Complete = without(slices.Concat(guests, reading, peers))
	v.f.Gaps = slices.Concat(reading, guests, peers, placing)
	v.f.Placed = without(v.f.Gaps)
	if v.f.Gaps == nil {
		v.f.Gaps = []string{}
	}
	v.f.Gaps = v.f.Gaps[:min(len(v.f.Gaps), maxTopologyFindings)]
}

// without is true when nothing is missing, else unknown.
func without(gaps []string) posture.Fact[bool] {
	if len(gaps) == 0 {
		return posture.Known(true, posture.Configured, "interfaces, guests and files of the cluster")
	}
	more := ""
	if len(gaps) > 1 {
		more = fmt.Sprintf(" and %d more", len(gaps)-1)
	}
	return posture.Unknown[bool](posture.Problemf("unavailable", "not known: %s%s", gaps[0], more), "")
}

// ownFiles says whether the files were read that only a node itself has.
func (v *topoView) ownFiles() {
	err := error(posture.Problemf("unavailable", "the API does not show the commands of interfaces; scan each node"))
	v.f.HooksRead = posture.Unknown[bool](err, "/etc/network/interfaces")
	v.f.PendingRead = posture.Unknown[bool](posture.Problemf("unavailable", "only a node itself knows whether changes of its interfaces wait; scan each node"), "/etc/network/interfaces.new")
	for _, n := range v.cl.Nodes {
		if !n.Here {
			continue
		}
		cfg, err := n.Network.Get()
		switch {
		case err != nil:
			v.f.HooksRead = posture.Unknown[bool](err, n.Network.Path)
		case n.Network.Absent || cfg == nil:
			v.f.HooksRead = posture.Unknown[bool](posture.Problemf("not-found", "%s is not there", n.Network.Path), n.Network.Path)
		case !cfg.FromAPI:
			v.f.HooksRead = configured(true, n.Network.Path)
		}
		if _, err := n.Pending.Get(); err == nil {
			v.f.PendingRead = configured(true, n.Pending.Path)
		} else if !n.Pending.Known() && v.f.HooksRead.IsKnown() {
			v.f.PendingRead = posture.Unknown[bool](err, n.Pending.Path)
		}
	}
}

// findings sorts what the map marks by kind.
func (v *topoView) findings() {
	tags := map[int][]string{}
	for i := range v.g.Guests {
		tags[v.g.Guests[i].ID] = v.g.Guests[i].Tags
	}
	out := map[string][]posture.TopologyFinding{}
	for _, k := range topologyKinds() {
		out[k] = []posture.TopologyFinding{}
	}
	for _, f := range v.g.Findings {
		list, ok := out[f.Kind]
		if !ok || len(list) >= maxTopologyFindings || f.Node != "" && f.Guest == 0 && !v.isMember(f.Node) {
			continue
		}
		text := f.Text
		switch f.Kind {
		case "pending":
			text += " (/etc/network/interfaces.new)"
		case "hidden-nat":
			text = v.hidden(f)
		}
		out[f.Kind] = append(list, posture.TopologyFinding{Text: text, Node: f.Node, Port: f.Port, Network: f.Network, Guest: f.Guest, Card: f.Card, Tags: nonNil(tags[f.Guest])})
	}
	v.f.Findings = configured(out, "the map of the cluster")
}

// maxHook bounds what is shown of the commands of an interface.
const maxHook = 300

// hidden shows the commands of an interface that translate addresses or filter, which the map shortens.
func (v *topoView) hidden(f topology.Finding) string {
	for i := range v.g.Nodes {
		if p, ok := v.g.Nodes[i].Port(f.Port); ok && v.g.Nodes[i].Name == f.Node {
			commands := strings.Join(p.NAT, "; ")
			if len(commands) > maxHook {
				commands = strings.ToValidUTF8(commands[:maxHook], "") + " ..."
			}
			return fmt.Sprintf("%s of %s (%s) runs when it comes up: %s", p.Name, f.Node, p.Source, commands)
		}
	}
	return f.Text
}

func (v *topoView) networks() {
	at := map[string][]string{} // addresses of nodes by network
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		for j := range n.Ports {
			for _, a := range n.Ports[j].Addresses {
				at[n.Ports[j].Network] = append(at[n.Ports[j].Network], n.Name+" "+n.Ports[j].Name+" "+a)
			}
		}
	}
	list, zones := []posture.TopologyNetwork{}, []string{}
	for i := range v.g.Networks {
		n := &v.g.Networks[i]
		out := posture.TopologyNetwork{ID: n.ID, Title: n.Title(), Kind: n.Kind, Zones: []string{}, Guests: n.Guests, HostAddresses: nonNil(at[n.ID])}
		for _, z := range n.Zones {
			out.Zones, zones = append(out.Zones, string(z.Name)), append(zones, string(z.Name))
		}
		list = append(list, out)
	}
	slices.Sort(zones)
	v.f.Networks = configured(list, "the map of the cluster")
	v.f.Zones = configured(slices.Compact(zones), "the map of the cluster")
}

// allVLANs is how many VLANs a card gets for which neither tag nor trunks is set: 2 to 4094 (pve-common PVE/Network.pm).
const allVLANs = 4093

func (v *topoView) trunks() {
	all := map[topology.CardID]bool{}
	for i := range v.g.Guests {
		for _, k := range v.g.Guests[i].Cards {
			all[topology.CardID{Guest: v.g.Guests[i].ID, Key: k.Key}] = k.TrunkAll
		}
	}
	list := []posture.TopologyTrunk{}
	for _, g := range v.cl.Guests {
		cfg, err := g.Config.Get()
		if err != nil || cfg == nil || cfg.On("template") {
			continue
		}
		for _, nic := range cfg.NICs() {
			t := posture.TopologyTrunk{Guest: g.ID, Tags: nonNil(cfg.Tags()), Name: g.Title() + " " + nic.Key, All: all[topology.CardID{Guest: g.ID, Key: nic.Key}]}
			for _, r := range nic.Trunks {
				t.VLANs += max(0, r.Last-r.First+1)
			}
			if t.All {
				t.VLANs = allVLANs
			}
			if t.VLANs > 0 {
				list = append(list, t)
			}
		}
	}
	v.f.Trunks = configured(list, "cards of the guests")
}

// vnets are those that were applied; what a plan says is judged once it runs.
func (v *topoView) vnets() {
	cfg, err := v.cl.SDN.Get()
	if err != nil || cfg == nil {
		v.f.VNets = posture.Unknown[[]posture.TopologyVNet](err, "/etc/pve/sdn")
		return
	}
	nets := map[string]*topology.Network{}
	for i := range v.g.Networks {
		if n := &v.g.Networks[i]; n.SDNZone != "" {
			nets[n.VNet] = n
		}
	}
	fabrics := map[string]string{}
	for _, o := range cfg.Fabrics {
		fabrics[o.ID] = o.Type
	}
	zones := make(map[string]*sdncfg.Zone, len(cfg.Zones))
	for i := range cfg.Zones {
		zones[cfg.Zones[i].ID] = &cfg.Zones[i]
	}
	list := []posture.TopologyVNet{}
	for i := range cfg.VNets {
		vn := &cfg.VNets[i]
		n := nets[vn.ID]
		if n == nil || n.Planned {
			continue
		}
		out := posture.TopologyVNet{Name: vn.ID, Alias: vn.Alias, Zone: vn.Zone, Guests: n.Guests, Isolated: vn.IsolatePorts}
		if z := zones[vn.Zone]; z != nil {
			out.ZoneType, out.Plain = z.Type, z.Tunnels() && fabrics[z.Fabric] != "wireguard"
		}
		out.Firewall = posture.Known(false, posture.Default, "there is no firewall of the vnet")
		if fw, ok := v.cl.VNetFirewalls[vn.ID]; ok && !fw.Absent {
			out.Firewall = flagOf(fw, "enable", "0")
		}
		list = append(list, out)
	}
	v.f.VNets = configured(list, "/etc/pve/sdn/vnets.cfg")
}

// firewallWords name guests that route or filter for others.
func firewallWords() []string {
	return []string{"pfsense", "opnsense", "firewall", "router", "gateway", "vyos", "openwrt", "ipfire", "mikrotik", "sophos", "fortigate"}
}

// firewallGuests are guests that seem to stand between the internet and the others.
func (v *topoView) firewallGuests() {
	if !v.f.GuestsRead.IsKnown() {
		v.f.FirewallGuests = posture.Fact[[]string]{Problem: v.f.GuestsRead.Problem}
		return
	}
	titles := map[int]string{}
	for _, g := range v.cl.Guests {
		titles[g.ID] = g.Title()
	}
	list := []string{}
	for i := range v.g.Guests {
		g := &v.g.Guests[i]
		why := ""
		words := strings.ToLower(g.Name + " " + strings.Join(g.Tags, " "))
		for _, w := range firewallWords() {
			if strings.Contains(words, w) {
				why = "its name or a tag says " + w
			}
		}
		if nets := g.Networks(); why == "" && len(nets) > 1 {
			for _, id := range nets {
				if n, ok := v.g.Network(id); ok && n.In(topology.ZoneExternal) {
					why = "it joins " + n.Title() + " with others"
				}
			}
		}
		if why != "" && !g.Template {
			list = append(list, titles[g.ID]+" "+g.Name+" ("+why+")")
		}
	}
	v.f.FirewallGuests = configured(list, "guests of the cluster")
}

func (v *topoView) complexity() {
	c := v.g.Complexity
	const source = "castellan pve map"
	v.f.Class, v.f.Points = configured(c.Class, source), configured(c.Points, source)
	v.f.Rank = configured(map[string]int{"simple": 1, "moderate": 2, "complex": 3}[c.Class], source)
	costs := []string{}
	for _, x := range c.Costs {
		costs = append(costs, fmt.Sprintf("%d points: %d %s", x.Points, x.Count, x.What))
	}
	v.f.Costs = configured(costs, source)
	v.f.Drawing = configured(v.fingerprint(), source)
	if !v.f.Placed.IsKnown() {
		v.f.Drawing = posture.Fact[string]{Problem: v.f.Placed.Problem}
	}
}

// fingerprint is a hash over what is drawn, in a fixed order; notes and states of the firewall are not part of it.
func (v *topoView) fingerprint() string {
	var lines []string
	for i := range v.g.Nodes {
		n := &v.g.Nodes[i]
		for j := range n.Ports {
			p := &n.Ports[j]
			lines = append(lines, fmt.Sprintf("port %q %q %q %q %q %q", n.Name, p.Name, p.Kind, p.Over, p.Addresses, p.Network))
		}
	}
	for i := range v.g.Networks {
		n := &v.g.Networks[i]
		var zones []string
		for _, z := range n.Zones {
			zones = append(zones, string(z.Name))
		}
		lines = append(lines, fmt.Sprintf("network %q %q %q %q", n.ID, n.Subnets, zones, n.Nodes))
	}
	for i := range v.g.Guests {
		g := &v.g.Guests[i]
		for _, k := range g.Cards {
			lines = append(lines, fmt.Sprintf("card %d %q %q %q", g.ID, k.Key, k.Network, k.Trunk))
		}
	}
	slices.SortFunc(lines, cmp.Compare[string])
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}
