package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// statuses lists all statuses, worst first. What is not in it (a zero Status) ranks as unknown: it is no pass.
func statuses() []posture.Status {
	return []posture.Status{
		posture.Fail, posture.StatusUnknown, posture.Manual, posture.Waived, posture.Pass, posture.NotApplicable,
	}
}

// statusOf returns the status of a finding, and unknown for a finding without a status that exists.
func statusOf(f posture.Finding) posture.Status {
	if slices.Contains(statuses(), f.Status) {
		return f.Status
	}
	return posture.StatusUnknown
}

func statusRank(s posture.Status) int { return slices.Index(statuses(), s) }

// severityRank is posture's rank, with what is no severity after all severities.
func severityRank(s posture.Severity) int {
	if r := s.Rank(); r >= 0 {
		return r
	}
	return len(posture.Severities())
}

// compareWorst orders findings by status, then severity, then control.
func compareWorst(a, b posture.Finding) int {
	return cmp.Or(
		cmp.Compare(statusRank(statusOf(a)), statusRank(statusOf(b))),
		cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)),
		compareID(a.Control, b.Control),
	)
}

// compareID orders control ids by their letters and then by their number: SYS-9, SYS-10, SYS-100.
func compareID(a, b string) int {
	ap, an := splitID(a)
	bp, bn := splitID(b)
	return cmp.Or(strings.Compare(ap, bp), cmp.Compare(an, bn), strings.Compare(a, b))
}

func splitID(id string) (prefix string, number int) {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return id, 0
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil {
		return id, 0
	}
	return id[:i], n
}

// sortedByControl returns a copy of the findings in the order of their ids: the order of formats that programs
// compare, because it does not change when a status does.
func sortedByControl(fs []posture.Finding) []posture.Finding {
	out := slices.Clone(fs)
	slices.SortStableFunc(out, func(a, b posture.Finding) int { return compareID(a.Control, b.Control) })
	return out
}

// group is the findings of one subject, worst first.
type group struct {
	Key      string
	Title    string
	Findings []posture.Finding
	Counts   posture.Counts
}

// groupsOf divides findings by subject: the subject with the worst findings first, equal ones in the order of the catalogue.
func groupsOf(fs []posture.Finding) []group {
	index := map[string]int{}
	var out []group
	for _, f := range fs {
		i, ok := index[f.Group]
		if !ok {
			i = len(out)
			index[f.Group] = i
			out = append(out, group{Key: f.Group, Title: oneLine(posture.GroupTitle(f.Group))})
		}
		out[i].Findings = append(out[i].Findings, f)
	}
	for i := range out {
		slices.SortStableFunc(out[i].Findings, compareWorst)
		out[i].Counts = countOf(out[i].Findings)
	}
	slices.SortStableFunc(out, compareGroups)
	return out
}

func compareGroups(a, b group) int {
	for _, s := range posture.Severities() {
		if c := cmp.Compare(failsOf(b.Findings, s), failsOf(a.Findings, s)); c != 0 {
			return c
		}
	}
	return cmp.Or(
		cmp.Compare(b.Counts.Unknown, a.Counts.Unknown),
		cmp.Compare(groupPlace(a.Key), groupPlace(b.Key)),
		strings.Compare(a.Key, b.Key),
	)
}

func groupPlace(key string) int {
	if i := slices.Index(posture.Groups(), key); i >= 0 {
		return i
	}
	return len(posture.Groups())
}

// failsOf counts the failing controls of one severity.
func failsOf(fs []posture.Finding, s posture.Severity) int {
	n := 0
	for _, f := range fs {
		if f.Status == posture.Fail && f.Severity == s {
			n++
		}
	}
	return n
}

// countOf counts findings by status.
func countOf(fs []posture.Finding) posture.Counts {
	var c posture.Counts
	for _, f := range fs {
		switch statusOf(f) {
		case posture.Fail:
			c.Fail++
		case posture.StatusUnknown:
			c.Unknown++
		case posture.Manual:
			c.Manual++
		case posture.Waived:
			c.Waived++
		case posture.Pass:
			c.Pass++
		case posture.NotApplicable:
			c.NotApplicable++
		}
	}
	return c
}

// countByStatus returns the number for one status.
func countByStatus(c posture.Counts, s posture.Status) int {
	switch s {
	case posture.Fail:
		return c.Fail
	case posture.StatusUnknown:
		return c.Unknown
	case posture.Manual:
		return c.Manual
	case posture.Waived:
		return c.Waived
	case posture.Pass:
		return c.Pass
	case posture.NotApplicable:
		return c.NotApplicable
	}
	return 0
}

// statusWord names a status for people.
func statusWord(s posture.Status) string {
	if s == posture.NotApplicable {
		return "not applicable"
	}
	return string(s)
}

// worstTargets returns the targets as a reader wants them: what could not be read, then the lowest score, else as
// they were given.
func worstTargets(ts []posture.TargetReport) []posture.TargetReport {
	out := slices.Clone(ts)
	slices.SortStableFunc(out, func(a, b posture.TargetReport) int {
		if (a.Error != "") != (b.Error != "") {
			if a.Error != "" {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Score, b.Score)
	})
	return out
}

// littleReadable is the share of readable controls, in percent, below which a scan proves little; it is the limit of
// posture's own notice.
const littleReadable = 75

// incomplete reports whether a target was judged on less than what a complete scan reads, so that the absence of
// failures proves little: it could not be read, or too little of it, or rights were missing.
func incomplete(t posture.TargetReport) bool {
	if t.Error != "" || t.Readable < littleReadable {
		return true
	}
	return slices.ContainsFunc(t.Findings, func(f posture.Finding) bool {
		return f.NeedsRoot && statusOf(f) == posture.StatusUnknown
	})
}

// reasonOf is the line that explains a finding: its reason, else its title.
func reasonOf(f posture.Finding) string {
	if r := oneLine(f.Reason); r != "" {
		return r
	}
	return oneLine(f.Title)
}

// refText names a reference for people: the document's title and the clause.
func refText(r posture.Ref) string {
	doc, ok := posture.Documents()[r.Doc]
	if !ok {
		doc = r.Doc
	}
	s := oneLine(doc)
	if r.Clause != "" {
		s += ", " + oneLine(r.Clause)
	}
	if r.Verified != nil && !*r.Verified {
		s += " (clause not verified)"
	}
	return s
}

// fixesOf lists the steps of the remediation in words and the manual instructions, made harmless.
func fixesOf(f posture.Finding) []string {
	var out []string
	for _, a := range f.Remediation {
		if t := block(a.Text); t != "" {
			out = append(out, t)
		}
	}
	if m := block(f.Manual); m != "" {
		out = append(out, m)
	}
	return out
}

// waiverEnd is the last day of a finding's waiver.
func waiverEnd(f posture.Finding) string {
	if f.Waiver == nil || f.Waiver.Expires.IsZero() {
		return "an unknown date"
	}
	return f.Waiver.Expires.String()
}

// toolVersion is the version of castellan that made the report, without its name.
func toolVersion(r *posture.Report) string { return strings.TrimPrefix(oneLine(r.Tool), "castellan ") }
