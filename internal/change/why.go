package change

import (
	"strings"
	"unicode/utf8"
)

// maxWhy bounds the reason of a transaction, in bytes.
const maxWhy = 500

// oneLine is a text on one line, without control characters, cut to a length in bytes.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
