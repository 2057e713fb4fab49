// Package draw makes a picture of a topology.Graph, as SVG: nodes are columns with their cards, bonds and bridges at the top, networks are
// lanes across all nodes, guests stand in the lane of their first card. What needs a line of its own is what needs explaining:
// a guest in several networks has one, with a branch to each further lane. The same graph gives the same bytes.
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
	// NoFindings leaves out all marks.
	NoFindings bool
}

// Text is one line of writing within a box; X and Y are the left end of its base line.
type Text struct {
	X, Y  int
	S     string
	Class string
}

// Dot is the state of one card.
type Dot struct {
	State topology.Filtering
	Title string
}

// Box is a rectangle with writing in it, in pixels from the upper left.
type Box struct {
	// ID is unique; Parent is the box that it lies in, "" for none.
	ID, Parent string
	X, Y, W, H int
	Class      string
	Texts      []Text
	// Title is what a screen reader says and a pointer shows.
	Title string
	// Dots are the states of the cards, at the right of the first line.
	Dots []Dot
	// Paths are the zones of what runs over an interface, drawn as a strip at the lower edge.
	Paths []topology.ZoneName
	// Marks are ids of controls, drawn as a badge on the upper edge.
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
	// Rules are the x of the lines between columns, from Top to Bottom.
	Rules       []int
	Top, Bottom int
	// Grouped is how many guests are drawn together with others, Groups in how many boxes.
	Grouped, Groups int
	Title, Desc     string
}

// Sizes in pixels.
const (
	margin   = 24
	lineH    = 15
	pad      = 8
	labelW   = 212
	guestW   = 150
	guestH   = 42
	hostW    = 158
	gap      = 10 // between boxes in a row
	rowGap   = 14 // between rows of boxes: room for a badge and a line
	laneGap  = 6
	trackGap = 4
	wireGap  = 8
	headerH  = 74
)

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
