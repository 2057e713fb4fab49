package logindefs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	d := Parse([]byte("# c\nPASS_MAX_DAYS\t99999\nPASS_MAX_DAYS   365\nUMASK 027\nENCRYPT_METHOD YESCRYPT\nEMPTY\n"))
	if n, v, ok := d.Int("PASS_MAX_DAYS"); n != 365 || v.Line != 3 || !ok {
		t.Error("the last line wins", n, v)
	}
	if n, v, ok := d.Int("UMASK"); n != 0o27 || v.Text != "027" || !ok {
		t.Error(n, v, ok)
	}
	if v, ok := d.Get("UID_MIN"); !ok || v != (Value{Text: "1000"}) {
		t.Error("the default must be resolved", v)
	}
	if _, ok := d.Get("NO_SUCH_KEY"); ok {
		t.Error("an unknown key has no default")
	}
	if _, _, ok := d.Int("ENCRYPT_METHOD"); ok {
		t.Error("a word is no number")
	}
}

func TestParseShell(t *testing.T) {
	tests := map[string]ShellSettings{
		"TMOUT=900\nreadonly TMOUT\nexport TMOUT\n": {TMOUT: &Timeout{Seconds: 900, ReadOnly: true, Exported: true, Line: 1}},
		"readonly TMOUT=900 ; export TMOUT":         {TMOUT: &Timeout{Seconds: 900, ReadOnly: true, Exported: true, Line: 1}},
		"declare -xr TMOUT=\"600\" # quiet":         {TMOUT: &Timeout{Seconds: 600, ReadOnly: true, Exported: true, Line: 1}},
		"# TMOUT=900\n":                             {},
		"TMOUT=0":                                   {TMOUT: &Timeout{Line: 1}},
		"TMOUT=$X":                                  {},
		"umask 022\n":                               {Umask: Mask{"022", 1}},
		"if [ \"$(id -u)\" -ge 1000 ]; then umask 027; fi\n":     {Conditional: Mask{"027", 1}},
		"if true\nthen\n  umask 077\nfi\nexport A=1\numask -S\n": {Conditional: Mask{"077", 3}},
		"[ $UID -ge 1000 ] && umask 027":                         {Conditional: Mask{"027", 1}},
		"umask 022\nif a; then umask 027; else umask 022; fi":    {Umask: Mask{"022", 1}, Conditional: Mask{"027", 2}},
		"if a; then b; fi\numask u=rwx,g=rx,o=":                  {Umask: Mask{"u=rwx,g=rx,o=", 2}},
	}
	for in, want := range tests {
		if diff := cmp.Diff(want, ParseShell([]byte(in))); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestMaskOctal(t *testing.T) {
	for in, want := range map[string]int{"027": 0o27, "0077": 0o77, "u=rwx,g=rx,o=": 0o27, "a=rwx": 0, "u=rw,go=": 0o177} {
		if got, ok := MaskOctal(in); !ok || got != want {
			t.Errorf("%q: %o %v, want %o", in, got, ok, want)
		}
	}
	for _, bad := range []string{"", "99", "7777", "z=r", "u+r"} {
		if got, ok := MaskOctal(bad); ok {
			t.Errorf("%q: %o", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("UMASK 022\n"))
	f.Add([]byte("if x; then readonly TMOUT=9; fi\numask u=rwx,g=,o="))
	f.Add([]byte("esac fi }\x00 umask \xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		Parse(b).Int("UMASK")
		s := ParseShell(b)
		if s.TMOUT != nil && s.TMOUT.Seconds < 0 {
			t.Fatal("negative timeout")
		}
		if m, ok := MaskOctal(s.Umask.Text); ok && (m < 0 || m > 0o777) {
			t.Fatalf("mask %o", m)
		}
	})
}
