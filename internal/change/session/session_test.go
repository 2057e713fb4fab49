package session

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// proc is one recorded process: what /proc showed of it.
type proc struct {
	pid, ppid int
	comm      string
	title     string
	uid, tty  int
	ticks     int
	env       string // pairs parted by blanks
}

const (
	pts0 = 136 << 8
	pts3 = 136<<8 | 3
	tty1 = 4<<8 | 1
	ttyS = 4<<8 | 64
)

// recorded makes a reader of recorded processes and logs.
func recorded(procs []proc, more map[string]string, answers map[string]string) *host.Memory {
	m := &host.Memory{Files: map[string][]byte{
		"/proc/sys/kernel/random/boot_id": []byte("7f2c7d55-0a0e-4c8e-9d5e-3a51c5f2c1aa\n"),
		"/etc/passwd":                     []byte("root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n"),
	}, Answers: map[string][]byte{}}
	for _, p := range procs {
		dir := fmt.Sprintf("/proc/%d/", p.pid)
		m.Files[dir+"stat"] = fmt.Appendf(nil, "%d (%s) S %d %d %d %d %d 4194560 100 0 0 0 1 2 0 0 20 0 1 0 %d 10000 500 1844\n",
			p.pid, p.comm, p.ppid, p.pid, p.pid, p.tty, p.pid, p.ticks)
		m.Files[dir+"status"] = fmt.Appendf(nil, "Name:\t%s\nPid:\t%d\nUid:\t%d\t%d\t%d\t%d\n", p.comm, p.pid, p.uid, p.uid, p.uid, p.uid)
		m.Files[dir+"cmdline"] = []byte(p.title)
		if p.env != "" {
			m.Files[dir+"environ"] = []byte(strings.ReplaceAll(p.env, " ", "\x00") + "\x00")
		}
	}
	for k, v := range more {
		m.Files[k] = []byte(v)
	}
	for k, v := range answers {
		m.Answers[k] = []byte(v)
	}
	return m
}

// withEnv is an environment in which blanks part pairs only.
func withEnv(user, connection string) map[string]string {
	return map[string]string{"USER": user, "SSH_CONNECTION": connection}
}

func environ(m map[string]string) string {
	var b strings.Builder
	b.WriteString("LANG=C\x00")
	for k, v := range m {
		b.WriteString(k + "=" + v + "\x00")
	}
	return b.String()
}

const connection = "192.0.2.7 50122 198.51.100.4 22"

var (
	systemd = proc{pid: 1, comm: "systemd", title: "/sbin/init", ticks: 1}
	// Debian 12, OpenSSH 9.2: one program for all.
	listener12 = proc{pid: 612, ppid: 1, comm: "sshd", title: "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", ticks: 700}
	// Debian 13, OpenSSH 10.0.
	listener13 = listener12
)

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name    string
		procs   []proc
		env     map[string]string // of the process itself
		files   map[string]string
		answers map[string]string
		want    Connection
	}{
		{
			name: "Debian 12, root by key",
			procs: []proc{systemd, listener12,
				{pid: 900, ppid: 612, comm: "sshd", title: "sshd: root@pts/0", ticks: 51000},
				{pid: 910, ppid: 900, comm: "bash", title: "-bash", tty: pts0, ticks: 51100},
				{pid: 950, ppid: 910, comm: "castellan", tty: pts0, ticks: 60000}},
			files: map[string]string{"/proc/910/environ": environ(withEnv("root", connection))},
			answers: map[string]string{"session-journal": "Connection from 192.0.2.7 port 50122\n" +
				"Accepted publickey for root from 192.0.2.7 port 50122 ssh2: ED25519 SHA256:k3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk\n" +
				"pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)\n"},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "root", Address: "192.0.2.7", RemotePort: 50122,
				LocalAddress: "198.51.100.4", Port: 22, Method: "publickey", Key: "SHA256:k3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk", TTY: "pts/0"},
		},
		{
			name: "Debian 12, a user and sudo: the privileged process counts",
			procs: []proc{systemd, listener12,
				{pid: 900, ppid: 612, comm: "sshd", title: "sshd: alice [priv]", ticks: 51000},
				{pid: 905, ppid: 900, comm: "sshd", title: "sshd: alice@pts/0", uid: 1000, ticks: 51050},
				{pid: 910, ppid: 905, comm: "bash", title: "-bash", uid: 1000, tty: pts0, ticks: 51100},
				{pid: 940, ppid: 910, comm: "sudo", title: "sudo castellan confirm", tty: pts0, ticks: 59900},
				{pid: 941, ppid: 940, comm: "sudo", title: "sudo castellan confirm", tty: pts3, ticks: 59950},
				{pid: 950, ppid: 941, comm: "castellan", tty: pts3, ticks: 60000}},
			env:   map[string]string{"SUDO_USER": "alice"},
			files: map[string]string{"/proc/910/environ": environ(withEnv("alice", "::ffff:192.0.2.7 50122 ::ffff:198.51.100.4 2222"))},
			answers: map[string]string{"session-auth-log": "Nov 21 08:00:00 pve1 sshd[900]: Accepted password for alice from 192.0.2.7 port 50122 ssh2\n" +
				"2026-11-21T08:00:00.1+00:00 pve1 sshd[901]: Accepted publickey for bob from 192.0.2.7 port 50122 ssh2: RSA SHA256:other\n"},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "alice", Address: "192.0.2.7", RemotePort: 50122,
				LocalAddress: "198.51.100.4", Port: 2222, Method: "password", TTY: "pts/3"},
		},
		{
			name: "Debian 13, sshd-session; the log is gone and the account is told by the shell",
			procs: []proc{systemd, listener13,
				{pid: 900, ppid: 612, comm: "sshd-session", title: "sshd-session: alice [priv]", ticks: 51000},
				{pid: 905, ppid: 900, comm: "sshd-session", title: "sshd-session: alice@pts/0", uid: 1000, ticks: 51050},
				{pid: 910, ppid: 905, comm: "bash", title: "-bash", uid: 1000, tty: pts0, ticks: 51100},
				{pid: 950, ppid: 910, comm: "castellan", uid: 1000, tty: pts0, ticks: 60000}},
			env: map[string]string{"SSH_CONNECTION": "2001:db8::7 50122 2001:db8::4 22"},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "alice", Address: "2001:db8::7", RemotePort: 50122,
				LocalAddress: "2001:db8::4", Port: 22, TTY: "pts/0"},
		},
		{
			name: "Debian 13, sshd-auth of somebody else beside it, and exposed authentication",
			procs: []proc{systemd, listener13,
				{pid: 800, ppid: 612, comm: "sshd-session", title: "sshd-session: [accepted]", ticks: 50000},
				{pid: 801, ppid: 800, comm: "sshd-auth", title: "sshd-auth: unknown [net]", uid: 105, ticks: 50001},
				{pid: 900, ppid: 612, comm: "sshd-session", title: "sshd-session: root@notty", ticks: 51000},
				{pid: 950, ppid: 900, comm: "castellan", ticks: 60000}},
			files: map[string]string{
				"/proc/950/environ":     environ(map[string]string{"SSH_CONNECTION": connection, "USER": "root", "SSH_USER_AUTH": "/tmp/sshauth.x"}),
				"/tmp/sshauth.x":        "publickey ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
				"/var/log/auth.log":     "",
				"/proc/950/loginuid":    "0",
				"/proc/801/environ":     environ(withEnv("eve", "203.0.113.9 1 203.0.113.10 22")),
				"/home/alice/something": "x",
			},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "root", Address: "192.0.2.7", RemotePort: 50122,
				LocalAddress: "198.51.100.4", Port: 22, Method: "publickey", Key: "SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk"},
		},
		{
			name: "ssh.socket starts one sshd a connection",
			procs: []proc{systemd,
				{pid: 900, ppid: 1, comm: "sshd", title: "sshd: root@pts/0", ticks: 51000},
				{pid: 910, ppid: 900, comm: "bash", tty: pts0, ticks: 51100}},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "root", TTY: "pts/0"},
		},
		{
			name: "the listener itself is no connection",
			procs: []proc{systemd, listener12,
				{pid: 910, ppid: 612, comm: "sh", ticks: 51100}},
			want: Connection{},
		},
		{
			name: "a listener that was started by hand in a session: the session counts",
			procs: []proc{systemd, listener12,
				{pid: 900, ppid: 612, comm: "sshd", title: "sshd: root@pts/0", ticks: 51000},
				{pid: 910, ppid: 900, comm: "bash", tty: pts0, ticks: 51100},
				{pid: 920, ppid: 910, comm: "sshd", title: "sshd: /usr/sbin/sshd -D -p 2222 [listener] 0 of 10-100 startups", ticks: 70000},
				{pid: 930, ppid: 920, comm: "sshd", title: "sshd: root@pts/3", ticks: 71000},
				{pid: 940, ppid: 930, comm: "bash", tty: pts3, ticks: 71100}},
			want: Connection{Kind: SSH, PID: 900, Ticks: 51000, User: "root", TTY: "pts/3"},
		},
		{
			name: "a user's program that calls itself sshd",
			procs: []proc{systemd,
				{pid: 900, ppid: 1, comm: "sshd-session", title: "sshd: root@pts/0", uid: 1000, ticks: 51000},
				{pid: 910, ppid: 900, comm: "bash", tty: pts0, ticks: 51100}},
			want: Connection{TTY: "pts/0"},
		},
		{
			name: "tmux is not below the new connection",
			procs: []proc{systemd,
				{pid: 700, ppid: 1, comm: "tmux: server", title: "tmux new", ticks: 40000},
				{pid: 910, ppid: 700, comm: "bash", tty: pts3, ticks: 90000}},
			env:  map[string]string{"SSH_CONNECTION": connection},
			want: Connection{Loose: "tmux", TTY: "pts/3"},
		},
		{
			name: "screen that a service started keeps its name",
			procs: []proc{systemd,
				{pid: 700, ppid: 1, comm: "screen", ticks: 40000},
				{pid: 910, ppid: 700, comm: "bash", tty: pts3, ticks: 90000}},
			want: Connection{Loose: "screen", TTY: "pts/3"},
		},
		{
			name: "a shell that outlived its connection",
			procs: []proc{systemd,
				{pid: 910, ppid: 1, comm: "bash", tty: 0, ticks: 51100}},
			files: map[string]string{"/proc/910/environ": environ(withEnv("root", connection))},
			want:  Connection{Loose: "detached"},
		},
		{
			name: "the web interface of PVE: its login is no console",
			procs: []proc{systemd,
				{pid: 600, ppid: 1, comm: "pvedaemon", ticks: 800},
				{pid: 610, ppid: 600, comm: "pvedaemon worke", ticks: 900},
				{pid: 700, ppid: 610, comm: "task UPID:pve1:", ticks: 52000},
				{pid: 705, ppid: 700, comm: "termproxy", title: "/usr/bin/termproxy 5900 --path /nodes/pve1 --perm Sys.Console -- /bin/login -f root", ticks: 52010},
				{pid: 710, ppid: 705, comm: "login", tty: pts0, ticks: 52020},
				{pid: 720, ppid: 710, comm: "bash", tty: pts0, ticks: 52030}},
			want: Connection{Kind: Web, PID: 705, Ticks: 52010, TTY: "pts/0"},
		},
		{
			name: "the machine's own terminal",
			procs: []proc{systemd,
				{pid: 500, ppid: 1, comm: "login", title: "/bin/login -p --", tty: tty1, ticks: 3000},
				{pid: 510, ppid: 500, comm: "bash", tty: tty1, ticks: 3100}},
			files: map[string]string{"/proc/510/loginuid": "0\n"},
			want:  Connection{Kind: Console, PID: 500, Ticks: 3000, TTY: "tty1", User: "root"},
		},
		{
			name: "a serial line without login",
			procs: []proc{systemd,
				{pid: 510, ppid: 1, comm: "bash", tty: ttyS, ticks: 3100}},
			files: map[string]string{"/proc/510/loginuid": "4294967295\n"},
			want:  Connection{Kind: Console, PID: 510, Ticks: 3100, TTY: "ttyS0"},
		},
		{
			name:  "a shell from outside of the container",
			procs: []proc{{pid: 910, ppid: 0, comm: "bash", tty: pts3, ticks: 90000}},
			env:   map[string]string{"SUDO_USER": "alice"},
			want:  Connection{TTY: "pts/3", User: "alice"},
		},
		{
			name: "parents in a ring",
			procs: []proc{{pid: 910, ppid: 911, comm: "bash", ticks: 90000},
				{pid: 911, ppid: 910, comm: "ba) S 1 (h", ticks: 90000}},
			want: Connection{},
		},
		{name: "nothing can be read", want: Connection{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := recorded(tt.procs, tt.files, tt.answers)
			pid := 910
			if len(tt.procs) > 0 {
				pid = tt.procs[len(tt.procs)-1].pid
				if tt.name == "parents in a ring" {
					pid = 910
				}
			}
			tt.want.BootID = "7f2c7d55-0a0e-4c8e-9d5e-3a51c5f2c1aa"
			got := Find(Source{Reader: m, PID: pid, Env: func(k string) string { return tt.env[k] }})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNew(t *testing.T) {
	const boot = "7f2c"
	txn := change.Transaction{ID: "20261121-080000-ab12", BootID: boot, Ticks: 5000, Host: change.Host{Hostname: "pve1"}}
	for _, tt := range []struct {
		name string
		c    Connection
		new  bool
		code bool
		why  string
	}{
		{"opened after", Connection{Kind: SSH, BootID: boot, Ticks: 5001}, true, false, ""},
		{"opened in the same tick", Connection{Kind: SSH, BootID: boot, Ticks: 5000}, false, false, "ControlPath=none"},
		{"opened before", Connection{Kind: SSH, BootID: boot, Ticks: 10, User: "alice"}, false, false, "ssh alice@pve1 sudo castellan confirm 20261121-080000-ab12"},
		{"another start of the machine", Connection{Kind: SSH, BootID: "other", Ticks: 9000}, false, false, "started again"},
		{"no start known", Connection{Kind: SSH, Ticks: 9000}, false, false, "not known"},
		{"no time known", Connection{Kind: SSH, BootID: boot}, false, false, "not known"},
		{"web, old", Connection{Kind: Web, BootID: boot, Ticks: 1}, false, false, "web interface"},
		{"web, new", Connection{Kind: Web, BootID: boot, Ticks: 6000}, true, false, ""},
		{"console", Connection{Kind: Console, BootID: boot, Ticks: 1, TTY: "tty1"}, false, true, ""},
		{"a shell from outside", Connection{BootID: boot, TTY: "pts/0"}, false, true, ""},
		{"nothing and no terminal", Connection{BootID: boot}, false, false, "no terminal"},
		{"tmux", Connection{BootID: boot, TTY: "pts/0", Loose: "tmux"}, false, false, "outside of tmux"},
		{"detached", Connection{BootID: boot, TTY: "pts/0", Loose: "detached"}, false, false, "come loose"},
	} {
		ok, why := New(tt.c, txn)
		if ok != tt.new || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: New = %t, %q; want %t and %q", tt.name, ok, why, tt.new, tt.why)
		}
		if code, _ := tt.c.ByCode(); code != tt.code {
			t.Errorf("%s: ByCode = %t", tt.name, code)
		}
	}
	if ok, _ := New(Connection{Kind: SSH, BootID: "", Ticks: 9000}, change.Transaction{}); ok {
		t.Error("two unknown starts of the machine are taken for the same")
	}
}

func TestOperatorAndActor(t *testing.T) {
	c := Connection{Kind: SSH, User: "alice", Address: "192.0.2.7", Port: 22, LocalAddress: "198.51.100.4", Key: "SHA256:x", Method: "publickey", TTY: "pts/0"}
	op, ok := c.Operator()
	if want := (change.Operator{User: "alice", Address: "192.0.2.7", Port: 22, Local: "198.51.100.4", Key: "SHA256:x", Method: "publickey", Session: true}); !ok || op != want {
		t.Errorf("%+v", op)
	}
	if got, want := c.Actor("root"), (change.Actor{User: "root", Login: "alice", From: "192.0.2.7", Session: "ssh", Key: "SHA256:x", TTY: "pts/0"}); got != want {
		t.Errorf("%+v", got)
	}
	for _, none := range []Connection{{}, {Kind: SSH, User: "alice"}, {Kind: SSH, Address: "192.0.2.7"}, {Kind: Console, User: "root", Address: "192.0.2.7"}} {
		if _, ok := none.Operator(); ok {
			t.Errorf("%+v gives an operator", none)
		}
	}
	if got := (Connection{}).Actor("root"); got.Session != "none" {
		t.Errorf("%+v", got)
	}
}

func TestTTY(t *testing.T) {
	for n, want := range map[uint64]string{0: "", 136 << 8: "pts/0", 136<<8 | 255: "pts/255", 136<<8 | 1<<20 | 1: "pts/257", 4<<8 | 1: "tty1",
		4<<8 | 65: "ttyS1", 5<<8 | 1: "console", 204<<8 | 64: "ttyAMA0", 229 << 8: "hvc0", 99<<8 | 7: "99:7"} {
		if got := (process{ttyNumber: n}).tty(); got != want {
			t.Errorf("%#x is %q, want %q", n, got, want)
		}
	}
}

func TestAccepted(t *testing.T) {
	for s, want := range map[string]accepted{
		"Accepted publickey for root from 192.0.2.7 port 50122 ssh2: ED25519 SHA256:abc":                                            {"root", "publickey", "192.0.2.7", "SHA256:abc", 50122},
		"Accepted publickey for git from 2001:db8::1 port 1 ssh2: ED25519-CERT SHA256:abc ID ci (serial 4) CA ED25519 SHA256:other": {"git", "publickey", "2001:db8::1", "SHA256:abc", 1},
		"Accepted keyboard-interactive/pam for al from 192.0.2.7 port 2 ssh2":                                                       {"al", "keyboard-interactive/pam", "192.0.2.7", "", 2},
	} {
		if got, ok := parseAccepted(s); !ok || got != want {
			t.Errorf("%s: %+v", s, got)
		}
	}
	for _, s := range []string{"", "Failed password for root from 192.0.2.7 port 1 ssh2", "Accepted publickey for root from nowhere port 1 ssh2",
		"Accepted publickey for root from 192.0.2.7 port 99999 ssh2", "Accepted publickey for root from 192.0.2.7 port 1 ssh1",
		// A name that an attacker sends does not make a message.
		"Invalid user Accepted publickey for root from 192.0.2.7 port 1 ssh2: ED25519 SHA256:abc"} {
		if got, ok := parseAccepted(s); ok {
			t.Errorf("%s is taken for %+v", s, got)
		}
	}
	if _, ok := ofProcess("Nov 21 08:00:00 pve1 sshd[9]: Invalid user sshd[900]: Accepted publickey for root from 192.0.2.7 port 1 ssh2", "900"); ok {
		t.Error("a name that somebody sent is taken for the number of a process")
	}
}

// counting gives the bytes from 255 down.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		c.n--
		b[i] = c.n
	}
	return len(b), nil
}

func TestCode(t *testing.T) {
	code, err := Code(&counting{})
	if err != nil || code != "YXWTRQ" {
		t.Errorf("%q, %v", code, err)
	}
	if _, err := Code(bytes.NewReader([]byte{1, 2, 3})); err == nil {
		t.Error("a code of three bytes")
	}
	if _, err := Code(bytes.NewReader(bytes.Repeat([]byte{255}, 5000))); err == nil || errors.Is(err, bytes.ErrTooLarge) {
		t.Error("a source that repeats itself gives a code")
	}
	for _, r := range "0O1IL2Z5S8BUV" {
		if strings.ContainsRune(alphabet, r) {
			t.Errorf("%c is in the alphabet and looks like another", r)
		}
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("950 (castellan) S 910 950 910 34816 950 4194560 1 0 0 0 0 0 0 0 20 0 1 0 60000 1 1"))
	f.Add([]byte("1 (a) b) S 0 1 1 -5 0 0 0 0 0 0 0 0 0 0 20 0 1 0 18446744073709551615 1 1"))
	f.Add([]byte("\x00\xff (\n) "))
	f.Add([]byte("Accepted publickey for root from 192.0.2.7 port 50122 ssh2: ED25519 SHA256:abc"))
	f.Add([]byte("publickey ssh-ed25519 AAAA\r\npassword\r\n"))
	f.Add(bytes.Repeat([]byte("("), 10<<20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseStat(b); err == nil {
			if strings.ContainsAny(p.comm+p.tty(), "\x00\n\x1b") {
				t.Errorf("%q leaves %q", b, p.comm)
			}
		}
		statusUID(b)
		if a, ok := parseAccepted(string(b)); ok && strings.ContainsAny(a.user+a.method+a.key, "\x00\n\x1b") {
			t.Errorf("%q leaves %+v", b, a)
		}
		if m, k := exposedAuth(b); strings.ContainsAny(m+k, "\x00\n\x1b") {
			t.Errorf("%q leaves %q %q", b, m, k)
		}
		ofProcess(string(b), "1")
		for _, v := range environment(b, []string{"USER"}) {
			if strings.ContainsAny(v, "\x00\n\x1b") || len(v) > 1024 {
				t.Errorf("%q leaves %q", b, v)
			}
		}
		Find(Source{Reader: &host.Memory{Files: map[string][]byte{"/proc/1/stat": b, "/proc/1/environ": b, "/proc/1/status": b, "/etc/passwd": b}}, PID: 1})
	})
}
