package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// barCells is the length of the bar that shows the score.
const barCells = 30

// writeText writes the report for a terminal: what must be known first on top, then the subjects with their findings, worst
// first, then what to do next.
func writeText(w io.Writer, r *posture.Report, o Options) error {
	width := o.Width
	if width == 0 {
		width = DefaultWidth
	}
	t := &textReport{page: page{width: max(width, MinWidth), color: o.Color}, o: o, report: r}
	t.head()
	targets := worstTargets(r.Targets)
	if len(targets) > 1 {
		t.table(targets)
	}
	for _, target := range targets {
		t.target(target)
	}
	for _, c := range r.Clusters {
		t.cluster(c)
	}
	t.channels(r.GuestChannels)
	t.next(targets)
	_, err := w.Write(t.buf.Bytes())
	return err
}

// textReport is a text report under way.
type textReport struct {
	page
	o      Options
	report *posture.Report
}

func (t *textReport) head() {
	right := "profile " + oneLine(t.report.Profile)
	if t.report.Profile == "" {
		right = ""
	}
	t.ends(strongSpan(strings.TrimSpace("castellan "+toolVersion(t.report))), faintSpan(right))
	if len(t.report.Targets) == 0 {
		t.blank()
		t.put(plainSpan("No target was scanned."))
	}
}

// table gives one line per target.
func (t *textReport) table(targets []posture.TargetReport) {
	const columns = 44 // of all columns but the name's
	name := 0
	for _, x := range targets {
		name = max(name, cells(oneLine(x.Target)))
	}
	name = max(len("Target"), min(name, t.width-columns))
	t.blank()
	t.put(strongSpan(fmt.Sprintf("%s  Grade  Score  Critical  High  Unknown  Read", pad("Target", name))))
	for _, x := range targets {
		first := plainSpan(pad(oneLine(x.Target), name) + "  ")
		if x.Error != "" {
			t.put(first, span{"-      " + oneLine(x.Error), inkUnknown})
			continue
		}
		crit, high := failsOf(x.Findings, posture.Critical), failsOf(x.Findings, posture.High)
		t.put(first,
			span{pad(oneLine(x.Grade), 5), gradeInk(x.Grade)},
			plainSpan(fmt.Sprintf("  %5d  ", x.Score)),
			span{fmt.Sprintf("%8d", crit), numberInk(crit, inkCritical)},
			span{fmt.Sprintf("  %4d", high), numberInk(high, inkBad)},
			span{fmt.Sprintf("  %7d", x.Counts.Unknown), numberInk(x.Counts.Unknown, inkUnknown)},
			plainSpan(fmt.Sprintf("  %3d%%", x.Readable)))
	}
}

func numberInk(n int, k ink) ink {
	if n == 0 {
		return inkFaint
	}
	return k
}

func (t *textReport) target(x posture.TargetReport) {
	t.blank()
	t.targetHead(x)
	if x.Error != "" {
		t.blank()
		t.paragraph(span{"  ✗ ", inkCritical}, "cannot be scanned: "+oneLine(x.Error), inkPlain)
		return
	}
	hidden := posture.Counts{}
	for _, g := range groupsOf(x.Findings) {
		t.group(g, &hidden)
	}
	if len(x.Findings) == 0 {
		t.blank()
		t.put(plainSpan("No control was applied."))
	}
	t.hiddenLine(hidden)
	t.rootSection(x)
	t.manualSection(x)
	t.expiredSection(x)
}

func (t *textReport) targetHead(x posture.TargetReport) {
	name := oneLine(x.Target)
	if h := oneLine(x.Hostname); h != "" && h != name {
		name += " (" + h + ")"
	}
	when := ""
	if !x.CollectedAt.IsZero() {
		when = x.CollectedAt.UTC().Format("2006-01-02 15:04 UTC")
	}
	t.ends(strongSpan(name), faintSpan(when))
	var about []string
	if x.OS != "" {
		about = append(about, oneLine(x.OS))
	}
	if x.Cluster {
		about = append(about, "cluster member")
	}
	if len(about) > 0 {
		t.put(faintSpan(strings.Join(about, ", ")))
	}
	if x.Error != "" {
		return
	}
	t.blank()
	t.score(x)
	t.counts(x)
	for _, n := range x.Notices {
		t.paragraph(span{"  ! ", inkWarn}, oneLine(n), inkWarn)
	}
}

func (t *textReport) score(x posture.TargetReport) {
	k := gradeInk(x.Grade)
	words := fmt.Sprintf("  Score %3d of 100   Grade %s   ", x.Score, pad(oneLine(x.Grade), 1))
	n := min(barCells, t.width-cells(words))
	if n < 10 {
		t.put(span{words, k})
		return
	}
	score := min(max(x.Score, 0), 100)
	full := score * n / 100
	t.put(span{words, k}, span{strings.Repeat("█", full), k}, faintSpan(strings.Repeat("░", n-full)))
}

func (t *textReport) counts(x posture.TargetReport) {
	var bySeverity, others []string
	for _, s := range posture.Severities() {
		if n := failsOf(x.Findings, s); n > 0 {
			bySeverity = append(bySeverity, strconv.Itoa(n)+" "+string(s))
		}
	}
	for _, s := range statuses() {
		if n := countByStatus(x.Counts, s); n > 0 && s != posture.Fail {
			others = append(others, strconv.Itoa(n)+" "+statusWord(s))
		}
	}
	fails := strconv.Itoa(x.Counts.Fail) + " fail"
	if len(bySeverity) > 0 {
		fails += ": " + strings.Join(bySeverity, ", ")
	}
	t.paragraph(plainSpan("  "), fails, numberInk(x.Counts.Fail, inkPlain))
	if len(others) > 0 {
		t.paragraph(plainSpan("  "), strings.Join(others, ", "), inkPlain)
	}
}

// shown reports whether a finding has a line of its own.
func (t *textReport) shown(f posture.Finding) bool {
	s := statusOf(f)
	return t.o.ShowAll || s == posture.Fail || s == posture.StatusUnknown
}

func (t *textReport) group(g group, hidden *posture.Counts) {
	var lines []posture.Finding
	var rest []posture.Finding
	for _, f := range g.Findings {
		if t.shown(f) {
			lines = append(lines, f)
		} else {
			rest = append(rest, f)
		}
	}
	c := countOf(rest)
	hidden.Pass += c.Pass
	hidden.Manual += c.Manual
	hidden.Waived += c.Waived
	hidden.NotApplicable += c.NotApplicable
	if len(lines) == 0 {
		return
	}
	t.blank()
	var parts []string
	for _, s := range statuses() {
		if n := countByStatus(countOf(lines), s); n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+statusWord(s))
		}
	}
	t.ends(strongSpan(g.Title), faintSpan(strings.Join(parts, ", ")))
	width := len("BOOT-01")
	for _, f := range lines {
		width = max(width, cells(oneLine(f.Control)))
	}
	width = min(width, 16)
	for i, f := range lines {
		if t.o.Verbose && i > 0 {
			t.blank()
		}
		t.finding(f, width)
	}
}

// finding gives one line: mark, severity, id and reason. In the verbose report the reason is whole and details follow.
func (t *textReport) finding(f posture.Finding, idWidth int) {
	mark := statusMark(statusOf(f))
	head := []span{
		plainSpan("  "), mark, plainSpan(" "),
		{pad(oneLine(string(f.Severity)), len("critical")), severityInk(f.Severity)},
		plainSpan(" "), plainSpan(pad(oneLine(f.Control), idWidth)), plainSpan("  "),
	}
	text := lineOf(f)
	if !t.o.Verbose {
		t.put(append(head, plainSpan(text))...)
		return
	}
	indent := 0
	for _, s := range head {
		indent += cells(s.text)
	}
	if indent+20 > t.width { // too narrow for a column of its own
		t.put(head...)
		t.paragraph(plainSpan("    "), text, inkPlain)
	} else {
		for i, l := range wrap(text, t.width-indent) {
			if i == 0 {
				t.put(append(head, plainSpan(l))...)
				continue
			}
			t.put(plainSpan(strings.Repeat(" ", indent)), plainSpan(l))
		}
	}
	t.details(f)
}

func statusMark(s posture.Status) span {
	switch s {
	case posture.Fail:
		return span{"✗", inkBad}
	case posture.Manual:
		return span{"!", inkWarn}
	case posture.Waived:
		return span{"~", inkNote}
	case posture.Pass:
		return span{"✓", inkGood}
	case posture.NotApplicable:
		return span{"-", inkFaint}
	}
	return span{"?", inkUnknown}
}

// expiredPrefix is how posture begins the reason of a control whose waiver has ended. The text report has a section
// that says the same, and little room on the line.
func expiredPrefix(f posture.Finding) string {
	if f.Code != posture.CodeExpired || f.Waiver == nil {
		return "\x00" // in no reason
	}
	return oneLine(fmt.Sprintf("the waiver by %s expired on %s:", f.Waiver.Approver, f.Waiver.Expires)) + " "
}

// lineOf is the text of a finding's line: what is wrong for a failing control; else the title, and what kept it
// from being judged.
func lineOf(f posture.Finding) string {
	title := oneLine(f.Title)
	switch statusOf(f) {
	case posture.Fail:
		return strings.Replace(reasonOf(f), expiredPrefix(f), "waiver expired: ", 1)
	case posture.Pass, posture.Manual:
		return title
	case posture.StatusUnknown:
		if f.NeedsRoot {
			return "needs root: " + title
		}
	}
	if r := oneLine(f.Reason); r != "" && r != title {
		return title + ": " + r
	}
	return title
}
