package kinds

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
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
	hosts, _, err := d.Content("/etc/hosts")
	if err != nil {
		return c, err
	}
	names := hostNames(hosts)
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

func addressesOf(s string, names map[string][]string) []string {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return []string{a.Unmap().String()}
	}
	return names[strings.ToLower(s)]
}

// hostNames reads /etc/hosts: names in lower case to addresses, without loopback.
func hostNames(b []byte) map[string][]string {
	out := map[string][]string{}
	for _, l := range host.Lines(b) {
		l, _, _ = strings.Cut(l, "#")
		f := strings.Fields(l)
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil || a.IsLoopback() || a.Zone() != "" {
			continue
		}
		for _, n := range f[1:] {
			out[strings.ToLower(n)] = append(out[strings.ToLower(n)], a.Unmap().String())
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
