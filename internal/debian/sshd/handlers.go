package sshd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// call is a keyword with its arguments, while it is handled.
type call struct {
	pass *pass
	key  keyword
	word string // as written
	args []string
	raw  string // the line after the keyword
	keep bool   // an error that must not be dressed up as a complaint of sshd
}

// next takes the next argument.
func (c *call) next() (string, bool) {
	if len(c.args) == 0 {
		return "", false
	}
	a := c.args[0]
	c.args = c.args[1:]
	return a, true
}

// word1 takes an argument that must be there and not be empty.
func (c *call) word1() (string, error) {
	a, ok := c.next()
	if !ok || a == "" {
		return "", errors.New("missing argument")
	}
	return a, nil
}

// first stores a value unless an earlier line has set the key or the block does not apply.
func (c *call) first(key string, vals ...string) {
	if _, set := c.pass.opts[key]; !set {
		c.last(key, vals...)
	}
}

// last stores a value over an earlier one.
func (c *call) last(key string, vals ...string) {
	if c.pass.active {
		c.pass.opts[key] = option{vals, c.source()}
	}
}

// maxSource bounds the text that names the lines of a list.
const maxSource = 1000

// add appends values to a list.
func (c *call) add(key string, vals ...string) {
	if !c.pass.active || len(vals) == 0 {
		return
	}
	o := c.pass.opts[key]
	if o.source == "" {
		o.source = c.source()
	} else if len(o.source) < maxSource && !strings.HasSuffix(o.source, c.source()) {
		o.source += ", " + c.source()
	}
	o.vals = append(o.vals, vals...)
	c.pass.opts[key] = o
}

func (c *call) source() string { return fmt.Sprintf("%s:%d", c.pass.where.File, c.pass.where.Line) }

// run handles a keyword according to its kind.
func (c *call) run() error {
	key := c.key.name
	switch c.key.kind {
	case kDeprecated, kUnsupported, kIgnored:
		c.args = nil
		return nil
	case kSpecial:
		return c.special()
	case kRaw, kCommand:
		return c.rawLine()
	case kWords:
		return c.words()
	case kUsers, kAppend:
		return c.list()
	}
	arg, err := c.word1()
	if err != nil {
		return err
	}
	value := arg
	switch c.key.kind {
	case kFlag:
		value, err = pick(arg, flagChoices())
	case kChoice:
		value, err = pick(arg, c.key.choices)
	case kInt:
		var n int64
		n, err = parseNumber(arg, math.MaxInt32)
		value = strconv.FormatInt(n, 10)
	case kTime:
		var n int64
		n, err = parseTime(arg, c.pass.modern())
		value = strconv.FormatInt(n, 10)
	case kPath:
		value = absolute(arg)
	case kTilde:
		value = expandHome(arg)
	case kAlgorithms:
		err = c.pass.names.check(arg, c.key.list, c.pass.modern())
	}
	if err != nil {
		return err
	}
	c.first(key, value)
	return nil
}

// expandHome replaces ~ and ~root: sshd runs as root, whose home directory is /root on Debian.
func expandHome(path string) string {
	for _, p := range []string{"~", "~root"} {
		if path == p || strings.HasPrefix(path, p+"/") {
			return "/root/" + strings.TrimLeft(path[len(p):], "/")
		}
	}
	return path
}

// absolute makes a file name absolute as sshd does with its working directory, which is /.
func absolute(path string) string {
	if strings.EqualFold(path, "none") {
		return "none"
	}
	path = expandHome(path)
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "//" + path
}

// rawLine handles keywords that take the rest of the line.
func (c *call) rawLine() error {
	value := strings.TrimLeft(c.raw, blanks)
	key := c.key.name
	c.args = nil
	if c.key.kind == kCommand {
		if !strings.HasPrefix(value, "/") && !strings.EqualFold(value, "none") {
			return errors.New("must be an absolute path")
		}
		if key == "authorizedprincipalscommand" && !c.pass.modern() {
			// OpenSSH 9.2 looks at the wrong keyword to see whether a value is set already.
			if _, set := c.pass.opts["authorizedkeyscommand"]; !set {
				c.last(key, value)
			}
			return nil
		}
	}
	if key == "versionaddendum" {
		if strings.Contains(value, "\r") {
			return errors.New("invalid argument")
		}
		if strings.EqualFold(value, "none") {
			value = "none"
		}
	}
	c.first(key, value)
	return nil
}

// list handles keywords whose lines add up.
func (c *call) list() error {
	if len(c.args) == 0 {
		if c.pass.modern() {
			return errors.New("no value specified")
		}
		return nil
	}
	for _, arg := range c.args {
		switch {
		case arg == "":
			return errors.New("empty pattern")
		case c.key.name == "acceptenv" && strings.Contains(arg, "="):
			return errors.New("invalid environment name")
		case c.key.kind == kUsers:
			if _, hosts, at := cutUser(arg, c.pass.modern()); at {
				if _, err := matchAddresses("", hosts); err != nil {
					return fmt.Errorf("invalid pattern %q: %w", arg, err)
				}
			}
		}
	}
	c.add(c.key.name, c.args...)
	c.args = nil
	return nil
}

// words handles keywords of which the first line counts with all its words.
func (c *call) words() error {
	var vals []string
	names := map[string]bool{}
	for len(c.args) > 0 {
		arg, _ := c.next()
		value, err := c.oneWord(arg, len(vals))
		if err != nil {
			return err
		}
		if c.key.name == "setenv" {
			name, _, _ := strings.Cut(arg, "=")
			if names[name] {
				continue
			}
			names[name] = true
		}
		vals = append(vals, value)
	}
	if len(vals) == 0 {
		if c.pass.modern() {
			return errors.New("no value specified")
		}
		return nil
	}
	c.first(c.key.name, vals...)
	return nil
}

func (c *call) oneWord(arg string, before int) (string, error) {
	if arg == "" && c.key.name != "setenv" && c.key.name != "channeltimeout" {
		return "", soft("%s: empty argument", c.word)
	}
	switch c.key.name {
	case "authorizedkeysfile":
		return expandHome(arg), nil
	case "setenv":
		if !strings.Contains(arg, "=") {
			return "", errors.New("invalid environment")
		}
	case "logverbose", "channeltimeout":
		if strings.EqualFold(arg, "none") {
			if len(c.args) > 0 || c.pass.modern() && before > 0 || c.key.name == "logverbose" && before > 0 {
				return "", soft("%s: \"none\" must appear alone", c.word)
			}
			return arg, nil
		}
		if c.key.name == "logverbose" {
			return arg, nil
		}
		channel, interval, ok := strings.Cut(arg, "=")
		if _, err := parseTime(interval, c.pass.modern()); !ok || channel == "" || err != nil {
			return "", fmt.Errorf("invalid channel timeout %q", arg)
		}
	}
	return arg, nil
}
