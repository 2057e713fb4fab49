package kinds

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

// cluster is what SSH between the nodes of a cluster needs to know.
type cluster struct {
	member bool
	// addresses are those of every node, this one included: of all rings, and those by which pmxcfs and /etc/hosts know them. Sorted.
	addresses []string
	// problem says why the addresses are not known.
	problem string
}

// readCluster reads which nodes there are. A file that cannot be read is an error, never "no cluster".
func readCluster(d *change.Draft) (cluster, error) {
	b, there, err := d.Content("/etc/pve/corosync.conf")
	if err == nil && !there {
		b, there, err = d.Content("/etc/corosync/corosync.conf")
	}
	if err != nil || !there {
		return cluster{}, err
	}
	c := cluster{member: true}
	text, _, err := d.Content("/etc/hosts")
	if err != nil {
		return c, err
	}
	names := hosts.Parse(text)
	conf := corosync.Parse(b)
	members, err := clusterMembers(d)
	if err != nil {
		return c, err
	}
	if len(conf.Nodes) == 0 {
		c.problem = "corosync.conf names no node"
	}
	for _, n := range conf.Nodes {
		found := 0
		for _, a := range append(slices.Clone(n.Addresses), members[strings.ToLower(n.Name)], n.Name) {
			known := addressesOf(a, names)
			c.addresses = append(c.addresses, known...)
			found += len(known)
		}
		for _, a := range n.Addresses {
			if len(addressesOf(a, names)) == 0 {
				c.problem = "corosync.conf gives the node " + n.Name + " the address " + oneWord(a) + ", which /etc/hosts does not know"
			}
		}
		if found == 0 {
			c.problem = "corosync.conf gives the node " + oneWord(n.Name) + " no address"
		}
	}
	slices.Sort(c.addresses)
	c.addresses = slices.Compact(c.addresses)
	return c, c.migration(d, len(conf.Nodes))
}

// clusterMembers gives the address by which pmxcfs knows each node; none on a copy without it.
func clusterMembers(d *change.Draft) (map[string]string, error) {
	out := map[string]string{}
	b, there, err := d.Content("/etc/pve/.members")
	if err != nil || !there {
		return out, err
	}
	m, err := corosync.ParseMembers(b)
	if err != nil {
		return out, nil //nolint:nilerr // the rings of corosync.conf name every node as well
	}
	for _, n := range m.Nodes {
		out[strings.ToLower(n.Name)] = n.Address
	}
	return out, nil
}

// migration notes when migrations run in a network of which the nodes' addresses are not known here (datacenter.cfg, migration).
func (c *cluster) migration(d *change.Draft, nodes int) error {
	b, _, err := d.Content("/etc/pve/datacenter.cfg")
	if err != nil {
		return err
	}
	for _, l := range host.Lines(b) {
		rest, ok := strings.CutPrefix(l, "migration:")
		if !ok {
			continue
		}
		for _, o := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' }) {
			v, ok := strings.CutPrefix(o, "network=")
			if !ok {
				continue
			}
			if c.inside(v) < nodes {
				c.problem = "migrations run in the network " + oneWord(v) + " (datacenter.cfg), where the addresses of the nodes are not known here; " +
					"add the nodes with their addresses there to /etc/hosts"
			}
		}
	}
	return nil
}

// inside counts the addresses of nodes in a network; 0 for one that cannot be read.
func (c *cluster) inside(network string) int {
	net, err := netip.ParsePrefix(network)
	n := 0
	for _, a := range c.addresses {
		if addr, e := netip.ParseAddr(a); err == nil && e == nil && net.Contains(addr) {
			n++
		}
	}
	return n
}

// addressesOf are the addresses of a name or address; those of one link only, which have a zone, name no machine to others.
func addressesOf(s string, names hosts.Table) []string {
	var out []string
	for _, a := range names.Resolve(s) {
		if a.Zone() == "" {
			out = append(out, a.String())
		}
	}
	return out
}

// oneWord makes a word of a file fit for a message.
func oneWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
