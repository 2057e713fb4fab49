package host

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// ErrLocked means that another process holds a lock.
var ErrLocked = errors.New("locked by another process")

// LockedError tells who holds a lock.
type LockedError struct {
	Path string
	// Holder is what the holder said about itself; empty when it has not said it yet.
	Holder string
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return e.Path + " is " + ErrLocked.Error()
	}
	return e.Path + " is locked by " + e.Holder
}

// Unwrap lets callers test for ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// maxHolder is how much of what the holder of a lock says of itself is read, in bytes.
const maxHolder = 512

// Lock takes an exclusive lock on a file of this machine (flock(2)), without waiting; the kernel gives it back when the process
// ends, however that happens. Holder is one line that says who holds it, for the next who asks. A lock that is taken is a
// [LockedError]. The file stays when the lock is released: removing it would let two processes lock two files of one name.
func Lock(name, holder string) (release func(), err error) {
	if err := checkPath(name); err != nil {
		return nil, &Error{"lock", name, err}
	}
	l := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW), flock.SetPermissions(0o600))
	taken, err := l.TryLock()
	if err != nil {
		return nil, &Error{"lock", name, err}
	}
	if !taken {
		return nil, &LockedError{Path: name, Holder: lockHolder(name)}
	}
	// Who holds the lock is a courtesy: a disk that is full must not keep anybody from taking changes back.
	_ = os.WriteFile(name, []byte(fmt.Sprintf("process %d, %s\n", os.Getpid(), holder)), 0o600)
	return func() { _ = l.Unlock() }, nil
}

func lockHolder(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, maxHolder)
	n, _ := f.Read(b)
	first, _, _ := strings.Cut(string(b[:n]), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(first, ""))
}
