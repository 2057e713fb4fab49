package session

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
)

// maxLog is how much of the end of /var/log/auth.log is read, in bytes: about 10,000 lines.
const maxLog = "1048576"

// authenticated finds out how the user of a connection was authenticated: from the file that sshd writes with ExposeAuthInfo
// (sshd_config(5)), else from what it logged.
func (c *Connection) authenticated(r host.Reader, exposed string) {
	if strings.HasPrefix(exposed, "/") {
		if b, err := r.ReadFile(exposed); err == nil {
			c.Method, c.Key = exposedAuth(b)
		}
	}
	a, ok := c.logged(r)
	if !ok {
		return
	}
	if a.user != "" {
		c.User = a.user
	}
	if c.Method == "" {
		c.Method, c.Key = a.method, a.key
	}
	if c.Address == "" {
		c.Address, c.RemotePort = a.address, a.port
	}
}

// exposedAuth reads the file that SSH_USER_AUTH names: one method a line, with the key after publickey. The last method
// counts, and the last key.
func exposedAuth(b []byte) (method, key string) {
	for _, l := range host.Lines(b) {
		f := strings.Fields(l)
		if len(f) == 0 {
			continue
		}
		method = printable(f[0])
		if f[0] != "publickey" || len(f) < 3 {
			continue
		}
		if blob, err := base64.StdEncoding.DecodeString(f[2]); err == nil {
			key = fingerprint(blob)
		}
	}
	return method, key
}

// fingerprint writes the SHA-256 of a public key as OpenSSH does.
func fingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// accepted is a line in which sshd says that somebody got in.
type accepted struct {
	user, method, address, key string
	port                       int
}

// logged finds what sshd logged of the connection. The journal is asked for the messages of the one process; the journal
// vouches for the number. In a text file the number stands in the line.
func (c *Connection) logged(r host.Reader) (accepted, bool) {
	pid := strconv.Itoa(c.PID)
	out, err := r.Run(host.Command{Name: "session-journal", Argv: []string{"journalctl", "-q", "-b", "--no-pager", "-o", "cat", "_PID=" + pid}})
	if err == nil && out.Code == 0 {
		if a, ok := c.last(host.Lines(out.Stdout)); ok {
			return a, true
		}
	}
	out, err = r.Run(host.Command{Name: "session-auth-log", Argv: []string{"tail", "-c", maxLog, "/var/log/auth.log"}})
	if err != nil || out.Code != 0 {
		return accepted{}, false
	}
	var lines []string
	for _, l := range host.Lines(out.Stdout) {
		if text, ok := ofProcess(l, pid); ok {
			lines = append(lines, text)
		}
	}
	return c.last(lines)
}

// last is the last acceptance among messages that fits the connection: numbers of processes come again.
func (c *Connection) last(lines []string) (accepted, bool) {
	var found accepted
	ok := false
	for _, l := range lines {
		a, is := parseAccepted(l)
		if is && (c.Address == "" || a.address == c.Address && a.port == c.RemotePort) {
			found, ok = a, true
		}
	}
	return found, ok
}

// ofProcess returns the message of a line of syslog when the process of sshd wrote it: "... sshd[PID]: MESSAGE".
func ofProcess(line, pid string) (string, bool) {
	// The first ": " ends the tag; times and host names hold none.
	head, message, ok := strings.Cut(line, ": ")
	if !ok {
		return "", false
	}
	f := strings.Fields(head)
	if len(f) == 0 {
		return "", false
	}
	tag := f[len(f)-1]
	return message, tag == fmt.Sprintf("sshd[%s]", pid) || tag == fmt.Sprintf("sshd-session[%s]", pid)
}

// parseAccepted reads "Accepted METHOD for USER from ADDRESS port PORT ssh2[: TYPE FINGERPRINT ...]" (OpenSSH, auth.c, auth_log).
func parseAccepted(s string) (accepted, bool) {
	f := strings.Fields(s)
	if len(f) < 9 || f[0] != "Accepted" || f[2] != "for" || f[4] != "from" || f[6] != "port" || strings.TrimSuffix(f[8], ":") != "ssh2" {
		return accepted{}, false
	}
	port, err := strconv.ParseUint(f[7], 10, 16)
	addr, aerr := address(f[5])
	if err != nil || aerr != nil {
		return accepted{}, false
	}
	a := accepted{user: printable(f[3]), method: printable(f[1]), address: addr, port: int(port)}
	if len(f) > 10 && strings.HasPrefix(f[10], "SHA256:") {
		a.key = printable(f[10])
	}
	return a, true
}
