package postfix

import (
	"bytes"
	"testing"
	"time"
)

func TestHostileSizes(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{
		"${",
		"a=\n ",
		"$a",
		"a = $$",
		"smtp inet n - y - - smtpd\n -o x\n",
		"root: a,",
		"$(",
	} {
		one := time.Now()
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		ParseMain(append([]byte("inet_interfaces = "), b...)).Get("inet_interfaces")
		ParseMaster(b)
		ParseAliases(b)
		t.Logf("%.20q %v", unit, time.Since(one))
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("2 MB of nonsense took %v", d)
	}
}
