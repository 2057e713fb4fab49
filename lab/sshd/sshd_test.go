//go:build lab

// Package sshd compares internal/debian/sshd with the SSH servers of Debian 12 and 13 on generated configurations.
// Run as root: go test -tags lab ./lab/sshd/. CASTELLAN_LAB_ROOTS names the directory of the two minimal systems,
// which are built there with mmdebstrap when they are missing; -freeze writes the answers that the plain tests use.
package sshd

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/debian/sshd"
)

var (
	freeze = flag.Bool("freeze", false, "write the answers to internal/debian/sshd/testdata")
	cases  = flag.Int("cases", 400, "generated configurations per release and kind")
	seed   = flag.Uint64("seed", 1, "seed of the generated configurations")
)

// system is a root file system with an SSH server.
type system struct{ suite, root, version string }

// systems finds or builds the roots.
func systems(t *testing.T) []system {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("chroot needs root")
	}
	dir := os.Getenv("CASTELLAN_LAB_ROOTS")
	if dir == "" {
		dir = "/var/tmp/castellan-lab"
	}
	// Two runs at a time would write over each other's configurations.
	lock := flock.New(filepath.Join(dir, "sshd.lock"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	var out []system
	for _, suite := range []string{"bookworm", "trixie"} {
		root := filepath.Join(dir, suite+"-ssh")
		if _, err := os.Stat(root + "/usr/sbin/sshd"); err != nil {
			cmd := exec.Command("mmdebstrap", "--variant=minbase", "--include=openssh-server,netbase", suite, root, "http://ftp.debian.org/debian")
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("cannot build %s: %v\n%s", root, err, b)
			}
		}
		if err := prepare(root); err != nil {
			t.Fatal(err)
		}
		v, err := exec.Command("chroot", root, "dpkg-query", "-W", "-f", "${Version}", "openssh-server").Output()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, system{suite, root, string(v)})
	}
	return out
}

// prepare adds the accounts of the connections.
func prepare(root string) error {
	if err := os.MkdirAll(root+"/run/sshd", 0o755); err != nil {
		return err
	}
	for file, lines := range map[string]string{
		"/etc/passwd": "alice:x:2001:2001::/home/alice:/bin/bash\nbob:x:2002:2002::/home/bob:/bin/bash\n",
		"/etc/group":  "alice:x:2001:\nbob:x:2002:\nadmins:x:2003:alice,bob\nblocked:x:2004:bob\n",
	} {
		b, err := os.ReadFile(root + file)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte("alice:x:2001")) {
			continue
		}
		if err := os.WriteFile(root+file, append(b, lines...), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func connections() []sshd.Connection {
	mk := func(user string, groups []string, known bool, host, addr string) sshd.Connection {
		return sshd.Connection{User: user, Groups: groups, KnownUser: known, Host: host, Address: addr, LocalAddress: "10.9.9.9", LocalPort: 22}
	}
	return []sshd.Connection{
		mk("root", []string{"root"}, true, "10.1.2.3", "10.1.2.3"),
		mk("root", []string{"root"}, true, "192.0.2.1", "192.0.2.1"),
		mk("alice", []string{"alice", "admins"}, true, "gate.example.org", "2001:db8::7"),
		mk("bob", []string{"bob", "admins", "blocked"}, true, "10.1.2.3", "10.1.2.3"),
		mk("nobody2", nil, false, "192.0.2.9", "192.0.2.9"),
	}
}

// answer is one frozen answer of a real server.
type answer struct {
	Version string          `json:"version"`
	Files   caseFiles       `json:"files"`
	Conn    sshd.Connection `json:"conn"`
	OK      bool            `json:"ok"`
	Lines   []string        `json:"lines,omitempty"`
	Message string          `json:"message,omitempty"`

	crashed bool
}

// ask runs the real server.
func (s system) ask(t *testing.T, files caseFiles, c sshd.Connection) answer {
	t.Helper()
	spec := fmt.Sprintf("user=%s,host=%s,addr=%s,laddr=%s,lport=%d", c.User, c.Host, c.Address, c.LocalAddress, c.LocalPort)
	cmd := exec.Command("chroot", s.root, "/usr/sbin/sshd", "-T", "-f", "/etc/ssh/lab_config", "-C", spec)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	a := answer{Version: s.version, Files: files, Conn: c, OK: err == nil, Message: strings.TrimSpace(errs.String())}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		// Debian 13's sshd dies on a Subsystem in a Match block when the global section has fewer of them.
		a.crashed = !exit.Exited()
	}
	if err == nil {
		a.Message = ""
		a.Lines = normal(sshd.ParseOutput(out.String()))
	}
	return a
}

// normal sorts what the resolver orders as it likes.
func normal(s sshd.Settings) []string {
	if l, ok := s["listenaddress"]; ok {
		l.Values = slices.Clone(l.Values)
		slices.Sort(l.Values)
		s["listenaddress"] = l
	}
	return s.Lines()
}

// write puts the files of a case in place of the last ones.
func (s system) write(t *testing.T, files caseFiles) {
	t.Helper()
	dir := s.root + "/etc/ssh/"
	for _, old := range []string{"lab.d", "lab.extra", "lab_config"} {
		if err := os.RemoveAll(dir + old); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(dir+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// ours evaluates with the package under test.
func (s system) ours(files caseFiles, c sshd.Connection) (lines []string, err error) {
	rel, err := sshd.ParsePackageVersion(s.version)
	if err != nil {
		return nil, err
	}
	cfg, err := sshd.Load("/etc/ssh/lab_config", mapFiles(files), rel)
	if err != nil {
		return nil, err
	}
	set, err := cfg.For(c)
	if err != nil {
		return nil, err
	}
	if !rel.Tested() {
		return nil, fmt.Errorf("release %s is not a tested one", rel)
	}
	if rel.Major == 9 {
		delete(set, "debianbanner") // not printed by 9.2
	}
	return normal(set), nil
}

func mapFiles(files caseFiles) sshd.Files {
	return sshd.Files{
		Read: func(path string) ([]byte, error) {
			if c, ok := files[strings.TrimPrefix(path, "/etc/ssh/")]; ok {
				return []byte(c), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range files {
				if ok, err := filepath.Match(pattern, "/etc/ssh/"+name); err != nil {
					return nil, err
				} else if ok {
					out = append(out, "/etc/ssh/"+name)
				}
			}
			return out, nil
		},
	}
}

func TestAgreesWithTheRealServer(t *testing.T) {
	var frozen []answer
	for _, s := range systems(t) {
		t.Run(s.suite, func(t *testing.T) {
			accepted, refused, bad := 0, 0, 0
			for _, faults := range []bool{false, true} {
				for i := range *cases {
					g := &generator{rand.New(rand.NewPCG(*seed, uint64(i)<<1|map[bool]uint64{true: 1}[faults])), faults}
					files := g.config()
					s.write(t, files)
					for j, c := range connections() {
						if (i+j)%5 > 1 {
							continue // two connections per configuration
						}
						a := s.ask(t, files, c)
						if strings.Contains(a.Message, "no hostkeys available") || a.crashed {
							continue
						}
						if a.OK {
							accepted++
						} else {
							refused++
						}
						lines, err := s.ours(files, c)
						if diff := disagreement(a, lines, err); diff != "" {
							if bad++; bad <= 12 {
								t.Errorf("case %d faults=%v %s@%s: %s\n%s", i, faults, c.User, c.Address, diff, dump(files))
							}
						}
						if i < 80 {
							frozen = append(frozen, a)
						}
					}
				}
			}
			t.Logf("%s: %d answers compared, %d refusals compared, %d differ", s.version, accepted, refused, bad)
			if accepted < *cases || refused < *cases/8 {
				t.Errorf("too few cases to prove anything: %d accepted, %d refused", accepted, refused)
			}
		})
	}
	if *freeze && !t.Failed() {
		writeFrozen(t, frozen)
	}
}

func disagreement(a answer, lines []string, err error) string {
	switch {
	case a.OK && err != nil:
		return "sshd accepts, we say: " + err.Error()
	case !a.OK && err == nil:
		return "sshd refuses, we accept: " + a.Message
	case !a.OK && errors.Is(err, fs.ErrNotExist):
		return "cannot evaluate: " + err.Error()
	case !a.OK:
		return ""
	}
	return cmp.Diff(a.Lines, lines)
}

func dump(files caseFiles) string {
	var b strings.Builder
	for name, content := range files {
		fmt.Fprintf(&b, "--- %s\n%s", name, content)
	}
	return b.String()
}

func writeFrozen(t *testing.T, answers []answer) {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	e := json.NewEncoder(z)
	for _, a := range answers {
		if err := e.Encode(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../../internal/debian/sshd/testdata/answers.jsonl.gz", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d answers frozen in %d bytes", len(answers), b.Len())
}
