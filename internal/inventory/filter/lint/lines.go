package lint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// lines reports what the parsers of the two firewalls do not accept, one finding a line.
func (k *checker) lines(s *source) {
	kept := ruleLines(s.file)
	said := map[int]bool{}
	for _, p := range s.problems {
		if p.Effect == pve.Warned || kept[p.Line] || said[p.Line] {
			continue // repeated names and rules with errors have findings of their own
		}
		said[p.Line] = true
		k.lostLine(s, p)
	}
	for _, r := range allRules(s.file) {
		k.ruleErrors(s, r, said)
	}
	for _, name := range nftIgnores() {
		if o, ok := s.file.Option(name); ok {
			said[o.Line] = true // options has a finding of its own for it
		}
	}
	for _, p := range s.file.Strict {
		if said[p.Line] {
			continue
		}
		said[p.Line] = true
		f := s.at(p.Line, NFTSkipped, Low)
		f.Column, f.Text = p.Column, "proxmox-firewall: "+p.Text
		f.Effect.NFTables = s.strictOutcome(p.Line, s.skippedOutcome(s.file.Text(p.Line)))
		if p.Effect == pve.Aborted {
			f.Code = NFTRefused
			f.Text = "proxmox-firewall refuses the file: " + p.Text
			f.Hint = "until it is mended, rules on the node stay as they are, and after a boot there are none"
		}
		f.Severity = k.ranked(s, f.Effect)
		k.add(f)
	}
}

// lostLine reports a line that pve-firewall skips.
func (k *checker) lostLine(s *source, p pve.Problem) {
	text := s.file.Text(p.Line)
	f := s.at(p.Line, LineSkipped, Medium)
	f.Column, f.Text = p.Column, p.Text
	switch kind := firstWord(text); {
	case isRuleType(kind):
		out := s.skippedOutcome(text)
		f.Code, f.Effect = RuleLost, Effect{out, s.strictOutcome(p.Line, out)}
		f.Hint = "pve-firewall wants exactly one blank between an option of a rule and its value"
		if strings.HasPrefix(strings.TrimSpace(text), "|") {
			f.Effect.IPTables = None
		}
	case strings.Contains(p.Text, "exactly one blank"):
		f.Code, f.Effect = AliasBlanks, Effect{FailClosed, s.strictOutcome(p.Line, FailClosed)}
		f.Hint = "write the alias with a single blank; rules that use it are skipped until then"
	case strings.HasPrefix(p.Text, "ipset "):
		// An address that is missing from a set of a DROP rule lets it in; from that of an ACCEPT rule keeps it out.
		f.Code, f.Effect = EntrySkipped, Effect{FailClosed, s.strictOutcome(p.Line, FailClosed)}
	default:
		f.Effect = Effect{NoEffect, s.strictOutcome(p.Line, NoEffect)}
	}
	f.Severity = k.ranked(s, f.Effect)
	k.add(f)
}

// ruleErrors reports a rule of which nothing is made.
func (k *checker) ruleErrors(s *source, r ruleIn, said map[int]bool) {
	checked := k.scope(s, r.group).Check(r.Rule)
	if said[r.Line] {
		return
	}
	if len(checked.Errors) == 0 {
		k.macroCase(s, r, said)
		return
	}
	said[r.Line] = true
	out := s.skippedOutcome(s.file.Text(r.Line))
	f := s.at(r.Line, RuleSkipped, Medium)
	if !r.Enabled {
		out = None
	}
	f.Effect = Effect{out, s.strictOutcome(r.Line, out)}
	var texts []string
	missing := ""
	for _, e := range checked.Errors {
		texts = append(texts, e.String())
		if strings.Contains(e.Text, "no such ") {
			f.Code, missing = UnknownName, e.Property
			mismatch, asWritten := k.caseMismatch(s, r.Rule)
			if mismatch {
				f.Code = CaseMismatch
			}
			if asWritten {
				continue
			}
			f.Effect.NFTables = worse(f.Effect.NFTables, out) // since 1.2.3 the rule alone is skipped
		}
	}
	f.Text = fmt.Sprintf("%s is skipped: %s", quote(s.file.Text(r.Line)), strings.Join(texts, "; "))
	f.Hint = ruleHint(r.Rule, missing)
	if f.Severity = k.ranked(s, f.Effect); !r.Enabled && f.Effect.NFTables != NodeAbort {
		f.Severity = Info
	}
	k.add(f)
}

// caseMismatch reports whether a rule names an ipset that exists in lower case only: pve-firewall lowers the name where
// the set is defined, and not where it is used. AsWritten is true when the set is spelled like the reference, which
// proxmox-firewall finds.
func (k *checker) caseMismatch(s *source, r *firewall.Rule) (mismatch, asWritten bool) {
	for _, ref := range []string{r.Source, r.Dest} {
		_, name := firewall.SetName(ref)
		if !firewall.IsSet(ref) || name == strings.ToLower(name) {
			continue
		}
		for _, f := range []*firewall.File{s.file, k.cluster.file} {
			if set, ok := f.IPSet(strings.ToLower(name)); ok {
				return true, set.Written == name
			}
		}
	}
	return false, false
}

// macroCase reports a macro that only pve-firewall knows, because its case is not PVE's.
func (k *checker) macroCase(s *source, r ruleIn, said map[int]bool) {
	if r.Macro == "" {
		return
	}
	text := s.file.Text(r.Line)
	fields := strings.Fields(strings.TrimPrefix(text, "|"))
	if len(fields) < 2 || strings.HasPrefix(fields[1], r.Macro+"(") {
		return
	}
	said[r.Line] = true
	f := s.at(r.Line, CaseMismatch, Low)
	f.Column = strings.Index(text, fields[1]) + 1
	f.Text = fmt.Sprintf("proxmox-firewall does not know the macro in %s: it compares the case", quote(text))
	f.Hint = "write " + r.Macro
	if f.Effect.NFTables = s.skippedOutcome(text); !r.Enabled {
		f.Effect.NFTables = None
	}
	if p, ok := s.strict[r.Line]; ok && p.Effect == pve.Aborted {
		f.Effect.NFTables = NodeAbort
	}
	f.Severity = k.ranked(s, f.Effect)
	k.add(f)
}

func worse(a, b Outcome) Outcome {
	if a == None {
		return b
	}
	return a
}

func ruleHint(r *firewall.Rule, missing string) string {
	switch {
	case r.Action != strings.ToUpper(r.Action) && r.Type != "group" && isVerdict(strings.ToUpper(r.Action)):
		return "write " + strings.ToUpper(r.Action) + " in capitals"
	case missing != "":
		return "define the name, or take the rule out"
	case (r.DPort != "" || r.SPort != "") && r.Proto == "":
		return "say the protocol: -p tcp"
	}
	return "mend the rule or take it out; nobody sees that it is skipped"
}

func isVerdict(s string) bool { return s == "ACCEPT" || s == "DROP" || s == "REJECT" }

// skippedOutcome is what follows when a line that should be a rule is skipped: a skipped ACCEPT keeps packets out, a skipped DROP
// or REJECT lets them in. A group is taken for what its rules are.
func (s *source) skippedOutcome(text string) Outcome {
	upper := strings.ToUpper(text)
	if i := strings.IndexByte(upper, '#'); i >= 0 {
		upper = upper[:i]
	}
	f := strings.Fields(upper)
	if len(f) < 2 {
		return NoEffect
	}
	if strings.Contains(f[1], "DROP") || strings.Contains(f[1], "REJECT") {
		return FailOpen
	}
	if !isRuleType(f[0]) {
		return NoEffect
	}
	return FailClosed
}

func firstWord(text string) string {
	f := strings.Fields(strings.TrimPrefix(text, "|"))
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

func isRuleType(w string) bool {
	switch strings.ToUpper(w) {
	case "IN", "OUT", "FORWARD", "GROUP":
		return true
	}
	return false
}

// maxQuote bounds what of a hostile line is repeated in a text.
const maxQuote = 90

func quote(s string) string {
	if len(s) > maxQuote {
		s = s[:maxQuote] + "..."
	}
	return strconv.Quote(s)
}

// ruleIn is a rule with the group that it is in.
type ruleIn struct {
	*firewall.Rule
	group *firewall.Group
}

// allRules lists the rules of the section RULES, then those of the groups that count.
func allRules(f *firewall.File) []ruleIn {
	var out []ruleIn
	for i := range f.Rules {
		out = append(out, ruleIn{&f.Rules[i], nil})
	}
	for i := range f.Groups {
		g := &f.Groups[i]
		if last, ok := f.Group(g.Name); !ok || last != g {
			continue // a later section replaces it
		}
		for j := range g.Rules {
			out = append(out, ruleIn{&g.Rules[j], g})
		}
	}
	return out
}

func ruleLines(f *firewall.File) map[int]bool {
	lines := map[int]bool{}
	for _, r := range allRules(f) {
		lines[r.Line] = true
	}
	return lines
}

// scope is where the names of a rule are looked up.
func (k *checker) scope(s *source, group *firewall.Group) firewall.Scope {
	sc := firewall.Scope{Cluster: k.cluster.file, SDN: k.sdnSet, Own: s == k.cluster}
	if s.guest != nil && group == nil {
		sc.Local = s.file
	}
	return sc
}

// sdnSet reports whether SDN makes an ipset of a name (pvesdn.adoc: VNET-all, -gateway, -no-gateway, -dhcp, guest-ipam-VMID).
func (k *checker) sdnSet(name string) bool {
	if strings.HasPrefix(name, "guest-ipam-") {
		return true
	}
	for _, end := range []string{"-all", "-no-gateway", "-gateway", "-dhcp"} {
		if vnet, ok := strings.CutSuffix(name, end); ok && k.hasVNet(vnet) {
			return true
		}
	}
	return false
}

// sections reports names that are defined twice.
func (k *checker) sections(s *source) {
	groups, sets := map[string]int{}, map[string]int{}
	for i := range s.file.Groups {
		g := &s.file.Groups[i]
		if last := groups[g.Name]; last > 0 {
			k.repeated(s, last, g.Line, "group "+g.Name)
		}
		groups[g.Name] = g.Line
	}
	for i := range s.file.IPSets {
		x := &s.file.IPSets[i]
		if last := sets[x.Name]; last > 0 {
			k.repeated(s, last, x.Line, "ipset "+x.Name)
		}
		sets[x.Name] = x.Line
	}
}

func (k *checker) repeated(s *source, first, again int, what string) {
	f := s.at(first, SectionRepeated, High)
	out := FailClosed
	for line := first + 1; line < again && line < first+10_000; line++ {
		text := s.file.Text(line)
		if strings.HasPrefix(text, "[") {
			break
		}
		if s.skippedOutcome(text) == FailOpen {
			out = FailOpen
		}
	}
	f.Effect = Effect{out, NodeAbort}
	f.Text = fmt.Sprintf("the %s is defined again in line %d: what stands here does not count", what, again)
	f.Hint = "join the two sections"
	f.Severity = k.ranked(s, f.Effect)
	k.add(f)
}

// nftIgnores are the options of pve-firewall that proxmox-firewall does not know.
func nftIgnores() []string { return []string{"ips", "ips_queues", "layer2_protocols", "ebtables"} }

// options reports settings that do not mean what they seem to.
func (k *checker) options(s *source) {
	if o, ok := s.file.Option("enable"); ok && s.file.Kind == firewall.ClusterFile {
		n, err := strconv.ParseInt(o.Value, 10, 64)
		if err == nil && n > 1 {
			f := s.at(o.Line, EnableAboveOne, High)
			f.Text = fmt.Sprintf("enable: %d is a time, not a switch: the firewall is on for 60 seconds after it", n)
			f.Effect, f.Hint = Effect{FailOpen, NodeAbort}, "write enable: 1"
			f.Severity = k.ranked(s, f.Effect)
			k.add(f)
		}
	}
	for _, name := range nftIgnores() {
		o, ok := s.file.Option(name)
		if !ok || name == "ebtables" && o.Value != "0" || name == "ips" && o.Value == "0" {
			continue
		}
		f := s.at(o.Line, OptionNFT, Low)
		f.Text, f.Effect.NFTables = "the option "+name+" has no effect with proxmox-firewall", NoEffect
		if !k.uses(s, filter.NFTables) {
			f.Severity = Info
		}
		k.add(f)
	}
}
