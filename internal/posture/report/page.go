package report

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/castellan-project/castellan/internal/posture"
)

// ink is the role of a piece of text. Roles have the sixteen colours of the terminal's own theme, so that they are
// readable on light and dark grounds alike.
type ink int

const (
	inkPlain ink = iota
	inkStrong
	inkFaint
	inkCritical
	inkBad
	inkWarn
	inkNote
	inkUnknown
	inkGood
)

func (k ink) style() lipgloss.Style {
	s := lipgloss.NewStyle()
	switch k {
	case inkStrong:
		return s.Bold(true)
	case inkFaint:
		return s.Faint(true)
	case inkCritical:
		return s.Bold(true).Foreground(lipgloss.Red)
	case inkBad:
		return s.Foreground(lipgloss.Red)
	case inkWarn:
		return s.Foreground(lipgloss.Yellow)
	case inkNote:
		return s.Foreground(lipgloss.Cyan)
	case inkUnknown:
		return s.Foreground(lipgloss.Magenta)
	case inkGood:
		return s.Foreground(lipgloss.Green)
	}
	return s
}

// severityInk is the role of a severity.
func severityInk(s posture.Severity) ink {
	switch s {
	case posture.Critical:
		return inkCritical
	case posture.High:
		return inkBad
	case posture.Medium:
		return inkWarn
	case posture.Low:
		return inkNote
	}
	return inkFaint
}

// gradeInk is the role of a grade.
func gradeInk(grade string) ink {
	switch grade {
	case "A", "B":
		return inkGood
	case "C", "D":
		return inkWarn
	}
	return inkBad
}

// span is a piece of a line in one role. Its text holds no control characters: see oneLine.
type span struct {
	text string
	ink  ink
}

func plainSpan(s string) span  { return span{s, inkPlain} }
func strongSpan(s string) span { return span{s, inkStrong} }
func faintSpan(s string) span  { return span{s, inkFaint} }

// page collects lines, none of which is wider than width: whatever is put on it is cut here at the latest.
type page struct {
	buf   bytes.Buffer
	width int
	color bool
}

// put adds one line, cut with an ellipsis where it does not fit.
func (p *page) put(spans ...span) {
	total := 0
	for _, s := range spans {
		total += cells(s.text)
	}
	left := p.width
	var line strings.Builder
	for _, s := range spans {
		n := cells(s.text)
		if total > p.width && n >= left {
			// The last span of which something fits.
			p.write(&line, span{strings.TrimRight(prefix(s.text, left-1), " ") + "…", s.ink})
			break
		}
		p.write(&line, s)
		left -= n
	}
	text := line.String()
	if !p.color {
		text = strings.TrimRight(text, " ")
	}
	p.buf.WriteString(text)
	p.buf.WriteByte('\n')
}

func (p *page) write(b *strings.Builder, s span) {
	if !p.color || s.ink == inkPlain || strings.TrimSpace(s.text) == "" {
		b.WriteString(s.text)
		return
	}
	b.WriteString(s.ink.style().Render(s.text))
}

// blank adds an empty line.
func (p *page) blank() { p.buf.WriteByte('\n') }

// ends adds a line with one text at its left and one at its right end. The left one is cut where both do not fit.
func (p *page) ends(left, right span) {
	room := p.width - cells(right.text) - 1
	if room < 1 {
		p.put(left)
		return
	}
	left.text = cut(left.text, room)
	gap := strings.Repeat(" ", p.width-cells(left.text)-cells(right.text))
	p.put(left, plainSpan(gap), right)
}

// paragraph adds a text, broken between words, behind a label that stands on its first line only.
func (p *page) paragraph(label span, text string, k ink) {
	indent := cells(label.text)
	pad := plainSpan(strings.Repeat(" ", indent))
	for i, l := range wrap(text, p.width-indent) {
		head := pad
		if i == 0 {
			head = label
		}
		p.put(head, span{l, k})
	}
}

// cells is the width of a text on a terminal. Programs and terminals do not agree about sequences of code points
// that form one character; the larger answer is the safe one.
func cells(s string) int { return max(ansi.StringWidth(s), ansi.StringWidthWc(s)) }

// cut shortens a text to at most width cells, the last of them an ellipsis where something was left out.
func cut(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return strings.TrimRight(prefix(s, width-1), " ") + "…"
}

// prefix is a beginning of s that takes at most width cells: as many code points as fit when each stands alone.
func prefix(s string, width int) string {
	end, used := 0, 0
	for i, r := range s {
		one := s[i : i+utf8.RuneLen(r)]
		used += cells(one)
		if used > width {
			break
		}
		end = i + len(one)
	}
	return s[:end]
}

// pad fills a text with blanks to width cells, and cuts it to them.
func pad(s string, width int) string {
	s = cut(s, width)
	return s + strings.Repeat(" ", max(0, width-cells(s)))
}

// maxWrapped is the longest text, in bytes, that is broken into lines: some forty lines. What is longer belongs into
// the other formats.
const maxWrapped = 3000

// wrap breaks a text into lines of at most width cells, between words where it can. Line ends of the text stay.
func wrap(s string, width int) []string {
	width = max(width, 2) // a wide character must fit
	var out []string
	for _, para := range strings.Split(clip(s, maxWrapped), "\n") {
		line := ""
		for _, word := range strings.Fields(para) {
			switch {
			case line == "":
				line = word
			case cells(line)+1+cells(word) <= width:
				line += " " + word
				continue
			default:
				out = append(out, line)
				line = word
			}
			for cells(line) > width {
				head := breakable(prefix(line, width))
				out = append(out, head)
				line = line[len(head):]
			}
		}
		out = append(out, line)
	}
	return out
}

// breakable shortens the beginning of a long word to where a reader would break it, if that is not too far back:
// after punctuation, as in lists and paths.
func breakable(head string) string {
	if i := strings.LastIndexAny(head, ",;/&|") + 1; i > len(head)/2 {
		return head[:i]
	}
	return head
}
