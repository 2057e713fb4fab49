package draw

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// style holds the colours, as variables for light and dark: a page that embeds the picture may set them. Zones have a tint for
// surfaces and a stronger colour for lines.
const style = `
svg{--bg:#fff;--fg:#1b2430;--dim:#4b5563;--box:#fff;--edge:#8793a1;--node:#f4f6f8;--good:#1a7f37;--bad:#cf222e;--unk:#9a6700;--mark:#b42318;--marktext:#fff;--wire:#c2410c;
--management:#dbeafe;--cluster:#ede9fe;--storage:#fef3c7;--migration:#ccfbf1;--external:#fee2e2;--guest:#e9f5ec;--none:#eef0f2;
--management-line:#2563eb;--cluster-line:#7c3aed;--storage-line:#b45309;--migration-line:#0f766e;--external-line:#dc2626;--guest-line:#2f855a;--none-line:#6b7280;
background:var(--bg);font-family:system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;font-size:12px;color-scheme:light dark}
@media (prefers-color-scheme:dark){svg{--bg:#0f1419;--fg:#e6e9ee;--dim:#a9b4c0;--box:#1a222c;--edge:#5b6775;--node:#151c24;--good:#4ac26b;--bad:#ff7b72;--unk:#d4a72c;--mark:#b62324;--wire:#fb923c;
--management:#14304f;--cluster:#2c2350;--storage:#3d3210;--migration:#0f3a37;--external:#47191b;--guest:#15281c;--none:#1d242c;
--management-line:#60a5fa;--cluster-line:#a78bfa;--storage-line:#fbbf24;--migration-line:#2dd4bf;--external-line:#f87171;--guest-line:#5fb884;--none-line:#9ca3af}}
text{fill:var(--fg)}.small{fill:var(--dim);font-size:11px}.name{font-weight:700;font-size:12px}.head{font-weight:700;font-size:15px}.title{font-weight:700;font-size:20px}
rect{fill:var(--box);stroke:var(--edge)}.node>rect{fill:var(--node)}.lane>rect{stroke:none}.label>rect,.layer>rect{stroke:none;fill:none}
.notes>rect{fill:none;stroke:var(--edge)}.host>rect{stroke-width:1.5;stroke:var(--fg)}.group>rect{stroke-width:3}.template>rect,.far>rect{stroke-dasharray:4 3}.lxc>rect{rx:14px}
path{fill:none;stroke:var(--edge);stroke-width:1.6}.wire path,path.wire{stroke:var(--wire);stroke-width:2}.rule{stroke:var(--edge);stroke-width:1;stroke-dasharray:2 5}
.filtered{fill:var(--good);stroke:none}rect.unfiltered{fill:var(--bad);stroke:none;rx:1px}.unknown{fill:none;stroke:var(--unk);stroke-width:2}
rect.badge{fill:var(--mark);stroke:none;rx:5px}.badgetext{fill:var(--marktext);font-size:10px;font-weight:700}
`

// zoneStyle gives each zone its colours.
func zoneStyle() string {
	var b strings.Builder
	for _, z := range []string{"management", "cluster", "storage", "migration", "external", "guest", "none"} {
		fmt.Fprintf(&b, ".lane.zone-%[1]s>rect,.key.zone-%[1]s>rect{fill:var(--%[1]s)}.key.zone-%[1]s>rect{stroke:var(--%[1]s-line)}.track.zone-%[1]s path{stroke:var(--%[1]s-line)}rect.path-%[1]s{fill:var(--%[1]s-line);stroke:none;rx:1px}\n", z)
	}
	return b.String()
}

// escape makes a text fit for XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(s))) // writing to a Builder does not fail
	return b.String()
}

// WriteSVG writes the picture. Every element has a title for those who cannot see it.
func (l *Layout) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="graphics-document" aria-labelledby="map-title map-desc">`+"\n", l.W, l.H, l.W, l.H)
	fmt.Fprintf(b, "<title id=\"map-title\">%s</title>\n<desc id=\"map-desc\">%s</desc>\n<style>%s%s</style>\n", escape(l.Title), escape(l.Desc), style, zoneStyle())
	fmt.Fprintf(b, "<rect width=\"%d\" height=\"%d\" style=\"fill:var(--bg);stroke:none\"/>\n", l.W, l.H)
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"44\">%s</text>\n<text class=\"small\" x=\"%d\" y=\"68\">%s</text>\n", margin, escape(fit(l.Title, "title", l.W-2*margin)), margin,
		escape(fit(l.Desc, "small", l.W-2*margin)))
	below := func(class string) bool { return strings.HasPrefix(class, "lane") || class == "node" }
	for i := range l.Boxes {
		if below(l.Boxes[i].Class) {
			l.Boxes[i].write(b)
		}
	}
	for _, x := range l.Rules {
		fmt.Fprintf(b, "<path class=\"rule\" d=\"M%d %dV%d\"/>\n", x, l.Top, l.Bottom)
	}
	for i := range l.Lines {
		l.Lines[i].write(b)
	}
	for i := range l.Boxes {
		if !below(l.Boxes[i].Class) {
			l.Boxes[i].write(b)
		}
	}
	_, _ = b.WriteString("</svg>\n") // Flush tells
	if err := b.Flush(); err != nil {
		return fmt.Errorf("cannot write the picture: %w", err)
	}
	return nil
}

func (x *Box) write(b *bufio.Writer) {
	title := x.Title
	if len(x.Marks) > 0 {
		title += "; findings: " + strings.Join(x.Marks, ", ")
	}
	fmt.Fprintf(b, "<g class=\"%s\" role=\"group\" aria-label=\"%s\"><title>%s</title>", escape(x.Class), escape(title), escape(title))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="5"/>`, x.X, x.Y, x.W, x.H)
	x.sample(b)
	for i, z := range x.Paths {
		w := (x.W - 12) / len(x.Paths)
		fmt.Fprintf(b, `<rect class="path-%s" x="%d" y="%d" width="%d" height="4"/>`, z, x.X+6+i*w, x.Y+x.H-6, w-1)
	}
	for _, t := range x.Texts {
		if t.S != "" {
			fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`, t.Class, t.X, t.Y, escape(t.S))
		}
	}
	x.writeBadge(b)
	for i, d := range x.Dots {
		sign(b, d.State, x.X+x.W-9-(len(x.Dots)-1-i)*dotW, x.Y+14, d.Title)
	}
	_, _ = b.WriteString("</g>\n") // Flush tells
}

// writeBadge puts the marks on the upper edge, or inside where there is nothing above.
func (x *Box) writeBadge(b *bufio.Writer) {
	if len(x.Marks) == 0 {
		return
	}
	w := badgeWidth(x.Marks)
	left, top := x.X+x.W-w-3, x.Y-8
	if x.Class == "node" || strings.HasPrefix(x.Class, "label") {
		left, top = left-3, x.Y+6
	}
	fmt.Fprintf(b, `<rect class="badge" x="%d" y="%d" width="%d" height="14" rx="5"/><text class="badgetext" x="%d" y="%d">%s</text>`, left, top, w, left+6, top+11, escape(badge(x.Marks)))
}

// sign shows the state of a card by colour and by form.
func sign(b *bufio.Writer, s topology.Filtering, x, y int, title string) {
	if title != "" {
		title = "<title>" + escape(title) + "</title>"
	}
	switch s {
	case topology.Filtered:
		fmt.Fprintf(b, `<circle class="filtered" cx="%d" cy="%d" r="4">%s</circle>`, x, y, title)
	case topology.Unfiltered:
		fmt.Fprintf(b, `<rect class="unfiltered" x="%d" y="%d" width="8" height="8">%s</rect>`, x-4, y-4, title)
	default:
		fmt.Fprintf(b, `<circle class="unknown" cx="%d" cy="%d" r="3">%s</circle>`, x, y, title)
	}
}

// sample is the sign that an entry of the legend explains.
func (x *Box) sample(b *bufio.Writer) {
	kind, ok := strings.CutPrefix(x.Class, "key ")
	if !ok {
		return
	}
	switch kind {
	case "dot-filtered", "dot-unfiltered", "dot-unknown":
		sign(b, topology.Filtering(strings.TrimPrefix(kind, "dot-")), x.X+16, x.Y+13, "")
	case "key-mark":
		fmt.Fprintf(b, `<rect class="badge" x="%d" y="%d" width="14" height="14" rx="5"/>`, x.X+8, x.Y+6)
	case "key-wire":
		fmt.Fprintf(b, `<path class="wire" d="M%d %dh16"/>`, x.X+8, x.Y+13)
	default:
		if z, ok := strings.CutPrefix(kind, "zone-"); ok {
			fmt.Fprintf(b, `<path d="M%d %dh16" style="stroke:var(--%s-line);stroke-width:4"/>`, x.X+8, x.Y+13, z)
		}
	}
}

func (l *Line) write(b *bufio.Writer) {
	fmt.Fprintf(b, "<g class=\"%s\" role=\"group\" aria-label=\"%s\"><title>%s</title><path d=\"", escape(l.Class), escape(l.Title), escape(l.Title))
	for i, p := range l.Points {
		fmt.Fprintf(b, "%s%d %d", map[bool]string{true: "M", false: "L"}[i == 0], p[0], p[1])
	}
	_, _ = b.WriteString("\"/></g>\n") // Flush tells
}
