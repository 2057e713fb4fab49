package sshd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func (c *call) authenticationMethods() error {
	var vals []string
	any := false
	_, set := c.pass.opts["authenticationmethods"]
	for len(c.args) > 0 {
		arg, _ := c.next()
		switch {
		case arg == "any":
			// OpenSSH 9.2 compares with what is stored so far, which an inactive block never changes.
			if c.pass.modern() && len(vals) > 0 || !c.pass.modern() && (set || len(vals) > 0 && c.pass.active) {
				return errors.New("\"any\" must appear alone")
			}
			any = true
		case any:
			return errors.New("\"any\" must appear alone")
		case arg == "":
			return errors.New("empty method list")
		default:
			for _, m := range split(arg) {
				m, _, _ = strings.Cut(m, ":")
				if methodKeys[m] == "" && m != "none" {
					return fmt.Errorf("unknown authentication method %q", m)
				}
			}
		}
		vals = append(vals, arg)
	}
	if len(vals) == 0 {
		return errors.New("no value specified")
	}
	c.first("authenticationmethods", vals...)
	return nil
}

// permitOpen handles PermitOpen and PermitListen.
func (c *call) permitOpen() error {
	key := c.key.name
	var vals []string
	if len(c.args) == 0 || c.args[0] == "" && !c.pass.modern() {
		return errors.New("missing argument")
	}
	if !c.pass.modern() && (c.args[0] == "any" || c.args[0] == "none") {
		arg, _ := c.next()
		c.first(key, arg)
		return nil
	}
	for len(c.args) > 0 {
		arg, _ := c.next()
		if arg == "" && !c.pass.modern() {
			break
		}
		if c.pass.modern() && (arg == "any" || arg == "none") {
			if len(vals) > 0 {
				return fmt.Errorf("%s must appear alone", arg)
			}
			vals = append(vals, arg)
			continue
		}
		port := arg
		if key == "permitlisten" && !strings.Contains(arg, ":") {
			arg = "*:" + arg
		} else {
			var ok bool
			if _, port, ok = hostPort(arg); !ok {
				return errors.New("missing host")
			}
		}
		if port != "*" {
			if n, err := c.port(port); err != nil || n <= 0 {
				return errors.New("bad port number")
			}
		}
		vals = append(vals, arg)
	}
	c.first(key, vals...)
	return nil
}

// subsystem adds a name and its command; the first line for a name counts. OpenSSH 9.2 refuses a second one.
func (c *call) subsystem() error {
	name, err := c.word1()
	if err != nil {
		return err
	}
	if !c.pass.active {
		c.args = nil
		return nil
	}
	for _, known := range c.pass.opts["subsystem"].vals {
		if n, _, _ := strings.Cut(known, "\x00"); n == name {
			if !c.pass.modern() {
				return fmt.Errorf("subsystem %q is already defined", name)
			}
			c.args = nil
			return nil
		}
	}
	if len(c.args) == 0 || c.args[0] == "" {
		return errors.New("missing subsystem command")
	}
	command := strings.Join(c.args, " ")
	if c.pass.modern() {
		command = quoteArgs(c.args[:1])
		if rest := quoteArgs(c.args[1:]); rest != "" {
			command += " " + rest
		}
	}
	c.add("subsystem", name+"\x00"+command)
	c.args = nil
	return nil
}

func (c *call) pubkeyAuthOptions() error {
	touch, verify := "", ""
	for len(c.args) > 0 {
		arg, _ := c.next()
		switch {
		case strings.EqualFold(arg, "none"):
		case strings.EqualFold(arg, "touch-required"):
			touch = " touch-required"
		case strings.EqualFold(arg, "verify-required"):
			verify = " verify-required"
		default:
			return soft("%s: unsupported option %s", c.word, arg)
		}
	}
	value := strings.TrimSpace(touch + verify)
	if value == "" {
		value = "none"
	}
	c.first("pubkeyauthoptions", value)
	return nil
}

// penaltyDefaults are the parts of PerSourcePenalties in the order in which sshd -T prints them.
var penaltyDefaults = []struct {
	name string
	time bool
	def  string
}{
	{"crash", true, "90"}, {"authfail", true, "5"}, {"noauth", true, "1"}, {"grace-exceeded", true, "10"},
	{"refuseconnection", true, "10"}, {"max", true, "600"}, {"min", true, "15"},
	{"max-sources4", false, "65536"}, {"max-sources6", false, "65536"},
}

// penalties keeps each part of PerSourcePenalties under a key of its own, because the first line that names a part
// counts for that part.
func (c *call) penalties() error {
	if len(c.args) == 0 {
		return errors.New("no value specified")
	}
	for len(c.args) > 0 {
		arg, _ := c.next()
		if strings.EqualFold(arg, "no") || strings.EqualFold(arg, "yes") {
			if len(c.args) > 0 {
				return fmt.Errorf("%q must appear alone", arg)
			}
			c.first("persourcepenalties", lowerASCII(arg))
			continue
		}
		if err := c.penalty(arg); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) penalty(arg string) error {
	name, value, _ := strings.Cut(arg, ":")
	set := func(value string) {
		if _, known := c.pass.opts["persourcepenalties "+name]; !known {
			c.last("persourcepenalties "+name, value)
			c.last("persourcepenalties", "yes")
		}
	}
	if name == "overflow" || name == "overflow6" {
		if value != "deny-all" && value != "permissive" {
			return fmt.Errorf("unsupported keyword %s", arg)
		}
		set(value)
		return nil
	}
	for _, p := range penaltyDefaults {
		if p.name != name || !strings.Contains(arg, ":") {
			continue
		}
		n, err := parseNumber(value, math.MaxInt32)
		if p.time {
			n, err = parseTime(value, true)
		}
		if err != nil {
			return err
		}
		set(strconv.FormatInt(n, 10))
		return nil
	}
	return fmt.Errorf("unsupported keyword %s", arg)
}
