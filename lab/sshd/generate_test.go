//go:build lab

package sshd

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// caseFiles is one generated configuration: path below /etc/ssh -> content.
type caseFiles map[string]string

// generator makes configurations that lean towards what people write, with a share of what they get wrong.
type generator struct {
	*rand.Rand
	bad bool // allow values that sshd refuses
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) config() caseFiles {
	files := caseFiles{}
	for i := range g.IntN(4) {
		name := fmt.Sprintf("lab.d/%s%d.conf", g.pick("00-", "50-", "10_", "zz"), i)
		files[name] = g.file(g.IntN(6), g.IntN(4) == 0, false)
	}
	if g.IntN(3) == 0 {
		files["lab.extra"] = g.file(1+g.IntN(4), g.IntN(2) == 0, true)
	}
	var b strings.Builder
	if g.IntN(5) > 0 {
		b.WriteString("Include " + g.pick("/etc/ssh/lab.d/*.conf", "lab.d/*.conf", "\"lab.d/*.conf\"", "lab.d/0*.conf lab.d/[1-5]*.conf", "lab.missing") + "\n")
	}
	b.WriteString(g.file(g.IntN(12), g.IntN(2) == 0, false))
	files["lab_config"] = b.String()
	return files
}

// file makes lines; with matches it ends with Match blocks. A file for use inside a block has no global keywords.
func (g *generator) file(lines int, matches, inBlock bool) string {
	var b strings.Builder
	for range lines {
		b.WriteString(g.line(inBlock))
	}
	if !matches {
		return b.String()
	}
	for range 1 + g.IntN(3) {
		b.WriteString(g.spell("Match") + " " + g.criteria() + g.pick("", "", "", " # why") + "\n")
		for range g.IntN(5) {
			b.WriteString(g.pick("", "\t", "    ") + g.line(true))
		}
		if g.IntN(6) == 0 {
			b.WriteString("  Include lab.extra\n")
		}
	}
	return b.String()
}

func (g *generator) spell(word string) string {
	switch g.IntN(8) {
	case 0:
		return strings.ToLower(word)
	case 1:
		return strings.ToUpper(word)
	}
	return word
}

func (g *generator) line(inBlock bool) string {
	if g.IntN(15) == 0 {
		return g.pick("\n", "# comment\n", "   # indented\n", "\t\n")
	}
	table := everywhere
	if !inBlock && g.IntN(2) == 0 {
		table = globalOnly
	}
	if g.bad && g.IntN(12) == 0 {
		table = faulty
	}
	e := table[g.IntN(len(table))]
	key, values, _ := strings.Cut(e, "|")
	value := g.pick(strings.Split(values, "|")...)
	sep := g.pick(" ", " ", " ", "  ", "\t", "=", " = ")
	tail := g.pick("", "", "", "", " ", "\t", " # note")
	if key == "ForceCommand" || key == "VersionAddendum" || strings.HasSuffix(key, "Command") {
		tail = ""
	}
	return g.spell(key) + sep + value + tail + g.pick("\n", "\n", "\n", "\r\n")
}

func (g *generator) criteria() string {
	one := func() string {
		return g.pick(
			"User root", "User alice", "User alice,bob", "User *,!root", "User !root,*", "User r??t", "User nobody2",
			"Group sudo", "Group admins,!blocked", "Group *", "Group blocked", "Host *.example.org", "Host gate.example.org",
			"Host GATE.example.ORG", "Host 192.0.2.*,!192.0.2.9", "Address 10.0.0.0/8", "Address 10.1.2.3", "Address 10.1.2.*",
			"Address !10.1.2.3,10.0.0.0/8", "Address 10.0.0.0/8,!10.1.2.3", "Address 2001:db8::/32", "Address 0.0.0.0/0",
			"Address ::/0", "Address 192.0.2.1/32,10.0.0.0/24", "Address 10.1", "LocalAddress 10.9.9.9", "LocalAddress 10.9.0.0/16",
			"LocalPort 22", "LocalPort 2222", "RDomain x", "user ROOT", "ADDRESS 10.1.2.3")
	}
	switch g.IntN(12) {
	case 0:
		return g.pick("all", "All", "ALL")
	case 1, 2, 3:
		return one() + " " + one()
	case 4:
		return strings.Replace(one(), " ", g.pick("=", "  ", "\t", " = "), 1)
	case 5:
		if g.bad {
			return g.pick("User", "Bogus x", "Address 10.0.0.1/8", "Address 10.0.0.0/40", "all User root", "User root all",
				"LocalPort x", "Exec /bin/true", "Address 10.1.2.3,", "invalid-user", "Version OpenSSH_*", "user=root", "User \"root", "")
		}
	case 6:
		return "User \"root\""
	}
	return one()
}

// globalOnly are keywords of the main section, everywhere those that a Match block takes as well: keyword|value|...
var globalOnly = []string{
	"Port|22|2222|022|65535", "AddressFamily|any|inet|inet6|INET", "ListenAddress|10.0.0.1|0.0.0.0|::|[::1]:2222|10.0.0.1:23|10.1",
	"UsePAM|yes|no|YES", "LoginGraceTime|0|30|1m|2m30s|1h|90s|1w", "StrictModes|no|yes", "PrintMotd|yes|no", "PrintLastLog|no",
	"TCPKeepAlive|no", "KeepAlive|no", "UseDNS|yes", "Compression|yes|no|delayed", "IgnoreUserKnownHosts|yes",
	"GSSAPICleanupCredentials|no", "GSSAPIKeyExchange|yes", "GSSAPIStrictAcceptorCheck|no", "GSSAPICleanupCreds|no",
	"GSSAPIKexAlgorithms|gss-curve25519-sha256-|gss-group14-sha256-,gss-gex-sha1-",
	"KerberosOrLocalPasswd|no", "KerberosTicketCleanup|no", "KerberosGetAFSToken|yes", "XAuthLocation|/usr/bin/xauth2|none|xauth",
	"PidFile|/run/x.pid|none|x", "ModuliFile|/etc/ssh/moduli", "VersionAddendum|none|Hello World|x # y", "DebianBanner|no|yes",
	"Ciphers|aes256-ctr|+aes128-cbc|-aes*-ctr|^aes256-gcm@openssh.com|chacha20-poly1305@openssh.com,aes256-gcm@openssh.com|-*cbc|+3des-cbc,aes256-cbc",
	"MACs|hmac-sha2-512-etm@openssh.com|-*sha1*|+hmac-md5|^hmac-sha2-512|-*|-hmac-sha1,*-etm@openssh.com",
	"KexAlgorithms|curve25519-sha256|+diffie-hellman-group14-sha1|-ecdh-*|^sntrup761x25519-sha512@openssh.com|-*sha512,!x",
	"HostKeyAlgorithms|ssh-ed25519|-ecdsa*|+ssh-rsa|^rsa-sha2-512|*|ssh-ed25519*,rsa-sha2-*",
	"HostKey|/etc/ssh/ssh_host_rsa_key|/etc/ssh/ssh_host_ed25519_key", "HostKeyAgent|none|SSH_AUTH_SOCK|/run/agent",
	"MaxStartups|10:30:60|5|100:1:100|10:30:100|7", "PerSourceMaxStartups|none|5", "PerSourceNetBlockSize|24:56|32:128",
	"SyslogFacility|AUTH|authpriv|LOCAL3|Daemon", "PermitUserEnvironment|no|yes|LANG,LC_*", "FingerprintHash|sha256|md5|SHA512",
	"Protocol|2", "UsePrivilegeSeparation|sandbox|no", "KeyRegenerationInterval|1h", "ServerKeyBits|1024", "UseLogin|no",
	"SecurityKeyProvider|internal|/usr/lib/sk.so|none", "Subsystem|sftp /usr/lib/openssh/sftp-server|sftp internal-sftp|netconf /usr/bin/nc -x|a \"/b c\" \"d e\"",
	"DSAAuthentication|yes", "HostDSAKey|/etc/ssh/ssh_host_rsa_key", "VerifyReverseMapping|yes",
	"HostCertificate|/etc/ssh/missing-cert.pub",
}

var everywhere = []string{
	"PermitRootLogin|yes|no|prohibit-password|without-password|forced-commands-only|No", "PasswordAuthentication|yes|no",
	"KbdInteractiveAuthentication|yes|no", "ChallengeResponseAuthentication|yes|no", "SkeyAuthentication|no", "PubkeyAuthentication|yes|no",
	"PermitEmptyPasswords|yes|no", "HostbasedAuthentication|yes|no", "HostbasedUsesNameFromPacketOnly|yes",
	"IgnoreRhosts|yes|no|shosts-only", "GSSAPIAuthentication|yes", "KerberosAuthentication|yes|no", "X11Forwarding|yes|no",
	"X11DisplayOffset|10|20", "X11UseLocalhost|no", "AllowTcpForwarding|yes|no|local|remote|all", "AllowAgentForwarding|no|yes",
	"AllowStreamLocalForwarding|no|local|all", "GatewayPorts|yes|no|clientspecified", "PermitTunnel|no|yes|ethernet|point-to-point",
	"DisableForwarding|yes|no", "PermitTTY|no|yes", "PermitUserRC|no", "MaxAuthTries|3|4|6|0", "MaxSessions|10|2|0",
	"ClientAliveInterval|0|300|5m|15s", "ClientAliveCountMax|3|0|2", "LogLevel|VERBOSE|info|QUIET|SILENT|debug|DEBUG1|debug3|FATAL",
	"LogVerbose|kex.c:*:1000,*:kex_exchange_identification():*|none|a b", "Banner|none|/etc/issue.net|NONE|issue", "ForceCommand|none|/bin/true --x \"y z\" # no comment|internal-sftp",
	"ChrootDirectory|none|/srv/%u|NONE", "AllowUsers|root|alice bob|root@10.0.0.0/8 alice|*@192.0.2.1|a@b.example.org", "DenyUsers|mallory|eve@10.1.2.3",
	"AllowGroups|sudo admins|ssh-*", "DenyGroups|blocked|nogroup daemon", "AcceptEnv|LANG LC_*|COLORTERM|X_*", "SetEnv|A=1 B=2|C=\"x y\" C=2",
	"AuthorizedKeysFile|.ssh/authorized_keys|/etc/ssh/keys/%u .ssh/authorized_keys|none|~/keys|.ssh/a .ssh/b",
	"AuthorizedKeysCommand|none|/usr/bin/keys %u", "AuthorizedKeysCommandUser|nobody|root", "AuthorizedPrincipalsFile|none|/etc/ssh/p/%u|~/p|None",
	"AuthorizedPrincipalsCommand|none|/usr/bin/principals", "AuthorizedPrincipalsCommandUser|nobody",
	"TrustedUserCAKeys|none|/etc/ssh/ca.pub|ca.pub", "RevokedKeys|none|/etc/ssh/revoked", "AuthenticationMethods|any|publickey|publickey,keyboard-interactive publickey,password|password",
	"PubkeyAcceptedAlgorithms|ssh-ed25519|+ssh-rsa|-ecdsa*|^sk-ssh-ed25519@openssh.com|*ed25519*", "PubkeyAcceptedKeyTypes|-*dss*,*nistp*",
	"HostbasedAcceptedAlgorithms|+ssh-rsa|ssh-ed25519", "HostbasedAcceptedKeyTypes|ssh-ed25519,rsa-sha2-256", "CASignatureAlgorithms|ssh-ed25519|-ecdsa*|+ssh-rsa",
	"PubkeyAuthOptions|none|touch-required|verify-required touch-required", "RekeyLimit|default|1G|512M 1h|1.5G none|default 30m|100k",
	"PermitOpen|any|none|host:22 [::1]:*|10.0.0.1:80", "PermitListen|any|none|8080|localhost:9000 *:1", "IPQoS|none|af21 cs1|0x10|8 16|ef|0",
	"StreamLocalBindMask|0177|0117|77", "StreamLocalBindUnlink|yes|no", "ExposeAuthInfo|yes|no", "RequiredRSASize|2048|3072|1024",
	"ChannelTimeout|none|session=5m|*=1h direct-tcpip=30s", "UnusedConnectionTimeout|none|5m|0", "RSAAuthentication|no", "AuthorizedKeysFile2|x",
	"RhostsRSAAuthentication|no",
}

var faulty = []string{
	"PermitEmptyPassword|no", "PermitRootLogin|maybe|false", "Port|x|0|70000", "MaxAuthTries|-1|x|4x|99999999999", "LoginGraceTime|1x|-5|1.5h|5 m|+5m|m",
	"Ciphers|bogus|aes256-ctr,bogus|+none|!aes256-ctr", "MACs|hmac-bogus|+", "KexAlgorithms|gss-group14-sha256-x|foo|", "HostKeyAlgorithms|foo|rsa|-*",
	"LogLevel|LOUD", "SyslogFacility|KERN2", "AllowUsers|a@10.0.0.1/8|a@|\"\"", "Match|x", "ListenAddress|[::1|10.0.0.1:x|1:2:3", "MaxStartups|10:30|0|30:10:20|10:0:20|a|10:30:60x",
	"Subsystem|sftp|sftp /usr/lib/openssh/sftp-server", "X11Forwarding|yes no|'yes|yes#|\"yes\"", "RekeyLimit|1|5Z|-5|1.2.3G", "IPQoS|lowdelay|throughput reliability|256|x|010|+7",
	"PermitTunnel|Yes", "StreamLocalBindMask|8|1777|0177x", "ChannelTimeout|session|session=x|a=1 none|none a=1", "AuthenticationMethods|any publickey|publickey any|bogus|publickey:x|hostbased",
	"PermitOpen|host|any host:1|host:1 any|a:b", "PermitListen|host:|x", "SetEnv|A", "AcceptEnv|A=1|# nothing", "FingerprintHash|crc",
	"Include|", "Include|\"\"", "RDomain|none|x", "PerSourcePenalties|yes|no|crash:1m authfail:2 max:600|yes no|foo:1|overflow:deny-all|max-sources4:10", "PerSourcePenaltyExemptList|10.0.0.0/8,192.0.2.1|10.0.0.1/8|none",
	"RefuseConnection|yes", "SshdSessionPath|/x", "PAMServiceName|other", "VersionAddendum|none", "Nonsense|1", "AllowGroups|# x", "HostKey|\"\"", "AuthorizedKeysFile|\"\"",
	"LogVerbose|none a|a none", "PubkeyAuthOptions|bogus", "GSSAPIKexAlgorithms|curve25519-sha256", "CASignatureAlgorithms|ssh-ed25519-cert-v01@openssh.com",
	"PerSourceNetBlockSize|33:1|a|24:129", "UnusedConnectionTimeout|x", "Banner|it's", "ForceCommand|it's", "AuthorizedKeysCommand|relative",
	"TrustedUserCAKeys|a b", "DebianBanner|maybe", "ListenAddress|::ffff:1.2.3.4|010.1.1.1|0x7f.1",
}
