package kinds

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	sudoconf "github.com/castellan-project/castellan/internal/debian/sudoers"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	sudoersMain = "/etc/sudoers"
	sudoersFile = "/etc/sudoers.d/castellan"
)

// sudoers sets Defaults of sudo in a file of ours: a flag where the value is empty. sudo reads its files at every call and
// refuses everybody while one of them is broken, so the file is checked before it is put.
func sudoers(d *change.Draft, c change.Change) error {
	have, err := readSudoers(d)
	if err != nil {
		return err
	}
	owner := "root:root"
	if isFresh(d, sudoersFile) {
		owner = "" // a new file is root's
	}
	changed, err := rewrite(d, sudoersFile, 0o440, func(b []byte) ([]byte, error) {
		for _, name := range slices.Sorted(maps.Keys(c.Set)) {
			if err := plain(name, c.Set[name]); err != nil {
				return nil, err
			}
			if strings.ContainsAny(c.Set[name], "#!,=") {
				return nil, change.Cannot("the value of %s cannot be written into sudoers as it is", name)
			}
			if !sudoHolds(have, name, c.Set[name]) {
				b = setDefault(b, name, c.Set[name])
			}
		}
		return b, nil
	})
	if err != nil || !changed {
		return err
	}
	mode := uint32(0o440)
	if err := d.Attr(sudoersFile, &mode, owner); err != nil {
		return err
	}
	after, err := readSudoers(d)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		if sudoHolds(after, name, c.Set[name]) {
			continue
		}
		if last, ok := after.Last(name); ok && last.File != sudoersFile {
			return change.Cannot("%s:%d sets %s after %s is read; change it there", last.File, last.Line, name, sudoersFile)
		}
		return change.Cannot("%s does not include /etc/sudoers.d; add the line @includedir /etc/sudoers.d with visudo", sudoersMain)
	}
	if err := d.Candidate(sudoersFile, "visudo -c -f"); err != nil {
		return err
	}
	return d.Do(change.Action{Verb: change.Check, Object: "visudo -c"})
}

// sudoHolds reports whether sudo acts as wanted already, or more strictly.
func sudoHolds(conf sudoconf.Config, name, want string) bool {
	last, ok := conf.Last(name)
	switch {
	case !ok || last.Off && want != "":
		return name == "timestamp_timeout" && ok // "!timestamp_timeout" asks every time
	case want == "":
		return !last.Off
	case name == "logfile":
		return last.Value != "" // a log of the administrator's own choice
	case name == "timestamp_timeout":
		h, err1 := strconv.ParseFloat(last.Value, 64)
		w, err2 := strconv.ParseFloat(want, 64)
		return err1 == nil && err2 == nil && h >= 0 && h <= w
	}
	return last.Value == want
}

// sudoFiles lets the parser read the draft.
type sudoFiles struct{ d *change.Draft }

func (f sudoFiles) Read(p string) ([]byte, error) { return f.d.ReadFile(p) }

func (f sudoFiles) Dir(p string) ([]string, error) {
	list, err := f.d.List(strings.TrimSuffix(p, "/") + "/*")
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	var out []string
	for _, i := range list {
		if i.Type == host.Regular || i.Type == host.Link {
			out = append(out, i.Path)
		}
	}
	return out, nil
}

func readSudoers(d *change.Draft) (sudoconf.Config, error) {
	conf, err := sudoconf.Parse(sudoersMain, sudoFiles{d})
	if host.NotExist(err) {
		return conf, change.Cannot("sudo is not installed: there is no %s", sudoersMain)
	}
	if err != nil {
		return conf, err
	}
	if len(conf.Problems) > 0 {
		return conf, change.Cannot("sudo refuses its files as they are: %s; correct that with visudo first", conf.Problems[0])
	}
	return conf, nil
}

// setDefault writes one Defaults line: over the one of the same name in our file, else at its end.
func setDefault(b []byte, name, value string) []byte {
	text := "Defaults " + name
	switch _, err := strconv.ParseFloat(value, 64); {
	case value == "":
	case err == nil:
		text += "=" + value
	default:
		text += `="` + value + `"`
	}
	lines, ending := pieces(b)
	for i, l := range lines {
		f := strings.Fields(l)
		if len(f) != 2 || f[0] != "Defaults" {
			continue
		}
		key, _, _ := strings.Cut(strings.TrimLeft(f[1], "!"), "=")
		if key == name {
			lines[i] = text + lineEnd(l, ending)
			return joined(lines)
		}
	}
	return joined(appendLine(lines, text, ending))
}
