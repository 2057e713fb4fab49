package host_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
)

// TestRemoteInfers proves that complete listings answer what they decide, and nothing that they do not.
func TestRemoteInfers(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"filter.d/sshd.conf", "filter.d/a.local", "deep/x/y", "deep/empty/.keep", "real/in"} {
		if err := os.MkdirAll(filepath.Join(dir, path.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../real", filepath.Join(dir, "deep", "link")); err != nil {
		t.Fatal(err)
	}
	r := startRemote(t, "sh", "-c")
	r.Prefetch([]host.Need{{Read: dir + "/filter.d/*"}, {List: dir + "/deep/**"}, {List: dir + "/none/*"}})
	if _, err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/filter.d/sshd.local", "/filter.d/sshd.d/x", "/deep/x/z", "/deep/empty/z", "/none/x", "/deep/w/v"} {
		if _, err := r.ReadFile(dir + name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
		if _, err := r.Stat(dir + name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat(%s): %v", name, err)
		}
	}
	for pattern, want := range map[string]int{
		"/filter.d/*.local": 1, "/filter.d/sshd.d/*.local": 0, "/filter.d/sshd.d/*/x": 0, "/deep/x/*": 1, "/none/**": 0, "/none/*": 0,
		"/filter.d/sshd.conf": 1,
	} {
		if found, err := r.List(dir + pattern); err != nil || len(found) != want {
			t.Errorf("List(%s) = %v, %v; want %d entries", pattern, found, err, want)
		}
	}
	if b, err := r.ReadFile(dir + "/filter.d/sshd.conf"); err != nil || string(b) != "filter.d/sshd.conf" {
		t.Errorf("%q, %v", b, err)
	}
	if pending, err := r.Flush(); pending || err != nil {
		t.Errorf("something was left open: %v, %v", pending, err)
	}
	for _, name := range []string{"/deep/link/in", "/deep/x/y", "/other"} {
		if _, err := r.ReadFile(dir + name); !errors.Is(err, host.ErrPending) {
			t.Errorf("ReadFile(%s) is answered without being asked: %v", name, err)
		}
	}
}

// TestPatternsMatchAlike compares what the far side matches with path.Match, on patterns and names of bytes.
func TestPatternsMatchAlike(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b", "ab", "ba", ".a", "-", "]", "[a]", "é", "éa", "\xff", "\xffa", "\xc3", "a\n", "a\nb", "*", "?", "\\", "^", "{1}", "$a", "a.b", "A", "日本"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startRemote(t, "sh", "-c")
	piece := rapid.SampledFrom([]string{"*", "?", "a", "b", "é", "\xff", "[a-z]", "[^a]", "[]a]", "[^^]", "[\\]]", "[z-a]", "[^z-a]", "\\*", "\\?", "\\\\", ".", "$", "(", "|", "{", "[a-]", "[--a]", "\n"})
	rapid.Check(t, func(rt *rapid.T) {
		elem := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(rt, "elem"), "")
		want := []string{}
		for _, n := range names {
			if ok, err := path.Match(elem, n); err == nil && ok {
				want = append(want, n)
			}
		}
		got := []string{}
		pattern := dir + "/" + elem
		_, err := r.List(pattern)
		if errors.Is(err, host.ErrPending) {
			if _, err := r.Flush(); err != nil {
				rt.Fatal(err)
			}
		}
		found, err := r.List(pattern)
		if _, bad := path.Match(elem, ""); bad != nil {
			if err == nil {
				rt.Fatalf("the pattern %q is accepted", elem)
			}
			return
		}
		if elem == "." || elem == ".." {
			return // the directory itself, or what Remote refuses because it leads out of it
		}
		if err != nil {
			rt.Fatal(err)
		}
		for _, fi := range found {
			got = append(got, path.Base(fi.Path))
		}
		less := func(a, b string) bool { return a < b }
		if !cmp.Equal(sorted(want, less), got) {
			rt.Fatalf("%q matches %q; path.Match says %q", elem, got, want)
		}
	})
}

func sorted(s []string, less func(a, b string) bool) []string {
	for i := range s {
		for j := i; j > 0 && less(s[j], s[j-1]); j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

// TestRemoteGarbage feeds answers that a hostile host could give.
func TestRemoteGarbage(t *testing.T) {
	hello := "castellan-host-1\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for name, reply := range map[string]string{
		"nothing": "", "half a frame": "\x00\x00\x01\x00abc", "huge frame": "\xff\xff\xff\xff", "empty frame": "\x00\x00\x00\x00",
		"unknown kind": "\x00\x00\x00\x05q\x00\x00\x00\x00", "unknown question": "\x00\x00\x00\x05e\x00\x00\x00\x09",
		"negative length": "\x00\x00\x00\x09e\x00\x00\x00\x00\xff\xff\xff\xff", "end at once": "\x00\x00\x00\x01z",
	} {
		t.Run(name, func(t *testing.T) {
			stream := struct {
				io.Reader
				io.Writer
			}{strings.NewReader("motd\n" + hello + reply), io.Discard}
			r, err := host.NewRemoteForTest(stream, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			_, _ = r.ReadFile("/etc/passwd")
			_, err = r.Flush()
			if _, rerr := r.ReadFile("/etc/passwd"); err == nil && rerr == nil {
				t.Error("garbage is taken for a file")
			}
		})
	}
}

// TestRemoteBudget proves that a round with too much to read ends within bounds, and says so.
func TestRemoteBudget(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte(strings.Repeat("x", 15<<20)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startRemote(t, "sh", "-c")
	r.Prefetch([]host.Need{{Read: dir + "/*"}})
	if _, err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	read, refused := 0, 0
	for i := range 6 {
		b, err := r.ReadFile(fmt.Sprintf("%s/f%d", dir, i))
		switch {
		case err == nil && len(b) == 15<<20:
			read++
		case errors.Is(err, host.ErrTooLarge):
			refused++
		default:
			t.Errorf("f%d: %d bytes, %v", i, len(b), err)
		}
	}
	if read != 4 || refused != 2 || r.Bytes() > 64<<20 {
		t.Errorf("%d files read, %d refused, %d bytes; want 4 and 2 in 64 MiB", read, refused, r.Bytes())
	}
}

// TestRemoteParallel proves that slow commands run side by side: each waits for the others.
func TestRemoteParallel(t *testing.T) {
	dir := t.TempDir()
	r := startRemote(t, "sh", "-c")
	var naps []host.Command
	for _, name := range []string{"a", "b", "c", "d"} {
		naps = append(naps, host.Command{Name: "nap-" + name, Timeout: time.Minute,
			Argv: []string{"sh", "-c", `cd "$0" && touch "$1" && until [ -e a ] && [ -e b ] && [ -e c ] && [ -e d ]; do sleep 0.1; done`, dir, name}})
	}
	for _, nap := range naps {
		_, _ = r.Run(nap)
	}
	if _, err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, nap := range naps {
		if out, err := r.Run(nap); err != nil || out.Code != 0 {
			t.Errorf("%s: %v, %+v", nap.Name, err, out)
		}
	}
}
