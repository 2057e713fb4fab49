package sysctl

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestOrder(t *testing.T) {
	got := Order([]string{
		"/usr/lib/sysctl.d/50-a.conf", "/etc/sysctl.d/50-a.conf", "/etc/sysctl.d/99-sysctl.conf", "/etc/sysctl.d/README",
		"/usr/lib/sysctl.d/pve-firewall.conf", "/run/sysctl.d/60-r.conf", "/lib/sysctl.d/pve-firewall.conf", "/opt/sysctl.d/x.conf",
	})
	want := []string{"/etc/sysctl.d/50-a.conf", "/run/sysctl.d/60-r.conf", "/etc/sysctl.d/99-sysctl.conf", "/usr/lib/sysctl.d/pve-firewall.conf"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParse(t *testing.T) {
	list, problems := Parse("f", []byte("# c\n; c\n\n kernel.sysrq = 0 \r\n-net/ipv4/conf/eno1.10/rp_filter=2\n-net.ipv4.conf.all.rp_filter\nnonsense\n=1\nx=a=b\n"))
	want := []Assignment{
		{Key: "kernel.sysrq", Value: "0", File: "f", Line: 4},
		{Key: "net.ipv4.conf.eno1/10.rp_filter", Value: "2", IgnoreFailure: true, File: "f", Line: 5},
		{Key: "net.ipv4.conf.all.rp_filter", Exclude: true, File: "f", Line: 6},
		{Key: "x", Value: "a=b", File: "f", Line: 9},
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"f:7: this is no assignment", "f:8: the assignment has no key"}, problems); d != "" {
		t.Error(d)
	}
}

func TestParseStopsAtLongLine(t *testing.T) {
	b := append([]byte("a.b=1\nc.d="), bytes.Repeat([]byte("x"), MaxLine+1)...)
	list, problems := Parse("f", append(b, "\ne.f=1\n"...))
	if len(list) != 1 || len(problems) != 1 || !strings.HasPrefix(problems[0], "f:2: ") {
		t.Errorf("got %d assignments, %q", len(list), problems)
	}
}

func TestLookup(t *testing.T) {
	parse := func(s string) *Set { l, _ := Parse("f", []byte(s)); return NewSet(l) }
	for _, tt := range []struct {
		name, conf, key, want string
		line                  int
	}{
		{"later wins", "a.b=1\na.b=2\n", "a.b", "2", 2},
		{"slash and dot are one key", "a/b=1\na.b=2\n", "a/b", "", 0},
		{"slash form", "a/b=1\n", "a.b", "1", 1},
		{"explicit beats a later glob", "net.ipv4.conf.all.rp_filter=2\nnet.ipv4.conf.*.rp_filter=1\n", "net.ipv4.conf.all.rp_filter", "2", 1},
		{"glob", "net.ipv4.conf.*.rp_filter=1\n", "net.ipv4.conf.eno1.rp_filter", "1", 1},
		{"a glob stays in its element", "net.*.rp_filter=1\n", "net.ipv4.conf.eno1.rp_filter", "", 0},
		{"excluded", "net.ipv4.conf.*.rp_filter=2\n-net.ipv4.conf.all.rp_filter\n", "net.ipv4.conf.all.rp_filter", "", 0},
		{"excluded, then set", "-a.b\na.b=1\n", "a.b", "1", 2},
		{"set, then excluded", "a.b=1\n-a.b\n", "a.b", "", 0},
		{"last glob wins", "a.*=1\na.b*=2\n", "a.bc", "2", 2},
		{"same glob and value keeps its place", "a.*=1\na.b*=2\na.*=1\n", "a.bc", "2", 2},
		{"same glob, other value moves", "a.*=1\na.b*=2\na.*=3\n", "a.bc", "3", 3},
		{"interface with a dot", "net.ipv4.conf.eno1/10.rp_filter=1\n", "net.ipv4.conf.eno1/10.rp_filter", "1", 1},
		{"bad pattern", "a.[=1\n", "a.b", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, ok := parse(tt.conf).Lookup(tt.key)
			if a.Value != tt.want && ok || ok != (tt.line > 0) || ok && a.Line != tt.line {
				t.Errorf("got %+v, %v", a, ok)
			}
		})
	}
}

func TestPathIsInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := "/proc/sys/" + rapid.StringMatching(`[a-z0-9.]{1,5}(/[a-z0-9.-]{1,8}){1,4}`).Draw(t, "path")
		if got := Path(FromPath(p)); got != p {
			t.Errorf("%s became %s", p, got)
		}
	})
}

func TestDefault(t *testing.T) {
	for _, tt := range []struct {
		key, want string
		k         Kernel
	}{
		{"net.ipv4.conf.default.accept_source_route", "1", Kernel{}},
		{"kernel.perf_event_paranoid", "3", Kernel{Release: "6.1.0-28-amd64"}},
		{"kernel.perf_event_paranoid", "4", Kernel{Release: "6.8.12-4-pve"}},
		{"kernel.perf_event_paranoid", "", Kernel{Release: "6.18.1-custom"}},
		{"dev.tty.ldisc_autoload", "0", Kernel{Release: "6.8.12-4-pve", Config: ParseConfig([]byte("# CONFIG_LDISC_AUTOLOAD is not set\n"))}},
		{"kernel.sysrq", "438", Kernel{Config: ParseConfig([]byte("CONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x01b6\n"))}},
		{"kernel.dmesg_restrict", "", Kernel{Release: "6.8.12-4-pve"}},
		{"user.max_user_namespaces", "", Kernel{Release: "6.1.0-28-amd64"}},
	} {
		got, source, ok := Default(tt.key, tt.k)
		if got != tt.want || ok != (tt.want != "") || ok && source == "" {
			t.Errorf("Default(%s, %s) = %q %q %v, want %q", tt.key, tt.k.Release, got, source, ok, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a.b = 1\n-c/d=2\n-e.*\n"))
	f.Add([]byte("\x00\xff=\n[=1\n..=\n//=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Parse("f", b)
		s := NewSet(list)
		for _, a := range list {
			if a.Key == "" || a.Line < 1 {
				t.Fatalf("bad assignment %+v", a)
			}
		}
		for _, k := range s.Keys() {
			if _, ok := s.Lookup(k); !ok {
				t.Fatalf("key %q is listed and not found", k)
			}
		}
		ParseConfig(b)
	})
}
