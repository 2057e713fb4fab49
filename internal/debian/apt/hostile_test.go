package apt

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// Large files that are made to hurt cost in proportion to their size.
func TestHostileFiles(t *testing.T) {
	const mega = 1 << 18
	config := func(b []byte) { _ = new(Config).Merge("f", b) }
	list := func(b []byte) { _, _ = ParseList(b) }
	sources := func(b []byte) { _, _ = ParseSources(b) }
	index := func(b []byte) { ParseIndex("f", b, func(string) bool { return true }) }
	for name, c := range map[string]struct {
		read func([]byte)
		text []byte
	}{
		"many options":   {config, []byte(strings.Repeat("A::", mega) + "\n")},
		"many names":     {config, names(100_000)},
		"open blocks":    {config, []byte(strings.Repeat("a{", 5*mega))},
		"list elements":  {config, []byte(strings.Repeat("A:: \"x\";", mega))},
		"a long line":    {list, []byte("deb " + strings.Repeat("[", 10*mega))},
		"continuations":  {sources, []byte("Types: deb\n" + strings.Repeat(" x\n", 4*mega))},
		"many stanzas":   {sources, []byte(strings.Repeat("Types: deb\nURIs: a:b\nSuites: c\n\n", mega/4))},
		"many pairs":     {sources, []byte("Types: deb\nURIs: " + strings.Repeat("a:b ", mega) + "\nSuites: " + strings.Repeat("c ", mega))},
		"package index":  {index, []byte(strings.Repeat("Package: a\nVersion: 1\n", mega/2))},
		"index of zeros": {index, make([]byte, 10*mega)},
	} {
		hosttest.Hostile(t, name, len(c.text), func() { c.read(c.text) })
	}
}

func names(n int) []byte {
	var b strings.Builder
	for i := range n {
		b.WriteString("A::N")
		b.WriteString(strings.Repeat("x", i%3))
		for ; i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
		b.WriteString(" \"1\";\n")
	}
	return []byte(b.String())
}
