package host

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Memory is a Reader over files that are held in memory: what a bundle kept of a target, or what was made of the answers
// of an API. It has no links; everything in it is root's, and owners are not known. The zero Memory is empty.
type Memory struct {
	// Files are the contents by absolute path. Directories exist through the files below them.
	Files map[string][]byte
	// Dirs are directories that exist although they may hold no file.
	Dirs []string
	// Errs are the errors of paths, and of the names of commands, that could not be read when the target was.
	Errs map[string]error
	// Answers are the standard outputs of commands by [Command.Name].
	Answers map[string][]byte
}

// ReadFile implements [Reader].
func (m *Memory) ReadFile(name string) ([]byte, error) {
	name = path.Clean(name)
	if err := m.Errs[name]; err != nil {
		return nil, &Error{Op: "read", Path: name, Err: err}
	}
	if b, ok := m.Files[name]; ok {
		return slices.Clone(b), nil
	}
	if m.isDir(name) {
		return nil, &Error{Op: "read", Path: name, Err: ErrNotRegular}
	}
	return nil, &Error{Op: "read", Path: name, Err: fs.ErrNotExist}
}

func (m *Memory) isDir(name string) bool {
	below := strings.TrimSuffix(name, "/") + "/"
	if slices.ContainsFunc(m.Dirs, func(d string) bool { return d == name || strings.HasPrefix(d, below) }) {
		return true
	}
	for f := range m.Files {
		if strings.HasPrefix(f, below) {
			return true
		}
	}
	return false
}

// Stat implements [Reader].
func (m *Memory) Stat(name string) (File, error) {
	name = path.Clean(name)
	if b, ok := m.Files[name]; ok {
		return m.file(name, Regular, len(b)), nil
	}
	if m.isDir(name) {
		return m.file(name, Dir, 0), nil
	}
	if err := m.Errs[name]; err != nil {
		return File{}, &Error{Op: "stat", Path: name, Err: err}
	}
	return File{}, &Error{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (m *Memory) file(name string, kind FileType, size int) File {
	mode := uint32(0o644)
	if kind == Dir {
		mode = 0o755
	}
	return File{Path: name, Type: kind, Mode: mode, Size: int64(size), OwnerUnknown: true}
}

// List implements [Reader].
func (m *Memory) List(text string) ([]File, error) {
	p, err := parsePattern(text)
	if err != nil {
		return nil, &Error{Op: "list", Path: text, Err: err}
	}
	if err := m.Errs[text]; err != nil {
		return nil, &Error{Op: "list", Path: text, Err: err}
	}
	kinds := map[string]FileType{}
	for _, d := range m.Dirs {
		for ; d != "/" && d != "."; d = path.Dir(d) {
			kinds[d] = Dir
		}
	}
	for f := range m.Files {
		for d := path.Dir(f); d != "/" && d != "."; d = path.Dir(d) {
			kinds[d] = Dir
		}
	}
	for f := range m.Files {
		kinds[f] = Regular
	}
	found := []File{}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if p.matches(name) {
			found = append(found, m.file(name, kinds[name], len(m.Files[name])))
		}
	}
	if len(found) > MaxList {
		return nil, &Error{Op: "list", Path: text, Err: ErrTooLarge}
	}
	return found, nil
}

// matches reports whether an absolute, clean path matches element by element.
func (p pattern) matches(name string) bool {
	elems := strings.Split(strings.Trim(name, "/"), "/")
	if len(elems) < len(p.elems) || !p.deep && len(elems) > len(p.elems) || p.deep && len(elems) == len(p.elems) {
		return false
	}
	for i, e := range p.elems {
		if ok, err := path.Match(e, elems[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// Run implements [Reader].
func (m *Memory) Run(cmd Command) (Output, error) {
	if err := m.Errs[cmd.Name]; err != nil {
		return Output{}, &Error{Op: "run", Path: cmd.Name, Err: err}
	}
	if b, ok := m.Answers[cmd.Name]; ok {
		return Output{Stdout: slices.Clone(b)}, nil
	}
	return Output{}, &Error{Op: "run", Path: cmd.Name, Err: ErrUnavailable}
}
