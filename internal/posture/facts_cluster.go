package posture

// ClusterFacts holds the facts of the subject cluster: membership, high availability, replication and what Ceph's file says.
type ClusterFacts struct {
	// Standalone is true when the node is in no cluster.
	Standalone Fact[bool]   `json:"standalone"`
	Name       Fact[string] `json:"name"`
	// Members are the nodes of corosync.conf; of a standalone node itself.
	Members Fact[[]string] `json:"members"`
	// Leftovers are traces of nodes that are no members: directories, host keys, authorized keys. A removed node that comes back, or
	// whoever has its disk, is let in by them.
	Leftovers Fact[[]string] `json:"leftovers"`
	// Missing are members without a directory in /etc/pve/nodes.
	Missing Fact[[]string] `json:"missing"`
	// Quorate and Offline are what the cluster file system says now, on a running node only.
	Quorate Fact[bool]     `json:"quorate"`
	Offline Fact[[]string] `json:"offline"`
	// Votes is the sum of all nodes' votes, QDevice true when an arbiter outside of the cluster votes.
	Votes   Fact[int]  `json:"votes"`
	QDevice Fact[bool] `json:"qdevice"`

	// Deviations are settings in /etc/pve that are not the same for all nodes, as "enable of host.fw: pve1 1, pve3 0".
	Deviations Fact[[]string] `json:"deviations"`
	// Compared is true when the results of all nodes were compared; one node alone never knows.
	Compared Fact[bool] `json:"compared"`

	// HAGuests are guests that high availability manages, as "vm 101".
	HAGuests Fact[[]string] `json:"ha_guests"`
	// HAStuck are those of them that cannot start on another node, with why.
	HAStuck Fact[[]EstateNote] `json:"ha_stuck"`
	// HAFaults are lines of ha/*.cfg that PVE does not accept and resources of guests that do not exist.
	HAFaults Fact[[]string] `json:"ha_faults"`
	// Fencing is the method of datacenter.cfg (watchdog unless set), Watchdog the kernel module (softdog unless set), MaskedUnits the
	// services that fencing needs and that are masked.
	Fencing     Fact[string]   `json:"fencing"`
	Watchdog    Fact[string]   `json:"watchdog"`
	MaskedUnits Fact[[]string] `json:"masked_units"`

	// Replications is the number of replication jobs, ReplicationFaults those that are switched off, or whose guest or target does
	// not exist.
	Replications      Fact[int]          `json:"replications"`
	ReplicationFaults Fact[[]EstateNote] `json:"replication_faults"`

	// Ceph is true when the cluster has a ceph.conf. The defaults of new pools and what daemons have to prove follow. Pools are those that
	// exist, with their sizes; only Ceph itself knows them, through the API.
	Ceph        Fact[bool]       `json:"ceph"`
	PoolSize    Fact[int]        `json:"pool_size"`
	PoolMinSize Fact[int]        `json:"pool_min_size"`
	CephAuth    Fact[[]string]   `json:"ceph_auth"` // sides that need not prove anything: cluster, service, client
	Pools       Fact[[]CephPool] `json:"pools"`
}

// CephPool is one pool.
type CephPool struct {
	Name string `json:"name"`
	// Size is how many copies there are, MinSize how many a write needs.
	Size    int `json:"size"`
	MinSize int `json:"min_size"`
}
