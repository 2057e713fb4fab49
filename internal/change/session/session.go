// Package session tells who acts on a host and over which connection: what the kernel, the environment and the log of
// sshd say of the ancestors of a process. A change is confirmed from a connection that was opened after it; this room
// decides which connection that is and when it began.
//
// It reads (/proc, the journal) and decides nothing about changes: whether a transaction may be confirmed is the
// engine's matter, and who still gets in that of change/lockout. What it cannot find out it leaves empty, and a
// connection of which nothing is known is of the kind none, which proves nothing.
package session

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// Kind is how somebody came to a host. The zero Kind is none.
type Kind string

// The kinds of connections.
const (
	None    Kind = ""        // nothing is known: a shell of another name space, a service, a shell that came loose
	SSH     Kind = "ssh"     // an ancestor is a process of sshd that serves a connection
	Web     Kind = "web"     // a shell of PVE's web interface
	Console Kind = "console" // a login on the machine's own terminal or serial line
)

// String says the kind; none is said too.
func (k Kind) String() string {
	if k == None {
		return "none"
	}
	return string(k)
}

// Connection is the connection over which a process is used. The zero Connection is of the kind none.
type Connection struct {
	Kind Kind
	// PID is the process that serves it, Ticks when that began, in clock ticks after the start of the kernel (proc(5),
	// starttime), and BootID which start of the kernel that was.
	PID    int
	Ticks  uint64
	BootID string
	// User is who logged in, when known.
	User string
	// Address and RemotePort are the client's end, LocalAddress and Port the host's.
	Address      string
	RemotePort   int
	LocalAddress string
	Port         int
	// Method is how the user was authenticated ("publickey"), Key the fingerprint (SHA256:...) of his key.
	Method, Key string
	// TTY is the terminal of the process: "pts/0", "tty1"; empty when it has none.
	TTY string
	// Loose is what stands between the process and whatever connection a person uses: tmux, screen, mosh-server, or
	// "detached" for a shell that outlived its connection. Only of the kind none.
	Loose string
}

// Source is what a connection is found from.
type Source struct {
	// Reader reads the host on which the process runs.
	Reader host.Reader
	// PID is the process, usually one's own.
	PID int
	// Env is the environment of the process; nil when there is none.
	Env func(string) string
}

// Find finds the connection over which a process is used. What cannot be read is left empty.
func Find(s Source) Connection {
	if s.Env == nil {
		s.Env = func(string) string { return "" }
	}
	line := ancestors(s.Reader, s.PID)
	c := connectionOf(line)
	c.BootID = bootID(s.Reader)
	if len(line) > 0 {
		c.TTY = line[0].tty()
	}
	env := loginEnvironment(s, line, c.PID)
	if c.Kind == SSH {
		c.endpoints(env["SSH_CONNECTION"])
		c.User = env["USER"]
		c.authenticated(s.Reader, env["SSH_USER_AUTH"])
		if c.User == "" {
			c.User = userName(s.Reader, shellUID(line, c.PID))
		}
		return c
	}
	if c.Kind == None && c.Loose == "" && env["SSH_CONNECTION"] != "" {
		c.Loose = "detached"
	}
	if c.User = loginName(s.Reader, s.PID); c.User == "" {
		c.User = s.Env("SUDO_USER")
	}
	return c
}

// connectionOf decides by the ancestors, the nearest first. The outermost process of sshd counts: a server that somebody
// started by hand inside his session says nothing about the host's own.
func connectionOf(line []process) Connection {
	var web, console *process
	var ssh *process
	loose := ""
	for i := range line {
		p := &line[i]
		parent := process{}
		if i+1 < len(line) {
			parent = line[i+1]
		}
		switch {
		case p.servesSSH(parent):
			ssh = p
		case p.servesWeb():
			web = p
		case p.comm == "login" || p.comm == "agetty" || p.comm == "getty":
			console = p
		}
		if loose == "" {
			loose = multiplexer(p.comm)
		}
	}
	switch {
	case ssh != nil:
		return Connection{Kind: SSH, PID: ssh.pid, Ticks: ssh.ticks}
	case web != nil:
		return Connection{Kind: Web, PID: web.pid, Ticks: web.ticks}
	case loose != "":
		return Connection{Loose: loose}
	case console != nil:
		return Connection{Kind: Console, PID: console.pid, Ticks: console.ticks}
	case len(line) > 0 && consoleTTY(line[0].tty()):
		return Connection{Kind: Console, PID: line[0].pid, Ticks: line[0].ticks}
	}
	return Connection{}
}

// multiplexer names programs that keep a shell alive when the connection is gone.
func multiplexer(comm string) string {
	switch {
	case strings.HasPrefix(comm, "tmux"):
		return "tmux"
	case comm == "screen", comm == "SCREEN":
		return "screen"
	case comm == "mosh-server", comm == "zellij", comm == "dtach", comm == "abduco":
		return comm
	}
	return ""
}

// loginEnvironment is the environment that the connection's first program was started with. That of the process itself is
// only a stand-in: sudo clears it (sudoers(5), env_reset).
func loginEnvironment(s Source, line []process, serving int) map[string]string {
	names := []string{"SSH_CONNECTION", "SSH_USER_AUTH", "USER"}
	own := map[string]string{}
	for _, n := range names[:2] {
		own[n] = s.Env(n)
	}
	found := own
	for _, p := range line {
		if p.pid == serving {
			break
		}
		if p.isSSHD() { // its title is written over its environment
			continue
		}
		b, err := s.Reader.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if err != nil {
			continue
		}
		env := environment(b, names)
		if env["SSH_CONNECTION"] != "" {
			found = env
		}
	}
	return found
}

// environment picks names from the content of /proc/PID/environ.
func environment(b []byte, names []string) map[string]string {
	env := map[string]string{}
	for _, kv := range strings.Split(string(b), "\x00") {
		k, v, ok := strings.Cut(kv, "=")
		for _, n := range names {
			if ok && k == n && env[n] == "" {
				env[n] = printable(v)
			}
		}
	}
	return env
}

// endpoints reads SSH_CONNECTION: client address, client port, server address, server port (ssh(1)).
func (c *Connection) endpoints(text string) {
	f := strings.Fields(text)
	if len(f) != 4 {
		return
	}
	remote, err1 := strconv.ParseUint(f[1], 10, 16)
	local, err2 := strconv.ParseUint(f[3], 10, 16)
	from, err3 := address(f[0])
	to, err4 := address(f[2])
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return
	}
	c.Address, c.RemotePort, c.LocalAddress, c.Port = from, int(remote), to, int(local)
}

// Actor says who acts over the connection; user is the account that the process runs as.
func (c Connection) Actor(user string) change.Actor {
	a := change.Actor{User: user, From: c.Address, Session: c.Kind.String(), Key: c.Key, TTY: c.TTY}
	if c.User != user {
		a.Login = c.User
	}
	return a
}

// Operator is who must still get in over a connection like this one. Only one over SSH that is known whole tells; of a
// login at the console or on the web nothing follows about SSH.
func (c Connection) Operator() (change.Operator, bool) {
	if c.Kind != SSH || c.User == "" || c.Address == "" {
		return change.Operator{}, false
	}
	return change.Operator{User: c.User, Address: c.Address, Port: c.Port, Local: c.LocalAddress, Key: c.Key, Method: c.Method,
		Session: true}, true
}
