package posture_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/posture"
)

// A repair whose need another change takes away is left out: with the firewall of PVE on, bridged packets belong into iptables.
func TestChangesLeaveOutWhatTheySpoil(t *testing.T) {
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	all := controls(t)
	i := slices.IndexFunc(all, func(c posture.Control) bool { return c.ID == "SYS-38" })
	judge := posture.NewJudge(env, all[i:i+1], nil, nil)
	facts := func(firewall string, calls bool) *posture.Facts {
		f := &posture.Facts{Target: posture.Target{Name: "pve1", Kind: "local", Live: true, Root: true}}
		f.OS.PVE = posture.Known(true, posture.Effective, "x")
		f.OS.Cluster = posture.Known(false, posture.Effective, "x")
		f.Sysctl.BridgeFirewall, f.Sysctl.BridgeCalls = posture.Known(firewall, posture.Effective, "x"), posture.Known(calls, posture.Effective, "x")
		return f
	}
	before, after := facts("off", true), facts("iptables", false)
	findings, spoiled := judge.Evaluate(before).Findings, judge.Evaluate(after).Findings
	want := posture.Wanted{Controls: []string{"SYS-38"}}
	planned := func(list []change.Change) bool {
		return slices.ContainsFunc(list, func(c change.Change) bool { return c.Control == "SYS-38" })
	}
	if changes, _ := judge.Changes(before, findings, want); !planned(changes) {
		t.Fatal("alone it is not planned")
	}
	changes, omitted := judge.ChangesWith(before, findings, after, nil, spoiled, want)
	if planned(changes) || len(omitted) != 1 || omitted[0].Code != "needs" || !strings.Contains(omitted[0].Reason, "another change of this plan") {
		t.Errorf("%+v\n%+v", changes, omitted)
	}
}
