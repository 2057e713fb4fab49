package firewall

//table: ICMP types by name

// ICMPType is a type of ICMP or ICMPv6 with a code; Code is -1 for every code, Type -1 for every type.
type ICMPType struct{ Type, Code int }

// icmpTypes are the names that iptables knows (iptables -p icmp -h) and PVE accepts.
var icmpTypes = map[string]ICMPType{
	"any":        {-1, -1},
	"echo-reply": {0, -1},

	"destination-unreachable": {3, -1}, "network-unreachable": {3, 0}, "host-unreachable": {3, 1}, "protocol-unreachable": {3, 2},
	"port-unreachable": {3, 3}, "fragmentation-needed": {3, 4}, "source-route-failed": {3, 5}, "network-unknown": {3, 6},
	"host-unknown": {3, 7}, "network-prohibited": {3, 9}, "host-prohibited": {3, 10}, "TOS-network-unreachable": {3, 11},
	"TOS-host-unreachable": {3, 12}, "communication-prohibited": {3, 13}, "host-precedence-violation": {3, 14},
	"precedence-cutoff": {3, 15},

	"source-quench": {4, -1},
	"redirect":      {5, -1}, "network-redirect": {5, 0}, "host-redirect": {5, 1}, "TOS-network-redirect": {5, 2},
	"TOS-host-redirect": {5, 3},
	"echo-request":      {8, -1}, "router-advertisement": {9, -1}, "router-solicitation": {10, -1},
	"time-exceeded": {11, -1}, "ttl-zero-during-transit": {11, 0}, "ttl-zero-during-reassembly": {11, 1},
	"parameter-problem": {12, -1}, "ip-header-bad": {12, 0}, "required-option-missing": {12, 1},
	"timestamp-request": {13, -1}, "timestamp-reply": {14, -1}, "address-mask-request": {17, -1}, "address-mask-reply": {18, -1},
}

// icmpv6Types are the names that ip6tables knows (ip6tables -p icmpv6 -h) and PVE accepts.
var icmpv6Types = map[string]ICMPType{
	"destination-unreachable": {1, -1}, "no-route": {1, 0}, "communication-prohibited": {1, 1}, "beyond-scope": {1, 2},
	"address-unreachable": {1, 3}, "port-unreachable": {1, 4}, "failed-policy": {1, 5}, "reject-route": {1, 6},
	"packet-too-big": {2, -1},
	"time-exceeded":  {3, -1}, "ttl-zero-during-transit": {3, 0}, "ttl-zero-during-reassembly": {3, 1},
	"parameter-problem": {4, -1}, "bad-header": {4, 0}, "unknown-header-type": {4, 1}, "unknown-option": {4, 2},
	"echo-request": {128, -1}, "echo-reply": {129, -1},
	"router-solicitation": {133, -1}, "router-advertisement": {134, -1},
	"neighbor-solicitation": {135, -1}, "neighbour-solicitation": {135, -1},
	"neighbor-advertisement": {136, -1}, "neighbour-advertisement": {136, -1},
	"redirect": {137, -1},
}

// strictICMP are the names that proxmox-firewall knows. It knows codes too, and compares a code without its type.
var strictICMP = map[string]ICMPType{
	"any":                {-1, -1},
	"address-mask-reply": {18, -1}, "address-mask-request": {17, -1}, "destination-unreachable": {3, -1}, "echo-reply": {0, -1},
	"echo-request": {8, -1}, "info-reply": {16, -1}, "info-request": {15, -1}, "parameter-problem": {12, -1}, "redirect": {5, -1},
	"router-advertisement": {9, -1}, "router-solicitation": {10, -1}, "source-quench": {4, -1}, "time-exceeded": {11, -1},
	"timestamp-reply": {14, -1}, "timestamp-request": {13, -1},

	"admin-prohibited": {-1, 13}, "host-prohibited": {-1, 10}, "host-unreachable": {-1, 1}, "net-prohibited": {-1, 9},
	"net-unreachable": {-1, 0}, "port-unreachable": {-1, 3}, "prot-unreachable": {-1, 2},
}

// strictICMPv6 are the names that proxmox-firewall knows for ICMPv6.
var strictICMPv6 = map[string]ICMPType{
	"any":                     {-1, -1},
	"destination-unreachable": {1, -1}, "echo-reply": {129, -1}, "echo-request": {128, -1}, "ind-neighbor-advert": {142, -1},
	"ind-neighbor-solicit": {141, -1}, "mld-listener-done": {132, -1}, "mld-listener-query": {130, -1},
	"mld-listener-reduction": {132, -1}, "mld-listener-report": {131, -1}, "mld2-listener-report": {143, -1},
	"nd-neighbor-advert": {136, -1}, "nd-neighbor-solicit": {135, -1}, "nd-redirect": {137, -1}, "nd-router-advert": {134, -1},
	"nd-router-solicit": {133, -1}, "packet-too-big": {2, -1}, "parameter-problem": {4, -1}, "router-renumbering": {138, -1},
	"time-exceeded": {3, -1},

	"addr-unreachable": {-1, 3}, "admin-prohibited": {-1, 1}, "no-route": {-1, 0}, "policy-fail": {-1, 5}, "port-unreachable": {-1, 4},
	"reject-route": {-1, 6},
}
