package draw

import (
	"fmt"
	"strings"
)

// maxNotes is how many notes are written below the picture.
const maxNotes = 24

// legend explains colours, signs and lines, and writes the findings and what makes the network complex below the picture.
func (a *arrange) legend() {
	x, y := margin, a.out.H+gap
	for _, it := range [][2]string{
		{"zone-management", "management"}, {"zone-cluster", "corosync"}, {"zone-storage", "storage"}, {"zone-migration", "migration"}, {"zone-external", "external"},
		{"zone-guest", "guests"}, {"dot-filtered", "filtered card"}, {"dot-unfiltered", "unfiltered card"}, {"dot-unknown", "state of the card unknown"},
		{"key-mark", "finding"}, {"key-wire", "a guest in several networks"}, {"lxc", "container"}, {"template", "template"},
	} {
		w := textWidth(it[1], "small") + 44
		if x+w > a.out.W-margin {
			x, y = margin, y+34
		}
		a.add(Box{ID: "key-" + it[0], X: x, Y: y, W: w, H: 26, Class: "key " + it[0], Texts: []Text{{x + 30, y + 17, it[1], "small"}}, Title: "legend: " + it[1]})
		x += w + gap
	}
	y += 26 + gap
	half := (a.out.W - 2*margin - 2*gap) / 2
	left := a.notes("complexity", margin, y, half, "What makes it complex: "+fmt.Sprintf("%d points, %s", a.g.Complexity.Points, a.g.Complexity.Class), a.costs())
	right := a.notes("findings", margin+half+2*gap, y, half, "Findings", a.findings())
	a.out.H = max(left, right) + margin
}

// notes is a list with a heading; it returns where it ends.
func (a *arrange) notes(id string, x, y, w int, heading string, list []string) int {
	if len(list) == 0 {
		return y
	}
	if len(list) > maxNotes {
		list = append(list[:maxNotes-1:maxNotes-1], fmt.Sprintf("and %d more", len(list)-maxNotes+1))
	}
	h := 2*pad + (len(list)+1)*lineH
	a.add(Box{ID: "notes-" + id, X: x, Y: y, W: w, H: h, Class: "notes", Title: heading, Texts: lines(x, y, append([]string{heading}, list...))})
	return y + h
}

func (a *arrange) costs() []string {
	var out []string
	for _, c := range a.g.Complexity.Costs {
		out = append(out, fmt.Sprintf("%d points: %s (%d): %s", c.Points, c.What, c.Count, strings.Join(c.Examples, "; ")))
	}
	for _, name := range a.left {
		out = append(out, name+" is left over in /etc/pve/nodes: no member of the cluster, without guests")
	}
	return out
}

// findings has a line for each control: the first of its findings, and how many more there are.
func (a *arrange) findings() []string {
	if a.o.NoFindings {
		return nil
	}
	var order []string
	first, count := map[string]string{}, map[string]int{}
	for i := range a.g.Findings {
		f := &a.g.Findings[i]
		if count[f.Control]++; count[f.Control] == 1 {
			order = append(order, f.Control)
			first[f.Control] = f.Text
		}
	}
	out := make([]string, 0, len(order))
	for _, control := range order {
		s := control
		if n := count[control]; n > 1 {
			s += fmt.Sprintf(" (%d)", n)
		}
		out = append(out, s+": "+first[control])
	}
	return out
}
