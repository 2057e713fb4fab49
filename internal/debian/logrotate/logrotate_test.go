package logrotate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	_, global := Parse([]byte("# main\nweekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n"), Defaults())
	rules, _ := Parse([]byte(`/var/log/pveproxy/access.log {
	rotate 7
	daily
	postrotate
		rotate 99
		}
	endscript
}
"/var/log/a b.log" /var/log/auth.log
/var/log/kern.log
{
	maxage 20
}
/var/log/all/*.log { rotate -1
}
/var/log/big.log {
	size 1M
	rotate 10
}
`), global)
	want := []Rule{
		{Patterns: []string{"/var/log/pveproxy/access.log"}, Every: 1, Keep: 7, Line: 1},
		{Patterns: []string{"/var/log/a b.log", "/var/log/auth.log", "/var/log/kern.log"}, Every: 7, Keep: 4, MaxAge: 20, Line: 9},
		{Patterns: []string{"/var/log/big.log"}, Every: 0, Keep: 10, Line: 16},
	}
	byFile := func(f string) Rule { r, _ := Find(rules, f); return r }
	for i, f := range []string{"/var/log/pveproxy/access.log", "/var/log/kern.log", "/var/log/big.log"} {
		if d := cmp.Diff(want[i], byFile(f)); d != "" {
			t.Errorf("%s: %s", f, d)
		}
	}
	for f, days := range map[string]int{"/var/log/pveproxy/access.log": 7, "/var/log/auth.log": 20, "/var/log/big.log": 0, "/var/log/all/x.log": -1} {
		if got := byFile(f).Days(); got != days {
			t.Errorf("%s is kept %d days, want %d", f, got, days)
		}
	}
	if _, ok := Find(rules, "/var/log/other"); ok {
		t.Error("a rule for a file that has none")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("weekly\n/a \"b {\n rotate 3\n}\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		rules, _ := Parse(b, Defaults())
		Find(rules, "/var/log/x")
		for _, r := range rules {
			r.Days()
		}
	})
}
