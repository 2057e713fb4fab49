package apt

import (
	"strings"
	"testing"
	"time"
)

// Large files that are made to hurt are read in seconds, not hours.
func TestHostileFiles(t *testing.T) {
	const mega = 1 << 18
	all := func(string) bool { return true }
	for name, read := range map[string]func(){
		"many options":  func() { _ = new(Config).Merge("f", []byte(strings.Repeat("A::", mega)+"\n")) },
		"many names":    func() { _ = new(Config).Merge("f", names(100_000)) },
		"open blocks":   func() { _ = new(Config).Merge("f", []byte(strings.Repeat("a{", 5*mega))) },
		"list elements": func() { _ = new(Config).Merge("f", []byte(strings.Repeat("A:: \"x\";", mega))) },
		"a long line":   func() { _, _ = ParseList([]byte("deb " + strings.Repeat("[", 10*mega))) },
		"continuations": func() { _, _ = ParseSources([]byte("Types: deb\n" + strings.Repeat(" x\n", 4*mega))) },
		"many stanzas":  func() { _, _ = ParseSources([]byte(strings.Repeat("Types: deb\nURIs: a:b\nSuites: c\n\n", mega/4))) },
		"many pairs": func() {
			_, _ = ParseSources([]byte("Types: deb\nURIs: " + strings.Repeat("a:b ", mega) + "\nSuites: " + strings.Repeat("c ", mega)))
		},
		"package index":  func() { ParseIndex("f", []byte(strings.Repeat("Package: a\nVersion: 1\n", mega/2)), all) },
		"index of zeros": func() { ParseIndex("f", make([]byte, 10*mega), all) },
	} {
		start := time.Now()
		read()
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: %v", name, d)
		}
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
