package collect

import (
	"strings"

	"github.com/castellan-project/castellan/internal/debian/fail2ban"
)

// logShape is a line as a daemon of this host writes it, with the address that must be banned for it. The message is
// what stands behind "program[pid]: ".
type logShape struct {
	name    string
	kind    string // ssh, web, token
	program string
	message string
	host    string
	// forged marks a line by which an attacker tries to have forgedHost banned instead.
	forged bool
	// accessLog marks a line of pveproxy's access.log, which has a form of its own.
	accessLog bool
}

// forgedHost is the address that the crafted line wants banned (RFC 5737).
const forgedHost = "203.0.113.99"

// logShapes are the lines that matter. sshd since OpenSSH 9.8 (Debian 13) logs as sshd-session; pvedaemon writes
// IPv4 clients as ::ffff:a.b.c.d, because its socket is IPv6 (pve-access-control, API2/AccessControl.pm); failures
// of tokens and tickets appear with an address in access.log only (pve-http-server, AnyEvent.pm).
func logShapes(sshProgram string) []logShape {
	fail := "authentication failure; rhost="
	return []logShape{
		{name: "ssh-password", kind: "ssh", program: sshProgram, message: "Failed password for root from 192.0.2.7 port 40022 ssh2", host: "192.0.2.7"},
		{name: "ssh-invalid-user", kind: "ssh", program: sshProgram, message: "Failed password for invalid user admin from 192.0.2.7 port 40022 ssh2", host: "192.0.2.7"},
		{name: "ssh-ipv6", kind: "ssh", program: sshProgram, message: "Failed password for root from 2001:db8::7 port 40022 ssh2", host: "2001:db8::7"},
		{name: "ssh-forged-user", kind: "ssh", program: sshProgram, forged: true, host: "192.0.2.7",
			message: "Failed password for invalid user x from " + forgedHost + " port 1 ssh2 from 192.0.2.7 port 40022 ssh2"},
		{name: "web-ipv4", kind: "web", program: "pvedaemon", message: fail + "192.0.2.7 user=root@pam msg=Authentication failure", host: "192.0.2.7"},
		{name: "web-mapped", kind: "web", program: "pvedaemon", message: fail + "::ffff:192.0.2.7 user=root@pam msg=no such user ('root@pam')", host: "192.0.2.7"},
		{name: "web-ipv6", kind: "web", program: "pvedaemon", message: fail + "2001:db8::7 user=root@pam msg=invalid credentials", host: "2001:db8::7"},
		{name: "web-forged-user", kind: "web", program: "pvedaemon", forged: true, host: "192.0.2.7",
			message: fail + "192.0.2.7 user=x " + fail + forgedHost + " user=y msg=no such user"},
		{name: "web-openid", kind: "web-optional", program: "pvedaemon", message: "openid " + fail + "192.0.2.7 msg=cannot verify code", host: "192.0.2.7"},
		{name: "token-ipv4", kind: "token", accessLog: true, host: "192.0.2.7",
			message: `192.0.2.7 - root@pam!ci [20/11/2026:23:28:34 +0000] "GET /api2/json/nodes HTTP/1.1" 401 -`},
		{name: "token-mapped", kind: "token", accessLog: true, host: "192.0.2.7",
			message: `::ffff:192.0.2.7 - - [20/11/2026:23:28:34 +0000] "GET /api2/json/version HTTP/1.1" 401 -`},
		{name: "token-ipv6", kind: "token", accessLog: true, host: "2001:db8::7",
			message: `2001:db8::7 - ci@pve!deploy [20/11/2026:23:28:34 +0000] "POST /api2/json/nodes/pve/status HTTP/1.1" 401 -`},
	}
}

// takes reports which address the jail would ban for the shape, in the form in which its backend delivers lines.
func (s logShape) takes(j *fail2ban.Jail) (string, bool) {
	switch {
	case s.accessLog && (j.Journal() || !dayFirst(j.Filter)):
		// The file is not in the journal, and without its own datepattern fail2ban does not find the date in it.
		return "", false
	case s.accessLog:
		m, ok := j.Filter.Match(s.message)
		return m.Host, ok
	case j.Journal():
		m, ok := j.Filter.MatchText("pve " + s.program + "[4242]: " + s.message)
		return m.Host, ok
	}
	line := "pve " + s.program + "[4242]: " + s.message
	m, ok := j.Filter.Match("Nov 20 23:28:34 " + line)
	if iso, isoOK := j.Filter.Match("2026-11-20T23:28:34.123456+00:00 " + line); ok != isoOK || m.Host != iso.Host {
		return "", false // rsyslog of Debian 12 and later writes ISO 8601, older ones the other form
	}
	return m.Host, ok
}

// dayFirst reports whether the filter's datepattern reads day/month/year, as pveproxy writes it.
func dayFirst(f *fail2ban.Filter) bool {
	return f != nil && (strings.Contains(f.DatePattern, "%d/%m/%Y") || strings.Contains(f.DatePattern, `%d\/%m\/%Y`))
}
