package limits

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHard(t *testing.T) {
	list := Parse("f", []byte("# c\n* hard core unlimited\n*\thard\tcore\t0 # none\n* soft core 5\n@dev - core unlimited\nroot hard nofile 9\n* maybe core 1\n* hard core\n"))
	all, others := Hard(list, "core")
	if d := cmp.Diff(&Limit{"*", "hard", "core", "0", "f", 3}, all); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Limit{{"@dev", "-", "core", "unlimited", "f", 5}}, others); d != "" {
		t.Error(d)
	}
	if all, others := Hard(list, "nproc"); all != nil || others != nil {
		t.Error(all, others)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("* hard core 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range Parse("f", b) {
			if l.Domain == "" || l.Value == "" || l.Line < 1 {
				t.Fatalf("bad limit %+v", l)
			}
		}
	})
}
