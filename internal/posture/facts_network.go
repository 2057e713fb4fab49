package posture

// NetworkFacts holds the facts of the subject network: how the host is connected, from the interface configuration and
// on a live host from the kernel. Controls of other subjects ask it whether a host must forward packets, uses IPv6 or
// has several legs, because there the usual hardening values would break it.
type NetworkFacts struct {
	// Interfaces are the interfaces that are configured (/etc/network/interfaces with what it includes) or, on a live
	// host, present, sorted by name. Interfaces of guests (tap, veth, fwbr ...) are left out.
	Interfaces Fact[[]NetInterface] `json:"interfaces"`
	// RoutingReasons says why this host must forward packets, one sentence each: SDN zones that route, masquerading in
	// the interface configuration, source NAT of SDN subnets, routed guests. An empty list means that no need was found.
	RoutingReasons Fact[[]string] `json:"routing_reasons"`
	// DefaultRoutes are the default routes, those of the kernel on a live host, else those configured.
	DefaultRoutes Fact[[]NetRoute] `json:"default_routes"`
	// Addresses are all addresses of the host without prefix length, loopback and link-local ones left out.
	Addresses Fact[[]string] `json:"addresses"`
	// IPv6Addresses are the IPv6 addresses beyond link-local that are configured or in use, without prefix length.
	IPv6Addresses Fact[[]string] `json:"ipv6_addresses"`
	// PublicAddresses are those of Addresses that the internet could route to: not private, shared or
	// otherwise special by the IANA registries. Documentation addresses count as public: nothing else may use them.
	PublicAddresses Fact[[]string] `json:"public_addresses"`
	// ManagementAddress is the address of this host's own name in /etc/hosts, which is the one that PVE uses for
	// itself; without such an entry the first address of the interface with the default route.
	ManagementAddress Fact[string] `json:"management_address"`
	// ManagementPublic is true when ManagementAddress could be routed to from the internet.
	ManagementPublic Fact[bool] `json:"management_public"`
	// MultiHomed is true when more than one interface or bridge has an address: traffic may legitimately arrive by
	// another way than answers leave, which strict reverse path filtering would drop.
	MultiHomed Fact[bool] `json:"multi_homed"`
	// UsesSLAAC is true when an interface gets its IPv6 address or default route from router advertisements.
	UsesSLAAC Fact[bool] `json:"uses_slaac"`
	// PendingChanges is true when /etc/network/interfaces.new exists: changes made in the web interface that were not
	// applied yet and will be at the next boot.
	PendingChanges Fact[bool] `json:"pending_changes"`
	// ParseProblems are lines of the interface configuration that were not understood, as "file:line: why".
	ParseProblems Fact[[]string] `json:"parse_problems"`
	// WireGuard are the WireGuard interfaces that configuration files describe (/etc/wireguard, systemd-networkd).
	WireGuard Fact[[]WireGuardLink] `json:"wireguard"`
	// Nameservers are the addresses in /etc/resolv.conf.
	Nameservers Fact[[]string] `json:"nameservers"`
}

// NetInterface is one interface of the host.
type NetInterface struct {
	Name string `json:"name"`
	// Kind is loopback, physical, bridge, bond, vlan, ovs-bridge, ovs-port, vxlan, wireguard, or other.
	Kind string `json:"kind"`
	// Addresses are in CIDR notation, configured ones first.
	Addresses []string `json:"addresses"`
	// Gateways are the configured next hops.
	Gateways []string `json:"gateways"`
	// Methods are the configuration methods, like "inet static", "inet6 auto", "inet dhcp".
	Methods []string `json:"methods"`
	// BridgePorts are the configured ports of a bridge, or the slaves of a bond.
	BridgePorts []string `json:"bridge_ports"`
	// VLANAware is true for a bridge that keeps VLANs apart.
	VLANAware bool `json:"vlan_aware"`
	// Guests is true when an interface of a guest is attached to this bridge; only known on a live host.
	Guests bool `json:"guests"`
	// Autostart is true when the interface is brought up at boot.
	Autostart bool `json:"autostart"`
	// Up is true when the kernel says that the interface is up; false off-line.
	Up bool `json:"up"`
	// Source is where the interface is configured, "file:line", or "/sys/class/net".
	Source string `json:"source"`
}

// NetRoute is a default route.
type NetRoute struct {
	// Family is inet or inet6.
	Family    string `json:"family"`
	Gateway   string `json:"gateway"`
	Interface string `json:"interface"`
}

// WireGuardLink is a WireGuard interface as configured. Keys never enter it.
type WireGuardLink struct {
	Name       string   `json:"name"`
	File       string   `json:"file"`
	Addresses  []string `json:"addresses"`
	ListenPort int      `json:"listen_port"`
	// FileMode holds the permission bits, for instance 384 (0600); -1 when not known.
	FileMode int `json:"file_mode"`
	// FileExposed is true when others than the owner may read the file (with systemd-networkd's own group allowed for).
	FileExposed bool            `json:"file_exposed"`
	Peers       []WireGuardPeer `json:"peers"`
}

// WireGuardPeer is a peer of a WireGuard interface.
type WireGuardPeer struct {
	// Name is the comment in front of the peer, where there is one.
	Name       string   `json:"name"`
	AllowedIPs []string `json:"allowed_ips"`
	Endpoint   string   `json:"endpoint"`
	// PresharedKey is true when the peer has one; the key itself is never read into a fact.
	PresharedKey bool `json:"preshared_key"`
	// Everything is true when AllowedIPs admit the whole address space.
	Everything bool `json:"everything"`
}
