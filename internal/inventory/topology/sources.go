package topology

import (
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
	return nil, nil
}

// migrationNetwork is the network of datacenter.cfg; "" when none is named.
func migrationNetwork(c *inventory.Cluster) (cidr string, known bool) {
	return "", false
}

// cephNetwork is one of the networks of ceph.conf.
type cephNetwork struct {
	role     Role
	cidr     string
	evidence string
}

func cephNetworks(c *inventory.Cluster) []cephNetwork { return nil }
