package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// seen is what a Reader shows of a tree, without times and owners, which an overlay leaves to whoever makes it, and without the
// sizes of directories.
func seen(r host.Reader) map[string]string {
	out := map[string]string{}
	for _, pattern := range []string{"/**", "/*", "/a", "/a/*", "/a/**", "/a/b/*", "/*/b", "/*/*", "/l/*", "/l/**", "/l/b/*", "/m/*", "/[al]/b", "/a/b", "/a/l/*", "/l/l/b"} {
		found, err := r.List(pattern)
		var s []string
		for _, f := range found {
			line := fmt.Sprintf("%s %d", f.Path, f.Type)
			if f.Type == host.Link {
				line += " -> " + f.Link
			} else {
				line += fmt.Sprintf(" %o", f.Mode)
			}
			s = append(s, line)
		}
		out["list "+pattern] = strings.Join(s, "\n") + failure(err)
	}
	for _, name := range paths() {
		b, err := r.ReadFile(name)
		out["read "+name] = string(b) + failure(err)
		f, err := r.Stat(name)
		if f.Type == host.Dir || f.Type == host.Other {
			f.Size = 0
		}
		out["stat "+name] = fmt.Sprintf("%s %d %o %d", f.Path, f.Type, f.Mode, f.Size) + failure(err)
	}
	return out
}

func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case host.NotExist(err):
		return " missing"
	case errors.Is(err, host.ErrNotRegular):
		return " not regular"
	}
	return " refused" // a loop of links
}

func paths() []string {
	var out []string
	for _, a := range []string{"", "/a", "/b", "/l", "/m"} {
		for _, b := range []string{"/a", "/b", "/l"} {
			out = append(out, a+b, a+b+"/b")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestOverlayShowsWhatPutMakes draws a tree and changes at random: the overlay of the tree shows what the tree shows once the
// changes are made.
func TestOverlayShowsWhatPutMakes(t *testing.T) {
	above, err := os.MkdirTemp("/dev/shm", "castellan-test-") // thousands of fsyncs of a disk take minutes
	if err != nil {
		above = t.TempDir()
	}
	defer os.RemoveAll(above)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(above, "tree")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		d := bare(t, dir)
		defer d.Close()
		node := rapid.Custom(func(rt *rapid.T) host.Node {
			n := host.Node{UID: -1, GID: -1, Mode: rapid.SampledFrom([]uint32{0o600, 0o644, 0o755}).Draw(rt, "mode")}
			switch n.Type = rapid.SampledFrom([]host.FileType{host.Regular, host.Dir, host.Dir, host.Link, host.Absent}).Draw(rt, "type"); n.Type {
			case host.Regular:
				n.Content = []byte(rapid.SampledFrom([]string{"", "one", "two two"}).Draw(rt, "content"))
			case host.Dir:
				n.Mode |= 0o700
			case host.Link:
				n.Mode, n.Link = 0o777, rapid.SampledFrom([]string{"a", "/a", "b", "../b", "/a/b", "l", "/m/..", "../../a", "/l/b", "nowhere"}).Draw(rt, "link")
			}
			return n
		})
		name := rapid.SampledFrom(paths())
		for range rapid.IntRange(0, 12).Draw(rt, "files") {
			_ = d.Put(name.Draw(rt, "path"), node.Draw(rt, "node"))
		}
		o := host.NewOverlay(d)
		type put struct {
			name string
			n    host.Node
		}
		var puts []put
		for range rapid.IntRange(1, 5).Draw(rt, "changes") {
			at, n := name.Draw(rt, "at"), node.Draw(rt, "new")
			// A draft changes paths without links in their directory, whose directory is there, and turns no full directory into
			// something else.
			parent, err := host.Resolve(o, path.Dir(at))
			if err != nil {
				continue
			}
			at = path.Join(parent, path.Base(at))
			if f, err := host.Lstat(o, parent); err != nil || f.Type != host.Dir {
				continue
			}
			if f, err := host.Lstat(o, at); err == nil && (f.Type == host.Dir || n.Type == host.Dir) && f.Type != n.Type {
				continue
			}
			if err := o.Set(at, n); err != nil {
				rt.Fatal(err)
			}
			puts = append(puts, put{at, n})
		}
		want := seen(o)
		for _, p := range puts {
			if err := d.Put(p.name, p.n); err != nil {
				rt.Fatalf("%s: %v", p.name, err)
			}
		}
		if diff := cmp.Diff(seen(d), want); diff != "" {
			rt.Errorf("%+v (-made +overlay):\n%s", puts, diff)
		}
	})
}

func TestOverlayOfOverlay(t *testing.T) {
	d := bare(t, hosttest.Write(t, map[string]string{"etc/a": "1", "etc/b": "2"}))
	below := host.NewOverlay(d)
	o := host.NewOverlay(below)
	file := func(s string) host.Node { return host.Node{Type: host.Regular, Mode: 0o644, Content: []byte(s)} }
	for _, err := range []error{below.Set("/etc/a", file("3")), below.Set("/etc/c", file("4")), o.Set("/etc/c", file("5")), o.Set("/etc/b", host.Node{Type: host.Absent})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	found, err := o.List("/etc/*")
	for _, f := range found {
		b, err := o.ReadFile(f.Path)
		if err != nil {
			t.Error(err)
		}
		got[f.Path] = string(b)
	}
	if diff := cmp.Diff(map[string]string{"/etc/a": "3", "/etc/c": "5"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n, ok := o.Drafted("/etc/a"); !ok || string(n.Content) != "3" {
		t.Errorf("%+v, %v", n, ok)
	}
	if got := o.Changed(); !slices.Equal(got, []string{"/etc/b", "/etc/c"}) {
		t.Error(got)
	}
	old, _ := o.Node("/etc/c")
	if err := o.Set("/etc/c", file("9")); err != nil {
		t.Fatal(err)
	}
	if err := o.Set("/etc/d", file("")); err != nil {
		t.Fatal(err)
	}
	o.Restore("/etc/c", old)
	o.Unset("/etc/d")
	if b, err := o.ReadFile("/etc/c"); string(b) != "5" {
		t.Errorf("%q, %v was put back", b, err)
	}
	if _, err := o.Stat("/etc/d"); !host.NotExist(err) {
		t.Errorf("what was set is still there: %v", err)
	}
}

func TestResolve(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{"a/b/file": ""})
	for link, to := range map[string]string{"loop": "loop", "ping": "pong", "pong": "ping", "way": "a/b", "a/up": "../../../a", "abs": "/a", "dangling": "a/new/x", "self": "."} {
		if err := os.Symlink(to, dir+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	d := bare(t, dir)
	for name, want := range map[string]string{
		"/way/file": "/a/b/file", "/a/up/b": "/a/b", "/abs/b/../b/file": "/a/b/file", "/dangling": "/a/new/x", "/none/../x": "/x", "/": "/",
		"/self/self/a": "/a", "/way/../file": "/file", "/a/../../..": "/",
	} {
		if got, err := host.Resolve(d, name); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"/loop", "/ping/x", "relative", "/\x00"} {
		if got, err := host.Resolve(d, name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}
