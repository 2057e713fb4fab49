package topology

import (
	"fmt"

	"github.com/castellan-project/castellan/internal/inventory"
)

// store is a storage that is reached over the network.
type store struct {
	id       string
	servers  []string
	nodes    []string
	evidence string
}

// stores are the storages with a server, those that are disabled left out.
func stores(c *inventory.Cluster) ([]store, error) {
	cfg, err := c.Storages.Get()
	if err != nil || cfg == nil {
		return nil, err
	}
	var out []store
	for i := range cfg.Storages {
		s := &cfg.Storages[i]
		if s.Disabled || s.Server == "" {
			continue
		}
		out = append(out, store{s.ID, []string{s.Server}, s.Nodes, fmt.Sprintf("storage.cfg:%d", s.Line)})
	}
	return out, nil
}

// migrationNetwork is the network of datacenter.cfg; "" when none is named.
func migrationNetwork(c *inventory.Cluster) (cidr string, known bool) {
	cfg, err := c.Datacenter.Get()
	if err != nil || cfg == nil {
		return "", false
	}
	return cfg.Migration().Network, true
}

// cephNetwork is one of the networks of ceph.conf.
type cephNetwork struct {
	role     Role
	cidr     string
	evidence string
}

func cephNetworks(c *inventory.Cluster) []cephNetwork {
	cfg, err := c.Ceph.Get()
	if err != nil || cfg == nil || c.Ceph.Absent {
		return nil
	}
	var out []cephNetwork
	for _, n := range cfg.PublicNetworks() {
		out = append(out, cephNetwork{CephPublic, n, "public_network in ceph.conf"})
	}
	for _, n := range cfg.ClusterNetworks() {
		out = append(out, cephNetwork{CephCluster, n, "cluster_network in ceph.conf"})
	}
	return out
}
