package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/host"
)

// Without this, an engine on this machine would take no locks and say nothing.
var _ host.Locker = host.NewLocal()

// locks are the kinds of locks, each on a file system where it works.
func locks(t *testing.T) map[string]func() (func() error, error) {
	dir := t.TempDir()
	for _, err := range []error{os.MkdirAll(dir+"/priv", 0o755), os.WriteFile(dir+"/.pwd.lock", nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l := host.NewLocal()
	return map[string]func() (func() error, error){
		"dir": func() (func() error, error) { return host.TryDirLock(dir + "/priv/lock/file-user_cfg") },
		"flock": func() (func() error, error) {
			return l.TryLock(host.SharedLock{Kind: host.LockFlock, Path: dir + "/lock-100.conf"})
		},
		"record": func() (func() error, error) {
			return l.TryLock(host.SharedLock{Kind: host.LockRecord, Path: dir + "/.pwd.lock"})
		},
	}
}

func isHeld(err error) bool {
	var held *host.LockedError
	return errors.As(err, &held) && errors.Is(err, host.ErrLocked)
}

// TestSharedLock: the second is kept out until the first gives the lock back.
func TestSharedLock(t *testing.T) {
	for kind, try := range locks(t) {
		for range 3 {
			release, err := try()
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if _, err := try(); !isHeld(err) {
				t.Errorf("%s: the second got %v", kind, err)
			}
			if err := release(); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestSharedLockWriters lets several write one file at once, each what it read and one more.
func TestSharedLockWriters(t *testing.T) {
	const writers, rounds = 4, 25
	for kind, try := range locks(t) {
		name := filepath.Join(t.TempDir(), "number")
		if err := os.WriteFile(name, []byte("0"), 0o600); err != nil {
			t.Fatal(err)
		}
		add := func() error {
			release, err := try()
			for isHeld(err) {
				runtime.Gosched()
				release, err = try()
			}
			if err != nil {
				return err
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(b))
			if err != nil {
				return fmt.Errorf("two wrote at once: %w", err)
			}
			runtime.Gosched()
			return errors.Join(os.WriteFile(name, []byte(strconv.Itoa(n+1)), 0o600), release())
		}
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range rounds {
					if err := add(); err != nil {
						t.Errorf("%s: %v", kind, err)
						return
					}
				}
			})
		}
		all.Wait()
		if b, err := os.ReadFile(name); err != nil || string(b) != strconv.Itoa(writers*rounds) {
			t.Errorf("%s: %d writers made %s, %v", kind, writers*rounds, b, err)
		}
	}
}

// TestSharedLockDir: what a lock in a shared directory leaves behind, and asks for.
func TestSharedLockDir(t *testing.T) {
	dir := t.TempDir()
	name := dir + "/priv/lock/firewall-cluster"
	none := func(when string) {
		t.Helper()
		if _, err := os.Lstat(dir + "/priv/lock"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory of the locks: %v", when, err)
		}
	}
	take := func() func() error {
		t.Helper()
		release, err := host.TryDirLock(name)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	// Not a host of Proxmox VE: nothing is made.
	if err := take()(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir + "/priv"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(dir+"/priv", 0o700); err != nil {
		t.Fatal(err)
	}
	// A copy of the cluster file system on an ordinary one: nothing is made either.
	release, err := host.NewLocal().TryLock(host.SharedLock{Kind: host.LockDir, Path: name})
	if err != nil {
		t.Fatal(err)
	}
	none("on an ordinary file system")
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := take()(); err != nil {
		t.Error(err)
	}
	none("after a lock that nobody else asked for")
	// Somebody else's lock in the directory keeps it there.
	release = take()
	if err := os.Mkdir(dir+"/priv/lock/file-user_cfg", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir + "/priv/lock/file-user_cfg"); err != nil {
		t.Error(err)
	}
	// Who waits asks for a stale lock to be dropped: its time is set to 0.
	release = take()
	if _, err := host.TryDirLock(name); !isHeld(err) || !strings.Contains(err.Error(), name) {
		t.Errorf("%v", err)
	}
	if st, err := os.Lstat(name); err != nil || !st.ModTime().Equal(time.Unix(0, 0)) {
		t.Errorf("nobody was asked to drop it: %v, %v", st, err)
	}
	// A lock that somebody dropped is told.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := release(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock that was lost: %v", err)
	}
}

// TestSharedLockOthers: locks that other programs hold in their own way keep us out.
func TestSharedLockOthers(t *testing.T) {
	l, name := host.NewLocal(), t.TempDir()+"/.pwd.lock"
	lock := host.SharedLock{Kind: host.LockRecord, Path: name}
	release, err := l.TryLock(lock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock file was made: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	process := func(kind int16) error { // as lckpwdf(3) does
		return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: kind})
	}
	if err := process(unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	if _, err := l.TryLock(lock); !isHeld(err) {
		t.Errorf("beside the lock of a process: %v", err)
	}
	if err := process(unix.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	if release, err = l.TryLock(lock); err != nil {
		t.Fatal(err)
	}
	if err := process(unix.F_WRLCK); err == nil {
		t.Error("the lock of a process was given beside ours")
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := process(unix.F_WRLCK); err != nil {
		t.Errorf("it was not given back: %v", err)
	}
	if err := os.WriteFile(name+"2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name+"2", name+"3"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []host.SharedLock{{}, {Kind: host.LockFlock}, {Kind: host.LockFlock, Path: "x"}, {Kind: host.LockFlock, Path: "/x\x00"}, {Kind: host.LockFlock, Path: name + "3"}} {
		if _, err := l.TryLock(bad); err == nil || isHeld(err) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestSharedLockFaults: a lock and its release fail where the machine does.
func TestSharedLockFaults(t *testing.T) {
	lock := host.SharedLock{Kind: host.LockFlock, Path: t.TempDir() + "/lock"}
	var acts []string
	l := host.NewLocal().WithFault(func(act, _ string) error {
		acts = append(acts, act)
		if len(acts) == 1 || len(acts) == 3 {
			return unix.EIO
		}
		return nil
	})
	if _, err := l.TryLock(lock); !errors.Is(err, unix.EIO) {
		t.Errorf("%v", err)
	}
	release, err := l.TryLock(lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); !errors.Is(err, unix.EIO) {
		t.Errorf("%v", err)
	}
	if got := strings.Join(acts, " "); got != "lock lock unlock" {
		t.Errorf("acts %q", got)
	}
	if _, err := host.NewLocal().TryLock(lock); !isHeld(err) {
		t.Errorf("a lock that could not be given back: %v", err)
	}
}
