package posture

// TopologyFacts holds the facts of the subject topology: the networks of the cluster, what runs over which, and what the files of the
// cluster say about encryption on the wire. Its findings are those of castellan pve map. A node knows its own interfaces;
// those of its peers only the API tells.
type TopologyFacts struct {
	// Own is true when the interfaces of the node that was read, all guests and SDN were read: what concerns this node is then
	// known, whatever its peers look like. Where the API was asked it is the same as Complete.
	Own Fact[bool] `json:"own"`
	// Complete is true when the interfaces of every member, all guests and SDN were read and every member's management network
	// was found. Unknown otherwise, with what is missing: what was found then is still true, and what was not found says nothing.
	Complete Fact[bool] `json:"complete"`
	// Placed is true when moreover every link of corosync and every storage server was found in a network.
	Placed Fact[bool] `json:"placed"`
	// GuestsRead is true when all guests were read.
	GuestsRead Fact[bool] `json:"guests_read"`
	// Gaps are what could not be read or found, in words.
	Gaps []string `json:"gaps"`
	// HooksRead is true when the commands were read that interfaces of this node run when they come up; PendingRead when it is known whether
	// changes of them wait. Both are files of a node that its peers and the API do not show.
	HooksRead   Fact[bool] `json:"hooks_read"`
	PendingRead Fact[bool] `json:"pending_read"`

	// Findings are what the map marks, by kind; every kind is a key: user-mode, trunk-all, missing-bridge, dual-homed, hidden-nat,
	// pending, pending-sdn, gateways, shared-corosync, management-guests, mixed, vxlan, not-isolated, difference. At most 500 of a kind.
	Findings Fact[map[string][]TopologyFinding] `json:"findings"`
	// Networks are the segments, in the order of drawing.
	Networks Fact[[]TopologyNetwork] `json:"networks"`
	// Zones are the kinds of networks that there are: management, cluster, storage, migration, external, guest. Sorted.
	Zones Fact[[]string] `json:"zones"`
	// Trunks are cards of guests that get tagged frames, templates left out.
	Trunks Fact[[]TopologyTrunk] `json:"trunks"`
	// VNets are the virtual networks of SDN that were applied.
	VNets Fact[[]TopologyVNet] `json:"vnets"`
	// FirewallGuests are guests that look like routers or firewalls: by name or tag, or with a leg in an external network and one in another.
	FirewallGuests Fact[[]string] `json:"firewall_guests"`
	// Members are the nodes with their links of corosync.
	Members Fact[[]TopologyMember] `json:"members"`

	// CorosyncEncrypted is true when members encrypt and authenticate what they tell each other. CorosyncCrypto says with what: "secauth on",
	// "aes256 with sha256", "nothing".
	CorosyncEncrypted Fact[bool]   `json:"corosync_encrypted"`
	CorosyncCrypto    Fact[string] `json:"corosync_crypto"`
	// MigrationType and ReplicationType are secure or insecure; secure unless set, and replication like migration unless set.
	// The networks are CIDRs, empty for the network of the nodes' names.
	MigrationType      Fact[string] `json:"migration_type"`
	MigrationNetwork   Fact[string] `json:"migration_network"`
	ReplicationType    Fact[string] `json:"replication_type"`
	ReplicationNetwork Fact[string] `json:"replication_network"`
	// CephPlain are the sides (cluster, service, client) of Ceph's messenger that ceph.conf does not keep to encryption.
	CephPlain Fact[[]string] `json:"ceph_plain"`
	// Storages are those that are reached over the network and not switched off.
	Storages Fact[[]TopologyStorage] `json:"storages"`
	// Proxy is http_proxy of datacenter.cfg without credentials, empty for none; ProxyHost its host, ProxyCredentials true when it holds some.
	Proxy            Fact[string] `json:"proxy"`
	ProxyHost        Fact[string] `json:"proxy_host"`
	ProxyCredentials Fact[bool]   `json:"proxy_credentials"`

	// Class of the complexity is simple, moderate or complex; Rank is 1, 2 or 3; Points are explained by castellan pve map; Costs are
	// what makes it complex, most costly first.
	Class  Fact[string]   `json:"class"`
	Rank   Fact[int]      `json:"rank"`
	Points Fact[int]      `json:"points"`
	Costs  Fact[[]string] `json:"costs"`
	// Drawing is a short fingerprint of what the map draws (nodes, interfaces, networks, cards): it changes when the drawing does.
	// It is unknown while the map has gaps. Approved would say that somebody agreed to the drawing; it is never known.
	Drawing  Fact[string] `json:"drawing"`
	Approved Fact[bool]   `json:"approved"`
	// Routed would say that routers outside of the cluster join its zones. It is never known: their tables are elsewhere.
	Routed Fact[bool] `json:"routed"`
	// Guarded would say that what is beyond the files of SDN is in order: who reaches UDP 4789, router advertisements, secrets of BGP. It
	// is never known.
	Guarded Fact[bool] `json:"guarded"`
}

// TopologyFinding is something that the map marks.
type TopologyFinding struct {
	Text string `json:"text"`
	// Node, Port, Network, Guest (VMID, 0 for none) and Card are what it is about, as far as they apply. Tags are those of the guest.
	Node    string   `json:"node"`
	Port    string   `json:"port"`
	Network string   `json:"network"`
	Guest   int      `json:"guest"`
	Card    string   `json:"card"`
	Tags    []string `json:"tags"`
}

// TopologyNetwork is one segment: who is in it needs no router to talk to the others in it.
type TopologyNetwork struct {
	ID    string `json:"id"`    // "vmbr1.100"
	Title string `json:"title"` // "vmbr1 VLAN 100"
	Kind  string `json:"kind"`  // bridge, vlan, vnet, host, user-mode
	// Zones are its kinds, the most sensitive first.
	Zones  []string `json:"zones"`
	Guests int      `json:"guests"`
	// HostAddresses are addresses of nodes in it: "pve1 vmbr3 172.20.0.1/24".
	HostAddresses []string `json:"host_addresses"`
}

// TopologyTrunk is a card that gets tagged frames.
type TopologyTrunk struct {
	Guest int      `json:"guest"`
	Tags  []string `json:"tags"`
	Name  string   `json:"name"` // "vm 111 net0"
	// All is true when the card gets every VLAN because neither tag nor trunks is set; VLANs is how many it gets.
	All   bool `json:"all"`
	VLANs int  `json:"vlans"`
}

// TopologyVNet is a virtual network of SDN.
type TopologyVNet struct {
	Name     string `json:"name"`
	Alias    string `json:"alias"`
	Zone     string `json:"zone"`
	ZoneType string `json:"zone_type"` // simple, vlan, qinq, vxlan, evpn
	Guests   int    `json:"guests"`
	// Isolated is isolate-ports: guests on one node do not reach each other.
	Isolated bool `json:"isolated"`
	// Plain is true when its frames travel between nodes in VXLAN without WireGuard of SDN below it.
	Plain bool `json:"plain"`
	// Firewall is true when the firewall of the vnet is switched on (sdn/firewall/VNET.fw).
	Firewall Fact[bool] `json:"firewall"`
}

// TopologyMember is a node with its links of corosync.
type TopologyMember struct {
	Node  string `json:"node"`
	Links int    `json:"links"`
	// Networks is in how many networks they are.
	Networks Fact[int] `json:"networks"`
}

// TopologyStorage is a storage that is reached over the network.
type TopologyStorage struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Server string `json:"server"`
	Line   int    `json:"line"` // of storage.cfg
	// Plain is true when storage.cfg asks neither for authentication nor encryption: NFS without sec=krb5, CIFS without seal or sec=krb5.
	Plain bool `json:"plain"`
	// Protected is Plain turned round. Unknown for types of which storage.cfg does not tell, as iSCSI, whose CHAP is set up elsewhere.
	Protected Fact[bool] `json:"protected"`
	// Routed is true when a node reaches it through its gateway, SharesGuests when it is in a network with guests.
	Routed       bool `json:"routed"`
	SharesGuests bool `json:"shares_guests"`
}
