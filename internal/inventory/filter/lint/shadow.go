package lint

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// Work is counted in comparisons of two boxes, about 50 ns each. A stage of 50 rules needs some thousands; one of 30,000
// rules, which nobody reads anyway, would need half a milliard.
const (
	stageWork = 4_000_000
	totalWork = 60_000_000
)

// place is a line of a file.
type place struct {
	file string
	line int
}

// verdictOf is what is known about one line after some stages.
type verdictOf struct {
	why     filter.Reason
	verdict filter.Verdict
	decides bool // some packet is decided here
	needed  bool // and what follows would decide otherwise
	covers  []filter.Step
	follows filter.Reason
	vmids   map[int]bool
	owner   string
}

// analysis finds rules that never decide, over all stages of all nodes.
type analysis struct {
	lines map[place]*verdictOf
	work  int // left for the whole check
	seen  map[*filter.Stage]bool
	cut   []string
}

// compiled looks at the compiled stages: which rules never decide, and which lock out.
func (k *checker) compiled() {
	a := &analysis{lines: map[place]*verdictOf{}, work: totalWork, seen: map[*filter.Stage]bool{}}
	for _, n := range k.c.Nodes {
		net, err := k.network(n.Name)
		if err != nil {
			k.report.Bounded = append(k.report.Bounded, fmt.Sprintf("%s: rules that never decide and lock-outs were not looked for: %v", n.Name, err))
			continue
		}
		outside, host := filter.Endpoint{Kind: filter.Outside}, filter.Endpoint{Kind: filter.Host}
		for _, family := range []int{4, 6} {
			a.path(net.Path(outside, host, family), "", 0)
			a.path(net.Path(host, outside, family), "", 0)
		}
		k.lockouts(net)
		for _, nic := range net.NICs() {
			if nic.Missing != "" {
				continue
			}
			at := filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net, Iface: nic.Bridge}
			outside.Iface = nic.Bridge
			for _, family := range []int{4, 6} {
				a.path(net.Path(outside, at, family), k.title(nic.VMID), nic.VMID)
				a.path(net.Path(at, outside, family), k.title(nic.VMID), nic.VMID)
			}
		}
	}
	k.report.Bounded = append(k.report.Bounded, a.cut...)
	k.undecided(a)
	if len(a.cut) > 0 {
		k.duplicates()
	}
}

func (k *checker) network(node string) (*filter.Network, error) {
	if n := k.networks[node]; n != nil {
		return n, nil
	}
	if n := k.o.Networks[node]; n != nil {
		return n, nil
	}
	n, err := filter.New(k.c, node, filter.DefaultBackend(k.c, node), filter.Options{Now: k.o.Now})
	if err == nil {
		k.networks[node] = n
	}
	return n, err
}

func (k *checker) title(vmid int) string {
	if g, ok := k.c.Guest(vmid); ok {
		return g.Title()
	}
	return ""
}

func (a *analysis) path(stages []*filter.Stage, owner string, vmid int) {
	for _, s := range stages {
		if a.seen[s] {
			continue
		}
		a.seen[s] = true
		a.stage(s, owner, vmid)
	}
}

// stage sends all packets through one stage and notes for each line whether it decides about any.
func (a *analysis) stage(s *filter.Stage, owner string, vmid int) {
	budget, spare := min(stageWork, a.work), min(stageWork, a.work)
	start := budget
	all := netset.AnyBox()
	if all.Source, all.Dest = netset.Any4(), netset.Any4(); s.Family == 6 {
		all.Source, all.Dest = netset.Any6(), netset.Any6()
	}
	pending := []netset.Box{all}
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.ForeignMAC {
			continue
		}
		var hit []netset.Box
		possible := false
		for _, b := range st.Match {
			possible = possible || b.Overlaps(all)
			var n int
			pending, hit, n = netset.Carve(pending, b, hit)
			budget -= n
		}
		if budget < 0 {
			a.cut = append(a.cut, fmt.Sprintf("%s (IPv%d): rules from %s on were not compared with each other, there are too many", s.Name, s.Family, where(st.Why)))
			break
		}
		if st.Why.File == "" || st.Why.Line == 0 || !possible {
			continue
		}
		v := a.line(st, owner, vmid)
		switch {
		case len(hit) == 0 && !v.decides && len(v.covers) == 0:
			v.covers = coverers(s.Steps[:i], st.Match, &spare)
		case len(hit) > 0:
			v.decides = true
			if !v.needed {
				v.needed, v.follows = differs(s.Steps[i+1:], st, netset.Disjoint(hit), &spare)
			}
		}
	}
	if spare < 0 {
		a.cut = append(a.cut, fmt.Sprintf("%s (IPv%d): not every rule was compared with those that follow it, there are too many", s.Name, s.Family))
	}
	a.work -= 2*start - max(budget, 0) - max(spare, 0)
}

func (a *analysis) line(st *filter.Step, owner string, vmid int) *verdictOf {
	p := place{st.Why.File, st.Why.Line}
	v := a.lines[p]
	if v == nil {
		v = &verdictOf{why: st.Why, verdict: st.Verdict, vmids: map[int]bool{}, owner: owner}
		a.lines[p] = v
	}
	v.vmids[vmid] = true
	return v
}

// maxCoverers is how many rules a finding names.
const maxCoverers = 3

// coverers are the steps that decide about the packets of a step before it is asked.
func coverers(before []filter.Step, match []netset.Box, budget *int) []filter.Step {
	rest := netset.RegionOf(match...)
	var out []filter.Step
	for i := range before {
		took := false
		for _, b := range before[i].Match {
			if *budget--; *budget < 0 {
				return out
			}
			if rest.Overlaps(b) {
				rest, took = rest.MinusBox(b), true
			}
		}
		if took {
			out = append(out, before[i])
		}
		if rest.IsEmpty() {
			break
		}
	}
	return out
}

// differs reports whether anything after a step decides otherwise about the packets that it decides about now; if not, by what they
// would be decided. Other steps of the same line would be gone together with it.
func differs(after []filter.Step, st *filter.Step, rest netset.Region, budget *int) (bool, filter.Reason) {
	var by filter.Reason
	for i := range after {
		if after[i].Why.Line == st.Why.Line && after[i].Why.File == st.Why.File || after[i].ForeignMAC {
			continue
		}
		for _, b := range after[i].Match {
			if *budget -= len(rest.Boxes()); *budget < 0 {
				return true, by
			}
			if !rest.Overlaps(b) {
				continue
			}
			if after[i].Verdict != st.Verdict {
				return true, by
			}
			if by.Rule == "" {
				by = after[i].Why
			}
			rest = rest.MinusBox(b)
		}
		if rest.IsEmpty() {
			return false, by
		}
	}
	return true, by
}

// where names a line for people: "cluster.fw:40", or what the default is.
func where(r filter.Reason) string {
	if r.File == "" || forManagement(r) {
		return r.Rule
	}
	return fmt.Sprintf("%s:%d", path.Base(r.File), r.Line)
}

// undecided turns what was noted into findings.
func (k *checker) undecided(a *analysis) {
	byPath := map[string]*source{}
	for _, s := range k.sources {
		byPath[s.path] = s
	}
	for p, v := range a.lines {
		s := byPath[p.file]
		if s == nil || v.needed || !s.isRuleLine(p.line) {
			continue // options and ipsets have steps too
		}
		f := s.at(p.line, Shadowed, Low)
		f.Effect = Effect{NoEffect, NoEffect}
		text := quote(s.file.Text(p.line))
		switch {
		case v.decides:
			f.Code, f.Severity = Redundant, Info
			f.Text = fmt.Sprintf("%s could be taken out: %s decides the same", text, where(v.follows))
			if logs(s.file.Text(p.line)) {
				continue // the rule is there for its log line
			}
		case len(v.covers) == 0:
			continue // the budget ended before it was known
		default:
			var names []string
			opposite := false
			for i, c := range v.covers {
				opposite = opposite || (c.Verdict == filter.Accept) != (v.verdict == filter.Accept)
				if i < maxCoverers {
					names = append(names, where(c.Why))
				}
			}
			names = slices.Compact(names)
			if len(v.covers) > maxCoverers {
				names = append(names, "others")
			}
			f.Text = fmt.Sprintf("%s never decides: %s come first", text, strings.Join(names, ", "))
			if len(names) == 1 {
				f.Text = fmt.Sprintf("%s never decides: %s comes first", text, names[0])
			}
			if f.Hint = "take it out"; opposite {
				f.Severity, f.Hint = Medium, "move it before "+names[0]
				f.Effect = Effect{FailOpen, FailOpen}
				if v.verdict == filter.Accept {
					f.Effect = Effect{FailClosed, FailClosed}
				}
			}
		}
		if s.owner == "" && len(v.vmids) == 1 && v.owner != "" {
			f.Text += " (used by " + v.owner + ")"
		}
		k.add(f)
	}
}

// logs reports whether a rule writes a log line.
func logs(text string) bool {
	body, _, _ := strings.Cut(text, "#")
	f := strings.Fields(body)
	i := slices.IndexFunc(f, func(w string) bool { return w == "-log" || w == "--log" })
	return i >= 0 && i+1 < len(f) && f[i+1] != "nolog"
}

// duplicates finds rules that are the same as an earlier one of their list, where the exact analysis was cut short.
func (k *checker) duplicates() {
	for _, s := range k.sources {
		reported := map[int]bool{}
		for _, f := range k.report.Findings {
			if f.File == s.path {
				reported[f.Line] = true
			}
		}
		first := map[string]int{}
		for _, r := range allRules(s.file) {
			if !r.Enabled || len(r.Errors) > 0 {
				continue
			}
			group := ""
			if r.group != nil {
				group = r.group.Name
			}
			key := strings.Join([]string{group, r.Type, r.Iface, r.Source, r.Dest, r.Proto, r.DPort, r.SPort, r.ICMPType, r.Macro}, "\x00")
			if r.Type == "group" {
				key += "\x00" + r.Action
			}
			earlier := first[key]
			if earlier == 0 {
				first[key] = r.Line
				continue
			}
			if reported[r.Line] {
				continue
			}
			f := s.at(r.Line, Shadowed, Low)
			f.Text = fmt.Sprintf("%s never decides: %s:%d comes first", quote(s.file.Text(r.Line)), s.base(), earlier)
			f.Effect = Effect{NoEffect, NoEffect}
			k.add(f)
		}
	}
	sort.Strings(k.report.Bounded)
}
