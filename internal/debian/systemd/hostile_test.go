package systemd

import (
	"bytes"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestHostileSizes(t *testing.T) {
	for _, unit := range []string{"\\\n", "[a]\nb=\\\n", "a", "[", "=\n", "\x00"} {
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		hosttest.Hostile(t, unit, len(b), func() { ParseUnit(b) })
	}
}
