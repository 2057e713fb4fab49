package draw

import (
	"slices"
	"strconv"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

func itoa(n int) string { return strconv.Itoa(n) }

// route gives every line its corners: cables between layers, tracks down the left of a column, wires of guests down its right.
// Lines run in the gaps only, so that none lies under a box.
func (a *arrange) route() {
	owner := make(map[string]int, len(a.out.Boxes)) // columns of ends, by id
	for i := range a.cols {
		c := &a.cols[i]
		for l := range c.layers {
			for _, p := range c.layers[l] {
				owner[portID(i, p.Name)] = i
			}
		}
		for l := range a.lanes {
			for j := range a.lanes[l].cells[i] {
				owner[a.lanes[l].cells[i][j].id] = i
			}
		}
	}
	last := a.lastInRow()
	out := a.out.Lines[:0]
	for _, l := range a.out.Lines {
		from, ok1 := a.box[l.From]
		to, ok2 := a.box[l.To]
		if !ok1 || !ok2 || from == to {
			continue // an interface that is not drawn
		}
		f, t, i := &a.out.Boxes[from], &a.out.Boxes[to], owner[l.From]
		switch l.Class {
		case "cable":
			l.Points = a.cable(i, f, t)
		case "wire":
			c := &a.cols[i]
			x := c.content + c.inner + pad + slices.Index(c.wires, l.From)*wireGap
			l.Points = tidy(append(leave(f, x, last[l.From]), reversed(leave(t, x, last[l.To]))...))
		default:
			l.Points = a.track(i, f, t)
		}
		out = append(out, l)
	}
	a.out.Lines = out
}

// lastInRow are the boxes with nothing between them and the wires.
func (a *arrange) lastInRow() map[string]bool {
	out := map[string]bool{}
	for l := range a.lanes {
		for i := range a.cols {
			cells := a.lanes[l].cells[i]
			for j := range cells {
				out[cells[j].id] = j == len(cells)-1 || j%a.cols[i].across == a.cols[i].across-1
			}
		}
	}
	return out
}

// leave leads from the right edge of a box to the wire at x: straight, or around what stands there.
func leave(b *Box, x int, free bool) [][2]int {
	right, mid := b.X+b.W, b.Y+b.H/2
	if free {
		return [][2]int{{right, mid}, {x, mid}}
	}
	below := b.Y + b.H + 4
	return [][2]int{{right, mid}, {right + gap/2, mid}, {right + gap/2, below}, {x, below}}
}

func reversed(p [][2]int) [][2]int {
	slices.Reverse(p)
	return p
}

// track leads from an interface to the lane of its network: left in the gap below its layer, down, and to the right.
func (a *arrange) track(i int, f, t *Box) [][2]int {
	c := &a.cols[i]
	k, turn := 0, 0
	for n := range c.tracks {
		if portID(i, c.tracks[n].port.Name) == f.ID {
			k = n
		}
	}
	for n := range c.tracks[:k] { // those before it in the same layer turn above
		if c.tracks[n].layer == c.tracks[k].layer {
			turn++
		}
	}
	x, y := c.x+pad+k*trackGap, f.Y+f.H+10+turn*trackGap
	fx := f.X + f.W/2 + 6 // cables have the middle
	return tidy([][2]int{{fx, f.Y + f.H}, {fx, y}, {x, y}, {x, t.Y + t.H/2}, {t.X, t.Y + t.H/2}})
}

// cable leads from an interface up to what it goes over, in the places that were kept for it where it passes a layer.
func (a *arrange) cable(i int, f, t *Box) [][2]int {
	c := &a.cols[i]
	lf, lt := layerOf(c, f.ID, i), layerOf(c, t.ID, i)
	if lf == lt {
		y := f.Y + f.H + 5
		return tidy([][2]int{{f.X + f.W/2 - 6, f.Y + f.H}, {f.X + f.W/2 - 6, y}, {t.X + t.W/2 - 6, y}, {t.X + t.W/2 - 6, t.Y + t.H}})
	}
	if lf < lt { // the other way round
		return reversed(a.cable(i, t, f))
	}
	name, over := c.name(f.ID, i), c.name(t.ID, i)
	x, y := f.X+f.W/2, f.Y-8
	points := [][2]int{{x, f.Y}}
	for k := lf - 1; k > lt; k-- {
		at, ok := c.at[passID(name, over, k)]
		r, drawn := a.rowOf(k)
		if !ok || !drawn {
			continue
		}
		points = append(points, [2]int{x, y}, [2]int{at, y})
		x, y = at, r.y-8
	}
	end := t.X + t.W/2
	return tidy(append(points, [2]int{x, y}, [2]int{end, y}, [2]int{end, t.Y + t.H}))
}

func (c *column) name(id string, i int) string { return id[len(portID(i, "")):] }

func layerOf(c *column, id string, i int) int {
	p, ok := c.node.Port(c.name(id, i))
	if !ok {
		return 0
	}
	return min(max(int(p.Layer), int(topology.LayerUplink)), int(topology.LayerVNet))
}

// tidy leaves out points that are the same as the one before.
func tidy(p [][2]int) [][2]int { return slices.Compact(p) }
