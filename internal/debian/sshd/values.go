package sshd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseNumber reads a decimal number from 0 to hi as C's strtoll does: blanks and a sign may come first.
func parseNumber(s string, hi int64) (int64, error) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	n, err := strconv.ParseInt(t, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && strings.HasPrefix(t, "-"), err == nil && n < 0:
		return 0, errors.New("too small")
	case errors.Is(err, strconv.ErrRange), err == nil && n > hi:
		return 0, errors.New("too large")
	case err != nil || strings.Contains(t, "_"):
		return 0, errors.New("invalid")
	}
	return n, nil
}

// parseTime reads a time like 90, 2m or 1h30m and gives seconds (sshd_config(5), TIME FORMATS). OpenSSH 9.2 lets
// blanks and a plus sign come before each number; 10.0 does not.
func parseTime(s string, modern bool) (int64, error) {
	bad := fmt.Errorf("invalid time value %q", s)
	if s == "" {
		return 0, bad
	}
	var total int64
	for p := s; p != ""; {
		q := p
		if !modern {
			q = strings.TrimLeft(q, " \t\n\v\f\r")
			q = strings.TrimPrefix(q, "+")
			if strings.HasPrefix(q, "-0") && strings.Trim(leadingDigits(q[1:]), "0") == "" {
				q = q[1:]
			}
		}
		d := leadingDigits(q)
		n, err := strconv.ParseInt(d, 10, 64)
		if err != nil || n > math.MaxInt32 {
			return 0, bad
		}
		p = q[len(d):]
		factor := int64(1)
		if p != "" {
			factor = timeFactor(p[0])
			p = p[1:]
		}
		if factor == 0 || n*factor > math.MaxInt32-total {
			return 0, bad
		}
		total += n * factor
	}
	return total, nil
}

func leadingDigits(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}

func timeFactor(unit byte) int64 {
	switch unit {
	case 's', 'S':
		return 1
	case 'm', 'M':
		return 60
	case 'h', 'H':
		return 3600
	case 'd', 'D':
		return 86400
	case 'w', 'W':
		return 604800
	}
	return 0
}

// parseSize reads an amount of bytes with an optional fraction and one of the suffixes B K M G T P E.
func parseSize(s string) (int64, error) {
	bad := fmt.Errorf("invalid size %q", s)
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	sign := int64(1)
	if strings.HasPrefix(t, "-") {
		sign = -1
	}
	if strings.HasPrefix(t, "-") || strings.HasPrefix(t, "+") {
		t = t[1:]
	}
	whole := leadingDigits(t)
	t = t[len(whole):]
	var fraction string
	if strings.HasPrefix(t, ".") {
		fraction = leadingDigits(t[1:])
		t = t[1+len(fraction):]
	}
	var n int64
	if whole != "" {
		v, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || len(whole) >= 19 {
			return 0, bad
		}
		n = v
	}
	if t == "" {
		return sign * n, nil
	}
	exp := strings.IndexByte("BKMGTPE", t[0]&^0x20)
	if exp < 0 || len(t) > 1 && isAlnum(t[1]) {
		return 0, bad
	}
	factor := int64(1) << (10 * exp)
	if n > math.MaxInt64/factor {
		return 0, bad
	}
	return sign*n*factor + scaledFraction(fraction, factor), nil
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// scaledFraction gives the part after the point times factor, truncated digit by digit as the BSD function does.
func scaledFraction(fraction string, factor int64) int64 {
	if len(fraction) > 17 {
		fraction = fraction[:17]
	}
	f, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return 0
	}
	digits := len(fraction)
	if f >= math.MaxInt64/factor {
		f /= factor
		for range digits {
			f /= 10
		}
		return f * factor
	}
	f *= factor
	for range digits {
		f /= 10
	}
	return f
}

// scanInts reads up to three integers separated by colons as C's sscanf("%d:%d:%d") does, and gives how many it
// found; text after them is ignored.
func scanInts(s string, max int) []int {
	var out []int
	for len(out) < max {
		s = strings.TrimLeft(s, " \t\n\v\f\r")
		sign := ""
		if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
			sign, s = strings.TrimPrefix(s[:1], "+"), s[1:]
		}
		d := leadingDigits(s)
		n, err := strconv.ParseInt(sign+d, 10, 32)
		if err != nil {
			return out
		}
		out = append(out, int(n))
		s = s[len(d):]
		if !strings.HasPrefix(s, ":") {
			return out
		}
		s = s[1:]
	}
	return out
}

// choice is one of several words that a keyword takes and the word that sshd -T prints for it.
type choice struct{ word, printed string }

func flagChoices() []choice { return []choice{{"yes", "yes"}, {"no", "no"}} }

func pick(arg string, choices []choice) (string, error) {
	for _, c := range choices {
		if strings.EqualFold(arg, c.word) {
			return c.printed, nil
		}
	}
	return "", fmt.Errorf("unsupported option %q", arg)
}

// qosNames lists the names of IPQoS values in the order in which sshd looks for one to print (RFC 2474, 3662, 8622).
var qosNames = []struct {
	name  string
	value int
}{
	{"none", math.MaxInt32},
	{"af11", 0x28}, {"af12", 0x30}, {"af13", 0x38}, {"af21", 0x48}, {"af22", 0x50}, {"af23", 0x58},
	{"af31", 0x68}, {"af32", 0x70}, {"af33", 0x78}, {"af41", 0x88}, {"af42", 0x90}, {"af43", 0x98},
	{"cs0", 0x00}, {"cs1", 0x20}, {"cs2", 0x40}, {"cs3", 0x60}, {"cs4", 0x80}, {"cs5", 0xa0}, {"cs6", 0xc0},
	{"cs7", 0xe0}, {"ef", 0xb8}, {"le", 0x04},
	{"lowdelay", 0x10}, {"throughput", 0x08}, {"reliability", 0x04},
}

const qosDeprecatedFrom = "lowdelay" // this and the names after it are ignored by Debian 13's sshd

// notC reports whether Go reads a number that C does not: underscores, 0b1, 0o7.
func notC(s string) bool {
	t := strings.ToLower(strings.TrimLeft(s, " \t\n\v\f\r+-"))
	return strings.Contains(t, "_") || strings.HasPrefix(t, "0b") || strings.HasPrefix(t, "0o")
}

// parseQoS gives the name that sshd -T prints for an IPQoS value.
func parseQoS(s string, modern bool) (string, error) {
	value, deprecated := -1, false
	for _, q := range qosNames {
		deprecated = deprecated || q.name == qosDeprecatedFrom
		if strings.EqualFold(s, q.name) {
			value = q.value
			break
		}
	}
	switch {
	case value >= 0 && deprecated && modern:
		return "none", nil
	case value < 0 && modern:
		n, err := parseNumber(s, 255)
		if err != nil {
			return "", fmt.Errorf("bad IPQoS value %q", s)
		}
		value = int(n)
	case value < 0:
		n, err := strconv.ParseInt(strings.TrimLeft(s, " \t\n\v\f\r"), 0, 64)
		if err != nil || n < 0 || n > 255 || notC(s) {
			return "", fmt.Errorf("bad IPQoS value %q", s)
		}
		value = int(n)
	}
	for _, q := range qosNames {
		if q.name == qosDeprecatedFrom && modern {
			break
		}
		if q.value == value {
			return q.name, nil
		}
	}
	return fmt.Sprintf("0x%02x", value), nil
}
