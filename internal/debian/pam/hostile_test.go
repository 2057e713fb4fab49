package pam

import (
	"bytes"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestHostileSizes(t *testing.T) {
	for _, unit := range []string{
		"\\\n",
		"auth [",
		"auth required a [b ",
		"[",
		"#",
		"@include a\n",
		"auth a b\n",
	} {
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		hosttest.Hostile(t, unit, len(b), func() {
			_, _ = Stack("a", func(string) ([]byte, error) { return b, nil })
			ParseConf(b)
		})
	}
}
