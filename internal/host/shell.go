package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Shell is a connection over which castellan puts itself on a host and runs there, as root: changes are made by the host
// itself, so that it can also take them back when no connection is left.
type Shell struct {
	conn   *conn
	client *ssh.Client
	stop   func() bool
	sudo   bool
	label  string
}

// DialShell connects, verifies the host key and logs in with keys, and finds out how to be root: as the user that logs in, or
// by sudo without a password. The context bounds the life of the connection.
func DialShell(ctx context.Context, t SSHTarget) (*Shell, error) {
	c := &conn{}
	client, err := c.login(ctx, t)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("cannot reach %s: %w", t.label(), err)
	}
	s := &Shell{conn: c, client: client, label: t.label(), stop: context.AfterFunc(ctx, c.close)}
	if err := s.becomeRoot(); err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot change %s: %w", s.label, err)
	}
	return s, nil
}

func (s *Shell) becomeRoot() error {
	var uid bytes.Buffer
	code, err := s.Run([]string{"id", "-u"}, nil, &uid, io.Discard)
	if err != nil {
		return err
	}
	if code == 0 && strings.TrimSpace(uid.String()) == "0" {
		return nil
	}
	s.sudo = true
	if code, err = s.Run([]string{"true"}, nil, io.Discard, io.Discard); err != nil {
		return err
	}
	if code != 0 {
		return errors.New("the user that logs in is not root, and sudo wants a password: log in as root, or let this user use sudo without one")
	}
	return nil
}

// Close hangs up.
func (s *Shell) Close() {
	s.stop()
	s.conn.close()
}

// Run runs a program on the host and returns its exit code. Its arguments reach it as they are; the program is looked up
// in the usual directories of root. Both outputs are written at the same time, so they must not be one writer. An error means
// that it is not known how it ended: the connection broke.
func (s *Shell) Run(argv []string, in io.Reader, out, errw io.Writer) (int, error) {
	session, err := s.client.NewSession()
	if err != nil {
		return 0, fmt.Errorf("%s gives no session: %w", s.label, err)
	}
	defer session.Close() //nolint:errcheck // Run has told how the program ended
	session.Stdin, session.Stdout, session.Stderr = in, out, errw
	words := append([]string{"env", "PATH=" + commandPath}, argv...)
	if s.sudo {
		words = append([]string{"sudo", "-n"}, words...)
	}
	err = session.Run(quote(words))
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() == "":
		return exit.ExitStatus(), nil
	}
	return 0, fmt.Errorf("the connection to %s ended while %s ran: %w", s.label, path.Base(argv[0]), err)
}

// quote writes words so that every login shell, csh and fish included, passes them on unchanged: a word of harmless
// characters as it is, else each character that is not harmless behind a backslash or, where that does not help, in quotes.
func quote(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if w == "" {
			b.WriteString("''")
		}
		for _, r := range w {
			switch {
			case strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@=+%", r) || r > 127:
				b.WriteRune(r)
			case r == '\n':
				b.WriteString("'\n'")
			default:
				b.WriteByte('\\')
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// Put writes a file for root alone, with the mode, below a directory that it makes (mode 0700) when it is missing. What is
// written is complete or not there.
func (s *Shell) Put(name string, mode uint32, content io.Reader) error {
	script := `umask 077; mkdir -p "$1" && cat >"$2.part" && chmod "$3" "$2.part" && mv -f "$2.part" "$2"`
	stderr := &bounded{limit: maxStderr}
	code, err := s.Run([]string{"sh", "-c", script, "sh", path.Dir(name), name, fmt.Sprintf("%04o", mode)}, content, io.Discard, stderr)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("cannot write %s on %s: %s", name, s.label, clip(strings.TrimSpace(stderr.buf.String())))
	}
	return nil
}

// Remove removes a directory that Put made, with everything in it.
func (s *Shell) Remove(dir string) error {
	code, err := s.Run([]string{"rm", "-rf", "--one-file-system", "--", dir}, nil, io.Discard, io.Discard)
	if err == nil && code != 0 {
		err = fmt.Errorf("cannot remove %s on %s", dir, s.label)
	}
	return err
}
