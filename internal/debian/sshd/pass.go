package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

func sorted(s []string) []string {
	out := append([]string(nil), s...)
	sort.Strings(out)
	return out
}

// flags of a file that is being read.
type fileFlags byte

const (
	// neverMatch marks a file that is included inside a block that does not apply: it is only checked.
	neverMatch fileFlags = 1 << iota
	// matchOnly marks the part of a file before its first Match in the pass for a connection: global lines count
	// no more, because the first pass has taken them.
	matchOnly
)

// pass is one reading of the configuration: the first for the global values (conn is nil), or one for a connection.
type pass struct {
	config *Config
	names  algorithms
	conn   *Connection
	opts   options
	active bool
	match  string // criteria of the present block, for directives
	lines  int
	where  Problem // file and line of the present line
}

func (p *pass) modern() bool { return p.config.release.modern() }

// file reads one file. Bad keywords are collected until its end, as sshd does; other faults end at once.
func (p *pass) file(f included, flags fileFlags, depth int) error {
	if depth > maxDepth {
		return p.fatal(errors.New("too many recursive configuration includes"))
	}
	bad := 0
	for i, line := range f.lines {
		if p.lines++; p.lines > maxLines {
			return fmt.Errorf("cannot evaluate the SSH server's configuration: more than %d lines with all includes", maxLines)
		}
		p.where = Problem{File: f.path, Line: i + 1}
		err := p.line(line, &flags, depth)
		var soft *softError
		switch {
		case errors.As(err, &soft):
			bad++
			p.note(soft.err)
		case err != nil:
			return err
		}
	}
	if bad > 0 {
		return &refusal{p.config.Problems[len(p.config.Problems)-1]}
	}
	return nil
}

// softError is a fault after which sshd reads on to the end of the file before it gives up.
type softError struct{ err error }

func (e *softError) Error() string { return e.err.Error() }

func soft(format string, args ...any) error { return &softError{fmt.Errorf(format, args...)} }

func (p *pass) note(err error) Problem {
	problem := p.where
	problem.Text = err.Error()
	p.config.Problems = append(p.config.Problems, problem)
	return problem
}

func (p *pass) fatal(err error) error {
	if p.conn != nil {
		problem := p.where
		problem.Text = err.Error()
		return &refusal{problem}
	}
	return &refusal{p.note(err)}
}

// line handles one line.
func (p *pass) line(line string, flags *fileFlags, depth int) error {
	r := rest{text: trimLine(line)}
	if line == "" {
		return nil
	}
	word, ok := r.next()
	if ok && word == "" {
		word, ok = r.next()
	}
	if !ok || word == "" || word[0] == '#' {
		return nil
	}
	if r.done || r.text == "" {
		return soft("no argument after keyword %q", word)
	}
	key, known := lookup(word, p.config.release)
	p.record(word, key, known, r.text)
	args, err := splitArgs(r.text)
	switch {
	case err != nil && !known:
		return soft("unknown keyword %s", word)
	case err != nil:
		return soft("%s: %w", word, err)
	case !p.active && !key.inMatch && p.conn == nil:
		if !known {
			return p.fatal(fmt.Errorf("unknown keyword %s", word))
		}
		return p.fatal(fmt.Errorf("%s is not allowed within a Match block", word))
	case !p.active && !key.inMatch:
		return nil // the first pass has handled it
	case !known:
		return soft("unknown keyword %s", word)
	}
	return p.directive(&call{pass: p, key: key, word: word, args: args, raw: r.text}, flags, depth)
}

// directive runs a keyword and complains about words that it left.
func (p *pass) directive(c *call, flags *fileFlags, depth int) error {
	var err error
	switch c.key.kind {
	case kInclude:
		err = p.includes(c, *flags, depth)
	case kMatch:
		err = p.matchLine(c, flags)
	default:
		err = c.run()
	}
	var s *softError
	var refused *refusal
	switch {
	case err == nil:
	case errors.As(err, &s), errors.As(err, &refused), c.keep:
		return err
	default:
		return p.fatal(fmt.Errorf("%s: %w", c.word, err))
	}
	if len(c.args) > 0 {
		return soft("%s: extra arguments at end of line", c.word)
	}
	return nil
}

// record notes a line in the list of directives, in the first pass only.
func (p *pass) record(word string, key keyword, known bool, value string) {
	if p.conn != nil {
		return
	}
	d := Directive{Keyword: word, Value: value, File: p.where.File, Line: p.where.Line, Match: p.match}
	if known {
		d.Name = key.name
	}
	switch {
	case key.replacedBy != "":
		d.Obsolete = "now called " + key.replacedBy
	case key.kind == kDeprecated:
		d.Obsolete = "deprecated"
	case key.kind == kUnsupported:
		d.Obsolete = "unsupported"
	case key.kind == kIgnored:
		d.Obsolete = "ignored"
	}
	p.config.Directives = append(p.config.Directives, d)
}

// includes reads the files of an Include. Inside a Match block that does not apply they are only checked; a Match in
// an included file ends with that file.
func (p *pass) includes(c *call, flags fileFlags, depth int) error {
	if len(c.args) == 0 {
		return errors.New("missing filename argument")
	}
	for {
		arg, ok := c.next()
		if !ok {
			return nil
		}
		if arg == "" {
			return soft("%s: empty argument", c.word)
		}
		if arg[0] != '/' && arg[0] != '~' {
			arg = confDir + "/" + arg
		}
		files, err := p.config.include(arg)
		if errors.Is(err, fs.ErrNotExist) {
			return err // a link that leads nowhere: sshd gives up
		}
		if err != nil {
			c.keep = true
			return err
		}
		active, match, where := p.active, p.match, p.where
		for _, f := range files {
			sub := fileFlags(0)
			if flags&matchOnly != 0 {
				sub = matchOnly
			} else if !active {
				sub = neverMatch
			}
			err := p.file(f, sub, depth+1)
			p.active, p.match, p.where = active, match, where
			if err != nil {
				c.keep = true
				return err
			}
		}
	}
}

// matchLine decides whether the block that begins here applies.
func (p *pass) matchLine(c *call, flags *fileFlags) error {
	conn := p.conn
	if *flags&neverMatch != 0 {
		conn = nil
	}
	p.match = strings.TrimSpace(c.raw)
	hit, err := c.evaluate(conn)
	if err != nil {
		return err
	}
	p.active = hit && *flags&neverMatch == 0
	*flags &^= matchOnly
	return nil
}
