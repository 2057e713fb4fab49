package notifycfg_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve/notifycfg"
)

const sample = `sendmail: mail-to-root
	mailto-user root@pam
	mailto-user ada@pve

smtp: relay
	mailto ops@example.org
	server mail.example.org
	from-address pve@example.org

smtp: plain
	mailto x@example.org
	server mail.example.org
	mode insecure

webhook: hook
	url http://chat.example.org/hooks/KEEPOUT
	secret name=token,value=KEEPOUT

gotify: off
	server https://gotify.example.org
	disable

matcher: errors
	match-severity error,warning
	match-field exact:type=vzdump,replication
	target relay
	target off

matcher: default-matcher
	disable
	target mail-to-root

filter: old
	min-severity error
`

func TestParse(t *testing.T) {
	c, problems := notifycfg.Parse([]byte(sample))
	if len(problems) != 1 || problems[0].Line != 33 {
		t.Errorf("%v", problems)
	}
	names := func(event, severity string) []string {
		var got []string
		for _, target := range c.Reached(event, severity) {
			got = append(got, target.Name)
		}
		return got
	}
	for _, tc := range []struct {
		event, severity string
		want            []string
	}{{"vzdump", "error", []string{"relay"}}, {"vzdump", "info", nil}, {"fencing", "error", nil}} {
		if d := cmp.Diff(tc.want, names(tc.event, tc.severity)); d != "" {
			t.Errorf("%+v: %s", tc, d)
		}
	}
	plain := map[string]bool{}
	for _, target := range c.Targets {
		plain[target.Name] = target.Plain
	}
	if d := cmp.Diff(map[string]bool{"mail-to-root": false, "relay": false, "plain": true, "hook": true, "off": false}, plain); d != "" {
		t.Error(d)
	}
	if hook, _ := c.Target("hook"); hook.Server != "chat.example.org" {
		t.Errorf("the path of a webhook may be its secret: %q", hook.Server)
	}
}

func TestBuiltin(t *testing.T) {
	c, _ := notifycfg.Parse(nil)
	reached := c.Reached("vzdump", "error")
	if len(reached) != 1 || reached[0].Name != "mail-to-root" {
		t.Fatalf("%+v", reached)
	}
	for address, local := range map[string]bool{"": true, "root@localhost": true, "root": true, "ops@example.org": false} {
		if got := reached[0].Local(func(string) string { return address }); got != local {
			t.Errorf("mail to %q stays on the node: %v", address, got)
		}
	}
}

func TestConditions(t *testing.T) {
	for in, want := range map[string]bool{
		"":                     true,
		"invert-match 1":       false,
		"match-severity error": true,
		"match-severity info":  false,
		"match-severity info\n\tmatch-severity error":                        true,
		"match-severity info\n\tinvert-match 1":                              true,
		"match-severity error\n\tmatch-field exact:type=fencing":             false,
		"mode any\n\tmatch-severity error\n\tmatch-field exact:type=fencing": true,
		"match-field regex:type=^vzdump$":                                    true,
		"match-field exact:hostname=pve1":                                    false,
		"match-calendar 8..17":                                               false,
		"disable 1":                                                          false,
	} {
		c, _ := notifycfg.Parse([]byte("matcher: default-matcher\n\ttarget mail-to-root\n\t" + in + "\n"))
		if got := len(c.Reached("vzdump", "error")) == 1; got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("matcher: m\n\ttarget \x00\n\nsmtp:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := notifycfg.Parse(b)
		for _, target := range c.Reached("vzdump", "error") {
			if target.Disabled {
				t.Fatal("a target that is switched off is told")
			}
		}
		if _, ok := c.Target("mail-to-root"); !ok {
			t.Fatal("the target that PVE brings along is gone")
		}
	})
}
