package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"

	"github.com/castellan-project/castellan/internal/change"
)

// planWidth is how wide a plan is printed, in columns; lines of files are not folded.
const planWidth = 80

// shownDiff is how many lines of one difference are shown unless all are asked for.
const shownDiff = 40

// planView says how a plan is shown.
type planView struct {
	full bool
	file string // where it was written; empty when it was not
}

// planPage is a plan under way to a person.
type planPage struct {
	buf   bytes.Buffer
	color bool
	full  bool
	made  *madePlan
	// told are the controls whose title was shown.
	told map[string]bool
}

// showPlan prints a plan for people.
func (a *app) showPlan(m *madePlan, v planView) error {
	p := &planPage{color: a.color(a.out), full: v.full, made: m, told: map[string]bool{}}
	p.head()
	for i, w := range m.plan.Windows {
		p.window(i, w)
	}
	p.omissions()
	p.foot(v)
	_, err := a.out.Write(p.buf.Bytes())
	return err
}

func (p *planPage) style(s lipgloss.Style, text string) string {
	if !p.color || text == "" {
		return text
	}
	return s.Render(text)
}

func (p *planPage) strong(s string) string { return p.style(lipgloss.NewStyle().Bold(true), s) }
func (p *planPage) faint(s string) string  { return p.style(lipgloss.NewStyle().Faint(true), s) }
func (p *planPage) bad(s string) string {
	return p.style(lipgloss.NewStyle().Foreground(lipgloss.Red), s)
}
func (p *planPage) good(s string) string {
	return p.style(lipgloss.NewStyle().Foreground(lipgloss.Green), s)
}

func (p *planPage) line(format string, args ...any) { fmt.Fprintf(&p.buf, format+"\n", args...) }

// text prints a paragraph with an indentation; what comes from the host is made harmless.
func (p *planPage) text(indent, s string) { p.line("%s", wrap(harmless(s), indent)) }

// item prints a paragraph whose first line begins with a mark.
func (p *planPage) item(indent, mark, s string) {
	body := wrap(harmless(s), indent+strings.Repeat(" ", len([]rune(mark))))
	p.line("%s%s%s", indent, mark, strings.TrimLeft(body, " "))
}

func (p *planPage) head() {
	h := p.made.plan.Host
	name := h.Target
	if h.Hostname != "" && h.Hostname != name {
		name += " (" + h.Hostname + ")"
	}
	p.line("%s", p.strong("Plan for "+harmless(name)))
	p.line("%s", p.faint("profile "+harmless(p.made.profile)+", made "+p.made.plan.Created.Format("2006-01-02 15:04 UTC")))
	for _, n := range p.made.notes {
		p.text("", n)
	}
}

// lockoutWords says what a class of lock-out means.
func lockoutWords(class string) string {
	switch class {
	case "session":
		return "can cut connections and the way in"
	case "boot":
		return "shows at the next start, and can keep the host from starting"
	case "cluster":
		return "can cut the nodes of the cluster off from each other"
	}
	return "cuts nobody off"
}

func windowWords(name string) string {
	if name == change.WindowAll {
		return "all of the directory"
	}
	return name
}

func (p *planPage) window(i int, w change.Window) {
	p.line("")
	p.line("%s", p.strong(fmt.Sprintf("Window %d of %d: %s", i+1, len(p.made.plan.Windows), windowWords(w.Name))))
	p.line("%s repaired by %s; %s", countOf(len(w.Controls), "control"), countOf(len(w.Steps), "step"), lockoutWords(w.Lockout))
	p.verdicts(w.Verdicts)
	for n, s := range w.Steps {
		p.step(n+1, s)
	}
	p.list("Side effects", w.Effects)
	p.list("At the next start only", w.Reboots)
}

func (p *planPage) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.line("")
	p.line("  %s", p.strong(title))
	for _, x := range items {
		p.item("    ", "- ", x)
	}
}

// verdicts says who gets in, refusals first.
func (p *planPage) verdicts(vs []change.Verdict) {
	if len(vs) == 0 {
		return
	}
	vs = slices.Clone(vs)
	slices.SortStableFunc(vs, func(a, b change.Verdict) int {
		return map[bool]int{true: 1}[a.Admitted] - map[bool]int{true: 1}[b.Admitted]
	})
	p.line("")
	p.line("  %s", p.strong("Who still gets in"))
	for _, v := range vs {
		who := v.Guard
		if v.Operator != "" {
			who = v.Operator + " by " + v.Guard
		}
		word := p.good("yes    ")
		if !v.Admitted {
			word = p.bad("REFUSED")
		}
		p.line("    %s  %s", word, harmless(who))
		p.text("             ", v.Reason)
		if v.Add != "" {
			p.text("             ", "add: "+v.Add)
		}
	}
}

func (p *planPage) step(n int, s change.Step) {
	p.line("")
	what := s.What
	if s.Path != "" {
		what = stepWords(s)
	}
	p.line("  %s  %s", p.strong(fmt.Sprintf("%2d", n)), harmless(what))
	var known []string
	for _, id := range s.Controls {
		title := p.made.titles[id]
		if p.told[id] || title == "" {
			known = append(known, id)
			continue
		}
		p.told[id] = true
		p.item("      ", p.faint(id)+"  ", title)
	}
	if len(known) > 0 {
		p.text("      ", strings.Join(known, ", "))
	}
	p.diff(s.Diff)
}

// stepWords names a step by its path.
func stepWords(s change.Step) string {
	switch {
	case strings.HasPrefix(s.What, "give "):
		return s.Path + ": " + strings.TrimPrefix(s.What, "give ")
	case strings.HasPrefix(s.What, "link to "):
		return s.Path + ": " + s.What
	}
	return s.What + " " + s.Path
}

// diff prints a difference, cut unless it is asked for whole.
func (p *planPage) diff(d string) {
	lines := strings.Split(strings.TrimSuffix(d, "\n"), "\n")
	for len(lines) > 0 && (strings.HasPrefix(lines[0], "--- ") || strings.HasPrefix(lines[0], "+++ ")) {
		lines = lines[1:] // the step names the path
	}
	if d == "" || len(lines) == 0 {
		return
	}
	more := 0
	if n := len(lines) - shownDiff; n > 0 && !p.full {
		lines, more = lines[:shownDiff], n
	}
	for _, l := range lines {
		l = visible(l)
		switch {
		case strings.HasPrefix(l, "+"):
			l = p.good(l)
		case strings.HasPrefix(l, "-"):
			l = p.bad(l)
		case strings.HasPrefix(l, "@@"):
			l = p.faint(l)
		}
		p.line("      %s", l)
	}
	if more > 0 {
		p.line("      %s", p.faint(fmt.Sprintf("(%s; --full shows all)", countOf(more, "more line"))))
	}
}

// omissionGroup is a kind of what is left out.
type omissionGroup struct{ code, title string }

func omissionGroups() []omissionGroup {
	return []omissionGroup{
		{"needs", "Needs something first; castellan controls show ID says more"},
		{"later", "Later, with a plan after this one"},
		{"cannot", "Cannot be made here"},
		{"nothing", "Nothing left for castellan to set; castellan controls show ID says what else"},
		{"manual", "For a person; castellan controls show ID says how"},
	}
}

func (p *planPage) omissions() {
	for _, g := range omissionGroups() {
		var list []change.Omission
		for _, o := range p.made.plan.Omitted {
			if o.Code == g.code {
				list = append(list, o)
			}
		}
		if len(list) == 0 {
			continue
		}
		p.line("")
		p.line("%s", p.strong(fmt.Sprintf("%s (%d)", g.title, len(list))))
		for _, o := range list {
			p.item("  ", fmt.Sprintf("%-8s ", o.Control), o.Title)
			if g.code != "manual" && g.code != "nothing" {
				p.text("           ", o.Reason)
			}
		}
	}
}

// foot counts, and says what comes next.
func (p *planPage) foot(v planView) {
	plan := p.made.plan
	counts := map[string]int{}
	var repaired, all []string
	steps := 0
	for _, w := range plan.Windows {
		repaired = append(repaired, w.Controls...)
		steps += len(w.Steps)
	}
	for _, o := range plan.Omitted {
		counts[o.Code]++
		all = append(all, o.Control)
		repaired = slices.DeleteFunc(repaired, func(id string) bool { return id == o.Control })
	}
	repaired = distinct(repaired)
	all = distinct(append(all, repaired...))
	p.line("")
	if len(all) == 0 {
		p.line("Nothing to do: no control that was asked for fails.")
		return
	}
	parts := []string{}
	if steps > 0 {
		parts = append(parts, fmt.Sprintf("%d repaired by %s in %s", len(repaired), countOf(steps, "step"), countOf(len(plan.Windows), "window")))
	}
	for _, c := range []struct{ code, one, many string }{{"needs", "%d needs something first", "%d need something first"}, {"later", "%d later", "%d later"},
		{"cannot", "%d cannot", "%d cannot"}, {"nothing", "%d with nothing left to set", "%d with nothing left to set"}, {"manual", "%d needs a person", "%d need a person"}} {
		switch n := counts[c.code]; {
		case n == 1:
			parts = append(parts, fmt.Sprintf(c.one, n))
		case n > 1:
			parts = append(parts, fmt.Sprintf(c.many, n))
		}
	}
	p.text("", countOf(len(all), "control")+": "+strings.Join(parts, ", "))
	switch refused := refusals(plan); {
	case steps == 0:
		p.line("Nothing to do for castellan.")
	case len(refused) > 0:
		p.line("%s", p.bad("apply will refuse this plan: see who still gets in"))
	case v.file == "":
		p.line("save it: castellan plan ... -o plan.json, then: castellan apply plan.json")
	default:
		p.line("next: castellan apply %s", harmless(filepath.ToSlash(v.file)))
	}
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// visible writes out what a terminal would obey or not show; tabs and blanks stay.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// harmless is visible for one line of words.
func harmless(s string) string { return visible(strings.Join(strings.Fields(s), " ")) }
