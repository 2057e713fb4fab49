package postfix

import (
	"bytes"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestHostileSizes(t *testing.T) {
	for _, unit := range []string{
		"${",
		"a=\n ",
		"$a",
		"a = $$",
		"smtp inet n - y - - smtpd\n -o x\n",
		"root: a,",
		"$(",
	} {
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		hosttest.Hostile(t, unit, len(b), func() {
			ParseMain(append([]byte("inet_interfaces = "), b...)).Get("inet_interfaces")
			ParseMaster(b)
			ParseAliases(b)
		})
	}
}
