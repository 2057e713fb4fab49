package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

// view reads a file tree through system calls. Local and Tree differ only in how a path becomes a descriptor.
type view struct {
	// open opens a path of the target, following links, with the given flags (O_CLOEXEC is added).
	open func(path string, flags int) (int, error)
	// describe may correct what the file system says about owners and modes; it may be nil.
	describe func(st *unix.Stat_t, fi *File)
	// hidden is the path of a directory that does not belong to the target, or empty.
	hidden string
}

// readFile returns the content of a regular file. The file is looked at (O_PATH) before it is opened, because merely
// opening a device can have effects and opening a FIFO can block.
func (v *view) readFile(name string, limit int64) ([]byte, error) {
	st, err := v.statPath(name)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, ErrNotRegular
	}
	if st.Size > limit {
		return nil, ErrTooLarge
	}
	fd, err := v.open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, plainError(err)
	}
	defer closeFD(fd)
	if err := unix.Fstat(fd, st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, ErrNotRegular
	}
	return readAll(fd, st.Size, limit)
}

// readAll reads to the end whatever size the file claims to have: files under /proc and /sys claim 0.
func readAll(fd int, size, limit int64) ([]byte, error) {
	buf := make([]byte, 0, min(size, limit)+512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, plainError(err)
		case n == 0:
			return buf, nil
		}
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return nil, ErrTooLarge
		}
	}
}

func (v *view) statPath(name string) (*unix.Stat_t, error) {
	fd, err := v.open(name, unix.O_PATH)
	if err != nil {
		return nil, plainError(err)
	}
	defer closeFD(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

func (v *view) stat(name string) (File, error) {
	st, err := v.statPath(name)
	if err != nil {
		return File{}, err
	}
	return v.info(name, st), nil
}

func (v *view) info(name string, st *unix.Stat_t) File {
	fi := File{
		Path: name, Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), Size: st.Size,
		// Whole seconds, on every kind of target: Perl's stat on the far side has no more.
		ModTime: time.Unix(st.Mtim.Sec, 0).UTC(),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		fi.Type = Regular
	case unix.S_IFDIR:
		fi.Type = Dir
	case unix.S_IFLNK:
		fi.Type = Link
	}
	if v.describe != nil {
		v.describe(st, &fi)
	}
	return fi
}

// list returns what matches the pattern. A directory that may not be read or searched makes the listing incomplete:
// what was found is returned together with the first such error, so that nobody takes it for the whole.
func (v *view) list(text string) ([]File, error) {
	p, err := parsePattern(text)
	if err != nil {
		return nil, err
	}
	l := &lister{view: v}
	l.expand("/", p.elems, p.deep)
	sortByPath(l.found)
	if errors.Is(l.err, ErrTooLarge) {
		return nil, l.err
	}
	return l.found, l.err
}

func sortByPath(found []File) {
	sort.Slice(found, func(i, j int) bool { return found[i].Path < found[j].Path })
}

type lister struct {
	*view
	found []File
	err   error
}

// fail notes the first error that makes the listing incomplete. Entries that are not there, or that vanish while
// they are looked at, are none.
func (l *lister) fail(err error) {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ELOOP):
	case l.err == nil:
		l.err = err
	}
}

func (l *lister) full() bool { return errors.Is(l.err, ErrTooLarge) }

func (l *lister) expand(dir string, elems []string, deep bool) {
	for len(elems) > 1 && !isWild(elems[0]) || len(elems) == 1 && deep && !isWild(elems[0]) {
		dir = path.Join(dir, elems[0])
		elems = elems[1:]
	}
	fd, err := l.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.EACCES) && len(elems) > 0 && !isWild(elems[0]) {
		// A directory that may be searched but not read still tells about a name that is known.
		fd, err = l.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	}
	if err != nil {
		l.fail(plainError(err))
		return
	}
	d := os.NewFile(uintptr(fd), dir)
	defer d.Close()
	switch {
	case len(elems) == 0:
		l.walk(d, dir)
	case len(elems) == 1 && !deep && !isWild(elems[0]):
		l.add(d, dir, elems[0])
	default:
		l.each(d, func(name string) {
			switch {
			case !match(elems[0], name) || path.Join(dir, name) == l.hidden:
			case len(elems) == 1 && !deep:
				l.add(d, dir, name)
			default:
				l.expand(path.Join(dir, name), elems[1:], deep)
			}
		})
	}
}

// each calls f for every name in a directory, in portions, so that a directory with millions of entries is given up
// without being held.
func (l *lister) each(d *os.File, f func(name string)) {
	for !l.full() {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			f(n)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				l.fail(plainError(err))
			}
			return
		}
	}
}

// add looks at one entry without following it and notes it.
func (l *lister) add(d *os.File, dir, name string) (File, bool) {
	full := path.Join(dir, name)
	if l.full() || full == l.hidden {
		return File{}, false
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		l.fail(plainError(err))
		return File{}, false
	}
	if len(l.found) >= MaxList {
		l.err = ErrTooLarge
		return File{}, false
	}
	fi := l.info(full, &st)
	if fi.Type == Link {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(d.Fd()), name, buf)
		if err != nil {
			l.fail(plainError(err))
			return File{}, false
		}
		fi.Link = string(buf[:n])
	}
	l.found = append(l.found, fi)
	return fi, true
}

// walk notes everything below an open directory. It descends by descriptors (O_NOFOLLOW), so a directory that is
// exchanged for a link meanwhile leads nowhere; the depth is bounded by the descriptors held.
func (l *lister) walk(d *os.File, dir string) {
	var below []string
	l.each(d, func(name string) {
		if fi, ok := l.add(d, dir, name); ok && fi.Type == Dir && !pseudo(fi.Path) {
			below = append(below, name)
		}
	})
	for _, name := range below {
		if l.full() {
			return
		}
		fd, err := unix.Openat(int(d.Fd()), name,
			unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			l.fail(plainError(err))
			continue
		}
		sub := os.NewFile(uintptr(fd), name)
		l.walk(sub, path.Join(dir, name))
		sub.Close()
	}
}

// plainError gives the errors of path resolution one meaning on all kinds of targets: below something that is no
// directory there is nothing.
func plainError(err error) error {
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return fs.ErrNotExist
	case errors.Is(err, unix.ENXIO):
		return ErrNotRegular
	}
	return err
}

func closeFD(fd int) {
	// Only reading is done on these descriptors: closing cannot lose anything.
	_ = unix.Close(fd)
}
