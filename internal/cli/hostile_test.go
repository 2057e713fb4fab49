package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// recorder notes which files collectors read.
type recorder struct {
	host.Reader
	mu   sync.Mutex
	read map[string]bool
}

func (r *recorder) ReadFile(name string) ([]byte, error) {
	r.mu.Lock()
	r.read[name] = true
	r.mu.Unlock()
	return r.Reader.ReadFile(name)
}

// filesRead lists the files that a scan of the sample hosts and of an empty one reads.
func filesRead(t *testing.T) []string {
	t.Helper()
	read := map[string]bool{}
	for _, dir := range []string{"../../examples/pve8-blog-recipe", "../../examples/pve9-cluster-node", t.TempDir()} {
		d, err := host.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{Reader: d, read: read}
		if _, err := collect.Run(r, d.Describe(), collect.All()); err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	var out []string
	for name := range read {
		// Any words are a kernel command line, so nothing that stands in these is malformed.
		if name == "/etc/kernel/cmdline" || name == "/proc/cmdline" {
			continue
		}
		if filepath.Clean(name) == name && name != "/" && !strings.HasPrefix(name, "/.castellan") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func hostilities() map[string]func(file string) error {
	content := func(b []byte) func(string) error {
		return func(file string) error { return os.WriteFile(file, b, 0o644) }
	}
	return map[string]func(file string) error{
		"FIFO":          func(file string) error { return syscall.Mkfifo(file, 0o644) },
		"directory":     func(file string) error { return os.Mkdir(file, 0o755) },
		"loop of links": func(file string) error { return os.Symlink(filepath.Base(file), file) },
		"dangling link": func(file string) error { return os.Symlink("/no/such/file", file) },
		"2 GB file":     func(file string) error { return errOf(os.WriteFile(file, nil, 0o644), os.Truncate(file, 2<<30)) },
		"NUL bytes":     content(bytes.Repeat([]byte{0}, 4096)),
		"invalid UTF-8": content(bytes.Repeat([]byte{0xff, 0xfe, '\n', '=', 0x80}, 1000)),
		"one long line": content(bytes.Repeat([]byte("a =[{\"'"), 1<<17)),
		"many brackets": content([]byte(strings.Repeat("{\n", 1<<16) + strings.Repeat("[x]\n", 1<<14))),
		"includes itself": func(file string) error {
			return os.WriteFile(file, []byte("Include "+file+"\n@include "+filepath.Base(file)+"\n@includedir /etc\nsource "+file+"\n#includedir /etc\n[INCLUDES]\nbefore = "+filepath.Base(file)+"\n"), 0o644)
		},
	}
}

func errOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// judged judges a tree by the whole catalogue.
func judged(t *testing.T, dir string) map[string]posture.Finding {
	t.Helper()
	env, err := posture.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	cs, err := builtinControls()
	if err != nil {
		t.Fatal(err)
	}
	d, err := host.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	desc := d.Describe()
	desc.Now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	facts, err := collect.Run(d, desc, collect.All())
	if err != nil {
		t.Fatal(err)
	}
	if len(facts.Target.Faults) > 0 {
		t.Errorf("collectors broke off: %v", facts.Target.Faults)
	}
	out := map[string]posture.Finding{}
	for _, f := range posture.NewJudge(env, cs, nil, nil).Evaluate(facts).Findings {
		out[f.Control] = f
	}
	return out
}

// TestHostileFilesNeverPass puts something hostile in the place of every file that a scan reads: nothing may break, and
// nothing may pass that is failing or unknown on a host that has the directories and
// no more files than a Debian must have.
func TestHostileFilesNeverPass(t *testing.T) {
	files := filesRead(t)
	if len(files) < 60 {
		t.Fatalf("a scan reads only %d files", len(files))
	}
	bare := t.TempDir()
	for _, f := range files {
		if err := os.MkdirAll(filepath.Join(bare, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"var/lib/dpkg/status":                 "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22\n",
		"usr/lib/systemd/system/basic.target": "[Unit]\nDescription=Basic\n",
	} {
		file := filepath.Join(bare, name)
		if err := errOf(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	absent := judged(t, bare)
	for name, plant := range hostilities() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range files {
				file := filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					continue // another hostile file stands in the way
				}
				if err := plant(file); err != nil && !os.IsExist(err) {
					continue
				}
			}
			for id, f := range judged(t, dir) {
				bare := absent[id].Status
				if f.Status == posture.Pass && bare != posture.Pass && bare != posture.NotApplicable {
					t.Errorf("%s passes on hostile files (without them it is %s): %.300v", id, bare, f.Evidence)
				}
			}
		})
	}
}
