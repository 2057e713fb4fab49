package conffile

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestSet(t *testing.T) {
	ini := Dialect{Separator: " = ", Split: "=", Comment: "#;", Sections: true}
	plain := Dialect{Separator: " ", Split: " \t", Fold: true}
	for _, c := range []struct {
		name, in, section, key, value, want string
		d                                   Dialect
	}{
		{"rewrites the line that counts", "a 1\nA 2\n", "", "a", "3", "a 1\nA 3\n", plain},
		{"adds at the end", "# x\na 1", "", "b", "2", "# x\na 1\nb 2\n", plain},
		{"keeps the line ending", "a 1\r\n", "", "a", "2", "a 2\r\n", plain},
		{"leaves what is set", "a   1 \n", "", "a", "1", "a   1 \n", plain},
		{"adds a section", "[x]\na=1\n", "y", "b", "2", "[x]\na=1\n\n[y]\nb = 2\n", ini},
		{"adds to a section", "[x]\na=1\n\n[y]\n", "x", "b", "2", "[x]\na=1\nb = 2\n\n[y]\n", ini},
		{"an empty file", "", "x", "b", "2", "[x]\nb = 2\n", ini},
		{"a comment is no setting", "[x]\n;a=1\n", "x", "a", "2", "[x]\n;a=1\na = 2\n", ini},
	} {
		doc := Parse([]byte(c.in), c.d)
		doc.Set(c.section, c.key, c.value)
		if got := string(doc.Bytes()); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestUnset(t *testing.T) {
	doc := Parse([]byte("a=1\n#a=2\na = 3\nb=4\n"), Dialect{Separator: "=", Split: "="})
	doc.Unset("", "a")
	if got := string(doc.Bytes()); got != "#a=2\nb=4\n" {
		t.Errorf("%q", got)
	}
}

// Whatever a file holds, a key that was set can be read back, and nothing is lost when nothing is set.
func TestSetIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Dialect{Separator: " = ", Split: "=", Sections: rapid.Bool().Draw(t, "sections"), First: rapid.Bool().Draw(t, "first")}
		in := []byte(rapid.StringMatching(`([a-c]? ?=? ?[0-9]?\r?\n|\[[xy]\]\n|#.*\n)*[a-c]?`).Draw(t, "file"))
		doc := Parse(in, d)
		if !bytes.Equal(doc.Bytes(), in) {
			t.Fatalf("parsing changed %q", in)
		}
		section := ""
		if d.Sections {
			section = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "section")
		}
		doc.Set(section, "b", "7")
		again := Parse(doc.Bytes(), d)
		if v, line := again.Get(section, "b"); v != "7" || line == 0 {
			t.Fatalf("%q gives %q", doc.Bytes(), v)
		}
		once := doc.Bytes()
		doc.Set(section, "b", "7")
		if !bytes.Equal(doc.Bytes(), once) {
			t.Fatalf("setting twice changed %q", once)
		}
	})
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte("a = 1\n[x]\r\nb=2"), "x", "b")
	f.Fuzz(func(t *testing.T, in []byte, section, key string) {
		doc := Parse(in, Dialect{Separator: "=", Split: "=", Sections: true})
		doc.Set(section, key, "v")
		doc.Unset(section, key)
		_ = doc.Bytes()
	})
}
