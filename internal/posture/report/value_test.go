package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValueLines(t *testing.T) {
	for in, want := range map[string][]string{
		"":                  {""},
		"plain text, [odd]": {"plain text, [odd]"},
		`{"name":"rsyslog.service","installed":true,"active":false,"n":3,"x":null,"e":""}`: {
			`name: rsyslog.service, installed: yes, active: no, n: 3, x: none, e: ""`},
		`[{"path":"/a","by":[]},{"path":"/b","by":["x","y"]}]`: {"path: /a, by: none", "path: /b, by: (x, y)"},
		`["a","b"]`:               {"a", "b"},
		`[]`:                      {"[]"},
		`{}`:                      {"none"},
		`{"a":{"b":{"c":1}}}`:     {"a: (b: (c: 1))"},
		`{"a":`:                   {`{"a":`},
		`{"a":1} and more`:        {`{"a":1} and more`},
		`[1] [2]`:                 {`[1] [2]`},
		`[abc]`:                   {`[abc]`},
		`{"a":"\u001b[2J\u202e"}`: {`a: \x1b[2J\u202e`},
		`[1e400,-0.5]`:            {"1e400", "-0.5"},
	} {
		if d := cmp.Diff(want, valueLines(in)); d != "" {
			t.Errorf("%s:\n%s", in, d)
		}
	}
	long := valueLines("[" + strings.Repeat("1,", 99) + "1]")
	if len(long) != maxItems+1 || long[maxItems] != "and 60 more" {
		t.Errorf("a long list ends with %q", long[len(long)-1])
	}
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	if got := valueLines(deep); len(got) != 1 || got[0] != deep && !strings.HasSuffix(got[0], "…") {
		t.Errorf("a deep value became %q", got)
	}
}

func FuzzValueLines(f *testing.F) {
	for _, s := range append(hostile(), `{"a":[1,{"b":"\u001b"}]}`, `[`, `{"a"`, `[[[[`, `{"a":1`+"\xff") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range valueLines(s) {
			if l != oneLine(l) && !strings.HasSuffix(l, "…") {
				t.Errorf("%q gives the line %q", s, l)
			}
		}
	})
}
