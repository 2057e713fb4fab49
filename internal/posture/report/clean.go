package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown is the longest single text, in bytes, that a report shows: several screens. What is longer is in the JSON
// report whole.
const maxShown = 8000

// clip shortens a text to at most n bytes, between code points, and marks that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// oneLine makes a string of a host harmless on one line: white space becomes single blanks, and what could steer a
// terminal or reorder text (control characters, escape sequences, bidirectional and other invisible format
// characters) is written out as an escape. Invalid UTF-8 becomes U+FFFD. What is longer than maxShown is cut.
func oneLine(s string) string {
	s = clip(s, maxShown)
	if plain(s) {
		return s
	}
	return strings.Join(strings.Fields(visible(s)), " ")
}

// block is oneLine for texts of several lines: line ends are kept, blanks at their ends are not.
func block(s string) string {
	lines := strings.Split(strings.ReplaceAll(clip(s, maxShown), "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(visible(l), " \t")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// plain is the fast way for what nearly all strings are: printable ASCII without leading, trailing or double blanks.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || (c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ')) {
			return false
		}
	}
	return true
}

// visible replaces each character that has no harmless picture.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == ' ':
			b.WriteByte(' ')
		case r == utf8.RuneError:
			b.WriteRune(r)
		case r < 0x80 && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports characters that change how others look or are not seen at all: C1 controls, format characters
// (Unicode category Cf holds the bidirectional overrides, zero width joiners and tags), line and paragraph
// separators, variation selectors, private use, and code points that are no characters.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Variation_Selector) ||
		unicode.Is(unicode.Noncharacter_Code_Point, r)
}

// escapeHidden rewrites a finished JSON document so that it is harmless on a terminal too: encoding/json escapes
// the control characters below U+0020 only. Outside of strings a JSON document has none of the others, so replacing
// them everywhere changes no value.
func escapeHidden(doc []byte) []byte {
	clean := true
	for _, c := range doc {
		if c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return doc
	}
	out := make([]byte, 0, len(doc))
	for _, r := range string(doc) {
		switch {
		case r == 0x7f || (r > 0x7f && hidden(r)):
			out = appendEscape(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// appendEscape writes a rune as JSON does, with a surrogate pair beyond U+FFFF (RFC 8259, section 7).
func appendEscape(out []byte, r rune) []byte {
	if r <= 0xffff {
		return fmt.Appendf(out, `\u%04x`, r)
	}
	r -= 0x10000
	return fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
}
