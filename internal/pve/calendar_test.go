package pve_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/pve"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestCalendar follows the table of examples in the appendix "Calendar Events" of the administration guide.
func TestCalendar(t *testing.T) {
	const now = "2026-11-20 12:00:00" // a Friday
	hour := time.Hour
	for _, tc := range []struct {
		text, next, previous string
		period               time.Duration
	}{
		{"01:00", "2026-11-21 01:00:00", "2026-11-20 01:00:00", 24 * hour},
		{"daily", "2026-11-21 00:00:00", "2026-11-20 00:00:00", 24 * hour},
		{"12:00", "2026-11-21 12:00:00", "2026-11-19 12:00:00", 24 * hour},
		{"hourly", "2026-11-20 13:00:00", "2026-11-20 11:00:00", hour},
		{"*/15", "2026-11-20 12:15:00", "2026-11-20 11:45:00", 15 * time.Minute},
		{"*", "2026-11-20 12:01:00", "2026-11-20 11:59:00", time.Minute},
		{"30", "2026-11-20 12:30:00", "2026-11-20 11:30:00", hour},
		{"sat 03:00", "2026-11-21 03:00:00", "2026-11-14 03:00:00", 7 * 24 * hour},
		{"sun", "2026-11-22 00:00:00", "2026-11-15 00:00:00", 7 * 24 * hour},
		{"mon..fri 01:00", "2026-11-23 01:00:00", "2026-11-20 01:00:00", 3 * 24 * hour},
		{"mon-fri 01:00", "2026-11-23 01:00:00", "2026-11-20 01:00:00", 3 * 24 * hour},
		{"fri..mon 01:00", "2026-11-21 01:00:00", "2026-11-20 01:00:00", 4 * 24 * hour},
		{"mon,wed,sunday 22:30", "2026-11-22 22:30:00", "2026-11-18 22:30:00", 4 * 24 * hour},
		{"mon..wed 30/10", "2026-11-23 00:30:00", "2026-11-18 23:50:00", 4*24*hour + 40*time.Minute},
		{"mon..fri 8..17,22:0/15", "2026-11-20 12:15:00", "2026-11-20 11:45:00", 2*24*hour + 9*hour + 15*time.Minute},
		{"fri 12..13:5/20", "2026-11-20 12:05:00", "2026-11-13 13:45:00", 7*24*hour - 100*time.Minute},
		{"12,14,16,18,20,22:5", "2026-11-20 12:05:00", "2026-11-19 22:05:00", 14 * hour},
		{"*-*-01 02:00", "2026-12-01 02:00:00", "2026-11-01 02:00:00", 31 * 24 * hour},
		{"monthly", "2026-12-01 00:00:00", "2026-11-01 00:00:00", 31 * 24 * hour},
		{"12-24 05:30:15", "2026-12-24 05:30:15", "2025-12-24 05:30:15", 365 * 24 * hour},
		{"sat *-1..7 15:00", "2026-12-05 15:00:00", "2026-11-07 15:00:00", 35 * 24 * hour},
		{"2027-*-* 00:00", "2027-01-01 00:00:00", "", 24 * hour},
		{"2026-11-20 11:00", "", "2026-11-20 11:00:00", 0},
		{"02-30 00:00", "", "", 0},
		{"01:00 UTC", "2026-11-21 01:00:00", "2026-11-20 01:00:00", 24 * hour},
	} {
		c, err := pve.ParseCalendar(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		show := func(got time.Time, ok bool) string {
			if !ok {
				return ""
			}
			return got.Format("2006-01-02 15:04:05")
		}
		if got := show(c.Next(at(now))); got != tc.next {
			t.Errorf("%s: next is %s, want %s", tc.text, got, tc.next)
		}
		if got := show(c.Previous(at(now))); got != tc.previous {
			t.Errorf("%s: previous is %s, want %s", tc.text, got, tc.previous)
		}
		if got := c.Period(at(now)); got != tc.period {
			t.Errorf("%s: the period is %s, want %s", tc.text, got, tc.period)
		}
	}
	for _, text := range []string{"", "utc", "someday", "mon..xyz", "25:00", "1:60", "*/0", "5..2", "1:2:3:4", "1-2-3-4", "0-1", "mon 1 2 3", strings.Repeat("1,", 100), "x/y", "*-*-"} {
		if c, err := pve.ParseCalendar(text); err == nil {
			t.Errorf("%q is taken for a calendar event: %+v", text, c)
		}
	}
}

// TestCalendarOrder: what comes next comes after, and there is nothing in between.
func TestCalendarOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := pve.ParseCalendar(rapid.SampledFrom([]string{"daily", "mon..fri 8..17:0/15", "*-*-31 12:00", "sat 03:00", "02-29 00:00", "*:*:0/7", "fri *-*-13 13:13"}).Draw(t, "event"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_500_000_000, 2_000_000_000).Draw(t, "now"), 0).UTC()
		next, ok := c.Next(now)
		if !ok || !next.After(now) {
			t.Fatalf("after %s comes %s", now, next)
		}
		if before, ok := c.Previous(next); ok && before.After(now) {
			t.Fatalf("%s lies between %s and %s", before, now, next)
		}
		again, ok := c.Next(next)
		if gap := again.Sub(next); !ok || gap > c.Period(now) && c.Period(now) < 60*24*time.Hour {
			t.Fatalf("%s between two runs, more than %s", gap, c.Period(now))
		}
	})
}

func FuzzParseCalendar(f *testing.F) {
	for _, s := range []string{"daily", "mon..fri 8..17,22:0/15", "*-*-01 02:00", "sun 1:2:3", "\x00", "2026-2-29 0:0"} {
		f.Add(s)
	}
	now := at("2026-11-20 12:00:00")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := pve.ParseCalendar(s)
		if err != nil {
			return
		}
		if next, ok := c.Next(now); ok && !next.After(now) {
			t.Fatal("the next run lies in the past")
		}
		if c.Period(now) < 0 {
			t.Fatal("a negative period")
		}
	})
}

func TestRetention(t *testing.T) {
	for in, want := range map[string]pve.Retention{
		"": {}, "keep-all=1": {}, "keep-last=0": {}, "keep-last=3,keep-daily=7": {Last: 3, Daily: 7}, "keep-all=0,keep-yearly=1": {Yearly: 1},
	} {
		got, err := pve.ParseRetention(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v", in, got, err)
		}
	}
	for _, in := range []string{"keep-all=1,keep-last=2", "keep-last=x", "keep-last=-1", "3", "keep-some=2"} {
		if _, err := pve.ParseRetention(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestSections(t *testing.T) {
	raw, _ := pve.ParseSections([]byte("a: x\n\tk 1\n\tk 2\n\tr 1\n\tr 2\n\tz 3\n\nb: y\n\tk 1\n\na: x\n\tk 3\n\na:\n\tk 1\n"))
	got, problems := pve.Sections(raw, map[string][]string{"a": {"k", "r"}}, "r")
	if len(got) != 1 || got[0].Value("k") != "3" || got[0].Line != 11 {
		t.Errorf("%+v", got)
	}
	if len(problems) != 3 {
		t.Errorf("%v", problems)
	}
	got, problems = pve.Sections(raw[:1], map[string][]string{"a": {"k", "r"}}, "r")
	if len(got) != 1 || len(got[0].All("r")) != 2 || len(got[0].All("k")) != 1 || len(problems) != 2 || problems[0].Line != 3 || problems[1].Line != 6 {
		t.Errorf("%+v %v", got, problems)
	}
}
