package sdboot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Conf{
		"":                                {Editor: true},
		"timeout 3\ndefault proxmox-*\n":  {Editor: true, Timeout: "3"},
		"editor no\n":                     {EditorLine: 1},
		"editor\t0\r\neditor yes\n":       {Editor: true, EditorLine: 2},
		"#editor no\neditor maybe\n":      {Editor: true},
		"editorial no\neditor\n editor N": {EditorLine: 3},
	} {
		if d := cmp.Diff(want, Parse([]byte(in))); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("editor no\ntimeout 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := Parse(b); !c.Editor && c.EditorLine == 0 {
			t.Fatal("the editor is on by default")
		}
	})
}
