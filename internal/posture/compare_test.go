package posture_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

func TestComparison(t *testing.T) {
	judged := func(target, cluster string, members []string, ssh, fw posture.Status) posture.TargetReport {
		return posture.TargetReport{Target: target, ClusterName: cluster, Members: members, Findings: []posture.Finding{
			{Control: "SSH-06", Title: "attempts", Severity: "medium", Status: ssh},
			{Control: "FW-05", Title: "firewall", Severity: "high", Status: fw},
		}}
	}
	lab := []string{"a", "b", "c"}
	var c posture.Comparison
	c.Add(judged("a", "lab", lab, posture.Pass, posture.Pass))
	c.Add(judged("x", "lab", []string{"x", "y"}, posture.Fail, posture.Fail)) // another cluster that bears the same name
	c.Add(judged("b", "lab", lab, posture.Fail, posture.Pass))
	c.Add(judged("alone", "", nil, posture.Fail, posture.Fail))
	c.Add(posture.TargetReport{Target: "c", ClusterName: "lab", Members: lab, Error: "no answer"})
	want := []posture.ClusterReport{{Name: "lab", Targets: []string{"a", "b"}, Deviations: []posture.Deviation{
		{Control: "SSH-06", Title: "attempts", Severity: "medium", Results: []posture.NodeResult{{Target: "a", Status: posture.Pass}, {Target: "b", Status: posture.Fail}}},
	}}}
	if d := cmp.Diff(want, c.Clusters()); d != "" {
		t.Error(d)
	}
	c.Add(judged("d", "lab", lab, posture.Pass, posture.StatusUnknown))
	if got := c.Clusters()[0].Deviations; len(got) != 2 || got[0].Control != "FW-05" {
		t.Errorf("the worst deviation comes first, and unknown deviates from pass: %v", got)
	}
}
