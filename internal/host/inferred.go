package host

import (
	"io/fs"
	"path"
	"strings"
)

// directories holds directories of which every entry is known, because a listing of all of them ("/etc/x/*",
// "/etc/x/**") is complete. From them questions are answered without another round trip: what such a listing does
// not show was not there when it was made, and neither is anything below it.
type directories map[string]map[string]File

// learn notes the directories that a complete listing covers.
func (d directories) learn(p pattern, found []File) {
	base := "/" + strings.Join(p.elems, "/")
	if !p.deep {
		if p.plain || p.elems[len(p.elems)-1] != "*" {
			return
		}
		base = path.Dir(base)
	}
	if isWild(base) {
		return
	}
	d.open(base)
	for _, fi := range found {
		dir, name := path.Split(fi.Path)
		if known := d[path.Clean(dir)]; known != nil {
			known[name] = fi
		}
		// Entries are sorted, so a directory comes before what it holds.
		if p.deep && fi.Type == Dir && !pseudo(fi.Path) {
			d.open(fi.Path)
		}
	}
}

func (d directories) open(dir string) {
	if d[dir] == nil {
		d[dir] = map[string]File{}
	}
}

// absent reports whether a path cannot exist: some directory on the way is known and lacks the next element.
func (d directories) absent(clean string) bool {
	for dir, rest := "/", strings.TrimPrefix(clean, "/"); rest != ""; {
		name, below, _ := strings.Cut(rest, "/")
		if entries := d[dir]; entries != nil {
			if _, there := entries[name]; !there {
				return true
			}
		}
		dir, rest = path.Join(dir, name), below
	}
	return false
}

// list answers a pattern from what is known, if that suffices.
func (d directories) list(p pattern) ([]File, bool) {
	n := 0
	for n < len(p.elems) && !isWild(p.elems[n]) {
		n++
	}
	if n > 0 && d.absent("/"+strings.Join(p.elems[:n], "/")) {
		return nil, true
	}
	last := len(p.elems) - 1
	if p.deep && n == len(p.elems) {
		return d.flat("/" + strings.Join(p.elems, "/"))
	}
	if p.deep || n < last {
		return nil, false
	}
	dir := "/" + strings.Join(p.elems[:last], "/")
	entries := d[dir]
	if entries == nil {
		return nil, false
	}
	var found []File
	for name, fi := range entries {
		if match(p.elems[last], name) {
			found = append(found, fi)
		}
	}
	sortByPath(found)
	return found, true
}

// flat answers "everything below" for a directory that is known and holds no directories.
func (d directories) flat(dir string) ([]File, bool) {
	entries := d[path.Clean(dir)]
	if entries == nil {
		return nil, false
	}
	var found []File
	for _, fi := range entries {
		if fi.Type == Dir {
			return nil, false
		}
		found = append(found, fi)
	}
	sortByPath(found)
	return found, true
}

// infer fills the caches with an answer to a question that what is known decides. It reports whether it did.
func (r *Remote) infer(q question) bool {
	switch q.kind {
	case 'R':
		if r.dirs.absent(q.key) {
			r.reads[q.key] = answer[[]byte]{err: fs.ErrNotExist}
			return true
		}
	case 'S':
		if r.dirs.absent(q.key) {
			r.stats[q.key] = answer[File]{err: fs.ErrNotExist}
			return true
		}
	case 'L':
		if found, ok := r.dirs.list(q.pat); ok {
			r.lists[q.key] = answer[[]File]{value: found}
			return true
		}
	}
	return false
}
