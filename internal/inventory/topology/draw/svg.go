package draw

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/topology"
)

// style holds the colours, as variables for light and dark: a page that embeds the picture may set them.
const style = `
svg{--bg:#fff;--fg:#1b2430;--dim:#57616e;--box:#fff;--edge:#8793a1;--node:#f4f6f8;--good:#1a7f37;--bad:#cf222e;--unk:#9a6700;--mark:#cf222e;--marktext:#fff;
--management:#dbeafe;--cluster:#ede9fe;--storage:#fef3c7;--migration:#ccfbf1;--external:#fee2e2;--guest:#e7f6e9;--none:#eef0f2;--wire:#c2410c;
background:var(--bg);font-family:system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;font-size:12px;color-scheme:light dark}
@media (prefers-color-scheme:dark){svg{--bg:#0f1419;--fg:#e6e9ee;--dim:#9aa5b1;--box:#1a222c;--edge:#5b6775;--node:#151c24;--good:#4ac26b;--bad:#ff7b72;--unk:#d4a72c;
--mark:#b62324;--management:#14304f;--cluster:#2c2350;--storage:#3d3210;--migration:#0f3a37;--external:#47191b;--guest:#15301c;--none:#1d242c;--wire:#fb923c}}
text{fill:var(--fg)}.small{fill:var(--dim);font-size:11px}.name{font-weight:600;font-size:12px}.head{font-weight:700;font-size:15px}.title{font-weight:700;font-size:20px}
rect{fill:var(--box);stroke:var(--edge)}.node>rect{fill:var(--node);rx:10}.lane>rect{stroke:none;opacity:.85}.label>rect{stroke:none;fill-opacity:0}.layer>rect{stroke:none;fill:none}
.zone-management>rect{fill:var(--management)}.zone-cluster>rect{fill:var(--cluster)}.zone-storage>rect{fill:var(--storage)}.zone-migration>rect{fill:var(--migration)}
.zone-external>rect{fill:var(--external)}.zone-guest>rect{fill:var(--guest)}.zone-none>rect{fill:var(--none)}
.host>rect{stroke-width:1.5;stroke:var(--fg)}.group>rect{stroke-width:2.5}.template>rect,.far>rect{stroke-dasharray:4 3}.lxc>rect{rx:14}.key>rect{stroke:var(--edge)}
path{fill:none;stroke:var(--edge);stroke-width:1.6}.track path{stroke:var(--dim)}.wire path{stroke:var(--wire);stroke-width:1.8}
.filtered{fill:var(--good)}.unfiltered{fill:var(--bad)}.unknown{fill:var(--unk)}.badge{fill:var(--mark);stroke:none}.badgetext{fill:var(--marktext);font-size:10px;font-weight:700}
`

// escape makes a text fit for XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(s))) // writing to a Builder does not fail
	return b.String()
}

// WriteSVG writes the picture. Every element has a title for those who cannot see it.
func (l *Layout) WriteSVG(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="map-title map-desc">`+"\n", l.W, l.H, l.W, l.H)
	fmt.Fprintf(b, "<title id=\"map-title\">%s</title>\n<desc id=\"map-desc\">%s</desc>\n<style>%s</style>\n", escape(l.Title), escape(l.Desc), style)
	fmt.Fprintf(b, "<rect width=\"%d\" height=\"%d\" style=\"fill:var(--bg);stroke:none\"/>\n", l.W, l.H)
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"40\">%s</text>\n<text class=\"small\" x=\"%d\" y=\"62\">%s</text>\n", margin, escape(l.Title), margin, escape(fit(l.Desc, l.W-2*margin)))
	for _, class := range []string{"lane", "node"} {
		for i := range l.Boxes {
			if strings.HasPrefix(l.Boxes[i].Class, class) {
				l.Boxes[i].write(b)
			}
		}
	}
	for i := range l.Lines {
		l.Lines[i].write(b)
	}
	for i := range l.Boxes {
		if c := l.Boxes[i].Class; !strings.HasPrefix(c, "lane") && !strings.HasPrefix(c, "node") {
			l.Boxes[i].write(b)
		}
	}
	b.WriteString("</svg>\n")
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
	if sample, ok := strings.CutPrefix(x.Class, "key dot-"); ok {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="5"/><circle class="%s" cx="%d" cy="%d" r="4.5"/>`, x.X, x.Y, x.W, x.H, sample, x.X+12, x.Y+13)
	} else {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="5"/>`, x.X, x.Y, x.W, x.H)
	}
	if x.Class == "key key-mark" {
		fmt.Fprintf(b, `<rect class="badge" x="%d" y="%d" width="12" height="12" rx="4"/>`, x.X+6, x.Y+7)
	}
	for _, t := range x.Texts {
		if t.S != "" {
			fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`, t.Class, t.X, t.Y, escape(t.S))
		}
	}
	right := x.X + x.W - 4
	if len(x.Marks) > 0 {
		w := badgeWidth(x.Marks) - 2
		fmt.Fprintf(b, `<rect class="badge" x="%d" y="%d" width="%d" height="15" rx="5"/><text class="badgetext" x="%d" y="%d">%s</text>`, right-w, x.Y+4, w, right-w+5, x.Y+15, escape(badge(x.Marks)))
		right -= w + 3
	}
	for i, d := range x.Dots {
		if d != topology.Filtered && d != topology.Unfiltered {
			d = topology.Unsaid
		}
		fmt.Fprintf(b, `<circle class="%s" cx="%d" cy="%d" r="3.5"/>`, d, right-5-(len(x.Dots)-1-i)*9, x.Y+11)
	}
	b.WriteString("</g>\n")
}

func (l *Line) write(b *bufio.Writer) {
	fmt.Fprintf(b, "<g class=\"%s\" role=\"group\" aria-label=\"%s\"><title>%s</title><path d=\"", l.Class, escape(l.Title), escape(l.Title))
	for i, p := range l.Points {
		fmt.Fprintf(b, "%s%d %d", map[bool]string{true: "M", false: "L"}[i == 0], p[0], p[1])
	}
	b.WriteString("\"/></g>\n")
}
