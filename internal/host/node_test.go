package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

func bare(t testing.TB, dir string) *host.Tree {
	t.Helper()
	d, err := host.OpenBare(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// mine fills in who the present user is, where a node leaves that open.
func mine(n host.Node) host.Node {
	if n.UID < 0 {
		n.UID, n.GID = os.Geteuid(), os.Getegid()
	}
	return n
}

// TestPutLook puts nodes of every type over nodes of every type, and finds them as they were put.
func TestPutLook(t *testing.T) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 678, time.UTC)
	nodes := map[string]host.Node{
		"a file":        {Type: host.Regular, Content: []byte("one\x00two\n"), Mode: 0o640, UID: -1, GID: -1, ModTime: at},
		"an old file":   {Type: host.Regular, Content: []byte("old\n"), Mode: 0o4711, UID: -1, GID: -1, ModTime: at.AddDate(0, 1, 0)},
		"nothing in it": {Type: host.Regular, Content: []byte{}, Mode: 0o400, UID: -1, GID: -1, ModTime: at},
		"a link":        {Type: host.Link, Link: "../no/where", Mode: 0o777, UID: -1, GID: -1, ModTime: at},
		"nothing":       {Type: host.Absent},
		"a directory":   {Type: host.Dir, Mode: 0o1750, UID: -1, GID: -1, ModTime: at},
	}
	for from, old := range nodes {
		for to, n := range nodes {
			if (old.Type == host.Dir) != (n.Type == host.Dir) && old.Type != host.Absent && n.Type != host.Absent {
				continue // a directory is no file; see below
			}
			for kind, m := range map[string]host.Machine{"tree": nil, "local": host.NewLocal()} {
				dir := hosttest.Write(t, map[string]string{"etc/other": "x"})
				name := "/etc/it"
				if kind == "tree" {
					m = bare(t, dir)
				} else {
					name = dir + name
				}
				for _, n := range []host.Node{old, n} {
					if err := m.Put(name, n); err != nil {
						t.Fatalf("%s: %s over %s: %v", kind, to, from, err)
					}
					got, err := m.Look(name)
					if err != nil {
						t.Fatal(err)
					}
					got.Xattrs = nil
					if diff := cmp.Diff(mine(n), got); diff != "" {
						t.Errorf("%s: %s over %s (-want +got):\n%s", kind, to, from, diff)
					}
				}
				left, err := filepath.Glob(dir + "/etc/.*")
				if len(left) > 0 || err != nil {
					t.Errorf("left behind: %v", left)
				}
			}
		}
	}
}

func TestPutErrors(t *testing.T) {
	d := bare(t, hosttest.Write(t, map[string]string{"etc/full/file": "x", "etc/file": "y"}))
	file := host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1}
	for name, c := range map[string]struct {
		path string
		n    host.Node
		want error
	}{
		"a file over a directory":        {"/etc/full", file, unix.EISDIR},
		"removing a full directory":      {"/etc/full", host.Node{Type: host.Absent}, unix.ENOTEMPTY},
		"below something missing":        {"/no/where", file, fs.ErrNotExist},
		"below a file":                   {"/etc/file/x", file, fs.ErrNotExist},
		"a directory over a file":        {"/etc/file", host.Node{Type: host.Dir, Mode: 0o755, UID: -1, GID: -1}, fs.ErrNotExist},
		"the root":                       {"/", file, fs.ErrInvalid},
		"a relative path":                {"etc/x", file, fs.ErrInvalid},
		"a node of no type":              {"/etc/x", host.Node{}, fs.ErrInvalid},
		"a NUL in the name":              {"/etc/\x00", file, fs.ErrInvalid},
		"a name that is too long for it": {"/etc/" + strings.Repeat("x", 250), file, unix.ENAMETOOLONG},
	} {
		if err := d.Put(c.path, c.n); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, want := range map[string]string{"/etc/full/file": "x", "/etc/file": "y"} {
		if b, err := d.ReadFile(name); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if err := d.Put("/no/where", host.Node{Type: host.Absent}); err != nil {
		t.Errorf("what is not there is removed already: %v", err)
	}
}

// TestPutInside proves that links do not lead a Put out of a tree, and that those in the directory of a path are followed.
func TestPutInside(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{"root/etc/real/x": "", "outside/x": ""})
	for link, to := range map[string]string{"root/etc/way": "/etc/real", "root/out": dir + "/outside", "root/up": "../../outside"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	d := bare(t, dir+"/root")
	n := host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: []byte("new")}
	if err := d.Put("/etc/way/x", n); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/out/x", "/up/x"} {
		if err := d.Put(name, n); !host.NotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"root/etc/real/x": "new", "outside/x": ""} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// TestPutLeftovers proves that what a killed process left is overwritten, whatever it is.
func TestPutLeftovers(t *testing.T) {
	for _, n := range []host.Node{{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: []byte("new")}, {Type: host.Link, Link: "x", UID: -1, GID: -1},
		{Type: host.Dir, Mode: 0o755, UID: -1, GID: -1}, {Type: host.Absent}} {
		for _, left := range []string{"file", "link", "dir"} {
			dir := hosttest.Write(t, map[string]string{"etc/other": "precious"})
			temp := dir + host.Leftover("/etc/it")
			var err error
			switch left {
			case "file":
				err = os.WriteFile(temp, []byte("half"), 0o600)
			case "link":
				err = os.Symlink("other", temp)
			case "dir":
				err = os.Mkdir(temp, 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := bare(t, dir).Put("/etc/it", n); err != nil {
				t.Errorf("over a %s: %v", left, err)
			}
			if _, err := os.Lstat(temp); err == nil {
				t.Errorf("the %s is left", left)
			}
			if b, _ := os.ReadFile(dir + "/etc/other"); string(b) != "precious" {
				t.Errorf("what the leftover pointed to is %q", b)
			}
		}
	}
}

// TestPutFaults lets every act of a Put fail: the path is as before or as wanted, and with a cleaner exit nothing else is there.
func TestPutFaults(t *testing.T) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	states := []host.Node{{Type: host.Regular, Mode: 0o640, UID: -1, GID: -1, Content: []byte("new and longer"), ModTime: at},
		{Type: host.Link, Link: "x", UID: -1, GID: -1, Mode: 0o777}, {Type: host.Absent}, {Type: host.Dir, Mode: 0o750, UID: -1, GID: -1}}
	for _, from := range states {
		for _, to := range states {
			if (from.Type == host.Dir) != (to.Type == host.Dir) && from.Type != host.Absent && to.Type != host.Absent {
				continue
			}
			for _, kill := range []bool{false, true} {
				for k, acts := 0, 1; k < acts; k++ {
					dir := hosttest.Write(t, map[string]string{"etc/other": ""})
					d := bare(t, dir)
					if err := d.Put("/etc/it", from); err != nil {
						t.Fatal(err)
					}
					n := 0
					d.SetFault(func(string, string) error {
						n++
						if n-1 == k || kill && n > k {
							return unix.EIO
						}
						return nil
					})
					err := d.Put("/etc/it", to)
					acts = max(acts, n)
					d.SetFault(nil)
					got, lerr := d.Look("/etc/it")
					if lerr != nil {
						t.Fatal(lerr)
					}
					if d := got.Digest(); d != mine(from).Digest() && d != mine(to).Digest() {
						t.Errorf("act %d of %v over %v: %+v (%v)", k, to.Type, from.Type, got, err)
					}
					if left, _ := filepath.Glob(dir + "/etc/.*"); len(left) > 0 && !kill {
						t.Errorf("act %d: left behind %v", k, left)
					}
					if err := d.Put("/etc/it", to); err != nil {
						t.Errorf("once more after act %d: %v", k, err)
					}
					if left, _ := filepath.Glob(dir + "/etc/.*"); len(left) > 0 {
						t.Errorf("after act %d and once more: left behind %v", k, left)
					}
				}
			}
		}
	}
}

// TestPutCluster proves that on the cluster file system neither mode nor owner nor time is set, and nothing is linked.
func TestPutCluster(t *testing.T) {
	for _, pmxcfs := range []bool{true, false} {
		dir := hosttest.Write(t, map[string]string{"etc/pve/user.cfg": "old", "etc/passwd": "x"})
		d := bare(t, dir)
		host.SetUserspace(d, pmxcfs)
		var acts []string
		d.SetFault(func(act, path string) error {
			acts = append(acts, act)
			switch act {
			case "chmod", "chown", "utimes", "xattr", "symlink":
				if strings.HasPrefix(path, "/etc/pve/") && pmxcfs {
					return unix.EPERM
				}
			}
			return nil
		})
		n := host.Node{Type: host.Regular, Mode: 0o640, UID: -1, GID: -1, Content: []byte("new"), ModTime: time.Unix(1, 0)}
		for _, name := range []string{"/etc/pve/user.cfg", "/etc/pve/fresh.cfg"} {
			if err := d.Put(name, n); err != nil {
				t.Error(err)
			}
		}
		if err := d.Put("/etc/pve/firewall", host.Node{Type: host.Dir, Mode: 0o755, UID: -1, GID: -1}); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(fmt.Sprint(acts), "chmod"); got == pmxcfs {
			t.Errorf("on the cluster file system %v: %v", pmxcfs, acts)
		}
		if b, err := d.ReadFile("/etc/pve/fresh.cfg"); string(b) != "new" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if got, err := d.Look("/etc/pve/user.cfg"); err != nil || !pmxcfs && got.Mode != 0o640 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestPutXattrs proves that extended attributes come back, where the file system has them.
func TestPutXattrs(t *testing.T) {
	dir := hosttest.Write(t, map[string]string{"etc/it": "x"})
	if err := unix.Setxattr(dir+"/etc/it", "user.castellan", []byte("kept"), 0); err != nil {
		t.Skipf("this file system keeps no extended attributes of users: %v", err)
	}
	d := bare(t, dir)
	old, err := d.Look("/etc/it")
	if err != nil || string(old.Xattrs["user.castellan"]) != "kept" {
		t.Fatalf("%+v, %v", old, err)
	}
	for _, n := range []host.Node{{Type: host.Absent}, old} {
		if err := d.Put("/etc/it", n); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Look("/etc/it")
	if diff := cmp.Diff(old, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestLock proves that a lock keeps the second out, says who has it, and is given back.
func TestLock(t *testing.T) {
	name := t.TempDir() + "/lock"
	release, err := host.Lock(name, "apply by alice")
	if err != nil {
		t.Fatal(err)
	}
	_, err = host.Lock(name, "apply by bob")
	var held *host.LockedError
	if !errors.As(err, &held) || !errors.Is(err, host.ErrLocked) || !strings.Contains(held.Holder, "apply by alice") {
		t.Errorf("%v", err)
	}
	release()
	if release, err = host.Lock(name, "x"); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := host.Lock(t.TempDir()+"/no/lock", "x"); err == nil || errors.Is(err, host.ErrLocked) {
		t.Error(err)
	}
}

func TestRunEnv(t *testing.T) {
	out, err := host.NewLocal().Run(host.Command{Name: "env", Argv: []string{"env"}, Env: []string{"DEBIAN_FRONTEND=noninteractive"}})
	if err != nil || !strings.Contains(string(out.Stdout), "DEBIAN_FRONTEND=noninteractive\n") {
		t.Errorf("%q, %v", out.Stdout, err)
	}
	for _, v := range []string{"", "X", "=x", "A=\x00"} {
		if _, err := host.NewLocal().Run(host.Command{Name: "env", Argv: []string{"env"}, Env: []string{v}}); err == nil {
			t.Errorf("the variable %q is taken", v)
		}
	}
}
