package change

import (
	"fmt"
	"slices"
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

// set describes mode and owner of a path; nil and negative values stay as they are.
func (m *metaEdit) set(d *Draft, real string, mode *uint32, uid, gid int) error {
	f, err := d.Stat(real)
	if host.NotExist(err) {
		f = host.File{Mode: 0o644}
	} else if err != nil {
		return err
	}
	if _, drafted := d.Drafted(real); drafted && f.UID < 0 {
		f.UID, f.GID = 0, 0
	}
	was := f
	if mode != nil {
		f.Mode = *mode
	}
	if uid >= 0 {
		f.UID = uid
	}
	if gid >= 0 {
		f.GID = gid
	}
	line := fmt.Sprintf("%04o %d:%d %s", f.Mode, f.UID, f.GID, real)
	lines := strings.SplitAfter(string(m.node.Content), "\n")
	for i, l := range lines {
		if p, fields := metaFields(l); p == real {
			if len(fields) > 3 {
				line += " " + fields[3]
			}
			if strings.TrimRight(l, "\r\n") != line {
				lines[i] = line + "\n"
			}
			return m.keep(d, lines)
		}
	}
	if was.Mode == f.Mode && was.UID == f.UID && was.GID == f.GID {
		return nil
	}
	if n := len(lines); lines[n-1] != "" {
		lines[n-1] += "\n"
	}
	return m.keep(d, append(lines, line+"\n"))
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
