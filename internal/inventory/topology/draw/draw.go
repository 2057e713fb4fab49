// Package draw makes a picture of a topology.Graph, as SVG: nodes are columns with their cards, bonds and bridges at the top, networks are
// lanes across all nodes, guests stand in the lane of their first card. What needs a line of its own is what needs explaining:
// a guest in several networks has one to each further lane. The same graph gives the same bytes.
//
// It decides where things are and how they look; it does not find out anything.
package draw

import (
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// Options are choices of the picture.
type Options struct {
	// GroupAbove is the number of guests from which guests with the same node, networks and firewall state become one box; 0 means 60.
	GroupAbove int
	// Marks are the ids of controls to show at an element, beyond those of the graph: by "guest:100", "network:vmbr0", "node:pve1".
	Marks map[string][]string
	// NoFindings leaves out all marks.
	NoFindings bool
}

// Text is one line of writing within a box.
type Text struct {
	X, Y  int
	S     string
	Class string
}

// Box is a rectangle with writing in it.
type Box struct {
	// ID is unique; Parent is the box that it lies in, "" for none.
	ID, Parent string
	X, Y, W, H int
	Class      string
	Texts      []Text
	// Title is what a screen reader says and a pointer shows.
	Title string
	// Dots are the states of the cards, from the left of the upper edge.
	Dots []topology.Filtering
	// Marks are ids of controls.
	Marks []string
}

// Line is a connection of two boxes, with corners.
type Line struct {
	From, To string
	Points   [][2]int
	Class    string
	Title    string
}

// Layout is where everything is.
type Layout struct {
	W, H  int
	Boxes []Box
	Lines []Line
	// Grouped is how many guests are drawn together with others, Groups in how many boxes.
	Grouped, Groups int
	Title, Desc     string
}

// Sizes in pixels. Texts are measured conservatively: no glyph of a sans-serif font is wider than charWidth on average.
const (
	margin    = 24
	charWidth = 7
	lineH     = 15
	pad       = 8
	labelW    = 270
	boxW      = 158
	guestH    = 44
	portW     = 130
	portH     = 50
	gap       = 10
	gutter    = 14 // between tracks
	laneGap   = 8
	headerH   = 74
)

// fit cuts a text to a width in pixels.
func fit(s string, width int) string {
	s = clean(s)
	n := width / charWidth
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	if n < 2 {
		return ""
	}
	return string(r[:n-1]) + "…"
}

// clean replaces what XML does not allow or what would draw over its surroundings.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd || r == 0xfffe || r == 0xffff || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// textWidth is the width that a text may need. Wide glyphs (CJK) count double.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n * charWidth
}

// unit is a guest, or guests that are drawn as one.
type unit struct {
	id     string
	guests []*topology.Guest
	nets   []string
}

// units groups guests where there are too many to draw each.
func units(g *topology.Graph, above int) []unit {
	var out []unit
	index := map[string]int{}
	for i := range g.Guests {
		guest := &g.Guests[i]
		nets := guest.Networks()
		if len(nets) == 0 {
			nets = []string{""}
		}
		key := fmt.Sprintf("guest-%d-%d", guest.ID, i)
		if len(g.Guests) > above {
			key = groupKey(guest)
		}
		at, ok := index[key]
		if !ok {
			at = len(out)
			index[key] = at
			out = append(out, unit{id: fmt.Sprintf("unit-%d", at), nets: nets})
		}
		out[at].guests = append(out[at].guests, guest)
	}
	return out
}

func groupKey(g *topology.Guest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %v", g.Node, g.Template)
	for i := range g.Cards {
		c := &g.Cards[i]
		fmt.Fprintf(&b, " %q %q %v %s", c.Network, c.Trunk, c.TrunkAll, c.Firewall.State)
	}
	return b.String()
}
