package host

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

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
	return userspace(p.dir)
}

// userspace reports whether a directory lies on a file system in user space, as far as the kernel tells.
func userspace(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) != nil || st.Type == fuseMagic
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
