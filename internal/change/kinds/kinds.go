// Package kinds knows what a change of each kind consists of: which file of which daemon, in which form, and what must be
// checked, reloaded or said. One kind stands in one file. A kind drafts on a change.Draft and touches nothing; order,
// journal and inverse are package change's, whether the administrator still gets in is change/lockout's.
//
// Formats are edited so that everything that is not meant stays byte for byte: with internal/conffile, or with the lossless
// parsers of internal/pve. Drafting what holds already changes nothing.
package kinds

import "github.com/castellan-project/castellan/internal/change"

// All returns every kind by the name that remediations use (posture.Remediation).
func All() map[string]change.Kind {
	return map[string]change.Kind{
		"account": change.KindFunc(account), "apt": change.KindFunc(apt), "aptsource": change.KindFunc(aptsource),
		"chrony": change.KindFunc(chrony), "datacenter": change.KindFunc(datacenter), "fail2ban": change.KindFunc(fail2ban),
		"faillock": change.KindFunc(faillock), "file": change.KindFunc(file), "grub": change.KindFunc(bootLoader),
		"guest": change.KindFunc(guest), "journald": change.KindFunc(journald), "limits": change.KindFunc(limitSettings),
		"line": change.KindFunc(line), "login_defs": change.KindFunc(loginDefs), "modprobe": change.KindFunc(modules),
		"mount": change.KindFunc(mountOptions), "package": change.KindFunc(packages), "pam": change.KindFunc(pam),
		"postfix": change.KindFunc(postfix), "pveacl": change.KindFunc(pveacl), "pvefirewall": change.KindFunc(pvefirewall),
		"pveproxy": change.KindFunc(pveproxy), "pwquality": change.KindFunc(pwquality), "rsyslog": change.KindFunc(rsyslog),
		"sshd": change.KindFunc(sshdSettings), "storage": change.KindFunc(storage), "sudoers": change.KindFunc(sudoers),
		"sysctl": change.KindFunc(sysctls), "unit": change.KindFunc(unit), "vmx": change.KindFunc(vmxKeys),
	}
}
