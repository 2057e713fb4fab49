package firewall

import (
	"fmt"
	"strconv"
	"strings"
)

// maxPortNumbers is how many numbers a list of ports may have; a range counts twice (the limit of iptables' multiport).
const maxPortNumbers = 15

// perlTrue is Perl's truth: PVE takes a property "0" for one that is not there.
func perlTrue(s string) bool { return s != "" && s != "0" }

// perlRule takes a line apart as parse_fw_rule does, without judging it. Why is set when the line is lost.
func perlRule(line string) (r Rule, why string) {
	r.Enabled = true
	if i := strings.IndexByte(line, '#'); i >= 0 {
		r.Comment = trimSpace(line[i+1:])
		line = line[:i]
	}
	if strings.HasPrefix(line, "|") {
		r.Enabled = false
		line = line[1:]
	}
	kind, rest := word(line)
	if kind == "" || rest == "" {
		return r, "it has no type and action"
	}
	action, rest := word(skipSpace(rest))
	if action == "" {
		return r, "it has no action"
	}
	r.Type, r.Action = strings.ToLower(kind), action
	if r.Type == "in" || r.Type == "out" || r.Type == "forward" {
		r.splitMacro()
	}
	rest = skipSpace(rest)
	for rest != "" {
		left, ok := r.flag(rest)
		if !ok {
			return r, fmt.Sprintf("cannot parse %q", clip(rest))
		}
		rest = left
	}
	return r, ""
}

func skipSpace(s string) string {
	for s != "" && space(s[0]) {
		s = s[1:]
	}
	return s
}

// splitMacro takes "SSH(ACCEPT)" apart. The greedy pattern of PVE finds the last "(ACTION)".
func (r *Rule) splitMacro() {
	for _, v := range []string{"(ACCEPT)", "(DROP)", "(REJECT)"} {
		if name, ok := strings.CutSuffix(r.Action, v); ok && name != "" {
			r.Macro, r.Action = name, v[1:len(v)-1]
			if m, ok := MacroByName(name); ok {
				r.Macro = m.Name
			}
			return
		}
	}
}

var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"}

// flag reads one "-flag value" at the start of s: exactly one blank between them. A rule of type group takes -i only.
func (r *Rule) flag(s string) (rest string, ok bool) {
	name, after, found := strings.Cut(s, " ")
	if !found {
		return s, false
	}
	var field *string
	switch name {
	case "-i":
		field = &r.Iface
	case "-p", "-proto", "--proto":
		field = &r.Proto
	case "-dport", "--dport":
		field = &r.DPort
	case "-sport", "--sport":
		field = &r.SPort
	case "-source", "--source":
		field = &r.Source
	case "-dest", "--dest":
		field = &r.Dest
	case "-log", "--log":
		field = &r.Log
	case "-icmp-type", "--icmp-type":
		field = &r.ICMPType
	default:
		return s, false
	}
	if r.Type == "group" && name != "-i" {
		return s, false
	}
	if field == &r.Log { // the level need not end where the word ends
		for _, l := range logLevels {
			if left, ok := strings.CutPrefix(after, l); ok {
				r.Log = l
				return skipSpace(left), true
			}
		}
		return s, false
	}
	value, left := word(after)
	if value == "" {
		return s, false
	}
	*field = value
	return skipSpace(left), true
}

// column is where the flag of a property stands in a line, 0 when it does not.
func column(line, property string) int {
	names := []string{"-" + property + " "}
	switch property {
	case "iface":
		names = []string{"-i "}
	case "proto":
		names = []string{"-p ", "-proto ", "-dport ", "-sport ", "-icmp-type "}
	}
	for _, n := range names {
		if i := strings.Index(line, n); i >= 0 {
			return i + 1
		}
	}
	return 0
}

func (r *Rule) add(property, format string, args ...any) {
	for _, e := range r.Errors {
		if e.Property == property {
			return // PVE keeps the first
		}
	}
	r.Errors = append(r.Errors, RuleError{property, fmt.Sprintf(format, args...)})
}

// check finds the errors that the rule has by itself (verify_rule).
func (r *Rule) check(kind Kind, inGroup bool) {
	r.checkType(kind, inGroup)
	if perlTrue(r.Iface) {
		r.checkIface(kind, inGroup)
	}
	if r.Macro != "" {
		if _, ok := MacroByName(r.Macro); !ok {
			r.add("macro", "unknown macro %q", clip(r.Macro))
		}
	}
	if perlTrue(r.Proto) && !knownProtocol(r.Proto) {
		r.add("proto", "unknown protocol %q", clip(r.Proto))
	}
	r.checkPorts()
	for _, a := range []struct{ property, value string }{{"source", r.Source}, {"dest", r.Dest}} {
		if perlTrue(a.value) {
			r.checkAddress(a.property, a.value)
		}
	}
}

func (r *Rule) checkType(kind Kind, inGroup bool) {
	allowed := []string{"in", "out", "forward", "group"}
	where := string(kind) + " firewall"
	switch {
	case inGroup:
		allowed, where = allowed[:3], "security group"
	case kind == GuestFile:
		allowed = []string{"in", "out", "group"}
	case kind == VNetFile:
		allowed = []string{"forward", "group"}
	}
	if !contains(allowed, r.Type) {
		r.add("type", "%q is no type of a rule in a %s; there are %s", clip(r.Type), where, strings.Join(allowed, ", "))
	}
	switch r.Type {
	case "in", "out", "forward":
		if r.Type == "forward" && r.Action == "REJECT" {
			r.add("action", "a FORWARD rule cannot REJECT")
		}
		if r.Action != "ACCEPT" && r.Action != "DROP" && r.Action != "REJECT" {
			r.add("action", "unknown action %q; ACCEPT, DROP and REJECT are in upper case", clip(r.Action))
		}
	case "group":
		if !validName(r.Action) {
			r.add("action", "%q is no name of a security group", clip(r.Action))
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func (r *Rule) checkIface(kind Kind, inGroup bool) {
	if inGroup || kind == VNetFile {
		r.add("type", "-i is not allowed here")
	}
	n, isNet := strings.CutPrefix(r.Iface, "net")
	switch {
	case kind == GuestFile && !(isNet && digits(n)):
		r.add("iface", "%q is no NIC of a guest, which is netN", clip(r.Iface))
	case !validIface(r.Iface):
		r.add("iface", "%q is no name of an interface", clip(r.Iface))
	}
}

// validIface is the format pve-iface: a letter, up to 20 letters, digits or "_", and a VLAN or alias number.
func validIface(s string) bool {
	base := s
	if i := strings.IndexAny(s, ".:"); i >= 0 {
		base = s[:i]
		if !digits(s[i+1:]) {
			return false
		}
	}
	if len(base) < 2 || len(base) > 21 || !letter(base[0]) {
		return false
	}
	for i := range len(base) {
		if c := base[i]; !letter(c) && !digit(c) && c != '_' {
			return false
		}
	}
	return true
}

func knownProtocol(p string) bool { _, ok := Protocol(p); return ok }

// Protocol is the number of a protocol that a rule names. Numbers are those of /etc/protocols only.
func Protocol(name string) (uint8, bool) {
	if !digits(name) {
		return protocolNumber(name)
	}
	n, err := strconv.Atoi(name)
	if err != nil || n > 255 || name != strconv.Itoa(n) {
		return 0, false
	}
	for _, p := range protocolNames {
		if int(p.number) == n {
			return p.number, true
		}
	}
	return 0, false
}

// HasPorts reports whether PVE allows ports with a protocol (PROTOCOLS_WITH_PORTS).
func HasPorts(proto string) bool {
	switch proto {
	case "tcp", "6", "udp", "17", "udplite", "136", "dccp", "33", "sctp", "132":
		return true
	}
	return false
}

// IsICMP reports whether PVE takes a protocol for ICMP: by name only.
func IsICMP(proto string) bool { return proto == "icmp" || proto == "icmpv6" || proto == "ipv6-icmp" }

func (r *Rule) checkPorts() {
	icmp := IsICMP(r.Proto)
	if perlTrue(r.DPort) {
		if _, _, why := Ports(r.DPort, icmp); why != "" {
			r.add("dport", "%s", why)
		}
		if !perlTrue(r.Proto) {
			r.add("proto", "missing; -dport needs it")
		}
		if !HasPorts(r.Proto) && !icmp {
			r.add("dport", "the protocol %q has no ports", clip(r.Proto))
		}
	}
	if perlTrue(r.ICMPType) {
		switch {
		case !icmp:
			r.add("proto", "missing; -icmp-type needs icmp or icmpv6")
		case perlTrue(r.DPort):
			r.add("icmp-type", "-icmp-type and -dport exclude each other")
		}
		known := icmpv6Types
		if r.Proto == "icmp" {
			known = icmpTypes
		}
		if _, ok := known[r.ICMPType]; icmp && !ok {
			r.add("icmp-type", "%q is no ICMP type for %s; PVE takes names only", clip(r.ICMPType), r.Proto)
		}
	}
	if perlTrue(r.SPort) {
		if _, _, why := Ports(r.SPort, false); why != "" {
			r.add("sport", "%s", why)
		}
		if !perlTrue(r.Proto) {
			r.add("proto", "missing; -sport needs it")
		}
		if !HasPorts(r.Proto) {
			r.add("sport", "the protocol %q has no ports", clip(r.Proto))
		}
	}
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ From, To uint16 }

// Ports reads a list of ports: numbers, ranges N:M and names of /etc/services. With icmp an ICMP type may stand there
// instead, which older releases stored so: then it is returned and there are no ranges.
func Ports(s string, icmp bool) (ranges []PortRange, icmpType string, why string) {
	elems := strings.Split(s, ",")
	if elems[len(elems)-1] == "" {
		return nil, "", "extraneous commas in the list"
	}
	numbers := 0
	for _, e := range elems {
		from, to, isRange := strings.Cut(e, ":")
		switch {
		case isRange && digits(from) && digits(to):
			a, ok1 := port(from)
			b, ok2 := port(to)
			if !ok1 || !ok2 {
				return nil, "", fmt.Sprintf("invalid port in %q", clip(e))
			}
			if a > b {
				return nil, "", fmt.Sprintf("the range %s is backwards", clip(e))
			}
			numbers += 2
			ranges = append(ranges, PortRange{a, b})
		case digits(e):
			n, ok := port(e)
			if !ok {
				return nil, "", fmt.Sprintf("invalid port %q", clip(e))
			}
			numbers++
			ranges = append(ranges, PortRange{n, n})
		default:
			if icmp && knownICMP(e) {
				icmpType = e
				continue
			}
			n, ok := servicePort(e)
			if !ok {
				return nil, "", fmt.Sprintf("invalid port %q", clip(e))
			}
			ranges = append(ranges, PortRange{n, n})
		}
	}
	switch {
	case icmpType != "" && numbers > 0:
		return nil, "", "an ICMP type cannot be in a list of ports"
	case numbers > maxPortNumbers:
		return nil, "", "too many entries in the list of ports: more than 15 numbers, a range counts twice"
	}
	return ranges, icmpType, ""
}

func knownICMP(s string) bool {
	_, four := icmpTypes[s]
	_, six := icmpv6Types[s]
	return four || six
}

func port(s string) (uint16, bool) {
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return 0, true
	}
	if len(s) > 5 {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return uint16(n), err == nil && n <= 65535
}

// ICMPTypeOf finds an ICMP type by name for a family, as iptables knows it; by number too, as the ports of old do.
func ICMPTypeOf(name string, family int) (ICMPType, bool) {
	if digits(name) {
		n, err := strconv.Atoi(name)
		return ICMPType{n, -1}, err == nil && n <= 255
	}
	known := icmpTypes
	if family == 6 {
		known = icmpv6Types
	}
	t, ok := known[name]
	return t, ok
}

func (r *Rule) checkAddress(property, value string) {
	switch {
	case IsSet(value):
		_, name := cutScope(value[1:], "guest/", "dc/", "sdn/")
		switch {
		case len(value) > maxIPSetName+1:
			r.add(property, "the name of the ipset is longer than %d characters", maxIPSetName)
		case !validName(name):
			r.add(property, "%q is no name of an ipset", clip(value))
		}
	case IsAlias(value):
		if len(value) > maxAliasName {
			r.add(property, "the name of the alias is longer than %d characters", maxAliasName)
		}
	default:
		if _, why := AddressList(value); why != "" {
			r.add(property, "%s", why)
		}
	}
}
