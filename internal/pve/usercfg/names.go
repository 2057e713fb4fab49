package usercfg

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Limits of user names, in bytes (PVE/Auth/Plugin.pm verify_username).
const (
	minUser = 3
	maxUser = 64
)

// blank is what Perl's \s matches in a text of bytes.
func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// trim removes blanks of ASCII at both ends; unlike strings.TrimSpace no others.
func trim(s string) string {
	for s != "" && blank(s[0]) {
		s = s[1:]
	}
	for s != "" && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func every(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return s != ""
}

func digits(s string) bool { return every(s, digit) }

func nameByte(c byte) bool { return letter(c) || digit(c) || c == '.' || c == '-' || c == '_' }

// validName is the form of groups and roles.
func validName(s string) bool { return every(s, nameByte) }

// validRealm is the form of realms and of the short names of tokens: two characters at least, the first a letter.
func validRealm(s string) bool { return len(s) >= 2 && letter(s[0]) && validName(s) }

// validUserAndRealm is the form user@realm; the realm is what follows the last "@".
func validUserAndRealm(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && validRealm(s[at+1:]) && every(s[:at], func(c byte) bool { return !blank(c) && c != ':' && c != '/' })
}

// ValidUser reports whether PVE accepts a text as the full name of a user: name@realm, 3 to 64 bytes, without blanks, ":"
// and "/" in the name.
func ValidUser(s string) bool {
	return len(s) >= minUser && len(s) <= maxUser && validUserAndRealm(s)
}

// SplitToken splits the full name of a token, "alice@pve!backup", into the user and the short name.
func SplitToken(id string) (user, name string, ok bool) {
	bang := strings.LastIndexByte(id, '!')
	if bang < 0 || !validRealm(id[bang+1:]) || !validUserAndRealm(id[:bang]) {
		return "", "", false
	}
	return id[:bang], id[bang+1:], true
}

// maxPoolDepth is how deep pools nest (pve-access-control 8.0.7).
const maxPoolDepth = 3

func validPool(s string) bool {
	n := 0
	for part := range strings.SplitSeq(s, "/") {
		if n++; n > maxPoolDepth || !validName(part) {
			return false
		}
	}
	return true
}

func validStorage(s string) bool {
	return len(s) >= 2 && letter(s[0]) && (letter(s[len(s)-1]) || digit(s[len(s)-1])) && validName(s)
}

// list splits a list as PVE does: at NUL bytes when there are any (then empty elements count, but not at the end), else at
// commas, semicolons and blanks. The list "0" is empty, as "0" is false to Perl.
func list(s string) []string {
	if !pve.Truth(s) {
		return nil
	}
	if strings.IndexByte(s, 0) < 0 {
		return pve.List(s)
	}
	parts := strings.Split(s, "\x00")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// NormalizePath brings an ACL path into the form that PVE compares: one slash in front and between, none at the end. It
// fails for an empty path, for "0", and for characters other than letters, digits, '.', '-', '_' and '/'.
func NormalizePath(s string) (string, bool) {
	if !pve.Truth(s) {
		return "", false
	}
	if !every(s, func(c byte) bool { return nameByte(c) || c == '/' }) {
		return "", false
	}
	if s[0] == '/' && !strings.Contains(s, "//") && (len(s) == 1 || s[len(s)-1] != '/') {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s) + 1)
	for i := range len(s) {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b.WriteByte(s[i])
		}
	}
	s = strings.TrimSuffix(b.String(), "/")
	if !pve.Truth(s) { // "0/" is the root to PVE
		return "/", true
	}
	if s[0] != '/' {
		s = "/" + s
	}
	return s, true
}

// treePath is where an entry for a path hangs in PVE's tree: components that are "0" are left out
// (PVE::AccessControl::find_acl_tree_node skips what Perl takes for false).
func treePath(path string) string {
	if !strings.Contains(path, "/0") {
		return path
	}
	var kept []string
	for part := range strings.SplitSeq(path, "/") {
		if pve.Truth(part) {
			kept = append(kept, part)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// clip shortens hostile text for a message.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
