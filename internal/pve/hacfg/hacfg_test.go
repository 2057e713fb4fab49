package hacfg_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve/hacfg"
)

func TestParse(t *testing.T) {
	c, problems := hacfg.Parse(map[string][]byte{
		"resources.cfg": []byte("vm: 100\n\tgroup g\n\nct: 101\n\tstate stopped\n\tmax_restart 3\n\tfailback 0\n\nvm: x\n\nvm: 102\n\tstate odd\n\tunknown 1\n"),
		"groups.cfg":    []byte("group: g\n\tnodes pve2:2,pve1:1,pve2\n\trestricted 1\n"),
		"rules.cfg":     []byte("node-affinity: r\n\tresources vm:102,ct:x\n\tnodes pve3\n\tstrict 1\n\nresource-affinity: s\n\tresources vm:100,ct:101\n\taffinity negative\n\nother: z\n"),
	})
	want := []hacfg.Resource{
		{Kind: "vm", Guest: 100, Line: 1, State: "started", Group: "g", MaxRestart: 1, MaxRelocate: 1, Failback: true},
		{Kind: "ct", Guest: 101, Line: 4, State: "stopped", MaxRestart: 3, MaxRelocate: 1},
		{Kind: "vm", Guest: 102, Line: 11, State: "started", MaxRestart: 1, MaxRelocate: 1, Failback: true},
	}
	if d := cmp.Diff(want, c.Resources); d != "" {
		t.Error(d)
	}
	for guest, nodes := range map[int][]string{100: {"pve1", "pve2"}, 101: nil, 102: {"pve3"}, 555: nil} {
		if d := cmp.Diff(nodes, c.Nodes(guest)); d != "" {
			t.Errorf("%d: %s", guest, d)
		}
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	if d := cmp.Diff([]string{`13: vm 102 has no setting "unknown" (skipped)`, `9: vm "x" is no VMID; it is not managed (skipped)`, `12: "odd" is no state; started counts (skipped)`,
		`10: rules.cfg: sections of the type "other" are not known; all of z is ignored (skipped)`}, got); d != "" {
		t.Error(d)
	}
	if len(c.Rules) != 2 || c.Rules[1].Affinity != "negative" || !c.Resources[0].Managed() || c.Resources[1].Managed() {
		t.Errorf("%+v", c.Rules)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("vm: 100\n\tgroup g\n"), []byte("group: g\n\tnodes a:1\n"), []byte("node-affinity: r\n\tresources vm:100\n\tnodes a\n\tstrict\n"))
	f.Fuzz(func(t *testing.T, a, b, rules []byte) {
		c, _ := hacfg.Parse(map[string][]byte{"resources.cfg": a, "groups.cfg": b, "rules.cfg": rules})
		for _, r := range c.Resources {
			if r.Guest < 1 || r.State == "" {
				t.Fatal(r)
			}
			c.Nodes(r.Guest)
		}
	})
}
