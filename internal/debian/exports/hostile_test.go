package exports

import (
	"bytes"
	"testing"
	"time"
)

func TestHostileSizes(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{
		"\\\n",
		"/a ",
		"/a (",
		"\"",
		"/a b(c,",
		"#",
	} {
		one := time.Now()
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		_, _ = Parse(b)
		t.Logf("%.20q %v", unit, time.Since(one))
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("2 MB of nonsense took %v", d)
	}
}
