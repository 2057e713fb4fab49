package change

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
)

// TestMetaKeepsOtherLines sets and drops descriptions in a copy: the lines of all other paths stay byte for byte, what was set is what
// the copy says, and setting it again changes nothing.
func TestMetaKeepsOtherLines(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		paths := []string{"/etc/a", "/etc/b", "/etc/ab", "/etc/ssh"}
		var lines []string
		for range rapid.IntRange(0, 8).Draw(rt, "lines") {
			lines = append(lines, rapid.SampledFrom([]string{"now 2026-11-20T12:00:00Z", "# 0600 0:0 /etc/a", "", "live yes",
				"0600 0:0 /etc/b", "0640 0:42  /etc/ab 2026-11-01T00:00:00Z", "0755 0:0 /etc/ssh", "\t0644  1:1 /etc/b"}).Draw(rt, "line")+
				rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(rt, "ending"))
		}
		text := strings.Join(lines, "")
		if rapid.Bool().Draw(rt, "unended") {
			text = strings.TrimRight(text, "\r\n")
		}
		d, m := metaDraft(t, text)
		path := rapid.SampledFrom(paths).Draw(rt, "path")
		mode := rapid.Uint32Range(0, 0o7777).Draw(rt, "mode")
		uid := rapid.IntRange(-1, 100).Draw(rt, "uid")
		if err := m.set(d, path, &mode, uid, 7); err != nil {
			rt.Fatal(err)
		}
		if got, want := others(m.node.Content, path), others([]byte(text), path); !slices.Equal(got, want) {
			rt.Fatalf("other lines were %q and are %q", want, got)
		}
		got := m.described(host.Regular, path)
		if got.Mode != mode || got.GID != 7 || uid >= 0 && got.UID != uid {
			rt.Fatalf("is %+v in %q", got, m.node.Content)
		}
		once := string(m.node.Content)
		if err := m.set(d, path, &mode, uid, 7); err != nil || string(m.node.Content) != once {
			rt.Fatalf("a second time: %v %q", err, m.node.Content)
		}
		if err := m.drop(d, path); err != nil {
			rt.Fatal(err)
		}
		if strings.Contains(strings.Join(fieldsOf(m.node.Content), " "), path+"!") {
			rt.Fatalf("%s is still in %q", path, m.node.Content)
		}
		if got, want := others(m.node.Content, path), others([]byte(text), path); !slices.Equal(got, want) {
			rt.Fatalf("after dropping, other lines were %q and are %q", want, got)
		}
	})
}

// metaDraft is a draft of a directory with a description, without a disk.
func metaDraft(t *testing.T, text string) (*Draft, *metaEdit) {
	t.Helper()
	files := host.NewOverlay(nothing{})
	for _, name := range []string{"/etc/a", "/etc/b", "/etc/ab", "/etc/ssh"} {
		if err := files.Set(name, host.Node{Type: host.Regular}); err != nil {
			t.Fatal(err)
		}
	}
	m := &metaEdit{host.Node{Type: host.Regular, Content: []byte(text)}}
	return &Draft{Overlay: files, notes: map[string]*note{}, meta: m, at: Change{Control: "TST-01"}}, m
}

// nothing is an empty host.
type nothing struct{}

func (nothing) ReadFile(name string) ([]byte, error) {
	return nil, &host.Error{Op: "read", Path: name, Err: fs.ErrNotExist}
}
func (nothing) Stat(name string) (host.File, error) {
	return host.File{}, &host.Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
}
func (nothing) List(string) ([]host.File, error)      { return nil, nil }
func (nothing) Run(host.Command) (host.Output, error) { return host.Output{}, host.ErrUnavailable }

// others are the lines that describe other paths, without the ending of the last one.
func others(b []byte, path string) []string {
	var out []string
	for l := range strings.Lines(string(b)) {
		if p, _ := metaFields(l); p != path {
			out = append(out, strings.TrimSuffix(l, "\n"))
		}
	}
	return out
}

// fieldsOf are the described paths, each with a mark at its end.
func fieldsOf(b []byte) []string {
	var out []string
	for l := range strings.Lines(string(b)) {
		if p, _ := metaFields(l); p != "" {
			out = append(out, p+"!")
		}
	}
	return out
}

// TestMetaOfWholePlans removes and describes files of a copy; what was described and is not touched stays.
func TestMetaOfWholePlans(t *testing.T) {
	const meta = "now 2026-11-20T12:00:00Z\r\n# mine\n0640 0:42 /etc/shadow 2026-11-01T00:00:00Z\n0600 0:0 /etc/gone\n"
	p := newPlanner(t, false, map[string]string{".castellan/meta": meta, "etc/shadow": "x\n", "etc/gone": "x\n", "etc/other": "x\n"})
	plan := p.mustPlan(t,
		Change{Control: "TST-01", Kind: "file", Path: "/etc/shadow", Content: "y\n", Mode: "0600"},
		Change{Control: "TST-02", Kind: "file", Path: "/etc/gone", Ensure: "absent"},
		Change{Control: "TST-03", Kind: "file", Path: "/etc/other", Mode: "0600", Owner: "root:shadow"})
	d, _, err := p.Redraft(plan)
	if err != nil {
		t.Fatal(err)
	}
	want := "now 2026-11-20T12:00:00Z\r\n# mine\n0600 0:42 /etc/shadow 2026-11-01T00:00:00Z\n0600 0:42 /etc/other\n"
	if got := string(d.After["/.castellan/meta"].Content); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	after, err := p.After(plan.Changes)
	if err != nil {
		t.Fatal(err)
	}
	f, err := after.Stat("/etc/shadow")
	if err != nil || f.Mode != 0o600 || f.GID != 42 {
		t.Errorf("the copy as it will be says %+v %v", f, err)
	}
	found, err := after.List("/etc/sh*")
	if err != nil || len(found) != 1 || found[0].Mode != 0o600 {
		t.Errorf("%+v %v", found, err)
	}
}

func TestDiff(t *testing.T) {
	file := func(s string) host.Node { return host.Node{Type: host.Regular, Content: []byte(s), Mode: 0o644} }
	absent := host.Node{Type: host.Absent}
	for _, c := range []struct {
		before, after host.Node
		secret        bool
		want          string
	}{
		{absent, file("a\n"), false, "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"},
		{file("a\n"), absent, false, "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"},
		{file("a\n"), file("a\n"), false, ""},
		{file("a\n"), file("b\nc\n"), true, "--- a/x\n+++ b/x\n(the content is secret: 2 lines added, 1 removed)\n"},
		{file("\xff\n"), file("a\n"), false, "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\uFFFD\n+a\n"},
		{file("a\x00b"), file("c\n"), false, fmt.Sprintf("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-(binary, 3 bytes, %.12s)\n+c\n", file("a\x00b").Digest())},
		{absent, host.Node{Type: host.Link, Link: "/dev/null"}, false, "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+-> /dev/null\n"},
		{absent, host.Node{Type: host.Dir, Mode: 0o755}, false, ""},
	} {
		if got := diff("/x", c.before, c.after, c.secret); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
