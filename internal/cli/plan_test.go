package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/posture"
)

func TestParams(t *testing.T) {
	c := posture.Control{ID: "TST-01", Params: map[string]any{"s": "", "n": int64(4), "b": false, "l": []any{}, "ln": []any{int64(1)}, "f": 0.5, "m": map[string]any{}, "both": ""},
		Cluster: &posture.Variant{Params: map[string]any{"nodes": "", "both": ""}}}
	for text, want := range map[string]any{"s=a b": "a b", "n=-3": int64(-3), "b=true": true, "l=a, b,,c": []any{"a", "b", "c"}, "l=": []any{},
		"ln=2,3": []any{int64(2), int64(3)}, "f=1.5": 1.5, "both=x=y": "x=y"} {
		name, value, _ := strings.Cut(text, "=")
		got, err := withParam(c, name, value)
		if err != nil || !cmp.Equal(got.Params[name], want) {
			t.Errorf("%s: %v %v", text, got.Params[name], err)
		}
		if name == "both" && got.Cluster.Params["both"] != "x=y" {
			t.Errorf("the variant for clusters has %v", got.Cluster.Params)
		}
	}
	if got, err := withParam(c, "nodes", "a"); err != nil || got.Cluster.Params["nodes"] != "a" || got.Params["nodes"] != nil {
		t.Errorf("%+v %v", got, err)
	}
	for text, want := range map[string]string{"n=x": "no whole number", "b=maybe": "neither true nor false", "ln=1,x": "no whole number", "f=x": "no number",
		"m=x": "write a profile", "s=a\nb": "cannot be written into a file", "none=x": "it has b, both, f, l, ln, m, n, nodes, s"} {
		name, value, _ := strings.Cut(text, "=")
		if _, err := withParam(c, name, value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if c.Params["s"] != "" || c.Cluster.Params["both"] != "" {
		t.Error("the catalogue's own control was changed")
	}
	if _, err := withParam(posture.Control{ID: "TST-02"}, "x", "y"); err == nil || !strings.Contains(err.Error(), "has no parameters") {
		t.Error(err)
	}
}

// TestShowPlan prints a plan with everything in it.
func TestShowPlan(t *testing.T) {
	p := &change.Plan{Created: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Host: change.Host{Target: "local", Hostname: "pve1"},
		Windows: []change.Window{{Name: "ssh", Lockout: "session", Controls: []string{"SSH-02", "SSH-06"},
			Steps: []change.Step{
				{Controls: []string{"SSH-02", "SSH-06"}, Path: "/etc/ssh/a", What: "write", Diff: "--- a/etc/ssh/a\n+++ b/etc/ssh/a\n@@ -1 +1 @@\n-a\x1b[31m\n+b\n"},
				{Controls: []string{"SSH-02"}, Path: "/etc/ssh/a", What: "give mode 0600 (now 0644)"},
				{Controls: []string{"SSH-02"}, Path: "/etc/ssh/l", What: "link to /dev/null"},
				{Controls: []string{"SSH-06"}, What: "reload ssh.service", Action: &change.Action{Verb: change.Reload, Object: "ssh.service"}},
			},
			Effects: []string{"new logins follow"}, Reboots: []string{"a kernel"},
			Verdicts: []change.Verdict{{Guard: "sshd", Operator: "root@192.0.2.1", Admitted: true, Reason: "a key"},
				{Guard: "sshd", Operator: "ann@192.0.2.2", Reason: "no key of hers", Add: "a key"}}}},
		Omitted: []change.Omission{{Control: "ACC-01", Code: "manual", Title: "Only root"}, {Control: "WEB-02", Code: "needs", Title: "Web", Reason: "a value"},
			{Control: "BAN-01", Code: "later", Title: "Ban", Reason: "packages"}, {Control: "UPD-01", Code: "cannot", Title: "Upd", Reason: "no"}, {Control: "X-01", Code: "nothing", Title: "X"}}}
	var out strings.Builder
	a := &app{out: &out, env: func(string) string { return "" }}
	m := &madePlan{plan: p, titles: map[string]string{"SSH-02": "No passwords", "SSH-06": "Few attempts"}, profile: "baseline", notes: []string{"a note"}}
	if err := a.showPlan(m, planView{file: "plan.json"}); err != nil {
		t.Fatal(err)
	}
	want := `Plan for local (pve1)
profile baseline, made 2026-11-21 12:00 UTC
a note

Window 1 of 1: ssh
2 controls repaired by 4 steps; can cut connections and the way in

  Who still gets in
    REFUSED  ann@192.0.2.2 by sshd
             no key of hers
             add: a key
    yes      root@192.0.2.1 by sshd
             a key

   1  write /etc/ssh/a
      SSH-02  No passwords
      SSH-06  Few attempts
      @@ -1 +1 @@
      -a\x1b[31m
      +b

   2  /etc/ssh/a: mode 0600 (now 0644)
      SSH-02

   3  /etc/ssh/l: link to /dev/null
      SSH-02

   4  reload ssh.service
      SSH-06

  Side effects
    - new logins follow

  At the next start only
    - a kernel

Needs something first; castellan controls show ID says more (1)
  WEB-02   Web
           a value

Later, with a plan after this one (1)
  BAN-01   Ban
           packages

Cannot be made here (1)
  UPD-01   Upd
           no

Nothing left for castellan to set; castellan controls show ID says what else (1)
  X-01     X

For a person; castellan controls show ID says how (1)
  ACC-01   Only root

7 controls: 2 repaired by 4 steps in 1 window, 1 needs something first, 1 later,
1 cannot, 1 with nothing left to set, 1 needs a person
apply will refuse this plan: see who still gets in
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	for _, l := range strings.Split(out.String(), "\n") {
		if len(l) > planWidth {
			t.Errorf("longer than %d columns: %q", planWidth, l)
		}
	}
}

// TestDeliverRefusal gives exit code 4 when a guard refuses, and not when the administrator has another way in.
func TestDeliverRefusal(t *testing.T) {
	p := &change.Plan{Windows: []change.Window{{Name: "ssh", Verdicts: []change.Verdict{{Guard: "sshd", Reason: "no"}}}}}
	for console, want := range map[bool]int{false: ExitRefused, true: ExitOK} {
		var out strings.Builder
		a := &app{out: &out, err: &out, env: func(string) string { return "" }}
		err := a.deliver(&planFlags{json: true, console: console}, &madePlan{plan: p})
		code := ExitOK
		var e *exitError
		if errors.As(err, &e) {
			code = e.code
		}
		if code != want || !strings.Contains(out.String(), `"admitted": false`) {
			t.Errorf("console %v: exit %d: %s", console, code, out.String())
		}
	}
}
