package dpkg

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCompareAgreesWithDpkg(t *testing.T) {
	b, err := os.ReadFile("testdata/compare.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		want, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		n++
		if got := Compare(f[0], f[2]); got != want {
			t.Errorf("Compare(%q, %q) = %d, dpkg says %d", f[0], f[2], got, want)
		}
		if got := Compare(f[2], f[0]); got != -want {
			t.Errorf("Compare(%q, %q) = %d, dpkg says %d", f[2], f[0], got, -want)
		}
	}
	if n < 500 {
		t.Fatalf("only %d comparisons in testdata", n)
	}
}

func TestCompareIsAnOrder(t *testing.T) {
	version := rapid.StringMatching(`([0-2]:)?[0-3][0-9ab.+~]{0,4}(-[0-9a~+]{1,3})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if Compare(a, a) != 0 {
			t.Fatalf("%q differs from itself", a)
		}
		if Compare(a, b) != -Compare(b, a) {
			t.Fatalf("%q and %q: not antisymmetric", a, b)
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%q <= %q <= %q, but not %q <= %q", a, b, c, a, c)
		}
		if Compare(a+"~", a) >= 0 && !strings.Contains(a, "-") {
			t.Fatalf("%q~ is not older", a)
		}
	})
}

func TestValid(t *testing.T) {
	for v, ok := range map[string]bool{
		"1.0": true, "1:1.0-1+deb12u1": true, "1.0~rc1": true, "": false, "x:1": false, ":1": false, "1.0 2": false,
		"1.0_2": false, "1:": false, "1-2:3": false,
	} {
		if got := Valid(v) == nil; got != ok {
			t.Errorf("Valid(%q): %v", v, Valid(v))
		}
	}
}

const status = `Package: openssh-server
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: foreign
Source: openssh
Version: 1:9.2p1-2+deb12u3
Conffiles:
 /etc/default/ssh 500e3cf069fe9a7b9936108eb9d9c035
 Version: 0
Description: secure shell (SSH) server

Package: pve-qemu-kvm
Status: hold ok installed
Architecture: amd64
Version: 9.0.2-4

Package: gone
Status: deinstall ok config-files
Architecture: all
Source: gone-src (1.0)
Version: 1.0
`

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus([]byte(status))
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{
		{Name: "openssh-server", Version: "1:9.2p1-2+deb12u3", Arch: "amd64", Source: "openssh", Want: "install", State: "installed"},
		{Name: "pve-qemu-kvm", Version: "9.0.2-4", Arch: "amd64", Source: "pve-qemu-kvm", Want: "hold", State: "installed"},
		{Name: "gone", Version: "1.0", Arch: "all", Source: "gone-src", Want: "deinstall", State: "config-files"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got[0].Installed() || got[0].Held() || !got[1].Held() || got[2].Installed() || got[2].Broken() {
		t.Error("wrong states")
	}
	if _, err := ParseStatus([]byte("\n\nVersion: 1\n")); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a stanza without a name gave %v", err)
	}
}

func TestParseSums(t *testing.T) {
	const digest = "d41d8cd98f00b204e9800998ecf8427e"
	got := ParseSums([]byte(digest + "  usr/sbin/sshd\n" + digest + " */bin/su\nshort  usr/x\n\n"))
	want := map[string]string{"/usr/sbin/sshd": digest, "/bin/su": digest}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Package: a\x00b\nStatus: install ok installed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseStatus(b)
		if err == nil {
			for _, p := range list {
				if p.Name == "" || p.State == "" || p.Source == "" {
					t.Fatalf("incomplete package %+v", p)
				}
			}
		}
		ParseSums(b)
	})
}

func FuzzCompare(f *testing.F) {
	f.Add("1:1.0-1", "1.0~rc1")
	f.Add("\x00", "\xff-~:")
	f.Fuzz(func(t *testing.T, a, b string) {
		if Compare(a, b) != -Compare(b, a) || Compare(a, a) != 0 {
			t.Fatalf("%q %q: not an order", a, b)
		}
		_ = Valid(a)
	})
}

func BenchmarkParseStatus(b *testing.B) {
	text := []byte(strings.Repeat(status+"\n", 400))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseStatus(text); err != nil {
			b.Fatal(err)
		}
	}
}
