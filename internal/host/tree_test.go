package host_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func TestTreeMeta(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{
		"etc/shadow": "x", "etc/passwd": "y", "a b": "z",
		".castellan/meta": "# a copy\nnow 2026-11-20T12:00:00Z\nlive yes\n0640 0:42 /etc/shadow 2026-11-01T00:00:00Z\n" +
			"04755 7:8 /a b\n1777 0:0 /etc\n",
		".castellan/run/sshd-t": "port 22\n", ".castellan/run/failed": "", ".castellan/run/failed.rc": "3\n",
		".castellan/run/broken": "", ".castellan/run/broken.rc": "three",
	})
	d := openTree(t, dir)
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if got := d.Describe(); !got.Live || !got.Root || got.Kind != "dir" || !got.Now.Equal(now) {
		t.Errorf("Describe() = %+v", got)
	}
	for name, want := range map[string]host.File{
		"/etc/shadow": {Type: host.Regular, Mode: 0o640, GID: 42, Size: 1, ModTime: now.AddDate(0, 0, -19).Add(-12 * time.Hour)},
		"/etc/passwd": {Type: host.Regular, Mode: 0o644, Size: 1, ModTime: now},
		"/a b":        {Type: host.Regular, Mode: 0o4755, UID: 7, GID: 8, Size: 1, ModTime: now},
		"/etc":        {Type: host.Dir, Mode: 0o1777, ModTime: now},
		"/":           {Type: host.Dir, Mode: 0o755, ModTime: now},
	} {
		got, err := d.Stat(name)
		want.Path = name
		if got.Type == host.Dir {
			got.Size = 0
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Stat(%s): %v (-want +got):\n%s", name, err, diff)
		}
	}
	if found, err := d.List("/**"); err != nil || len(found) != 4 {
		t.Errorf("the copy's description is part of the copy: %v, %v", found, err)
	}
	if _, err := d.ReadFile("/.castellan/meta"); !host.NotExist(err) {
		t.Errorf("the copy's description can be read as a file of the target: %v", err)
	}
	run := func(name string) (host.Output, error) { return d.Run(host.Command{Name: name, Argv: []string{"x"}}) }
	if out, err := run("sshd-t"); err != nil || string(out.Stdout) != "port 22\n" || out.Code != 0 {
		t.Errorf("recorded output: %+v, %v", out, err)
	}
	if out, err := run("failed"); err != nil || out.Code != 3 {
		t.Errorf("recorded code: %+v, %v", out, err)
	}
	if _, err := run("broken"); err == nil || !strings.Contains(err.Error(), "broken.rc") {
		t.Errorf("a code that is no number: %v", err)
	}
}

func TestTreeMetaErrors(t *testing.T) {
	for line, want := range map[string]string{
		"nonsense": `cannot read "nonsense"`, "now yesterday": "is not a time", "live maybe": "want yes or no",
		"0999 0:0 /a": "cannot read", "77777 0:0 /a": "mode 77777", "0644 root:root /a": "cannot read",
		"0644 0:0 /missing": "not in the copy", "0644 0:0 /x/../a": "shortest form", "0644 0:0 a": "cannot read",
		"0644 0:0 /a 2026-13-01T00:00:00Z": "is not a time",
	} {
		dir := hosttest.Write(t, map[string]string{"a": "", ".castellan/meta": "live no\n" + line + "\n"})
		_, err := host.OpenDir(dir)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".castellan/meta:2: ") {
			t.Errorf("%q: %v; want %q with file and line", line, err, want)
		}
	}
}

func TestOpenDirErrors(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{"file": ""})
	for _, name := range []string{dir + "/missing", dir + "/file"} {
		if _, err := host.OpenDir(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("OpenDir(%s): %v", name, err)
		}
	}
}

// TestTreeOwners proves that a tree of an ordinary user says nothing about owners, and one of root's does.
func TestTreeOwners(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{"etc/passwd": "x"})
	if err := os.Chmod(dir+"/etc/passwd", 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		fi, err := openTree(t, dir).Stat("/etc/passwd")
		if err != nil || fi.OwnerUnknown || fi.Mode != 0o600 {
			t.Errorf("a tree of root: %+v, %v", fi, err)
		}
		if err := os.Chown(dir+"/etc", 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := openTree(t, dir).Stat("/etc/passwd")
	if err != nil || !fi.OwnerUnknown || fi.UID == 0 {
		t.Errorf("a tree of an ordinary user: %+v, %v", fi, err)
	}
}

func FuzzMeta(f *testing.F) {
	for _, s := range []string{"now 2026-11-20T12:00:00Z\n", "live yes\n", "0600 0:0 /a\n", "\x00", "0600 0:0 /\xff", strings.Repeat("x", 1<<16)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		d, err := host.OpenDir(hosttest.Write(t, map[string]string{"a": "", ".castellan/meta": content}))
		if err != nil {
			return
		}
		defer d.Close()
		if fi, err := d.Stat("/a"); err != nil || fi.Mode > 0o7777 || fi.UID < 0 {
			t.Errorf("%+v, %v", fi, err)
		}
	})
}
