package host

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// metaDir is the directory of a copy that describes the copy itself; readers of the target do not see it.
const metaDir = "/.castellan"

// Tree reads a directory that holds a root file system or a copy of parts of one. Every path, link and ".." resolves
// inside it, as after chroot.
type Tree struct {
	view
	root string
	fd   *os.File
	meta meta
	// unkept is true when the copy did not keep owners and modes.
	unkept bool
	fault  Fault
	// fuse stands in for the kernel's answer whether a directory lies on a file system in user space; nil asks the kernel.
	fuse func(fd int) bool
}

// OpenDir opens a directory as a target. When it holds .castellan/meta (see CONTRIBUTING.md), owners, modes and
// times are those written there. Without it they are those of the files, unless the tree belongs to somebody other
// than root: then it is an ordinary copy, and File.OwnerUnknown is set.
func OpenDir(root string) (*Tree, error) {
	d, err := OpenBare(root)
	if err != nil {
		return nil, err
	}
	if err := d.readMeta(); err != nil {
		d.Close()
		return nil, err
	}
	d.describe = d.owner
	return d, nil
}

// OpenBare opens a directory as a target without regard to what .castellan/meta says about it. Changes are made and taken
// back so: in the middle of one, the description and the copy need not agree.
func OpenBare(root string) (*Tree, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open target directory %s: %w", root, err)
	}
	f, err := openRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("cannot open target directory %s: %w", root, err)
	}
	d := &Tree{root: root, fd: f}
	d.view = view{open: d.openat2, hidden: metaDir}
	if fd, err := d.openat2("/", unix.O_PATH); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// Kernels before 5.6, and sandboxes that do not know the call.
		d.view.open = joined(abs)
	} else if err == nil {
		closeFD(fd)
	}
	return d, nil
}

// openRoot opens the directory and proves that it can be read, so that a wrong target is an error at once.
func openRoot(abs string) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(abs, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), abs), nil
}

// Close gives the directory back.
func (d *Tree) Close() error { return d.fd.Close() }

// openat2 opens a path below the root; the kernel keeps the resolution inside.
func (d *Tree) openat2(name string, flags int) (int, error) {
	how := &unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	rel := "." + path.Clean(name)
	// EAGAIN says that a rename happened somewhere on the machine while ".." was resolved; it is worth a few tries.
	for try := 0; ; try++ {
		fd, err := retry(func() (int, error) { return unix.Openat2(int(d.fd.Fd()), rel, how) })
		if !errors.Is(err, unix.EAGAIN) || try == 100 {
			return fd, err
		}
	}
}

// joined resolves links inside root in user space. Unlike openat2 it can be raced by somebody who exchanges
// directories while they are read; what is opened is at worst a file that this user may read anyway.
func joined(root string) func(string, int) (int, error) {
	return func(name string, flags int) (int, error) {
		full, err := securejoin.SecureJoin(root, name)
		if err != nil {
			var pe *os.PathError
			if errors.As(err, &pe) {
				return -1, pe.Err
			}
			return -1, err
		}
		return retry(func() (int, error) {
			return unix.Open(full, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		})
	}
}

// Describe tells what is known of the directory as a target.
func (d *Tree) Describe() Description {
	desc := Description{Name: d.root, Kind: "dir", Live: d.meta.live, Root: true, Now: d.meta.now}
	if desc.Now.IsZero() {
		desc.Now = time.Now()
	}
	return desc
}

// ReadFile implements [Reader].
func (d *Tree) ReadFile(name string) ([]byte, error) {
	if hiddenBelow(name) {
		return nil, &Error{"read", name, unix.ENOENT}
	}
	return readFile(&d.view, name)
}

// Stat implements [Reader].
func (d *Tree) Stat(name string) (File, error) {
	if hiddenBelow(name) {
		return File{}, &Error{"stat", name, unix.ENOENT}
	}
	return statFile(&d.view, name)
}

// List implements [Reader].
func (d *Tree) List(pattern string) ([]File, error) {
	if hiddenBelow(pattern) {
		return nil, nil
	}
	return listFiles(&d.view, pattern)
}

// Run implements [Reader]: it gives the output that was recorded when the copy was made, or [ErrUnavailable].
func (d *Tree) Run(c Command) (Output, error) {
	if err := checkCommand(c); err != nil {
		return Output{}, &Error{"run", c.Name, err}
	}
	record := metaDir + "/run/" + c.Name
	out, err := d.view.readFile(record, MaxOutput)
	switch {
	case errors.Is(err, unix.ENOENT):
		return Output{}, &Error{"run", c.Name, ErrUnavailable}
	case err != nil:
		return Output{}, &Error{"run", c.Name, err}
	}
	code, err := d.recordedCode(record + ".rc")
	if err != nil {
		return Output{}, &Error{"run", c.Name, err}
	}
	return Output{Stdout: out, Code: code}, nil
}

func (d *Tree) recordedCode(name string) (int, error) {
	b, err := d.view.readFile(name, 64)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || code < 0 || code > 255 {
		return 0, fmt.Errorf("%s does not hold an exit code (0 to 255)", d.outside(name))
	}
	return code, nil
}

// outside gives the path of a file of the target as the user knows it.
func (d *Tree) outside(name string) string { return filepath.Join(d.root, name) }

func hiddenBelow(name string) bool {
	name = path.Clean(name)
	return name == metaDir || strings.HasPrefix(name, metaDir+"/")
}

// owner replaces what the file system says by what the copy says about itself.
func (d *Tree) owner(st *unix.Stat_t, fi *File) {
	switch {
	case d.meta.present:
		m, ok := d.meta.files[fileID{st.Dev, st.Ino}]
		if !ok {
			m = metaFile{mode: 0o644, mtime: d.meta.now}
			switch fi.Type {
			case Dir:
				m.mode = 0o755
			case Link:
				m.mode = 0o777
			}
		}
		fi.Mode, fi.UID, fi.GID = m.mode, m.uid, m.gid
		if !m.mtime.IsZero() {
			fi.ModTime = m.mtime
		}
	case d.unkept:
		// Values that no control takes for good, should one forget to ask.
		fi.OwnerUnknown, fi.Mode, fi.UID, fi.GID = true, 0o7777, -1, -1
	}
}
