package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// JUnit XML has no standard; this is the dialect that Jenkins, GitLab and GitHub actions read. A target is a test
// suite, a control a test case: a failing control is a failure, an unknown one an error, and what is not applicable,
// waived or waits for a person is skipped. testdata/schemas/junit.xsd says it exactly.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Hostname   string          `xml:"hostname,attr,omitempty"`
	ID         int             `xml:"id,attr"`
	Timestamp  string          `xml:"timestamp,attr,omitempty"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name      string       `xml:"name,attr"`
	ClassName string       `xml:"classname,attr"`
	Time      string       `xml:"time,attr"`
	Failure   *junitResult `xml:"failure"`
	Error     *junitResult `xml:"error"`
	Skipped   *junitSkip   `xml:"skipped"`
	SystemOut string       `xml:"system-out,omitempty"`
}

type junitResult struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSkip struct {
	Message string `xml:"message,attr"`
}

func writeJUnit(w io.Writer, r *posture.Report, _ Options) error {
	doc := junitSuites{Name: "castellan", Time: "0"}
	for i, t := range r.Targets {
		s := junitSuiteOf(r, t)
		s.ID = i
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

func junitSuiteOf(r *posture.Report, t posture.TargetReport) junitSuite {
	s := junitSuite{Name: oneLine(t.Target), Hostname: oneLine(t.Hostname), Time: "0"}
	if !t.CollectedAt.IsZero() {
		s.Timestamp = t.CollectedAt.UTC().Format("2006-01-02T15:04:05") // readers reject a zone here
	}
	property := func(name, value string) {
		if value != "" {
			s.Properties = append(s.Properties, junitProperty{name, value})
		}
	}
	property("castellan.version", toolVersion(r))
	property("castellan.profile", oneLine(r.Profile))
	property("castellan.catalogue", r.CatalogueDigest)
	property("os", oneLine(t.OS))
	if t.Error == "" {
		property("score", strconv.Itoa(t.Score))
		property("grade", t.Grade)
		property("readable", strconv.Itoa(t.Readable))
	}
	for _, n := range t.Notices {
		property("notice", oneLine(n))
	}
	if t.Error != "" {
		s.Cases = append(s.Cases, junitCase{
			Name: "the target can be scanned", ClassName: "castellan", Time: "0",
			Error: &junitResult{Type: "target-error", Message: oneLine(t.Error)},
		})
	}
	for _, f := range sortedByControl(t.Findings) {
		s.Cases = append(s.Cases, junitCaseOf(f))
	}
	s.count()
	return s
}

func (s *junitSuite) count() {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

func junitCaseOf(f posture.Finding) junitCase {
	c := junitCase{
		Name:      strings.TrimSpace(oneLine(f.Control) + " " + oneLine(f.Title)),
		ClassName: "castellan." + nonEmpty(strings.ReplaceAll(oneLine(f.Group), " ", "-"), "other"),
		Time:      "0",
	}
	switch s := statusOf(f); s {
	case posture.Pass:
		c.SystemOut = strings.Join(evidenceLines(f), "\n")
	case posture.Fail:
		c.Failure = &junitResult{Type: nonEmpty(string(f.Severity), "fail"), Message: reasonOf(f), Text: junitText(f)}
	case posture.StatusUnknown:
		c.Error = &junitResult{Type: nonEmpty(f.Code, posture.CodeUnreadable), Message: reasonOf(f), Text: junitText(f)}
	case posture.Waived:
		msg := "waived: " + reasonOf(f)
		if f.Waiver != nil {
			msg = fmt.Sprintf("waived until %s by %s: %s", waiverEnd(f), oneLine(f.Waiver.Approver), oneLine(f.Waiver.Reason))
		}
		c.Skipped = &junitSkip{msg}
	default:
		c.Skipped = &junitSkip{statusWord(s) + ": " + reasonOf(f)}
	}
	return c
}

// junitText is the body that build servers show when a case is opened.
func junitText(f posture.Finding) string {
	lines := evidenceLines(f)
	for _, x := range fixesOf(f) {
		lines = append(lines, "Fix: "+oneLine(x))
	}
	if cutsOff(f) {
		lines = append(lines, "Caution: "+lockoutText(f.Lockout))
	}
	return strings.Join(lines, "\n")
}

func evidenceLines(f posture.Finding) []string {
	var out []string
	for _, e := range f.Evidence {
		out = append(out, evidenceLine(e))
	}
	return out
}
