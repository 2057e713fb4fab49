package proxycfg

import (
	"fmt"
	"net/netip"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Expectations come from Net::IP 1.26 behind PVE's normalize_v4_in_v6.
func TestParseRange(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1": "10.0.0.1 10.0.0.1", "10.0.0.0/8": "10.0.0.0 10.255.255.255", "10/8": "10.0.0.0 10.255.255.255",
		"10.1": "10.1.0.0 10.1.0.0", "10.1/16": "10.1.0.0 10.1.255.255", "10.0.0.1-10.0.0.9": "10.0.0.1 10.0.0.9",
		"10.0.0.1 - 10.0.0.9": "10.0.0.1 10.0.0.9", "0/0": "0.0.0.0 255.255.255.255", "010.0.0.01": "10.0.0.1 10.0.0.1",
		"10.0.0.0/255.0.0.0": "10.0.0.0 10.0.0.0", "10.0.0.1 + 5": "10.0.0.1 10.0.0.6", "2001:db8::1": "2001:db8::1 2001:db8::1",
		"2001:db8::/32": "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1": "10.0.0.1 10.0.0.1",
		"::1": "::1 ::1", "2001:db8::1-2001:db8::f": "2001:db8::1 2001:db8::f", "1": "1.0.0.0 1.0.0.0", "::-::1": ":: ::1",
		"10.0.0.0/08": "10.0.0.0 10.255.255.255", "2001:DB8::1": "2001:db8::1 2001:db8::1", "2000::/3": "2000:: 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		r, err := ParseRange(in)
		if err != nil || r.From.String()+" "+r.To.String() != want {
			t.Errorf("%q: %v %v, want %s", in, r, err, want)
		}
	}
	for _, in := range []string{"", " 10.0.0.1", "10.0.0.1 ", "10.0.0.1/8", "10.0.0.9-10.0.0.1", "2001:db8::1/32", "fe80::1%eth0", "10.0.0.256",
		"1.2.3.4.5", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "ALL", "localhost", "1::2::3", "10.0.0.1-2001:db8::1", "[2001:db8::1]", "10.0.0.",
		"10..0.1", ".1", "256", "10.0.0.0/", "a", "a:b", "1.2.3.4/0", "10.0.0.0 /8", "-10.0.0.1", "10.0.0.1-", "2001:db8::/129", "10.0.0.1+5",
		"::/0", "::/1", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "1.2.3.0004", "::-1::"} {
		if r, err := ParseRange(in); err == nil {
			t.Errorf("%q: %v", in, r)
		}
	}
}

// The file of seed 002, with lists divided by blanks as it says.
func TestSeedFile(t *testing.T) {
	c := Parse([]byte("# Sichere Cipher\nCIPHERS='ECDH+AESGCM:DH+AESGCM:ECDH+AES256:DH+AES256:!aNULL:!MD5:!DSS'\nCOMPRESSION=\"0\"\nHONOR_CIPHER_ORDER=\"1\"\n" +
		"DENY_FROM=\"all\"\nALLOW_FROM=\"192.168.2.10 10.0.0.1/8\"\nPOLICY=\"allow\"\n"))
	if c.Starts() || c.Shell || len(c.Problems) != 1 {
		t.Fatalf("%+v", c.Problems)
	}
	p := c.Problems[0]
	if p.Line != 6 || !p.Fatal || !strings.Contains(p.Fix, `ALLOW_FROM="192.168.2.10,10.0.0.0/8"`) {
		t.Errorf("%v", p)
	}
	suites, err := Ciphers(c.CipherString())
	if err != nil {
		t.Fatal(err)
	}
	weak := map[string]int{}
	for _, s := range suites {
		weak[s.Weakness()]++
	}
	if weak["CBC mode"] == 0 || weak["finite-field Diffie-Hellman"] == 0 || weak["no authentication"] != 0 || weak["DSS signatures"] != 0 {
		t.Errorf("%v", weak)
	}
}

func TestAllowed(t *testing.T) {
	type verdicts map[string]bool
	for text, want := range map[string]verdicts{
		"":                                       {"1.2.3.4": true, "::1": true},
		"ALLOW_FROM=10.0.0.0/8\n":                {"10.1.1.1": true, "1.2.3.4": true},
		"ALLOW_FROM=10.0.0.0/8\nDENY_FROM=all\n": {"10.1.1.1": true, "::ffff:10.1.1.1": true, "1.2.3.4": false, "2001:db8::1": false},
		"ALLOW_FROM=10.0.0.0/8\nDENY_FROM=0/0\n": {"10.1.1.1": true, "1.2.3.4": false, "2001:db8::1": true},
		"ALLOW_FROM=10.0.0.0/8\nPOLICY=deny\n":   {"10.1.1.1": true, "1.2.3.4": false},
		"ALLOW_FROM=10.0.0.0/8\nPOLICY=deny\nDENY_FROM=all\n":       {"10.1.1.1": false, "1.2.3.4": false},
		"DENY_FROM=10.0.0.0/8,\n":                                   {"10.1.1.1": false, "1.2.3.4": true},
		"ALLOW_FROM=10.0.0.5-10.0.0.7,2001:db8::/32\nDENY_FROM=all": {"10.0.0.6": true, "10.0.0.8": false, "2001:db8::9": true},
	} {
		c := Parse([]byte(text))
		if !c.Starts() {
			t.Errorf("%q: %v", text, c.Problems)
		}
		for a, allowed := range want {
			if got := c.Allowed(netip.MustParseAddr(a)); got != allowed {
				t.Errorf("%q: %s is %v", text, a, got)
			}
		}
	}
}

func TestRestricted(t *testing.T) {
	for text, want := range map[string][2]bool{
		"":                                     {false, false},
		"ALLOW_FROM=10.0.0.1\n":                {false, false},
		"ALLOW_FROM=10.0.0.1\nDENY_FROM=all\n": {true, false},
		"ALLOW_FROM=10.0.0.1\nDENY_FROM=0.0.0.0/0\n":          {false, false},
		"ALLOW_FROM=10.0.0.1\nDENY_FROM=0/1,128/1,2000::/3\n": {false, false},
		"DENY_FROM=all\n":                                   {true, true},
		"ALLOW_FROM=10.0.0.1\nPOLICY=deny\n":                {true, false},
		"ALLOW_FROM=10.0.0.1\nPOLICY=deny\nDENY_FROM=all\n": {true, true},
	} {
		c := Parse([]byte(text))
		if got := [2]bool{c.Restricted(), c.Nobody()}; got != want {
			t.Errorf("%q: restricted, nobody = %v", text, got)
		}
	}
}

func TestShell(t *testing.T) {
	for text, want := range map[string]string{
		`A=1; B="x y" # c`:      "A=1 B=x y",
		`export A='a"b'c`:       `A=a"bc`,
		"A=1\nA=2":              "A=2",
		`A="a\"b"`:              `A=a"b`,
		"# A=1":                 "",
		"ALLOW_FROM=1.1.1.1, 2": "", // bash runs "2" as a command
		"A=a\\\nb":              "A=a",
		"  A=1  ":               "A=1",
		"A=":                    "A=",
		"A=1 B=2":               "A=1 B=2",
	} {
		c := Parse([]byte(text))
		var got []string
		for k, s := range c.Settings {
			got = append(got, k+"="+s.Value)
		}
		sort.Strings(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{"A=$(id)", "A=`id`", `A="$B"`, "rm -rf /", "if x; then", `A="open`, "A=1|b", "A='x"} {
		if c := Parse([]byte(text)); !c.Shell || len(c.Problems) == 0 {
			t.Errorf("%q: not recognised as shell code", text)
		}
	}
	if c := Parse([]byte("ALLOW_FROM=10.0.0.1, 10.0.0.2\n")); len(c.Problems) != 1 || !strings.Contains(c.Problems[0].Fix, `ALLOW_FROM="10.0.0.1,10.0.0.2"`) {
		t.Errorf("%v", c.Problems)
	}
}

func TestFatal(t *testing.T) {
	for _, text := range []string{"POLICY=permit", "COMPRESSION=yes", "DISABLE_TLS_1_2=1\nDISABLE_TLS_1_3=1", "DENY_FROM=all,", "DENY_FROM=::/0", "ALLOW_FROM='10.0.0.1, 10.0.0.2'"} {
		c := Parse([]byte(text))
		if fatal := !c.Starts(); fatal != (text != "DENY_FROM=all,") {
			t.Errorf("%q: %v", text, c.Problems)
		}
	}
	c := Parse([]byte("UNKNOWN=1\nPROXY_REAL_IP_ALLOW_FROM=10.0.0.1\nLISTEN_IP=x\n"))
	if len(c.Problems) != 3 || c.HonorCipherOrder() != true || !c.TLS12() || !c.TLS13() || !c.Compression() {
		t.Errorf("%v", c.Problems)
	}
}

func names(s []Suite) []string {
	out := []string{}
	for _, x := range s {
		out = append(out, x.Name)
	}
	sort.Strings(out)
	return out
}

// TestCiphers compares with what openssl said.
func TestCiphers(t *testing.T) {
	if got := names(must(Ciphers("ECDHE+CHACHA20:!ECDSA"))); len(got) != 1 || got[0] != "ECDHE-RSA-CHACHA20-POLY1305" {
		t.Errorf("%v", got)
	}
	for _, list := range []string{"FROBNICATE", "HIGH:@SECLEVEL=0", "ECDH+XYZ"} {
		if _, err := Ciphers(list); err == nil {
			t.Errorf("%s: no error", list)
		}
	}
	b, err := os.ReadFile("testdata/openssl.txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		list, want, ok := strings.Cut(l, " ")
		if !ok || list == "#" {
			continue
		}
		if d := cmp.Diff(want, strings.Join(names(must(Ciphers(list))), ",")); d != "" {
			t.Errorf("%s: %s", list, d)
		}
	}
}

func must(s []Suite, err error) []Suite {
	if err != nil {
		panic(err)
	}
	return s
}

func TestCipherSuites(t *testing.T) {
	if got, err := CipherSuites("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := CipherSuites("ECDHE-RSA-AES128-SHA"); err == nil {
		t.Error("no error")
	}
}

func TestRangeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr")
		a := netip.AddrFrom4([4]byte(b))
		bits := rapid.IntRange(0, 32).Draw(t, "bits")
		p := netip.PrefixFrom(a, bits)
		r, err := ParseRange(p.String())
		if (err == nil) != (p == p.Masked()) {
			t.Fatalf("%s: %v", p, err)
		}
		if err == nil && (r.String() != p.String() && bits != 32 || !r.Contains(a)) {
			t.Fatalf("%s: %s", p, r)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ALLOW_FROM=\"10.0.0.0/8,::1\"\nDENY_FROM='all'\nCIPHERS=HIGH:!aNULL\n"))
	f.Add([]byte("A=\\\nB=\"\x00'\n;;=;#"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(b)
		a := netip.MustParseAddr("203.0.113.1")
		if c.Nobody() && c.Starts() && c.Allowed(a) && c.Restricted() && !inAny(c.Allow, a) {
			t.Fatal("nobody is allowed and somebody is")
		}
		Ciphers(c.CipherString())
		for _, p := range c.Problems {
			_ = fmt.Sprint(p)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10/8", "10.0.0.1 + 65535", "::ffff:1.2.3.4", "a-b", "1.1.1.1-2.2.2.2", "/", "::/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRange(s); err == nil && (r.From.BitLen() != r.To.BitLen() || r.To.Compare(r.From) < 0) {
			t.Fatalf("%q: %v", s, r)
		}
	})
}
