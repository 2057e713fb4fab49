package dpkg

import (
	"fmt"
	"strings"
)

// Version is a version number of a Debian package, split as Debian Policy 5.6.12 says:
// [epoch:]upstream[-revision].
type Version struct {
	// Epoch is the number before the first colon, "0" when there is none; kept as text because nothing bounds it.
	Epoch string
	// Upstream is what lies between epoch and revision.
	Upstream string
	// Revision is what follows the last hyphen; empty when there is none, which counts as "0".
	Revision string
}

// Split takes a version number apart. It accepts every string, as a comparison must not fail on odd packages; use
// [Valid] to judge the form.
func Split(s string) Version {
	s = strings.TrimSpace(s)
	v := Version{Epoch: "0"}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		v.Epoch, s = s[:i], s[i+1:]
	}
	v.Upstream = s
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		v.Upstream, v.Revision = s[:i], s[i+1:]
	}
	return v
}

// Valid tells what is wrong with the form of a version number, nil when nothing is: the epoch is a number, the
// upstream version is not empty and the rest holds only the characters of Debian Policy 5.6.12.
func Valid(s string) error {
	v := Split(s)
	switch {
	case v.Epoch == "" || strings.Trim(v.Epoch, "0123456789") != "":
		return fmt.Errorf("version %.80q: the epoch before the colon must be a number", s)
	case v.Upstream == "":
		return fmt.Errorf("version %.80q: the upstream version is empty", s)
	case strings.ContainsFunc(v.Upstream, func(r rune) bool { return !allowed(r) && r != '-' && r != ':' }),
		strings.ContainsFunc(v.Revision, func(r rune) bool { return !allowed(r) }):
		return fmt.Errorf("version %.80q: only letters, digits and . + - ~ : may stand in it", s)
	}
	return nil
}

func allowed(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '+' || r == '~'
}

// Compare orders two version numbers as dpkg does (Debian Policy 5.6.12): -1 when a is older than b, 0 when they are
// equal, 1 when a is newer.
func Compare(a, b string) int {
	va, vb := Split(a), Split(b)
	if c := compareNumbers(va.Epoch, vb.Epoch); c != 0 {
		return c
	}
	if c := comparePart(va.Upstream, vb.Upstream); c != 0 {
		return c
	}
	return comparePart(va.Revision, vb.Revision)
}

// comparePart compares an upstream version or a revision: alternately the longest prefix without digits, by the order
// of rank, and the longest prefix of digits, as a number.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !digit(a[0])) || (b != "" && !digit(b[0])) {
			ra, rb := rank(a), rank(b)
			if ra != rb {
				return sign(ra - rb)
			}
			a, b = a[min(1, len(a)):], b[min(1, len(b)):]
		}
		na, nb := digits(a), digits(b)
		if c := compareNumbers(a[:na], b[:nb]); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
	}
	return 0
}

// rank orders the first character of a part without digits: a tilde before the end, the end before letters, letters
// before everything else. A digit ends the part, so it ranks as its end.
func rank(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z', s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// compareNumbers compares numbers of any length written in decimal digits; an empty one is zero.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
