package journald

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	got := Order("journald.conf", []string{
		"/etc/systemd/journald.conf", "/usr/lib/systemd/journald.conf", "/usr/lib/systemd/journald.conf.d/syslog.conf",
		"/usr/lib/systemd/journald.conf.d/10-a.conf", "/etc/systemd/journald.conf.d/syslog.conf",
		"/etc/systemd/journald.conf.d/note.txt", "/etc/other.conf", "/run/systemd/journald.conf.d/99.conf",
	})
	want := []string{
		"/etc/systemd/journald.conf", "/usr/lib/systemd/journald.conf.d/10-a.conf",
		"/run/systemd/journald.conf.d/99.conf", "/etc/systemd/journald.conf.d/syslog.conf",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := Order("journald.conf", nil); got != nil {
		t.Errorf("no files gave %v", got)
	}
	if p := Patterns("journal-upload.conf"); p[1] != "/etc/systemd/journal-upload.conf.d/*.conf" {
		t.Error(p)
	}
}

func TestMerge(t *testing.T) {
	c := Config{Section: "Journal"}
	errs := c.Merge("a", []byte("Storage=none\n[Journal]\n#Storage=auto\nStorage = persistent\nSystemMaxUse=1\\\n; inside\nG\nSeal=no\n[Other]\nSeal=yes\nodd\n"))
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "a:11: ") {
		t.Errorf("errors %v", errs)
	}
	c.Merge("b", []byte("[Journal]\nSeal=\nCompress=yes\n"))
	for key, want := range map[string]Setting{
		"Storage": {"persistent", "a:4"}, "SystemMaxUse": {"1 G", "a:5"}, "Compress": {"yes", "b:3"},
	} {
		if got, ok := c.Get(key); !ok || got != want {
			t.Errorf("%s = %v, %v", key, got, ok)
		}
	}
	if s, ok := c.Get("Seal"); ok {
		t.Errorf("an emptied setting is still %v", s)
	}
}

func TestValues(t *testing.T) {
	for s, want := range map[string]int64{"1024": 1024, "1K": 1024, "500M": 500 << 20, "1.5G": 3 << 29, "1 G": 1 << 30, "2GB": 2 << 30} {
		if got, err := Size(s); err != nil || got != want {
			t.Errorf("Size(%q) = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "1Q", "9999999999E", "NaN"} {
		if got, err := Size(s); err == nil {
			t.Errorf("Size(%q) = %d", s, got)
		}
	}
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "90day": 90 * day, "2w 3d": 17 * day, "1month": 2629800 * time.Second, "5min20s": 320 * time.Second,
		"1.5h": 90 * time.Minute, "2 days": 2 * day,
	} {
		if got, err := Span(s); err != nil || got != want {
			t.Errorf("Span(%q) = %v, %v", s, got, err)
		}
	}
	if d, err := Span("infinity"); err != nil || d < 100*365*day {
		t.Errorf("infinity is %v, %v", d, err)
	}
	for _, s := range []string{"", "day", "3 fortnights", "-1d"} {
		if got, err := Span(s); err == nil {
			t.Errorf("Span(%q) = %v", s, got)
		}
	}
	if b, err := Bool("On"); err != nil || !b {
		t.Error("On is not true")
	}
	if _, err := Bool("auto"); err == nil {
		t.Error("auto is a boolean")
	}
}

func FuzzJournald(f *testing.F) {
	f.Add([]byte("[Journal]\nStorage=auto\\\n x\n"), "90day")
	f.Add([]byte("\x00=\n[\xff]"), "1.1.1G")
	f.Fuzz(func(_ *testing.T, b []byte, s string) {
		c := Config{Section: "Journal"}
		c.Merge("f", b)
		_, _ = Size(s)
		_, _ = Span(s)
		Order("journald.conf", []string{s, string(b)})
	})
}
