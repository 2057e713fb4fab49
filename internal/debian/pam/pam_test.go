package pam

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func reader(files map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if s, ok := files[name]; ok {
			return []byte(s), nil
		}
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
}

func TestStack(t *testing.T) {
	files := map[string]string{
		"sshd":           "# c\n@include common-auth\naccount    required     pam_nologin.so\nsession [success=ok ignore=ignore default=bad] pam_selinux.so close\nauth include extra\n",
		"common-auth":    "auth requisite pam_faillock.so preauth\nauth\t[success=1 default=ignore] /lib/security/pam_unix.so nullok \\\n try_first_pass\n-auth [default=die] pam_faillock.so authfail [arg=a b]\n",
		"extra":          "account required pam_no.so\nauth required pam_yes.so\n",
		"circle":         "@include circle2\n",
		"circle2":        "@include circle\n",
		"short":          "auth required\n",
		"kind":           "foo required pam_unix.so\n",
		"out":            "@include ../shadow\n",
		"out2":           "auth include ../../shadow\n",
		"missing-inside": "@include nothing\n",
	}
	got, err := Stack("sshd", reader(files))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Type: "auth", Control: "requisite", Module: "pam_faillock.so", Args: []string{"preauth"}, File: "/etc/pam.d/common-auth", Line: 1},
		{Type: "auth", Control: "[success=1 default=ignore]", Module: "pam_unix.so", Args: []string{"nullok", "try_first_pass"}, File: "/etc/pam.d/common-auth", Line: 2},
		{Type: "auth", Silent: true, Control: "[default=die]", Module: "pam_faillock.so", Args: []string{"authfail", "arg=a b"}, File: "/etc/pam.d/common-auth", Line: 4},
		{Type: "account", Control: "required", Module: "pam_nologin.so", Args: []string{}, File: "/etc/pam.d/sshd", Line: 3},
		{Type: "session", Control: "[success=ok ignore=ignore default=bad]", Module: "pam_selinux.so", Args: []string{"close"}, File: "/etc/pam.d/sshd", Line: 4},
		{Type: "auth", Control: "required", Module: "pam_yes.so", Args: []string{}, File: "/etc/pam.d/extra", Line: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got[2].Binding() || got[1].Binding() || !got[1].Flag("nullok") {
		t.Error("wrong answers about entries")
	}
	if v, _ := got[2].Arg("arg"); v != "a b" {
		t.Error(v)
	}
	for _, bad := range []string{"circle", "short", "kind", "out", "out2", "missing-inside", "absent"} {
		if got, err := Stack(bad, reader(files)); err == nil {
			t.Errorf("%s: %+v", bad, got)
		} else if bad == "absent" && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestFanOfIncludesEnds(t *testing.T) {
	files := map[string]string{}
	for i := range 16 {
		files[fmt.Sprint("f", i)] = strings.Repeat(fmt.Sprintf("@include f%d\n", i+1), 50)
	}
	for _, leaf := range []string{"", "auth required pam_deny.so\n"} {
		files["f16"] = leaf
		if _, err := Stack("f0", reader(files)); err == nil {
			t.Errorf("50^16 files with %q were read", leaf)
		}
	}
}

func TestParseConf(t *testing.T) {
	got := ParseConf([]byte("# deny = 3\ndeny = 5 # five\neven_deny_root\nunlock_time=900\ndeny=4\n"))
	want := map[string]Value{"deny": {"4", 5}, "even_deny_root": {"", 3}, "unlock_time": {"900", 4}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzStack(f *testing.F) {
	f.Add([]byte("@include self\nauth [a=b c] pam_x.so d\n"))
	f.Add([]byte("auth [ pam_x.so\n-session optional pam_y.so [a b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Stack("a", func(name string) ([]byte, error) {
			if name == "a" {
				return b, nil
			}
			return nil, fs.ErrNotExist
		})
		for _, e := range list {
			if err == nil && (e.Module == "" || e.Line == 0) {
				t.Fatalf("%+v", e)
			}
		}
		ParseConf(b)
	})
}
