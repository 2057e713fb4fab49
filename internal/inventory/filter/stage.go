// Package filter says what the firewall of Proxmox VE lets through: for a packet (simulate), with the rule that decided. It
// compiles the files that internal/pve/firewall reads, with PVE's defaults, into stages: the ordered steps that a packet
// meets on its way, for either of the two firewalls. Its children ask the same stages other questions: reach computes
// with sets of packets, lint looks for rules that do not do what they seem to.
//
// Only the first packet of a flow is looked at: what conntrack lets through afterwards follows from it.
package filter

// Backend is one of the two programs that read the firewall files.
type Backend string

// The backends.
const (
	// IPTables is pve-firewall, the stock one.
	IPTables Backend = "iptables"
	// NFTables is proxmox-firewall, the technology preview that host.fw chooses with "nftables: 1".
	NFTables Backend = "nftables"
)

// Verdict is what happens to a packet.
type Verdict string

// The verdicts.
const (
	Accept Verdict = "ACCEPT"
	Drop   Verdict = "DROP"
	Reject Verdict = "REJECT"
)

// Reason says where a step comes from: a line of a file, or a default that the firewall adds by itself.
type Reason struct {
	// File and Line are empty for what stands in no file.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Rule is the text of the rule, or what the default is: "policy_in DROP (default)", "management: tcp 8006".
	Rule string `json:"rule"`
	// Group is the security group that the rule is in.
	Group string `json:"group,omitempty"`
}
