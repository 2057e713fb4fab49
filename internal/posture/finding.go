package posture

import "time"

// Status is the judgement of one control on one host. The zero Status is no judgement and never counts as a pass.
type Status string

// The statuses, worst first.
const (
	Fail          Status = "fail"
	StatusUnknown Status = "unknown" // the facts that decide could not be read
	Manual        Status = "manual"  // a person has to look and attest
	Waived        Status = "waived"  // failing, and accepted by somebody until a date
	Pass          Status = "pass"
	NotApplicable Status = "not-applicable"
)

// Severity says how much harm a failing control allows.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Severities lists all severities, worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Info} }

// Rank orders severities: 0 is critical, 4 is info, -1 is no severity.
func (s Severity) Rank() int {
	for i, x := range Severities() {
		if s == x {
			return i
		}
	}
	return -1
}

// Codes of findings: stable words that scripts may test.
const (
	CodeFailed       = "check-failed"
	CodePassed       = "check-passed"
	CodeUnreadable   = "fact-unreadable"
	CodeNotApplies   = "not-applicable"
	CodeWaived       = "waived"
	CodeExpired      = "waiver-expired"
	CodeAttested     = "attested"
	CodeAttestNeeded = "attestation-missing"
	CodeAttestOld    = "attestation-expired"
	CodeManual       = "manual"
)

// Finding is the judgement of one control on one host, with its reasons.
type Finding struct {
	Control  string   `json:"control"`
	Status   Status   `json:"status"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	// Reason is one line: what is wrong, why it is not known, or why it does not apply.
	Reason string `json:"reason"`
	// Code is the reason as a stable word, see the Code constants.
	Code string `json:"code,omitempty"`
	// NeedsRoot is set when the result is unknown because the rights of the user did not suffice.
	NeedsRoot   bool       `json:"needs_root,omitempty"`
	Evidence    []Evidence `json:"evidence"`
	Remediation []Advice   `json:"remediation"`
	Manual      string     `json:"manual,omitempty"`
	Lockout     string     `json:"lockout,omitempty"`
	Refs        []Ref      `json:"refs,omitempty"`
	Obsolete    []Obsolete `json:"obsolete,omitempty"`
	Waiver      *Waiver    `json:"waiver,omitempty"`
	// Rationale, Group and Level come from the control and are left to reports that show them.
	Rationale string `json:"-"`
	Group     string `json:"-"`
	Level     int    `json:"-"`
}

// Evidence is a fact that the judgement rests on.
type Evidence struct {
	Path    string `json:"path"`              // the fact, as controls name it: sshd.admin.maxauthtries
	Value   string `json:"value"`             // its value in words, empty when unknown
	Origin  string `json:"origin,omitempty"`  // effective, configured, default
	Source  string `json:"source,omitempty"`  // /etc/ssh/sshd_config:12
	Problem string `json:"problem,omitempty"` // why it is unknown
}

// Advice is one step of the remediation, in words.
type Advice struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Counts are the numbers of findings by status.
type Counts struct {
	Pass          int `json:"pass"`
	Fail          int `json:"fail"`
	Unknown       int `json:"unknown"`
	NotApplicable int `json:"not_applicable"`
	Manual        int `json:"manual"`
	Waived        int `json:"waived"`
}

// TargetReport is the judgement of one target.
type TargetReport struct {
	Target   string `json:"target"`
	Kind     string `json:"kind,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	OS       string `json:"os,omitempty"`
	Cluster  bool   `json:"cluster,omitempty"`
	// ClusterName is the name of the cluster that the target is a node of; Members are its nodes.
	ClusterName string    `json:"cluster_name,omitempty"`
	Members     []string  `json:"-"`
	CollectedAt time.Time `json:"collected_at,omitzero"`
	Score       int       `json:"score"`
	Grade       string    `json:"grade"`
	// Readable is the share, in percent, of the applicable controls whose facts could be read.
	Readable int    `json:"readable"`
	Counts   Counts `json:"counts"`
	// Notices are what the reader must know before the findings: "little could be read, run it as root".
	Notices  []string  `json:"notices,omitempty"`
	Findings []Finding `json:"findings"`
	// Unread are parts of the target that could not be read although they should have been; the judgement is partial.
	Unread []string `json:"unread,omitempty"`
	// Error says why the target could not be judged at all.
	Error string `json:"error,omitempty"`
	// guests are those of the target, for the comparison of both worlds.
	guests []openGuest
}

// Report is the judgement of all targets of one scan.
type Report struct {
	// Version is the version of this document's format.
	Version string `json:"version"`
	// Tool is the version of castellan.
	Tool    string `json:"tool"`
	Profile string `json:"profile"`
	// CatalogueDigest identifies the controls that were applied (SHA-256, hex).
	CatalogueDigest string         `json:"catalogue_digest"`
	Targets         []TargetReport `json:"targets"`
	// Clusters compares the nodes of clusters of which several were scanned.
	Clusters []ClusterReport `json:"clusters,omitempty"`
	// GuestChannels show guests of Proxmox VE and of VMware side by side, when both were scanned.
	GuestChannels []GuestChannel `json:"guest_channels,omitempty"`
}

// ReportVersion is the version of the JSON report. Fields may be added within a version.
const ReportVersion = "1"
