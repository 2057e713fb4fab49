package kinds

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	parser "github.com/castellan-project/castellan/internal/debian/postfix"
)

func TestPostfix(t *testing.T) {
	for name, x := range map[string]struct{ file, want string }{
		"pve":            {"myhostname=pve\ninet_interfaces = all\nrecipient_delimiter = +\n", "myhostname=pve\ninet_interfaces = loopback-only\nrecipient_delimiter = +\n"},
		"missing":        {"# x\nmyhostname=pve", "# x\nmyhostname=pve\ninet_interfaces = loopback-only\n"},
		"last one wins":  {"inet_interfaces = all\ninet_interfaces=all\n", "inet_interfaces = all\ninet_interfaces=loopback-only\n"},
		"continued":      {"inet_interfaces =\n  10.0.0.1,\n# why\n\n\t10.0.0.2\nx = y\n", "inet_interfaces = loopback-only\n# why\n\nx = y\n"},
		"CRLF":           {"a = b\r\ninet_interfaces = all\r\n", "a = b\r\ninet_interfaces = loopback-only\r\n"},
		"holds":          {"inet_interfaces   =   loopback-only   \n", "inet_interfaces   =   loopback-only   \n"},
		"comment behind": {"inet_interfaces = all\n# the end", "inet_interfaces = loopback-only\n# the end"},
		"no end of line": {"inet_interfaces = all", "inet_interfaces = loopback-only\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false, map[string]string{"etc/postfix/main.cf": x.file})
			c := change.Change{Kind: "postfix", Set: map[string]string{"inet_interfaces": "loopback-only"}}
			if d := cmp.Diff(x.want, b.after(t, []string{postfixMain}, c, c)[postfixMain]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPostfixActions(t *testing.T) {
	b := newBench(t, true, map[string]string{"etc/postfix/main.cf": "inet_interfaces = all\n"})
	if a := actionsOf(b.plan(t, change.Change{Kind: "postfix", Set: map[string]string{"inet_interfaces": "loopback-only"}})); !slices.Equal(a, []string{"check with postfix check", "restart postfix.service"}) {
		t.Errorf("%q", a)
	}
	if a := actionsOf(b.plan(t, change.Change{Kind: "postfix", Set: map[string]string{"disable_vrfy_command": "yes"}})); !slices.Equal(a, []string{"check with postfix check", "reload postfix.service"}) {
		t.Errorf("%q", a)
	}
	loopback := change.Change{Kind: "postfix", Set: map[string]string{"inet_interfaces": "loopback-only"}}
	if why := newBench(t, false, nil).refusal(t, loopback); !strings.Contains(why, "not installed") {
		t.Errorf("%q", why)
	}
	files := map[string]string{"etc/postfix/main.cf": "", "etc/postfix/master.cf": "smtp inet n - y - - smtpd\n0.0.0.0:2525 inet n - y - - smtpd\n"}
	if why := newBench(t, false, files).refusal(t, loopback); !strings.Contains(why, "master.cf:2") {
		t.Errorf("%q", why)
	}
	bad := change.Change{Kind: "postfix", Set: map[string]string{"inet_interfaces": "a\nrelayhost = b"}}
	if why := newBench(t, false, files).refusal(t, bad); why == "" {
		t.Error("a second line was written")
	}
}

func TestPostfixSetProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"# c", "", "  # indented", "a = b", "a=", "\tmore", "  and more", "key = x", "key=", "key", "key =\ty", "other = $key", "k\r"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(line, 0, 10).Draw(t, "lines"), "\n") + rapid.SampledFrom([]string{"", "\n", "\r\n"}).Draw(t, "end")
		value := rapid.SampledFrom([]string{"", "all", "loopback-only", "a, b"}).Draw(t, "value")
		before := parser.ParseMain([]byte(text))
		once := postfixSet(text, "key", value)
		after := parser.ParseMain([]byte(once))
		if after["key"].Text != value {
			t.Fatalf("%q: %q, want %q in %q", text, after["key"].Text, value, once)
		}
		if twice := postfixSet(once, "key", value); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
		for k, v := range before {
			if k != "key" && after[k].Text != v.Text {
				t.Fatalf("%s changed: %q to %q", k, text, once)
			}
		}
	})
}

func FuzzPostfixSet(f *testing.F) {
	for _, s := range []string{"", "key = a\n b\n", "key\n", "\x00\xff=\n", "key=a\r\n\r\n b", " key = x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := postfixSet(text, "key", "v")
		if got := parser.ParseMain([]byte(once))["key"].Text; got == "v" && postfixSet(once, "key", "v") != once {
			t.Errorf("%q is drafted twice", once)
		}
	})
}
