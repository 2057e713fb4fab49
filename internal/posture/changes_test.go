package posture

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/castellan-project/castellan/internal/change"
)

func desiredEnv(t *testing.T) *Judge {
	t.Helper()
	env, err := NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	return NewJudge(env, nil, nil, nil)
}

func TestParseDesired(t *testing.T) {
	j := desiredEnv(t)
	list, err := ParseDesired("d.yaml", []byte(`
- kind: account
  each: [bob, 'a"b', alice, bob]
  set: {locked: "yes"}
  control: OWN-01
  lockout: none
- kind: sysctl
  set: {kernel.sysrq: "0"}
`), j.env)
	if err != nil {
		t.Fatal(err)
	}
	changes, omitted := j.Desired(&Facts{}, list)
	want := []change.Change{
		{Control: "OWN-01", Kind: "account", Lockout: "none", Set: map[string]string{"locked": "yes"}, Each: []string{`a"b`, "alice", "bob"}},
		{Control: DesiredControl, Kind: "sysctl", Lockout: "session", Set: map[string]string{"kernel.sysrq": "0"}},
	}
	if diff := cmp.Diff(want, changes, cmpopts.EquateEmpty()); diff != "" || len(omitted) > 0 {
		t.Error(diff, omitted)
	}
	for name, c := range map[string]struct{ src, want string }{
		"empty":       {"", "d.yaml: the file is empty"},
		"nothing":     {"[]\n", "asks for nothing"},
		"form":        {"kind: sysctl\n", "d.yaml:1:5: "},
		"key":         {"- kind: sysctl\n  set: {a: b}\n  sett: 1\n", "d.yaml:3:3: unknown field \"sett\""},
		"kind":        {"- kind: sysctrl\n", "d.yaml:1:9: there is no remediation kind"},
		"no kind":     {"- set: {a: b}\n", "d.yaml:1:3: there is no remediation kind"},
		"key of kind": {"- kind: sysctl\n  set: {a: b}\n  path: /x\n", "d.yaml:1:9: a remediation of kind sysctl has no key \"path\""},
		"second":      {"- kind: sysctl\n  set: {a: b}\n- kind: file\n", "d.yaml:3:9: a remediation of kind file needs \"path\""},
		"each":        {"- kind: account\n  set: {a: b}\n  each: accounts.nobody\n", "d.yaml:3:17: undefined field"},
		"each type":   {"- kind: account\n  set: {a: b}\n  each: 'true'\n", "d.yaml:3:"},
		"lockout":     {"- kind: sysctl\n  set: {a: b}\n  lockout: some\n", "d.yaml:3:12: the lock-out class \"some\""},
		"control":     {"- kind: sysctl\n  set: {a: b}\n  control: mine\n", "d.yaml:3:12: the id \"mine\""},
		"not YAML":    {"- {\n", "d.yaml:"},
	} {
		_, err := ParseDesired("d.yaml", []byte(c.src), j.env)
		var at *SourceError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ParseDesired("d.yaml", make([]byte, MaxDesired+1), j.env); err == nil {
		t.Error("a file of any size is read")
	}
}

func FuzzParseDesired(f *testing.F) {
	env, err := NewEnv()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"- kind: sysctl\n  set: {a: b}\n", "- kind: account\r\n  each: [a]\r\n", "\x00", "- {", "- kind: file\n  path: \xff\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseDesired("d.yaml", b, env)
		for _, d := range list {
			if err == nil && (d.Kind == "" || d.Control == "" || d.Lockout == "") {
				t.Errorf("%+v", d)
			}
		}
	})
}

// TestDesiredGroupsAreWhole leaves out the changes of one control when one of them cannot be filled in.
func TestDesiredGroupsAreWhole(t *testing.T) {
	j := desiredEnv(t)
	list, err := ParseDesired("d.yaml", []byte(`
- {kind: file, path: /etc/a, content: "{os.hostname}", control: OWN-01}
- {kind: file, path: /etc/b, content: "b", control: OWN-01}
- {kind: file, path: /etc/c, content: "x{2,3} {params.none} ${HOME}", control: OWN-02}
- {kind: file, path: /etc/d, content: "x{2,3} ${HOME} {cluster}", control: OWN-03}
`), j.env)
	if err != nil {
		t.Fatal(err)
	}
	changes, omitted := j.Desired(&Facts{}, list)
	if len(changes) != 1 || changes[0].Content != "x{2,3} ${HOME} {cluster}" {
		t.Errorf("%+v", changes)
	}
	if len(omitted) != 2 || omitted[0].Control != "OWN-01" || omitted[1].Reason != "the parameter none is not set" {
		t.Errorf("%+v", omitted)
	}
}

func wantedControls() []Control {
	fix := []Remediation{{Kind: "sysctl", Set: map[string]string{"a": "{params.x}"}}}
	return []Control{
		{ID: "BAN-01", Severity: High, Check: "false", Remediation: fix, Params: map[string]any{"x": "1"}},
		{ID: "BAN-07", Severity: Low, Check: "false", Remediation: fix, Params: map[string]any{"x": "2"}},
		{ID: "TST-01", Severity: Low, Check: "false", Manual: "do it", Params: map[string]any{}},
		{ID: "TST-02", Severity: High, Check: "false", Remediation: fix, Needs: "params.x != ''", Params: map[string]any{"x": ""}},
		{ID: "TST-03", Severity: High, Check: "true", Remediation: fix, Params: map[string]any{"x": "1"}},
		{ID: "TST-04", Severity: High, Check: "os.pve", Remediation: fix, Params: map[string]any{"x": "1"}},
		{ID: "TST-05", Severity: High, Check: "false", Needs: "os.pve", Remediation: fix, Params: map[string]any{"x": "1"}},
	}
}

func TestChanges(t *testing.T) {
	env, err := NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	j := NewJudge(env, wantedControls(), nil, nil)
	facts := &Facts{}
	findings := j.Evaluate(facts).Findings
	for name, c := range map[string]struct {
		want    Wanted
		ids     string
		omitted map[string]string
	}{
		"all": {Wanted{}, "BAN-07 BAN-01", map[string]string{"TST-01": "manual: a person has to do this",
			"TST-02": "needs: it needs a value that only you know: --param TST-02.x=X", "TST-05": "needs: whether what it needs holds is not known"}},
		"severity": {Wanted{Worst: High}, "", map[string]string{"BAN-01": "needs: BAN-07 comes first, and is not in this plan",
			"TST-02": "needs: it needs a value", "TST-05": "needs: "}},
		"chosen":         {Wanted{Controls: []string{"BAN-07"}}, "BAN-07", nil},
		"chosen passes":  {Wanted{Controls: []string{"TST-03"}}, "", nil},
		"chosen unknown": {Wanted{Controls: []string{"TST-04"}}, "", map[string]string{"TST-04": "cannot: whether it is needed is not known"}},
		"too early":      {Wanted{Controls: []string{"BAN-01"}}, "", map[string]string{"BAN-01": "needs: BAN-07 comes first"}},
		"profile":        {Wanted{Only: []string{"BAN-07"}}, "BAN-07", nil},
		"empty profile":  {Wanted{Only: []string{}}, "", nil},
	} {
		changes, omitted := j.Changes(facts, findings, c.want)
		var ids []string
		for _, x := range changes {
			ids = append(ids, x.Control)
			if x.Control == "BAN-01" && !cmp.Equal(x.After, []string{"BAN-07"}) {
				t.Errorf("%s: BAN-01 is made after %v", name, x.After)
			}
		}
		if got := strings.Join(ids, " "); got != c.ids {
			t.Errorf("%s: changes of %q, want %q", name, got, c.ids)
		}
		if len(omitted) != len(c.omitted) {
			t.Errorf("%s: %+v", name, omitted)
		}
		for _, o := range omitted {
			if got := o.Code + ": " + o.Reason; c.omitted[o.Control] == "" || !strings.HasPrefix(got, c.omitted[o.Control]) {
				t.Errorf("%s: %s: %s", name, o.Control, got)
			}
		}
	}
}
