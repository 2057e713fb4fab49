package jobscfg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/pve/jobscfg"
)

const sample = `vzdump: nightly
	schedule mon..fri 01:00
	vmid 101,100,100
	storage pbs
	prune-backups keep-last=2
	mailto a@example.org,b@example.org
	fleecing enabled=1,storage=x
	comment one%3A two

vzdump: off
	enabled 0
	schedule sometimes
	exclude 105
	script /usr/local/sbin/hook
	what is this

vzdump: bad
	schedule 1:00
	vmid 100,abc

realm-sync: corp
	realm corp
	schedule 2:00
`

func TestParse(t *testing.T) {
	c, problems := jobscfg.Parse([]byte(sample))
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{`15: vzdump off has no setting "what" (skipped)`, `12: job off never runs: "sometimes" is no day of the week (skipped)`, `19: job bad fails: "abc" is no VMID (aborted)`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	a, b, bad := c.Jobs[0], c.Jobs[1], c.Jobs[2]
	if !a.Enabled || a.Mode != "snapshot" || !cmp.Equal(a.VMIDs, []int{100, 101}) || a.Retention.Last != 2 || !a.UsesMail() || !a.Fleecing || a.Comment != "one: two" ||
		a.Event.Period(time.Unix(0, 0)) != 72*time.Hour {
		t.Errorf("%+v", a)
	}
	if b.Enabled || b.Schedule != "" || !b.All || !b.Saves(1, "") || b.Saves(105, "") || b.UsesMail() || b.NotificationMode != "auto" {
		t.Errorf("%+v", b)
	}
	if !bad.BadIDs || bad.Saves(100, "") {
		t.Errorf("%+v", bad)
	}
	if len(c.Others) != 1 || c.Others[0].Kind != "realm-sync" {
		t.Errorf("%+v", c.Others)
	}
}

func TestNotification(t *testing.T) {
	for in, want := range map[string]bool{"": false, "mailto a@example.org": true, "mailto a@example.org\n\tnotification-mode notification-system": false, "notification-mode legacy-sendmail": true} {
		c, _ := jobscfg.Parse([]byte("vzdump: j\n\t" + in + "\n"))
		if got := c.Jobs[0].UsesMail(); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestCron(t *testing.T) {
	c, problems := jobscfg.ParseCron([]byte(`# cluster wide vzdump cron schedule
PATH="/usr/sbin:/usr/bin"

0 1 * * 6           root vzdump 100 101 --quiet 1 --mode snapshot --storage local
30 23 * * 1-5 root /usr/bin/vzdump --all 1 --exclude 105 --mailto "a@example.org" --storage=nas
5 4 * * sun root #vzdump --pool prod --storage nas
*/5 * * * * root vzdump 100
0 1 1 * * root vzdump 100
0 1 * * * backup vzdump 100
`))
	if len(c.Jobs) != 3 || len(problems) != 3 || problems[0].Line != 7 {
		t.Fatalf("%+v %v", c.Jobs, problems)
	}
	a, b, d := c.Jobs[0], c.Jobs[1], c.Jobs[2]
	if a.Schedule != "sat 1:0" || !cmp.Equal(a.VMIDs, []int{100, 101}) || a.Storage != "local" || !a.Enabled || !a.Cron || a.ID != "vzdump.cron:4" {
		t.Errorf("%+v", a)
	}
	if b.Schedule != "mon..fri 23:30" || !b.Saves(100, "") || b.Saves(105, "") || b.Storage != "nas" || !b.UsesMail() {
		t.Errorf("%+v", b)
	}
	if d.Enabled || d.Pool != "prod" || !d.Saves(1, "prod") || d.Saves(1, "") {
		t.Errorf("%+v", d)
	}
}

func TestDefaults(t *testing.T) {
	d, problems := jobscfg.ParseDefaults([]byte("# x\nstorage: nas\nscript: /x\nprune-backups: keep-last=1\nmode: stop\nbroken\nprune-backups: keep-x=1\n"))
	if d.Storage != "nas" || d.Script != "/x" || d.ScriptLine != 3 || d.Retention.Last != 1 || !d.RetentionSet || len(problems) != 2 {
		t.Errorf("%+v %v", d, problems)
	}
}

// TestSelector: a pool counts before VMIDs, and these before all.
func TestSelector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("vzdump: j\n")
		pool, vmid, all, exclude := rapid.Bool().Draw(t, "pool"), rapid.Bool().Draw(t, "vmid"), rapid.Bool().Draw(t, "all"), rapid.Bool().Draw(t, "exclude")
		for _, l := range []struct {
			on   bool
			line string
		}{{exclude, "exclude 100"}, {all, "all 1"}, {vmid, "vmid 100,101"}, {pool, "pool p"}} {
			if l.on {
				text.WriteString("\t" + l.line + "\n")
			}
		}
		c, _ := jobscfg.Parse([]byte(text.String()))
		id, member := rapid.IntRange(99, 102).Draw(t, "id"), rapid.SampledFrom([]string{"", "p", "p/q"}).Draw(t, "member")
		want := false
		switch {
		case pool:
			want = member == "p"
		case vmid:
			want = id == 100 || id == 101
		case all || exclude:
			want = !exclude || id != 100
		}
		if got := c.Jobs[0].Saves(id, member); got != want {
			t.Fatalf("%s saves %d of the pool %q: %v", text.String(), id, member, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("vzdump: \x00\n\tvmid " + strings.Repeat("1,", 500) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := jobscfg.Parse(b)
		for _, j := range c.Jobs {
			if j.BadIDs && j.Saves(100, "") {
				t.Fatal("a job that fails saves a guest")
			}
		}
	})
}

func FuzzParseCron(f *testing.F) {
	f.Add([]byte("0 1 * * 6 root vzdump 100 --storage local\n"))
	f.Add([]byte("A=b\n0 0 * * 0-7,mon root #vzdump --all --\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := jobscfg.ParseCron(b)
		for _, j := range c.Jobs {
			if j.Line < 1 || !j.Cron {
				t.Fatal(j)
			}
		}
		jobscfg.ParseDefaults(b)
	})
}
