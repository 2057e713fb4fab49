// Package pam reads the stacks of Linux-PAM (pam.conf(5)) as Debian lays them out: /etc/pam.d/SERVICE with @include,
// and the files that its modules read (faillock.conf, pwquality.conf, pwhistory.conf).
package pam

import (
	"bytes"
	"fmt"
	"strings"
)

// Entry is one line of a stack, in the order in which it runs.
type Entry struct {
	Type    string // auth, account, password, session; without the leading dash
	Silent  bool   // a dash before the type: no log when the module is missing
	Control string // required, requisite, sufficient, optional, include, substack, or "[success=1 default=ignore]"
	Module  string // the file name: pam_unix.so
	Args    []string
	File    string
	Line    int
}

// Arg returns the value of an argument key=value.
func (e Entry) Arg(key string) (string, bool) {
	for _, a := range e.Args {
		if v, ok := strings.CutPrefix(a, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Flag reports whether a bare argument is present.
func (e Entry) Flag(name string) bool {
	for _, a := range e.Args {
		if a == name {
			return true
		}
	}
	return false
}

// Binding reports whether a failure of the module makes the stack fail: required, requisite, and bracketed controls
// that turn the default into bad or die.
func (e Entry) Binding() bool {
	switch e.Control {
	case "required", "requisite":
		return true
	}
	return strings.Contains(e.Control, "default=die") || strings.Contains(e.Control, "default=bad")
}

// Limits for includes in circles and fans.
const (
	maxDepth   = 16
	maxEntries = 4096
	maxFiles   = 512
	maxLines   = 10_000 // of one file
)

// Stack reads a service with everything that it includes, in order. The function read returns the text of a file of
// /etc/pam.d by its name.
func Stack(service string, read func(name string) ([]byte, error)) ([]Entry, error) {
	s := stack{read: read}
	if err := s.add(service, "", 0); err != nil {
		return nil, err
	}
	return s.out, nil
}

type stack struct {
	read func(name string) ([]byte, error)
	out  []Entry
	seen int // files read so far
}

// add appends the entries of a file; a type limits them to that type, as "auth include FILE" does.
func (s *stack) add(name, kind string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("cannot read PAM service %s: includes go deeper than %d; look for a circle", name, maxDepth)
	}
	if s.seen++; s.seen > maxFiles {
		return fmt.Errorf("cannot read PAM service %s: more than %d includes", name, maxFiles)
	}
	b, err := s.read(name)
	if err != nil {
		return err
	}
	lines, err := parse(name, b)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if kind != "" && l.entry.Type != kind && l.include == "" {
			continue
		}
		if len(s.out) > maxEntries {
			return fmt.Errorf("cannot read PAM service %s: more than %d entries", name, maxEntries)
		}
		if l.include == "" {
			s.out = append(s.out, l.entry)
			continue
		}
		want := l.entry.Type
		if kind != "" && want != "" && want != kind {
			continue
		}
		if want == "" {
			want = kind
		}
		if err := s.add(l.include, want, depth+1); err != nil {
			return err
		}
	}
	return nil
}

type line struct {
	entry   Entry
	include string
}

func parse(name string, b []byte) ([]line, error) {
	var out []line
	var text []byte // the logical line so far
	n, start := 0, 0
	for raw := range bytes.Lines(b) {
		n++
		part := strings.TrimRight(string(raw), "\r\n")
		if len(text) == 0 {
			start = n
		}
		if head, more := strings.CutSuffix(part, `\`); more {
			text = append(append(text, head...), ' ')
			continue
		}
		l, ok, err := parseLine(string(append(text, part...)))
		if err != nil {
			return nil, fmt.Errorf("cannot read /etc/pam.d/%s:%d: %w", name, start, err)
		}
		text = text[:0]
		if len(out) >= maxLines {
			return nil, fmt.Errorf("cannot read /etc/pam.d/%s: more than %d lines", name, maxLines)
		}
		if ok {
			l.entry.File, l.entry.Line = "/etc/pam.d/"+name, start
			out = append(out, l)
		}
	}
	return out, nil
}

func parseLine(text string) (line, bool, error) {
	if i := strings.IndexByte(text, '#'); i >= 0 {
		text = text[:i]
	}
	words := fields(text)
	if len(words) == 0 {
		return line{}, false, nil
	}
	if words[0] == "@include" {
		if len(words) != 2 || strings.Contains(words[1], "..") {
			return line{}, false, fmt.Errorf("@include wants the name of one file")
		}
		return line{include: words[1]}, true, nil
	}
	if len(words) < 3 {
		return line{}, false, fmt.Errorf("%d words, expected type, control and module", len(words))
	}
	kind, silent := strings.CutPrefix(strings.ToLower(words[0]), "-")
	switch kind {
	case "auth", "account", "password", "session":
	default:
		return line{}, false, fmt.Errorf("%.40q is no type; use auth, account, password or session", words[0])
	}
	e := Entry{Type: kind, Silent: silent, Control: strings.ToLower(words[1]), Module: words[2], Args: words[3:]}
	if e.Control == "include" || e.Control == "substack" {
		if strings.Contains(e.Module, "..") {
			return line{}, false, fmt.Errorf("%s leads out of /etc/pam.d", e.Control)
		}
		return line{entry: e, include: e.Module}, true, nil
	}
	if i := strings.LastIndexByte(e.Module, '/'); i >= 0 {
		e.Module = e.Module[i+1:]
	}
	if e.Module == "" {
		return line{}, false, fmt.Errorf("%.40q names no module", words[2])
	}
	return line{entry: e}, true, nil
}

// fields splits at blanks and keeps [bracketed groups] whole, without brackets in arguments but with them in controls.
func fields(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '[' {
			end := strings.IndexByte(s, ']')
			if end < 0 {
				return append(out, s)
			}
			word := s[:end+1]
			if len(out) > 1 {
				word = s[1:end]
			}
			out, s = append(out, word), s[end+1:]
			continue
		}
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:end]), s[end:]
	}
	return out
}
