package host

import (
	"errors"
	"io/fs"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// LockKind says how a lock is taken that other programs take too.
type LockKind int

// The kinds of locks.
const (
	// LockDir is a directory on a file system that several machines share: whoever makes it holds the lock, whoever removes it
	// gives it back (pmxcfs). The directory around it is made when it is missing, and removed again. On a file system of this machine
	// alone there is nobody to share it with, and nothing is made.
	LockDir LockKind = iota + 1
	// LockFlock is a file that is locked as a whole (flock(2)). It is made when it is missing, and stays: see [Lock]. Where its
	// directory is missing, none of the programs that take the lock has run since the start of the machine.
	LockFlock
	// LockRecord is a file that is locked from its beginning to its end (fcntl(2), lckpwdf(3)). It is not made.
	LockRecord
)

// A SharedLock is a lock that other programs take before they change certain files.
type SharedLock struct {
	Kind LockKind
	Path string
}

// A Locker is a [Machine] on which other programs may write at the same time, and which can keep them out. A machine that is
// none has no such programs: a directory, a .vmx file.
type Locker interface {
	// TryLock takes a lock without waiting. One that somebody else holds is a [LockedError]; a directory that may be stale is then
	// asked to be dropped, so that a later try gets it. A lock that nobody could share is taken without doing anything. Release is
	// called once.
	TryLock(l SharedLock) (release func() error, err error)
}

// dirLockLife is how long a directory of ours may be taken for ours, in a cluster where somebody asks for it. pmxcfs drops one
// 120 seconds after it was made (pmxcfs, memdb.c, CFS_LOCK_TIMEOUT).
const dirLockLife = 115 * time.Second

var errLockLost = errors.New("it was held for so long that it may be somebody else's by now")

// TryLock implements [Locker].
func (l *Local) TryLock(s SharedLock) (func() error, error) {
	release, err := l.tryLock(s)
	var held *LockedError
	if err != nil && !errors.As(err, &held) {
		err = &Error{"lock", s.Path, err}
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := l.ask("unlock", s.Path); err != nil {
			return &Error{"unlock", s.Path, err}
		}
		if err := release(); err != nil {
			return &Error{"unlock", s.Path, err}
		}
		return nil
	}, nil
}

func (l *Local) ask(act, name string) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(act, name)
}

func (l *Local) tryLock(s SharedLock) (func() error, error) {
	if err := checkPath(s.Path); err != nil {
		return nil, err
	}
	if err := l.ask("lock", s.Path); err != nil {
		return nil, err
	}
	switch s.Kind {
	case LockDir:
		return lockDir(s.Path, userspace)
	case LockFlock:
		return lockFile(s.Path, unix.O_CREAT, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	case LockRecord:
		// A lock of the open file (F_OFD_SETLK) and one of the process (F_SETLK, which others take) keep each other out, and closing
		// another descriptor of the file does not give it back.
		return lockFile(s.Path, 0, func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		})
	}
	return nil, fs.ErrInvalid
}

// nobody is the release of a lock that nobody could share.
func nobody() error { return nil }

// lockFile opens a file and locks it; closing it gives the lock back.
func lockFile(name string, flags int, lock func(fd int) error) (func() error, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(name, flags|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o644)
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nobody, nil
	}
	if err != nil {
		return nil, plainError(err)
	}
	err = lock(fd)
	if err == nil {
		return func() error { return unix.Close(fd) }, nil
	}
	closeFD(fd)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) { // fcntl(2) may say either
		return nil, &LockedError{Path: name}
	}
	return nil, plainError(err)
}

// lockDir makes a directory; shared tells of an open directory whether its file system is one that other machines share.
func lockDir(name string, shared func(fd int) bool) (func() error, error) {
	around := path.Dir(name)
	above, err := retry(func() (int, error) {
		return unix.Open(path.Dir(around), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nobody, nil
	}
	if err != nil {
		return nil, plainError(err)
	}
	defer closeFD(above)
	if !shared(above) {
		return nobody, nil
	}
	made := false
	err = unix.Mkdir(name, 0o755)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Mkdir(around, 0o755)
		if made = err == nil; made || errors.Is(err, unix.EEXIST) {
			err = unix.Mkdir(name, 0o755)
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT): // somebody else removed what he had made around his lock
		return nil, &LockedError{Path: name}
	case errors.Is(err, unix.EEXIST):
		// This asks pmxcfs to drop a lock whose time is over; it refuses for any other (pmxcfs, memdb.c, memdb_mtime).
		_ = unix.Utime(name, &unix.Utimbuf{})
		return nil, &LockedError{Path: name}
	case err != nil:
		if made {
			_ = unix.Rmdir(around)
		}
		return nil, plainError(err)
	}
	since := time.Now()
	return func() error {
		err := errLockLost
		if time.Since(since) < dirLockLife {
			err = unix.Rmdir(name)
		}
		if made {
			_ = unix.Rmdir(around) // not while somebody else holds a lock in it
		}
		return plainError(err)
	}, nil
}
