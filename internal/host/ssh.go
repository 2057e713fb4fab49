package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHTarget names a machine to be read over SSH, and how to get in.
type SSHTarget struct {
	// Name is the target as the user wrote it.
	Name string
	// User, Host and Port say where to go. An empty User or zero Port is taken from ~/.ssh/config, and else is the
	// present user's name and 22.
	User, Host string
	Port       int
	SSHOptions
}

// SSHOptions says how a connection is made. The zero value uses the files of OpenSSH in the home directory of the
// present user, without an agent, and asks nobody for anything.
type SSHOptions struct {
	// AgentSocket is the socket of the SSH agent (SSH_AUTH_SOCK), or empty.
	AgentSocket string
	// Identities are files of private keys to be tried, before those of ~/.ssh/config and instead of ~/.ssh/id_*.
	Identities []string
	// KnownHosts are the files of host keys; none means ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
	KnownHosts []string
	// HostKeyAlias is the name under which KnownHosts has the host, when it is not its address; it goes before that of
	// ~/.ssh/config.
	HostKeyAlias string
	// Home is the home directory in which .ssh lies; empty means that of the present user.
	Home string
	// Passphrase asks for the passphrase of a key file, and is called only when that key can open the door. Without
	// it keys with a passphrase are used only when the agent holds them.
	Passphrase func(file string) ([]byte, error)
	// Timeout bounds connecting and logging in; zero means 20 seconds.
	Timeout time.Duration
}

// ParseSSH reads a target of the form ssh://[user@]host[:port].
func ParseSSH(text string) (SSHTarget, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return SSHTarget{}, fmt.Errorf("%q is not a target: write ssh://user@host or ssh://user@host:port", text)
	}
	t := SSHTarget{Name: text, Host: u.Hostname(), User: u.User.Username()}
	if _, ok := u.User.Password(); ok {
		return SSHTarget{}, fmt.Errorf("the target ssh://%s@%s holds a password: use a key or an agent", t.User, u.Host)
	}
	if strings.HasPrefix(t.Host, "-") || strings.HasPrefix(t.User, "-") || strings.ContainsAny(t.Host+t.User, " \t\r\n\x00") {
		return SSHTarget{}, fmt.Errorf("%q is not a target: the host or user is malformed", text)
	}
	if p := u.Port(); p != "" {
		if t.Port, err = strconv.Atoi(p); err != nil || t.Port < 1 || t.Port > 65535 {
			return SSHTarget{}, fmt.Errorf("%q is not a target: the port is not one of 1 to 65535", text)
		}
	}
	return t, nil
}

// DialSSH connects to a machine, verifies its host key, logs in with keys, and starts one Perl there, as root where
// sudo needs no password. The context bounds the connection's whole life: when it ends, so does the connection.
func DialSSH(ctx context.Context, t SSHTarget) (*Remote, error) {
	r, err := dialSSH(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", t.label(), err)
	}
	return r, nil
}

func dialSSH(ctx context.Context, t SSHTarget) (*Remote, error) {
	c := &conn{}
	client, err := c.login(ctx, t)
	if err != nil {
		c.close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.close)
	r, err := c.start(ctx, client, t)
	if err != nil {
		stop()
		c.close()
		return nil, err
	}
	r.desc.Name = t.label()
	return r, nil
}

func (t SSHTarget) label() string {
	if t.Name != "" {
		return t.Name
	}
	return "ssh://" + t.User + "@" + net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
}

// conn holds what must be closed, last opened first.
type conn struct {
	mu      sync.Mutex
	closers []io.Closer
}

func (c *conn) keep(x io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closers = append(c.closers, x)
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.closers) - 1; i >= 0; i-- {
		// Everything has been read by now; an error while hanging up changes nothing.
		_ = c.closers[i].Close()
	}
	c.closers = nil
}

// login opens the connection, through the jump host that ~/.ssh/config names if it names one.
func (c *conn) login(ctx context.Context, t SSHTarget) (*ssh.Client, error) {
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := t.resolve()
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{}).DialContext
	if r.jump != nil {
		jump, err := r.jump.resolve()
		if err != nil {
			return nil, err
		}
		if jump.jump != nil {
			return nil, fmt.Errorf("the jump host %s needs a jump host itself: only one hop is supported", jump.address)
		}
		via, err := c.handshake(ctx, jump, (&net.Dialer{}).DialContext)
		if err != nil {
			return nil, fmt.Errorf("jump host: %w", err)
		}
		dial = via.DialContext
	}
	return c.handshake(ctx, r, dial)
}

// LoginError says that a host was reached and did not let a user in. Whoever tries again and again is shut out for it, by
// PerSourcePenalties (sshd_config(5)) or by fail2ban.
type LoginError struct {
	Address, User string
	Tried         string // the keys that were offered, in words
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("%s refuses the user %s: %s", e.Address, e.User, e.Tried)
}

// handshake connects to one resolved host and logs in.
func (c *conn) handshake(ctx context.Context, r resolved, dial func(context.Context, string, string) (net.Conn, error)) (*ssh.Client, error) {
	raw, err := dial(ctx, "tcp", r.address)
	if err != nil {
		return nil, unreached(ctx, r.address, err)
	}
	c.keep(raw)
	// A deadline is not kept by a connection inside a jump host's; closing it is.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	keys, err := r.credentials()
	if err != nil {
		return nil, err
	}
	c.keep(keys)
	verify, algorithms, err := r.hostKeys()
	if err != nil {
		return nil, err
	}
	sc, channels, requests, err := ssh.NewClientConn(raw, r.known, &ssh.ClientConfig{
		User: r.user, Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(keys.signers)},
		HostKeyCallback: verify, HostKeyAlgorithms: algorithms,
	})
	if err != nil {
		return nil, c.refused(ctx, r, keys, err)
	}
	client := ssh.NewClient(sc, channels, requests)
	c.keep(client)
	return client, nil
}

func unreached(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no connection to %s: %w", address, ErrTimeout)
	}
	return fmt.Errorf("no connection to %s: %w", address, err)
}

// refused explains why no session came about.
func (c *conn) refused(ctx context.Context, r resolved, keys *credentials, err error) error {
	var unsafe *hostKeyError
	switch {
	case errors.As(err, &unsafe):
		return unsafe
	case ctx.Err() != nil:
		return fmt.Errorf("%s did not let us in: %w", r.address, ErrTimeout)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return &LoginError{Address: r.address, User: r.user, Tried: keys.tried()}
	}
	return fmt.Errorf("no SSH session with %s: %w", r.address, err)
}

// start runs the far side in one session.
func (c *conn) start(ctx context.Context, client *ssh.Client, t SSHTarget) (*Remote, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("the host gives no session: %w", err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr := &bounded{limit: maxStderr}
	session.Stderr = stderr
	if err := session.Start(bootCommand(true)); err != nil {
		return nil, fmt.Errorf("the host runs no commands for this user: %w", err)
	}
	e := &ending{ctx: ctx, session: session, stderr: stderr, hangUp: c.close}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	// sudo may take its time to refuse; the host is given the time of the login once more.
	timer := time.AfterFunc(timeout, func() { e.late(); c.close() })
	defer timer.Stop()
	return newRemote(struct {
		io.Reader
		io.Writer
	}{out, in}, func() error { c.close(); return nil }, e.explain)
}

// ending finds words for a stream that ended before its time.
type ending struct {
	ctx     context.Context
	session *ssh.Session
	stderr  *bounded
	hangUp  func()
	mu      sync.Mutex
	tooLate bool
}

func (e *ending) late() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tooLate = true
}

func (e *ending) explain(err error) error {
	e.mu.Lock()
	tooLate := e.tooLate
	e.mu.Unlock()
	switch {
	case e.ctx.Err() != nil:
		return fmt.Errorf("the connection was given up: %w", e.ctx.Err())
	case tooLate:
		return fmt.Errorf("the host did not start perl: %w", ErrTimeout)
	}
	// The exit status follows the end of the output at once, or never.
	timer := time.AfterFunc(2*time.Second, e.hangUp)
	defer timer.Stop()
	var exit *ssh.ExitError
	if waited := e.session.Wait(); errors.As(waited, &exit) {
		said := strings.TrimSpace(e.stderr.buf.String())
		if exit.ExitStatus() == 127 || bytes.Contains(e.stderr.buf.Bytes(), []byte("perl: not found")) {
			return fmt.Errorf("the host has no perl: install the package perl-base (it says %q)", clip(said))
		}
		return fmt.Errorf("the host ended the session with code %d (it says %q): %w", exit.ExitStatus(), clip(said), err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection broke off")
	}
	return fmt.Errorf("the connection broke off: %w", err)
}

func homeOf(o SSHOptions) (string, error) {
	if o.Home != "" {
		return o.Home, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the home directory for .ssh: %w", err)
	}
	return home, nil
}
