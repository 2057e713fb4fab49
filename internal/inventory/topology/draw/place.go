package draw

import (
	"fmt"
	"slices"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// widths gives each column its room: tracks on the left, boxes, wires of guests in several networks on the right.
func (a *arrange) widths() {
	x := margin + labelW + gap
	for i := range a.cols {
		c := &a.cols[i]
		most := 1
		for l := range a.lanes {
			most = max(most, len(a.lanes[l].cells[i]))
		}
		across := min(max(2, most/3), 6, max(most, 2))
		left := gutter * (len(c.tracks) + 1)
		c.x, c.left = x, x+gutter
		c.content = x + left
		c.inner = across*(boxW+gap) - gap
		for _, layer := range c.layers {
			c.inner = max(c.inner, len(layer)*(portW+gap)-gap)
		}
		c.inner = max(c.inner, boxW)
		c.w = left + c.inner + gutter*(c.wires+1)
		x += c.w + 2*gap
	}
	a.out.W = x - 2*gap + margin
	a.out.W = max(a.out.W, margin*2+labelW+520)
}

func (a *arrange) add(b Box) *Box {
	a.box[b.ID] = len(a.out.Boxes)
	for i := range b.Texts {
		b.Texts[i].S = fit(b.Texts[i].S, b.X+b.W-b.Texts[i].X-2)
	}
	a.out.Boxes = append(a.out.Boxes, b)
	return &a.out.Boxes[len(a.out.Boxes)-1]
}

func (a *arrange) find(id string) *Box { return &a.out.Boxes[a.box[id]] }

// lines puts writing into a box, from the upper left.
func lines(x, y int, texts []string) []Text {
	out := make([]Text, 0, len(texts))
	for i, s := range texts {
		class := "small"
		if i == 0 {
			class = "name"
		}
		out = append(out, Text{x + pad, y + pad + 10 + i*lineH, s, class})
	}
	return out
}

// rowH is the height of a layer of interfaces, with room for the lines below.
const rowH = portH + 26

// physical draws the nodes with their interfaces and returns where the lanes begin.
func (a *arrange) physical() int {
	var used [4]bool
	deepest := 0
	for i := range a.cols {
		for l := range a.cols[i].layers {
			used[l] = used[l] || len(a.cols[i].layers[l]) > 0
		}
		deepest = max(deepest, len(a.cols[i].tracks))
	}
	top := headerH + margin
	y := top + 34
	for l := range used {
		if !used[l] {
			continue
		}
		a.add(Box{ID: fmt.Sprintf("layer-%d", l), X: margin, Y: y, W: labelW, H: portH, Class: "layer",
			Texts: lines(margin, y, []string{[]string{"Uplinks", "Bonds", "Bridges and VLANs", "SDN"}[l],
				[]string{"network cards of the nodes", "cards that stand in for each other", "where guests and addresses are", "virtual networks"}[l]}),
			Title: "layer"})
		for i := range a.cols {
			for j, p := range a.cols[i].layers[l] {
				a.portBox(i, j, y, p)
			}
		}
		y += rowH
	}
	bottom := y + deepest*4 + gap
	for i := range a.cols {
		c := &a.cols[i]
		state := ""
		if !c.node.Known {
			state = " (interfaces unknown)"
		}
		b := Box{ID: fmt.Sprintf("node-%d", i), X: c.x, Y: top, W: c.w, H: bottom - top, Class: "node", Texts: []Text{{c.x + 12, top + 21, c.node.Name + state, "head"}},
			Title: "node " + c.node.Name, Marks: a.marks["node:"+c.node.Name]}
		b.Texts[0].S = fit(b.Texts[0].S, c.w-24-badgeWidth(b.Marks))
		a.add(b)
	}
	for l := range a.out.Boxes { // interfaces lie within their node
		if b := &a.out.Boxes[l]; b.Parent == "" && b.Class[:4] == "port" {
			b.Parent = "node-" + b.ID[5:5+digits(b.ID[5:])]
		}
	}
	return bottom + gap
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func (a *arrange) portBox(i, j, y int, p *topology.Port) {
	c := &a.cols[i]
	x := c.content + j*(portW+gap)
	texts := []string{p.Name}
	detail := p.Kind
	switch {
	case p.BondMode != "":
		detail = p.BondMode
	case p.VLANAware:
		detail = "VLANs " + p.VIDs
	case p.VLAN > 0:
		detail = "VLAN " + fmt.Sprint(p.VLAN)
	}
	if p.MTU > 0 && p.MTU != 1500 {
		detail += " · MTU " + fmt.Sprint(p.MTU)
	}
	texts = append(texts, detail)
	roles := ""
	for _, r := range p.Roles {
		roles += " " + string(r)
	}
	marks := a.marks["port:"+c.node.Name+"/"+p.Name]
	b := Box{ID: fmt.Sprintf("port-%d-%s", i, p.Name), X: x, Y: y, W: portW, H: portH, Class: "port " + p.Kind, Texts: lines(x, y, texts),
		Title: p.Kind + " " + p.Name + " of " + c.node.Name + ", carries:" + roles, Marks: marks}
	b.Texts[0].S = fit(b.Texts[0].S, portW-2*pad-badgeWidth(marks))
	a.add(b)
	for _, o := range p.Over {
		a.out.Lines = append(a.out.Lines, Line{From: b.ID, To: fmt.Sprintf("port-%d-%s", i, o), Class: "cable", Title: p.Name + " over " + o})
	}
}

// place stacks the lanes below the nodes.
func (a *arrange) place(y int) {
	for l := range a.lanes {
		ln := &a.lanes[l]
		ln.y = y
		rows := 1
		for i := range a.cols {
			rows = max(rows, a.rows(i, len(ln.cells[i])))
		}
		texts := laneTexts(ln.net)
		cellH := guestH
		for i := range ln.cells {
			for j := range ln.cells[i] {
				cellH = max(cellH, 2*pad+len(ln.cells[i][j].texts)*lineH)
			}
		}
		ln.h = max(rows*(cellH+gap)+gap, 2*pad+len(texts)*lineH+2)
		zone := string(ln.net.Zone())
		if zone == "" {
			zone = "none"
		}
		id := fmt.Sprintf("lane-%d", l)
		a.add(Box{ID: id, X: margin, Y: y, W: a.out.W - 2*margin, H: ln.h, Class: "lane zone-" + zone, Title: laneTitle(ln.net)})
		marks := a.marks["network:"+ln.net.ID]
		label := Box{ID: id + "-label", Parent: id, X: margin, Y: y, W: labelW, H: ln.h, Class: "label zone-" + zone, Texts: lines(margin+4, y, texts), Title: laneTitle(ln.net), Marks: marks}
		label.Texts[0].S = fit(label.Texts[0].S, labelW-2*pad-8-badgeWidth(marks))
		a.add(label)
		for i := range a.cols {
			a.placeCells(i, ln, id, cellH)
		}
		y += ln.h + laneGap
	}
	a.out.H = y
}

// rows is how many rows of boxes a column needs for n of them.
func (a *arrange) rows(i, n int) int {
	across := max(1, (a.cols[i].inner+gap)/(boxW+gap))
	return (n + across - 1) / across
}

func (a *arrange) placeCells(i int, ln *lane, parent string, cellH int) {
	c := &a.cols[i]
	across := max(1, (c.inner+gap)/(boxW+gap))
	for j := range ln.cells[i] {
		k := &ln.cells[i][j]
		x, y := c.content+(j%across)*(boxW+gap), ln.y+gap+(j/across)*(cellH+gap)
		b := Box{ID: k.id, Parent: parent, X: x, Y: y, W: boxW, H: cellH, Class: k.class, Texts: lines(x, y, k.texts), Title: k.title}
		if k.unit != nil {
			for _, g := range k.unit.guests {
				for _, m := range a.marks[fmt.Sprintf("guest:%d", g.ID)] {
					if !slices.Contains(b.Marks, m) {
						b.Marks = append(b.Marks, m)
					}
				}
			}
			for n := range k.unit.guests[0].Cards {
				b.Dots = append(b.Dots, k.unit.guests[0].Cards[n].Firewall.State)
			}
			b.Dots = b.Dots[:min(len(b.Dots), 8)]
		}
		b.Texts[0].S = fit(b.Texts[0].S, boxW-2*pad-badgeWidth(b.Marks)-len(b.Dots)*9)
		a.add(b)
		if k.port != nil {
			a.out.Lines = append(a.out.Lines, Line{From: fmt.Sprintf("port-%d-%s", i, k.port.Name), To: k.id, Class: "track", Title: k.port.Name + " is in " + ln.net.Title()})
		}
		if k.from != "" {
			a.out.Lines = append(a.out.Lines, Line{From: k.from, To: k.id, Class: "wire", Title: k.title})
		}
	}
}

func laneTexts(n *topology.Network) []string {
	out := []string{n.Title()}
	if len(n.Subnets) > 0 {
		s := n.Subnets[0]
		if len(n.Subnets) > 1 {
			s += " · " + n.Subnets[1]
		}
		out = append(out, s)
	}
	zones := ""
	for i, z := range n.Zones {
		if i > 0 {
			zones += " + "
		}
		zones += string(z.Name)
	}
	if zones != "" {
		out = append(out, zones)
	}
	note := n.Comment
	if n.Alias != "" {
		note = n.Alias
	}
	switch {
	case n.Planned:
		note = "planned, not applied"
	case n.Tunnelled && note == "":
		note = "VXLAN, unencrypted"
	case n.Kind == "user-mode":
		note = "QEMU translates, no firewall"
	}
	if peers := peersOf(n); peers != "" {
		out = append(out, peers)
	}
	if note != "" {
		out = append(out, note)
	}
	return out
}

// peersOf names the machines outside that storage is at.
func peersOf(n *topology.Network) string {
	var seen []string
	for _, u := range n.Uses {
		if s := u.Detail; u.Role == topology.Storage && !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	if len(seen) == 0 {
		return ""
	}
	s := "storage"
	for _, p := range seen {
		s += " " + p
	}
	return s
}

func laneTitle(n *topology.Network) string {
	s := "network " + n.Title()
	for _, z := range n.Zones {
		s += "; " + string(z.Name) + " (" + z.Evidence + ")"
	}
	return fmt.Sprintf("%s; %d guests", s, n.Guests)
}

// badgeWidth is the room that marks take at the upper right of a box: one badge with the first id, and how many more.
func badgeWidth(marks []string) int {
	if len(marks) == 0 {
		return 0
	}
	return textWidth(badge(marks)) + 10
}

func badge(marks []string) string {
	if len(marks) == 1 {
		return marks[0]
	}
	return fmt.Sprintf("%s +%d", marks[0], len(marks)-1)
}
