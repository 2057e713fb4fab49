// Package hosttest holds the contract that every host.Reader keeps, as a suite of tests over hostile and ordinary
// file trees. The tests of internal/host run it against this machine, against directories and against the far side
// of a connection. Tests of all rooms make their small trees of files with Write and Open. Only tests import it.
package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

// Target is an opened reader of a tree.
type Target struct {
	host.Reader
	// Prefix stands before the path of a file of the tree: the tree's own path where the reader sees the whole
	// machine, nothing where the tree is its root.
	Prefix string
	// Rooted is true when links that are absolute or lead upwards resolve inside the tree.
	Rooted bool
	// Runs is true when the target can run commands.
	Runs bool
}

// answer repeats a question while the answer is pending, with a round trip before each repetition.
func answer[T any](t *testing.T, target Target, ask func() (T, error)) (T, error) {
	t.Helper()
	v, err := ask()
	b, batched := target.Reader.(host.Batcher)
	if !errors.Is(err, host.ErrPending) {
		return v, err
	}
	if !batched {
		t.Fatalf("a reader without rounds answers %v", err)
	}
	if _, err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if v, err = ask(); errors.Is(err, host.ErrPending) {
		t.Fatalf("still pending after a round: %v", err)
	}
	return v, err
}

func (g Target) read(t *testing.T, name string) ([]byte, error) {
	t.Helper()
	return answer(t, g, func() ([]byte, error) { return g.ReadFile(g.Prefix + name) })
}

func (g Target) stat(t *testing.T, name string) (host.File, error) {
	t.Helper()
	return answer(t, g, func() (host.File, error) { return g.Stat(g.Prefix + name) })
}

// list gives the paths within the tree.
func (g Target) list(t *testing.T, pattern string) ([]string, error) {
	t.Helper()
	found, err := g.infos(t, pattern)
	names := []string{}
	for _, fi := range found {
		names = append(names, strings.TrimPrefix(fi.Path, g.Prefix))
	}
	if !sort.StringsAreSorted(names) {
		t.Errorf("List(%q) is not sorted", pattern)
	}
	return names, err
}

func (g Target) infos(t *testing.T, pattern string) ([]host.File, error) {
	t.Helper()
	return answer(t, g, func() ([]host.File, error) { return g.List(g.Prefix + pattern) })
}

// tree writes files into a fresh directory. A name that ends in a slash is a directory; a content that starts with
// "-> " is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		case strings.HasPrefix(content, "-> "):
			err = os.Symlink(content[3:], full)
		default:
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Suite runs the contract against readers that open makes for a tree.
func Suite(t *testing.T, open func(t *testing.T, tree string) Target) {
	tests := []struct {
		name string
		run  func(*testing.T, func(*testing.T, string) Target)
	}{
		{"ReadFile", testRead}, {"ReadErrors", testReadErrors}, {"ReadHostile", testReadHostile},
		{"Links", testLinks}, {"LinksLeadingOut", testLeadingOut},
		{"Stat", testStat}, {"List", testList}, {"ListRecursive", testRecursive}, {"ListHostile", testListHostile},
		{"BadPatterns", testBadPatterns}, {"HugeDirectory", testHuge}, {"Vanishing", testVanishing},
		{"Permission", testPermission}, {"Run", testRun}, {"RunBounds", testRunBounds}, {"Concurrent", testConcurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open) })
	}
}

func testRead(t *testing.T, open func(*testing.T, string) Target) {
	long := strings.Repeat("x", 10<<20) + "\n"
	files := map[string]string{
		"etc/hostname": "pve1\n", "empty": "", "nul": "a\x00b\xff\xfe\n", "long": long, "with space/a b": "s",
		"star/*": "literal star", "star/other": "other", "nl/a\nb": "newline", "utf8/\xff\xfe": "bytes",
		`back\slash`: "backslash", "q'u\"o$te": "quote",
	}
	g := open(t, tree(t, files))
	for name, want := range files {
		got, err := g.read(t, "/"+name)
		if err != nil || string(got) != want {
			t.Errorf("ReadFile(%q) = %d bytes, %v; want %d bytes", name, len(got), err, len(want))
		}
	}
	got, err := g.read(t, "/etc/../etc//hostname")
	if err != nil || string(got) != "pve1\n" {
		t.Errorf("a path that is not in its shortest form: %q, %v", got, err)
	}
}

func testReadErrors(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{"dir/file": "x", "dangling": "-> nowhere", "a": "-> b", "b": "-> a"}))
	for name, want := range map[string]error{
		"/missing": fs.ErrNotExist, "/missing/below": fs.ErrNotExist, "/dir/file/below": fs.ErrNotExist,
		"/dangling": fs.ErrNotExist, "/dir": host.ErrNotRegular, "/a": syscall.ELOOP, "/a/x": syscall.ELOOP,
	} {
		_, err := g.read(t, name)
		var named *host.Error
		if !errors.Is(err, want) || !errors.As(err, &named) || named.Op != "read" || named.Path != g.Prefix+name {
			t.Errorf("ReadFile(%s) fails with %v; want %v", name, err, want)
		}
	}
	for _, name := range []string{"relative", "", "/a\x00b"} {
		if _, err := g.ReadFile(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("ReadFile(%q) fails with %v; want %v", name, err, fs.ErrInvalid)
		}
	}
}

func testReadHostile(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"limit": strings.Repeat("y", host.MaxFile), "over": strings.Repeat("y", host.MaxFile+1)})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sparse"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "sparse"), 2<<30); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir)
	for name, want := range map[string]error{
		"/fifo": host.ErrNotRegular, "/sparse": host.ErrTooLarge, "/over": host.ErrTooLarge,
	} {
		if b, err := g.read(t, name); !errors.Is(err, want) {
			t.Errorf("ReadFile(%s) = %d bytes, %v; want %v", name, len(b), err, want)
		}
	}
	if b, err := g.read(t, "/limit"); err != nil || len(b) != host.MaxFile {
		t.Errorf("a file of the largest size: %d bytes, %v", len(b), err)
	}
}

func testLinks(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{
		"usr/lib/os-release": "ID=debian\n", "etc/os-release": "-> ../usr/lib/os-release",
		"nodes/pve1/lrm": "{}", "local": "-> nodes/pve1",
	}))
	if b, err := g.read(t, "/etc/os-release"); err != nil || string(b) != "ID=debian\n" {
		t.Errorf("through a relative link: %q, %v", b, err)
	}
	if b, err := g.read(t, "/local/lrm"); err != nil || string(b) != "{}" {
		t.Errorf("through a link to a directory: %q, %v", b, err)
	}
	if got, err := g.list(t, "/local/*"); err != nil || !cmp.Equal(got, []string{"/local/lrm"}) {
		t.Errorf("List through a link to a directory: %q, %v", got, err)
	}
	fi, err := g.infos(t, "/etc/os-release")
	if err != nil || len(fi) != 1 || fi[0].Type != host.Link || fi[0].Link != "../usr/lib/os-release" {
		t.Errorf("List does not show the link itself: %+v, %v", fi, err)
	}
	st, err := g.stat(t, "/etc/os-release")
	if err != nil || st.Type != host.Regular || st.Size != 10 || st.Link != "" {
		t.Errorf("Stat does not follow the link: %+v, %v", st, err)
	}
}

func testLeadingOut(t *testing.T, open func(*testing.T, string) Target) {
	outside := tree(t, map[string]string{"secret": "outside"})
	dir := tree(t, map[string]string{
		"abs": "-> " + outside + "/secret", "up": "-> ../../../../../../../../../.." + outside + "/secret",
		"etc/shadow": "inside", "shadow": "-> /etc/shadow", "upper": "-> ../../../../../../../../../../../etc/shadow",
		"root": "-> /", "magic": "-> /proc/self/root" + outside,
	})
	g := open(t, dir)
	if !g.Rooted {
		if b, err := g.read(t, "/abs"); err != nil || string(b) != "outside" {
			t.Errorf("an absolute link: %q, %v", b, err)
		}
		return
	}
	for _, name := range []string{"/abs", "/up", "/magic/secret", "/root" + outside + "/secret"} {
		if b, err := g.read(t, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadFile(%s) leads out: %q, %v", name, b, err)
		}
		if _, err := g.stat(t, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat(%s) leads out: %v", name, err)
		}
	}
	for _, name := range []string{"/shadow", "/upper", "/root/root/etc/shadow", "/../../etc/shadow"} {
		if b, err := g.read(t, name); err != nil || string(b) != "inside" {
			t.Errorf("ReadFile(%s) = %q, %v; want the file inside", name, b, err)
		}
	}
	if got, err := g.list(t, "/root/etc/*"); err != nil || !cmp.Equal(got, []string{"/root/etc/shadow"}) {
		t.Errorf("List through a link to /: %q, %v", got, err)
	}
}

func testStat(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"file": "12345", "d/": "", "loop": "-> loop"})
	when := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	full := filepath.Join(dir, "file")
	if err := os.Chtimes(full, when, when); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Chmod(full, 0o4751); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir)
	got, err := g.stat(t, "/file")
	if err != nil {
		t.Fatal(err)
	}
	want := host.File{Path: g.Prefix + "/file", Type: host.Regular, Mode: 0o4751, UID: os.Getuid(), GID: os.Getgid(),
		Size: 5, ModTime: when}
	if got.OwnerUnknown {
		want.OwnerUnknown, want.Mode, want.UID, want.GID = true, 0o7777, -1, -1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Stat (-want +got):\n%s", diff)
	}
	if got, err := g.stat(t, "/d"); err != nil || got.Type != host.Dir {
		t.Errorf("Stat of a directory: %+v, %v", got, err)
	}
	for name, want := range map[string]error{"/missing": fs.ErrNotExist, "/file/x": fs.ErrNotExist, "/loop": syscall.ELOOP} {
		if _, err := g.stat(t, name); !errors.Is(err, want) {
			t.Errorf("Stat(%s) fails with %v; want %v", name, err, want)
		}
	}
}

func testConcurrent(t *testing.T, open func(*testing.T, string) Target) {
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("f%d", i)] = strings.Repeat("z", i)
	}
	g := open(t, tree(t, files))
	ask := func() error {
		errs := make(chan error, len(files))
		for name, want := range files {
			go func() {
				b, err := g.ReadFile(g.Prefix + "/" + name)
				if err == nil && !bytes.Equal(b, []byte(want)) {
					err = fmt.Errorf("%s holds %q", name, b)
				}
				errs <- err
			}()
		}
		var first error
		for range files {
			if err := <-errs; err != nil && first == nil {
				first = err
			}
		}
		return first
	}
	err := ask()
	if b, ok := g.Reader.(host.Batcher); ok && errors.Is(err, host.ErrPending) {
		if _, err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		err = ask()
	}
	if err != nil {
		t.Error(err)
	}
}

func sortLines(b []byte) string {
	lines := host.Lines(b)
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}
