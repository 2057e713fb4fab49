package change

import (
	"strings"
	"testing"
)

func TestWhyIsOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"ticket 4711": "ticket 4711", "a\nb\x1b[31m\tc": "a b [31m c", "": "", "\xff": "?", strings.Repeat("ä", 400): strings.Repeat("ä", 250),
	} {
		if got := oneLine(in, maxWhy); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
