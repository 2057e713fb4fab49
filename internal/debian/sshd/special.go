package sshd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxPorts is how many Port lines sshd takes (MAX_PORTS in servconf.h).
const maxPorts = 256

// special handles the keywords with rules of their own.
func (c *call) special() error {
	switch c.key.name {
	case "authenticationmethods":
		return c.authenticationMethods()
	case "permitopen", "permitlisten":
		return c.permitOpen()
	case "subsystem":
		return c.subsystem()
	case "pubkeyauthoptions":
		return c.pubkeyAuthOptions()
	case "persourcepenalties":
		return c.penalties()
	case "rekeylimit":
		return c.rekeyLimit()
	case "ipqos":
		return c.ipQoS()
	case "listenaddress":
		return c.listenAddress()
	}
	arg, ok := c.next()
	if !ok || arg == "" {
		return errors.New("missing argument")
	}
	return c.specialWord(arg)
}

// specialWord handles those special keywords that take one word.
func (c *call) specialWord(arg string) error {
	key := c.key.name
	switch key {
	case "port":
		n, err := c.port(arg)
		if err != nil || n <= 0 || len(c.pass.opts["port"].vals) >= maxPorts {
			return errors.New("badly formatted port number, or too many ports")
		}
		c.add(key, strconv.Itoa(n))
	case "hostkey", "hostcertificate":
		c.add(key, absolute(arg))
	case "hostkeyagent":
		if arg != "SSH_AUTH_SOCK" {
			arg = absolute(arg)
		}
		c.first(key, arg)
	case "securitykeyprovider":
		if !strings.EqualFold(arg, "internal") {
			arg = absolute(arg)
		}
		c.first(key, arg)
	case "syslogfacility", "loglevel":
		return c.logging(arg)
	case "gssapikexalgorithms":
		for _, name := range split(arg) {
			if name == "" {
				break
			}
			if !gssKexKnown(name) {
				return fmt.Errorf("unknown algorithm %q", name)
			}
		}
		c.first(key, arg)
	default:
		return c.specialLimit(arg)
	}
	return nil
}

// specialLimit handles those of one word that limit something.
func (c *call) specialLimit(arg string) error {
	key := c.key.name
	switch key {
	case "permituserenvironment":
		c.permitUserEnvironment(arg)
	case "maxstartups":
		return c.maxStartups(arg)
	case "persourcenetblocksize":
		return c.netBlockSize(arg)
	case "persourcemaxstartups":
		if arg == "none" {
			c.sourceMax(math.MaxInt32)
			return nil
		}
		n, err := parseNumber(arg, math.MaxInt32)
		if err != nil {
			return err
		}
		c.sourceMax(n)
	case "persourcepenaltyexemptlist":
		if _, err := matchAddresses("", arg); err != nil {
			return err
		}
		c.first(key, arg)
	case "permittunnel":
		switch arg {
		case "no", "point-to-point", "ethernet", "yes":
			c.first(key, arg)
			return nil
		}
		return fmt.Errorf("bad argument %q", arg)
	case "streamlocalbindmask":
		return c.bindMask(arg)
	case "fingerprinthash":
		hashes := []choice{{"md5", "MD5"}, {"sha1", "SHA1"}, {"sha256", "SHA256"}, {"sha384", "SHA384"}, {"sha512", "SHA512"}}
		value, err := pick(arg, hashes)
		if err != nil {
			return err
		}
		c.last(key, value)
	case "unusedconnectiontimeout":
		if strings.EqualFold(arg, "none") {
			c.last(key, "none")
			return nil
		}
		n, err := parseTime(arg, c.pass.modern())
		if err != nil {
			return err
		}
		if n == 0 {
			c.first(key, "none")
			return nil
		}
		c.first(key, strconv.FormatInt(n, 10))
	case "rdomain":
		return errors.New("setting RDomain is not supported on this platform")
	}
	return nil
}

func (c *call) sourceMax(n int64) {
	value := strconv.FormatInt(n, 10)
	if n == math.MaxInt32 {
		value = "none"
	}
	if c.pass.modern() {
		c.first(c.key.name, value)
		return
	}
	c.last(c.key.name, value)
}

// port reads a port number or the name of a service of /etc/services.
func (c *call) port(s string) (int, error) {
	if n, err := parseNumber(s, 65535); err == nil {
		return int(n), nil
	}
	content, err := c.pass.config.files.Read("/etc/services")
	if err != nil {
		return 0, fmt.Errorf("bad port number %q", s)
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		f := strings.Fields(text)
		if len(f) < 2 {
			continue
		}
		number, proto, _ := strings.Cut(f[1], "/")
		for i, name := range f {
			if n, err := strconv.Atoi(number); i != 1 && name == s && proto == "tcp" && err == nil {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("bad port number %q", s)
}

func (c *call) logging(arg string) error {
	names := []choice{
		{"silent", "SILENT"}, {"quiet", "SILENT"}, {"fatal", "FATAL"}, {"error", "ERROR"}, {"info", "INFO"},
		{"verbose", "VERBOSE"}, {"debug", "DEBUG"}, {"debug1", "DEBUG"}, {"debug2", "DEBUG2"}, {"debug3", "DEBUG3"},
	}
	if c.key.name == "syslogfacility" {
		names = nil
		for _, f := range []string{"DAEMON", "USER", "AUTH", "AUTHPRIV", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4",
			"LOCAL5", "LOCAL6", "LOCAL7"} {
			names = append(names, choice{f, f})
		}
	}
	value, err := pick(arg, names)
	if err != nil {
		return err
	}
	c.first(c.key.name, value)
	return nil
}

// permitUserEnvironment keeps the switch and the list of names apart: a Match block carries only the list over.
func (c *call) permitUserEnvironment(arg string) {
	if _, set := c.pass.opts["permituserenvironment"]; set || !c.pass.active {
		return
	}
	value := arg
	if arg != "yes" && arg != "no" {
		value = "yes"
		c.last("permituserenvironment list", arg)
	}
	c.last("permituserenvironment", value)
}

// maxStartups takes start:rate:full, or one number for start and full. The last line counts, and a single number
// leaves the rate of an earlier line.
func (c *call) maxStartups(arg string) error {
	n := scanInts(arg, 3)
	rate := 30
	if o, set := c.pass.opts["maxstartups"]; set {
		rate = scanInts(o.vals[0], 3)[1]
	}
	bad := errors.New("invalid specification: give start:rate:full or one number")
	var begin, full int
	switch len(n) {
	case 1:
		begin, full = n[0], n[0]
	case 3:
		begin, rate, full = n[0], n[1], n[2]
		if begin > full || rate > 100 || rate < 1 {
			return bad
		}
	default:
		return bad
	}
	if begin <= 0 || full <= 0 {
		return bad
	}
	c.last("maxstartups", fmt.Sprintf("%d:%d:%d", begin, rate, full))
	return nil
}

func (c *call) netBlockSize(arg string) error {
	n := scanInts(arg, 2)
	if len(n) == 0 || n[0] < 0 || n[0] > 32 || len(n) == 2 && (n[1] < 0 || n[1] > 128) {
		return errors.New("invalid specification: give IPv4:IPv6 prefix lengths")
	}
	v6 := 0 // left without an initial value by sshd when only one number is given; 0 in practice
	if len(n) == 2 {
		v6 = n[1]
	}
	c.last("persourcenetblocksize", fmt.Sprintf("%d:%d", n[0], v6))
	return nil
}

func (c *call) bindMask(arg string) error {
	t := strings.TrimLeft(arg, " \t\n\v\f\r")
	t = strings.TrimPrefix(t, "+")
	i := 0
	for i < len(t) && t[i] >= '0' && t[i] <= '7' {
		i++
	}
	n, err := strconv.ParseInt(t[:i], 8, 64)
	if err != nil || n > 0o777 {
		return errors.New("invalid mode")
	}
	c.last("streamlocalbindmask", fmt.Sprintf("0%o", n))
	return nil
}

func (c *call) ipQoS() error {
	tos := c.pass.config.release.deprecatesTOS()
	arg, err := c.word1()
	if err != nil {
		return err
	}
	first, err := parseQoS(arg, tos)
	if err != nil {
		return err
	}
	second := first
	if arg, ok := c.next(); ok {
		if second, err = parseQoS(arg, tos); err != nil {
			return err
		}
	}
	c.last("ipqos", first+" "+second)
	return nil
}

// rekeyLimit takes an amount of data and a time, which are remembered apart.
func (c *call) rekeyLimit() error {
	arg, err := c.word1()
	if err != nil {
		return err
	}
	n := int64(0)
	if arg != "default" {
		if n, err = parseSize(arg); err != nil {
			return err
		}
		if n != 0 && n < 16 {
			return errors.New("too small")
		}
	}
	c.first("rekeylimit data", strconv.FormatInt(n, 10))
	if len(c.args) == 0 {
		return nil
	}
	arg, err = c.word1()
	if err != nil {
		return err
	}
	if arg == "none" {
		return nil
	}
	seconds, err := parseTime(arg, c.pass.modern())
	if err != nil {
		return err
	}
	c.first("rekeylimit time", strconv.FormatInt(seconds, 10))
	return nil
}

// listenAddress takes address, host:port or [address]:port. Names are left to the resolver of the host.
func (c *call) listenAddress() error {
	arg, err := c.word1()
	if err != nil {
		return err
	}
	host, port := arg, ""
	if strings.Contains(arg, "[") || strings.Count(arg, ":") < 2 {
		var ok bool
		host, port, ok = hostPort(arg)
		if !ok {
			return errors.New("bad address:port usage")
		}
	}
	if port != "" {
		n, err := c.port(port)
		if err != nil || n <= 0 {
			return errors.New("bad port number")
		}
		port = strconv.Itoa(n)
	} else if host != arg && strings.HasSuffix(arg, ":") {
		return errors.New("bad port number")
	}
	if _, ok := c.next(); ok {
		return errors.New("routing domains are not supported on this platform")
	}
	c.add("listenaddress", host+" "+port)
	return nil
}

// hostPort splits at the colon or slash after a host, which may stand in brackets.
func hostPort(s string) (host, port string, ok bool) {
	i := strings.IndexAny(s, ":/")
	if strings.HasPrefix(s, "[") {
		i = strings.IndexByte(s, ']')
		if i < 0 {
			return "", "", false
		}
		i++
	}
	if i < 0 || i == len(s) {
		return unbracket(s), "", true
	}
	if s[i] != ':' && s[i] != '/' {
		return "", "", false
	}
	return unbracket(s[:i]), s[i+1:], true
}

func unbracket(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s[1 : len(s)-1]
	}
	return s
}
