package host

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// Walker is a Reader that can take stock of the root file system itself, several times cheaper than a find(1).
type Walker interface {
	// Walk looks at every file and directory of the root file system, without crossing to others and without
	// following links, and returns those that keep wants. It does not descend into directories that skip names.
	// Entries that vanish and directories that may not be read are passed over.
	Walk(skip func(path, name string) bool, keep func(t FileType, mode uint32, uid, gid int) bool) ([]File, error)
}

var _ Walker = (*Local)(nil)

// Walk implements Walker.
func (l *Local) Walk(skip func(path, name string) bool, keep func(t FileType, mode uint32, uid, gid int) bool) ([]File, error) {
	return l.walkFrom("/", skip, keep)
}

func (l *Local) walkFrom(root string, skip func(path, name string) bool, keep func(t FileType, mode uint32, uid, gid int) bool) ([]File, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{Op: "walk", Path: root, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, &Error{Op: "walk", Path: root, Err: err}
	}
	w := &treeWalk{view: &l.view, dev: st.Dev, skip: skip, keep: keep, buf: make([]byte, direntBuffer)}
	w.dir(fd, strings.TrimSuffix(root, "/"), 0)
	if len(w.found) >= MaxList {
		return nil, &Error{Op: "walk", Path: root, Err: ErrTooLarge}
	}
	return w.found, nil
}

// maxWalkDepth bounds the descriptors that are held: one a level.
const maxWalkDepth = 512

// direntBuffer is the size in bytes of one getdents call.
const direntBuffer = 64 << 10

type treeWalk struct {
	*view
	dev   uint64
	skip  func(path, name string) bool
	keep  func(t FileType, mode uint32, uid, gid int) bool
	buf   []byte
	found []File
}

// dir walks an open directory and closes it. The path of the root is empty.
func (w *treeWalk) dir(fd int, path string, depth int) {
	defer closeFD(fd)
	buf := w.buf // free again before the directories below are walked
	var below []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		if n <= 0 || err != nil {
			break
		}
		for b := buf[:n]; len(b) > 19; {
			// struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name up to NUL.
			size := int(binary.NativeEndian.Uint16(b[16:]))
			if size < 20 || size > len(b) {
				break
			}
			kind, name := b[18], b[19:size]
			b = b[size:]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if string(name) == "." || string(name) == ".." || kind == unix.DT_LNK {
				continue
			}
			if s := string(name); w.entry(fd, path, s) {
				below = append(below, s)
			}
		}
	}
	if depth >= maxWalkDepth {
		return
	}
	for _, name := range below {
		sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			w.dir(sub, path+"/"+name, depth+1)
		}
	}
}

// entry looks at one entry and reports whether it is a directory to descend into.
func (w *treeWalk) entry(fd int, dir, name string) bool {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false
	}
	t := Other
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		t = Regular
	case unix.S_IFDIR:
		t = Dir
	case unix.S_IFLNK:
		return false
	}
	if t == Dir && (st.Dev != w.dev || w.skip(dir+"/"+name, name)) {
		return false
	}
	if w.keep(t, st.Mode&0o7777, int(st.Uid), int(st.Gid)) && len(w.found) < MaxList {
		w.found = append(w.found, w.info(dir+"/"+name, &st))
	}
	return t == Dir
}
