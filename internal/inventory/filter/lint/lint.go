// Package lint finds what in the firewall files does not do what it seems to: lines that one of the two firewalls skips or
// refuses, names that nothing answers to, rules that never decide, switches that are off, and changes that would lock the
// administrators out. It reads what internal/pve/firewall parsed and what package filter compiled; it judges no policy:
// whether a network should reach a port is the business of the controls.
//
// Sources: PVE::Firewall of pve-firewall 6; proxmox-firewall 1.2 and proxmox-ve-config of proxmox-ve-rs.
package lint

import (
	"cmp"
	"slices"
	"strings"
)

// Severity is how much a finding matters, in the words of the controls.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Rank orders severities, 0 is the worst; it is negative for what is no severity.
func (s Severity) Rank() int { return slices.Index([]Severity{Critical, High, Medium, Low, Info}, s) }

// Outcome is what one firewall makes of a line, compared with what the line seems to say.
type Outcome string

// The outcomes.
const (
	// None means that the line does what it says with this firewall, or does not concern it.
	None Outcome = "none"
	// FailOpen means that more gets through than the line says.
	FailOpen Outcome = "fail-open"
	// FailClosed means that less gets through than the line says.
	FailClosed Outcome = "fail-closed"
	// NodeAbort means that the rules of the whole node are not updated any more, and that none are loaded at boot.
	NodeAbort Outcome = "node-abort"
	// NoEffect means that the line has no effect on packets.
	NoEffect Outcome = "no-effect"
)

// Effect is the outcome with each of the two firewalls.
type Effect struct {
	IPTables Outcome `json:"iptables"`
	NFTables Outcome `json:"nftables"`
}

// Finding is one thing that is not what it seems.
type Finding struct {
	// File is the path on the node ("/etc/pve/firewall/103.fw"); Line and Column count from 1, 0 means the whole file or line.
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	// Code is stable; see [Codes].
	Code string `json:"code"`
	// Owner is the node or the guest ("vm 100") that the line concerns; empty for the whole cluster.
	Owner string `json:"owner,omitempty"`
	// VMID is the guest that it concerns, 0 for none.
	VMID   int    `json:"vmid,omitempty"`
	Text   string `json:"text"`
	Effect Effect `json:"effect"`
	Hint   string `json:"hint,omitempty"`
}

// Report is what a check found.
type Report struct {
	// Findings are sorted by severity, then file and line.
	Findings []Finding `json:"findings"`
	// Bounded says which analyses were cut short, and where; empty when everything was looked at.
	Bounded []string `json:"bounded"`
	// Unread are files that could not be read: nothing is said about them.
	Unread []string `json:"unread"`
}

func order(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), compareFiles(a.File, b.File), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Code, b.Code), strings.Compare(a.Owner, b.Owner), strings.Compare(a.Text, b.Text))
	})
}

// compareFiles sorts 99.fw before 100.fw.
func compareFiles(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }
