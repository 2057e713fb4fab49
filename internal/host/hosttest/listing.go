package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
)

func testList(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{
		"etc/a.conf": "", "etc/b.conf": "", "etc/.hidden.conf": "", "etc/c.txt": "", "etc/d/e.conf": "",
		"home/al/.ssh/authorized_keys": "", "home/bo/.ssh/authorized_keys": "", "home/cy/x": "", "home/file": "",
		"home/link": "-> al", "loop": "-> loop", "empty/": "", "utf/é": "", "utf/\xff": "", "br/[x]": "", "br/x": "",
	}))
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"/etc/*.conf", []string{"/etc/.hidden.conf", "/etc/a.conf", "/etc/b.conf"}},
		{"/etc/[ab].conf", []string{"/etc/a.conf", "/etc/b.conf"}},
		{"/etc/[^a]*.conf", []string{"/etc/.hidden.conf", "/etc/b.conf"}},
		{"/etc/?.*", []string{"/etc/a.conf", "/etc/b.conf", "/etc/c.txt"}},
		{"/etc/c.txt", []string{"/etc/c.txt"}},
		{"/etc/missing", []string{}},
		{"/missing/*", []string{}},
		{"/etc/a.conf/*", []string{}},
		{"/empty/*", []string{}},
		{"/loop/*", []string{}},
		{"/loop", []string{"/loop"}},
		{"/home/*/.ssh/authorized_keys", []string{
			"/home/al/.ssh/authorized_keys", "/home/bo/.ssh/authorized_keys", "/home/link/.ssh/authorized_keys"}},
		{"/utf/?", []string{"/utf/é", "/utf/\xff"}},
		{`/br/\[x\]`, []string{"/br/[x]"}},
		{"/br/[x]", []string{"/br/x"}},
	} {
		got, err := g.list(t, tt.pattern)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("List(%q): %v (-want +got):\n%s", tt.pattern, err, diff)
		}
	}
}

func testRecursive(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{
		"a/b/c/d": "", "a/e": "", "a/link": "-> b", "a/up": "-> ..", "other": "", "deep/x/y": "", "deep/z": "",
	}))
	for pattern, want := range map[string][]string{
		"/a/**":      {"/a/b", "/a/b/c", "/a/b/c/d", "/a/e", "/a/link", "/a/up"},
		"/a/link/**": {"/a/link/c", "/a/link/c/d"},
		"/de*/x/**":  {"/deep/x/y"},
		"/none/**":   {},
		"/other/**":  {},
	} {
		got, err := g.list(t, pattern)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("List(%q): %v (-want +got):\n%s", pattern, err, diff)
		}
	}
}

func testListHostile(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"d/\xff\xfe\n\x01": "", "d/ ": "", "d/-rf": "", "d/$(id)": "", "d/`id`": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "d/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir, "deep")
	if err := os.MkdirAll(filepath.Join(deep, strings.Repeat("x/", 500)), 0o755); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir)
	got, err := g.list(t, "/d/*")
	want := []string{"/d/ ", "/d/$(id)", "/d/-rf", "/d/`id`", "/d/fifo", "/d/\xff\xfe\n\x01"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("hostile names: %v (-want +got):\n%s", err, diff)
	}
	if got, err := g.list(t, "/deep/**"); err != nil || len(got) != 500 {
		t.Errorf("a deep tree: %d entries, %v", len(got), err)
	}
	fi, err := g.infos(t, "/d/fifo")
	if err != nil || len(fi) != 1 || fi[0].Type != host.Other {
		t.Errorf("a FIFO: %+v, %v", fi, err)
	}
}

func testBadPatterns(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{"a": ""}))
	for _, p := range []string{"", "relative/*", "/", "/a/../b", "/**/b", "/[", "/[a", "/a\\", "/a\x00", "/[é]"} {
		if found, err := g.List(p); err == nil || errors.Is(err, host.ErrPending) {
			t.Errorf("List(%q) = %v, %v; want an error", p, found, err)
		}
	}
}

// testHuge makes 300,000 entries, which is more than MaxList.
func testHuge(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"many/": "", "few/wanted.conf": ""})
	seed := filepath.Join(dir, "many", "seed")
	if err := os.WriteFile(seed, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 300_000 {
		name := filepath.Join(dir, "many", fmt.Sprint(i))
		// Hard links are made faster than files; a file has room for 65,000 of them on ext4.
		if i%60_000 == 0 {
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			seed = name
			continue
		}
		if err := os.Link(seed, name); err != nil {
			t.Fatal(err)
		}
	}
	g := open(t, dir)
	for _, p := range []string{"/many/*", "/many/**", "/*/*"} {
		if found, err := g.infos(t, p); !errors.Is(err, host.ErrTooLarge) || len(found) != 0 {
			t.Errorf("List(%s) = %d entries, %v; want %v", p, len(found), err, host.ErrTooLarge)
		}
	}
	if found, err := g.list(t, "/many/29999[0-9]"); err != nil || len(found) != 10 {
		t.Errorf("few matches among many entries: %q, %v", found, err)
	}
}

// testVanishing lists a directory while another process creates and removes entries in it.
func testVanishing(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"d/stays": "x"})
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(dir, "d", fmt.Sprint("v", i%50))
			_ = os.Mkdir(name, 0o755)
			_ = os.Remove(name)
		}
	}()
	defer func() { close(stop); <-ended }()
	for range 5 {
		g := open(t, dir)
		for _, p := range []string{"/d/*", "/d/**", "/d/*/x"} {
			found, err := g.list(t, p)
			if err != nil {
				t.Errorf("List(%s) fails because of a vanishing entry: %v", p, err)
			}
			if !strings.HasSuffix(p, "x") && !strings.Contains(strings.Join(found, " "), "/d/stays") {
				t.Errorf("List(%s) misses what stays: %q", p, found)
			}
		}
	}
}

// testPermission needs an ordinary user: to root nothing is forbidden. Under root it proves the opposite.
func testPermission(t *testing.T, open func(*testing.T, string) Target) {
	dir := tree(t, map[string]string{"closed/file": "x", "secret": "s", "open/file": "y", "seen/file": "z"})
	for name, mode := range map[string]os.FileMode{"closed": 0, "secret": 0, "seen": 0o111} {
		full := filepath.Join(dir, name)
		if err := os.Chmod(full, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(full, 0o755) })
	}
	g := open(t, dir)
	want := func(err error) bool {
		if os.Geteuid() == 0 {
			return err == nil
		}
		return errors.Is(err, fs.ErrPermission)
	}
	for _, name := range []string{"/closed/file", "/secret"} {
		if _, err := g.read(t, name); !want(err) {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
	}
	if _, err := g.stat(t, "/closed/file"); !want(err) {
		t.Errorf("Stat below a closed directory: %v", err)
	}
	for _, p := range []string{"/closed/*", "/closed/**", "/closed/file", "/*/file", "/**", "/seen/*"} {
		if found, err := g.list(t, p); !want(err) {
			t.Errorf("List(%s) = %q, %v: an incomplete listing must say so", p, found, err)
		}
	}
	if found, err := g.list(t, "/seen/file"); err != nil || len(found) != 1 {
		t.Errorf("a known name in a directory that may only be searched: %q, %v", found, err)
	}
	if found, _ := g.list(t, "/*/file"); !strings.Contains(strings.Join(found, " "), "/open/file") {
		t.Errorf("an incomplete listing lacks what can be read: %q", found)
	}
}

func testRun(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{"a": ""}))
	run := func(name string, argv ...string) (host.Output, error) {
		t.Helper()
		return answer(t, g, func() (host.Output, error) {
			return g.Run(host.Command{Name: name, Argv: argv, Timeout: time.Minute})
		})
	}
	if !g.Runs {
		if _, err := run("id", "id", "-u"); !errors.Is(err, host.ErrUnavailable) {
			t.Errorf("Run without recorded output: %v; want %v", err, host.ErrUnavailable)
		}
		return
	}
	out, err := run("both", "sh", "-c", "cat; echo out; echo err >&2; exit 3")
	if diff := cmp.Diff(host.Output{Stdout: []byte("out\n"), Stderr: []byte("err\n"), Code: 3}, out); diff != "" || err != nil {
		t.Errorf("Run: %v (-want +got):\n%s", err, diff)
	}
	out, err = run("env", "env")
	if want := "HOME=/\nLC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"; err != nil || sortLines(out.Stdout) != want {
		t.Errorf("the environment is %q, %v; want %q", out.Stdout, err, want)
	}
	if out, err = run("pwd", "pwd"); err != nil || string(out.Stdout) != "/\n" {
		t.Errorf("the working directory is %q, %v", out.Stdout, err)
	}
	if out, err = run("arguments", "printf", "%s|", "a b", "$HOME", "'", "", "\xff"); err != nil || string(out.Stdout) != "a b|$HOME|'||\xff|" {
		t.Errorf("arguments arrive as %q, %v", out.Stdout, err)
	}
	if out, err = run("signal", "sh", "-c", "kill -9 $$"); err != nil || out.Code != 128+9 {
		t.Errorf("a program that a signal ends: code %d, %v", out.Code, err)
	}
	for _, argv := range [][]string{{"no-such-program"}, {"/no/such/program"}} {
		if _, err := run("missing", argv...); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Run(%v): %v; want %v", argv, err, fs.ErrNotExist)
		}
	}
	for _, c := range []host.Command{{}, {Name: "x"}, {Name: "Bad Name", Argv: []string{"id"}}, {Name: "x", Argv: []string{"a\x00b"}}} {
		if _, err := g.Run(c); err == nil || errors.Is(err, host.ErrPending) {
			t.Errorf("Run(%+v) is accepted: %v", c, err)
		}
	}
}

func testRunBounds(t *testing.T, open func(*testing.T, string) Target) {
	g := open(t, tree(t, map[string]string{"a": ""}))
	if !g.Runs {
		if b, ok := g.Reader.(host.Batcher); ok {
			t.Errorf("%T has rounds but runs nothing", b)
		}
		return
	}
	run := func(c host.Command) (host.Output, error) {
		t.Helper()
		return answer(t, g, func() (host.Output, error) { return g.Run(c) })
	}
	mark := fmt.Sprintf("77%d", os.Getpid())
	if _, err := run(host.Command{Name: "slow", Argv: []string{"sh", "-c", "sleep " + mark + "; true"}, Timeout: time.Second}); !errors.Is(err, host.ErrTimeout) {
		t.Errorf("a slow command: %v; want %v", err, host.ErrTimeout)
	}
	if running(t, "sleep\x00"+mark) {
		t.Error("the child of a command that was too slow still runs")
	}
	if _, err := run(host.Command{Name: "endless", Argv: []string{"cat", "/dev/zero"}}); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("endless output: %v; want %v", err, host.ErrTooLarge)
	}
	out, err := run(host.Command{Name: "talks", Argv: []string{"sh", "-c", "head -c 1000000 /dev/zero >&2; echo ok"}})
	if err != nil || string(out.Stdout) != "ok\n" || len(out.Stderr) != 4<<10 {
		t.Errorf("much on standard error: %q, %d bytes, %v", out.Stdout, len(out.Stderr), err)
	}
	// To wait for the child would be to wait until the command times out.
	out, err = run(host.Command{Name: "daemon", Argv: []string{"sh", "-c", "sleep 1" + mark + " & echo started"}})
	if err != nil || string(out.Stdout) != "started\n" {
		t.Errorf("a child that keeps the output open: %q, %v", out.Stdout, err)
	}
	if running(t, "sleep\x001"+mark) {
		t.Error("a child that was left behind still runs")
	}
}

// running reports whether a process of this machine has the command line.
func running(t *testing.T, cmdline string) bool {
	t.Helper()
	// A killed process may take a moment to disappear, on a loaded machine seconds.
	for range 400 {
		found := false
		names, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if b, err := os.ReadFile(n); err == nil && strings.HasPrefix(string(b), cmdline) {
				found = true
			}
		}
		if !found {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}
