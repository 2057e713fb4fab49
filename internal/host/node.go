package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
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
// mkdir, symlink, run) and makes it fail by returning an error. Tests enumerate every place at which a machine can stop with it.
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

// placing is one Put below an open directory.
type placing struct {
	*change
	dir        int
	name, base string
	// pve is set on the cluster file system, which keeps modes and owners of its own: it answers EPERM to another mode, and
	// ENOSYS to links (pmxcfs/pmxcfs.c). A copy of it on an ordinary file system is an ordinary directory.
	pve bool
}

func belowPVE(name string) bool { return name == "/etc/pve" || strings.HasPrefix(name, "/etc/pve/") }

// fuseMagic is the type of file systems in user space, as statfs(2) tells it.
const fuseMagic = 0x65735546

func (p *placing) userspace() bool {
	if p.fuse != nil {
		return p.fuse(p.dir)
	}
	var st unix.Statfs_t
	return unix.Fstatfs(p.dir, &st) != nil || st.Type == fuseMagic
}

func (p *placing) file(n Node) error {
	temp := temporary(p.base)
	if err := p.try("open", p.name); err != nil {
		return err
	}
	fd, err := unix.Openat(p.dir, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	err = p.fill(fd, n)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = p.rename(temp)
	}
	if err != nil {
		_ = p.unlink(temp) // the error that is told is the first one
	}
	return err
}

// fill writes content, attributes and time, and waits for the disk.
func (p *placing) fill(fd int, n Node) error {
	content := n.Content
	fault := p.try("write", p.name)
	if fault != nil {
		content = content[:len(content)/2] // a full disk stops in the middle
	}
	for len(content) > 0 {
		w, err := unix.Write(fd, content)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		content = content[w:]
	}
	if fault != nil {
		return fault
	}
	if err := p.attributes(fd, n); err != nil {
		return err
	}
	if err := p.try("fsync", p.name); err != nil {
		return err
	}
	return unix.Fsync(fd)
}

// attributes sets owner, extended attributes, mode and time, in this order: a new owner clears set-user-ID and capabilities
// (chown(2)), an access control list changes the mode (acl(5)).
func (p *placing) attributes(fd int, n Node) error {
	if p.pve {
		return nil
	}
	if err := p.owner(fd, n); err != nil {
		return err
	}
	if err := p.xattrs(fd, n.Xattrs); err != nil {
		return err
	}
	if err := p.try("chmod", p.name); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, n.Mode); err != nil {
		return err
	}
	if n.ModTime.IsZero() {
		return nil
	}
	if err := p.try("utimes", p.name); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), modTime(n), 0)
}

func modTime(n Node) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(n.ModTime.UnixNano())}
}

// xattrs sets extended attributes. Those that the file system does not have, or that the kernel keeps for itself, are left.
func (p *placing) xattrs(fd int, values map[string][]byte) error {
	for _, k := range sortedNames(values) {
		if err := p.try("xattr", p.name); err != nil {
			return err
		}
		if err := unix.Fsetxattr(fd, k, values[k], 0); err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return nil
}

func (p *placing) owner(fd int, n Node) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if (n.UID < 0 || n.UID == int(st.Uid)) && (n.GID < 0 || n.GID == int(st.Gid)) {
		return nil
	}
	if err := p.try("chown", p.name); err != nil {
		return err
	}
	return unix.Fchown(fd, n.UID, n.GID)
}

func (p *placing) rename(temp string) error {
	if err := p.try("rename", p.name); err != nil {
		return err
	}
	return unix.Renameat(p.dir, temp, p.dir, p.base)
}

func (p *placing) link(n Node) error {
	temp := temporary(p.base)
	if err := p.try("symlink", p.name); err != nil {
		return err
	}
	if err := unix.Symlinkat(n.Link, p.dir, temp); err != nil {
		return err
	}
	err := p.linkAttributes(temp, n)
	if err == nil {
		err = p.rename(temp)
	}
	if err != nil {
		_ = p.unlink(temp)
	}
	return err
}

// linkAttributes gives a link its owner and time; a link has no mode.
func (p *placing) linkAttributes(temp string, n Node) error {
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, temp, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if n.UID >= 0 && n.UID != int(st.Uid) || n.GID >= 0 && n.GID != int(st.Gid) {
		if err := p.try("chown", p.name); err != nil {
			return err
		}
		if err := unix.Fchownat(p.dir, temp, n.UID, n.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if n.ModTime.IsZero() {
		return nil
	}
	if err := p.try("utimes", p.name); err != nil {
		return err
	}
	return unix.UtimesNanoAt(p.dir, temp, modTime(n), unix.AT_SYMLINK_NOFOLLOW)
}

// directory gives a directory that exists its mode and owner, and makes one that does not beside its place first, so that nobody
// finds it half made.
func (p *placing) directory(n Node) error {
	var st unix.Stat_t
	err := unix.Fstatat(p.dir, p.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil:
		return p.dress(p.base, n)
	case !errors.Is(err, unix.ENOENT):
		return err
	}
	if err := p.try("mkdir", p.name); err != nil {
		return err
	}
	if p.pve {
		return unix.Mkdirat(p.dir, p.base, 0o755)
	}
	temp := temporary(p.base)
	if err := unix.Mkdirat(p.dir, temp, 0o700); err != nil {
		return err
	}
	if err = p.dress(temp, n); err == nil {
		err = p.rename(temp)
	}
	if err != nil {
		_ = p.unlink(temp)
	}
	return err
}

// dress gives a directory its attributes.
func (p *placing) dress(base string, n Node) error {
	fd, err := unix.Openat(p.dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	return p.attributes(fd, n)
}

// unlink removes a name; one that is not there is removed already. Of directories only an empty one is removed.
func (p *placing) unlink(base string) error {
	var st unix.Stat_t
	err := unix.Fstatat(p.dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.try("unlink", p.name); err != nil {
		return err
	}
	flags := 0
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		flags = unix.AT_REMOVEDIR
	}
	return unix.Unlinkat(p.dir, base, flags)
}

// sync waits until the directory is on the disk; some file systems in user space cannot, and need not.
func (p *placing) sync() error {
	if err := p.try("syncdir", p.name); err != nil {
		return err
	}
	err := unix.Fsync(p.dir)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return plainError(err)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	return names
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
	return (&change{v: &d.view, fault: d.fault}).put(name, n)
}

// SetFault makes the acts on the disk ask f first. It is for tests.
func (d *Tree) SetFault(f Fault) { d.fault = f }
