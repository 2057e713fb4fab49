package change

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
)

// metaPath describes a copy: owners and modes that it could not keep (CONTRIBUTING.md, fixtures).
const metaPath = "/.castellan/meta"

// metaEdit changes that description, line by line, so that taking the change back gives its bytes again.
type metaEdit struct{ node host.Node }

func readMeta(d *Draft) (*metaEdit, error) {
	n, err := d.before(metaPath)
	if err != nil || n.Type != host.Regular {
		return nil, err
	}
	return &metaEdit{n}, nil
}

func (m *metaEdit) clone() *metaEdit {
	if m == nil {
		return nil
	}
	c := *m
	return &c
}

// metaFields splits a line "MODE UID:GID PATH [TIME]".
func metaFields(line string) (path string, fields []string) {
	fields = strings.Fields(line)
	if len(fields) < 3 || strings.HasPrefix(line, "#") || !strings.HasPrefix(fields[2], "/") {
		return "", nil
	}
	return fields[2], fields
}

// described is what the copy says of a path: its line, else what goes without saying (CONTRIBUTING.md, fixtures).
func (m *metaEdit) described(t host.FileType, real string) host.File {
	f := host.File{Mode: 0o644}
	if t == host.Dir {
		f.Mode = 0o755
	}
	for l := range strings.Lines(string(m.node.Content)) {
		p, fields := metaFields(l)
		if p != real {
			continue
		}
		mode, merr := strconv.ParseUint(fields[0], 8, 32)
		u, g, _ := strings.Cut(fields[1], ":")
		uid, uerr := strconv.Atoi(u)
		gid, gerr := strconv.Atoi(g)
		if merr == nil && uerr == nil && gerr == nil {
			f.Mode, f.UID, f.GID = uint32(mode), uid, gid
		}
	}
	return f
}

// set describes mode and owner of a path; nil and negative values stay as they are.
func (m *metaEdit) set(d *Draft, real string, mode *uint32, uid, gid int) error {
	st, err := d.Overlay.Stat(real)
	if err != nil && !host.NotExist(err) {
		return err
	}
	was := m.described(st.Type, real)
	f := was
	if mode != nil {
		f.Mode = *mode
	}
	if uid >= 0 {
		f.UID = uid
	}
	if gid >= 0 {
		f.GID = gid
	}
	if was.Mode == f.Mode && was.UID == f.UID && was.GID == f.GID {
		return nil
	}
	line := fmt.Sprintf("%04o %d:%d %s", f.Mode, f.UID, f.GID, real)
	lines := strings.SplitAfter(string(m.node.Content), "\n")
	found := false
	for i, l := range lines {
		if p, fields := metaFields(l); p == real {
			text := strings.TrimRight(l, "\r\n")
			lines[i] = line + strings.TrimPrefix(text, text[:pathEnd(text, fields)]) + l[len(text):]
			found = true
		}
	}
	if found {
		return m.keep(d, lines)
	}
	if n := len(lines); lines[n-1] != "" {
		lines[n-1] += "\n"
	}
	return m.keep(d, append(lines, line+"\n"))
}

// pathEnd is where the path of a line ends; what follows is kept.
func pathEnd(line string, fields []string) int {
	at := 0
	for _, f := range fields[:3] {
		at += strings.Index(line[at:], f) + len(f)
	}
	return at
}

// Stat implements host.Reader: what is drafted in a copy that describes its files has the mode and owner that the copy says.
func (d *Draft) Stat(name string) (host.File, error) {
	f, err := d.Overlay.Stat(name)
	if err != nil || d.meta == nil {
		return f, err
	}
	real, err := d.real(name)
	if err != nil {
		return f, err
	}
	return d.asDescribed(f, real), nil
}

// List implements host.Reader like Stat.
func (d *Draft) List(pattern string) ([]host.File, error) {
	found, err := d.Overlay.List(pattern)
	if d.meta != nil {
		for i, f := range found {
			found[i] = d.asDescribed(f, f.Path)
		}
	}
	return found, err
}

func (d *Draft) asDescribed(f host.File, real string) host.File {
	if _, drafted := d.Drafted(real); drafted && f.Type != host.Link {
		was := d.meta.described(f.Type, real)
		f.Mode, f.UID, f.GID = was.Mode, was.UID, was.GID
	}
	return f
}

// drop forgets a path that is removed: the description may name only what is there.
func (m *metaEdit) drop(d *Draft, real string) error {
	lines := strings.SplitAfter(string(m.node.Content), "\n")
	return m.keep(d, slices.DeleteFunc(lines, func(l string) bool {
		p, _ := metaFields(l)
		return p == real
	}))
}

func (m *metaEdit) keep(d *Draft, lines []string) error {
	text := strings.Join(lines, "")
	if text == string(m.node.Content) {
		return nil
	}
	m.node.Content = []byte(text)
	return d.put(metaPath, m.node)
}
