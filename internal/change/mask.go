package change

import (
	"regexp"
	"strings"
)

// hidden stands where a secret stood.
const hidden = "[hidden]"

// What a secret looks like in the files of Debian and Proxmox VE. A diff shows the lines around a change, and so what nobody meant to show.
var (
	// secretKey is a whole key that names a secret: password, http_password, cipassword; not PasswordAuthentication, not
	// smtp_sasl_password_maps.
	secretKey = `(?:[a-z0-9_.-]*[_.-])?(?:ci)?(?:password|passwd|passphrase|secret|secret[-_]?key|client[-_]?key|private[-_]?key|preshared[-_]?key|api[-_]?key|psk|requirepass)`
	// secretLine is such a key with everything behind it. The colon is followed by a blank: user.cfg parts fields by colons alone.
	secretLine = regexp.MustCompile(`(?i)^([ \t]*["']?` + secretKey + `["']?[ \t]*(?:=|:[ \t])[ \t]*)(.+)$`)
	// secretWord is one within a line: password=..., token=..., secret=...
	secretWord = regexp.MustCompile(`(?i)((?:^|[\s,;&?"'{(])(?:` + secretKey + `|(?:[a-z0-9_.-]*[_.-])?token)=)("[^"]*"|'[^']*'|[^\s,;&]+)`)
	// secretIndented is an indented line of a section configuration; a line of PAM has the name of its module in it.
	secretIndented = regexp.MustCompile(`(?i)^([ \t]+` + secretKey + `[ \t]+)(\S.*)$`)
	// bootPassword is GRUB's: "password root secret", "password_pbkdf2 root grub.pbkdf2...".
	bootPassword = regexp.MustCompile(`^([ \t]*password_pbkdf2[ \t]+\S+[ \t]+)(\S+)`)
	bootHash     = regexp.MustCompile(`grub\.pbkdf2\.\S+`)
	// cryptHash is a hash as crypt(5) lists them; bcrypt and argon2 as programs write them.
	cryptHash = regexp.MustCompile(`\$(?:y|gy|7|1|5|6|md5|sha1|2[abxy]?|argon2[a-z]*)\$[^\s:"',]+`)
	// login are user and password of a URL; the password may hold an "@".
	login = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/"']*@`)
	// rawKey is a line of an encoded key or certificate.
	rawKey = regexp.MustCompile(`^[ \t]*[A-Za-z0-9+/]{60,}={0,2}[ \t]*$`)
	// keyring is the key of a Ceph user.
	keyring = regexp.MustCompile(`^([ \t]*key[ \t]*=[ \t]*)([A-Za-z0-9+/]{20,}={0,2})[ \t]*$`)
	// environment of containers, and arguments of QEMU that name a secret.
	environment = regexp.MustCompile(`^((?:env|lxc\.environment[a-z.]*)[ \t]*[:=][ \t]*)(.+)$`)
	arguments   = regexp.MustCompile(`(?i)^(args:[ \t]*)(.*(?:secret|password|passwd|key).*)$`)
)

// masked hides the secrets in a unified diff. Hidden lines that differ are still shown as different.
func masked(d string) string {
	var b strings.Builder
	for l := range strings.Lines(d) {
		text := strings.TrimRight(l, "\r\n")
		end := l[len(text):]
		if text == "" || strings.HasPrefix(text, "--- ") || strings.HasPrefix(text, "+++ ") || strings.HasPrefix(text, "@@") {
			b.WriteString(l)
			continue
		}
		b.WriteString(text[:1] + maskLine(text[1:]) + end)
	}
	return b.String()
}

// maskLine hides the secrets in a line of a file.
func maskLine(l string) string {
	switch {
	case rawKey.MatchString(l):
		return hidden
	case environment.MatchString(l):
		return environment.ReplaceAllString(l, "${1}"+hidden)
	case arguments.MatchString(l):
		return arguments.ReplaceAllString(l, "${1}"+hidden)
	case secretLine.MatchString(l):
		return secretLine.ReplaceAllString(l, "${1}"+hidden)
	case secretIndented.MatchString(l) && !strings.Contains(l, "pam_"):
		return secretIndented.ReplaceAllString(l, "${1}"+hidden)
	}
	for _, r := range []struct {
		re *regexp.Regexp
		to string
	}{{secretWord, "${1}" + hidden}, {bootPassword, "${1}" + hidden}, {bootHash, hidden}, {cryptHash, hidden}, {login, "${1}" + hidden + "@"}, {keyring, "${1}" + hidden}} {
		l = r.re.ReplaceAllString(l, r.to)
	}
	return maskUser(l)
}

// maskUser hides the keys of a second factor that older releases kept in user.cfg; "x" says that they stand elsewhere
// (pve-access-control, PVE/AccessControl.pm).
func maskUser(l string) string {
	f := strings.Split(l, ":")
	const keys = 8
	if f[0] != "user" || len(f) <= keys || f[keys] == "" || f[keys] == "x" || strings.HasPrefix(f[keys], "x!") {
		return l
	}
	f[keys] = hidden
	return strings.Join(f, ":")
}
