package posture_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const sample = `id: TEST-01
title: The release is known
severity: high
level: 1
lockout: none
rationale: Because.
applies: os.id == "debian"
not_applicable: this is no Debian
check: int(os.version) >= params.min
fail: the release is {os.version}, at least {params.min} is wanted
evidence: [os.version]
params: {min: 12}
manual: Upgrade.
refs: [{doc: castellan}]
cluster:
  check: int(os.version) >= params.min + 1
`

func parse(t *testing.T, src string) posture.Control {
	t.Helper()
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	c, err := posture.ParseControl("TEST-01.yaml", []byte(src), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func judge(t *testing.T, c posture.Control, f *posture.Facts, ws []posture.Waiver, as []posture.Attestation) posture.Finding {
	t.Helper()
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	r := posture.NewJudge(env, []posture.Control{c}, ws, as).Evaluate(f)
	if len(r.Findings) != 1 {
		t.Fatalf("%d findings for one control", len(r.Findings))
	}
	return r.Findings[0]
}

func known(s string) posture.Fact[string] {
	return posture.Known(s, posture.Configured, "/etc/os-release:1")
}

func debian(version string, cluster bool) *posture.Facts {
	return &posture.Facts{Target: posture.Target{Name: "ssh://root@pve1", Hostname: "pve1", Live: true, CollectedAt: now},
		OS: posture.OS{ID: known("debian"), Version: known(version), Cluster: posture.Known(cluster, posture.Configured, "/etc/pve")}}
}

func TestStatuses(t *testing.T) {
	c := parse(t, sample)
	denied := &host.Error{Op: "read", Path: "/etc/os-release", Err: fs.ErrPermission}
	unreadable := debian("", false)
	unreadable.OS.Version = posture.Unknown[string](denied, "/etc/os-release")
	nothing := &posture.Facts{Target: posture.Target{CollectedAt: now}}
	maybe := func(v string) *posture.Facts {
		f := debian(v, false)
		f.OS.Cluster = posture.Unknown[bool](errors.New("cannot look"), "")
		return f
	}
	fedora := debian("40", false)
	fedora.OS.ID = known("fedora")
	cases := []struct {
		name      string
		facts     *posture.Facts
		status    posture.Status
		reason    string
		needsRoot bool
	}{
		{"good", debian("12", false), posture.Pass, "The release is known", false},
		{"bad", debian("11", false), posture.Fail, "the release is 11, at least 12 is wanted", false},
		{"cluster wants more", debian("12", true), posture.Fail, "the release is 12, at least 12 is wanted", false},
		{"cluster good", debian("13", true), posture.Pass, "The release is known", false},
		{"unreadable is never a pass", unreadable, posture.StatusUnknown, "cannot read /etc/os-release: permission denied", true},
		{"zero facts are never a pass", nothing, posture.StatusUnknown, "not collected", false},
		{"not a number", debian("sid", false), posture.StatusUnknown, "type conversion error", false},
		{"other system", fedora, posture.NotApplicable, "this is no Debian", false},
		{"membership unknown, variants agree", maybe("13"), posture.Pass, "The release is known", false},
		{"membership unknown, variants differ", maybe("12"), posture.StatusUnknown, "cluster is not known", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f := judge(t, c, tc.facts, nil, nil)
			if f.Status != tc.status || !strings.Contains(f.Reason, tc.reason) || f.NeedsRoot != tc.needsRoot {
				t.Errorf("is %s (%s, needs root %v), want %s (%s)", f.Status, f.Reason, f.NeedsRoot, tc.status, tc.reason)
			}
		})
	}
}

func TestEvidenceCarriesItsSource(t *testing.T) {
	f := judge(t, parse(t, sample), debian("11", false), nil, nil)
	want := []posture.Evidence{{Path: "os.version", Value: "11", Origin: "configured", Source: "/etc/os-release:1"}}
	if d := cmp.Diff(want, f.Evidence); d != "" {
		t.Error(d)
	}
}

func day(s string) posture.Date {
	d, err := posture.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func TestWaivers(t *testing.T) {
	c := parse(t, sample)
	w := posture.Waiver{Control: "TEST-01", Target: "pve*", Reason: "migration in spring", Approver: "Ada", Expires: day("2026-11-20")}
	if f := judge(t, c, debian("11", false), []posture.Waiver{w}, nil); f.Status != posture.Waived || f.Waiver == nil {
		t.Errorf("a waiver on its last day gives %s", f.Status)
	}
	old := w
	old.Expires = day("2026-11-19")
	f := judge(t, c, debian("11", false), []posture.Waiver{old}, nil)
	if f.Status != posture.Fail || f.Code != posture.CodeExpired || !strings.Contains(f.Reason, "expired on 2026-11-19") {
		t.Errorf("an expired waiver gives %s %s: %s", f.Status, f.Code, f.Reason)
	}
	other := w
	other.Target = "web*"
	if f := judge(t, c, debian("11", false), []posture.Waiver{other}, nil); f.Status != posture.Fail {
		t.Errorf("a waiver for another target gives %s", f.Status)
	}
	if f := judge(t, c, debian("12", false), []posture.Waiver{w}, nil); f.Status != posture.Pass {
		t.Errorf("a waiver turned a pass into %s", f.Status)
	}
}

func TestAttestations(t *testing.T) {
	src := strings.Replace(sample, "manual: Upgrade.", "manual: Look.\nattest: {days: 30}", 1)
	c := parse(t, src)
	unknown := debian("sid", false)
	a := posture.Attestation{Control: "TEST-01", Target: "pve1", By: "Ada", Note: "seen", Made: day("2026-11-01"), Until: day("2027-11-01")}
	if f := judge(t, c, unknown, nil, nil); f.Status != posture.Manual || f.Code != posture.CodeAttestNeeded {
		t.Errorf("without attestation: %s", f.Status)
	}
	f := judge(t, c, unknown, nil, []posture.Attestation{a})
	if f.Status != posture.Pass || f.Reason != "attested by Ada until 2026-12-01" {
		t.Errorf("attested: %s %q", f.Status, f.Reason)
	}
	a.Made = day("2026-10-01")
	if f := judge(t, c, unknown, nil, []posture.Attestation{a}); f.Status != posture.Manual || f.Code != posture.CodeAttestOld {
		t.Errorf("an attestation older than the control allows: %s %s", f.Status, f.Code)
	}
	a.Made = day("2026-11-19")
	if f := judge(t, c, debian("11", false), nil, []posture.Attestation{a}); f.Status != posture.Fail {
		t.Errorf("an attestation hides what the machine sees: %s", f.Status)
	}
}

func TestBadControls(t *testing.T) {
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, old, new, want string }{
		{"typo in a fact", "int(os.version)", "int(os.versoin)", "TEST-01.yaml:9:14: undefined field 'versoin'"},
		{"wrong type", "os.id == \"debian\"", "os.id == 3", "TEST-01.yaml:7:16: found no matching overload"},
		{"not a truth", "os.id == \"debian\"", "os.id", "gives string, not true or false"},
		{"unknown key", "level: 1", "level: 1\nlevle: 2", "TEST-01.yaml:5:1: unknown field \"levle\""},
		{"unknown severity", "severity: high", "severity: hgih", "TEST-01.yaml:3:11: the severity \"hgih\" is not known"},
		{"undeclared parameter", "params: {min: 12}", "params: {max: 12}", "params.min is not declared"},
		{"typo in evidence", "evidence: [os.version]", "evidence: [os.versoin]", "TEST-01.yaml:11:12: there is no fact \"os.versoin\""},
		{"no way to fix", "manual: Upgrade.", "", "neither remediation nor manual"},
		{"unknown kind", "manual: Upgrade.", "remediation: [{kind: shell, text: rm}]", "there is no remediation kind \"shell\""},
		{"unknown document", "doc: castellan", "doc: blog", "the document \"blog\" is not known"},
		{"empty", sample, "", "the file is empty"},
		{"not YAML", sample, "{", "TEST-01.yaml"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := posture.ParseControl("TEST-01.yaml", []byte(strings.Replace(sample, tc.old, tc.new, 1)), env)
			var se *posture.SourceError
			if !errors.As(err, &se) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A control that turns unknown, manual or failing never raises the score, whatever the others are.
func TestScoreNeverRisesByNotKnowing(t *testing.T) {
	statuses := []posture.Status{posture.Pass, posture.Fail, posture.StatusUnknown, posture.Manual, posture.Waived, posture.NotApplicable}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "n")
		fs := make([]posture.Finding, n)
		for i := range fs {
			fs[i].Severity = rapid.SampledFrom(posture.Severities()).Draw(rt, "severity")
			fs[i].Status = rapid.SampledFrom(statuses).Draw(rt, "status")
		}
		before, gradeBefore := posture.Score(fs)
		i := rapid.IntRange(0, n-1).Draw(rt, "i")
		if fs[i].Status == posture.Waived || fs[i].Status == posture.NotApplicable {
			return
		}
		fs[i].Status = rapid.SampledFrom([]posture.Status{posture.StatusUnknown, posture.Manual}).Draw(rt, "new")
		if after, grade := posture.Score(fs); after > before || grade < gradeBefore {
			rt.Fatalf("the score went from %d %s to %d %s", before, gradeBefore, after, grade)
		}
	})
}

func TestGrades(t *testing.T) {
	of := func(s posture.Status, sev posture.Severity) posture.Finding {
		return posture.Finding{Status: s, Severity: sev}
	}
	many := func(n int) []posture.Finding {
		fs := make([]posture.Finding, n)
		for i := range fs {
			fs[i] = of(posture.Pass, posture.High)
		}
		return fs
	}
	cases := []struct {
		fs    []posture.Finding
		score int
		grade string
	}{
		{nil, 0, "F"},
		{many(3), 100, "A"},
		{append(many(100), of(posture.Fail, posture.High)), 99, "B"},
		{append(many(100), of(posture.Fail, posture.Critical)), 98, "C"},
		{append(many(1), of(posture.StatusUnknown, posture.High)), 50, "D"},
		{append(many(1), of(posture.Waived, posture.Critical)), 100, "A"},
	}
	for _, tc := range cases {
		if s, g := posture.Score(tc.fs); s != tc.score || g != tc.grade {
			t.Errorf("%d findings: %d %s, want %d %s", len(tc.fs), s, g, tc.score, tc.grade)
		}
	}
}
