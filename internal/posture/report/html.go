package report

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

//go:embed page
var pageFiles embed.FS

// htmlPage is what the template sees. All strings that come from a report have passed oneLine or block; html/template
// escapes them for the place where they stand.
type htmlPage struct {
	CSP        string
	CSS        template.CSS
	JS         template.JS
	Title      string
	Tool       string
	Profile    string
	Digest     string
	When       string
	Total      int
	Count      int // of targets
	Targets    iter.Seq[htmlTarget]
	Clusters   []htmlCluster
	Channels   []htmlChannel
	Groups     []htmlGroup
	Statuses   []htmlPart
	Severities []htmlPart
}

type htmlTarget struct {
	ID, Name, Grade, GradeClass, Error string
	Meta, Notices                      []string
	Score, Critical, High              int
	Unknown, Readable                  int
	StatusBar, SeverityBar             []htmlPart
	Groups                             []htmlGroup
}

// htmlCluster tells which controls have different results on the nodes of a cluster.
type htmlCluster struct {
	Name, Head string
	Rows       []htmlDeviation
}

// htmlChannel says for how many guests of either world one way to the hypervisor is open.
type htmlChannel struct{ Channel, PVE, VMware, Names string }

type htmlDeviation struct{ Control, Title, Results string }

type htmlGroup struct {
	ID, Key, Title, Short string
	Bar                   []htmlPart
	Findings              []htmlFinding
}

// htmlPart is a part of a bar or an entry of a filter; X and Width are thousandths of the bar.
type htmlPart struct {
	Name, Class string
	N, X, Width int
	On          bool
}

type htmlFinding struct {
	ID, Control, Title, Line, Detail string
	Status, StatusWord               string
	Severity, SeverityWord           string
	Rationale, Caution, Code         string
	Level                            int
	NeedsRoot, Expired               bool
	Evidence                         []htmlEvidence
	Fixes, Refs                      []string
	Obsolete                         []posture.Obsolete
	Waiver                           *htmlWaiver
}

// htmlEvidence is a fact with its value in lines.
type htmlEvidence struct {
	Path, Origin, Source, Problem string
	Value                         []string
}

type htmlWaiver struct {
	End, Approver, Reason string
	Expired               bool
}

// writeHTML writes the report as one file that asks for nothing else: styles and script are in it, allowed by their
// digests, and the page's own policy forbids every request. Without the script everything is shown.
func writeHTML(w io.Writer, r *posture.Report, _ Options) error {
	css, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return err
	}
	js, err := pageFiles.ReadFile("page/script.js")
	if err != nil {
		return err
	}
	tmpl, err := template.ParseFS(pageFiles, "page/report.html.tmpl")
	if err != nil {
		return err
	}
	p := pageOf(r)
	p.CSS, p.JS = template.CSS(css), template.JS(js) //nolint:gosec // our own files
	p.CSP = "default-src 'none'; style-src " + digest(css) + "; script-src " + digest(js) +
		"; img-src data:; base-uri 'none'; form-action 'none'"
	b := bufio.NewWriterSize(w, 64<<10)
	if err := tmpl.Execute(b, p); err != nil {
		return err
	}
	return b.Flush()
}

// digest names an inline style or script for a Content-Security-Policy (CSP Level 3, section 2.3.1).
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func pageOf(r *posture.Report) htmlPage {
	p := htmlPage{
		Title: "Security report", Tool: toolVersion(r), Profile: oneLine(r.Profile), Digest: clip(oneLine(r.CatalogueDigest), 12),
	}
	var all []posture.Finding
	targets := worstTargets(r.Targets)
	p.Count = len(targets)
	p.Targets = func(yield func(htmlTarget) bool) { // made when they are written: there may be many
		for i, t := range targets {
			if !yield(htmlTargetOf(i+1, t)) {
				return
			}
		}
	}
	for _, t := range targets {
		all = append(all, t.Findings...)
	}
	for _, c := range r.Clusters {
		x := htmlCluster{Name: oneLine(c.Name), Head: clusterHead(c)}
		for _, d := range c.Deviations {
			x.Rows = append(x.Rows, htmlDeviation{oneLine(d.Control), oneLine(d.Title), byStatus(d)})
		}
		p.Clusters = append(p.Clusters, x)
	}
	for _, c := range r.GuestChannels {
		p.Channels = append(p.Channels, htmlChannel{oneLine(c.Channel), channelCount(c.PVE), channelCount(c.VMware), channelNames(c)})
	}
	if len(r.Targets) == 1 {
		t := r.Targets[0]
		p.Title = "Security report of " + nonEmpty(oneLine(t.Hostname), oneLine(t.Target))
		if !t.CollectedAt.IsZero() {
			p.When = t.CollectedAt.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	p.Total = len(all)
	counts := countOf(all)
	for _, s := range statuses() {
		if n := countByStatus(counts, s); n > 0 {
			p.Statuses = append(p.Statuses, htmlPart{Name: title(statusWord(s)), Class: string(s), N: n,
				On: s == posture.Fail || s == posture.StatusUnknown || s == posture.Manual})
		}
	}
	bySeverity := map[string]int{}
	for _, f := range all {
		bySeverity[severityClass(f.Severity)]++
	}
	for _, s := range append(posture.Severities(), "") {
		if n := bySeverity[severityClass(s)]; n > 0 {
			p.Severities = append(p.Severities, htmlPart{Name: severityWord(s), Class: severityClass(s), N: n})
			delete(bySeverity, severityClass(s))
		}
	}
	for _, g := range groupsOf(all) {
		p.Groups = append(p.Groups, htmlGroup{Key: groupKey(g), Title: g.Title})
	}
	return p
}

// groupKey names a group in the page; a group without a name needs one for its filter.
func groupKey(g group) string { return nonEmpty(oneLine(g.Key), "other") }

func htmlTargetOf(n int, t posture.TargetReport) htmlTarget {
	x := htmlTarget{
		ID: "t" + strconv.Itoa(n), Name: nonEmpty(oneLine(t.Target), "target"), Error: oneLine(t.Error),
		Grade: nonEmpty(oneLine(t.Grade), "–"), GradeClass: gradeClass(t.Grade), Score: min(max(t.Score, 0), 100),
		Critical: failsOf(t.Findings, posture.Critical), High: failsOf(t.Findings, posture.High),
		Unknown: t.Counts.Unknown, Readable: t.Readable,
	}
	if h := oneLine(t.Hostname); h != "" && h != x.Name {
		x.Meta = append(x.Meta, h)
	}
	if t.OS != "" {
		x.Meta = append(x.Meta, oneLine(t.OS))
	}
	if t.Cluster {
		x.Meta = append(x.Meta, "cluster member")
	}
	if !t.CollectedAt.IsZero() {
		x.Meta = append(x.Meta, t.CollectedAt.UTC().Format("2006-01-02 15:04 UTC"))
	}
	for _, s := range t.Notices {
		x.Notices = append(x.Notices, oneLine(s))
	}
	c := countOf(t.Findings)
	x.StatusBar = statusBar(c)
	for _, s := range posture.Severities() {
		x.SeverityBar = append(x.SeverityBar, htmlPart{Name: severityWord(s), Class: severityClass(s), N: failsOf(t.Findings, s)})
	}
	spread(x.SeverityBar)
	for _, g := range groupsOf(t.Findings) {
		hg := htmlGroup{ID: x.ID + "-group-" + oscalToken(groupKey(g)), Key: groupKey(g), Title: g.Title,
			Short: shortCounts(g.Counts), Bar: statusBar(g.Counts)}
		for _, f := range g.Findings {
			hg.Findings = append(hg.Findings, htmlFindingOf(x.ID+"-"+oscalToken(f.Control), f))
		}
		x.Groups = append(x.Groups, hg)
	}
	return x
}

// statusBar is the bar of the controls that count, by status.
func statusBar(c posture.Counts) []htmlPart {
	var parts []htmlPart
	for _, s := range []posture.Status{posture.Pass, posture.Fail, posture.StatusUnknown, posture.Manual, posture.Waived, posture.NotApplicable} {
		parts = append(parts, htmlPart{Name: title(statusWord(s)), Class: string(s), N: countByStatus(c, s)})
	}
	spread(parts)
	return parts
}

// spread gives each part of a bar its place, in thousandths of the bar.
func spread(parts []htmlPart) {
	total := 0
	for _, p := range parts {
		total += p.N
	}
	done := 0
	for i := range parts {
		if total == 0 {
			return
		}
		parts[i].X = done * 1000 / total
		done += parts[i].N
		parts[i].Width = done*1000/total - parts[i].X
	}
}

// shortCounts is what a heading says of its findings: "3 fail, 1 unknown of 34".
func shortCounts(c posture.Counts) string {
	total := 0
	for _, s := range statuses() {
		total += countByStatus(c, s)
	}
	var parts []string
	for _, s := range []posture.Status{posture.Fail, posture.StatusUnknown, posture.Manual} {
		if n := countByStatus(c, s); n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+statusWord(s))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d, nothing open", total)
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(" of %d", total)
}

func htmlFindingOf(id string, f posture.Finding) htmlFinding {
	x := htmlFinding{
		ID: id, Control: oneLine(f.Control), Title: nonEmpty(oneLine(f.Title), oneLine(f.Control)),
		Status: string(statusOf(f)), StatusWord: title(statusWord(statusOf(f))),
		Severity: severityClass(f.Severity), SeverityWord: severityWord(f.Severity),
		Rationale: block(f.Rationale), Code: oneLine(f.Code), Level: f.Level,
		NeedsRoot: f.NeedsRoot && statusOf(f) == posture.StatusUnknown, Expired: f.Code == posture.CodeExpired,
	}
	reason := oneLine(f.Reason)
	switch statusOf(f) {
	case posture.Pass, posture.NotApplicable:
		x.Detail = reason
	default:
		x.Line = reason
	}
	for i, e := range evidenceOf(f) {
		x.Evidence = append(x.Evidence, htmlEvidence{
			Path: e.Path, Origin: e.Origin, Source: e.Source, Problem: e.Problem, Value: valueLines(f.Evidence[i].Value),
		})
	}
	x.Fixes = fixesOf(f)
	if cutsOff(f) && len(x.Fixes) > 0 {
		x.Caution = lockoutText(f.Lockout)
	}
	for _, o := range f.Obsolete {
		x.Obsolete = append(x.Obsolete, posture.Obsolete{Form: oneLine(o.Form), Current: oneLine(o.Current)})
	}
	for _, r := range f.Refs {
		x.Refs = append(x.Refs, refText(r))
	}
	if w := f.Waiver; w != nil {
		x.Waiver = &htmlWaiver{End: waiverEnd(f), Approver: oneLine(w.Approver), Reason: oneLine(w.Reason), Expired: x.Expired}
	}
	return x
}

// gradeClass and severityClass give class names of the style sheet, whatever the report holds.
func gradeClass(grade string) string {
	switch grade {
	case "A", "B", "C", "D", "F":
		return strings.ToLower(grade)
	}
	return "x"
}

func severityClass(s posture.Severity) string {
	if s.Rank() < 0 {
		return "none"
	}
	return string(s)
}

func severityWord(s posture.Severity) string {
	if s.Rank() < 0 {
		return "No severity"
	}
	return title(string(s))
}

// title writes the first letter of an ASCII word large.
func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
