package fail2ban

import (
	"fmt"
	"regexp"
	"strings"
)

// Limits of tag substitution: how often one tag may be replaced within a value (helpers.py, MAX_TAG_REPLACE_COUNT), and
// how many passes over a value are made.
const (
	maxTagReplace = 25
	maxTagPasses  = 25
)

// substitute replaces <tag> by the option of that name until nothing changes, innermost first: <mdre-<mode>> becomes
// <mdre-normal> and then its value. Tags that name no option, like <HOST>, stay.
func substitute(name, value string, lookup func(string) (string, bool)) (string, error) {
	tag := regexp.MustCompile(`<([^ <>]+)>`)
	counts := map[string]int{}
	for range maxTagPasses {
		before := value
		for pos := 0; ; {
			m := tag.FindStringSubmatchIndex(value[pos:])
			if m == nil {
				break
			}
			t := value[pos+m[2] : pos+m[3]]
			repl, ok := lookup(t)
			if !ok {
				pos += m[1]
				continue
			}
			if t == name || counts[t] >= maxTagReplace {
				return "", fmt.Errorf("<%s> in %s goes round in circles", clip(t), clip(name))
			}
			counts[t]++
			value = strings.ReplaceAll(value, "<"+t+">", repl)
			if len(value) > maxExpanded {
				return "", fmt.Errorf("%s grows without limit", clip(name))
			}
			pos += m[0]
		}
		if value == before {
			return value, nil
		}
	}
	return "", fmt.Errorf("tags in %s do not come to an end", clip(name))
}

// The address expressions behind <HOST> and its kin. The IPv6 one avoids look-behind, so that the linear engine takes
// it: groups of hex digits between colons, ending in a group or in "::".
const (
	reIPv4 = `(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})`
	reIPv6 = `(?P<ip6>(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,7}:|::)`
	reDNS  = `(?P<dns>[\w\-.^_]*\w)`
	reCIDR = `(?P<cidr>\d+)`
	reAddr = `\[?(?:` + reIPv4 + `|` + reIPv6 + `)\]?`
)

// addressTag gives the expression of fail2ban's own tags (server/failregex.py).
func addressTag(tag string) (string, bool) {
	switch strings.TrimSuffix(strings.TrimPrefix(tag, "F-"), "/") {
	case "HOST":
		return `(?:` + reAddr + `|` + reDNS + `)`, tag == "HOST"
	case "ADDR":
		return reAddr, tag == "ADDR" || tag == "F-ADDR/"
	case "IP4":
		return reIPv4, tag == "IP4" || tag == "F-IP4/"
	case "IP6":
		return reIPv6, tag == "IP6" || tag == "F-IP6/"
	case "DNS":
		return reDNS, tag == "DNS" || tag == "F-DNS/"
	case "CIDR":
		return reCIDR, tag == "CIDR" || tag == "F-CIDR/"
	case "SUBNET":
		return `\[?(?:` + reIPv4 + `|` + reIPv6 + `)(?:/` + reCIDR + `)?\]?`, tag == "SUBNET" || tag == "F-SUBNET/"
	case "ID":
		return `(?P<fid>\S+)`, tag == "F-ID/"
	case "PORT":
		return `(?P<fport>\w+)`, tag == "F-PORT/"
	}
	return "", false
}

// hostTags replaces the tags of regular expressions: addresses, and <F-NAME>...</F-NAME> as named groups.
func hostTags(re string) string {
	open := map[string]bool{}
	return regexp.MustCompile(`</?[\w\-]+/?>`).ReplaceAllStringFunc(re, func(m string) string {
		tag := m[1 : len(m)-1]
		if expr, ok := addressTag(tag); ok {
			return expr
		}
		if tag == "SKIPLINES" {
			return `\n(?:(?:.*\n)*?)`
		}
		closing := strings.HasPrefix(tag, "/")
		name, ok := strings.CutPrefix(strings.TrimPrefix(tag, "/"), "F-")
		if !ok || !customName(name) {
			return m
		}
		if closing {
			if open[name] {
				return ")"
			}
			return m
		}
		open[name] = true
		switch name {
		case "ID":
			return "(?P<fid>"
		case "PORT":
			return "(?P<fport>"
		}
		return "(?P<" + strings.ReplaceAll(strings.ToLower(name), "-", "_") + ">"
	})
}

func customName(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
