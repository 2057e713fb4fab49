package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/castellan-project/castellan/catalogue"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

const catalogueDir = "../../catalogue"

// TestFixtures walks the catalogue: each control fails on its failing fixtures and passes on its passing ones.
func TestFixtures(t *testing.T) {
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	cs, err := controlsOf(catalogueDir, env)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, c := range cs {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			results, err := runFixtures(env, c, catalogueDir, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.problem != "" {
					t.Errorf("%s %s", r.name, r.problem)
				}
			}
		})
	}
}

// TestEveryFixtureHasAControl finds fixtures that nothing runs.
func TestEveryFixtureHasAControl(t *testing.T) {
	cs, err := builtinControls()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(catalogueDir + "/testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := find(cs, e.Name()); !ok {
			t.Errorf("catalogue/testdata/%s belongs to no control", e.Name())
		}
	}
}

// TestCatalogueIsComplete holds the catalogue against its plan: these groups, numbered without gaps.
func TestCatalogueIsComplete(t *testing.T) {
	cs, err := builtinControls()
	if err != nil {
		t.Fatal(err)
	}
	plan := map[string]int{"BOOT": 17, "UPD": 21, "SSH": 34, "SYS": 40, "SVC": 24, "ACC": 15, "WEB": 14, "BAN": 10, "LOG": 9,
		"IAM": 21, "FW": 20, "NET": 17, "VM": 18, "CT": 7, "LIF": 8, "BAK": 11, "CLU": 7}
	total := 0
	for group, n := range plan {
		total += n
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s-%02d", group, i); !has(cs, id) {
				t.Errorf("%s is missing", id)
			}
		}
	}
	if len(cs) < total {
		t.Errorf("%d controls, %d are planned", len(cs), total)
	}
}

func has(cs []posture.Control, id string) bool {
	_, ok := find(cs, id)
	return ok
}

// TestProfilesLoad applies every profile that is shipped.
func TestProfilesLoad(t *testing.T) {
	all, err := builtinControls()
	if err != nil {
		t.Fatal(err)
	}
	names := profileNames()
	if len(names) < 5 {
		t.Errorf("only %v", names)
	}
	for _, n := range names {
		p, err := posture.LoadProfile(n, openProfile)
		if err != nil {
			t.Error(err)
			continue
		}
		cs, err := p.Apply(all)
		if err != nil {
			t.Error(err)
		}
		if len(cs) < 10 {
			t.Errorf("profile %s has %d controls", n, len(cs))
		}
		t.Logf("%s: %d controls", n, len(cs))
	}
}

// TestCompiledChecksJudgeTheSame compares the compiled checks that the binary carries with those that are parsed, on the
// sample hosts and on every fixture.
func TestCompiledChecksJudgeTheSame(t *testing.T) {
	cs, err := builtinControls()
	if err != nil {
		t.Fatal(err)
	}
	judge := func(preload bool) *posture.Judge {
		env, err := posture.NewEnv()
		if err != nil {
			t.Fatal(err)
		}
		if preload {
			if err := env.Preload(catalogue.Checks); err != nil {
				t.Fatal(err)
			}
		}
		return posture.NewJudge(env, cs, nil, nil)
	}
	parsed, compiled := judge(false), judge(true)
	dirs, err := filepath.Glob(catalogueDir + "/testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range append(dirs, "../../examples/pve8-blog-recipe", "../../examples/pve9-cluster-node") {
		if i%5 != 0 && i < len(dirs) {
			continue // one fixture in five has every control judged; all of them would take a minute
		}
		d, err := host.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := collect.Run(d, d.Describe(), collect.All())
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed.Evaluate(facts), compiled.Evaluate(facts), cmpopts.IgnoreUnexported(posture.TargetReport{})); diff != "" {
			t.Errorf("%s: %s", dir, diff)
		}
	}
}
