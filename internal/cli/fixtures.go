package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/expr"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// fixtureResult is how a control did on one fixture; an empty problem is as wanted.
type fixtureResult struct{ name, problem string }

// runFixtures judges a control on each directory below testdata/<ID>. A control without a passing or failing fixture
// is wrong, unless no machine can answer it.
func runFixtures(env *expr.Env, c posture.Control, dir string, now time.Time) ([]fixtureResult, error) {
	base := filepath.Join(dir, "testdata", c.ID)
	entries, err := os.ReadDir(base)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("cannot read the fixtures of %s: %w", c.ID, err)
	}
	var results []fixtureResult
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		names = append(names, e.Name())
		want, ok := wanted(e.Name())
		if !ok {
			results = append(results, fixtureResult{e.Name(), "the name says no status; begin it with pass, fail, unknown, manual or not-applicable"})
			continue
		}
		f, err := judgeFixture(env, c, filepath.Join(base, e.Name()), now)
		if err != nil {
			return nil, err
		}
		r := fixtureResult{name: e.Name()}
		if f.Status != want {
			r.problem = fmt.Sprintf("is %s, not %s: %s%s", f.Status, want, f.Reason, evidenceWords(f))
		}
		results = append(results, r)
	}
	if c.Check != "" {
		for _, n := range missingFixtures(c, names) {
			results = append(results, fixtureResult{n, "there is no such fixture"})
		}
	}
	return results, nil
}

func missingFixtures(c posture.Control, names []string) []string {
	needed := []string{"pass", "fail"}
	if c.Cluster != nil && c.Cluster.Check != "" {
		needed = append(needed, "pass-cluster", "fail-cluster")
	}
	return slices.DeleteFunc(needed, func(n string) bool {
		// A machine can find some controls broken and leaves the rest to a person: these fail or are manual, and never pass.
		byPerson := n == "pass" && c.Attest != nil && slices.Contains(names, "manual")
		return byPerson || slices.Contains(names, n)
	})
}

func evidenceWords(f posture.Finding) string {
	var b strings.Builder
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "\n       %s = %s [%s %s] %s", e.Path, e.Value, e.Origin, e.Source, e.Problem)
	}
	return b.String()
}

func wanted(name string) (posture.Status, bool) {
	for _, s := range []posture.Status{posture.Pass, posture.Fail, posture.StatusUnknown, posture.Manual, posture.NotApplicable} {
		if name == string(s) || strings.HasPrefix(name, string(s)+"-") {
			return s, true
		}
	}
	return "", false
}

func judgeFixture(env *expr.Env, c posture.Control, dir string, now time.Time) (posture.Finding, error) {
	facts, err := fixtureFacts(dir, now)
	if err != nil {
		return posture.Finding{}, err
	}
	r := posture.NewJudge(env, []posture.Control{c}, nil, nil).Evaluate(facts)
	return r.Findings[0], nil
}

// fixtureFacts reads a fixture: a tree of a host, or a directory with the .vmx file of one virtual machine.
func fixtureFacts(dir string, now time.Time) (*posture.Facts, error) {
	machines, err := filepath.Glob(filepath.Join(dir, "*.vmx"))
	if err != nil {
		return nil, err
	}
	if len(machines) == 1 {
		return vmxFacts(machines[0], now)
	}
	d, err := host.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	desc := d.Describe()
	if desc.Now.IsZero() {
		desc.Now = now
	}
	return collect.Run(d, desc, collect.All())
}
