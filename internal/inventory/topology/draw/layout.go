package draw

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// arrange is a layout that is being made.
type arrange struct {
	g     *topology.Graph
	o     Options
	out   Layout
	cols  []column
	lanes []lane
	rows  []layerRow
	box   map[string]int
	marks map[string][]string
	left  []string // nodes that are left over
}

type column struct {
	node    *topology.Node
	x, w    int // of the whole column
	content int // where boxes begin, right of the tracks
	inner   int // the width for boxes
	guests  int // where guests begin, right of the addresses of the node
	across  int // guests in a row
	layers  [4][]*topology.Port
	hidden  [4]int         // interfaces beyond maxLayer
	items   [4][]item      // what stands in the layers, and lines that pass
	at      map[string]int // x of the centres of items, by id
	tracks  []track
	wires   []string // units in several networks: a line each, on the right
}

// track leads from an interface down to a lane.
type track struct {
	port  *topology.Port
	layer int
	lane  int
}

type lane struct {
	net   *topology.Network
	y, h  int
	cells [][]cell // by column: guests, those in several networks last
	hosts [][]cell // by column: addresses of the node
}

// cell is a box to be placed in a lane.
type cell struct {
	id    string
	unit  *unit
	texts []string
	class string
	title string
	from  string // for the end of a wire: the box it comes from
	dots  []Dot
	port  *topology.Port
}

// Arrange computes the picture of a graph.
func Arrange(g *topology.Graph, o Options) *Layout {
	if o.GroupAbove == 0 {
		o.GroupAbove = 60
	}
	a := &arrange{g: g, o: o, box: map[string]int{}, marks: map[string][]string{}}
	a.collectMarks()
	a.columns()
	a.fill()
	for i := range a.cols {
		a.cols[i].arrangeItems(a)
	}
	a.widths()
	a.out.Title = "Network map of " + title(g)
	a.out.Desc = a.describe()
	a.place(a.physical())
	a.route()
	a.legend()
	return &a.out
}

func title(g *topology.Graph) string {
	if g.Cluster != "" {
		return "cluster " + clean(g.Cluster)
	}
	if len(g.Nodes) == 1 || len(g.Nodes) == 2 && g.Nodes[1].Foreign {
		return "node " + clean(g.Nodes[0].Name)
	}
	return "the cluster"
}

func (a *arrange) collectMarks() {
	if a.o.NoFindings {
		return
	}
	add := func(key, control string) {
		if !slices.Contains(a.marks[key], control) {
			a.marks[key] = append(a.marks[key], control)
		}
	}
	for i := range a.g.Findings {
		f := &a.g.Findings[i]
		switch {
		case f.Guest != 0:
			add(fmt.Sprintf("guest:%d", f.Guest), f.Control)
		case f.Port != "":
			add("port:"+f.Node+"/"+f.Port, f.Control)
		case f.Network != "":
			add("network:"+f.Network, f.Control)
		case f.Node != "":
			add("node:"+f.Node, f.Control)
		}
	}
	for key := range a.marks {
		slices.Sort(a.marks[key])
	}
}

// maxLayer is how many interfaces of a layer are drawn; a box says how many more there are.
const maxLayer = 24

// columns are the nodes, and those that only guests name.
func (a *arrange) columns() {
	have := map[string]bool{}
	for i := range a.g.Nodes {
		n := &a.g.Nodes[i]
		have[n.Name] = true
		if n.LeftOver {
			a.left = append(a.left, n.Name)
			continue
		}
		c := column{node: n}
		for j := range n.Ports {
			p := &n.Ports[j]
			l := min(max(int(p.Layer), 0), 3)
			c.layers[l] = append(c.layers[l], p)
		}
		c.sortLayers()
		for l := range c.layers {
			if more := len(c.layers[l]) - maxLayer; more > 0 {
				c.layers[l], c.hidden[l] = c.layers[l][:maxLayer], more
			}
		}
		a.cols = append(a.cols, c)
	}
	for i := range a.g.Guests {
		if name := a.g.Guests[i].Node; !have[name] {
			have[name] = true
			a.cols = append(a.cols, column{node: &topology.Node{Name: name}})
		}
	}
}

// sortLayers puts each card below what it belongs to, so that the lines do not cross: bridges by name, then bonds and cards by
// their bridge, cards of vnets only to the right of these.
func (c *column) sortLayers() {
	const step = 1024 // more than a bridge has ports
	rank := map[string]int{}
	next := 0
	for _, layer := range []int{2, 1, 3, 0} {
		ports := c.layers[layer]
		at := func(p *topology.Port) int {
			if r, ok := rank[p.Name]; ok {
				return r
			}
			return 1 << 30
		}
		slices.SortStableFunc(ports, func(x, y *topology.Port) int {
			if d := at(x) - at(y); d != 0 {
				return d
			}
			return strings.Compare(x.Name, y.Name)
		})
		for _, p := range ports {
			base, ok := rank[p.Name]
			if !ok {
				base = next
				next += step
			}
			for j, o := range p.Over {
				if _, ok := rank[o]; !ok {
					rank[o] = base + min(j, step-1)
				}
			}
		}
	}
}

// fill decides what stands in which lane.
func (a *arrange) fill() {
	index := map[string]int{}
	for i := range a.g.Networks {
		index[a.g.Networks[i].ID] = i
		a.addLane(&a.g.Networks[i])
	}
	col := map[string]int{}
	for i := range a.cols {
		col[a.cols[i].node.Name] = i
		a.hosts(i, index)
	}
	us := units(a.g, a.o.GroupAbove)
	loose := -1
	far := make([][][]cell, len(a.lanes)) // by lane and column: after everything else
	for _, several := range []bool{false, true} {
		for i := range us {
			u := &us[i]
			c := col[u.guests[0].Node]
			if len(u.nets) > 1 != several {
				continue
			}
			home, ok := index[u.nets[0]]
			if !ok {
				if loose < 0 {
					loose = len(a.lanes)
					a.addLane(&topology.Network{ID: "not connected", Kind: "none"})
				}
				home = loose
			}
			a.lanes[home].cells[c] = append(a.lanes[home].cells[c], a.guestCell(u, u.nets[0]))
			if len(u.guests) > 1 {
				a.out.Groups++
				a.out.Grouped += len(u.guests)
			}
			if several {
				a.cols[c].wires = append(a.cols[c].wires, u.id)
			}
			for _, other := range u.nets[1:] {
				at := index[other]
				if far[at] == nil {
					far[at] = make([][]cell, len(a.cols))
				}
				far[at][c] = append(far[at][c], cell{id: fmt.Sprintf("%s-in-%d", u.id, at), from: u.id, class: "far", dots: dots(u, other),
					texts: farTexts(u), title: unitName(u) + " is in " + a.lanes[at].net.Title() + " as well"})
			}
		}
	}
	for l := range far {
		for c := range far[l] {
			a.lanes[l].cells[c] = append(a.lanes[l].cells[c], far[l][c]...)
		}
	}
}

func (a *arrange) addLane(n *topology.Network) {
	a.lanes = append(a.lanes, lane{net: n, cells: make([][]cell, len(a.cols)), hosts: make([][]cell, len(a.cols))})
}

// hosts puts the addresses of a node into its lanes, and notes the tracks.
func (a *arrange) hosts(i int, index map[string]int) {
	n := a.cols[i].node
	for layer := range a.cols[i].layers {
		for _, p := range a.cols[i].layers[layer] {
			at, ok := index[p.Network]
			if !ok || p.Network == "" {
				continue
			}
			l := &a.lanes[at]
			c := cell{id: fmt.Sprintf("host-%d-%s", i, p.Name), port: p, class: "host", title: n.Name + " in " + l.net.Title()}
			c.texts = append([]string{p.Name}, p.Addresses[:min(len(p.Addresses), 2)]...)
			if roles := usesOf(l.net, n.Name, p.Name); len(roles) > 0 {
				c.texts = append(c.texts, wrap(roles, " · ", hostW-2*pad)...)
				c.title += ": " + strings.Join(roles, ", ")
			}
			l.hosts[i] = append(l.hosts[i], c)
			a.cols[i].tracks = append(a.cols[i].tracks, track{p, layer, at})
		}
	}
	// the deepest lane has the leftmost track, so that no track crosses the end of another
	slices.SortStableFunc(a.cols[i].tracks, func(x, y track) int { return y.lane - x.lane })
}

// usesOf names what a node does in a network.
func usesOf(n *topology.Network, node, iface string) []string {
	var out []string
	for _, u := range n.Uses {
		word := map[topology.Role]string{topology.Management: "mgmt", topology.Corosync: "corosync " + strings.TrimPrefix(u.Detail, "link "), topology.Storage: "storage",
			topology.Migration: "migration", topology.CephPublic: "ceph", topology.CephCluster: "ceph", topology.Tunnel: "vxlan"}[u.Role]
		if u.Node == node && (u.Interface == iface || u.Interface == "") && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// farTexts is what stands in a further lane of a unit.
func farTexts(u *unit) []string {
	if len(u.guests) == 1 {
		if u.guests[0].ID < 0 {
			return []string{"↔ " + u.guests[0].Name}
		}
		return []string{"↔ " + itoa(u.guests[0].ID), u.guests[0].Name}
	}
	return []string{"↔ " + unitName(u)}
}

func unitName(u *unit) string {
	g := u.guests[0]
	if len(u.guests) == 1 {
		return g.Label()
	}
	return fmt.Sprintf("%d guests", len(u.guests))
}

// dots are the cards of a unit in a network; of the first guest, since all of a unit have the same states.
func dots(u *unit, network string) []Dot {
	var out []Dot
	for i := range u.guests[0].Cards {
		c := &u.guests[0].Cards[i]
		if c.Network != network && !slices.Contains(c.Trunk, network) {
			continue
		}
		if len(out) == maxDots {
			break
		}
		title := c.Key + ": " + string(c.Firewall.State)
		if c.Firewall.Missing != "" {
			title += ": " + c.Firewall.Missing
		}
		out = append(out, Dot{c.Firewall.State, title})
	}
	return out
}

const maxDots = 6

func (a *arrange) guestCell(u *unit, network string) cell {
	g := u.guests[0]
	c := cell{id: u.id, unit: u, class: "guest " + g.Kind, dots: dots(u, network)}
	kind := map[string]string{"lxc": "CT", "qemu": "VM", "vmware": "VMware"}[g.Kind]
	if g.Template {
		kind = "template"
		c.class += " template"
	}
	if len(u.guests) > 1 {
		c.class += " group"
		c.texts = []string{fmt.Sprintf("%d guests", len(u.guests)), groupRange(u)}
	} else {
		c.texts = []string{strings.TrimSpace(kind + " " + number(g)), g.Name}
	}
	c.title = u.describe()
	return c
}

// number is the VMID as a text; VMware guests have none.
func number(g *topology.Guest) string {
	if g.ID < 0 {
		return ""
	}
	return itoa(g.ID)
}

// groupRange says which guests a box of several holds: by their numbers, and those without by the first name.
func groupRange(u *unit) string {
	first, last := u.guests[0], u.guests[len(u.guests)-1]
	if first.ID < 0 {
		return first.Name + " …"
	}
	return fmt.Sprintf("%d … %d", first.ID, last.ID)
}

// describe says in words what a box of guests is, for those who cannot see the picture.
func (u *unit) describe() string {
	g := u.guests[0]
	var b strings.Builder
	if len(u.guests) == 1 {
		fmt.Fprintf(&b, "%s %s on %s", map[string]string{"lxc": "container", "qemu": "virtual machine", "vmware": "virtual machine"}[g.Kind], g.Label(), g.Node)
	} else {
		fmt.Fprintf(&b, "%d guests on %s:", len(u.guests), g.Node)
		for _, o := range u.guests[:min(len(u.guests), 12)] {
			if o.ID < 0 {
				b.WriteString(" " + o.Name)
			} else {
				fmt.Fprintf(&b, " %d", o.ID)
			}
		}
		if len(u.guests) > 12 {
			b.WriteString(" and more")
		}
	}
	for i := range g.Cards {
		c := &g.Cards[i]
		where := c.Bridge
		if where == "" {
			where = "no bridge"
		}
		fmt.Fprintf(&b, "; %s on %s", c.Key, where)
		if c.Tag > 0 {
			fmt.Fprintf(&b, " VLAN %d", c.Tag)
		}
		b.WriteString(", " + string(c.Firewall.State))
		if c.Firewall.Missing != "" {
			b.WriteString(": " + c.Firewall.Missing)
		}
	}
	return b.String()
}

func (a *arrange) describe() string {
	nodes, nets := len(a.cols), len(a.g.Networks)
	beside := ""
	for i := range a.cols {
		if a.cols[i].node.Foreign {
			nodes--
			beside = " and VMware"
		}
	}
	s := fmt.Sprintf("%d nodes"+beside+", %d networks, %d guests. Complexity: %s, %d points. %d findings are marked.", nodes, nets, len(a.g.Guests), a.g.Complexity.Class,
		a.g.Complexity.Points, len(a.g.Findings))
	if a.out.Groups > 0 {
		s += fmt.Sprintf(" %d guests are drawn together, boxes: %d.", a.out.Grouped, a.out.Groups)
	}
	return s
}
