package report

import (
	"fmt"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
)

// collectedAt is when the facts of all test reports were read.
func collectedAt() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func date(s string) posture.Date {
	d, err := posture.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func target(name string, score int, grade string, fs ...posture.Finding) posture.TargetReport {
	c := countOf(fs)
	readable := 100
	if n := c.Pass + c.Fail + c.Waived + c.Unknown; n > 0 {
		readable = 100 * (n - c.Unknown) / n
	}
	return posture.TargetReport{
		Target: name, Kind: "local", Hostname: "pve1", OS: "Proxmox VE 8.4.1, debian 12", Cluster: true,
		CollectedAt: collectedAt(), Score: score, Grade: grade, Readable: readable, Counts: c, Findings: fs,
	}
}

// sample is a report with every status, every severity and everything that a finding can carry.
func sample() *posture.Report {
	unverified := false
	pve1 := target("local", 61, "C",
		posture.Finding{
			Control: "SSH-06", Status: posture.Fail, Severity: posture.Medium, Code: posture.CodeFailed, Group: "ssh", Level: 1,
			Title:  "SSH allows few authentication attempts per connection",
			Reason: "MaxAuthTries is 6; at most 4 is wanted",
			Rationale: "Each connection may try this many credentials before sshd hangs up. A low limit slows guessing down " +
				"and gives the ban engine a line per few attempts; four still leaves room for an agent that offers several keys.",
			Evidence: []posture.Evidence{
				{Path: "sshd.admin.maxauthtries", Value: "6", Origin: "default", Source: "default of OpenSSH 9.2"},
				{Path: "sshd.root_elsewhere.maxauthtries", Value: "6", Origin: "configured", Source: "/etc/ssh/sshd_config:33"},
			},
			Remediation: []posture.Advice{{Kind: "sshd", Text: "In sshd, set MaxAuthTries to 4"}},
			Lockout:     "none",
			Refs:        []posture.Ref{{Doc: "cis-debian-12", Clause: "5.1.16"}, {Doc: "seed-000"}},
		},
		posture.Finding{
			Control: "SSH-02", Status: posture.Fail, Severity: posture.Critical, Code: posture.CodeExpired, Group: "ssh", Level: 1,
			Title:  "SSH accepts no passwords",
			Reason: "the waiver by Ada expired on 2026-10-31: PasswordAuthentication is yes for 198.51.100.7",
			Rationale: "Passwords are guessed, reused and phished; keys are not. Everybody who can reach the port may try " +
				"passwords for ever.",
			Evidence: []posture.Evidence{
				{Path: "sshd.admin.passwordauthentication", Value: "yes", Origin: "effective", Source: "sshd -T"},
			},
			Remediation: []posture.Advice{{Kind: "sshd", Text: "In sshd, set PasswordAuthentication to no"}},
			Lockout:     "session",
			Refs:        []posture.Ref{{Doc: "bsi-sys-1-5", Clause: "A5", Verified: &unverified}},
			Obsolete:    []posture.Obsolete{{Form: "ChallengeResponseAuthentication no", Current: "KbdInteractiveAuthentication no"}},
			Waiver: &posture.Waiver{Control: "SSH-02", Target: "*", Reason: "legacy backup robot", Approver: "Ada",
				Expires: date("2026-10-31")},
		},
		posture.Finding{
			Control: "SSH-01", Status: posture.Pass, Severity: posture.High, Code: posture.CodePassed, Group: "ssh", Level: 1,
			Title: "Root logs in from the cluster only", Reason: "PermitRootLogin is prohibit-password", Lockout: "session",
			Evidence: []posture.Evidence{{Path: "sshd.root_elsewhere.permitrootlogin", Value: "no", Origin: "effective", Source: "sshd -T"}},
		},
		posture.Finding{
			Control: "ACC-01", Status: posture.StatusUnknown, Severity: posture.High, Code: posture.CodeUnreadable, Group: "acc",
			NeedsRoot: true, Title: "No account has an empty password", Reason: "cannot read /etc/shadow: permission denied",
			Evidence: []posture.Evidence{{Path: "accounts.shadow", Source: "/etc/shadow", Problem: "cannot read /etc/shadow: permission denied"}},
			Manual:   "Lock the account: passwd -l NAME",
		},
		posture.Finding{
			Control: "ACC-12", Status: posture.StatusUnknown, Severity: posture.Low, Code: posture.CodeUnreadable, Group: "acc",
			Title: "Password history is kept", Reason: "/etc/pam.d/common-password:3: malformed line",
		},
		posture.Finding{
			Control: "BOOT-05", Status: posture.Manual, Severity: posture.High, Code: posture.CodeAttestNeeded, Group: "boot",
			Title: "The firmware set-up asks for a password", Reason: "a person has to look, and nobody has attested it",
			Manual: "Set an administrator password in the firmware.\nKeep it in a sealed envelope.",
		},
		posture.Finding{
			Control: "BOOT-08", Status: posture.NotApplicable, Severity: posture.Medium, Code: posture.CodeNotApplies, Group: "boot",
			Title: "Secure Boot is on", Reason: "the host has no UEFI firmware",
		},
		posture.Finding{
			Control: "SYS-10", Status: posture.Waived, Severity: posture.Medium, Code: posture.CodeWaived, Group: "sys",
			Title: "Packets with source routes are dropped", Reason: "waived by Grace until 2027-01-31: lab router",
			Waiver: &posture.Waiver{Control: "SYS-10", Reason: "lab router", Approver: "Grace", Expires: date("2027-01-31")},
		},
		posture.Finding{
			Control: "SYS-9", Status: posture.Fail, Severity: posture.Low, Code: posture.CodeFailed, Group: "sys",
			Title: "Redirects are not sent", Reason: "net.ipv4.conf.all.send_redirects is 1",
			Remediation: []posture.Advice{{Kind: "sysctl", Text: "Set net.ipv4.conf.all.send_redirects to 0"}},
		},
		posture.Finding{
			Control: "LOG-07", Status: posture.Fail, Severity: posture.Info, Code: posture.CodeFailed, Group: "log",
			Title: "The logs of this host are sent to another one", Reason: "neither rsyslog nor journald forwards anything",
		},
		posture.Finding{
			Control: "MY-1", Status: posture.Pass, Severity: posture.Info, Code: posture.CodePassed, Group: "own rules",
			Title: "A control of our own", Reason: "fine",
		},
	)
	pve1.Notices = []string{"only 71 % of the controls could be judged; the score says little",
		"1 findings need the rights of root; scan again as root"}
	return &posture.Report{
		Version: posture.ReportVersion, Tool: "castellan 0.1.0", Profile: "baseline",
		CatalogueDigest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Targets:         []posture.TargetReport{pve1},
	}
}

// fleet is a report of three targets: one bad, one good, one that could not be read.
func fleet() *posture.Report {
	r := sample()
	good := target("ssh://root@pve2.example.org", 97, "A", posture.Finding{
		Control: "SSH-01", Status: posture.Pass, Severity: posture.High, Group: "ssh", Title: "Root logs in from the cluster only",
		Code: posture.CodePassed,
	})
	good.Kind, good.Hostname, good.Cluster = "ssh", "pve2", false
	lost := posture.TargetReport{Target: "ssh://root@pve3.example.org", Kind: "ssh",
		Error: "cannot connect to pve3.example.org:22: connection refused; is sshd running there?"}
	r.Targets = append([]posture.TargetReport{good}, r.Targets...)
	r.Targets = append(r.Targets, lost)
	return r
}

// many is a report of one target with n findings.
func many(n int) *posture.Report {
	r := sample()
	var fs []posture.Finding
	for i := range n {
		f := r.Targets[0].Findings[i%len(r.Targets[0].Findings)]
		f.Control = fmt.Sprintf("GEN-%03d", i)
		fs = append(fs, f)
	}
	r.Targets[0] = target("local", 61, "C", fs...)
	return r
}
