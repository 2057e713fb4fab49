package reach

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// Named lists the aliases and ipsets that a question about a guest may use for its answer, ipsets first; vmid 0 is for the
// node, for which those of cluster.fw count.
func Named(c *inventory.Cluster, vmid int) []Name {
	var cluster, local *firewall.File
	if c.Firewall.Known() {
		cluster = c.Firewall.Value
	}
	if g, ok := c.Guest(vmid); ok && vmid != 0 && g.Firewall.Known() {
		local = g.Firewall.Value
	}
	var sets, aliases []Name
	for _, x := range []struct {
		scope string
		file  *firewall.File
	}{{"guest/", local}, {"dc/", cluster}} {
		if x.file == nil {
			continue
		}
		for i := range x.file.IPSets {
			s := &x.file.IPSets[i]
			if last, _ := x.file.IPSet(s.Name); last == s {
				sets = append(sets, Name{"+" + x.scope + s.Name, members(s, local, cluster)})
			}
		}
		for i := range x.file.Aliases {
			a := &x.file.Aliases[i]
			if p, ok := firewall.CIDR(a.CIDR); ok {
				aliases = append(aliases, Name{x.scope + a.Name, netset.Prefix(p)})
			}
		}
	}
	return append(append(sets, aliases...), nodeNames(c)...)
}

// nodeNames are the nodes with their addresses.
func nodeNames(c *inventory.Cluster) []Name {
	var out []Name
	for _, n := range c.Nodes {
		var sets []netset.Addrs
		for _, text := range n.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				sets = append(sets, netset.Addr(a.Unmap().WithZone("")))
			}
		}
		if len(sets) > 0 {
			out = append(out, Name{n.Name, netset.Join(sets...)})
		}
	}
	return out
}

// smurfs are the sources that the option nosmurfs is about.
const smurfs = "broadcast and multicast addresses"

// builtIn are the sets that the firewall makes by itself, as its steps show them: what counts as a source that no honest
// packet has, and the ipset management with the local network.
func builtIn(n *filter.Network) []Name {
	var out []Name
	outside := filter.Endpoint{Kind: filter.Outside}
	for _, family := range []int{4, 6} {
		stages := n.Path(outside, filter.Endpoint{Kind: filter.Host}, family)
		if nics := n.NICs(); len(stages) == 0 && len(nics) > 0 {
			stages = n.Path(outside, filter.Endpoint{Kind: filter.GuestNIC, VMID: nics[0].VMID, Net: nics[0].Net, Iface: nics[0].Bridge}, family)
		}
		for _, s := range stages {
			for i := range s.Steps {
				switch st := &s.Steps[i]; {
				case len(st.Match) == 0:
				case strings.HasPrefix(st.Why.Rule, "smurfs"):
					out = append(out, Name{smurfs, st.Match[0].Source})
				case strings.HasPrefix(st.Why.Rule, "management: tcp 8006"):
					out = append(out, Name{"+dc/management with the local network", st.Match[0].Source})
				}
			}
		}
	}
	return out
}

// members are the addresses of an ipset. As in the kernel, the most specific entry decides, so that an exception cuts a hole
// into a larger network and a still smaller network fills a part of it (ipset(8), nomatch).
func members(s *firewall.IPSet, local, cluster *firewall.File) netset.Addrs {
	type entry struct {
		set  netset.Addrs
		bits int
		not  bool
	}
	var entries []entry
	for _, e := range s.Entries {
		text := e.CIDR
		if e.Error != "" {
			continue
		}
		if e.Alias {
			scope, name := firewall.AliasName(e.CIDR)
			a, ok := local.Alias(name)
			if !ok || scope == "dc/" {
				a, ok = cluster.Alias(name)
			}
			if !ok {
				continue
			}
			text = a.CIDR
		}
		if p, ok := firewall.CIDR(text); ok {
			entries = append(entries, entry{netset.Prefix(p), p.Bits(), e.NoMatch})
		}
	}
	plain := !slices.ContainsFunc(entries, func(e entry) bool { return e.not })
	if plain {
		sets := make([]netset.Addrs, 0, len(entries))
		for _, e := range entries {
			sets = append(sets, e.set)
		}
		return netset.Join(sets...)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.bits, b.bits) })
	var out netset.Addrs
	for from := 0; from < len(entries); {
		to := from
		var in, not []netset.Addrs
		for ; to < len(entries) && entries[to].bits == entries[from].bits; to++ {
			if entries[to].not {
				not = append(not, entries[to].set)
			} else {
				in = append(in, entries[to].set)
			}
		}
		out = out.Union(netset.Join(in...)).Minus(netset.Join(not...))
		from = to
	}
	return out
}
