package host_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// sshServer is an SSH server in this process that runs what it is asked to in a shell, as sshd does.
type sshServer struct {
	addr    string
	key     ssh.Signer
	allowed ssh.PublicKey
	// shell replaces the command that a client asks for; %s is the command.
	shell string
	execs chan string
}

func newKey(t *testing.T, file, passphrase string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return signer
}

func startServer(t *testing.T, allowed ssh.PublicKey, shell string) *sshServer {
	t.Helper()
	s := &sshServer{key: newKey(t, filepath.Join(t.TempDir(), "host"), ""), allowed: allowed, shell: shell, execs: make(chan string, 100)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *sshServer) serve(c net.Conn) {
	defer c.Close()
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if s.allowed != nil && bytes.Equal(k.Marshal(), s.allowed.Marshal()) {
			return nil, nil
		}
		return nil, errors.New("not allowed")
	}}
	cfg.AddHostKey(s.key)
	_, channels, requests, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			go s.session(ch)
		case "direct-tcpip":
			go forward(ch)
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "no")
		}
	}
}

func (s *sshServer) session(n ssh.NewChannel) {
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		var p struct{ Command string }
		if ssh.Unmarshal(r.Payload, &p) != nil {
			return
		}
		s.execs <- p.Command
		cmd := exec.Command("sh", "-c", p.Command)
		if s.shell != "" {
			cmd = exec.Command("sh", "-c", s.shell, "sh", p.Command)
		}
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		cmd.WaitDelay = 5 * time.Second
		// Not cmd.Stdin: waiting for the command would wait for the client to hang up.
		in, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(in, ch); in.Close() }()
		code := 0
		if err := cmd.Run(); err != nil {
			code = max(cmd.ProcessState.ExitCode(), 1)
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
		return
	}
}

func forward(n ssh.NewChannel) {
	var to struct {
		Host  string
		Port  uint32
		From  string
		FPort uint32
	}
	if ssh.Unmarshal(n.ExtraData(), &to) != nil {
		return
	}
	out, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer out.Close()
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(out, ch) }()
	_, _ = io.Copy(ch, out)
}

// site is a server with a home directory whose key opens it and which knows its host key.
type site struct {
	*sshServer
	home   string
	target host.SSHTarget
}

func newSite(t *testing.T, passphrase, shell string) *site {
	t.Helper()
	home := t.TempDir()
	key := newKey(t, filepath.Join(home, ".ssh/id_ed25519"), passphrase)
	s := &site{sshServer: startServer(t, key.PublicKey(), shell), home: home}
	s.knows(t, s.addr, s.key.PublicKey())
	target, err := host.ParseSSH("ssh://tester@" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.target = target
	s.target.Home, s.target.KnownHosts = home, []string{filepath.Join(home, ".ssh/known_hosts")}
	s.target.Timeout = time.Minute
	return s
}

func (s *site) knows(t *testing.T, addr string, key ssh.PublicKey) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.home, ".ssh/known_hosts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, knownhosts.Line([]string{addr}, key))
}

func (s *site) dial(t *testing.T) *host.Remote {
	t.Helper()
	r, err := host.DialSSH(t.Context(), s.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestSSH(t *testing.T) {
	s := newSite(t, "", "")
	hosttest.Suite(t, func(t *testing.T, tree string) hosttest.Target {
		return hosttest.Target{Reader: s.dial(t), Prefix: tree, Runs: true}
	})
}

// TestSSHDescribes proves that one connection with one command serves all rounds.
func TestSSHDescribes(t *testing.T) {
	s := newSite(t, "", "echo Welcome to pve1; eval \"$1\"")
	began := time.Now()
	r := s.dial(t)
	d := r.Describe()
	if d.Kind != "ssh" || !d.Live || d.Root != (os.Geteuid() == 0) || d.Name != "ssh://tester@"+s.addr || d.Now.Before(began.Add(-2*time.Second)) || d.Now.After(time.Now().Add(2*time.Second)) {
		t.Errorf("Describe() = %+v", d)
	}
	r.Prefetch([]host.Need{{Read: "/etc/*-release"}, {Stat: "/etc"}, {List: "/etc/pam.d/*"}, {Run: host.Command{Name: "id", Argv: []string{"id", "-u"}}}})
	if _, err := r.ReadFile("/etc/passwd"); !errors.Is(err, host.ErrPending) {
		t.Errorf("the first answer is %v", err)
	}
	if pending, err := r.Flush(); !pending || err != nil {
		t.Fatalf("Flush() = %v, %v", pending, err)
	}
	for _, name := range []string{"/etc/passwd", "/etc/os-release"} {
		if _, err := r.ReadFile(name); err != nil {
			t.Error(err)
		}
	}
	if out, err := r.Run(host.Command{Name: "id", Argv: []string{"id", "-u"}}); err != nil || string(out.Stdout) != fmt.Sprintln(os.Getuid()) {
		t.Errorf("id: %q, %v", out.Stdout, err)
	}
	if l, err := r.List("/etc/*-release"); err != nil || len(l) == 0 {
		t.Errorf("what was read by a pattern is not listed: %v, %v", l, err)
	}
	if pending, err := r.Flush(); pending || err != nil || r.Rounds() != 1 || len(s.execs) != 1 {
		t.Errorf("%v, %v; %d rounds, %d commands; want one of each", pending, err, r.Rounds(), len(s.execs))
	}
	if r.Bytes() == 0 {
		t.Error("no bytes are counted")
	}
}

func TestSSHRefused(t *testing.T) {
	other := newKey(t, filepath.Join(t.TempDir(), "other"), "")
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, s *site)
		want    []string
	}{
		{"unknown host key", func(t *testing.T, s *site) { write(t, s, "known_hosts", "") },
			[]string{"not known", "SHA256:", "ssh-keyscan -t ed25519 -p "}},
		{"no known hosts at all", func(t *testing.T, s *site) { s.target.KnownHosts = []string{s.home + "/none"} },
			[]string{"not known", "SHA256:"}},
		{"changed host key", func(t *testing.T, s *site) {
			write(t, s, "known_hosts", knownhosts.Line([]string{s.addr}, other.PublicKey()))
		}, []string{"HAS CHANGED", "SHA256:", "ssh-keygen -f"}},
		{"malformed known hosts", func(t *testing.T, s *site) { write(t, s, "known_hosts", "x y z\n") },
			[]string{"cannot read known host keys"}},
		{"wrong key", func(t *testing.T, s *site) { newKey(t, s.home+"/.ssh/id_ed25519", "") },
			[]string{"refuses the user tester", "none of the keys", "SHA256:"}},
		{"no key", func(t *testing.T, s *site) { os.Remove(s.home + "/.ssh/id_ed25519") }, []string{"there is no key to offer"}},
		{"missing identity", func(t *testing.T, s *site) { s.target.Identities = []string{"/no/such/key"} }, []string{"/no/such/key"}},
		{"locked key without agent", func(t *testing.T, s *site) { newKey(t, s.home+"/.ssh/id_ed25519", "pw") },
			[]string{"has a passphrase", "ssh-add"}},
		{"no perl", func(t *testing.T, s *site) { s.shell = "PATH=/usr/bin:/bin; exec perl-is-missing" }, []string{"no perl", "perl-base"}},
		{"no login", func(t *testing.T, s *site) { s.shell = "echo This account is not available.; exit 1" },
			[]string{"code 1", "not available"}},
		{"silence", func(t *testing.T, s *site) { s.shell = "sleep 60"; s.target.Timeout = 5 * time.Second }, []string{"timed out"}},
		{"noise without end", func(t *testing.T, s *site) { s.shell = "yes" }, []string{"instead of starting perl"}},
		{"proxy command", func(t *testing.T, s *site) { write(t, s, "config", "Host *\n ProxyCommand nc %h %p\n") }, []string{"ProxyCommand", "ProxyJump"}},
		{"bad configuration", func(t *testing.T, s *site) { write(t, s, "config", "Match exec foo\n") }, []string{"config"}},
		{"nobody there", func(t *testing.T, s *site) { s.target.Port = 1 }, []string{"no connection to 127.0.0.1:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "", "")
			tt.prepare(t, s)
			r, err := host.DialSSH(t.Context(), s.target)
			if err == nil {
				r.Close()
				t.Fatal("the connection is made")
			}
			for _, w := range append(tt.want, s.target.Name) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q: %v", w, err)
				}
			}
		})
	}
}

func write(t *testing.T, s *site, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.home, ".ssh", name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSSHPassphrase(t *testing.T) {
	s := newSite(t, "open sesame", "")
	asked := 0
	s.target.Passphrase = func(file string) ([]byte, error) {
		asked++
		if file != s.home+"/.ssh/id_ed25519" {
			t.Errorf("asked about %s", file)
		}
		return []byte("open sesame"), nil
	}
	s.dial(t)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	s.target.Passphrase = func(string) ([]byte, error) { return []byte("wrong"), nil }
	if _, err := host.DialSSH(t.Context(), s.target); err == nil {
		t.Error("a wrong passphrase opens the key")
	}
}

// TestSSHConfig goes through names, ports and a jump host that only ~/.ssh/config knows.
func TestSSHConfig(t *testing.T) {
	s := newSite(t, "", "")
	jump := startServer(t, s.allowed, "")
	s.knows(t, jump.addr, jump.key.PublicKey())
	name, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, "config", fmt.Sprintf("Host pve1\n HostName %s\n Port %s\n User tester\n ProxyJump tester@%s\n", name, port, jump.addr))
	s.target.Name, s.target.Host, s.target.User, s.target.Port = "ssh://pve1", "pve1", "", 0
	r := s.dial(t)
	if _, err := r.ReadFile("/etc/passwd"); !errors.Is(err, host.ErrPending) {
		t.Fatal(err)
	}
	if _, err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadFile("/etc/passwd"); err != nil {
		t.Error(err)
	}
	if len(jump.execs) != 0 {
		t.Error("something was run on the jump host")
	}
}

// TestSSHDies ends connections at inconvenient moments.
func TestSSHDies(t *testing.T) {
	t.Run("context", func(t *testing.T) {
		s := newSite(t, "", "")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := host.DialSSH(ctx, s.target)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, cancel)
		ended := filepath.Join(t.TempDir(), "ended")
		_, _ = r.Run(host.Command{Name: "slow", Argv: []string{"sh", "-c", `sleep 60; touch "$0"`, ended}, Timeout: 2 * time.Minute})
		if _, err := r.Flush(); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled round: %v", err)
		}
		if _, err := os.Stat(ended); err == nil {
			t.Error("the end of the command was waited for")
		}
	})
	t.Run("kill", func(t *testing.T) {
		s := newSite(t, "", "")
		r := s.dial(t)
		_, _ = r.Run(host.Command{Name: "suicide", Argv: []string{"sh", "-c", "kill -9 $PPID"}})
		if _, err := r.Flush(); err == nil || !strings.Contains(err.Error(), "ended the session") {
			t.Errorf("a killed far side: %v", err)
		}
	})
}

func TestParseSSH(t *testing.T) {
	for text, want := range map[string]host.SSHTarget{
		"ssh://pve1":             {Host: "pve1"},
		"ssh://root@pve1:2222":   {User: "root", Host: "pve1", Port: 2222},
		"ssh://root@[fe80::1]:2": {User: "root", Host: "fe80::1", Port: 2},
	} {
		got, err := host.ParseSSH(text)
		if err != nil || got.User != want.User || got.Host != want.Host || got.Port != want.Port || got.Name != text {
			t.Errorf("ParseSSH(%s) = %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "pve1", "ssh://", "ssh://u:p@h", "ssh://h:0", "ssh://h:70000", "ssh://h/path", "ssh://-oProxyCommand=x", "ssh://h?x", "http://h", "ssh://a b"} {
		if got, err := host.ParseSSH(text); err == nil {
			t.Errorf("ParseSSH(%q) = %+v", text, got)
		}
	}
}

// TestSudo runs the boot command with a sudo of its own and with none, as an ordinary user's login would. Only the
// path of programs is exchanged: the rest is what a host gets.
func TestSudo(t *testing.T) {
	for name, script := range map[string]string{
		"allowed": "#!/bin/sh\n[ \"$1\" = -n ] || exit 9\nshift\necho used >>$0.log\nexec \"$@\"\n",
		"refused": "#!/bin/sh\necho asked >>$0.log\nexit 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			boot := strings.ReplaceAll(host.BootCommandForTest(true), `$ENV{PATH}="`, `$ENV{PATH}="`+dir+":")
			// Root would not ask for sudo: $> is the user that the far side thinks it is.
			boot = strings.ReplaceAll(boot, "if$>&&", "if 1000&&")
			r := startCommand(t, boot)
			if _, err := r.ReadFile("/etc/passwd"); !errors.Is(err, host.ErrPending) {
				t.Fatal(err)
			}
			if _, err := r.Flush(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.ReadFile("/etc/passwd"); err != nil {
				t.Error(err)
			}
			log, err := os.ReadFile(filepath.Join(dir, "sudo.log"))
			if want := map[string]int{"allowed": 2, "refused": 1}[name]; err != nil || strings.Count(string(log), "\n") != want {
				t.Errorf("sudo was called %q, %v; want %d calls", log, err, want)
			}
		})
	}
}
