package collect

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// TestThreeRoundsOfServices shows that a remote target gives services, files and accounts whole within the budget of
// round trips: on every fixture of their controls.
func TestThreeRoundsOfServices(t *testing.T) {
	dirs, err := filepath.Glob("../../../catalogue/testdata/SVC-*/*")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../../catalogue/testdata/ACC-*/*")
	if err != nil || len(dirs) == 0 || len(more) == 0 {
		t.Fatal("the fixtures are missing", err)
	}
	for _, dir := range append(dirs, more...) {
		d, err := host.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		cols := []Collector{Services(), Files(), Accounts()}
		desc := d.Describe()
		desc.Live = true // as every target is that is asked in rounds
		want, err := Run(d, desc, cols)
		if err != nil {
			t.Fatal(err)
		}
		l := &lazy{Reader: d, known: map[string]bool{}, asked: map[string]bool{}}
		got, err := Run(l, desc, cols)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %d rounds: %s", dir, l.rounds, diff)
		}
		if l.rounds > MaxRounds {
			t.Errorf("%s: %d rounds", dir, l.rounds)
		}
		d.Close()
	}
}
