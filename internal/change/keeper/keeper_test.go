package keeper

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// systemd is a machine whose systemd behaves: it reads units at daemon-reload, starts only what it has read, and tells when
// a timer elapses.
type systemd struct {
	host.Memory
	t      *testing.T
	nodes  map[string]host.Node
	loaded map[string]string // unit files as of the last daemon-reload
	active map[string]string // active timers and what they were started from
	now    time.Time
	noexec bool
	fault  func(act, name string) error
	log    []string
}

func newSystemd(t *testing.T) *systemd {
	s := &systemd{t: t, nodes: map[string]host.Node{}, loaded: map[string]string{}, active: map[string]string{},
		now: time.Date(2026, 11, 21, 8, 0, 0, 500, time.UTC)}
	for _, d := range []string{"/run/systemd/system", unitDir, unitDir + "/multi-user.target.wants", "/var/lib"} {
		s.nodes[d] = host.Node{Type: host.Dir, Mode: 0o755}
	}
	return s
}

func (s *systemd) Look(name string) (host.Node, error) {
	if n, ok := s.nodes[name]; ok {
		return n, nil
	}
	return host.Node{Type: host.Absent}, nil
}

func (s *systemd) Put(name string, n host.Node) error {
	if s.fault != nil {
		if err := s.fault("put", name); err != nil {
			return err
		}
	}
	if n.Type == host.Absent {
		delete(s.nodes, name)
		return nil
	}
	if d := s.nodes[path.Dir(name)]; d.Type != host.Dir && path.Dir(name) != "/" {
		return &host.Error{Op: "change", Path: name, Err: fs.ErrNotExist}
	}
	s.nodes[name] = n
	return nil
}

func (s *systemd) Stat(name string) (host.File, error) {
	n, ok := s.nodes[name]
	if !ok {
		return host.File{}, &host.Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return host.File{Path: name, Type: n.Type, Mode: n.Mode, Size: int64(len(n.Content))}, nil
}

func (s *systemd) List(pattern string) ([]host.File, error) {
	var out []host.File
	for name := range s.nodes {
		if ok, err := path.Match(pattern, name); err != nil {
			s.t.Fatal(err)
		} else if ok {
			f, _ := s.Stat(name)
			out = append(out, f)
		}
	}
	return out, nil
}

func (s *systemd) Run(c host.Command) (host.Output, error) {
	line := strings.Join(c.Argv, " ")
	s.log = append(s.log, line)
	if s.fault != nil {
		if err := s.fault("run", c.Name); err != nil {
			return host.Output{}, err
		}
	}
	switch {
	case c.Name == "keeper-try" && s.noexec:
		return host.Output{}, &host.Error{Op: "run", Path: c.Name, Err: fs.ErrPermission}
	case c.Name == "keeper-try":
		if n := s.nodes[c.Argv[0]]; n.Mode != 0o700 || string(n.Content) != "PROGRAM" {
			s.t.Errorf("%s is run and is %+v", c.Argv[0], n)
		}
		return host.Output{Stdout: []byte("castellan v1\n")}, nil
	case c.Name == "keeper-digest":
		return host.Output{Stdout: []byte(digestOf(s.nodes[c.Argv[2]].Content) + "  x\n")}, nil
	case line == "systemctl daemon-reload":
		clear(s.loaded)
		for name, n := range s.nodes {
			if path.Dir(name) == unitDir && n.Type == host.Regular {
				s.loaded[path.Base(name)] = string(n.Content)
			}
		}
		return host.Output{}, nil
	case line == "systemctl restart "+revertTimer:
		if s.loaded[revertTimer] == "" || s.loaded[revertService] == "" {
			return host.Output{Code: 5, Stderr: []byte("Failed to restart castellan-revert.timer: Unit not found.\n")}, nil
		}
		s.active[revertTimer] = s.loaded[revertTimer]
		s.nodes[stamp] = host.Node{Type: host.Regular}
		return host.Output{}, nil
	case line == "systemctl stop "+revertTimer:
		if _, ok := s.active[revertTimer]; !ok && s.loaded[revertTimer] == "" {
			return host.Output{Code: 5}, nil
		}
		delete(s.active, revertTimer)
		return host.Output{}, nil
	case c.Name == "keeper-verify":
		text, ok := s.active[revertTimer]
		if !ok {
			return host.Output{Stdout: []byte("LoadState=not-found\nActiveState=inactive\nNextElapseUSecRealtime=\n")}, nil
		}
		_, after, _ := strings.Cut(text, "OnCalendar=")
		when, err := time.Parse("2006-01-02 15:04:05 UTC", strings.SplitN(after, "\n", 2)[0])
		if err != nil {
			s.t.Error(err)
		}
		return host.Output{Stdout: []byte("LoadState=loaded\nActiveState=active\nNextElapseUSecRealtime=" + when.Format("Mon 2006-01-02 15:04:05 UTC") + "\n")}, nil
	}
	s.t.Errorf("%s is run, and nobody knows why", line)
	return host.Output{}, fs.ErrNotExist
}

func digestOf(b []byte) string {
	out, err := exec.Command("sh", "-c", `printf %s "$0" | sha256sum`, string(b)).Output()
	if err != nil {
		return err.Error()
	}
	return strings.Fields(string(out))[0]
}

func (s *systemd) keeper(state string) *Systemd {
	s.t.Helper()
	k, err := New(Options{Machine: s, State: state, Binary: func() ([]byte, error) { return []byte("PROGRAM"), nil }, Now: func() time.Time { return s.now }})
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// files lists what lies on the machine below a directory.
func (s *systemd) files(below string) []string {
	var out []string
	for name, n := range s.nodes {
		if strings.HasPrefix(name, below) && n.Type != host.Dir {
			out = append(out, name)
		}
	}
	return out
}

var txn = change.Transaction{ID: "20261121-080000-ssh"}

func TestArmAndDisarm(t *testing.T) {
	s := newSystemd(t)
	k := s.keeper("/var/lib/castellan/")
	deadline := s.now.Add(10 * time.Minute)
	if err := k.Arm(txn, deadline); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{revertService, revertTimer, recoverService} {
		golden(t, filepath.Join("testdata", name), string(s.nodes[path.Join(unitDir, name)].Content))
	}
	for link, target := range links() {
		if n := s.nodes[link]; n.Type != host.Link || n.Link != target {
			t.Errorf("%s is %+v", link, n)
		}
	}
	if len(s.active) != 1 {
		t.Error("no timer runs")
	}
	// Another deadline replaces the first; the program is there already.
	s.log = nil
	s.now = s.now.Add(time.Minute)
	if err := k.Arm(txn, deadline.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.active[revertTimer], "OnCalendar=2026-11-21 08:11:01 UTC\nOnActiveSec=602s\n") {
		t.Errorf("the timer is\n%s", s.active[revertTimer])
	}
	for range 2 {
		if err := k.Disarm(txn); err != nil {
			t.Fatal(err)
		}
		if left := s.files("/etc"); len(left)+len(s.files("/var/lib")) > 0 || len(s.active) > 0 || len(s.loaded) > 0 {
			t.Errorf("what is left: %v, running %v, loaded %v", left, s.active, s.loaded)
		}
	}
	for _, line := range s.log {
		if strings.Contains(line, "stop "+revertService) || strings.Contains(line, "stop "+recoverService) {
			t.Errorf("%s would end the program that disarms", line)
		}
	}
}

func TestArmRefuses(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name, want string
		prepare    func(s *systemd)
		within     time.Duration
	}{
		{"a file system without execution", "noexec", func(s *systemd) { s.noexec = true }, time.Minute},
		{"a deadline that has passed", "has passed", func(*systemd) {}, 0},
		{"a unit cannot be written", "broken", func(s *systemd) {
			s.fault = func(act, name string) error {
				if act == "put" && strings.HasSuffix(name, recoverService) {
					s.fault = nil // it is only once that the disk is full
					return broken
				}
				return nil
			}
		}, time.Minute},
		{"systemd cannot be asked", "broken", func(s *systemd) {
			s.fault = func(act, name string) error {
				if act == "run" && name == "keeper-verify" {
					return broken
				}
				return nil
			}
		}, time.Minute},
		{"the timer does not start", "does not run", func(s *systemd) {
			s.fault = func(act, name string) error {
				if act == "run" && name == "keeper-verify" {
					delete(s.active, revertTimer)
				}
				return nil
			}
		}, time.Minute},
		{"the timer elapses too late", "only, and the deadline is", func(s *systemd) {
			s.fault = func(act, name string) error {
				if act == "run" && name == "keeper-verify" {
					s.active[revertTimer] = "OnCalendar=2026-11-21 09:00:00 UTC\n"
				}
				return nil
			}
		}, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSystemd(t)
			k := s.keeper("/var/lib/castellan")
			tt.prepare(s)
			err := k.Arm(txn, s.now.Add(tt.within))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if left := s.files("/etc"); len(left) > 0 || len(s.active) > 0 {
				t.Errorf("what is left: %v, running %v", left, s.active)
			}
		})
	}
}

// A deadline that is replaced must not be lost when the new one cannot be set.
func TestArmAgainFails(t *testing.T) {
	s := newSystemd(t)
	k := s.keeper("/var/lib/castellan")
	if err := k.Arm(txn, s.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.fault = func(act, name string) error {
		if act == "run" && name == "keeper-verify" {
			return fs.ErrPermission
		}
		return nil
	}
	if err := k.Arm(txn, s.now.Add(2*time.Minute)); err == nil {
		t.Error("a deadline that could not be verified is armed")
	}
	if len(s.active) != 1 || len(s.files(unitDir)) != 5 {
		t.Errorf("the deadline is gone: %v, %v", s.active, s.files(unitDir))
	}
}

func TestProgram(t *testing.T) {
	s := newSystemd(t)
	k := s.keeper("/srv/a b/100%")
	s.nodes["/srv"], s.nodes["/srv/a b"] = host.Node{Type: host.Dir}, host.Node{Type: host.Dir}
	if err := k.Arm(txn, s.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	program := "/srv/a b/100%/bin/castellan-" + digestOf([]byte("PROGRAM"))[:12]
	if n := s.nodes[program]; string(n.Content) != "PROGRAM" {
		t.Fatalf("%v", s.files("/srv"))
	}
	for _, want := range []string{`RequiresMountsFor="/srv/a b/100%%"`, `ExecStart="` + strings.ReplaceAll(program, "%", "%%") + `" revert --recover --state "/srv/a b/100%%" --yes`} {
		if got := s.loaded[revertService]; !strings.Contains(got, want+"\n") {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	// A copy that is damaged is replaced, one of another version removed.
	old := "/srv/a b/100%/bin/castellan-000000000000"
	s.nodes[old] = host.Node{Type: host.Regular, Mode: 0o700, Content: []byte("OLD")}
	s.nodes[program] = host.Node{Type: host.Regular, Mode: 0o700, Content: []byte("PROGRAN")}
	if err := k.Arm(txn, s.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.nodes[old]; ok || string(s.nodes[program].Content) != "PROGRAM" {
		t.Errorf("%v, %q", s.files("/srv"), s.nodes[program].Content)
	}
}

func TestNewRefuses(t *testing.T) {
	s := newSystemd(t)
	for _, state := range []string{"", "state", "/a\nb", "/a\"b", "/a$HOME", `/a\b`, "/a'b", "/a\xff"} {
		if _, err := New(Options{Machine: s, State: state, Binary: func() ([]byte, error) { return nil, nil }, Now: time.Now}); err == nil {
			t.Errorf("--state %q is taken", state)
		}
	}
	delete(s.nodes, "/run/systemd/system")
	_, err := New(Options{Machine: s, State: "/var/lib/castellan", Binary: func() ([]byte, error) { return nil, nil }, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "systemd does not run this host") {
		t.Errorf("without systemd: %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a keeper of nothing")
	}
}

// TestUnitsAreUnits lets systemd itself judge the files.
func TestUnitsAreUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		hosttest.Lacks(t, "systemd-analyze is missing, so the units were not verified by systemd")
	}
	for _, name := range []string{"plain", "with blanks and 100%"} {
		dir := filepath.Join(t.TempDir(), name)
		program := filepath.Join(dir, "bin", "castellan-0123456789ab")
		if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		u := units{program: program, state: dir, id: txn.ID, deadline: time.Date(2036, 11, 21, 8, 0, 0, 1, time.UTC), left: time.Minute}
		var args []string
		for _, f := range u.files() {
			file := filepath.Join(dir, f.name)
			if err := os.WriteFile(file, []byte(f.content), 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
		out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, args...)...).CombinedOutput()
		for _, l := range strings.Split(string(out), "\n") {
			if strings.Contains(l, "castellan") {
				t.Errorf("systemd-analyze: %s", l)
			}
		}
		if err != nil && !strings.Contains(string(out), "castellan") {
			t.Logf("systemd-analyze ended with %v for other reasons:\n%s", err, out)
		}
	}
	out, err := exec.Command("systemd-analyze", "calendar", "2036-11-21 08:00:01 UTC").CombinedOutput()
	if err != nil {
		t.Errorf("OnCalendar is not understood: %s", out)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/var/lib/castellan", "/a b", "/100%", "/a\nExecStart=/bin/sh", "/\x00", "/a\"", "//", "/" + strings.Repeat("x", 10<<20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, state string) {
		if usableInUnits(state) != nil {
			return
		}
		u := units{program: state + "/bin/castellan-0", state: state, id: "x"}
		for _, file := range u.files() {
			plain := units{program: "/p", state: "/s", id: "x"}
			for _, p := range plain.files() {
				if p.name == file.name && strings.Count(p.content, "\n") != strings.Count(file.content, "\n") {
					t.Errorf("%q makes lines of its own:\n%s", state, file.content)
				}
			}
			if strings.ContainsAny(strings.ReplaceAll(file.content, "\n", ""), "\x00\r") {
				t.Errorf("%q", file.content)
			}
		}
	})
}
