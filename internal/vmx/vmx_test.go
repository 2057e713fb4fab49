package vmx

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const sample = "#!/usr/bin/vmware\r\n.encoding = \"windows-1252\"\r\ndisplayName = \"B\xfcro |22x|22\"\r\n\r\n" +
	"Isolation.Tools.Copy.Disable = 'FALSE'  # mine\r\nlog.keepOld=\"10\""

func TestParse(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{{".encoding", "windows-1252", 2}, {"displayName", `Büro "x"`, 3}, {"Isolation.Tools.Copy.Disable", "FALSE", 5}, {"log.keepOld", "10", 6}}
	if d := cmp.Diff(want, f.Settings()); d != "" || len(f.Problems()) > 0 {
		t.Errorf("%s%v", d, f.Problems())
	}
	if !bytes.Equal(f.Bytes(), []byte(sample)) {
		t.Error("reading changed the file")
	}
}

func TestSet(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range [][2]string{{"isolation.tools.copy.disable", "TRUE"}, {"LOG.KEEPOLD", "10"}, {"RemoteDisplay.maxConnections", "1"}} {
		if err := f.Set(s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Replace(sample, "'FALSE'", `"TRUE"`, 1) + "\r\nRemoteDisplay.maxConnections = \"1\"\r\n"
	if got := string(f.Bytes()); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if err := f.Delete("displayname"); err != nil {
		t.Fatal(err)
	}
	if s, ok := f.Get("log.keepold"); !ok || s.Line != 5 {
		t.Errorf("%+v", s)
	}
}

func TestProblems(t *testing.T) {
	for in, want := range map[string]string{
		"isolation.tools.copy.enable => false": `1:29: => is not how a .vmx file parts key and value; isolation.tools.copy.enable: no ESXi reads it; write isolation.tools.copy.disable = "TRUE"`,
		"a =":                                  `1:4: the value of a is not in quotes`,
		"a => 'b\"c'":                          `1:3: => is not how a .vmx file parts key and value; write a = "b|22c"`,
		"a = 1":                                `1:5: the value of a is not in quotes; write a = "1"`,
		"a = \"1\"\nA = \"2\"":                 "2:1: A stands here again after line 1; VMware refuses a file with a key that stands twice",
		"a = \"1":                              "1:5: the value of a has no closing quote",
		"a = \"|2\"":                           "1:6: the value of a: after | two hexadecimal digits are missing",
		"a = \"b\"c\"":                         "1:8: there is more after the value of a; a quote inside a value is written |22",
		"1a = \"b\"":                           "1:1: this is no setting: a key begins with a letter or a dot",
		"key":                                  "1:4: after the key key an = is missing",
	} {
		f, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Problems()) != 1 || f.Problems()[0].Error() != want {
			t.Errorf("%q: %v, want %s", in, f.Problems(), want)
		}
		if err := f.Set("x", "y"); err == nil {
			t.Errorf("%q was edited although it is broken", in)
		}
	}
	for _, in := range []string{"a\x00b", "\xff\xfea\x00", strings.Repeat("a", MaxSize+1)} {
		if _, err := Parse([]byte(in)); err == nil {
			t.Errorf("%.10q was read", in)
		}
	}
	if f, err := Parse([]byte(strings.Repeat("?\n", 1000))); err != nil || len(f.Problems()) != maxProblems+1 {
		t.Errorf("%v", err)
	}
}

// Names are shown as they were written, and the bytes of the file stay.
func TestEncodings(t *testing.T) {
	for text, want := range map[string]string{
		".encoding = \"GBK\"\ndisplayName = \"\xb7\xfe\xce\xf1\xc6\xf7\"\n":          "服务器",
		".encoding = \"windows-1252\"\ndisplayName = \"B\xfcro\"\n":                  "Büro",
		".encoding = \"windows-1251\"\ndisplayName = \"\xd1\xe5\xf0\xe2\xe5\xf0\"\n": "Сервер",
		".encoding = \"Shift_JIS\"\ndisplayName = \"\x83\x54\"\n":                    "サ",
		"displayName = \"B\xfcro\"\n":                                                "Büro",
		".encoding = \"UTF-8\"\ndisplayName = \"Büro\"\n":                            "Büro",
		".encoding = \"klingon\"\ndisplayName = \"B\xfcro\"\n":                       "Büro",
	} {
		f, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Machine().Name; got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
		if err := f.Set("log.keepOld", "10"); err != nil || string(f.Bytes()) != text+"log.keepOld = \"10\"\n" {
			t.Errorf("%v: %q", err, f.Bytes())
		}
	}
}

func TestEncrypted(t *testing.T) {
	f, err := Parse([]byte("encryption.keySafe = \"vmware:key/list/...\"\nencryption.data = \"...\"\n"))
	if err != nil || !f.Encrypted() {
		t.Fatalf("%v", err)
	}
	if err := f.Set("a", "b"); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("%v", err)
	}
}

// What was set is read back, the rest of the file stays, and setting the old value again gives the old bytes.
func TestSetAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z.][a-z0-9.]{0,6}`), 1, 8, rapid.ID).Draw(t, "keys")
		var b strings.Builder
		for _, k := range keys {
			b.WriteString(rapid.SampledFrom([]string{"", "# note\n", "\n", "\r\n"}).Draw(t, "between"))
			b.WriteString(k + rapid.SampledFrom([]string{" = ", "=", "  =\t"}).Draw(t, "sep") + Quote(rapid.StringMatching(`[ -~]{0,6}`).Draw(t, "value")) +
				rapid.SampledFrom([]string{"\n", "\r\n", " # c\n"}).Draw(t, "end"))
		}
		f, err := Parse([]byte(b.String()))
		if err != nil || len(f.Problems()) > 0 {
			t.Fatalf("%v %v", err, f.Problems())
		}
		k := rapid.SampledFrom(keys).Draw(t, "key")
		old, _ := f.Get(k)
		value := rapid.StringMatching(`[ -~]{0,6}`).Draw(t, "new")
		if err := f.Set(strings.ToUpper(k), value); err != nil {
			t.Fatal(err)
		}
		again, err := Parse(f.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := again.Get(k); s.Value != value || len(again.Settings()) != len(keys) {
			t.Fatalf("%q gives %q", value, s.Value)
		}
		if err := f.Set(k, old.Value); err != nil {
			t.Fatal(err)
		}
		if string(f.Bytes()) != b.String() {
			t.Fatalf("%q became %q", b.String(), f.Bytes())
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), "a", "b")
	f.Add([]byte("\ufeffa = \"1\"\na => b\n"), "a", "|\"")
	f.Fuzz(func(t *testing.T, b []byte, key, value string) {
		file, err := Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(file.Bytes(), b) {
			t.Fatal("reading changed the file")
		}
		if file.Set(key, value) == nil {
			again, err := Parse(file.Bytes())
			if err != nil {
				return // it grew beyond what is read
			}
			if s, ok := again.Get(key); !ok || s.Value != value {
				t.Fatalf("%q = %q is read as %q", key, value, s.Value)
			}
		}
	})
}
