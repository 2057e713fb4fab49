package hosts

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	table := Parse([]byte("127.0.0.1 localhost\r\n192.0.2.1 PVE1.example.org pve1 # one\n2001:db8::1 pve1\nnonsense pve1\n192.0.2.9\n"))
	for s, want := range map[string][]string{
		"pve1": {"192.0.2.1", "2001:db8::1"}, "pve1.EXAMPLE.org": {"192.0.2.1"}, "localhost": nil, "nobody": nil,
		"192.0.2.7": {"192.0.2.7"}, "::ffff:192.0.2.7": {"192.0.2.7"},
	} {
		var got []string
		for _, a := range table.Resolve(s) {
			got = append(got, a.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", s, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("192.0.2.1 a b # c\n::1 x\n"), "a")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		for _, a := range Parse(b).Resolve(name) {
			if _, err := netip.ParseAddr(a.String()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
