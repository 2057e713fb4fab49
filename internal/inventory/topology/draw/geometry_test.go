package draw_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/topology"
	"github.com/castellan-project/castellan/internal/inventory/topology/draw"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func estate(t testing.TB) *topology.Graph {
	t.Helper()
	r, err := host.OpenDir("../../../../examples/estate")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := inventory.Read(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	return topology.Build(c, topology.Options{})
}

func inside(in, out *draw.Box) bool {
	return in.X >= out.X && in.Y >= out.Y && in.X+in.W <= out.X+out.W && in.Y+in.H <= out.Y+out.H
}

// checkGeometry requires what makes a picture readable: boxes do not overlap, writing stays in its box, lines end at their boxes
// and run over no other.
func checkGeometry(t fataler, l *draw.Layout) {
	t.Helper()
	at := map[string]*draw.Box{}
	for i := range l.Boxes {
		b := &l.Boxes[i]
		if at[b.ID] != nil {
			t.Fatalf("two boxes are called %s", b.ID)
		}
		at[b.ID] = b
	}
	whole := &draw.Box{W: l.W, H: l.H}
	for i := range l.Boxes {
		b := &l.Boxes[i]
		out := whole
		if b.Parent != "" {
			if out = at[b.Parent]; out == nil {
				t.Fatalf("%s lies in %s, which is not there", b.ID, b.Parent)
			}
		}
		if !inside(b, out) || b.W <= 0 || b.H <= 0 {
			t.Fatalf("%s (%d %d %d %d) is not within %q (%d %d %d %d)", b.ID, b.X, b.Y, b.W, b.H, b.Parent, out.X, out.Y, out.W, out.H)
		}
		for j := range l.Boxes[:i] {
			o := &l.Boxes[j]
			if o.Parent == b.Parent && b.X < o.X+o.W && o.X < b.X+b.W && b.Y < o.Y+o.H && o.Y < b.Y+b.H {
				t.Fatalf("%s (%d %d %d %d) and %s (%d %d %d %d) overlap", b.ID, b.X, b.Y, b.W, b.H, o.ID, o.X, o.Y, o.W, o.H)
			}
		}
		checkTexts(t, b)
	}
	for i := range l.Lines {
		checkLine(t, l, &l.Lines[i], at)
	}
}

func checkTexts(t fataler, b *draw.Box) {
	t.Helper()
	for i, x := range b.Texts {
		right := b.X + b.W
		if i == 0 {
			right -= len(b.Dots) * draw.DotW
		}
		if x.X < b.X || x.X+draw.TextWidth(x.S, x.Class) > right || x.Y-8 < b.Y || x.Y+3 > b.Y+b.H {
			t.Fatalf("%q at %d %d leaves its box %s (%d %d %d %d)", x.S, x.X, x.Y, b.ID, b.X, b.Y, b.W, b.H)
		}
	}
}

func onEdge(p [2]int, b *draw.Box) bool {
	x, y := p[0], p[1]
	if x < b.X || x > b.X+b.W || y < b.Y || y > b.Y+b.H {
		return false
	}
	return x == b.X || x == b.X+b.W || y == b.Y || y == b.Y+b.H
}

func checkLine(t fataler, l *draw.Layout, line *draw.Line, at map[string]*draw.Box) {
	t.Helper()
	from, to := at[line.From], at[line.To]
	if from == nil || to == nil {
		t.Fatalf("a line leads from %s to %s", line.From, line.To)
	}
	p := line.Points
	if len(p) < 2 || !onEdge(p[0], from) || !onEdge(p[len(p)-1], to) {
		t.Fatalf("the %s from %s to %s does not end at its boxes: %v", line.Class, line.From, line.To, p)
	}
	for i := range p[1:] {
		x1, x2, y1, y2 := min(p[i][0], p[i+1][0]), max(p[i][0], p[i+1][0]), min(p[i][1], p[i+1][1]), max(p[i][1], p[i+1][1])
		if x1 != x2 && y1 != y2 {
			t.Fatalf("the %s from %s to %s is not upright: %v", line.Class, line.From, line.To, p)
		}
		for j := range l.Boxes {
			b := &l.Boxes[j]
			if b.Class == "node" || strings.HasPrefix(b.Class, "lane") {
				continue
			}
			if x1 < b.X+b.W && x2 > b.X && y1 < b.Y+b.H && y2 > b.Y {
				t.Fatalf("the %s from %s to %s runs over %s (%d %d %d %d): %v", line.Class, line.From, line.To, b.ID, b.X, b.Y, b.W, b.H, p)
			}
		}
	}
}

func svg(t fataler, l *draw.Layout) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.WriteSVG(&b); err != nil {
		t.Fatalf("%v", err)
	}
	return b.Bytes()
}

func checkXML(t fataler, b []byte) {
	t.Helper()
	if !utf8.Valid(b) {
		t.Fatalf("the picture is not UTF-8")
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the picture is not well-formed: %v", err)
		}
	}
}

// checkGuests requires that every guest is in exactly one box, and that boxes of several say of how many.
func checkGuests(t fataler, g *topology.Graph, l *draw.Layout) {
	t.Helper()
	drawn, grouped, groups := 0, 0, 0
	for i := range l.Boxes {
		b := &l.Boxes[i]
		if !strings.HasPrefix(b.Class, "guest") {
			continue
		}
		n := 1
		if strings.HasSuffix(b.Class, " group") {
			if _, err := fmt.Sscanf(b.Texts[0].S, "%d guests", &n); err != nil {
				t.Fatalf("a box of several guests says %q", b.Texts[0].S)
			}
			groups++
			grouped += n
		}
		drawn += n
	}
	if drawn != len(g.Guests) || groups != l.Groups || grouped != l.Grouped {
		t.Fatalf("%d of %d guests are drawn; %d in %d groups, said are %d in %d", drawn, len(g.Guests), grouped, groups, l.Grouped, l.Groups)
	}
}

func TestEstate(t *testing.T) {
	g := estate(t)
	l := draw.Arrange(g, draw.Options{})
	checkGeometry(t, l)
	checkGuests(t, g, l)
	b := svg(t, l)
	checkXML(t, b)
	if l.W > 2000 {
		t.Errorf("three nodes and 25 guests are %d pixels wide", l.W)
	}
	if !bytes.Equal(b, svg(t, draw.Arrange(estate(t), draw.Options{}))) {
		t.Error("two pictures of the same cluster differ")
	}
	for _, want := range []string{"prefers-color-scheme:dark", "Network map of cluster harbour", `role="graphics-document"`, "pve0 is left over", ">NET-01<", "unfiltered card",
		"virtual machine 100 gw1 on pve1", "FW-", "gateway 10.10.10.1"} {
		if want != "FW-" && !bytes.Contains(b, []byte(want)) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	for i := range l.Boxes {
		if l.Boxes[i].Class == "node" && strings.Contains(l.Boxes[i].Title, "pve0") {
			t.Error("a node that is left over has a column")
		}
		if l.Boxes[i].Title == "" {
			t.Errorf("%s has no text for those who do not see it", l.Boxes[i].ID)
		}
	}
	if l := draw.Arrange(g, draw.Options{NoFindings: true}); bytes.Contains(svg(t, l), []byte(">NET-01<")) {
		t.Error("findings are marked although they were not wanted")
	}
}

func TestEstateGrouped(t *testing.T) {
	g := estate(t)
	l := draw.Arrange(g, draw.Options{GroupAbove: 1})
	checkGeometry(t, l)
	checkGuests(t, g, l)
	if l.Groups == 0 || !strings.Contains(l.Desc, fmt.Sprintf("%d guests are drawn together, boxes: %d", l.Grouped, l.Groups)) {
		t.Errorf("%d groups: %s", l.Groups, l.Desc)
	}
}

// hostile are names that come from people who want to break the picture, or who write in another script.
var hostile = []string{"web", "a-very-long-name-of-a-machine-that-nobody-can-read", "データベース会社の機械番号一", "</text><script>alert(1)</script>", "\"'&<>", "\x00\x01\x1b[31m", "\xff\xfe", "\u202egnp.exe",
	"]]>", "WWWWWWWWWWWWWWWWWWWWWWWW", "😀😀😀😀😀😀😀😀😀😀😀😀", "\ufffe\uffff", "", "mmmmmmmmmmmmmmmmmm"}

func genInterfaces(t *rapid.T, node int) string {
	var b strings.Builder
	cards := rapid.IntRange(0, 9).Draw(t, "cards")
	if rapid.IntRange(0, 30).Draw(t, "many") == 0 {
		cards = 40
	}
	for i := range cards {
		fmt.Fprintf(&b, "iface eno%d inet manual\n", i)
		if rapid.IntRange(0, 4).Draw(t, "own") == 0 {
			fmt.Fprintf(&b, "iface eno%d inet static\n\taddress 10.9.%d.%d/24\n", i, i, node+1)
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "bonds") {
		fmt.Fprintf(&b, "iface bond%d inet manual\n\tbond-slaves eno%d eno%d\n\tbond-mode 802.3ad\n", i, 2*i, 2*i+1)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "bridges") {
		port := rapid.SampledFrom([]string{"none", "bond0", "bond1", "eno0", "eno5", "bond0.40", "vmbr0", "vmbr1", "eno7 eno8", "vmbr3.7"}).Draw(t, "port")
		fmt.Fprintf(&b, "iface vmbr%d inet static\n\tbridge-ports %s\n", i, port)
		if rapid.Bool().Draw(t, "address") {
			fmt.Fprintf(&b, "\taddress 10.0.%d.%d/24\n\tgateway 10.0.%d.254\n", rapid.IntRange(0, 3).Draw(t, "subnet"), node+1, i)
		}
		if rapid.Bool().Draw(t, "aware") {
			b.WriteString("\tbridge-vlan-aware yes\n\tbridge-vids 2-4094\n\tmtu 9000\n")
		}
		if rapid.Bool().Draw(t, "vlan") {
			fmt.Fprintf(&b, "iface vmbr%d.%d inet static\n\taddress 10.7.%d.%d/24\n", i, 10+i, i, node+1)
		}
	}
	return b.String()
}

func genCluster(t *rapid.T) *inventory.Cluster {
	m := &host.Memory{Files: map[string][]byte{"/etc/hostname": []byte("pve1\n")}}
	nodes := rapid.IntRange(1, 4).Draw(t, "nodes")
	for i := range nodes {
		m.Dirs = append(m.Dirs, fmt.Sprintf("/etc/pve/nodes/pve%d", i+1))
	}
	for id := range rapid.IntRange(0, 20).Draw(t, "guests") {
		var b strings.Builder
		kind, name := "qemu-server", "name"
		if rapid.Bool().Draw(t, "container") {
			kind, name = "lxc", "hostname"
		}
		fmt.Fprintf(&b, "%s: %s\n", name, rapid.SampledFrom(hostile).Draw(t, "name"))
		for k := range rapid.IntRange(0, 9).Draw(t, "nics") {
			bridge := rapid.SampledFrom([]string{",bridge=vmbr0", ",bridge=vmbr1", ",bridge=vmbr2", ",bridge=lab", ",bridge=</g>", ""}).Draw(t, "bridge")
			tag := rapid.SampledFrom([]string{"", "", ",tag=10", ",tag=20", ",tag=10,trunks=20;30", ",trunks=2-4094"}).Draw(t, "tag")
			model := "virtio=BC:24:11:00:00:01"
			if kind == "lxc" {
				model = fmt.Sprintf("name=eth%d", k)
			}
			fmt.Fprintf(&b, "net%d: %s%s%s\n", k, model, bridge, tag)
		}
		m.Files[fmt.Sprintf("/etc/pve/nodes/pve%d/%s/%d.conf", rapid.IntRange(1, nodes+1).Draw(t, "on"), kind, 100+id)] = []byte(b.String())
	}
	if rapid.Bool().Draw(t, "sdn") {
		m.Files["/etc/pve/sdn/zones.cfg"] = []byte("vxlan: z\n\tpeers 10.0.0.1 10.0.0.2\n\nvlan: v\n\tbridge vmbr0\n\nsimple: s\n")
		m.Files["/etc/pve/sdn/vnets.cfg"] = []byte("vnet: lab\n\tzone z\n\ttag 5\n\nvnet: two\n\tzone v\n\ttag 20\n\nvnet: three\n\tzone s\n\talias </text>\n")
	}
	c, err := inventory.Read(m, 9)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i, n := range c.Nodes {
		if rapid.IntRange(0, 5).Draw(t, "unknown") > 0 {
			cfg, problems := netcfg.Parse([]byte(genInterfaces(t, i)), nil)
			n.Network = inventory.File[*netcfg.Config]{Path: "/etc/network/interfaces", Value: cfg, Problems: problems}
		}
	}
	return c
}

func genVMware(t *rapid.T) []topology.Foreign {
	var out []topology.Foreign
	for range rapid.IntRange(0, 9).Draw(t, "vmware") {
		f := topology.Foreign{Name: rapid.SampledFrom(hostile).Draw(t, "name")}
		for k := range rapid.IntRange(0, 4).Draw(t, "cards") {
			f.Cards = append(f.Cards, topology.ForeignCard{Name: fmt.Sprintf("ethernet%d", k), Connected: rapid.Bool().Draw(t, "connected"),
				Network: rapid.SampledFrom(append([]string{"", "dmz", "servers", "vmbr0"}, hostile...)).Draw(t, "portgroup")})
		}
		out = append(out, f)
	}
	return out
}

func TestAnyCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genCluster(t)
		states := map[topology.CardID]topology.Firewall{}
		for _, g := range c.Guests {
			for k := range rapid.IntRange(0, 4).Draw(t, "states") {
				states[topology.CardID{Guest: g.ID, Key: fmt.Sprintf("net%d", k)}] = topology.Firewall{
					State: rapid.SampledFrom([]topology.Filtering{topology.Filtered, topology.Unfiltered, topology.Unsaid, "<"}).Draw(t, "state")}
			}
		}
		g := topology.Build(c, topology.Options{Firewall: states})
		vmware := genVMware(t)
		g.AddVMware(vmware)
		o := draw.Options{GroupAbove: rapid.SampledFrom([]int{0, 1, 5}).Draw(t, "above")}
		l := draw.Arrange(g, o)
		checkGeometry(t, l)
		checkGuests(t, g, l)
		b := svg(t, l)
		checkXML(t, b)
		g = topology.Build(c, topology.Options{Firewall: states})
		g.AddVMware(vmware)
		if again := svg(t, draw.Arrange(g, o)); !bytes.Equal(b, again) {
			t.Fatalf("two pictures of the same cluster differ")
		}
	})
}

func TestNothing(t *testing.T) {
	l := draw.Arrange(topology.Build(&inventory.Cluster{}, topology.Options{}), draw.Options{})
	checkGeometry(t, l)
	checkXML(t, svg(t, l))
}
