package lockout

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
)

// TestSamplesStandForAll compares with asking every address: a rule whose answer depends only on which of the borders'
// networks an address is in says yes to all samples exactly when it says yes to all addresses.
func TestSamplesStandForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := func(label string, least int) netip.Prefix {
			b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)
			b[0], b[1], b[2] = 192, 0, b[2]&3 // near each other, so that they overlap
			return netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), rapid.IntRange(least, 32).Draw(t, label+" bits")).Masked()
		}
		whole := prefix("whole", 22)
		var borders []netip.Prefix
		for i := range rapid.IntRange(0, 6).Draw(t, "borders") {
			borders = append(borders, prefix(fmt.Sprintf("border %d", i), 20))
		}
		good := rapid.IntRange(0, 7).Draw(t, "good")
		rule := func(a netip.Addr) bool {
			class := 0
			for i, b := range borders {
				if b.Contains(a) {
					class += i + 1
				}
			}
			return class%8 != good || class == 0
		}
		samples, err := from{prefix: whole, one: whole.IsSingleIP()}.samples(borders)
		if err != nil {
			t.Fatal(err)
		}
		bySamples, byAll := true, true
		for _, a := range samples {
			if !whole.Contains(a) {
				t.Fatalf("%s is not in %s", a, whole)
			}
			bySamples = bySamples && rule(a)
		}
		for a := whole.Addr(); whole.Contains(a); a = a.Next() {
			byAll = byAll && rule(a)
		}
		if bySamples != byAll {
			t.Fatalf("samples say %t, all addresses %t: %s with borders %v, samples %v", bySamples, byAll, whole, borders, samples)
		}
	})
}

func TestSamplesAreBounded(t *testing.T) {
	var borders []netip.Prefix
	a := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxSamples {
		borders = append(borders, netip.PrefixFrom(a, 32))
		a = a.Next().Next().Next()
	}
	if _, err := (from{prefix: netip.MustParsePrefix("10.0.0.0/8")}).samples(borders); err == nil {
		t.Error("too many borders are not refused")
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]struct {
		nets string
		ok   bool
	}{
		"Address 10.0.0.0/8,!10.1.2.3": {"[10.0.0.0/8 10.1.2.3/32]", true},
		"root@192.0.2.* ann":           {"[192.0.2.0/24]", true},
		"*@10.*":                       {"[10.0.0.0/8]", true},
		"root@10.1.*.*":                {"[10.1.0.0/16]", true},
		"Address 192.0.2.1?":           {"[]", false},
		"Address 10.*.3.4":             {"[]", false},
		"Address 2001:db8:*":           {"[]", false},
		"Host *.example.org":           {"[]", true},
		"User *":                       {"[]", true},
		`from="2001:db8::/32" ssh-rsa`: {"[2001:db8::/32]", true},
		"Address 10.1.2.3/8":           {"[10.0.0.0/8]", true}, // sshd refuses it elsewhere
	} {
		nets, ok := networks(text)
		if fmt.Sprint(nets) != want.nets || ok != want.ok {
			t.Errorf("%q: %v %t, want %s %t", text, nets, ok, want.nets, want.ok)
		}
	}
}

func TestLocalIsSharedWithinAFamily(t *testing.T) {
	c := change.Case{Operators: []change.Operator{{User: "a", Local: "::ffff:192.0.2.1"}, {User: "b", Local: "fe80::1%eth0"}, {User: "c"}}}
	for text, want := range map[string]string{"198.51.100.1": "192.0.2.1", "2001:db8::1": "fe80::1"} {
		if got := local(c, c.Operators[2], netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := local(c, c.Operators[1], netip.MustParseAddr("2001:db8::1")); got != "fe80::1" {
		t.Errorf("own address: %q", got)
	}
}
