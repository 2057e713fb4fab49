package session

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/castellan-project/castellan/internal/change"
)

// New reports whether the connection was opened after a transaction was applied, and if not, why that matters and how
// to open one, for a person. At a console, and where nothing is known, nothing was opened: see [Connection.ByCode].
func New(c Connection, t change.Transaction) (bool, string) {
	switch {
	case c.Kind != SSH && c.Kind != Web:
		_, why := c.ByCode()
		return false, why
	case t.BootID == "" || c.BootID == "" || c.Ticks == 0:
		return false, "it is not known whether this connection was opened after the change; " + c.how(t)
	case t.BootID != c.BootID:
		return false, "the machine was started again since the change was made, which takes it back; see castellan history " + t.ID
	case c.Ticks > t.Ticks:
		return true, ""
	case c.Kind == Web:
		return false, "this shell was opened before the change was made; close it and open a new one in the web interface, or " + c.how(t)
	}
	return false, "this connection was opened before the change was made and shows nothing about the next one; " + c.how(t) +
		"\nif your client shares connections (ControlMaster), add -o ControlPath=none"
}

// how says how to confirm over SSH.
func (c Connection) how(t change.Transaction) string {
	return "leave this one open and run, on your own machine: " + Command(c.User, t)
}

// Command is how a user confirms a transaction from his own machine.
func Command(user string, t change.Transaction) string {
	name, sudo := t.Host.Hostname, "sudo "
	if name == "" {
		name = "HOST"
	}
	if user == "" || user == "root" {
		user, sudo = "root", ""
	}
	return fmt.Sprintf("ssh %s@%s %scastellan confirm %s", user, name, sudo, t.ID)
}

// ByCode reports whether a code that is typed on the terminal may stand in for a new connection, and if not why. It may
// at a console and in a shell of another name space (nsenter, lxc-attach, machinectl shell): there somebody has a way in
// that no change of SSH or firewall cuts. It may not in tmux, screen or mosh, which keep a shell of an old connection.
func (c Connection) ByCode() (bool, string) {
	switch {
	case c.Kind == Console, c.Kind == None && c.Loose == "":
		if c.TTY == "" {
			return false, "there is no terminal here on which a code could be typed; confirm over a new SSH connection"
		}
		return true, ""
	case c.Loose == "detached":
		return false, "this shell has come loose from the SSH connection that started it; confirm over a new one"
	case c.Loose != "":
		return false, fmt.Sprintf("a shell in %s outlives the connection that started it and shows nothing about the next one; "+
			"open a new SSH connection and confirm there, outside of %s", c.Loose, c.Loose)
	}
	return false, "confirm over a new connection"
}

// CodeTime is how long a code may be typed.
const CodeTime = time.Minute

// alphabet leaves out what looks alike: 0 and O, 1, I and L, 2 and Z, 5 and S, 8 and B, U and V.
const alphabet = "34679ACDEFGHJKMNPQRTWXY"

// codeLength is the number of characters of a code: one in 148 million.
const codeLength = 6

// Code makes a code that has to be typed, from a source of randomness.
func Code(random io.Reader) (string, error) {
	code := make([]byte, 0, codeLength)
	buf := make([]byte, 1)
	for tries := 0; len(code) < codeLength; tries++ {
		if tries > 1000 {
			return "", errors.New("cannot make a code: the source of randomness repeats itself")
		}
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("cannot make a code: %w", err)
		}
		// Values above the last whole multiple would favour the first characters.
		if n := int(buf[0]); n < 256/len(alphabet)*len(alphabet) {
			code = append(code, alphabet[n%len(alphabet)])
		}
	}
	return string(code), nil
}
