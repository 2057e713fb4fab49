// Package filter says what the firewall of Proxmox VE lets through: for a packet (simulate), with the rule that decided. It
// compiles the files that internal/pve/firewall reads, with PVE's defaults, into stages: the ordered steps that a packet
// meets on its way, for either of the two firewalls. Its children ask the same stages other questions: reach computes
// with sets of packets, lint looks for rules that do not do what they seem to.
//
// Only the first packet of a flow is looked at: what conntrack lets through afterwards follows from it.
package filter

import "github.com/castellan-project/castellan/internal/netset"

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

// Step decides about the packets that it matches and that no step before it matched.
type Step struct {
	// Match is the union of boxes; they may overlap.
	Match   []netset.Box
	Verdict Verdict
	Why     Reason
	// ForeignMAC marks the MAC filter, which matches the frames of a guest that do not carry the address of its NIC.
	// Its Match is empty, because a set of packets knows nothing of frames: whoever computes with sets takes the
	// guest's own address for granted.
	ForeignMAC bool
}

// Stage is one list that a packet passes, for one address family. The first step that matches decides, and the last one
// matches every packet of the family. An ACCEPT sends the packet on to the next stage of its path; DROP and REJECT are
// final.
type Stage struct {
	// Name is for people: "vm 100 net0 in", "host in".
	Name string
	// Family is 4 or 6.
	Family int
	Steps  []Step
}

// Decide returns the step that decides about a packet. Foreign says that the frame does not carry the address of the NIC.
func (s *Stage) Decide(p netset.Packet, foreign bool) *Step {
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.ForeignMAC {
			if foreign {
				return st
			}
			continue
		}
		for j := range st.Match {
			if st.Match[j].Contains(p) {
				return st
			}
		}
	}
	return nil
}
