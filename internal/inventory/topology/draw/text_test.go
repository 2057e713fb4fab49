package draw_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/inventory/topology"
	"github.com/castellan-project/castellan/internal/inventory/topology/draw"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"web", 100, "web"},
		{"データベース会社の機械", 100, "データベース会…"},
		{"a-very-long-name", 70, "a-very-lo…"},
		{"a\x00b\nc", 100, "a?b c"},
		{"x", 0, ""},
	} {
		got := draw.Fit(c.in, "small", c.width)
		if got != c.want || draw.TextWidth(got, "small") > c.width {
			t.Errorf("%q in %d: %q, %d wide, want %q", c.in, c.width, got, draw.TextWidth(got, "small"), c.want)
		}
	}
}

// FuzzName draws a guest and a network with any name: the picture stays well-formed and its writing within the boxes.
func FuzzName(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add(strings.Repeat("<", 1<<16))
	f.Fuzz(func(t *testing.T, s string) {
		if c := draw.Clean(s); !utf8.ValidString(c) {
			t.Fatalf("%q is no text", c)
		}
		g := &topology.Graph{Cluster: s, Nodes: []topology.Node{{Name: s, Known: true, Ports: []topology.Port{{Name: s, Kind: s, Network: s, Roles: []topology.Role{topology.Guests}}}}},
			Networks: []topology.Network{{ID: s, Kind: "bridge", Bridge: s, Comment: s, Zones: []topology.Zone{{Name: topology.ZoneGuest, Evidence: s}}}},
			Guests:   []topology.Guest{{ID: 100, Kind: "qemu", Name: s, Node: s, Cards: []topology.Card{{Key: "net0", Bridge: s, Network: s}}}},
			Findings: []topology.Finding{{Control: "FW-16", Text: s, Guest: 100}}}
		l := draw.Arrange(g, draw.Options{})
		checkGeometry(t, l)
		checkXML(t, svg(t, l))
	})
}
