package host

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxLinks bounds how many links one path may lead through, as the kernel does (path_resolution(7)).
const maxLinks = 40

// Resolve gives the path without links in it: where a file that is read, or would be made, really lies. Links are read
// with the Reader, so they stay inside its target. What does not exist is taken as it is written.
func Resolve(r Reader, name string) (string, error) {
	if err := checkPath(name); err != nil {
		return "", &Error{"resolve", name, err}
	}
	rest := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	at, links := "/", 0
	for len(rest) > 0 {
		elem := rest[0]
		rest = rest[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, elem)
		f, err := Lstat(r, next)
		switch {
		case NotExist(err):
			at = next
			continue
		case err != nil:
			return "", err
		case f.Type != Link:
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &Error{"resolve", name, fs.ErrInvalid}
		}
		if strings.HasPrefix(f.Link, "/") {
			at = "/"
		}
		rest = append(strings.Split(f.Link, "/"), rest...)
	}
	return at, nil
}

// Lstat describes a path itself: of a link the link.
func Lstat(r Reader, name string) (File, error) {
	if name == "/" {
		return File{Path: "/", Type: Dir, Mode: 0o755}, nil
	}
	found, err := r.List(escape(name))
	for _, f := range found {
		if f.Path == name {
			return f, nil
		}
	}
	if err != nil && !NotExist(err) {
		return File{}, err
	}
	return File{}, &Error{"stat", name, fs.ErrNotExist}
}

// Quote turns a path into the pattern for List that matches it alone.
func Quote(name string) string { return escape(name) }

func escape(name string) string {
	if !isWild(name) {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// Overlay is a Reader that shows a target as it will be: with some paths replaced. Commands still answer for the target
// as it is.
type Overlay struct {
	base Reader
	// nodes by path without links.
	nodes map[string]Node
}

// NewOverlay returns a Reader that shows base with nothing replaced yet.
func NewOverlay(base Reader) *Overlay { return &Overlay{base: base, nodes: map[string]Node{}} }

// Set replaces what is at a path; links in its directory are followed.
func (o *Overlay) Set(name string, n Node) error {
	dir, err := Resolve(o, path.Dir(name))
	if err != nil {
		return err
	}
	o.nodes[path.Join(dir, path.Base(name))] = n
	return nil
}

// Changed lists the replaced paths, sorted, without links in them.
func (o *Overlay) Changed() []string { return slices.Sorted(maps.Keys(o.nodes)) }

// Node returns what replaces a path given without links.
func (o *Overlay) Node(name string) (Node, bool) {
	n, ok := o.nodes[name]
	return n, ok
}

// Drafted returns what replaces a path given without links, in this overlay or in one below it.
func (o *Overlay) Drafted(name string) (Node, bool) {
	for {
		if n, ok := o.nodes[name]; ok {
			return n, true
		}
		below, ok := o.base.(*Overlay)
		if !ok {
			return Node{}, false
		}
		o = below
	}
}

// Clone returns an independent overlay of the same base with the same replacements.
func (o *Overlay) Clone() *Overlay { return &Overlay{base: o.base, nodes: maps.Clone(o.nodes)} }

// gone reports whether a path lies below something that was removed or is no directory any more.
func (o *Overlay) gone(name string) bool {
	for d := path.Dir(name); d != "/"; d = path.Dir(d) {
		if n, ok := o.nodes[d]; ok && n.Type != Dir && n.Type != Link {
			return true
		}
	}
	return false
}

// ReadFile implements [Reader].
func (o *Overlay) ReadFile(name string) ([]byte, error) {
	if len(o.nodes) == 0 {
		return o.base.ReadFile(name)
	}
	real, err := Resolve(o, name)
	if err != nil {
		return nil, err
	}
	n, ok := o.nodes[real]
	switch {
	case ok && n.Type == Regular:
		return slices.Clone(n.Content), nil
	case ok && n.Type == Absent, !ok && o.gone(real):
		return nil, &Error{"read", name, fs.ErrNotExist}
	case ok:
		return nil, &Error{"read", name, ErrNotRegular}
	}
	return o.base.ReadFile(real)
}

// Stat implements [Reader].
func (o *Overlay) Stat(name string) (File, error) {
	if len(o.nodes) == 0 {
		return o.base.Stat(name)
	}
	real, err := Resolve(o, name)
	if err != nil {
		return File{}, err
	}
	n, ok := o.nodes[real]
	switch {
	case ok && n.Type == Absent, !ok && o.gone(real):
		return File{}, &Error{"stat", name, fs.ErrNotExist}
	case ok:
		return n.file(name), nil
	}
	f, err := o.base.Stat(real)
	f.Path = name
	return f, err
}

func (n Node) file(name string) File {
	return File{Path: name, Type: n.Type, Mode: n.Mode, UID: n.UID, GID: n.GID, Size: int64(len(n.Content)), ModTime: n.ModTime, Link: n.Link}
}

// List implements [Reader].
func (o *Overlay) List(text string) ([]File, error) {
	found, err := o.base.List(text)
	if len(o.nodes) == 0 {
		return found, err
	}
	p, perr := parsePattern(text)
	if perr != nil {
		return found, err
	}
	// The part of the pattern before its first wildcard is a directory, under the name that it was asked by.
	prefix := "/"
	fixed := 0
	for fixed < len(p.elems)-1 && !isWild(p.elems[fixed]) {
		prefix = path.Join(prefix, p.elems[fixed])
		fixed++
	}
	real := prefix
	if prefix != "/" {
		if real, perr = Resolve(o, prefix); perr != nil {
			return found, perr
		}
		if real != prefix {
			// A link that is new leads elsewhere in the base.
			found, err = o.base.List(strings.Join(append([]string{strings.TrimSuffix(escape(real), "/")}, patternTail(p, fixed)...), "/"))
			for i := range found {
				found[i].Path = path.Join(prefix, strings.TrimPrefix(found[i].Path, real))
			}
		}
	}
	seen := map[string]bool{}
	out := make([]File, 0, len(found))
	for _, f := range found {
		at := path.Join(real, strings.TrimPrefix(f.Path, prefix))
		seen[at] = true
		n, ok := o.nodes[at]
		switch {
		case ok && n.Type == Absent, !ok && o.gone(at):
		case ok:
			out = append(out, n.file(f.Path))
		default:
			out = append(out, f)
		}
	}
	for at, n := range o.nodes {
		rest, below := strings.CutPrefix(at, strings.TrimSuffix(real, "/")+"/")
		name := path.Join(prefix, rest)
		if below && !seen[at] && n.Type != Absent && p.matches(name) {
			out = append(out, n.file(name))
		}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, err
}

func patternTail(p pattern, from int) []string {
	tail := slices.Clone(p.elems[from:])
	if p.deep {
		tail = append(tail, "**")
	}
	return tail
}

// Run implements [Reader] for the target as it is.
func (o *Overlay) Run(c Command) (Output, error) { return o.base.Run(c) }
