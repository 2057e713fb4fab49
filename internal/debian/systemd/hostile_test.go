package systemd

import (
	"bytes"
	"testing"
	"time"
)

func TestHostileSizes(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{"\\\n", "[a]\nb=\\\n", "a", "[", "=\n", "\x00"} {
		ParseUnit(bytes.Repeat([]byte(unit), 2<<20/len(unit)))
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("2 MB of nonsense took %v", d)
	}
}
