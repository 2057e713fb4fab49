package change

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/host"
)

// record is a node as the journal keeps it: everything but the content, of which it keeps the checksum.
type record struct {
	Type    string            `json:"type"` // file, dir, link, absent
	Mode    uint32            `json:"mode,omitempty"`
	UID     int               `json:"uid"`
	GID     int               `json:"gid"`
	ModTime time.Time         `json:"mtime,omitzero"`
	Link    string            `json:"link,omitempty"`
	Xattrs  map[string][]byte `json:"xattrs,omitempty"`
	Size    int               `json:"size,omitempty"`
	// Sum is the SHA-256 of the content in hex. Knob is that of the content of a kernel's knob with its white space evened
	// out, because the kernel prints back tabs for the blanks that it was given.
	Sum  string `json:"sha256,omitempty"`
	Knob string `json:"knob,omitempty"`
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func knobSum(b []byte) string { return sum([]byte(strings.Join(strings.Fields(string(b)), " "))) }

// typeNames are the types that a journal knows.
func typeName(t host.FileType) string {
	switch t {
	case host.Regular:
		return "file"
	case host.Dir:
		return "dir"
	case host.Link:
		return "link"
	case host.Absent:
		return "absent"
	}
	return ""
}

func newRecord(name string, n host.Node) (record, error) {
	r := record{Type: typeName(n.Type), Mode: n.Mode, UID: n.UID, GID: n.GID, ModTime: n.ModTime, Link: n.Link, Xattrs: n.Xattrs}
	if r.Type == "" {
		return r, fmt.Errorf("%s is a device, pipe or socket, which castellan does not change", name)
	}
	if !utf8.ValidString(n.Link) || !utf8.ValidString(name) {
		return r, fmt.Errorf("%q: a name that is not UTF-8 cannot be journalled", name)
	}
	if n.Type == host.Regular {
		r.Size, r.Sum = len(n.Content), sum(n.Content)
		if knob(name) {
			r.Knob = knobSum(n.Content)
		}
	}
	return r, nil
}

// node gives the node of a record, with its content.
func (r record) node(content []byte) host.Node {
	n := host.Node{Mode: r.Mode, UID: r.UID, GID: r.GID, ModTime: r.ModTime, Link: r.Link, Xattrs: r.Xattrs, Content: content}
	switch r.Type {
	case "file":
		n.Type = host.Regular
	case "dir":
		n.Type = host.Dir
	case "link":
		n.Type = host.Link
	default:
		n.Type = host.Absent
	}
	return n
}

func (r record) valid() bool {
	return slices.Contains([]string{"file", "dir", "link", "absent"}, r.Type) && r.Mode <= 0o7777 && r.UID >= -1 && r.GID >= -1 &&
		(r.Type == "file") == (len(r.Sum) == 2*sha256.Size)
}

// knob reports whether a path is one of the kernel's, which is written and not replaced.
func knob(name string) bool {
	return strings.HasPrefix(name, "/proc/") || strings.HasPrefix(name, "/sys/")
}

// same reports whether a path holds what a record says. An owner of -1 is anybody: a directory's new files belong to whoever
// applied. The cluster file system has modes and owners of its own. Of a live kernel's knob the words count.
func same(name string, r record, n host.Node, live bool) bool {
	if r.Type != typeName(n.Type) {
		return false
	}
	switch r.Type {
	case "absent":
		return true
	case "link":
		return r.Link == n.Link
	case "file":
		if live && r.Knob != "" {
			return r.Knob == knobSum(n.Content)
		}
		if r.Sum != sum(n.Content) {
			return false
		}
	}
	if name == "/etc/pve" || strings.HasPrefix(name, "/etc/pve/") {
		return true
	}
	return r.Mode == n.Mode && (r.UID < 0 || r.UID == n.UID) && (r.GID < 0 || r.GID == n.GID)
}

// between reports whether an existing directory is half way from one mode and owner to others, as a process that was killed
// leaves it: the owner is set before the mode.
func between(before, after record, n host.Node) bool {
	if before.Type != "dir" || after.Type != "dir" || n.Type != host.Dir {
		return false
	}
	return (n.Mode == before.Mode || n.Mode == after.Mode) && (n.UID == before.UID || n.UID == after.UID) && (n.GID == before.GID || n.GID == after.GID)
}
