// Package exports reads /etc/exports and /etc/exports.d/*.exports of the kernel's NFS server (exports(5)).
package exports

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Export is one directory granted to one set of clients.
type Export struct {
	Path    string
	Client  string // "10.0.0.0/24", "*.example.org", "@netgroup", "gss/krb5"; "*" when everybody may mount it
	Options []string
	Line    int
}

// Everyone reports whether any host may mount it.
func (e Export) Everyone() bool {
	return e.Client == "*" || e.Client == "0.0.0.0/0" || e.Client == "::/0" || e.Client == "0.0.0.0/0.0.0.0"
}

// NoRootSquash reports whether root of the client is root on the export.
func (e Export) NoRootSquash() bool { return e.has("no_root_squash", "root_squash", "all_squash") }

// Writable reports whether the client may write; ro is the default.
func (e Export) Writable() bool { return e.has("rw", "ro") }

// Insecure reports whether requests from unprivileged ports are accepted.
func (e Export) Insecure() bool { return e.has("insecure", "secure") }

// has reports whether on stands in the options and none of its opposites follows; the last word wins.
func (e Export) has(on string, off ...string) bool {
	v := false
	for _, o := range e.Options {
		if o == on {
			v = true
		} else if slices.Contains(off, o) {
			v = false
		}
	}
	return v
}

// Parse reads a file of exports. A path without a client is exported to everybody. Defaults after a dash apply to the
// clients that follow on the line.
func Parse(b []byte) ([]Export, error) {
	var out []Export
	var text []byte // the logical line so far
	start, n := 0, 0
	flush := func() error {
		list, err := parseLine(string(text), start)
		out = append(out, list...)
		text = text[:0]
		return err
	}
	for raw := range bytes.Lines(b) {
		n++
		line := strings.TrimRight(string(raw), "\r\n")
		if len(text) == 0 {
			start = n
		}
		if head, more := strings.CutSuffix(line, `\`); more {
			text = append(append(text, head...), ' ')
			continue
		}
		text = append(text, line...)
		if err := flush(); err != nil {
			return nil, err
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return out, nil
}

func parseLine(line string, n int) ([]Export, error) {
	words, err := split(line)
	if err != nil {
		return nil, fmt.Errorf("cannot read exports:%d: %w", n, err)
	}
	if len(words) == 0 {
		return nil, nil
	}
	dir := words[0]
	if !strings.HasPrefix(dir, "/") {
		return nil, fmt.Errorf("cannot read exports:%d: %.80q is no absolute path", n, dir)
	}
	var defaults []string
	var out []Export
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") {
			defaults = strings.Split(w[1:], ",")
			continue
		}
		client, opts, has := strings.Cut(w, "(")
		e := Export{Path: dir, Client: client, Options: slices.Clone(defaults), Line: n}
		if client == "" {
			e.Client = "*"
		}
		if has {
			opts, closed := strings.CutSuffix(opts, ")")
			if !closed {
				return nil, fmt.Errorf("cannot read exports:%d: the options of %.80q are not closed", n, client)
			}
			for o := range strings.SplitSeq(opts, ",") {
				if o != "" {
					e.Options = append(e.Options, o)
				}
			}
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		out = []Export{{Path: dir, Client: "*", Options: defaults, Line: n}}
	}
	return out, nil
}

// split cuts a line into words; double quotes keep blanks, # starts a comment, \ooo is an octal byte.
func split(line string) ([]string, error) {
	var words []string
	var w strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			quoted, inWord = !quoted, true
		case c == '#' && !quoted && !inWord:
			i = len(line)
		case (c == ' ' || c == '\t') && !quoted:
			if inWord {
				words = append(words, w.String())
				w.Reset()
				inWord = false
			}
		case c == '\\' && i+3 < len(line) && octal(line[i+1:i+4]):
			w.WriteByte((line[i+1]-'0')<<6 | (line[i+2]-'0')<<3 | (line[i+3] - '0'))
			i, inWord = i+3, true
		default:
			w.WriteByte(c)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if inWord {
		words = append(words, w.String())
	}
	return words, nil
}

func octal(s string) bool {
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7'
}
