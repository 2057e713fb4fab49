package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/posture"
)

// schema compiles one of testdata/schemas, with formats asserted.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "schemas", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:///"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate fails when a document does not follow the schema.
func validate(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, doc string) {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatalf("no JSON: %v\n%s", err, doc)
	}
	if err := s.Validate(v); err != nil {
		t.Fatalf("%v\n%s", err, clip(doc, 4000))
	}
}

func schemaFormats() map[string]string {
	return map[string]string{"sarif": "sarif-2.1.0.json", "oscal": "oscal-complete-1.1.3.json"}
}

func TestSchemas(t *testing.T) {
	for format, file := range schemaFormats() {
		t.Run(format, func(t *testing.T) {
			s := schema(t, file)
			bare := &posture.Report{Targets: []posture.TargetReport{{}, {Error: "x"}, {Findings: make([]posture.Finding, 2)}}}
			for _, r := range []*posture.Report{sample(), fleet(), many(1000), {}, bare} {
				validate(t, s, render(t, format, r, Options{}))
			}
			for _, h := range hostile() {
				validate(t, s, render(t, format, filled(h), Options{}))
			}
			rapid.Check(t, func(t *rapid.T) {
				var b strings.Builder
				if err := Write(&b, format, anyReport(t), Options{}); err != nil {
					t.Fatal(err)
				}
				validate(t, s, b.String())
			})
		})
	}
}

// The schemas themselves must be able to refuse: a document that breaks one is found.
func TestSchemasRefuse(t *testing.T) {
	for format, breakage := range map[string][2]string{
		"sarif": {`"kind": "open"`, `"kind": "unknown"`},
		"oscal": {`"state": "satisfied"`, `"state": ""`},
	} {
		good := render(t, format, fleet(), Options{})
		bad := strings.Replace(good, breakage[0], breakage[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing to break", format)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema(t, schemaFormats()[format]).Validate(v) == nil {
			t.Errorf("%s: the schema takes %s", format, breakage[1])
		}
	}
}

// sarifDoc is what the SARIF tests look at.
type sarifDoc struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID   string
					Help struct{ Text, Markdown string }
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct {
				Level   string
				Message struct{ Text string }
			}
		}
		Results []struct {
			RuleID              string
			RuleIndex           int
			Kind, Level         string
			PartialFingerprints map[string]string
			Suppressions        []struct{ Kind, Justification string }
			Locations           []struct {
				PhysicalLocation *struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           *struct{ StartLine int }
				}
			}
		}
	}
}

func sarifOf(t *testing.T, r *posture.Report) sarifDoc {
	t.Helper()
	var d sarifDoc
	if err := json.Unmarshal([]byte(render(t, "sarif", r, Options{})), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSARIFMapping(t *testing.T) {
	run := sarifOf(t, sample()).Runs[0]
	got := map[string]string{}
	for _, res := range run.Results {
		got[res.RuleID] = strings.TrimSpace(res.Kind + " " + res.Level + strings.Repeat(" suppressed", len(res.Suppressions)))
		if id := run.Tool.Driver.Rules[res.RuleIndex].ID; id != res.RuleID {
			t.Errorf("%s refers to the rule %s", res.RuleID, id)
		}
		if len(res.PartialFingerprints) != 1 || len(res.Locations) == 0 {
			t.Errorf("%s has no fingerprint or no location", res.RuleID)
		}
	}
	want := map[string]string{
		"SSH-06": "fail warning", "SSH-02": "fail error", "SSH-01": "pass none", "ACC-01": "open none", "ACC-12": "open none",
		"BOOT-05": "review none", "BOOT-08": "notApplicable none", "SYS-10": "fail warning suppressed", "SYS-9": "fail note",
		"LOG-07": "fail note", "MY-1": "pass none",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, res := range run.Results {
		if res.RuleID == "SSH-06" {
			l := res.Locations[0].PhysicalLocation
			if l.ArtifactLocation.URI != "etc/ssh/sshd_config" || l.Region.StartLine != 33 {
				t.Errorf("the location is %+v", l)
			}
		}
		if res.RuleID == "SYS-10" && res.Suppressions[0].Justification != "lab router" {
			t.Errorf("the justification is %q", res.Suppressions[0].Justification)
		}
	}
}

// A scan that could not see everything must not look like one that found nothing.
func TestSARIFDegraded(t *testing.T) {
	pass := posture.Finding{Control: "A-1", Status: posture.Pass}
	rootless := posture.Finding{Control: "A-2", Status: posture.StatusUnknown, NeedsRoot: true}
	unknown := posture.Finding{Control: "A-3", Status: posture.StatusUnknown}
	for _, c := range []struct {
		name   string
		target posture.TargetReport
		want   bool
	}{
		{"complete", target("x", 100, "A", pass), true},
		{"a little unknown", target("x", 90, "A", pass, pass, pass, pass, unknown), true},
		{"root needed", target("x", 90, "A", pass, pass, pass, pass, rootless), false},
		{"little readable", target("x", 50, "F", pass, unknown), false},
		{"error", posture.TargetReport{Target: "x", Error: "refused", Readable: 100}, false},
		{"nothing judged", posture.TargetReport{Target: "x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inv := sarifOf(t, &posture.Report{Targets: []posture.TargetReport{c.target}}).Runs[0].Invocations[0]
			if inv.ExecutionSuccessful != c.want {
				t.Errorf("executionSuccessful is %v", inv.ExecutionSuccessful)
			}
			if (c.name == "root needed" || c.name == "error") && len(inv.ToolExecutionNotifications) == 0 {
				t.Error("it does not say why")
			}
		})
	}
}

func TestFingerprintsAreStable(t *testing.T) {
	a, b := sample(), sample()
	for i := range b.Targets[0].Findings {
		b.Targets[0].Findings[i].Reason = "another reason"
		b.Targets[0].Findings[i].Status = posture.Fail
	}
	b.Tool = "9.9.9"
	x, y := sarifOf(t, a).Runs[0].Results, sarifOf(t, b).Runs[0].Results
	seen := map[string]bool{}
	for i := range x {
		if d := cmp.Diff(x[i].PartialFingerprints, y[i].PartialFingerprints); d != "" {
			t.Errorf("%s: %s", x[i].RuleID, d)
		}
		fp := x[i].PartialFingerprints[fingerprintKey]
		if seen[fp] {
			t.Errorf("%s has the fingerprint of another", x[i].RuleID)
		}
		seen[fp] = true
	}
}

func TestOSCALMapping(t *testing.T) {
	var d struct {
		AR struct {
			Results []struct {
				Observations []struct{ UUID string }
				Findings     []struct {
					Target struct {
						ID     string `json:"target-id"`
						Status struct{ State, Reason string }
					}
					RelatedObservations []struct {
						UUID string `json:"observation-uuid"`
					} `json:"related-observations"`
					RelatedRisks []struct {
						UUID string `json:"risk-uuid"`
					} `json:"related-risks"`
				}
				Risks []struct{ UUID, Status, Deadline string }
			}
		} `json:"assessment-results"`
	}
	if err := json.Unmarshal([]byte(render(t, "oscal", sample(), Options{})), &d); err != nil {
		t.Fatal(err)
	}
	res := d.AR.Results[0]
	known := map[string]bool{}
	for _, o := range res.Observations {
		known[o.UUID] = true
	}
	risks := map[string]string{}
	for _, r := range res.Risks {
		known[r.UUID] = true
		risks[r.UUID] = strings.TrimSpace(r.Status + " " + r.Deadline)
	}
	if n := len(sample().Targets[0].Findings) + len(res.Risks); len(known) != n {
		t.Errorf("%d different identifiers, not %d", len(known), n)
	}
	got := map[string]string{}
	for _, f := range res.Findings {
		s := f.Target.Status.State + " " + f.Target.Status.Reason
		for _, r := range f.RelatedRisks {
			s += " " + risks[r.UUID]
		}
		got[f.Target.ID] = s
		if len(f.RelatedObservations) != 1 || !known[f.RelatedObservations[0].UUID] {
			t.Errorf("%s has no observation", f.Target.ID)
		}
	}
	want := map[string]string{
		"SSH-06": "not-satisfied fail open", "SSH-02": "not-satisfied fail open 2026-10-31T00:00:00Z", "SSH-01": "satisfied pass",
		"ACC-01": "not-satisfied other", "ACC-12": "not-satisfied other", "BOOT-05": "not-satisfied other",
		"SYS-10": "not-satisfied fail deviation-approved 2027-01-31T00:00:00Z", "SYS-9": "not-satisfied fail open",
		"LOG-07": "not-satisfied fail open", "MY-1": "satisfied pass",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
