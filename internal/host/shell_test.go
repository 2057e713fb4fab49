package host_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
)

// asRoot lets the far side claim to be root, so that the tests need not be.
const asRoot = `case "$1" in *"id -u") echo 0;; *) eval "$1";; esac`

func dialShell(t *testing.T, shell string) *host.Shell {
	t.Helper()
	site := newSite(t, "", shell)
	go func() {
		for range site.execs {
			continue // the server waits when nobody takes its notes
		}
	}()
	s, err := host.DialShell(t.Context(), site.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestShellPassesWordsOn(t *testing.T) {
	s := dialShell(t, asRoot)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[ -~\n\täß]{0,12}`), 1, 4).Draw(t, "words")
		var out bytes.Buffer
		code, err := s.Run(append([]string{"printf", `%s\0`}, words...), nil, &out, io.Discard)
		if err != nil || code != 0 {
			t.Fatalf("%d, %v", code, err)
		}
		if got := strings.TrimSuffix(out.String(), "\x00"); got != strings.Join(words, "\x00") {
			t.Fatalf("%q arrives as %q", words, got)
		}
	})
}

func TestShellPuts(t *testing.T) {
	s := dialShell(t, asRoot)
	dir := filepath.Join(t.TempDir(), "a b'c")
	name := dir + "/program"
	if err := s.Put(name, 0o700, strings.NewReader("#!/bin/sh\necho \"$@\"; exit 7\n")); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(name)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", st, err)
	}
	var out bytes.Buffer
	if code, err := s.Run([]string{name, "x  y"}, nil, &out, io.Discard); code != 7 || err != nil || out.String() != "x  y\n" {
		t.Errorf("%d, %v, %q", code, err, out.String())
	}
	if err := s.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error("the directory is still there")
	}
	if err := s.Put("/proc/none/x", 0o600, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "cannot write /proc/none/x") {
		t.Errorf("%v", err)
	}
}

func TestShellNeedsRoot(t *testing.T) {
	_, err := host.DialShell(t.Context(), newSite(t, "", `case "$1" in *"id -u") echo 1000;; sudo*) exit 1;; *) eval "$1";; esac`).target)
	if err == nil || !strings.Contains(err.Error(), "sudo wants a password") {
		t.Errorf("%v", err)
	}
}
