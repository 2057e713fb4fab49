package kinds

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
)

const chronyDebian = "# Debian's\nconfdir /etc/chrony/conf.d\npool 2.debian.pool.ntp.org iburst\nsourcedir /etc/chrony/sources.d\n"

func TestChrony(t *testing.T) {
	for name, x := range map[string]struct {
		set        map[string]string
		main, ours string
		want       string
	}{
		"servers":           {map[string]string{"server": "192.0.2.1,ntp.example.org", "sources": "2"}, chronyDebian, "", "server 192.0.2.1 iburst\nserver ntp.example.org iburst\n"},
		"pool is enough":    {map[string]string{"server": "", "sources": "2"}, chronyDebian, "", ""},
		"there already":     {map[string]string{"server": "192.0.2.1"}, chronyDebian, "server 192.0.2.1 iburst\n", "server 192.0.2.1 iburst\n"},
		"one is missing":    {map[string]string{"server": "192.0.2.1,2001:db8::1"}, chronyDebian, "server 192.0.2.1 iburst", "server 192.0.2.1 iburst\nserver 2001:db8::1 iburst\n"},
		"another directive": {map[string]string{"makestep": "1 3"}, chronyDebian, "# x\nMakeStep 1 -1\n", "# x\nMakeStep 1 3\n"},
		"in the main file":  {map[string]string{"server": "192.0.2.1"}, chronyDebian + "server 192.0.2.1\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"etc/chrony/chrony.conf": x.main}
			if x.ours != "" {
				files["etc/chrony/conf.d/castellan.conf"] = x.ours
			}
			c := change.Change{Kind: "chrony", Set: x.set}
			if d := cmp.Diff(x.want, newBench(t, false, files).after(t, []string{chronyFile}, c, c)[chronyFile]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestChronyRefuses(t *testing.T) {
	for name, x := range map[string]struct{ main, key, value, want string }{
		"too few":       {"confdir /etc/chrony/conf.d\nserver a\n", "sources", "2", "1 sources"},
		"not read":      {"pool a\n", "server", "192.0.2.1", "confdir"},
		"not a server":  {chronyDebian, "server", "-x", "no address"},
		"not a number":  {chronyDebian, "sources", "x", "no number"},
		"no directive":  {chronyDebian, "a b", "1", "no directive"},
		"not installed": {"", "server", "192.0.2.1", "not installed"},
	} {
		files := map[string]string{}
		if x.main != "" {
			files["etc/chrony/chrony.conf"] = x.main
		}
		why := newBench(t, false, files).refusal(t, change.Change{Kind: "chrony", Set: map[string]string{x.key: x.value}})
		if !strings.Contains(why, x.want) {
			t.Errorf("%s: %q", name, why)
		}
	}
	p := newBench(t, true, map[string]string{"etc/chrony/chrony.conf": chronyDebian}).plan(t, change.Change{Kind: "chrony", Set: map[string]string{"server": "192.0.2.1"}})
	if a := actionsOf(p); !slices.Equal(a, []string{"check with chronyd -p", "restart chrony.service"}) {
		t.Errorf("%q", a)
	}
}
