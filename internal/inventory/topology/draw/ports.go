package draw

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// item is what takes up room in a layer: an interface, a line that passes, or the note that there are more.
type item struct {
	id   string
	port *topology.Port
	w    int
	over []string // ids of items above it, in the layer before
	more int
}

const (
	passW   = 4
	portGap = 7
	portMin = 48
	portMax = 132
)

func portID(col int, name string) string { return fmt.Sprintf("port-%d-%s", col, name) }

func passID(from, to string, layer int) string { return fmt.Sprintf("pass/%d/%q/%q", layer, from, to) }

// portTexts is what a box of an interface says.
func portTexts(p *topology.Port) []string {
	out := []string{p.Name}
	switch {
	case p.BondMode != "":
		out = append(out, p.BondMode)
	case p.VLANAware:
		out = append(out, "VLANs "+p.VIDs)
	case p.VLAN > 0:
		out = append(out, "VLAN "+itoa(p.VLAN))
	case p.Layer != topology.LayerUplink:
		out = append(out, p.Kind)
	}
	if p.MTU > 0 && p.MTU != 1500 {
		out = append(out, "MTU "+itoa(p.MTU))
	}
	return out
}

func portWidth(p *topology.Port, marks []string) int {
	w := max(portMin, badgeWidth(marks)+6)
	for i, s := range portTexts(p) {
		w = max(w, textWidth(fit(s, lineClass(i), portMax), lineClass(i))+2*pad)
	}
	return min(w, portMax)
}

// arrangeItems puts interfaces and passing lines into the layers.
func (c *column) arrangeItems(a *arrange) {
	layer := map[string]int{}
	for l := range c.layers {
		for _, p := range c.layers[l] {
			layer[p.Name] = l
		}
	}
	over := map[string][]string{}
	for l := range c.layers {
		for _, p := range c.layers[l] {
			for _, o := range p.Over {
				at, ok := layer[o]
				if !ok || at == l {
					continue
				}
				c.pass(over, end{o, at}, end{p.Name, l})
			}
		}
	}
	for l := range c.layers {
		for _, p := range c.layers[l] {
			c.items[l] = append(c.items[l], item{id: p.Name, port: p, w: portWidth(p, a.marks["port:"+c.node.Name+"/"+p.Name]), over: over[p.Name]})
		}
		if c.hidden[l] > 0 {
			text := fmt.Sprintf("and %d more", c.hidden[l])
			c.items[l] = append(c.items[l], item{id: fmt.Sprintf("more/%d", l), w: textWidth(text, "name") + 2*pad, more: c.hidden[l]})
		}
	}
}

// end is an interface at one end of a cable.
type end struct {
	name  string
	layer int
}

// pass keeps a place in each layer between the ends of a cable. It does so once for interfaces that are over each other.
func (c *column) pass(over map[string][]string, upper, lower end) {
	if upper.layer > lower.layer {
		upper, lower = lower, upper
	}
	last := upper.name
	for k := upper.layer + 1; k < lower.layer; k++ {
		id := passID(lower.name, upper.name, k)
		if slices.ContainsFunc(c.items[k], func(it item) bool { return it.id == id }) {
			return
		}
		c.items[k] = append(c.items[k], item{id: id, w: passW, over: []string{last}})
		last = id
	}
	over[lower.name] = append(over[lower.name], last)
}

func (c *column) layerWidth(l int) int {
	w := -portGap
	for _, it := range c.items[l] {
		w += it.w + portGap
	}
	return max(w, 0)
}

// spread gives each item its place: below what it goes over where there is room.
func (c *column) spread() {
	c.at = map[string]int{}
	for l := range c.items {
		items := c.items[l]
		want := map[string]int{}
		for _, it := range items {
			sum, n := 0, 0
			for _, o := range it.over {
				if x, ok := c.at[o]; ok {
					sum, n = sum+x, n+1
				}
			}
			if n > 0 {
				want[it.id] = sum / n
			} else if l > 0 {
				want[it.id] = c.content + c.inner // what stands on nothing goes to the right
			}
		}
		slices.SortStableFunc(items, func(x, y item) int { return want[x.id] - want[y.id] })
		left := make([]int, len(items))
		x := c.content
		for i, it := range items {
			left[i] = max(x, want[it.id]-it.w/2)
			x = left[i] + it.w + portGap
		}
		limit := c.content + c.inner
		for i := len(items) - 1; i >= 0; i-- {
			left[i] = min(left[i], limit-items[i].w)
			limit = left[i] - portGap
			c.at[items[i].id] = left[i] + items[i].w/2
		}
	}
}

// layerRow is a layer that is drawn.
type layerRow struct{ layer, y, h int }

func (a *arrange) rowOf(layer int) (layerRow, bool) {
	for _, r := range a.rows {
		if r.layer == layer {
			return r, true
		}
	}
	return layerRow{}, false
}

// physical draws the nodes with their interfaces and returns where the lanes begin.
func (a *arrange) physical() int {
	top := headerH + margin
	y := top + 46
	for l := range 4 {
		used, tracks, most := false, 0, 2
		for i := range a.cols {
			c := &a.cols[i]
			used = used || len(c.layers[l]) > 0
			n := 0
			for _, t := range c.tracks {
				if t.layer == l {
					n++
				}
			}
			tracks = max(tracks, n)
			for _, it := range c.items[l] {
				if it.port != nil {
					most = max(most, len(portTexts(it.port)))
				}
			}
		}
		if !used {
			continue
		}
		h := 2*pad + most*lineH
		a.rows = append(a.rows, layerRow{l, y, h})
		a.layerLabel(l, y, h)
		for i := range a.cols {
			a.ports(i, l, y, h)
		}
		y += h + 12 + tracks*trackGap + 12
	}
	bottom := y
	for i := range a.cols {
		a.nodeBox(i, top, bottom-top)
	}
	a.out.Top, a.out.Bottom = bottom, bottom
	return bottom + gap
}

func (a *arrange) layerLabel(l, y, h int) {
	names := [4][2]string{{"Uplinks", "network cards of the nodes"}, {"Bonds", "cards that act as one"},
		{"Bridges and VLANs", "what guests plug into"}, {"SDN", "virtual networks"}}
	a.add(Box{ID: fmt.Sprintf("layer-%d", l), X: margin, Y: y, W: labelW, H: h, Class: "layer", Texts: lines(margin, y, names[l][:]), Title: "layer " + names[l][0]})
}

func (a *arrange) nodeBox(i, top, h int) {
	c := &a.cols[i]
	state := ""
	if !c.node.Known {
		state = " (interfaces unknown)"
	}
	b := Box{ID: fmt.Sprintf("node-%d", i), X: c.x, Y: top, W: c.w, H: h, Class: "node", Title: "node " + c.node.Name + state, Marks: a.marks["node:"+c.node.Name]}
	b.Texts = []Text{{c.x + 12, top + 24, fit(c.node.Name+state, "head", c.w-24-badgeWidth(b.Marks)), "head"}}
	a.add(b)
	if i > 0 {
		a.out.Rules = append(a.out.Rules, c.x-gap)
	}
}

func (a *arrange) ports(i, l, y, h int) {
	c := &a.cols[i]
	node := fmt.Sprintf("node-%d", i)
	for _, it := range c.items[l] {
		x := c.at[it.id] - it.w/2
		if it.more > 0 {
			a.add(Box{ID: fmt.Sprintf("more-%d-%d", i, l), Parent: node, X: x, Y: y, W: it.w, H: h, Class: "port", Title: "further interfaces of " + c.node.Name,
				Texts: lines(x, y, []string{fmt.Sprintf("and %d more", it.more)})})
		}
		p := it.port
		if p == nil {
			continue
		}
		roles := make([]string, 0, len(p.Roles))
		for _, r := range p.Roles {
			roles = append(roles, string(r))
		}
		b := Box{ID: portID(i, p.Name), Parent: node, X: x, Y: y, W: it.w, H: h, Class: "port", Texts: lines(x, y, portTexts(p)), Paths: paths(p.Roles),
			Title: p.Kind + " " + p.Name + " of " + c.node.Name, Marks: a.marks["port:"+c.node.Name+"/"+p.Name]}
		if len(roles) > 0 {
			b.Title += ", carries " + strings.Join(roles, ", ")
		}
		a.add(b)
		for _, o := range p.Over {
			a.out.Lines = append(a.out.Lines, Line{From: b.ID, To: portID(i, o), Class: "cable", Title: p.Name + " over " + o})
		}
	}
}

// paths are the zones that roles belong to, each once.
func paths(roles []topology.Role) []topology.ZoneName {
	var out []topology.ZoneName
	for _, r := range roles {
		z := map[topology.Role]topology.ZoneName{topology.Management: topology.ZoneManagement, topology.Corosync: topology.ZoneCluster, topology.Storage: topology.ZoneStorage,
			topology.CephPublic: topology.ZoneStorage, topology.CephCluster: topology.ZoneStorage, topology.Migration: topology.ZoneMigration, topology.Tunnel: topology.ZoneGuest,
			topology.Guests: topology.ZoneGuest}[r]
		if !slices.Contains(out, z) {
			out = append(out, z)
		}
	}
	return out
}
