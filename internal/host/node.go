package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Node is everything that castellan keeps of one path: what it is, and for a file its content. Two machines whose
// nodes are equal at a path are equal there. The zero Node is nothing that can be put.
type Node struct {
	Type FileType
	// Content is that of a regular file.
	Content []byte
	// Mode holds permission bits, set-user-ID, set-group-ID and sticky, as chmod writes them.
	Mode uint32
	// UID and GID own it; -1 leaves the owner to whoever creates it.
	UID, GID int
	// ModTime is when the content was last changed; zero leaves it to the moment of writing.
	ModTime time.Time
	// Link is where a symbolic link points.
	Link string
	// Xattrs are the extended attributes: access control lists, capabilities.
	Xattrs map[string][]byte
}

// Absent is the type of a [Node] at which there is nothing.
const Absent FileType = 255

// Digest identifies a node without its time and extended attributes: two nodes with one digest hold the same for whoever
// reads them.
func (n Node) Digest() string {
	h := sha256.New()
	switch n.Type {
	case Absent:
		return "absent"
	case Regular:
		fmt.Fprintf(h, "file %o %d %d\n", n.Mode, n.UID, n.GID)
		h.Write(n.Content)
	case Dir:
		fmt.Fprintf(h, "dir %o %d %d\n", n.Mode, n.UID, n.GID)
	case Link:
		fmt.Fprintf(h, "link\n%s", n.Link)
	default:
		return "special"
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A Machine is a target that can be changed.
type Machine interface {
	Reader
	// Look returns what is at a path; links in its directory are followed, a link at the path itself is not. Nothing
	// there is a node of type Absent, not an error. Owners and modes are those of the file system, also in a copy that
	// describes others in its .castellan/meta.
	Look(path string) (Node, error)
	// Put makes a path so, in one step that readers see whole or not at all: a file or link by a new one that is
	// renamed over the old, a directory by making it or changing its mode and owner, Absent by removing (of a directory
	// only an empty one). It returns when the change is on the disk. Files below /proc and /sys are written in place.
	// On the cluster file system at /etc/pve, which refuses it, neither mode nor owner is set.
	Put(path string, n Node) error
}

// temporary is the name beside base under which its successor is written. It is always the same, so that what a killed
// process left behind is found; no program that reads a directory of drop-ins takes a hidden file of this ending for one.
func temporary(base string) string { return "." + base + ".castellan-new" }

// Leftover is the path beside a path at which a killed process may have left what it was about to put there. It never belongs
// to anybody else.
func Leftover(name string) string { return path.Join(path.Dir(name), temporary(path.Base(name))) }

// Fault is asked before every single act on the disk (open, write, fsync, chmod, chown, utimes, xattr, rename, syncdir, unlink,
// mkdir, symlink, run, lock, unlock) and makes it fail by returning an error. Tests enumerate every place at which a machine can
// stop with it.
type Fault func(act, path string) error

// change performs Put on a view.
type change struct {
	v     *view
	fault Fault
	knobs bool // /proc and /sys are the kernel's, not a copy of theirs
	// fuse reports whether a directory lies on a file system in user space; nil asks the kernel.
	fuse func(fd int) bool
}

func (c *change) try(act, name string) error {
	if c.fault == nil {
		return nil
	}
	return c.fault(act, name)
}

func look(v *view, name string) (Node, error) {
	if err := checkPath(name); err != nil {
		return Node{}, &Error{"look", name, err}
	}
	n, err := v.look(path.Clean(name))
	if err != nil {
		return Node{}, &Error{"look", name, err}
	}
	return n, nil
}

func (v *view) look(name string) (Node, error) {
	dir, err := v.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return Node{Type: Absent}, nil
	}
	if err != nil {
		return Node{}, plainError(err)
	}
	defer closeFD(dir)
	base := path.Base(name)
	if name == "/" {
		base = "."
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return Node{Type: Absent}, nil
		}
		return Node{}, plainError(err)
	}
	n := Node{Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), ModTime: time.Unix(st.Mtim.Sec, st.Mtim.Nsec).UTC()}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		n.Type = Dir
	case unix.S_IFLNK:
		n.Type = Link
		n.Link, err = readlinkat(dir, base)
	case unix.S_IFREG:
		n.Type = Regular
		n.Content, n.Xattrs, err = v.lookInto(dir, base, st.Size)
	default:
		n.Type = Other
	}
	return n, err
}

// lookInto reads a regular file relative to its directory.
func (v *view) lookInto(dir int, base string, size int64) ([]byte, map[string][]byte, error) {
	if size > MaxFile {
		return nil, nil, ErrTooLarge
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, nil, plainError(err)
	}
	defer closeFD(fd)
	b, err := readAll(fd, size, MaxFile)
	return b, xattrs(fd), err
}

func readlinkat(dir int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, base, buf)
	if err != nil {
		return "", plainError(err)
	}
	return string(buf[:n]), nil
}

// xattrs reads the extended attributes; a file system that has none gives none.
func xattrs(fd int) map[string][]byte {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, names)
	if err != nil || n == 0 {
		return nil
	}
	out := map[string][]byte{}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		if n, err := unix.Fgetxattr(fd, name, value); err == nil {
			out[name] = value[:n:n]
		}
	}
	return out
}

func (c *change) put(name string, n Node) error {
	if err := checkPath(name); err != nil {
		return &Error{"change", name, err}
	}
	name = path.Clean(name)
	if name == "/" {
		return &Error{"change", name, fs.ErrInvalid}
	}
	if err := c.place(name, n); err != nil {
		return &Error{"change", name, err}
	}
	return nil
}

func (c *change) place(name string, n Node) error {
	if c.knobs && knob(name) && n.Type == Regular {
		return c.overwrite(name, n.Content)
	}
	dir, err := c.v.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) && n.Type == Absent {
		return nil
	}
	if err != nil {
		return plainError(err)
	}
	defer closeFD(dir)
	p := placing{change: c, dir: dir, name: name, base: path.Base(name)}
	p.pve = belowPVE(name) && p.userspace()
	// What an earlier attempt left behind goes first, whatever is to be put.
	if err := p.unlink(temporary(p.base)); err != nil {
		return plainError(err)
	}
	switch n.Type {
	case Absent:
		err = p.unlink(p.base)
	case Regular:
		err = p.file(n)
	case Link:
		err = p.link(n)
	case Dir:
		err = p.directory(n)
	default:
		return fs.ErrInvalid
	}
	if err != nil {
		return plainError(err)
	}
	return p.sync()
}

// knob reports whether a file is a knob of the kernel, which is written and not replaced.
func knob(name string) bool {
	return strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/")
}

// overwrite writes a knob. In a directory target the recorded copy of one is an ordinary file and is replaced as such.
func (c *change) overwrite(name string, content []byte) error {
	if err := c.try("write", name); err != nil {
		return err
	}
	fd, err := c.v.open(name, unix.O_WRONLY|unix.O_NOCTTY)
	if err != nil {
		return plainError(err)
	}
	defer closeFD(fd)
	_, err = unix.Write(fd, content) // a knob takes its value in one write or not at all
	return plainError(err)
}

// Look implements [Machine].
func (l *Local) Look(name string) (Node, error) { return look(&l.view, name) }

// Put implements [Machine].
func (l *Local) Put(name string, n Node) error {
	return (&change{v: &l.view, fault: l.fault, knobs: true}).put(name, n)
}

// WithFault returns a Local whose acts on the disk, and whose commands, ask f first. It is for tests.
func (l *Local) WithFault(f Fault) *Local { return &Local{view: l.view, fault: f} }

// Look implements [Machine]. Unlike the Reader it also shows what describes the copy, below /.castellan.
func (d *Tree) Look(name string) (Node, error) { return look(&d.view, name) }

// Put implements [Machine].
func (d *Tree) Put(name string, n Node) error {
	return (&change{v: &d.view, fault: d.fault, fuse: d.fuse}).put(name, n)
}

// SetFault makes the acts on the disk ask f first. It is for tests.
func (d *Tree) SetFault(f Fault) { d.fault = f }
