package exports

import (
	"bytes"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestHostileSizes(t *testing.T) {
	for _, unit := range []string{
		"\\\n",
		"/a ",
		"/a (",
		"\"",
		"/a b(c,",
		"#",
	} {
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		hosttest.Hostile(t, unit, len(b), func() { _, _ = Parse(b) })
	}
}
