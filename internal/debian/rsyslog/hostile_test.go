package rsyslog

import (
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// Large files that are made to hurt cost in proportion to their size.
func TestHostileFiles(t *testing.T) {
	const mega = 1 << 18
	for name, text := range map[string]string{
		"conditions":       strings.Repeat("else ", mega),
		"braces":           strings.Repeat("{", 10*mega),
		"parentheses":      strings.Repeat("action(", mega),
		"closed objects":   strings.Repeat("action()", mega),
		"open comments":    strings.Repeat(" /*", 3*mega),
		"closed comments":  strings.Repeat(" /**/", mega),
		"a long name":      strings.Repeat("a", 10*mega) + "(",
		"letters and more": strings.Repeat("aaaaaaaaaaaaaaaaaaaa(", mega/2),
		"quotes":           strings.Repeat("\"", 10*mega),
		"lines":            strings.Repeat("x\n", 5*mega),
	} {
		hosttest.Hostile(t, name, len(text), func() { parse(text) })
	}
}
