package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// details are what the verbose report adds below a finding.
func (t *textReport) details(f posture.Finding) {
	if title := oneLine(f.Title); statusOf(f) == posture.Fail && title != lineOf(f) {
		t.detail("Wanted", []string{title})
	}
	var facts []string
	for _, e := range f.Evidence {
		facts = append(facts, evidenceLine(e))
	}
	t.detail("Found", facts)
	if statusOf(f) != posture.Pass {
		t.detail("Fix", fixesOf(f))
		if cutsOff(f) {
			t.detail("Caution", []string{lockoutText(f.Lockout)})
		}
	}
	var old []string
	for _, o := range f.Obsolete {
		old = append(old, oneLine(o.Form)+" → "+oneLine(o.Current))
	}
	t.detail("Outdated", old)
	var refs []string
	for _, r := range f.Refs {
		refs = append(refs, refText(r))
	}
	if len(refs) > 0 {
		t.detail("Refs", []string{strings.Join(refs, "; ")})
	}
}

func (t *textReport) detail(label string, texts []string) {
	for i, text := range texts {
		if i > 0 {
			label = ""
		}
		t.paragraph(faintSpan("      "+pad(label, 9)), text, inkPlain)
	}
}

// evidenceLine is one fact in words: its name, its value, and where it comes from or what kept it from being read. A
// list has a line per element.
func evidenceLine(e posture.Evidence) string {
	s := oneLine(e.Path)
	if e.Problem != "" {
		return s + " is unknown: " + oneLine(e.Problem)
	}
	from := provenance(e)
	if from != "" {
		from = " [" + from + "]"
	}
	lines := valueLines(e.Value)
	if len(lines) > 1 {
		return s + from + ":\n- " + strings.Join(lines, "\n- ")
	}
	return s + " = " + nonEmpty(lines[0], "(empty)") + from
}

// provenance says where a fact comes from: "configured, /etc/ssh/sshd_config:12", or "default of OpenSSH 9.2", which
// names its origin itself.
func provenance(e posture.Evidence) string {
	origin, source := oneLine(e.Origin), oneLine(e.Source)
	switch {
	case source == "":
		return origin
	case origin == "" || strings.HasPrefix(source, origin+" "):
		return source
	}
	return origin + ", " + source
}

// cutsOff reports whether applying the fix may cut somebody off.
func cutsOff(f posture.Finding) bool {
	return f.Lockout != "" && f.Lockout != "none"
}

func lockoutText(lockout string) string {
	switch lockout {
	case "session":
		return "applying this carelessly can cut off your own access to the host"
	case "boot":
		return "applying this carelessly can keep the host from booting"
	case "cluster":
		return "applying this carelessly can break the cluster"
	}
	return "applying this may cut: " + oneLine(lockout)
}

// hiddenLine counts what has no line of its own.
func (t *textReport) hiddenLine(c posture.Counts) {
	var parts []string
	for _, s := range statuses() {
		if n := countByStatus(c, s); n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+statusWord(s))
		}
	}
	if len(parts) == 0 {
		return
	}
	t.blank()
	t.paragraph(faintSpan(""), "Not listed: "+strings.Join(parts, ", ")+". They are with --all.", inkFaint)
}

// rootSection names the findings that only root can judge.
func (t *textReport) rootSection(x posture.TargetReport) {
	ids := idsOf(x.Findings, func(f posture.Finding) bool {
		return f.NeedsRoot && statusOf(f) == posture.StatusUnknown
	})
	if len(ids) == 0 {
		return
	}
	t.blank()
	t.put(span{fmt.Sprintf("Need root: %d", len(ids)), inkStrong})
	t.paragraph(plainSpan("  "), strings.Join(ids, " "), inkPlain)
	if x.Kind == "local" {
		t.command("sudo castellan scan")
		return
	}
	t.paragraph(plainSpan("  "), "Scan as root, or as a user who may use sudo without a password.", inkPlain)
}

// manualSection lists what a person has to answer.
func (t *textReport) manualSection(x posture.TargetReport) {
	ids := idsOf(x.Findings, func(f posture.Finding) bool { return statusOf(f) == posture.Manual })
	if len(ids) == 0 {
		return
	}
	t.blank()
	t.put(span{fmt.Sprintf("A person has to answer: %d", len(ids)), inkStrong})
	t.paragraph(plainSpan("  "), strings.Join(ids, " "), inkPlain)
	until := "DATE"
	if !x.CollectedAt.IsZero() {
		until = x.CollectedAt.UTC().AddDate(1, 0, 0).Format("2006-01-02")
	}
	parts := []string{"castellan", "attest", ids[0], "--by NAME", "--note TEXT", "--until " + until}
	if x.Kind != "local" {
		// Without it an attestation holds for the machine on which it is made.
		parts = append(parts, "--target "+shellWord(nonEmpty(oneLine(x.Hostname), oneLine(x.Target))))
	}
	t.command(parts...)
}

// command adds a command that can be copied, broken between its parts where it does not fit.
func (t *textReport) command(parts ...string) {
	const prompt = "  $"
	line := prompt
	for i, part := range parts {
		end := ""
		if i < len(parts)-1 {
			end = ` \`
		}
		if line != prompt && cells(line)+1+cells(part)+len(end) > t.width {
			t.put(plainSpan(line + ` \`))
			line = "     "
		}
		line += " " + part
	}
	t.put(plainSpan(line))
}

// expiredSection calls out waivers that have ended: their controls fail again.
func (t *textReport) expiredSection(x posture.TargetReport) {
	var expired []posture.Finding
	for _, f := range x.Findings {
		if f.Code == posture.CodeExpired {
			expired = append(expired, f)
		}
	}
	if len(expired) == 0 {
		return
	}
	slices.SortStableFunc(expired, compareWorst)
	t.blank()
	t.put(span{fmt.Sprintf("Waivers that have expired: %d", len(expired)), inkBad})
	for _, f := range expired {
		text := "no longer waived"
		if f.Waiver != nil {
			text = fmt.Sprintf("until %s by %s: %s", waiverEnd(f), oneLine(f.Waiver.Approver), oneLine(f.Waiver.Reason))
		}
		t.paragraph(plainSpan("  "+pad(oneLine(f.Control), 9)), text, inkPlain)
	}
}

func idsOf(fs []posture.Finding, want func(posture.Finding) bool) []string {
	var ids []string
	for _, f := range sortedByControl(fs) {
		if want(f) {
			ids = append(ids, oneLine(f.Control))
		}
	}
	return ids
}

// next suggests the commands that lead on from here.
func (t *textReport) next(targets []posture.TargetReport) {
	worst := worstFinding(targets)
	if worst == "" {
		return
	}
	var args []string
	if p := oneLine(t.report.Profile); p != "" && p != "baseline" {
		args = append(args, "--profile "+shellWord(p))
	}
	given := 0
	for _, x := range t.report.Targets {
		if x.Kind != "local" {
			args = append(args, shellWord(oneLine(x.Target)))
			given++
		}
	}
	if given > 3 {
		args = append(args[:len(args)-given], "TARGET...")
	}
	rows := []nextCommand{
		{append([]string{"castellan scan -v"}, args...), "evidence, fix and references"},
		{[]string{"castellan controls show " + worst}, "why it matters"},
		{append([]string{"castellan scan", "--format html", "-o report.html"}, args...), "for the browser"},
	}
	if t.o.Verbose {
		rows = rows[1:]
	}
	if len(targets) == 1 && repairable(targets[0]) {
		rows = append(rows, nextCommand{append(append([]string{"castellan plan"}, args...), "-o plan.json"), "what would repair it"})
	}
	t.blank()
	t.put(strongSpan("Next"))
	column := 0
	for _, r := range rows {
		column = max(column, cells(strings.Join(r.parts, " ")))
	}
	for _, r := range rows {
		if column+4+2+len("evidence, fix and references") > t.width {
			t.command(r.parts...)
			continue
		}
		t.put(plainSpan("  $ "+pad(strings.Join(r.parts, " "), column)), faintSpan("  "+r.what))
	}
}

// nextCommand is a command in parts that belong on one line, and what it gives.
type nextCommand struct {
	parts []string
	what  string
}

// worstFinding is the id of the worst failing control of all targets, empty when nothing fails or is unknown.
func worstFinding(targets []posture.TargetReport) string {
	var worst *posture.Finding
	for _, x := range targets {
		for i, f := range x.Findings {
			if s := statusOf(f); s != posture.Fail && s != posture.StatusUnknown {
				continue
			}
			if worst == nil || compareWorst(f, *worst) < 0 {
				worst = &x.Findings[i]
			}
		}
	}
	if worst == nil {
		return ""
	}
	return shellWord(oneLine(worst.Control))
}

// shellWord quotes a word for a POSIX shell where it needs it, so that a suggested command can be copied.
func shellWord(s string) string {
	safe := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-", r)
	}) < 0
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// repairable reports whether castellan plan takes a target and has something to repair there: bundles and the API are only read.
func repairable(x posture.TargetReport) bool {
	return (x.Kind == "local" || x.Kind == "dir" || x.Kind == "ssh") && !strings.HasSuffix(x.Target, ".zst") &&
		slices.ContainsFunc(x.Findings, func(f posture.Finding) bool { return f.Status == posture.Fail && len(f.Remediation) > 0 })
}
