package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meta is what .castellan/meta says about a copy. Its lines are "now TIME", "live yes" or "live no", and
// "MODE UID:GID PATH [TIME]" for files whose owner, mode or time git does not keep; "#" starts a comment line.
type meta struct {
	present bool
	now     time.Time
	live    bool
	files   map[fileID]metaFile
}

// fileID names a file independently of the path that leads to it.
type fileID struct{ dev, ino uint64 }

type metaFile struct {
	mode     uint32
	uid, gid int
	mtime    time.Time
}

// readMeta reads .castellan/meta, or decides without one whether the tree kept its owners.
func (d *Tree) readMeta() error {
	name := metaDir + "/meta"
	b, err := d.view.readFile(name, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		d.unkept = d.ownerless()
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", d.outside(name), err)
	}
	d.meta = meta{present: true, files: map[fileID]metaFile{}}
	for i, line := range Lines(b) {
		if err := d.metaLine(strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("%s:%d: %w", d.outside(name), i+1, err)
		}
	}
	return nil
}

// ownerless reports whether /etc, or the root when there is no /etc, belongs to somebody other than root: a copy
// made by an ordinary user.
func (d *Tree) ownerless() bool {
	st, err := d.statPath("/etc")
	if err != nil {
		st, err = d.statPath("/")
	}
	return err != nil || st.Uid != 0
}

func (d *Tree) metaLine(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "now":
		t, err := time.Parse(time.RFC3339, rest)
		if err != nil {
			return fmt.Errorf("%q is not a time: write it like 2026-11-20T12:00:00Z", rest)
		}
		d.meta.now = t.UTC()
		return nil
	case "live":
		if rest != "yes" && rest != "no" {
			return fmt.Errorf("live is %q: want yes or no", rest)
		}
		d.meta.live = rest == "yes"
		return nil
	}
	return d.metaEntry(line)
}

// entryLine is a line of mode, owner, path and optional time.
var entryLine = regexp.MustCompile(`^([0-7]{3,5})\s+(\d{1,9}):(\d{1,9})\s+(/.*?)(?:\s+(\d{4}-\d\d-\d\dT\S+))?$`)

func (d *Tree) metaEntry(line string) error {
	f := entryLine.FindStringSubmatch(line)
	if f == nil {
		return fmt.Errorf("cannot read %q: want \"now TIME\", \"live yes\" or \"0640 0:42 /path [TIME]\"", line)
	}
	var m metaFile
	mode, err := strconv.ParseUint(f[1], 8, 32)
	if err != nil || mode > 0o7777 {
		return fmt.Errorf("mode %s is not one of 0000 to 7777", f[1])
	}
	m.mode = uint32(mode)
	// The expression admits nine digits at most, which fit.
	m.uid, _ = strconv.Atoi(f[2])
	m.gid, _ = strconv.Atoi(f[3])
	if f[5] != "" {
		if m.mtime, err = time.Parse(time.RFC3339, f[5]); err != nil {
			return fmt.Errorf("%q is not a time: write it like 2026-11-20T12:00:00Z", f[5])
		}
		m.mtime = m.mtime.UTC()
	} else {
		m.mtime = d.meta.now
	}
	name := f[4]
	if path.Clean(name) != name {
		return fmt.Errorf("path %s is not in its shortest form: write %s", name, path.Clean(name))
	}
	fd, err := d.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("%s stands here but not in the copy: %w", name, err)
	}
	defer closeFD(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("cannot stat %s: %w", name, err)
	}
	d.meta.files[fileID{st.Dev, st.Ino}] = m
	return nil
}
