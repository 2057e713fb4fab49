package change

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A change for nobody stays one on its way through a plan file: without its list it would be a change for everybody.
func TestNobodyStaysNobody(t *testing.T) {
	for _, each := range [][]string{nil, {}, {"100"}} {
		b, err := json.Marshal(Change{Control: "TST-01", Kind: "test", Each: each})
		if err != nil {
			t.Fatal(err)
		}
		var c Change
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(each, c.Each); d != "" {
			t.Errorf("%s: %s", b, d)
		}
	}
}
