package kinds

import (
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	parser "github.com/castellan-project/castellan/internal/debian/fail2ban"
)

// sample is a line of a daemon, and what a filter must make of it.
type sample struct {
	duty string // ssh, web, token
	// program logs it as "program[pid]: message"; empty for a line of pveproxy's access.log, which stands alone.
	program, message string
	// host is the address to ban; empty when the line is no failure.
	host string
	// lure is an address that somebody who guesses writes into his user name to have it banned.
	lure string
}

// samples are lines as the daemons write them: sshd as of OpenSSH 9.2 and 10.0 (auth.c), pvedaemon as of libpve-access-control 8 and 9
// (API2/AccessControl.pm; IPv4 clients are written as ::ffff:a.b.c.d, because the socket is one of IPv6), pveproxy's
// access.log as of libpve-http-server-perl (AnyEvent.pm).
//
// table: the lines of the daemons
func samples(sshd string) []sample {
	const lure = "203.0.113.99"
	fail := "authentication failure; rhost="
	return []sample{
		{duty: "ssh", program: sshd, message: "Failed password for root from 192.0.2.7 port 40022 ssh2", host: "192.0.2.7"},
		{duty: "ssh", program: sshd, message: "Failed password for invalid user admin from 192.0.2.7 port 40022 ssh2", host: "192.0.2.7"},
		{duty: "ssh", program: sshd, message: "Failed password for root from 2001:db8::7 port 40022 ssh2", host: "2001:db8::7"},
		{duty: "ssh", program: sshd, message: "Failed password for invalid user x from " + lure + " port 1 ssh2 from 192.0.2.7 port 40022 ssh2", host: "192.0.2.7", lure: lure},
		{duty: "ssh", program: sshd, message: "Accepted publickey for root from 192.0.2.7 port 40022 ssh2: ED25519 SHA256:x"},
		{duty: "ssh", program: sshd, message: "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"},
		{duty: "web", program: "pvedaemon", message: fail + "192.0.2.7 user=root@pam msg=Authentication failure", host: "192.0.2.7"},
		{duty: "web", program: "pvedaemon", message: fail + "::ffff:192.0.2.7 user=root@pam msg=no such user ('root@pam')", host: "192.0.2.7"},
		{duty: "web", program: "pvedaemon", message: fail + "2001:db8::7 user=root@pam msg=invalid credentials", host: "2001:db8::7"},
		{duty: "web", program: "pvedaemon", message: fail + "192.0.2.7 user=x " + fail + lure + " user=y msg=no such user", host: "192.0.2.7", lure: lure},
		{duty: "web", program: "pvedaemon", message: "<root@pam> successful auth for user 'root@pam'"},
		{duty: "web", program: "pvedaemon", message: "<root@pam> end task UPID:pve:0000A1B2:00C3D4E5:65F0A1B2:vzdump::root@pam: OK"},
		{duty: "token", message: `192.0.2.7 - root@pam!ci [20/11/2026:23:28:34 +0000] "GET /api2/json/nodes HTTP/1.1" 401 -`, host: "192.0.2.7"},
		{duty: "token", message: `::ffff:192.0.2.7 - - [20/11/2026:23:28:34 +0000] "GET /api2/json/version HTTP/1.1" 401 -`, host: "192.0.2.7"},
		{duty: "token", message: `2001:db8::7 - ci@pve!deploy [20/11/2026:23:28:34 +0000] "POST /api2/json/nodes/pve/status HTTP/1.1" 401 -`, host: "2001:db8::7"},
		{duty: "token", message: `192.0.2.7 - root@pam [20/11/2026:23:28:34 +0000] "GET /api2/json/nodes HTTP/1.1" 200 1234`},
	}
}

// found gives the address that a jail bans for a line, in the form in which its backend delivers lines.
func (s sample) found(j *parser.Jail) string {
	if j.Filter == nil {
		return ""
	}
	if s.program == "" {
		// Without a datepattern of its own fail2ban reads day/month as month/day, or finds no date at all.
		if j.Journal() || !strings.Contains(strings.ReplaceAll(j.Filter.DatePattern, `\/`, "/"), "%d/%m/%Y") {
			return ""
		}
		return address(j.Filter.Match(s.message))
	}
	line := "pve " + s.program + "[4242]: " + s.message
	if j.Journal() {
		return address(j.Filter.MatchText(line))
	}
	return address(j.Filter.Match("2026-11-20T23:28:34.123456+00:00 " + line))
}

func address(m parser.Match, ok bool) string {
	if !ok {
		return ""
	}
	return m.Host
}

// duty says against which kind of guessing a jail stands; empty when nobody knows.
func duty(d *change.Draft, j *parser.Jail) string {
	switch {
	case j.FilterName == "sshd" || j.Name == "sshd" || j.Name == "ssh":
		return "ssh"
	case j.FilterName == "castellan-pve":
		return "web"
	case j.FilterName == "castellan-pve-api":
		return "token"
	}
	for _, s := range samples(sshProgram(d)) {
		if s.host != "" && s.lure == "" && s.found(j) == s.host {
			return s.duty
		}
	}
	name := strings.ToLower(j.Name + " " + j.FilterName)
	access := strings.Contains(strings.Join(j.LogPaths, " "), "access.log")
	if !access && (strings.Contains(name, "proxmox") || strings.Contains(name, "pve")) {
		return "web"
	}
	return ""
}

// sameDuty reports whether two jails stand against the same guessing.
func sameDuty(d *change.Draft, a, b *parser.Jail) bool {
	kind := duty(d, a)
	return kind != "" && kind == duty(d, b)
}

// inJournal reports whether the journal has the lines that a jail looks for: its filter says where, or they are of a daemon that logs there.
func inJournal(d *change.Draft, j *parser.Jail) bool {
	kind := duty(d, j)
	return kind == "ssh" || kind == "web" || kind == "" && j.Filter != nil && len(j.Filter.JournalMatch) > 0
}

// tryFilter runs the filter of a jail over the lines that it is there for. Nothing is known of jails of other daemons.
func tryFilter(d *change.Draft, j *parser.Jail) error {
	kind := duty(d, j)
	if kind == "" {
		d.Effect("whether the filter of [%s] matches is not known here; try it with: fail2ban-regex LOG %s", j.Name, j.FilterName)
		return nil
	}
	for _, s := range samples(sshProgram(d)) {
		if s.duty != kind {
			continue
		}
		switch got := s.found(j); {
		case got == s.host:
		case s.lure != "" && got == s.lure:
			return change.Cannot("the filter %s of [%s] lets an attacker choose the address that is banned; it takes %s from the line: %s", j.FilterName, j.Name, got, s.message)
		case s.host == "":
			return change.Cannot("the filter %s of [%s] bans for a line that is no failure: %s", j.FilterName, j.Name, s.message)
		case s.lure == "":
			return change.Cannot("the filter %s of [%s] misses the line: %s", j.FilterName, j.Name, s.message)
		}
	}
	return nil
}

// sshProgram is the name under which sshd logs failures: OpenSSH 9.8 split sshd-session off.
func sshProgram(d *change.Draft) string {
	release, _, _ := d.Content("/etc/os-release")
	if len(release) == 0 {
		release, _, _ = d.Content("/usr/lib/os-release")
	}
	status, _, _ := d.Content("/var/lib/dpkg/status")
	for block := range strings.SplitSeq(string(status), "\n\n") {
		if !strings.HasPrefix(strings.TrimLeft(block, "\n"), "Package: openssh-server\n") {
			continue
		}
		_, version, _ := strings.Cut(block, "\nVersion: ")
		version, _, _ = strings.Cut(version, "\n")
		if _, upstream, epoch := strings.Cut(version, ":"); epoch {
			version = upstream
		}
		major, _, _ := strings.Cut(version, ".")
		if len(major) > 1 || strings.HasPrefix(version, "9.8") || strings.HasPrefix(version, "9.9") {
			return "sshd-session"
		}
		return "sshd"
	}
	if strings.Contains(string(release), `VERSION_ID="13"`) {
		return "sshd-session"
	}
	return "sshd"
}
