package posture

// Control is what is wanted of a host, as data: one document of the catalogue. CONTRIBUTING.md describes the format for
// authors; this is what it decodes into.
type Control struct {
	ID       string   `yaml:"id" json:"id"`
	Title    string   `yaml:"title" json:"title"`
	Severity Severity `yaml:"severity" json:"severity"`
	// Level is 1 (baseline), 2 (strict) or 3 (only where the effort is justified).
	Level int `yaml:"level" json:"level"`
	// Lockout says what applying the remediation may cut: none, session, boot, cluster.
	Lockout       string `yaml:"lockout" json:"lockout"`
	Rationale     string `yaml:"rationale" json:"rationale"`
	Applies       string `yaml:"applies" json:"applies,omitempty"`
	NotApplicable string `yaml:"not_applicable" json:"not_applicable,omitempty"`
	Check         string `yaml:"check" json:"check,omitempty"`
	Offenders     string `yaml:"offenders" json:"offenders,omitempty"`
	Fail          string `yaml:"fail" json:"fail,omitempty"`
	// Evidence are the paths of the facts that are shown with a finding.
	Evidence    []string       `yaml:"evidence" json:"evidence,omitempty"`
	Params      map[string]any `yaml:"params" json:"params,omitempty"`
	Needs       string         `yaml:"needs" json:"needs,omitempty"`
	Remediation []Remediation  `yaml:"remediation" json:"remediation,omitempty"`
	Manual      string         `yaml:"manual" json:"manual,omitempty"`
	Attest      *AttestRule    `yaml:"attest" json:"attest,omitempty"`
	Refs        []Ref          `yaml:"refs" json:"refs"`
	Obsolete    []Obsolete     `yaml:"obsolete" json:"obsolete,omitempty"`
	Cluster     *Variant       `yaml:"cluster" json:"cluster,omitempty"`

	// File is where the control stands, for messages.
	File string `yaml:"-" json:"-"`
	// Group is the subject: boot, upd, ssh, sys, svc, acc, web, ban, log.
	Group string `yaml:"-" json:"group"`
}

// Variant replaces parts of a control on members of a PVE cluster.
type Variant struct {
	Rationale   string         `yaml:"rationale" json:"rationale,omitempty"`
	Check       string         `yaml:"check" json:"check,omitempty"`
	Offenders   string         `yaml:"offenders" json:"offenders,omitempty"`
	Fail        string         `yaml:"fail" json:"fail,omitempty"`
	Evidence    []string       `yaml:"evidence" json:"evidence,omitempty"`
	Params      map[string]any `yaml:"params" json:"params,omitempty"`
	Needs       string         `yaml:"needs" json:"needs,omitempty"`
	Remediation []Remediation  `yaml:"remediation" json:"remediation,omitempty"`
	Manual      string         `yaml:"manual" json:"manual,omitempty"`
	Lockout     string         `yaml:"lockout" json:"lockout,omitempty"`
}

// Ref names the source of a demand: a document and its clause.
type Ref struct {
	Doc    string `yaml:"doc" json:"doc"`
	Clause string `yaml:"clause" json:"clause,omitempty"`
	// Verified is false when the clause was noted from memory and not checked against the document.
	Verified *bool `yaml:"verified" json:"verified,omitempty"`
}

// Obsolete is a form that guides still give, with what is right today.
type Obsolete struct {
	Form    string `yaml:"form" json:"form"`
	Current string `yaml:"current" json:"current"`
}

// AttestRule lets a person answer a control that a machine cannot.
type AttestRule struct {
	// Days is how long an attestation holds at most.
	Days int `yaml:"days" json:"days"`
}

// ForCluster returns the control as it applies to members of a cluster.
func (c Control) ForCluster() Control {
	v := c.Cluster
	if v == nil {
		return c
	}
	replace := func(dst *string, src string) {
		if src != "" {
			*dst = src
		}
	}
	replace(&c.Rationale, v.Rationale)
	replace(&c.Check, v.Check)
	replace(&c.Offenders, v.Offenders)
	replace(&c.Fail, v.Fail)
	replace(&c.Needs, v.Needs)
	replace(&c.Manual, v.Manual)
	replace(&c.Lockout, v.Lockout)
	if v.Evidence != nil {
		c.Evidence = v.Evidence
	}
	if v.Remediation != nil {
		c.Remediation = v.Remediation
	} else if v.Manual != "" {
		c.Remediation = nil
	}
	c.Params = mergeParams(c.Params, v.Params)
	return c
}

func mergeParams(base, over map[string]any) map[string]any {
	if len(over) == 0 {
		return base
	}
	m := make(map[string]any, len(base)+len(over))
	for k, v := range base {
		m[k] = v
	}
	for k, v := range over {
		m[k] = v
	}
	return m
}

// Documents maps the names that refs use to the titles of the documents.
func Documents() map[string]string {
	return map[string]string{
		"cis-debian-12":  "CIS Debian Linux 12 Benchmark",
		"homesec-pve-9":  "HomeSecExplorer Proxmox Hardening Guide, PVE 9",
		"bsi-sys-1-5":    "BSI IT-Grundschutz SYS.1.5 Virtualisation",
		"bsi-sys-1-3":    "BSI IT-Grundschutz SYS.1.3 Linux and Unix servers",
		"cnspec-proxmox": "Mondoo Proxmox security policy",
		"devsec-os":      "DevSec operating system baseline",
		"anssi-bp-028":   "ANSSI BP-028 GNU/Linux",
		"lynis":          "Lynis",
		"pve-docs":       "Proxmox VE Administration Guide",
		"pve-source":     "Proxmox VE source code",
		"disa-stig":      "DISA STIG",
		"stig-vsphere-8": "DISA STIG VMware vSphere 8.0 Virtual Machine, version 2 release 3",
		"stig-vsphere-7": "DISA STIG VMware vSphere 7.0 Virtual Machine, version 1 release 4",
		"srg-vcf-9":      "DISA readiness guide VMware Cloud Foundation 9, virtual machines",
		"scg-vsphere-8":  "VMware vSphere Security Configuration Guide 8.0.3",
		"cis-esxi-7":     "CIS VMware ESXi 7.0 Benchmark",
		"pegaprox":       "PegaProx project",
		"debian":         "Debian policy and release notes",
		"openssh":        "OpenSSH manual",
		"castellan":      "castellan",
		"seed-000":       "Source document 000",
		"seed-001":       "Source document 001, Proxmox hardening and zero trust",
		"seed-002":       "Source document 002, hardening after installation",
		"seed-003":       "Source document 003, basic securing of Proxmox",
		"seed-004":       "Source document 004, VMware guests",
	}
}
