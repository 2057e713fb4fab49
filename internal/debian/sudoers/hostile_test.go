package sudoers

import (
	"bytes"
	"testing"
	"time"
)

func TestHostileSizes(t *testing.T) {
	start := time.Now()
	for _, unit := range []string{
		"\\\n",
		":",
		"a:",
		"a : ",
		"(",
		"a,",
		" : A = b",
		": h = c",
		"\"",
		"#",
		"!",
		"Defaults x,",
	} {
		one := time.Now()
		b := bytes.Repeat([]byte(unit), 2<<20/len(unit))
		_, _ = Parse("/s", tree{"/s": "a b = " + string(b)})
		_, _ = Parse("/s", tree{"/s": "User_Alias A = " + string(b)})
		t.Logf("%.20q %v", unit, time.Since(one))
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("2 MB of nonsense took %v", d)
	}
}
