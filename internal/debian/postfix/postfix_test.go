package postfix

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGet(t *testing.T) {
	m := ParseMain([]byte("# c\nmyhostname=pve1.example.org\ninet_interfaces = all\nmynetworks = 127.0.0.0/8\n  # inside\n\n\t10.0.0.0/8\nrelayhost = [$gateway]:25\ngateway = mx.${mydomain}\nmydomain = example.org\ninet_interfaces = loopback-only\nif_set = ${relayhost?yes}${nothing?no}${nothing:none}\nloop = $loop x\nprice = $$5\nbroken\n"))
	for name, want := range map[string]Value{
		"inet_interfaces": {"loopback-only", 11},
		"mynetworks":      {"127.0.0.0/8 10.0.0.0/8", 4},
		"relayhost":       {"[mx.example.org]:25", 8},
		"inet_protocols":  {"all", 0},
		"if_set":          {"yesnone", 12},
		"price":           {"$5", 14},
		"smtpd_banner":    {"pve1.example.org ESMTP Postfix", 0},
	} {
		if got, ok := m.Get(name); !ok || got != want {
			t.Errorf("%s = %+v, want %+v", name, got, want)
		}
	}
	if v, _ := m.Get("loop"); len(v.Text) > maxExpanded {
		t.Error("a loop must end small", len(v.Text))
	}
	if _, ok := m.Get("no_such"); ok {
		t.Error("an unknown parameter has no value")
	}
}

func TestExpansionIsBounded(t *testing.T) {
	var text strings.Builder
	for c := 'a'; c < 'p'; c++ {
		text.WriteString(string(c) + " = " + strings.Repeat("$"+string(c+1), 50) + "\n")
	}
	m := ParseMain([]byte(text.String() + "p =\n"))
	if _, ok := m.Get("a"); !ok { // without a bound this takes 50^15 steps
		t.Error("a has a value")
	}
}

func TestLoopbackOnly(t *testing.T) {
	for in, want := range map[string]bool{
		"loopback-only": true, "localhost": true, "127.0.0.1, [::1]": true, "": true,
		"all": false, "127.0.0.1, 10.0.0.1": false, "$myhostname": false, "localhost.example": false,
	} {
		if got := LoopbackOnly(in); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestMaster(t *testing.T) {
	list := ParseMaster([]byte("# x\nsmtp      inet  n       -       y       -       -       smtpd\n  -o a=b\n127.0.0.1:10025 inet n - y - - smtpd\n0.0.0.0:2525 inet n - y - - smtpd\npickup    unix  n       -       y       60      1       pickup\nshort inet\n"))
	if len(list) != 4 || list[0].Command != "smtpd -o a=b" || list[0].Line != 2 {
		t.Fatalf("%+v", list)
	}
	for i, want := range []bool{false, false, true, false} {
		if got := list[i].Exposed(true); got != want {
			t.Errorf("%s: exposed %v", list[i].Name, got)
		}
	}
	if !list[0].Exposed(false) {
		t.Error("smtp is exposed when inet_interfaces is all")
	}
}

func TestAliases(t *testing.T) {
	a := ParseAliases([]byte("# c\npostmaster: root\nroot: ann,\n  ops@example.org\nann: ann\nx: y\ny: x\n\"Odd\": |/bin/cat\nno colon\n"))
	if got := Resolve(a, "Postmaster"); !cmp.Equal(got, []string{"ann", "ops@example.org"}) {
		t.Error(got)
	}
	if got := Resolve(a, "x"); len(got) != 0 {
		t.Error("a loop leads nowhere", got)
	}
	if got := Resolve(a, "bob"); !cmp.Equal(got, []string{"bob"}) {
		t.Error(got)
	}
	if got := a["odd"]; !cmp.Equal(got, []string{"|/bin/cat"}) {
		t.Error(got)
	}
}

func FuzzMain(f *testing.F) {
	f.Add([]byte("a = $b$b\nb = $a\n"))
	f.Add([]byte("a = ${b?{c}} $( ${ $\n x\n"))
	f.Add([]byte(strings.Repeat("a = $b\n b = ${a:${b}}\n", 3)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := ParseMain(b)
		for name := range m {
			if v, ok := m.Get(name); !ok || len(v.Text) > maxExpanded {
				t.Fatalf("%q: %v %d", name, ok, len(v.Text))
			}
		}
		for _, s := range ParseMaster(b) {
			s.Exposed(true)
		}
		Resolve(ParseAliases(b), "root")
	})
}
