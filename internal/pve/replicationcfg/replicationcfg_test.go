package replicationcfg_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/replicationcfg"
)

func TestParse(t *testing.T) {
	c, problems := replicationcfg.Parse([]byte("local: 121-0\n\ttarget pve2\n\tdisable\n\tschedule */30\n\tsource pve1\n\tremove_job full\n\nlocal: x\n\ttarget p\n\nlocal: 100-1\n\ttarget pve3\n\tschedule whenever\n\trate 10\n"))
	want := []replicationcfg.Job{
		{ID: "121-0", Guest: 121, Line: 1, Target: "pve2", Source: "pve1", Disabled: true, Schedule: "*/30", Remove: "full"},
		{ID: "100-1", Guest: 100, Line: 11, Target: "pve3", Schedule: "*/15", Rate: "10"},
	}
	if d := cmp.Diff(want, c.Jobs); d != "" {
		t.Error(d)
	}
	if len(problems) != 2 || problems[0].Line != 8 || problems[1].Line != 13 {
		t.Errorf("%v", problems)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("local: 1-0\n\ttarget a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := replicationcfg.Parse(b)
		for _, j := range c.Jobs {
			if _, err := pve.ParseCalendar(j.Schedule); err != nil || j.Guest < 1 {
				t.Fatal(j, err)
			}
		}
	})
}
