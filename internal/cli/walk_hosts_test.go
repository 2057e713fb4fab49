package cli

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/posture"
)

// TestWalkHosts repairs whole sample hosts: what is repaired passes, nothing that passed before fails, a second plan has nothing to
// do, and taken back the host is what it was.
func TestWalkHosts(t *testing.T) {
	for _, name := range []string{"pve8-blog-recipe", "pve9-cluster-node", "estate"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walkHost(t, filepath.Join("../../examples", name))
		})
	}
}

func walkHost(t *testing.T, example string) {
	f := &planFlags{rules: rules{profile: "strict"}}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	// The catalogue as it stands in the files, not as it was built in.
	cs, err := controlsOf(catalogueDir, f.env)
	if err != nil {
		t.Fatal(err)
	}
	f.all, f.chosen = cs, cs
	for id, params := range walkParams() {
		for _, x := range params {
			if err := f.setParam(id + "." + x); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := filepath.Join(t.TempDir(), "root")
	copyTree(t, example, root)
	before := treeOf(t, root)
	statuses := func() map[string]posture.Finding {
		facts, err := fixtureFacts(root, walkNow())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]posture.Finding{}
		for _, x := range posture.NewJudge(f.env, f.judged(), nil, nil).Evaluate(facts).Findings {
			out[x.Control] = x
		}
		return out
	}
	first := statuses()
	made, err := f.make(planner(t, root))
	if err != nil {
		t.Fatal(err)
	}
	repaired := repairedBy(made.plan)
	if len(repaired) == 0 {
		t.Fatal("nothing is repaired")
	}
	undo := applyPlan(t, root, made.plan)
	for id, x := range statuses() {
		was := first[id].Status
		switch {
		case slices.Contains(repaired, id) && x.Status != posture.Pass && x.Status != posture.NotApplicable && !slices.Contains(hostRest(), id):
			t.Errorf("%s is %s after it was repaired: %s", id, x.Status, x.Reason)
		case was == posture.Pass && x.Status != posture.Pass && x.Status != posture.NotApplicable:
			t.Errorf("%s passed before, and is %s: %s", id, x.Status, x.Reason)
		}
	}
	again, err := f.make(planner(t, root))
	if err != nil {
		t.Fatal(err)
	}
	if len(again.plan.Windows) > 0 {
		t.Errorf("a second plan has something to do:\n%s", diffs(again.plan))
	}
	undo(t)
	if diff := cmp.Diff(before, treeOf(t, root)); diff != "" {
		t.Errorf("taken back it is not what it was: %s", diff)
	}
	t.Logf("%d controls repaired by %d steps, %d left out", len(repaired), len(made.plan.Windows[0].Steps), len(made.plan.Omitted))
}

// repairedBy are the controls that a plan repairs whole.
func repairedBy(p *change.Plan) []string {
	var out []string
	for _, w := range p.Windows {
		for _, id := range w.Controls {
			if _, left := omitted(p, id); !left && !strings.HasPrefix(id, posture.DesiredControl) {
				out = append(out, id)
			}
		}
	}
	return out
}

// hostRest are the controls of which a sample host leaves a rest to a person, to a start of the host, or to what its copy lacks.
//
// table: controls
func hostRest() []string {
	return []string{
		"ACC-10",  // an old hash of a password stays until its owner sets it anew
		"BOOT-17", // a copy without /etc/shadow does not tell whether root has a password
		"VM-09",   // a guest that shares its clipboard by SPICE as well gets another display from a person
		"SVC-14",  // profiles are in force once the host starts with them
	}
}

// What a repair makes necessary is planned from the host as it will be, and everything else from the host as it is: afterwards
// nobody is left on the lists of who needs it.
func TestPlanKeepsItsLists(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	copyTree(t, catalogueDir+"/testdata/FW-17/fail", root)
	f := &planFlags{rules: rules{profile: "baseline"}, controls: []string{"FW-17"}}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	made, err := f.make(planner(t, root))
	if err != nil {
		t.Fatal(err)
	}
	if got := repairedBy(made.plan); !slices.Contains(got, "FW-17") {
		t.Errorf("FW-17 is not among %v: %+v", got, made.plan.Omitted)
	}
}
