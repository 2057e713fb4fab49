package topology

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/inventory"
)

// VMware guests stand beside the cluster and change nothing of what is said of it.
func TestAddVMware(t *testing.T) {
	g := Build(&inventory.Cluster{}, Options{})
	before := g.Complexity
	g.AddVMware(nil)
	if len(g.Nodes) != 0 {
		t.Errorf("%+v", g.Nodes)
	}
	g.AddVMware([]Foreign{
		{Name: "web", Cards: []ForeignCard{{"ethernet0", "dmz", true}, {"ethernet1", "servers", false}}},
		{Name: "db", Cards: []ForeignCard{{"ethernet0", "servers", true}, {"ethernet1", "servers", true}, {"ethernet2", "", true}}},
	})
	if d := cmp.Diff(before, g.Complexity); d != "" || g.Members() != 0 || len(g.Findings) != 0 {
		t.Errorf("%d members, %v%s", g.Members(), g.Findings, d)
	}
	n, ok := g.Network("servers@VMware")
	if !ok || n.Guests != 2 || len(g.Networks) != 2 || n.Title() != "servers@VMware" {
		t.Errorf("%+v", g.Networks)
	}
	if w := g.Guests[0]; w.Label() != "web" || w.ID >= 0 || w.Node != VMware || w.Cards[1].Network != "servers@VMware" || !w.Cards[1].Down || w.Cards[0].Down {
		t.Errorf("%+v", w)
	}
	if c := g.Guests[1].Cards[2]; c.Network != "" || c.Firewall.State != Unsaid {
		t.Errorf("%+v", c)
	}
}
