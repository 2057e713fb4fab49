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
	missing := false // whether at does not exist, or is no directory: there is no ".." in it
	for len(rest) > 0 {
		elem := rest[0]
		rest = rest[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			if missing {
				return "", &Error{"resolve", name, fs.ErrNotExist}
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, elem)
		f, err := lstatReal(r, next)
		switch {
		case NotExist(err):
			at, missing = next, true
			continue
		case err != nil:
			return "", err
		case f.Type != Link:
			at, missing = next, f.Type != Dir
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

// lstatReal is Lstat of a path whose directory has no links in it, so that an overlay need not resolve it again.
func lstatReal(r Reader, name string) (File, error) {
	o, ok := r.(*Overlay)
	if !ok {
		return Lstat(r, name)
	}
	n, ok := o.nodes[name]
	switch {
	case ok && n.Type == Absent, !ok && o.gone(name):
		return File{}, &Error{"stat", name, fs.ErrNotExist}
	case ok:
		return n.file(name), nil
	}
	return lstatReal(o.base, name)
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

// Unset shows again what the base has at a path given without links, Restore puts back there what [Overlay.Node] gave.
func (o *Overlay) Unset(name string) { delete(o.nodes, name) }

// Restore puts back what was set at a path given without links.
func (o *Overlay) Restore(name string, n Node) { o.nodes[name] = n }

// gone reports whether a path lies below something that was removed or is no directory any more, or that is a directory only now.
func (o *Overlay) gone(name string) bool {
	for d := path.Dir(name); d != "/"; d = path.Dir(d) {
		if n, ok := o.nodes[d]; ok && n.Type != Link && !o.keepsDir(d, n) {
			return true
		}
	}
	return false
}

// keepsDir reports whether a replaced path is a directory still: what the base has below it shows.
func (o *Overlay) keepsDir(name string, n Node) bool {
	if n.Type != Dir {
		return false
	}
	f, err := lstatReal(o.base, name)
	return err == nil && f.Type == Dir
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
	if err != nil {
		return File{}, err
	}
	f.Path = name
	return f, nil
}

func (n Node) file(name string) File {
	return File{Path: name, Type: n.Type, Mode: n.Mode, UID: n.UID, GID: n.GID, Size: int64(len(n.Content)), ModTime: n.ModTime, Link: n.Link}
}

// List implements [Reader].
func (o *Overlay) List(text string) ([]File, error) {
	p, err := parsePattern(text)
	if len(o.nodes) == 0 || err != nil {
		return o.base.List(text)
	}
	l := &overlayLister{Overlay: o}
	l.expand("/", p.elems, p.deep)
	if len(l.found) > MaxList {
		return nil, &Error{"list", text, ErrTooLarge}
	}
	sortByPath(l.found)
	return l.found, l.err
}

// overlayLister expands a pattern as the lister of a view does.
type overlayLister struct {
	*Overlay
	found []File
	err   error // the first that makes the listing incomplete
}

func (l *overlayLister) add(name string, f File) {
	if hiddenBelow(name) || len(l.found) > MaxList {
		return
	}
	f.Path = name
	l.found = append(l.found, f)
}

func (l *overlayLister) expand(dir string, elems []string, deep bool) {
	for len(elems) > 1 && !isWild(elems[0]) || len(elems) == 1 && deep && !isWild(elems[0]) {
		dir = path.Join(dir, elems[0])
		elems = elems[1:]
	}
	real, err := Resolve(l.Overlay, dir)
	if err != nil {
		return // links in a circle: there is nothing
	}
	switch {
	case len(elems) == 0:
		l.walk(dir, real)
	case len(elems) == 1 && !deep && !isWild(elems[0]):
		if f, err := lstatReal(l.Overlay, path.Join(real, elems[0])); err == nil {
			l.add(path.Join(dir, elems[0]), f)
		} else if !NotExist(err) && l.err == nil {
			l.err = err
		}
	default:
		for _, f := range l.entries(real) {
			base := path.Base(f.Path)
			switch {
			case !match(elems[0], base) || hiddenBelow(path.Join(dir, base)):
			case len(elems) == 1 && !deep:
				l.add(path.Join(dir, base), f)
			default:
				l.expand(path.Join(dir, base), elems[1:], deep)
			}
		}
	}
}

// entries lists one directory, given without links.
func (l *overlayLister) entries(real string) []File {
	n, ok := l.nodes[real]
	if ok && n.Type != Dir {
		return nil
	}
	var found []File
	if ok && l.keepsDir(real, n) || !ok && !l.gone(real) {
		var err error
		found, err = l.base.List(strings.TrimSuffix(escape(real), "/") + "/*")
		if err != nil && !NotExist(err) && l.err == nil {
			l.err = err
		}
	}
	var out []File
	for _, f := range found {
		if _, ok := l.nodes[f.Path]; !ok {
			out = append(out, f)
		}
	}
	for at, n := range l.nodes {
		if path.Dir(at) == real && n.Type != Absent {
			out = append(out, n.file(at))
		}
	}
	return out
}

// walk notes everything below a directory; links are not followed.
func (l *overlayLister) walk(dir, real string) {
	for _, f := range l.entries(real) {
		name := path.Join(dir, path.Base(f.Path))
		l.add(name, f)
		if f.Type == Dir && !pseudo(name) && !hiddenBelow(name) {
			l.walk(name, f.Path)
		}
	}
}

// Run implements [Reader] for the target as it is.
func (o *Overlay) Run(c Command) (Output, error) { return o.base.Run(c) }
