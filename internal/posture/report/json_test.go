package report

import (
	"encoding/json"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/posture"
)

// The keys that programs rely on, at each level.
func TestJSONContract(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(render(t, "json", fleet(), Options{})), &doc); err != nil {
		t.Fatal(err)
	}
	need := func(m map[string]any, where string, keys ...string) {
		for _, k := range keys {
			if v, ok := m[k]; !ok || v == nil {
				t.Errorf("%s lacks %q", where, k)
			}
		}
	}
	need(doc, "the report", "version", "tool", "profile", "catalogue_digest", "targets")
	for _, x := range doc["targets"].([]any) {
		target := x.(map[string]any)
		need(target, "a target", "target", "score", "grade", "counts", "findings")
		need(target["counts"].(map[string]any), "counts", "pass", "fail", "unknown", "not_applicable", "manual", "waived")
		for _, y := range target["findings"].([]any) {
			need(y.(map[string]any), "a finding", "control", "status", "severity", "title", "reason", "evidence", "remediation")
		}
	}
}

func TestJSONKeepsEveryValue(t *testing.T) {
	for _, s := range hostile() {
		r := filled(s)
		var back posture.Report
		if err := json.Unmarshal([]byte(render(t, "json", r, Options{})), &back); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if got, want := back.Targets[0].OS, jsonOf(t, s); got != want {
			t.Errorf("%q became %q, not %q", s, got, want)
		}
	}
}

// jsonOf is what the standard library makes of a string on its way through JSON.
func jsonOf(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// JSON documents are printed on terminals too.
func TestJSONIsHarmlessOnTerminals(t *testing.T) {
	for _, format := range []string{"json", "sarif", "oscal"} {
		for _, s := range hostile() {
			for _, r := range render(t, format, filled(s), Options{}) {
				if r != '\n' && (r < ' ' || r == 0x7f || r > 0x7f && hidden(r)) {
					t.Errorf("%s: %q leaves %U in the document", format, s, r)
					break
				}
			}
		}
	}
}

// A stream gives the bytes that the encoder gives for the whole document.
func TestJSONStream(t *testing.T) {
	for _, r := range []*posture.Report{fleet(), sample(), {}} {
		whole := *r
		whole.Targets = make([]posture.TargetReport, len(r.Targets))
		for i, x := range r.Targets {
			x.Findings = sortedByControl(x.Findings)
			for j := range x.Findings {
				x.Findings[j].Evidence = append([]posture.Evidence{}, x.Findings[j].Evidence...)
				x.Findings[j].Remediation = append([]posture.Advice{}, x.Findings[j].Remediation...)
			}
			if x.Findings == nil {
				x.Findings = []posture.Finding{}
			}
			whole.Targets[i] = x
		}
		want, err := indentedJSON(whole, "")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want)+"\n", render(t, "json", r, Options{})); d != "" {
			t.Error(d)
		}
	}
}

func TestEscapeHidden(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"plain ü 漢"}`: `{"a":"plain ü 漢"}`, "\"\u202e\"": `"\u202e"`, "\"\u009b\x7f\"": `"\u009b\u007f"`,
		"\"\U000e0041\"": `"\udb40\udc41"`, `"ascii"`: `"ascii"`,
	} {
		got := string(escapeHidden([]byte(in)))
		if got != want {
			t.Errorf("%q became %s, not %s", in, got, want)
		}
		var a, b any
		if json.Unmarshal([]byte(in), &a) != nil || json.Unmarshal([]byte(got), &b) != nil || !cmp.Equal(a, b) {
			t.Errorf("%q has another value than %s", in, got)
		}
	}
}

// The same findings give the same bytes, in every format, in whatever order they come, and are not changed.
func TestSameFactsSameBytes(t *testing.T) {
	for _, f := range Formats() {
		t.Run(f, func(t *testing.T) {
			want := render(t, f, fleet(), Options{})
			for seed := range int64(5) {
				r := fleet()
				fs := r.Targets[1].Findings
				rand.New(rand.NewSource(seed)).Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
				before := slices.Clone(r.Targets[1].Findings)
				if got := render(t, f, r, Options{}); got != want {
					t.Fatalf("seed %d: other bytes:\n%s", seed, cmp.Diff(want, got))
				}
				if d := cmp.Diff(before, r.Targets[1].Findings, cmp.Comparer(func(a, b posture.Date) bool { return a == b })); d != "" {
					t.Fatalf("the report was changed:\n%s", d)
				}
			}
		})
	}
}

func TestNothingPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyReport(t)
		for _, f := range Formats() {
			var b strings.Builder
			if err := Write(&b, f, r, Options{}); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			if b.Len() == 0 || !strings.HasSuffix(b.String(), "\n") {
				t.Fatalf("%s: the report does not end with a line end", f)
			}
		}
	})
}

func TestCompareID(t *testing.T) {
	ids := []string{"SYS-10", "SSH-06", "SYS-9", "odd", "SYS-100", "SSH-6", "SYS-x"}
	slices.SortFunc(ids, compareID)
	want := []string{"SSH-06", "SSH-6", "SYS-9", "SYS-10", "SYS-100", "SYS-x", "odd"}
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "": "", "a  b\tc\r\nd ": "a b c d", "\x1b[2J": `\x1b[2J`, "a\x00": `a\x00`, "\u202e": `\u202e`,
		"\u009b": `\u009b`, "\xff": "\ufffd", "ü漢": "ü漢", "\U000e0041": `\ue0041`, "\ufe0f": `\ufe0f`,
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) is %q, not %q", in, got, want)
		}
	}
}
