package firewall

import (
	"fmt"
	"strconv"
	"strings"
)

// strictRule takes a rule apart and judges it as proxmox-firewall does.
func strictRule(line string) (r Rule, why string) {
	r.Enabled = true
	if i := strings.LastIndexByte(line, '#'); i >= 0 && i+1 < len(line) {
		r.Comment, line = strings.TrimSpace(line[i+1:]), strings.TrimSpace(line[:i])
	}
	if rest, ok := strings.CutPrefix(line, "|"); ok {
		r.Enabled, line = false, strings.TrimSpace(rest)
	}
	kind, rest, ok := strictName(line)
	if !ok {
		return r, "it has no type"
	}
	r.Type = strings.ToLower(kind)
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(line, "GROUP") {
		if r.Type != "group" {
			return r, fmt.Sprintf("unknown type %q", clip(kind))
		}
		if r.Action, rest, ok = strictName(rest); !ok {
			return r, "it has no name of a group"
		}
	} else {
		if r.Type != "in" && r.Type != "out" && r.Type != "forward" {
			return r, fmt.Sprintf("unknown type %q; there are IN, OUT, FORWARD and GROUP, the last in upper case", clip(kind))
		}
		if rest, why = r.strictAction(rest); why != "" {
			return r, why
		}
	}
	if why = r.strictFlags(rest); why != "" {
		return r, why
	}
	return r, r.strictValues()
}

func (r *Rule) strictAction(s string) (rest, why string) {
	action, rest, ok := strictName(s)
	if !ok {
		return "", "it has no action"
	}
	if after, found := strings.CutPrefix(rest, "("); found {
		r.Macro = action
		if action, rest, ok = strictName(after); !ok || !strings.HasPrefix(rest, ")") {
			return "", "the action of the macro is not closed"
		}
		rest = rest[1:]
	}
	r.Action = strings.ToUpper(action)
	if r.Action != "ACCEPT" && r.Action != "DROP" && r.Action != "REJECT" {
		return "", fmt.Sprintf("unknown action %q", clip(action))
	}
	return rest, ""
}

// strictFlags reads the flags: any white space between flag and value, none of them twice.
func (r *Rule) strictFlags(s string) string {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		rest, ok := strings.CutPrefix(s, "-")
		rest = strings.TrimPrefix(rest, "-")
		name, rest, ok2 := strictName(rest)
		if !ok || !ok2 {
			return fmt.Sprintf("no option at %q", clip(s))
		}
		value, after := word(strings.TrimSpace(rest))
		if value == "" {
			return fmt.Sprintf("no value for -%s", clip(name))
		}
		field := r.strictField(name)
		switch {
		case field == nil:
			return fmt.Sprintf("unknown option -%s", clip(name))
		case *field != "":
			return fmt.Sprintf("the option -%s is given twice", clip(name))
		case r.Type == "group" && field != &r.Iface:
			return "a GROUP line takes -i only"
		}
		*field = value
		s = after
	}
	return ""
}

func (r *Rule) strictField(name string) *string {
	switch name {
	case "p", "proto":
		return &r.Proto
	case "i", "iface":
		return &r.Iface
	case "dport":
		return &r.DPort
	case "sport":
		return &r.SPort
	case "source":
		return &r.Source
	case "dest":
		return &r.Dest
	case "log":
		return &r.Log
	case "icmp-type":
		return &r.ICMPType
	}
	return nil
}

func (r *Rule) strictValues() string {
	if r.DPort != "" && r.ICMPType != "" {
		return "-dport and -icmp-type exclude each other"
	}
	if r.Log != "" && !strictLevel(r.Log) {
		return fmt.Sprintf("unknown log level %q", clip(r.Log))
	}
	families := [2]int{}
	for i, a := range []string{r.Source, r.Dest} {
		if a == "" || strictReference(a) {
			continue
		}
		ranges, why := StrictAddresses(a)
		if why != "" {
			return why
		}
		families[i] = familyOf(ranges[0].From)
	}
	if families[0] != 0 && families[1] != 0 && families[0] != families[1] {
		return "IPv4 and IPv6 are mixed"
	}
	if HasPorts(r.Proto) {
		for _, ports := range []string{r.SPort, r.DPort} {
			if _, why := StrictPorts(ports); ports != "" && why != "" {
				return why
			}
		}
	}
	if n, ok := StrictProtocol(r.Proto); ok && r.ICMPType != "" && (n == 1 || n == 58) {
		if _, ok := StrictICMP(r.ICMPType, n == 58); !ok {
			return fmt.Sprintf("%q is neither an ICMP type nor a code", clip(r.ICMPType))
		}
	}
	return ""
}

func strictReference(s string) bool {
	var name string
	if IsSet(s) {
		_, name = SetName(s)
	} else {
		_, name = AliasName(s)
	}
	_, rest, ok := strictName(name)
	return ok && rest == ""
}

// StrictAddresses reads a source or destination that is no name as proxmox-firewall does: addresses, networks and ranges.
func StrictAddresses(s string) (ranges []Range, why string) {
	family := 0
	for _, e := range strings.Split(s, ",") {
		var r Range
		if p, ok := CIDR(e); ok {
			r = prefixRange(p)
		} else if from, to, found := strings.Cut(e, "-"); found {
			if r, ok = parseRange(from, to); !ok {
				return nil, fmt.Sprintf("invalid range %q", clip(e))
			}
		} else {
			return nil, fmt.Sprintf("invalid IP address %q", clip(e))
		}
		if fam := familyOf(r.From); family != 0 && fam != family {
			return nil, "IPv4 and IPv6 are mixed"
		} else {
			family = fam
		}
		ranges = append(ranges, r)
	}
	return ranges, ""
}

// StrictPorts reads a list of ports as proxmox-firewall does: names may be the ends of ranges, and there is no limit.
func StrictPorts(s string) (ranges []PortRange, why string) {
	for _, e := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(e, ":")
		if !isRange {
			to = from
		}
		a, ok1 := strictPort(from)
		b, ok2 := strictPort(to)
		switch {
		case !ok1 || !ok2:
			return nil, fmt.Sprintf("invalid port %q", clip(e))
		case a > b:
			return nil, fmt.Sprintf("the range %s is backwards", clip(e))
		}
		ranges = append(ranges, PortRange{a, b})
	}
	return ranges, ""
}

func strictPort(s string) (uint16, bool) {
	if s != "" && digit(s[0]) {
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			return uint16(n), true
		}
	}
	return servicePort(s)
}

// StrictProtocol is the number of a protocol; any number will do.
func StrictProtocol(s string) (uint8, bool) {
	if s == "" || !digit(s[0]) {
		return protocolNumber(s)
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil
}

// StrictICMP finds an ICMP type or code; a code comes with Type -1 and is compared without its type.
func StrictICMP(s string, six bool) (ICMPType, bool) {
	if strings.EqualFold(s, "any") {
		return ICMPType{-1, -1}, true
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return ICMPType{int(n), -1}, true
	}
	known := strictICMP
	if six {
		known = strictICMPv6
	}
	t, ok := known[s]
	return t, ok
}
