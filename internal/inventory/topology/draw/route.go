package draw

import "strings"

// route gives every line its corners: cables straight between layers, tracks down the left of a column, wires of guests down its right.
func (a *arrange) route() {
	trackAt := map[int]int{}
	wireAt := map[int]int{}
	out := a.out.Lines[:0]
	for _, l := range a.out.Lines {
		from, ok1 := a.box[l.From]
		to, ok2 := a.box[l.To]
		if !ok1 || !ok2 {
			continue
		}
		f, t := &a.out.Boxes[from], &a.out.Boxes[to]
		switch l.Class {
		case "cable": // from above (the interface) to what it goes over, which is drawn higher
			if f.Y == t.Y {
				l.Points = side(f, t)
				break
			}
			l.Points = vertical(f, t)
		case "track":
			i := a.columnOf(f.X)
			c := &a.cols[i]
			k := trackAt[i]
			trackAt[i]++
			x := c.left + (k%max(1, len(c.tracks)))*gutter
			turn := f.Y + f.H + 6 + k*4
			if low := a.find("node-"+itoa(i)).Y + a.find("node-"+itoa(i)).H - gap; turn < low-len(c.tracks)*4 {
				turn = low - (len(c.tracks)-k)*4
			}
			fx := f.X + f.W/2
			l.Points = [][2]int{{fx, f.Y + f.H}, {fx, turn}, {x, turn}, {x, t.Y + t.H/2}, {t.X, t.Y + t.H/2}}
		case "wire":
			i := a.columnOf(f.X)
			c := &a.cols[i]
			k := wireAt[i]
			wireAt[i]++
			x := c.content + c.inner + gutter/2 + (k%max(1, c.wires))*gutter
			// into the gap above the row, so that no box lies under the line
			l.Points = [][2]int{{f.X + f.W - 12, f.Y}, {f.X + f.W - 12, f.Y - gap/2}, {x, f.Y - gap/2}, {x, t.Y - gap/2}, {t.X + t.W - 12, t.Y - gap/2}, {t.X + t.W - 12, t.Y}}
		}
		out = append(out, l)
	}
	a.out.Lines = out
}

// vertical connects two boxes of different rows with a line that turns between them.
func vertical(f, t *Box) [][2]int {
	upper, lower := t, f
	if f.Y < t.Y {
		upper, lower = f, t
	}
	ux, lx := upper.X+upper.W/2, lower.X+lower.W/2
	mid := lower.Y - 12
	return [][2]int{{lx, lower.Y}, {lx, mid}, {ux, mid}, {ux, upper.Y + upper.H}}
}

func side(f, t *Box) [][2]int {
	y := f.Y + f.H + 8
	return [][2]int{{f.X + f.W/2, f.Y + f.H}, {f.X + f.W/2, y}, {t.X + t.W/2, y}, {t.X + t.W/2, t.Y + t.H}}
}

func (a *arrange) columnOf(x int) int {
	for i := range a.cols {
		if x >= a.cols[i].x && x < a.cols[i].x+a.cols[i].w {
			return i
		}
	}
	return 0
}

func itoa(n int) string {
	const d = "0123456789"
	if n < 10 {
		return d[n : n+1]
	}
	return itoa(n/10) + d[n%10:n%10+1]
}

// legend explains colours, dots and lines.
func (a *arrange) legend() {
	y := a.out.H + gap
	items := []struct{ class, text string }{
		{"zone-management", "management"}, {"zone-cluster", "cluster"}, {"zone-storage", "storage"}, {"zone-migration", "migration"}, {"zone-external", "external"},
		{"zone-guest", "guests"}, {"dot-filtered", "filtered card"}, {"dot-unfiltered", "unfiltered card"}, {"dot-unknown", "state unknown"}, {"key-mark", "finding"},
	}
	x := margin
	for _, it := range items {
		w := textWidth(it.text) + 34
		if x+w > a.out.W-margin {
			x, y = margin, y+34
		}
		a.add(Box{ID: "key-" + it.class, X: x, Y: y, W: w, H: 26, Class: "key " + it.class, Texts: []Text{{x + 24, y + 17, it.text, "small"}}, Title: "legend: " + strings.TrimPrefix(it.class, "zone-")})
		x += w + gap
	}
	a.out.H = y + 26 + margin
}
