package osrelease

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	in := `# a comment
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
QUOTED='it is'
ESCAPED="a \"b\" \$c \n"
`
	got, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)", "NAME": "Debian GNU/Linux", "VERSION_ID": "12",
		"VERSION_CODENAME": "bookworm", "ID": "debian", "QUOTED": "it is", "ESCAPED": `a "b" $c \n`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{"no assignment", `A="open`, "A=two words", "A=$(id)", `A="$(id)"`, "1A=x", "A=`id`"} {
		got, err := Parse([]byte(in + "\nID=debian\n"))
		if err == nil {
			t.Errorf("%q: no error", in)
		}
		if d := cmp.Diff(map[string]string{"ID": "debian"}, got); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ID=debian\nVERSION_ID=\"12\"\n"))
	f.Add([]byte("A=\"\\\nB='\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := Parse(b)
		for k := range m {
			if !validKey(k) {
				t.Fatalf("key %q", k)
			}
		}
	})
}
