package change

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What cannot be made for one object is left out for that one only, with all that its control would do there.
func TestObjects(t *testing.T) {
	p := newPlanner(t, false, map[string]string{"a": "a\n", "b": "b\n"})
	plan := p.mustPlan(t,
		Change{Control: "TST-01", Object: "/a", Kind: "file", Path: "/a", Content: "1\n"},
		Change{Control: "TST-01", Object: "/b", Kind: "file", Path: "/b", Mode: "0600"},
		Change{Control: "TST-01", Object: "/b", Kind: "file", Path: "/b", Content: "cannot"},
		Change{Control: "TST-02", Object: "/b", Kind: "file", Path: "/b", Content: "2\n"},
		Change{Control: "TST-03", Object: "/b", Kind: "file", Path: "/b", Content: "3\n"},
	)
	if diff := cmp.Diff([]string{"[all none]", "write /a TST-01"}, shape(plan)); diff != "" {
		t.Error(diff)
	}
	var left []string
	for _, o := range plan.Omitted {
		left = append(left, o.Control+o.Object+" "+o.Code)
	}
	// Before anything is drafted, the three that want another content of one path are parted.
	if diff := cmp.Diff([]string{"TST-01/b cannot", "TST-02/b cannot", "TST-03/b cannot"}, left); diff != "" {
		t.Error(diff)
	}
}

// A change that fails after it wrote leaves the draft as if it had never been asked for, whatever came before.
func TestFailingChangeIsNotSeen(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var all, good []Change
		for i := range rapid.IntRange(1, 8).Draw(r, "n") {
			c := Change{Control: fmt.Sprintf("TST-%02d", i), Kind: "file", Path: rapid.SampledFrom([]string{"/a", "/b/c", "/d"}).Draw(r, "path"), Content: "same\n"}
			if rapid.Bool().Draw(r, "fails") {
				c.Content = "cannot"
				c.Kind = "line" // it claims nothing, so that it is drafted
			} else {
				good = append(good, c)
			}
			all = append(all, c)
		}
		p := newPlanner(t, false, map[string]string{"a": "a\n"})
		windows, failed, err := p.draftOnce(all)
		if err != nil {
			r.Fatal(err)
		}
		want, _, err := p.draftOnce(good)
		if err != nil {
			r.Fatal(err)
		}
		a, errA := windows[0].draft.steps()
		b, errB := want[0].draft.steps()
		if diff := cmp.Diff(b, a); diff != "" || errA != nil || errB != nil || len(failed) != len(all)-len(good) {
			r.Fatalf("%v %v %d failed\n%s", errA, errB, len(failed), diff)
		}
		if n := len(windows[0].draft.effects); n != 0 {
			r.Fatalf("%d effects are left", n)
		}
	})
}
