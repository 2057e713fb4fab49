package posture

// OS holds the facts of the subject os: which system this is, and which role it has in a Proxmox VE cluster.
type OS struct {
	ID       Fact[string] `json:"id"`       // "debian", from os-release
	Version  Fact[string] `json:"version"`  // "12"; empty on testing
	Codename Fact[string] `json:"codename"` // "bookworm"
	Hostname Fact[string] `json:"hostname"`
	Arch     Fact[string] `json:"arch"` // dpkg's name: "amd64"

	// PVE is true on a Proxmox VE node (pve-manager is installed).
	PVE Fact[bool] `json:"pve"`
	// PVEVersion is the version of pve-manager ("8.4.1"), empty when this is no node.
	PVEVersion Fact[string] `json:"pve_version"`
	// PVEMajor is 8 or 9, and 0 when this is no node.
	PVEMajor Fact[int] `json:"pve_major"`
	// Cluster is true for a member of a cluster: a corosync configuration exists.
	Cluster Fact[bool] `json:"cluster"`
	// ClusterName is the name of the cluster, empty on a standalone node.
	ClusterName Fact[string] `json:"cluster_name"`
	// Nodes are the members of the cluster, this one included; empty on a standalone node.
	Nodes Fact[[]ClusterNode] `json:"nodes"`
	// NodeAddresses are all addresses of all members: corosync rings and those in .members.
	NodeAddresses Fact[[]string] `json:"node_addresses"`
	// Quorate is pmxcfs's own word on quorum; not available off-line.
	Quorate Fact[bool] `json:"quorate"`
}

// ClusterNode is a member of the cluster.
type ClusterNode struct {
	Name      string   `json:"name"`
	ID        int      `json:"id"`
	Addresses []string `json:"addresses"`
	Online    bool     `json:"online"`
}
