package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/session"
	"github.com/castellan-project/castellan/internal/host"
)

func TestParseOperator(t *testing.T) {
	for s, want := range map[string]change.Operator{
		"root@192.0.2.7":              {User: "root", Address: "192.0.2.7"},
		"al@192.0.2.9/24":             {User: "al", Address: "192.0.2.0/24"},
		"al@2001:db8::/32":            {User: "al", Address: "2001:db8::/32"},
		"al@::ffff:192.0.2.7":         {User: "al", Address: "192.0.2.7"},
		`CORP\al@example@203.0.113.1`: {User: `CORP\al@example`, Address: "203.0.113.1"},
	} {
		if got, err := parseOperator(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "root", "@192.0.2.7", "root@", "root@host", "root@192.0.2.0/33", "root@fe80::1%eth0", "a b@192.0.2.7", "a\n@192.0.2.7", "*@192.0.2.7", "a:b@192.0.2.7"} {
		if got, err := parseOperator(s); err == nil {
			t.Errorf("%q gives %+v", s, got)
		}
	}
}

func FuzzParseOperator(f *testing.F) {
	for _, s := range []string{"root@192.0.2.7", "al@2001:db8::/32", "@", "\x00@\xff", strings.Repeat("@", 10<<20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseOperator(s)
		if err != nil {
			return
		}
		again, err := parseOperator(o.Words())
		if err != nil || again != o {
			t.Errorf("%q gives %+v, and that %+v, %v", s, o, again, err)
		}
	})
}

func TestOtherHost(t *testing.T) {
	dir := change.Host{Kind: "dir", Target: "/srv/image", Hostname: "web1", MachineID: "aa"}
	local := change.Host{Kind: "local", Target: "local", Hostname: "pve1", MachineID: "bb"}
	with := func(h change.Host, f func(*change.Host)) change.Host { f(&h); return h }
	for _, tt := range []struct {
		name       string
		plan, here change.Host
		same       bool
	}{
		{"the same directory", dir, dir, true},
		{"an image that was cloned", dir, with(dir, func(h *change.Host) { h.Hostname = "web2" }), false},
		{"another image", dir, with(dir, func(h *change.Host) { h.MachineID = "cc" }), false},
		{"the same host", local, local, true},
		{"a host that was renamed", local, with(local, func(h *change.Host) { h.Hostname = "pve9" }), true},
		{"another host of that name", local, with(local, func(h *change.Host) { h.MachineID = "cc" }), false},
		{"the same host over SSH", with(local, func(h *change.Host) { h.Kind, h.Target = "ssh", "ssh://root@pve1" }), local, true},
		{"a host and a directory of it", local, with(local, func(h *change.Host) { h.Kind = "dir" }), false},
	} {
		if err := otherHost(tt.plan, tt.here); (err == nil) != tt.same {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// here is a plan for this machine in which nothing is to be done; it cannot change anything whoever applies it.
func here(t *testing.T, edit func(*change.Host)) string {
	t.Helper()
	l := host.NewLocal()
	h, err := hostOf(l, l.Describe())
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(&h)
	}
	p := &change.Planner{Machine: l, Target: l.Describe(), Host: h, Tool: "castellan", Now: time.Now()}
	plan, err := p.Plan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestApplyToThisMachine(t *testing.T) {
	run := func(args ...string) (int, string) {
		var out, errw bytes.Buffer
		code := Main(append([]string{"apply", "--yes", "--state", filepath.Join(t.TempDir(), "state")}, args...), strings.NewReader(""), &out, &errw)
		return code, out.String() + errw.String()
	}
	if code, text := run(here(t, func(h *change.Host) { h.MachineID, h.Hostname = "another", "another" })); code != ExitRefused || !strings.Contains(text, "this is another one") {
		t.Errorf("another host's plan: %d %s", code, text)
	}
	if code, text := run("--confirm-within", "0s", here(t, nil)); code != ExitRefused || !strings.Contains(text, "no time to confirm") {
		t.Errorf("a deadline of zero: %d %s", code, text)
	}
	if os.Geteuid() != 0 {
		if code, text := run(here(t, nil)); code != ExitRefused || !strings.Contains(text, "needs root: run it with sudo") {
			t.Errorf("not root: %d %s", code, text)
		}
	}
}

func TestChangeExit(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
	}{
		{&change.RefusedError{Reason: "x"}, ExitRefused},
		{&change.RefusedError{Reason: "x", Details: []string{"a\x1b[2J", "b"}}, ExitRefused},
		{&change.StaleError{Reasons: []string{"x"}}, ExitRefused},
		{&change.PlanError{Reason: "x"}, ExitUsage},
		{&change.DamageError{}, ExitRefused},
		{&change.StepError{Err: errors.New("x")}, ExitTarget},
		{&change.LeftError{}, ExitTarget},
		{usage("x"), ExitUsage},
		{errors.New("x"), ExitTarget},
	} {
		var e *exitError
		if err := changeExit(tt.err); !errors.As(err, &e) || e.code != tt.code || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%T: %v", tt.err, err)
		}
	}
	if changeExit(nil) != nil {
		t.Error("no error is an error")
	}
}

func TestProof(t *testing.T) {
	a := &app{in: strings.NewReader("XXXXXX\n"), out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now, env: func(string) string { return "" }}
	txn := change.Transaction{ID: "20261121-080000-ssh", BootID: "b", Ticks: 100}
	for _, tt := range []struct {
		conn session.Connection
		new  bool
		why  string
	}{
		{session.Connection{Kind: session.SSH, BootID: "b", Ticks: 101, Address: "192.0.2.7"}, true, "ssh from 192.0.2.7"},
		{session.Connection{Kind: session.SSH, BootID: "b", Ticks: 99}, false, "before the change"},
		{session.Connection{Kind: session.Console, BootID: "b", Ticks: 101, TTY: "tty1"}, false, "is no terminal"},
		{session.Connection{Loose: "tmux", TTY: "pts/0"}, false, "outside of tmux"},
		{session.Connection{}, false, "no terminal"},
	} {
		got, err := a.proof(tt.conn, txn)
		if err != nil || got.New != tt.new || !strings.Contains(got.Why, tt.why) {
			t.Errorf("%+v: %+v, %v", tt.conn, got, err)
		}
	}
}

func TestKernelClock(t *testing.T) {
	boot, ticks := kernelClock()
	if len(boot) != 36 || ticks == 0 {
		t.Fatalf("%q, %d", boot, ticks)
	}
	// This process began before now, and hours ago at most, however slow the machine is.
	c := session.Find(session.Source{Reader: host.NewLocal(), PID: os.Getpid()})
	if c.BootID != boot {
		t.Errorf("%q and %q", c.BootID, boot)
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var began uint64
	if err := json.Unmarshal([]byte(f[19]), &began); err != nil {
		t.Fatal(err)
	}
	if began > ticks || ticks-began > 10*60*60*ticksPerSecond {
		t.Errorf("the process began at %d and it is %d", began, ticks)
	}
}

func TestShortTime(t *testing.T) {
	for d, want := range map[time.Duration]string{10 * time.Minute: "10m", 90 * time.Second: "1m30s", time.Hour: "1h", 30*time.Second + 400*time.Millisecond: "30s"} {
		if got := shortTime(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

// pty opens a terminal: what is written to the first is typed on the second.
func pty(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT CHECKED: this system gives no terminals: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("NOT CHECKED: this system unlocks no terminals: %v", err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("NOT CHECKED: this system has no /dev/pts: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

// prompted types an answer once the prompt is there; it is made of what was shown.
type prompted struct {
	bytes.Buffer
	answer func(shown string) string
	keys   *os.File
}

func (p *prompted) Write(b []byte) (int, error) {
	n, err := p.Buffer.Write(b)
	if s := p.answer(p.String()); s != "" {
		if _, werr := p.keys.WriteString(s); werr != nil {
			return n, werr
		}
	}
	return n, err
}

func TestCodeIsTyped(t *testing.T) {
	console := session.Connection{Kind: session.Console, TTY: "tty1", BootID: "b", Ticks: 1}
	code := regexp.MustCompile(`type ([A-Z0-9]{6}) within 1m0s: $`)
	for name, tt := range map[string]struct {
		answer func(code string) string
		new    bool
	}{
		"the code":               {func(c string) string { return c + "\n" }, true},
		"the code in small":      {func(c string) string { return " " + strings.ToLower(c) + "\n" }, true},
		"another code":           {func(c string) string { return "AAAAAA\n" }, false},
		"nothing":                {func(c string) string { return "\n" }, false},
		"a part":                 {func(c string) string { return c[:5] + "\n" }, false},
		"the end of the session": {func(c string) string { return "\x04" }, false},
	} {
		keys, term := pty(t)
		shown := &prompted{keys: keys, answer: func(s string) string {
			if m := code.FindStringSubmatch(s); m != nil {
				return tt.answer(m[1])
			}
			return ""
		}}
		a := &app{in: term, out: &bytes.Buffer{}, err: shown, now: time.Now, env: func(string) string { return "" }}
		got, err := a.proof(console, change.Transaction{ID: "x", BootID: "b", Ticks: 100})
		var e *exitError
		if got.New != tt.new || (err == nil) != tt.new || err != nil && (!errors.As(err, &e) || e.code != ExitRefused) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAgree(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "yep\n": false, "\x04": false} {
		keys, term := pty(t)
		shown := &prompted{keys: keys, answer: func(s string) string {
			if strings.HasSuffix(s, "[y/N] ") {
				return answer
			}
			return ""
		}}
		a := &app{in: term, out: &bytes.Buffer{}, err: shown, now: time.Now, env: func(string) string { return "" }}
		if err := a.agree("Apply?", false); (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
	}
	a := &app{in: strings.NewReader("y\n"), err: &bytes.Buffer{}}
	var e *exitError
	if err := a.agree("Apply?", false); !errors.As(err, &e) || e.code != ExitUsage {
		t.Errorf("without a terminal: %v", err)
	}
	if err := a.agree("Apply?", true); err != nil {
		t.Error(err)
	}
}
