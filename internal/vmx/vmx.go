// Package vmx reads and edits the configuration files of VMware virtual machines (.vmx) without touching what is not meant:
// order, spacing, comments, line endings and bytes in other encodings stay. It knows the grammar; what a setting means for
// security, and which value is wanted, is the catalogue's matter.
//
// The grammar is one key = "value" a line, "#" for comments (as libvirt's src/vmx/vmx.c and src/util/virconf.c read it). Keys
// are compared without regard to case. VMware refuses a file in which a key stands twice, so a duplicate is a problem here and
// such a file is not edited.
package vmx

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// MaxSize is the largest file that is read, in bytes: real ones hold some ten thousand.
const MaxSize = 4 << 20

// maxProblems bounds how many problems of one file are kept; a binary file has one on every line.
const maxProblems = 50

// Severity of a [Problem].
type Severity int

// The severities: an Error keeps VMware, or us, from using the file; a Warning does not.
const (
	Warning Severity = iota
	Error
)

// Problem is something wrong with one line.
type Problem struct {
	Line, Column int // from 1
	Severity     Severity
	Text         string
	// Instead is the line as it should be written, when that is clear.
	Instead string
}

// Error says the problem with its place.
func (p Problem) Error() string {
	s := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Text)
	if p.Instead != "" {
		s += "; write " + p.Instead
	}
	return s
}

// Setting is one key with its value.
type Setting struct {
	Key   string // as it is spelled
	Value string // without quotes and escapes, in UTF-8
	Line  int    // from 1
}

// File is a .vmx file.
type File struct {
	lines    []line
	byKey    map[string]int // folded key -> index of the line that holds it first
	encoding string         // as the file names it
	ending   string
	problems []Problem
	dropped  int
}

// line is one line of the file. raw holds everything, its ending included; start and end bound the value between its
// quotes.
type line struct {
	raw        string
	key        string
	start, end int
}

// Parse reads a file. It fails only when this cannot be a .vmx file at all: too large, binary, or UTF-16. Everything else
// that is wrong is among the problems.
func Parse(b []byte) (*File, error) {
	switch {
	case len(b) > MaxSize:
		return nil, fmt.Errorf("the file is larger than %d MiB", MaxSize>>20)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}), bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return nil, errors.New("the file is UTF-16; save it as UTF-8")
	case bytes.IndexByte(b, 0) >= 0:
		return nil, fmt.Errorf("the file is binary: it holds a zero byte at position %d", bytes.IndexByte(b, 0))
	}
	f := &File{byKey: map[string]int{}, ending: "\n"}
	if i := bytes.IndexByte(b, '\n'); i > 0 && b[i-1] == '\r' {
		f.ending = "\r\n"
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	mark := len(b) - len(text)
	for raw := range strings.Lines(text) {
		l := f.parse(raw, len(f.lines)+1)
		if len(f.lines) == 0 && mark > 0 {
			l.raw = string(b[:mark]) + l.raw
			l.start, l.end = l.start+mark, l.end+mark
		}
		f.lines = append(f.lines, l)
		if l.key == "" {
			continue
		}
		folded := strings.ToLower(l.key)
		if first, twice := f.byKey[folded]; twice {
			f.problem(Problem{Line: len(f.lines), Column: 1, Severity: Error,
				Text: fmt.Sprintf("%s stands here again after line %d; VMware refuses a file with a key that stands twice", l.key, first+1)})
			continue
		}
		f.byKey[folded] = len(f.lines) - 1
	}
	if s, ok := f.Get(".encoding"); ok {
		f.encoding = s.Value
	}
	return f, nil
}

func (f *File) problem(p Problem) {
	if len(f.problems) >= maxProblems {
		f.dropped++
		return
	}
	f.problems = append(f.problems, p)
}

// keyBytes are what a key consists of after its first letter or dot.
func keyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_:.-", c) >= 0
}

func (f *File) parse(raw string, number int) line {
	l := line{raw: raw}
	text := strings.TrimRight(raw, "\r\n")
	at := len(text) - len(strings.TrimLeft(text, " \t"))
	body := strings.TrimSpace(text)
	if body == "" || body[0] == '#' {
		return l
	}
	bad := func(column int, instead, format string, args ...any) line {
		f.problem(Problem{Line: number, Column: column + 1, Severity: Error, Text: fmt.Sprintf(format, args...), Instead: instead})
		return line{raw: raw}
	}
	i := at
	for i < len(text) && keyByte(text[i]) {
		i++
	}
	key := text[at:i]
	if key == "" || !letterOrDot(key[0]) {
		return bad(at, "", "this is no setting: a key begins with a letter or a dot")
	}
	j := i
	for j < len(text) && (text[j] == ' ' || text[j] == '\t') {
		j++
	}
	if j >= len(text) || text[j] != '=' {
		return bad(j, "", "after the key %s an = is missing", key)
	}
	rest := strings.TrimSpace(text[j+1:])
	if strings.HasPrefix(rest, ">") {
		value := strings.Trim(strings.TrimSpace(rest[1:]), `"'`)
		instead, why := Today(key, value)
		if why != "" {
			why = "; " + key + ": " + why
		}
		return bad(j, instead, "=> is not how a .vmx file parts key and value%s", why)
	}
	k := j + 1
	for k < len(text) && (text[k] == ' ' || text[k] == '\t') {
		k++
	}
	if k >= len(text) || text[k] != '"' && text[k] != '\'' {
		instead := ""
		if rest != "" && !strings.ContainsAny(rest, `"'#`) {
			instead = key + " = " + Quote(rest)
		}
		return bad(k, instead, "the value of %s is not in quotes", key)
	}
	end := strings.IndexByte(text[k+1:], text[k])
	if end < 0 {
		return bad(k, "", "the value of %s has no closing quote", key)
	}
	end += k + 1
	if after := strings.TrimSpace(text[end+1:]); after != "" && after[0] != '#' {
		return bad(end+1, "", "there is more after the value of %s; a quote inside a value is written |22", key)
	}
	if _, err := unescape(text[k+1 : end]); err != nil {
		return bad(k+1, "", "the value of %s: %v", key, err)
	}
	l.key, l.start, l.end = key, k+1, end
	return l
}

func letterOrDot(c byte) bool { return c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// unescape replaces | and two hexadecimal digits by the byte that they mean.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "|") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '|' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("after | two hexadecimal digits are missing")
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("|%s is no escape; a | is written |7C", s[i+1:i+3])
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), nil
}

// Quote writes a value as a .vmx file does.
func Quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(value); i++ {
		if c := value[i]; c == '"' || c == '|' || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "|%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Problems are what is wrong, in the order of the lines.
func (f *File) Problems() []Problem {
	if f.dropped == 0 {
		return f.problems
	}
	return append(f.problems[:len(f.problems):len(f.problems)], Problem{Line: len(f.lines), Column: 1, Severity: Warning,
		Text: fmt.Sprintf("and %d more lines with problems", f.dropped)})
}

// Get returns a setting by its key in any spelling.
func (f *File) Get(key string) (Setting, bool) {
	i, ok := f.byKey[strings.ToLower(key)]
	if !ok {
		return Setting{}, false
	}
	return f.setting(i), true
}

func (f *File) setting(i int) Setting {
	l := f.lines[i]
	value, _ := unescape(l.raw[l.start:l.end]) // it was tried when the line was read
	return Setting{Key: l.key, Value: f.decode(value), Line: i + 1}
}

// decode turns a value into UTF-8. Files say their encoding in the key .encoding; what is not UTF-8 and says nothing known is
// read as windows-1252, in which every byte means something.
func (f *File) decode(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, err := encodingOf(f.encoding).NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	return out
}

// encodingOf finds the encoding that a file says it has, among those that were seen in files.
func encodingOf(name string) encoding.Encoding {
	switch strings.ToLower(name) {
	case "gbk", "gb2312", "gb18030", "windows-936", "cp936":
		return simplifiedchinese.GB18030 // it contains the others
	case "shift_jis", "windows-932", "cp932":
		return japanese.ShiftJIS
	case "windows-1250":
		return charmap.Windows1250
	case "windows-1251":
		return charmap.Windows1251
	}
	return charmap.Windows1252
}

// Settings lists everything that is set, in the order of the file; of a key that stands twice the first.
func (f *File) Settings() []Setting {
	out := make([]Setting, 0, len(f.byKey))
	for i, l := range f.lines {
		if l.key != "" && f.byKey[strings.ToLower(l.key)] == i {
			out = append(out, f.setting(i))
		}
	}
	return out
}

// Encrypted reports whether the configuration is encrypted: what is set then cannot be seen.
func (f *File) Encrypted() bool {
	_, safe := f.Get("encryption.keySafe")
	_, data := f.Get("encryption.data")
	return safe || data
}

// Encoding is the value of .encoding, empty when the file does not say it.
func (f *File) Encoding() string { return f.encoding }

// Bytes writes the file.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l.raw)
	}
	return b.Bytes()
}

// editable says why the file must not be edited.
func (f *File) editable() error {
	if f.Encrypted() {
		return errors.New("the virtual machine is encrypted; change it with vSphere or Workstation")
	}
	for _, p := range f.problems {
		if p.Severity == Error {
			return fmt.Errorf("the file has to be mended first: line %w", p)
		}
	}
	return nil
}

// Set gives a key a value. An existing line keeps its spelling, spacing and comment; a new one stands at the end. A value that is
// set already changes nothing. It fails when the file must not be edited, or the key or value cannot be written.
func (f *File) Set(key, value string) error {
	if err := f.editable(); err != nil {
		return err
	}
	if key == "" || !letterOrDot(key[0]) || strings.ContainsFunc(key, func(r rune) bool { return r > 0x7e || !keyByte(byte(r)) }) {
		return fmt.Errorf("%q is no key", key)
	}
	for i := 0; i < len(value); i++ {
		if value[i] > 0x7e {
			return fmt.Errorf("the value of %s is not plain ASCII; its bytes would depend on the encoding of the file", key)
		}
	}
	quoted := Quote(value)
	if i, ok := f.byKey[strings.ToLower(key)]; ok {
		if f.setting(i).Value == value {
			return nil
		}
		l := f.lines[i]
		raw := l.raw[:l.start-1] + quoted
		l.raw = raw + l.raw[l.end+1:]
		l.end = len(raw) - 1
		f.lines[i] = l
		return nil
	}
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1].raw, "\n") {
		f.lines[n-1].raw += f.ending
	}
	raw := key + " = " + quoted
	f.lines = append(f.lines, line{raw: raw + f.ending, key: key, start: len(key) + 4, end: len(raw) - 1})
	f.byKey[strings.ToLower(key)] = len(f.lines) - 1
	return nil
}

// Delete removes a key, in any spelling. It fails when the file must not be edited.
func (f *File) Delete(key string) error {
	if err := f.editable(); err != nil {
		return err
	}
	i, ok := f.byKey[strings.ToLower(key)]
	if !ok {
		return nil
	}
	f.lines = append(f.lines[:i:i], f.lines[i+1:]...)
	delete(f.byKey, strings.ToLower(key))
	for k, n := range f.byKey {
		if n > i {
			f.byKey[k] = n - 1
		}
	}
	return nil
}

// Bool reads a value as VMware does: TRUE and FALSE in any case; 1 and 0 as older guides write them.
func Bool(value string) (truth, ok bool) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}
