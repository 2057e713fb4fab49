package draw

import (
	"strings"
	"unicode/utf8"
)

// font is how a class of text looks; the style sheet says the same.
type font struct {
	size int
	bold bool
}

func fontOf(class string) font {
	switch class {
	case "title":
		return font{20, true}
	case "head":
		return font{15, true}
	case "name":
		return font{12, true}
	case "badgetext":
		return font{10, true}
	}
	return font{11, false}
}

// textWidth is the width in pixels that a text may need. It goes by DejaVu Sans, the widest of the usual fonts, because nobody knows which
// one the reader has.
func textWidth(s, class string) int {
	total := 0
	for _, r := range s {
		total += advance(r)
	}
	return scaled(total, class)
}

// scaled is the width in pixels of so many hundredths of the size.
func scaled(total int, class string) int {
	f := fontOf(class)
	if !f.bold {
		total = total * 9 / 10
	}
	return (total*f.size + 99) / 100
}

// advance is the width of a glyph in hundredths of the size, bold.
func advance(r rune) int {
	switch {
	case r >= 0x300 && r <= 0x36f: // combining marks
		return 10
	case r >= 0x1100:
		if r >= 0x2010 && r <= 0x2027 { // dashes, dots
			return 100
		}
		return 130 // CJK and emoji: a square
	case r >= 0x80:
		if r == '·' {
			return 40
		}
		return 100
	case strings.ContainsRune("iljI.,:;'|!` ", r):
		return 40
	case strings.ContainsRune("ftr()[]{}/\\-\"", r):
		return 52
	case strings.ContainsRune("mwMW@%", r):
		return 112
	case strings.ContainsRune("GOQDHNU&+<>=~#^", r):
		return 86
	case r >= 'A' && r <= 'Z':
		return 78
	}
	return 71
}

// fit cuts a text to a width in pixels.
func fit(s, class string, width int) string {
	if len(s) > maxText {
		s = s[:maxText] // no box is wide enough for that many
	}
	s = clean(s)
	if textWidth(s, class) <= width {
		return s
	}
	const dots = '…'
	total, end := advance(dots), 0
	for i, r := range s {
		if total += advance(r); scaled(total, class) > width {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	if end == 0 {
		return ""
	}
	return strings.TrimRight(s[:end], " ") + string(dots)
}

// maxText is the length in bytes above which a text is cut before it is measured.
const maxText = 2000

// clean replaces what XML does not allow or what would draw over its surroundings: control characters, and those that turn the
// direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfffd, r&0xfffe == 0xfffe, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e,
			r >= 0x2060 && r <= 0x2069, r == 0xfeff, r >= 0xe0000 && r <= 0xe0fff:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// wrap joins words to lines of a width.
func wrap(words []string, sep string, width int) []string {
	var out []string
	for _, w := range words {
		if n := len(out) - 1; n >= 0 && textWidth(out[n]+sep+w, "small") <= width {
			out[n] += sep + w
		} else {
			out = append(out, w)
		}
	}
	return out
}
