package exports

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte("# c\n/srv/a 10.0.0.0/24(rw,no_root_squash) \\\n  host.example(ro)\n\"/srv/with blank\" *(rw)\n/srv/open\n/srv/d -rw,sync 10.1.0.1 10.1.0.2(ro)\n/srv/\\040x h (rw)\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Export{
		{Path: "/srv/a", Client: "10.0.0.0/24", Options: []string{"rw", "no_root_squash"}, Line: 2},
		{Path: "/srv/a", Client: "host.example", Options: []string{"ro"}, Line: 2},
		{Path: "/srv/with blank", Client: "*", Options: []string{"rw"}, Line: 4},
		{Path: "/srv/open", Client: "*", Line: 5},
		{Path: "/srv/d", Client: "10.1.0.1", Options: []string{"rw", "sync"}, Line: 6},
		{Path: "/srv/d", Client: "10.1.0.2", Options: []string{"rw", "sync", "ro"}, Line: 6},
		{Path: "/srv/ x", Client: "h", Line: 7},
		// the famous blank: "h (rw)" gives h the defaults and the world write access
		{Path: "/srv/ x", Client: "*", Options: []string{"rw"}, Line: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got[0].NoRootSquash() || got[1].NoRootSquash() || !got[2].Everyone() || got[5].Writable() || !got[4].Writable() {
		t.Error("wrong judgement of the options")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"srv a\n", "/srv a(rw\n", "\"/srv a\n"} {
		if got, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was accepted: %+v", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("/srv/a 10.0.0.0/24(rw,no_root_squash) \\\n host(ro)\n"))
	f.Add([]byte("\"\\040"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Parse(b)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.Path == "" || e.Path[0] != '/' || e.Client == "" {
				t.Fatalf("%+v", e)
			}
			e.NoRootSquash()
		}
	})
}
