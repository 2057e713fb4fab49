package pve

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the text: afterwards the property has the value, all others are as they were, and a second time changes nothing.
func checkSetProperty(t interface {
	Fatalf(string, ...any)
}, s, key, value, defaultKey string) {
	once := SetProperty(s, key, value, defaultKey)
	if twice := SetProperty(once, key, value, defaultKey); twice != once {
		t.Fatalf("%q: %q, %q", s, once, twice)
	}
	got, set := ParseProperties(once, defaultKey).Get(key)
	if set != (value != "") || set && !Same(got, value) {
		t.Fatalf("%q: %s is %q in %q", s, key, got, once)
	}
	others := func(s string) Properties {
		return slices.DeleteFunc(ParseProperties(s, defaultKey), func(p Property) bool { return p.Key == key })
	}
	if a, b := others(s), others(once); !slices.Equal(a, b) {
		t.Fatalf("%q: %q, %q", s, a, b)
	}
}

func TestSetProperty(t *testing.T) {
	for _, tc := range []struct{ s, key, value, defaultKey, want string }{
		{"virtio=BC:24:11:00:00:01,bridge=vmbr0", "firewall", "1", "model", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"},
		{"a,firewall=on", "firewall", "1", "", "a,firewall=on"},
		{"insecure,network=192.0.2.0/24", "type", "secure", "type", "secure,network=192.0.2.0/24"},
		{"network=192.0.2.0/24", "type", "secure", "type", "secure,network=192.0.2.0/24"},
		{"type=insecure", "type", "secure", "type", "type=secure"},
		{"a=1, b=2 ,a=3", "a", "4", "", "a=4, b=2 "},
		{`a="x,y",b=1`, "b", "", "", `a="x,y"`},
		{"", "a", "1", "a", "1"},
		{"x", "a", "", "", "x"},
	} {
		if got := SetProperty(tc.s, tc.key, tc.value, tc.defaultKey); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.s, got, tc.want)
		}
	}
	part := rapid.SampledFrom([]string{"", " ", "a", "a=1", "a=0", "b=2", " b = 2", `c="x,y"`, "d", "a=on", "=", "=x"})
	rapid.Check(t, func(r *rapid.T) {
		checkSetProperty(r, strings.Join(rapid.SliceOfN(part, 0, 6).Draw(r, "parts"), ","), rapid.SampledFrom([]string{"a", "b"}).Draw(r, "key"),
			rapid.SampledFrom([]string{"", "1", "x"}).Draw(r, "value"), rapid.SampledFrom([]string{"", "a"}).Draw(r, "default"))
	})
}

func FuzzSetProperty(f *testing.F) {
	f.Add("virtio=BC,bridge=vmbr0,\x00\xff=\"")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Count(s, `"`)%2 == 0 { // a quote that never ends is left alone
			checkSetProperty(t, s, "firewall", "1", "model")
			checkSetProperty(t, s, "firewall", "", "model")
		}
	})
}
