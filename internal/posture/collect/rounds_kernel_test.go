package collect

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// TestThreeRoundsOfKernel shows that a remote target gives kernel, sysctl and boot whole within the budget of round
// trips: on every fixture of their controls.
func TestThreeRoundsOfKernel(t *testing.T) {
	var dirs []string
	for _, pattern := range []string{"SYS-*/*", "BOOT-*/*"} {
		found, err := filepath.Glob("../../../catalogue/testdata/" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatal("the fixtures are missing", err)
		}
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		d, err := host.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		cols := []Collector{Kernel(), Sysctl(), Boot()}
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
			t.Errorf("%s, %d rounds: %.2000s", dir, l.rounds, diff)
		}
		if l.rounds > MaxRounds {
			t.Errorf("%s: %d rounds", dir, l.rounds)
		}
		d.Close()
	}
}
