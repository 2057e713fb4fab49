package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
)

// SARIF 2.1.0 (OASIS Standard, errata 01). Section numbers in comments are of that document.
const (
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifVersion = "2.1.0"
	// projectURI is where people read about the tool.
	projectURI = "https://github.com/castellan-project/castellan"
	// rootBase is the symbolic name (3.14.14) of the root directory of a scanned host.
	rootBase = "HOSTROOT"
	// fingerprintKey names how fingerprints are computed; its version changes when that does (3.27.17).
	fingerprintKey = "castellanFinding/v1"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool              sarifTool            `json:"tool"`
	AutomationDetails sarifAutomation      `json:"automationDetails"`
	Invocations       []sarifInvocation    `json:"invocations"`
	OriginalBases     map[string]sarifBase `json:"originalUriBaseIds"`
	Results           []sarifResult        `json:"results"`
	Properties        map[string]any       `json:"properties"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID               string         `json:"id"`
	ShortDescription sarifText      `json:"shortDescription"`
	FullDescription  sarifText      `json:"fullDescription"`
	Help             sarifText      `json:"help"`
	Default          sarifLevel     `json:"defaultConfiguration"`
	Properties       map[string]any `json:"properties"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifInvocation struct {
	ExecutionSuccessful bool                `json:"executionSuccessful"`
	EndTimeUTC          string              `json:"endTimeUtc,omitempty"`
	Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

type sarifBase struct {
	Description sarifText `json:"description"`
}

type sarifResult struct {
	RuleID              string             `json:"ruleId"`
	RuleIndex           int                `json:"ruleIndex"`
	Kind                string             `json:"kind"`
	Level               string             `json:"level"`
	Message             sarifText          `json:"message"`
	Locations           []sarifLocation    `json:"locations"`
	PartialFingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions        []sarifSuppression `json:"suppressions,omitempty"`
	Properties          map[string]any     `json:"properties"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI    string `json:"uri"`
	BaseID string `json:"uriBaseId"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name               string `json:"name,omitempty"`
	FullyQualifiedName string `json:"fullyQualifiedName"`
	Kind               string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string         `json:"kind"`
	Status        string         `json:"status"`
	Justification string         `json:"justification"`
	Properties    map[string]any `json:"properties,omitempty"`
}

// writeSARIF writes one run per target, because an invocation that could not read its host must not look like one
// that found nothing.
func writeSARIF(w io.Writer, r *posture.Report, _ Options) error {
	doc := sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{}}
	l, err := newListWriter(w, doc, "runs")
	if err != nil {
		return err
	}
	for _, t := range r.Targets {
		if err := l.add(sarifRunOf(r, t)); err != nil {
			return err
		}
	}
	return l.close()
}

func sarifRunOf(r *posture.Report, t posture.TargetReport) sarifRun {
	fs := sortedByControl(t.Findings)
	run := sarifRun{
		Tool: sarifTool{sarifDriver{
			Name: "castellan", Version: toolVersion(r), InformationURI: projectURI, Rules: []sarifRule{},
		}},
		AutomationDetails: sarifAutomation{ID: "castellan/" + oneLine(t.Target) + "/"},
		Invocations:       []sarifInvocation{sarifInvocationOf(t)},
		OriginalBases: map[string]sarifBase{
			rootBase: {sarifText{Text: "the root directory of " + oneLine(t.Target)}},
		},
		Results: []sarifResult{},
		Properties: map[string]any{
			"target": oneLine(t.Target), "hostname": oneLine(t.Hostname), "os": oneLine(t.OS),
			"profile": oneLine(r.Profile), "catalogueDigest": r.CatalogueDigest,
			"score": t.Score, "grade": t.Grade, "readable": t.Readable, "counts": t.Counts,
		},
	}
	for _, f := range fs {
		rules := &run.Tool.Driver.Rules
		i := len(*rules) - 1
		if i < 0 || (*rules)[i].ID != oneLine(f.Control) { // sorted: equal ids are neighbours
			*rules = append(*rules, sarifRuleOf(f))
			i++
		}
		run.Results = append(run.Results, sarifResultOf(t, f, i))
	}
	return run
}

func sarifInvocationOf(t posture.TargetReport) sarifInvocation {
	inv := sarifInvocation{ExecutionSuccessful: !incomplete(t)}
	if !t.CollectedAt.IsZero() {
		inv.EndTimeUTC = t.CollectedAt.UTC().Format(time.RFC3339)
	}
	note := func(level, text string) {
		inv.Notifications = append(inv.Notifications, sarifNotification{level, sarifText{Text: text}})
	}
	if t.Error != "" {
		note("error", "cannot be scanned: "+oneLine(t.Error))
	}
	for _, n := range t.Notices {
		note("warning", oneLine(n))
	}
	needRoot := idsOf(t.Findings, func(f posture.Finding) bool {
		return f.NeedsRoot && statusOf(f) == posture.StatusUnknown
	})
	if len(needRoot) > 0 {
		note("warning", "not judged for want of root's rights: "+strings.Join(needRoot, " "))
	}
	return inv
}

func sarifRuleOf(f posture.Finding) sarifRule {
	title := nonEmpty(oneLine(f.Title), f.Control)
	why := nonEmpty(block(f.Rationale), title)
	text, markdown := ruleHelp(f, why)
	return sarifRule{
		ID:               oneLine(f.Control),
		ShortDescription: sarifText{Text: title},
		FullDescription:  sarifText{Text: why},
		Help:             sarifText{Text: text, Markdown: markdown},
		Default:          sarifLevel{levelOf(f.Severity)},
		Properties: map[string]any{
			"tags":              slices.DeleteFunc([]string{"security", oneLine(f.Group)}, func(s string) bool { return s == "" }),
			"precision":         "very-high",
			"problem.severity":  problemSeverity(f.Severity),
			"security-severity": securitySeverity(f.Severity),
			"severity":          string(f.Severity),
			"lockout":           nonEmpty(oneLine(f.Lockout), "none"),
			"references":        refTexts(f),
		},
	}
}

// ruleHelp is the rule's explanation (3.49.13), as plain text and as Markdown.
func ruleHelp(f posture.Finding, why string) (text, markdown string) {
	var p, m strings.Builder
	p.WriteString(why)
	m.WriteString(markdownText(why))
	section := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(&p, "\n\n%s:", title)
		fmt.Fprintf(&m, "\n\n**%s**\n", title)
		for _, x := range items {
			fmt.Fprintf(&p, "\n- %s", x)
			fmt.Fprintf(&m, "\n- %s", markdownText(x))
		}
	}
	var fixes, old []string
	for _, x := range fixesOf(f) {
		fixes = append(fixes, oneLine(x))
	}
	for _, o := range f.Obsolete {
		old = append(old, oneLine(o.Form)+" → "+oneLine(o.Current))
	}
	section("Fix", fixes)
	if cutsOff(f) {
		section("Caution", []string{lockoutText(f.Lockout)})
	}
	section("Outdated advice", old)
	section("References", refTexts(f))
	return p.String(), m.String()
}

func refTexts(f posture.Finding) []string {
	out := []string{}
	for _, r := range f.Refs {
		out = append(out, refText(r))
	}
	return out
}

// markdownText escapes what Markdown would interpret: the texts of user controls are not ours.
func markdownText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>()#+!|~&", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// levelOf maps a severity to the three levels of SARIF (3.27.10).
func levelOf(s posture.Severity) string {
	switch s {
	case posture.Critical, posture.High:
		return "error"
	case posture.Medium:
		return "warning"
	}
	return "note"
}

func problemSeverity(s posture.Severity) string {
	switch levelOf(s) {
	case "error":
		return "error"
	case "warning":
		return "warning"
	}
	return "recommendation"
}

// securitySeverity is the number by which code scanning services sort security results: the middle of the CVSS 3.1
// band (section 5) of the same name.
func securitySeverity(s posture.Severity) string {
	switch s {
	case posture.Critical:
		return "9.5"
	case posture.High:
		return "8.0"
	case posture.Medium:
		return "5.5"
	case posture.Low:
		return "2.0"
	}
	return "0.0"
}

func sarifResultOf(t posture.TargetReport, f posture.Finding, rule int) sarifResult {
	kind, level := kindOf(f)
	res := sarifResult{
		RuleID:              oneLine(f.Control),
		RuleIndex:           rule,
		Kind:                kind,
		Level:               level,
		Message:             sarifText{Text: nonEmpty(reasonOf(f), f.Control)},
		Locations:           sarifLocations(t, f),
		PartialFingerprints: map[string]string{fingerprintKey: fingerprint(t, f)},
		Properties: map[string]any{
			"status": string(statusOf(f)), "severity": string(f.Severity), "target": oneLine(t.Target),
			"code": f.Code, "needsRoot": f.NeedsRoot, "evidence": evidenceOf(f),
		},
	}
	if statusOf(f) == posture.Waived {
		res.Suppressions = []sarifSuppression{suppressionOf(f)}
	}
	return res
}

// kindOf maps a status to SARIF's kind and level: a result that is no failure has the level none (3.27.9, 3.27.10).
// What could not be read is "open", what a person has to judge is "review"; a waived failure is a failure that is
// suppressed.
func kindOf(f posture.Finding) (kind, level string) {
	switch statusOf(f) {
	case posture.Fail, posture.Waived:
		return "fail", levelOf(f.Severity)
	case posture.Manual:
		return "review", "none"
	case posture.Pass:
		return "pass", "none"
	case posture.NotApplicable:
		return "notApplicable", "none"
	}
	return "open", "none"
}

func suppressionOf(f posture.Finding) sarifSuppression {
	s := sarifSuppression{Kind: "external", Status: "accepted", Justification: reasonOf(f)}
	if f.Waiver != nil {
		s.Justification = nonEmpty(oneLine(f.Waiver.Reason), s.Justification)
		s.Properties = map[string]any{"approver": oneLine(f.Waiver.Approver), "expires": waiverEnd(f)}
	}
	return s
}

// fingerprint identifies a finding across scans: same target, same control, whatever the reason says.
func fingerprint(t posture.TargetReport, f posture.Finding) string {
	sum := sha256.Sum256([]byte(t.Target + "\x00" + f.Control))
	return hex.EncodeToString(sum[:16])
}

// evidenceOf copies the evidence with its strings made harmless.
func evidenceOf(f posture.Finding) []posture.Evidence {
	out := []posture.Evidence{}
	for _, e := range f.Evidence {
		out = append(out, posture.Evidence{
			Path: oneLine(e.Path), Value: oneLine(e.Value), Origin: oneLine(e.Origin),
			Source: oneLine(e.Source), Problem: oneLine(e.Problem),
		})
	}
	return out
}

// sarifLocations points at the files and lines that the evidence came from; without any it names the host only.
func sarifLocations(t posture.TargetReport, f posture.Finding) []sarifLocation {
	var out []sarifLocation
	seen := map[string]bool{}
	for _, e := range f.Evidence {
		path, line, ok := splitSource(e.Source)
		if !ok || seen[e.Source] {
			continue
		}
		seen[e.Source] = true
		loc := sarifLocation{
			Physical: &sarifPhysical{Artifact: sarifArtifact{URI: relativeURI(path), BaseID: rootBase}},
			Logical:  []sarifLogical{{Name: oneLine(e.Path), FullyQualifiedName: oneLine(t.Target + "/" + e.Path), Kind: "member"}},
		}
		if line > 0 {
			loc.Physical.Region = &sarifRegion{StartLine: line}
		}
		out = append(out, loc)
	}
	if out == nil {
		out = []sarifLocation{{Logical: []sarifLogical{{FullyQualifiedName: nonEmpty(oneLine(t.Target), "target"), Kind: "module"}}}}
	}
	return out
}

// splitSource takes a source of evidence apart when it names a file: "/etc/ssh/sshd_config:12".
func splitSource(source string) (path string, line int, ok bool) {
	if !strings.HasPrefix(source, "/") || strings.ContainsAny(source, " \t\n") {
		return "", 0, false
	}
	if i := strings.LastIndexByte(source, ':'); i > 0 {
		if n, err := strconv.ParseUint(source[i+1:], 10, 31); err == nil {
			return source[:i], int(n), true
		}
	}
	return source, 0, true
}

// relativeURI writes an absolute path as a URI reference relative to the root (RFC 3986, section 4.2).
func relativeURI(path string) string {
	const keep = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/@+,="
	var b strings.Builder
	for _, c := range []byte(strings.TrimLeft(path, "/")) {
		if strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func nonEmpty(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
