package draw

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// widths gives each column its room: tracks on the left, addresses of the node, guests, wires of guests in several networks on the right.
func (a *arrange) widths() {
	x := margin + labelW + gap
	for i := range a.cols {
		c := &a.cols[i]
		most, hosts := 1, 0
		for l := range a.lanes {
			most = max(most, len(a.lanes[l].cells[i]))
			if len(a.lanes[l].hosts[i]) > 0 {
				hosts = hostW + gap
			}
		}
		across := min(most, 2)
		for across < 8 && across*across*3 < most*2 { // rows and guests in a row grow together
			across++
		}
		c.inner = hosts + across*(guestW+gap) - gap
		for l := range c.items {
			c.inner = max(c.inner, c.layerWidth(l))
		}
		c.inner = max(c.inner, 200)
		c.across = max(across, (c.inner-hosts+gap)/(guestW+gap))
		c.x = x
		c.content = x + pad + len(c.tracks)*trackGap + pad
		c.guests = c.content + hosts
		c.w = c.content - x + c.inner + pad + len(c.wires)*wireGap + pad
		c.spread()
		x += c.w + 2*gap
	}
	a.out.W = max(x-2*gap+margin, 2*margin+labelW+760)
}

func (a *arrange) add(b Box) {
	a.box[b.ID] = len(a.out.Boxes)
	for i := range b.Texts {
		t := &b.Texts[i]
		room := b.X + b.W - t.X - 4
		if i == 0 {
			room -= len(b.Dots) * dotW
		}
		t.S = fit(t.S, t.Class, room)
	}
	a.out.Boxes = append(a.out.Boxes, b)
}

// dotW is the room of the state of one card.
const dotW = 11

func lineClass(i int) string {
	if i == 0 {
		return "name"
	}
	return "small"
}

// lines puts writing into a box, from the upper left.
func lines(x, y int, texts []string) []Text {
	out := make([]Text, 0, len(texts))
	for i, s := range texts {
		out = append(out, Text{x + pad, y + pad + 10 + i*lineH, s, lineClass(i)})
	}
	return out
}

// place stacks the lanes below the nodes.
func (a *arrange) place(y int) {
	for l := range a.lanes {
		ln := &a.lanes[l]
		ln.y = y
		texts := a.laneTexts(ln.net)
		height := 2*pad + len(texts)*lineH + 2
		for i := range a.cols {
			hosts := rowGap
			for j := range ln.hosts[i] {
				hosts += hostHeight(&ln.hosts[i][j]) + rowGap
			}
			rows := (len(ln.cells[i]) + a.cols[i].across - 1) / a.cols[i].across
			height = max(height, hosts, rowGap+rows*(guestH+rowGap))
		}
		ln.h = height
		zone := zoneClass(ln.net.Zone())
		id := fmt.Sprintf("lane-%d", l)
		a.add(Box{ID: id, X: margin, Y: y, W: a.out.W - 2*margin, H: ln.h, Class: "lane " + zone, Title: laneTitle(ln.net)})
		label := Box{ID: id + "-label", Parent: id, X: margin, Y: y, W: labelW, H: ln.h, Class: "label " + zone, Texts: lines(margin+6, y, texts), Title: laneTitle(ln.net),
			Marks: a.marks["network:"+ln.net.ID]}
		label.Texts[0].S = fit(label.Texts[0].S, "name", labelW-2*pad-10-badgeWidth(label.Marks))
		a.add(label)
		for i := range a.cols {
			a.placeHosts(i, ln, id)
			a.placeCells(i, ln, id)
		}
		y += ln.h + laneGap
	}
	a.out.Bottom = y - laneGap
	a.out.H = y
}

func zoneClass(z topology.ZoneName) string {
	if z == "" {
		return "zone-none"
	}
	return "zone-" + string(z)
}

func hostHeight(k *cell) int { return max(2*pad+len(k.texts)*lineH-2, 30) }

func (a *arrange) placeHosts(i int, ln *lane, parent string) {
	y := ln.y + rowGap
	for j := range ln.hosts[i] {
		k := &ln.hosts[i][j]
		h := hostHeight(k)
		a.add(Box{ID: k.id, Parent: parent, X: a.cols[i].content, Y: y, W: hostW, H: h, Class: k.class, Texts: lines(a.cols[i].content, y, k.texts), Title: k.title})
		a.out.Lines = append(a.out.Lines, Line{From: portID(i, k.port.Name), To: k.id, Class: "track " + zoneClass(ln.net.Zone()), Title: k.port.Name + " is in " + ln.net.Title()})
		y += h + rowGap
	}
}

func (a *arrange) placeCells(i int, ln *lane, parent string) {
	c := &a.cols[i]
	for j := range ln.cells[i] {
		k := &ln.cells[i][j]
		x, y := c.guests+(j%c.across)*(guestW+gap), ln.y+rowGap+(j/c.across)*(guestH+rowGap)
		b := Box{ID: k.id, Parent: parent, X: x, Y: y, W: guestW, H: guestH, Class: k.class, Texts: lines(x, y, k.texts), Title: k.title, Dots: k.dots}
		if k.unit != nil {
			b.Marks = a.unitMarks(k.unit)
		}
		a.add(b)
		if k.from != "" {
			a.out.Lines = append(a.out.Lines, Line{From: k.from, To: k.id, Class: "wire", Title: k.title})
		}
	}
}

func (a *arrange) unitMarks(u *unit) []string {
	var out []string
	for _, g := range u.guests {
		for _, m := range a.marks[fmt.Sprintf("guest:%d", g.ID)] {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	slices.Sort(out)
	return out
}

func (a *arrange) laneTexts(n *topology.Network) []string {
	out := []string{n.Title()}
	if len(n.Subnets) > 0 && n.Subnets[0] != n.Title() {
		out = append(out, n.Subnets[:min(len(n.Subnets), 2)]...)
	}
	var zones []string
	for _, z := range n.Zones {
		zones = append(zones, string(z.Name))
	}
	out = append(out, wrap(zones, " + ", labelW-2*pad-10)...)
	out = append(out, a.gateways(n)...)
	if peers := peersOf(n); peers != "" {
		out = append(out, peers)
	}
	note := n.Comment
	if n.Alias != "" {
		note = n.Alias
	}
	switch {
	case n.Planned:
		note = "planned, not applied"
	case n.Kind == "user-mode":
		note = "QEMU translates, no firewall"
	case n.Tunnelled && note == "":
		note = "VXLAN, unencrypted"
	case n.Tunnelled:
		note += " · VXLAN"
	case n.Local && note == "":
		note = "never leaves its node"
	}
	if note != "" {
		out = append(out, note)
	}
	return out
}

// gateways names the next hops of default routes that leave through a network.
func (a *arrange) gateways(n *topology.Network) []string {
	var out []string
	for i := range a.cols {
		node := a.cols[i].node
		for _, g := range node.Gateways {
			hop, on, _ := strings.Cut(g, " on ")
			if p, ok := node.Port(on); ok && p.Network == n.ID && !slices.Contains(out, "gateway "+hop) {
				out = append(out, "gateway "+hop)
			}
		}
	}
	return out[:min(len(out), 2)]
}

// peersOf names the storages that are reached through a network.
func peersOf(n *topology.Network) string {
	var seen []string
	for _, u := range n.Uses {
		if u.Role == topology.Storage && !slices.Contains(seen, u.Detail) {
			seen = append(seen, u.Detail)
		}
	}
	if len(seen) == 0 {
		return ""
	}
	return "storage " + strings.Join(seen, " ")
}

func laneTitle(n *topology.Network) string {
	s := "network " + n.Title()
	for _, z := range n.Zones {
		s += "; " + string(z.Name) + " (" + z.Evidence + ")"
	}
	return fmt.Sprintf("%s; %d guests", s, n.Guests)
}

// badgeWidth is the room that marks take: one badge with the first id, and how many more.
func badgeWidth(marks []string) int {
	if len(marks) == 0 {
		return 0
	}
	return textWidth(badge(marks), "badgetext") + 12
}

func badge(marks []string) string {
	if len(marks) == 1 {
		return marks[0]
	}
	return fmt.Sprintf("%s +%d", marks[0], len(marks)-1)
}
