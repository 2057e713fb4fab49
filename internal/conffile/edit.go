package conffile

import (
	"bytes"
	"regexp"
	"strings"
)

// Dialect says how one program writes its settings, as far as editing needs to know.
type Dialect struct {
	// Separator stands between key and value of a new line: " = ", "=", " ", ": ".
	Separator string
	// Split is the set of characters that end a key when lines are read; blanks around them do not count. A blank in it
	// lets white space part key and value.
	Split string
	// Comment are the characters that begin a comment line; empty means "#".
	Comment string
	// Fold is set when keys are compared without regard to case.
	Fold bool
	// First is set when of several lines of one key the first counts; else the last does.
	First bool
	// Sections is set when "[name]" lines part the file; keys then belong to a section.
	Sections bool
}

// Doc is a line-based configuration file that is edited without touching what is not meant: comments, order, blanks,
// line endings and bytes that are no text stay as they are.
type Doc struct {
	dialect Dialect
	lines   []string // with their endings
	ending  string
}

// Parse splits a file. It never fails: a line that means nothing to the dialect is kept as it is.
func Parse(b []byte, d Dialect) *Doc {
	if d.Comment == "" {
		d.Comment = "#"
	}
	doc := &Doc{dialect: d, ending: "\n"}
	for l := range strings.Lines(string(b)) {
		doc.lines = append(doc.lines, l)
	}
	if i := bytes.IndexByte(b, '\n'); i > 0 && b[i-1] == '\r' {
		doc.ending = "\r\n"
	}
	return doc
}

// Bytes writes the file.
func (d *Doc) Bytes() []byte { return []byte(strings.Join(d.lines, "")) }

// key returns the key and value of a line, or "" when it is none.
func (d *Doc) key(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if line == "" || strings.ContainsRune(d.dialect.Comment, rune(line[0])) || d.dialect.Sections && line[0] == '[' {
		return "", ""
	}
	i := strings.IndexAny(line, d.dialect.Split)
	if i < 0 {
		return line, ""
	}
	key, value = strings.TrimSpace(line[:i]), strings.TrimSpace(line[i:])
	if marks := strings.Trim(d.dialect.Split, " \t"); marks != "" && value != "" && strings.ContainsRune(marks, rune(value[0])) {
		value = strings.TrimSpace(value[1:])
	}
	return key, value
}

func (d *Doc) same(a, b string) bool {
	if d.dialect.Fold {
		return strings.EqualFold(a, b)
	}
	return a == b
}

var sectionLine = regexp.MustCompile(`^\s*\[([^\]]*)\]`)

// span gives the lines of a section: [from, to). The section "" is what stands before the first one. A section that
// appears several times is its last appearance. found is false when there is none.
func (d *Doc) span(section string) (from, to int, found bool) {
	if !d.dialect.Sections {
		return 0, len(d.lines), true
	}
	at, start := "", 0
	from, to, found = 0, 0, section == ""
	end := func(i int) {
		if d.same(at, section) {
			from, to, found = start, i, true
		}
	}
	for i, l := range d.lines {
		if m := sectionLine.FindStringSubmatch(l); m != nil {
			end(i)
			at, start = strings.TrimSpace(m[1]), i+1
		}
	}
	end(len(d.lines))
	return from, to, found
}

// Get returns the value that counts and the number of its line, from 1; 0 when the key is not set.
func (d *Doc) Get(section, key string) (value string, line int) {
	from, to, _ := d.span(section)
	for i := from; i < to; i++ {
		k, v := d.key(d.lines[i])
		if k == "" || !d.same(k, key) {
			continue
		}
		value, line = v, i+1
		if d.dialect.First {
			break
		}
	}
	return value, line
}

// Set gives a key a value: the line that counts is rewritten, other lines of the key are left alone, and without one a line is
// added at the end of the section, which is added when it is missing. A value that is set already changes nothing.
func (d *Doc) Set(section, key, value string) {
	old, line := d.Get(section, key)
	if line > 0 && old == value {
		return
	}
	if line > 0 {
		l := d.lines[line-1]
		indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		k, _ := d.key(l)
		d.lines[line-1] = indent + k + d.dialect.Separator + value + ending(l, d.ending)
		return
	}
	d.add(section, key+d.dialect.Separator+value)
}

// add puts a line at the end of a section.
func (d *Doc) add(section, text string) {
	_, to, found := d.span(section)
	if !found {
		d.terminate()
		if n := len(d.lines); n > 0 && strings.TrimSpace(d.lines[n-1]) != "" {
			d.lines = append(d.lines, d.ending)
		}
		d.lines = append(d.lines, "["+section+"]"+d.ending, text+d.ending)
		return
	}
	if to == len(d.lines) {
		d.terminate()
	}
	at := to
	for at > 0 && at < len(d.lines) && strings.TrimSpace(d.lines[at-1]) == "" {
		at-- // before the empty lines that part the sections
	}
	d.lines = append(d.lines[:at], append([]string{text + d.ending}, d.lines[at:]...)...)
}

// terminate ends the last line.
func (d *Doc) terminate() {
	if n := len(d.lines); n > 0 && !strings.HasSuffix(d.lines[n-1], "\n") {
		d.lines[n-1] += d.ending
	}
}

// Unset removes every line of a key in a section.
func (d *Doc) Unset(section, key string) {
	from, to, _ := d.span(section)
	kept := append([]string{}, d.lines[:from]...)
	for _, l := range d.lines[from:to] {
		if k, _ := d.key(l); k == "" || !d.same(k, key) {
			kept = append(kept, l)
		}
	}
	d.lines = append(kept, d.lines[to:]...)
}

// ending gives the line ending of a line, or the usual one of the file for a last line without.
func ending(line, usual string) string {
	switch {
	case strings.HasSuffix(line, "\r\n"):
		return "\r\n"
	case strings.HasSuffix(line, "\n"):
		return "\n"
	}
	return usual
}
