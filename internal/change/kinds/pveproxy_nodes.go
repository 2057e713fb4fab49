package kinds

import (
	"fmt"
	"slices"

	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

// Files that name the members of a cluster; the second copy of corosync.conf is there when /etc/pve is not mounted.
const (
	corosyncCluster = "/etc/pve/corosync.conf"
	corosyncLocal   = "/etc/corosync/corosync.conf"
	membersFile     = "/etc/pve/.members"
)

// nodeAddresses are the addresses of all members of the cluster that the host belongs to, those of every corosync link and of
// management, sorted; none for a host that is in no cluster. A member whose address is not known is an error: whoever lets only
// known addresses in would cut it off.
func nodeAddresses(r host.Reader) ([]string, error) {
	conf, err := r.ReadFile(corosyncCluster)
	if host.NotExist(err) {
		conf, err = r.ReadFile(corosyncLocal)
	}
	if host.NotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the members of the cluster: %w", err)
	}
	text, err := r.ReadFile("/etc/hosts")
	if err != nil && !host.NotExist(err) {
		return nil, fmt.Errorf("cannot read the addresses of the nodes: %w", err)
	}
	names := hosts.Parse(text)
	found := map[string][]string{}
	add := func(node, address string) {
		for _, a := range addressesOf(address, names) {
			if !slices.Contains(found[node], a) {
				found[node] = append(found[node], a)
			}
		}
	}
	parsed := corosync.Parse(conf)
	for _, n := range parsed.Nodes {
		for _, a := range append(slices.Clone(n.Addresses), n.Name) {
			add(n.Name, a)
		}
	}
	if b, err := r.ReadFile(membersFile); err == nil {
		if m, err := corosync.ParseMembers(b); err == nil {
			for _, n := range m.Nodes {
				add(n.Name, n.Address)
			}
		}
	}
	if model, err := inventory.Read(r, 0); err == nil {
		for _, n := range model.Nodes {
			for _, a := range n.Addresses {
				add(n.Name, a)
			}
		}
	}
	var out []string
	for _, n := range parsed.Nodes {
		if len(found[n.Name]) == 0 {
			return nil, fmt.Errorf("no address is known for the member %s: corosync.conf names a host that /etc/hosts does not resolve", n.Name)
		}
	}
	for _, list := range found {
		out = append(out, list...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
