// Package rsyslog reads the configuration of rsyslogd as far as it decides where logs go and where they come from:
// forwards, inputs and modules, in the legacy syntax ("*.* @@host:port", $Directives) and in RainerScript
// (action(type="omfwd" ...)), with includes. It is pure: the caller supplies the files that an include names.
package rsyslog

import (
	"fmt"
	"strings"
)

// maxDepth bounds includes within includes; rsyslog itself has no limit and runs out of memory.
const maxDepth = 10

// Forward is an action that sends messages to another machine.
type Forward struct {
	// Protocol is udp, tcp, relp, http or kafka.
	Protocol string
	Target   string
	Port     string
	// TLS says whether the connection is encrypted, Verified whether the receiver's certificate is checked.
	TLS, Verified bool
	// Selector is what stands in front of the action: "*.*". Empty when nothing does.
	Selector string
	// Conditional is true when a script decides what is forwarded.
	Conditional bool
	// Source is where it stands: "/etc/rsyslog.d/90-central.conf:1".
	Source string
}

// Input is a way by which messages come in: a port that is listened on or a file that is followed.
type Input struct {
	// Type is the module: imudp, imtcp, imptcp, imrelp, imfile, imuxsock, imjournal, imklog.
	Type    string
	Address string
	Port    string
	File    string
	Source  string
}

// Config is what the files say.
type Config struct {
	Forwards []Forward
	// Inputs holds network inputs and followed files, and for each loaded module of local messages one entry.
	Inputs []Input
	// Problems are statements that this reader could not make sense of.
	Problems []string

	driver     string // default network stream driver: ptcp, gtls, ossl, mbedtls
	mode, auth string // of the legacy actions that follow
	selector   string // for "& action"
	udpAddress string
	fileName   string
	fileSource string
}

// File is one file of the configuration.
type File struct {
	Path    string
	Content []byte
}

// Parse reads a configuration. open returns the files that an include pattern names, in the order in which they are
// read; nil ignores includes.
func Parse(main File, open func(pattern string) []File) *Config {
	c := &Config{driver: "ptcp"}
	c.read(main, open, 0)
	for i, f := range c.Forwards {
		// A stream driver that the action itself does not name is the global one, wherever that is set.
		if f.Protocol == "tcp" && f.TLS && c.driver == "ptcp" && strings.HasSuffix(f.Source, globalDriver) {
			c.Forwards[i].TLS, c.Forwards[i].Verified = false, false
		}
		c.Forwards[i].Source = strings.TrimSuffix(f.Source, globalDriver)
	}
	return c
}

// globalDriver marks, while reading, a forward that relies on the global stream driver.
const globalDriver = "\x00"

func (c *Config) read(f File, open func(string) []File, depth int) {
	for _, s := range statements(f, &c.Problems) {
		source := fmt.Sprintf("%s:%d", f.Path, s.line)
		pattern := ""
		switch {
		case s.object == "include":
			pattern = s.params["file"]
		case s.object != "":
			c.object(s, source)
		case strings.HasPrefix(s.text, "$"):
			pattern = c.directive(s.text, source)
		default:
			n := len(c.Forwards)
			c.legacy(s.text, source)
			for i := range c.Forwards[n:] {
				c.Forwards[n+i].Conditional = s.conditional
			}
		}
		if pattern == "" || open == nil {
			continue
		}
		if depth >= maxDepth {
			c.Problems = append(c.Problems, source+": includes are nested too deeply")
			continue
		}
		for _, file := range open(pattern) {
			c.read(file, open, depth+1)
		}
	}
}

// object takes over one RainerScript object.
func (c *Config) object(s statement, source string) {
	p := s.params
	switch s.object {
	case "global":
		if d := p["defaultnetstreamdriver"]; d != "" {
			c.driver = strings.ToLower(d)
		}
	case "module":
		c.local(p["load"], source)
	case "input":
		c.input(p, source)
	case "action":
		c.action(s, source)
	}
}

// local notes a module that brings in the machine's own messages as soon as it is loaded.
func (c *Config) local(module, source string) {
	module = strings.TrimSuffix(strings.ToLower(module), ".so")
	switch module {
	case "imuxsock", "imjournal", "imklog":
		c.Inputs = append(c.Inputs, Input{Type: module, Source: source})
	}
}

func (c *Config) input(p map[string]string, source string) {
	in := Input{Type: strings.ToLower(p["type"]), Address: p["address"], Port: p["port"], File: p["file"], Source: source}
	switch in.Type {
	case "imudp", "imtcp", "imptcp", "imrelp", "imfile":
		if in.Port == "" && in.Type == "imptcp" && p["path"] != "" {
			return // a socket of this machine
		}
		c.Inputs = append(c.Inputs, in)
	}
}

func (c *Config) action(s statement, source string) {
	p := s.params
	f := Forward{Target: p["target"], Port: p["port"], Selector: s.text, Conditional: s.conditional, Source: source}
	switch kind := strings.ToLower(p["type"]); kind {
	case "omfwd":
		f.Protocol = strings.ToLower(p["protocol"])
		if f.Protocol == "" {
			f.Protocol = "udp"
		}
		if f.Port == "" {
			f.Port = "514"
		}
		driver := strings.ToLower(p["streamdriver"])
		if d := strings.ToLower(p["streamdriver.name"]); d != "" {
			driver = d
		}
		mode := p["streamdrivermode"] + p["streamdriver.mode"]
		auth := p["streamdriverauthmode"] + p["streamdriver.authmode"]
		c.secure(&f, driver, mode, auth)
	case "omrelp":
		f.Protocol, f.TLS = "relp", on(p["tls"])
		f.Verified = f.TLS && strings.Contains(p["tls.authmode"], "name") || f.TLS && strings.Contains(p["tls.authmode"], "fingerprint")
	case "omhttp", "omelasticsearch":
		f.Protocol, f.Target, f.Port = "http", p["server"], p["serverport"]
		f.TLS = on(p["usehttps"]) || kind == "omhttp" && p["usehttps"] == "" || strings.HasPrefix(f.Target, "https://")
		f.Verified = f.TLS && !on(p["allowunsignedcerts"]) && !on(p["skipverifyhost"])
	case "omkafka":
		f.Protocol, f.Target = "kafka", p["broker"]
		f.TLS = strings.Contains(strings.ToLower(p["confparam"]), "security.protocol=s") && strings.Contains(strings.ToLower(p["confparam"]), "ssl")
		f.Verified = f.TLS
	default:
		return
	}
	c.selector = s.text
	c.Forwards = append(c.Forwards, f)
}

// secure decides whether a TCP forward is encrypted: a TLS driver and stream driver mode 1 (omfwd documentation). When
// the action names no driver the global one counts, which may be set later: that is settled at the end.
func (c *Config) secure(f *Forward, driver, mode, auth string) {
	if f.Protocol != "tcp" || strings.TrimSpace(mode) != "1" || driver == "ptcp" {
		return
	}
	f.TLS = true
	f.Verified = auth != "" && !strings.EqualFold(auth, "anon")
	if driver == "" {
		f.Source += globalDriver
	}
}

func on(s string) bool { return s == "on" || s == "1" || strings.EqualFold(s, "yes") }

// directive takes over a line that starts with a dollar sign. It returns the pattern of an include.
func (c *Config) directive(text, source string) (include string) {
	key, value, _ := strings.Cut(text[1:], " ")
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		key, value = text[1:i], strings.TrimSpace(text[i:])
	}
	value = strings.Trim(value, `"'`)
	switch strings.ToLower(key) {
	case "includeconfig":
		return value
	case "modload":
		c.local(value, source)
	case "defaultnetstreamdriver":
		c.driver = strings.ToLower(value)
	case "actionsendstreamdrivermode":
		c.mode = value
	case "actionsendstreamdriverauthmode":
		c.auth = value
	case "udpserveraddress":
		c.udpAddress = value
	case "udpserverrun":
		c.Inputs = append(c.Inputs, Input{Type: "imudp", Address: c.udpAddress, Port: value, Source: source})
	case "inputtcpserverrun":
		c.Inputs = append(c.Inputs, Input{Type: "imtcp", Port: value, Source: source})
	case "inputptcpserverrun":
		c.Inputs = append(c.Inputs, Input{Type: "imptcp", Port: value, Source: source})
	case "inputrelpserverrun":
		c.Inputs = append(c.Inputs, Input{Type: "imrelp", Port: value, Source: source})
	case "inputfilename":
		c.fileName, c.fileSource = value, source
	case "inputrunfilemonitor":
		if c.fileName != "" {
			c.Inputs = append(c.Inputs, Input{Type: "imfile", File: c.fileName, Source: c.fileSource})
		}
	}
	return ""
}

// legacy takes over a rule: a selector, white space, an action. Only forwards matter here.
func (c *Config) legacy(text, source string) {
	selector, action, found := splitRule(text)
	if !found {
		return
	}
	if selector == "&" {
		selector = c.selector
	}
	c.selector = selector
	switch {
	case strings.HasPrefix(action, ":omrelp:"):
		host, port := hostPort(strings.TrimPrefix(action, ":omrelp:"))
		c.Forwards = append(c.Forwards, Forward{Protocol: "relp", Target: host, Port: port, Selector: selector, Source: source})
	case strings.HasPrefix(action, "@"):
		f := Forward{Protocol: "udp", Port: "514", Selector: selector, Source: source}
		rest := action[1:]
		if strings.HasPrefix(rest, "@") {
			f.Protocol, rest = "tcp", rest[1:]
		}
		if strings.HasPrefix(rest, "(") {
			_, rest, _ = strings.Cut(rest, ")")
		}
		host, port := hostPort(rest)
		f.Target = host
		if port != "" {
			f.Port = port
		}
		if host == "" {
			c.Problems = append(c.Problems, source+": the forward names no host")
			return
		}
		c.secure(&f, "", c.mode, c.auth)
		c.Forwards = append(c.Forwards, f)
	}
}

// splitRule separates selector and action. A property filter (":msg, contains, \"x\" @host") has blanks of its own.
func splitRule(s string) (selector, action string, ok bool) {
	if strings.HasPrefix(s, "@") || strings.HasPrefix(s, ":omrelp:") {
		return "", s, true // what is left of "if ... then @host"
	}
	if strings.HasPrefix(s, ":") {
		i := strings.LastIndexByte(s, '"')
		if i < 0 {
			return "", "", false
		}
		return strings.TrimSpace(s[:i+1]), strings.TrimSpace(s[i+1:]), true
	}
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return "", "", false
	}
	return s[:i], strings.TrimSpace(s[i:]), true
}

// hostPort reads host[:port][;template], with an IPv6 address in brackets.
func hostPort(s string) (host, port string) {
	s, _, _ = strings.Cut(s, ";")
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, rest, _ = strings.Cut(rest, "]")
		return host, strings.TrimPrefix(rest, ":")
	}
	host, port, _ = strings.Cut(s, ":")
	return host, port
}
