package posture

// FirewallFacts holds the facts of the subject firewall: the PVE firewall of cluster, nodes and guests, with PVE's own
// defaults, and what follows from the rules. Where a node has chosen nftables, its facts are those of proxmox-firewall; a
// scan may ask for another backend (scan --backend).
type FirewallFacts struct {
	// Enabled is the switch of the whole cluster (cluster.fw, "enable: 1"). Off unless it is set: then nothing filters.
	Enabled Fact[bool] `json:"enabled"`
	// EnableValue is the number behind enable. A number above 1 is a time: pve-firewall counts it as on for 60 seconds.
	EnableValue Fact[int] `json:"enable_value"`
	// PolicyIn, PolicyOut and PolicyForward are what happens to packets that no rule of nodes names: ACCEPT, DROP or REJECT.
	PolicyIn      Fact[string] `json:"policy_in"`      // DROP unless set
	PolicyOut     Fact[string] `json:"policy_out"`     // ACCEPT unless set
	PolicyForward Fact[string] `json:"policy_forward"` // ACCEPT unless set; nftables only
	Ebtables      Fact[bool]   `json:"ebtables"`       // filter of the link layer; on unless switched off; iptables only
	// LogRateLimit is false when the number of log lines is not bounded.
	LogRateLimit Fact[bool] `json:"log_rate_limit"`
	// Management are the entries of the ipset management, from which the web interface, SSH and consoles of nodes are
	// reached without a rule. Empty when there is no such ipset.
	Management Fact[[]FirewallNet] `json:"management"`
	// LocalNetwork is the alias local_network, empty when the firewall finds the network of each node by itself.
	LocalNetwork Fact[string] `json:"local_network"`
	// Blacklist is the number of entries of the ipset blacklist.
	Blacklist Fact[int] `json:"blacklist"`
	// Nodes are the members of the cluster.
	Nodes Fact[[]FirewallNode] `json:"nodes"`
	// Guests are the virtual machines and containers, templates included.
	Guests Fact[[]FirewallGuest] `json:"guests"`
	// Cards are the network cards of guests.
	Cards Fact[[]FirewallCard] `json:"cards"`
	// Rules are the rules of cluster, nodes and vnets, and those of security groups once, in the order of files and lines. The
	// rules of guests may be very many and are not listed.
	Rules Fact[[]FirewallRule] `json:"rules"`
	// Faults are lines that do not do what they seem to.
	Faults Fact[[]FirewallFault] `json:"faults"`
	// Exposures say who reaches the ports of nodes that matter, one for each node, backend and port.
	Exposures Fact[[]FirewallExposure] `json:"exposures"`
	// LimitsHere are the services (of Exposures) of the node that was scanned which the PVE firewall limits to some sources:
	// it is on, it runs, and not everyone gets through. Sorted.
	LimitsHere Fact[[]string] `json:"limits_here"`
	// OtherFilter is false when nothing but the PVE firewall is set up to filter packets on the node that was scanned, and
	// unknown when something is, because what it lets through is not evaluated.
	OtherFilter Fact[bool] `json:"other_filter"`
}

// FirewallNet is a set of addresses as it is written, with what it means.
type FirewallNet struct {
	// Text is the entry: "10.0.0.0/8" or the alias "dc/office".
	Text string `json:"text"`
	// CIDR is what it stands for, empty when an alias does not exist.
	CIDR string `json:"cidr"`
	// Bits is the length of the prefix, IPv6 true for IPv6.
	Bits int  `json:"bits"`
	IPv6 bool `json:"ipv6"`
	// Public is true when addresses of the internet are in it.
	Public bool `json:"public"`
	// Not is true for an exception (nomatch).
	Not  bool   `json:"not"`
	Line string `json:"line"` // "cluster.fw:23"
}

// FirewallNode is the firewall of a node.
type FirewallNode struct {
	Name string `json:"name"`
	// Here is true for the node that the files were read on.
	Here bool `json:"here"`
	// Backends are the programs that are judged: what host.fw chooses, or what the scan was asked for.
	Backends Fact[[]string] `json:"backends"`
	// NFTables is what host.fw says.
	NFTables Fact[bool] `json:"nftables"`
	// Enabled is the switch of the node; on unless host.fw says 0.
	Enabled Fact[bool] `json:"enabled"`
	// Service is true when the program that host.fw chooses runs, or will after boot. Without it nothing filters.
	Service Fact[bool] `json:"service"`
	// ServiceOff is true when it is known not to run. A scan of one node does not know about the others.
	ServiceOff bool `json:"service_off"`
	// The options of host.fw.
	NoSmurfs         Fact[bool]   `json:"nosmurfs"`
	TCPFlags         Fact[bool]   `json:"tcpflags"`
	NDP              Fact[bool]   `json:"ndp"`
	SynFlood         Fact[bool]   `json:"synflood"`
	SynFloodRate     Fact[int]    `json:"synflood_rate"` // packets a second and source
	ConntrackMax     Fact[int]    `json:"conntrack_max"`
	ConntrackInvalid Fact[bool]   `json:"conntrack_invalid"` // invalid packets are let through
	LogIn            Fact[string] `json:"log_in"`
	LogOut           Fact[string] `json:"log_out"`
	// LocalNetworks are the networks that count as management without being named: local_network.
	LocalNetworks Fact[[]FirewallNet] `json:"local_networks"`
}

// FirewallGuest is the firewall of a guest.
type FirewallGuest struct {
	ID    int    `json:"id"`
	Title string `json:"title"` // "vm 100" or "ct 200"
	Node  string `json:"node"`
	// NFTables is true when the node of the guest has chosen nftables.
	NFTables bool `json:"nftables"`
	// Template is true for a template, which never runs.
	Template Fact[bool] `json:"template"`
	// File is true when there is a file VMID.fw.
	File bool `json:"file"`
	// The options of VMID.fw.
	Enabled   Fact[bool]   `json:"enabled"` // off unless set
	PolicyIn  Fact[string] `json:"policy_in"`
	PolicyOut Fact[string] `json:"policy_out"`
	MACFilter Fact[bool]   `json:"macfilter"`
	IPFilter  Fact[bool]   `json:"ipfilter"`
	DHCP      Fact[bool]   `json:"dhcp"`
	NDP       Fact[bool]   `json:"ndp"`
	RADV      Fact[bool]   `json:"radv"`
	// Undocumented are the rules ("100.fw:12") with bare addresses and without a comment.
	Undocumented Fact[[]string] `json:"undocumented"`
}

// FirewallCard is a network card of a guest.
type FirewallCard struct {
	Guest  int    `json:"guest"`
	Name   string `json:"name"`  // "net0"
	Title  string `json:"title"` // "vm 100 net0"
	Node   string `json:"node"`
	Bridge string `json:"bridge"`
	// Template is true for a card of a template.
	Template bool `json:"template"`
	// Flag is firewall=1 of the card.
	Flag bool `json:"flag"`
	// Filtered is true when all four switches are on: cluster, guest, card, and the program on the node. Missing names
	// the first one that is not.
	Filtered Fact[bool]   `json:"filtered"`
	Missing  Fact[string] `json:"missing"`
	// IPFilterSet is true when there is an ipset ipfilter-netN; IPFilter when the source addresses of this card are checked.
	IPFilterSet Fact[bool] `json:"ipfilter_set"`
	IPFilter    Fact[bool] `json:"ipfilter"`
}

// FirewallRule is one rule.
type FirewallRule struct {
	File  string `json:"file"` // "cluster.fw"
	Line  int    `json:"line"`
	Where string `json:"where"` // "cluster.fw:23"
	Text  string `json:"text"`
	// Scope is cluster, host, vnet or group; Owner the node, the vnet or the group.
	Scope     string `json:"scope"`
	Owner     string `json:"owner"`
	Enabled   bool   `json:"enabled"`
	Direction string `json:"direction"` // IN, OUT, FORWARD, GROUP
	Action    string `json:"action"`    // ACCEPT, DROP, REJECT, empty for GROUP
	Macro     string `json:"macro"`
	Group     string `json:"group"` // the group that a GROUP rule calls
	Interface string `json:"interface"`
	Source    string `json:"source"`
	Dest      string `json:"dest"`
	Proto     string `json:"proto"`
	DPort     string `json:"dport"`
	SPort     string `json:"sport"`
	ICMPType  string `json:"icmp_type"`
	Log       string `json:"log"`
	Comment   string `json:"comment"`
	// Valid is false when the rule is skipped.
	Valid bool `json:"valid"`
	// Any is true for a rule that names neither addresses nor protocol nor ports.
	Any bool `json:"any"`
	// AdminPorts are those of 22, 8006, 3128 and 5900 to 5999 (as "5900:5999") that the rule speaks of.
	AdminPorts []string `json:"admin_ports"`
	// Nodes is true for a rule of the cluster or a node, or of a group that such a rule calls.
	Nodes bool `json:"nodes"`
	// Literal is true when the rule names addresses as numbers and not by alias or ipset.
	Literal bool `json:"literal"`
}

// FirewallFault is a line or name that does not do what it seems to, as castellan pve lint finds it.
type FirewallFault struct {
	// Code is one of the codes of castellan pve lint, which are stable: rule-skipped, group-kills-guest, case-mismatch ...
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Where    string `json:"where"` // "103.fw:7"
	// Owner is the node or guest ("vm 100") that it concerns, empty for the whole cluster.
	Owner string `json:"owner"`
	Guest int    `json:"guest"` // VMID of that guest, else 0
	Text  string `json:"text"`
	// IPTables and NFTables say what each of the two programs makes of it: none (what it says), fail-open (more gets
	// through than it says), fail-closed (less does), node-abort (the rules of the node are not updated any more, and none
	// are loaded at boot), no-effect.
	IPTables string `json:"iptables"`
	NFTables string `json:"nftables"`
	// Effect is the worst of the two among the programs that the nodes concerned use.
	Effect string `json:"effect"`
	// Name is how it is shown: "103.fw:7 unknown action ...".
	Name string `json:"name"`
}

// FirewallExposure says who reaches a port of a node.
type FirewallExposure struct {
	Node    string `json:"node"`
	Here    bool   `json:"here"`
	Backend string `json:"backend"`
	Proto   string `json:"proto"` // tcp, udp
	Port    string `json:"port"`  // "8006", "5900:5999": the whole range counts as reached when one of it is
	// Service is what listens there: ssh, web, spice, console, rpcbind, smtp, migration, corosync.
	Service string `json:"service"`
	// Scope4 and Scope6 say from how far it is reached: nobody, nodes (only networks that the nodes are in), management (beyond them only the management
	// ipset), private, public (addresses of the internet as well) or everyone; for IPv4 and IPv6.
	Scope4 Fact[string] `json:"scope4"`
	Scope6 Fact[string] `json:"scope6"`
	// Public and Everyone are true when that holds for either family.
	Public   Fact[bool] `json:"public"`
	Everyone Fact[bool] `json:"everyone"`
	// Wider6 is true when IPv6 reaches it from a wider scope than IPv4.
	Wider6 Fact[bool] `json:"wider6"`
	// Sources are the addresses that reach it, at most 20 prefixes or ranges.
	Sources Fact[[]string] `json:"sources"`
	// BeyondNodes are those of Sources outside of the networks that the nodes themselves are in.
	BeyondNodes Fact[[]string] `json:"beyond_nodes"`
	// Beyond says BeyondNodes shortly: "everyone", or the first of them.
	Beyond Fact[string] `json:"beyond"`
	// Rules are what lets them in: "cluster.fw:31", "management", "no firewall".
	Rules Fact[[]string] `json:"rules"`
	// Name is how it is shown: "pve1 tcp 8006".
	Name string `json:"name"`
}
