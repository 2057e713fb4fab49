package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// MainFile is the configuration that sshd reads when it is told nothing else, and confDir where relative names of
// Include start (sshd_config(5)).
const (
	MainFile = "/etc/ssh/sshd_config"
	confDir  = "/etc/ssh"
)

// maxDepth is how deeply Include may nest (SERVCONF_MAX_DEPTH in OpenSSH's servconf.c).
const maxDepth = 16

// maxLines bounds the work on configurations that include each other many times over; sshd itself has no bound.
const maxLines = 20_000

// Files is how the package reads a configuration.
type Files struct {
	// Read returns the content of a file; of a directory it is empty, as for sshd.
	Read func(path string) ([]byte, error)
	// Glob returns the paths that match a pattern of glob(7), in any order. Names that start with a dot must not be
	// returned for a pattern that does not; no match is an empty list.
	Glob func(pattern string) ([]string, error)
}

// Problem is why sshd refuses to start with a configuration.
type Problem struct {
	File string
	Line int // 0 when no single line is to blame
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Directive is one line of the configuration, in the order in which sshd reads them.
type Directive struct {
	// Keyword is the word as written; Name is the name that sshd -T prints, and empty for an unknown word.
	Keyword, Name string
	// Value is the rest of the line as written.
	Value string
	File  string
	Line  int
	// Match is the criteria line of the block that the directive stands in, empty outside of blocks.
	Match string
	// Obsolete says what is old about the keyword: "deprecated", "unsupported", "ignored" or "now called X".
	Obsolete string
}

// Source gives "file:line".
func (d Directive) Source() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// Config is a configuration with everything that it includes, read and checked once.
type Config struct {
	// Problems is empty for a configuration that sshd accepts.
	Problems []Problem
	// Directives are all lines with a keyword.
	Directives []Directive
	// Included are the files read besides the main one, in order, each once.
	Included []string

	release Release
	files   Files
	main    string
	cache   map[string][]included
	global  options
}

type included struct {
	path  string
	lines []string
}

// option is the value of a keyword as configured: words, and where it stands.
type option struct {
	vals   []string
	source string
}

type options map[string]option

// Load reads the configuration file main and what it includes. An error means that a file could not be read, so
// that nothing can be said about the server; a configuration that sshd refuses is no error but has Problems.
func Load(main string, files Files, release Release) (*Config, error) {
	c := &Config{release: release, files: files, main: main, cache: map[string][]included{}}
	content, err := files.Read(main)
	if err != nil {
		return nil, fmt.Errorf("cannot read the SSH server's configuration: %w", err)
	}
	c.cache[""] = []included{{main, configLines(content)}}
	p := &pass{config: c, opts: options{}, active: true, names: release.names()}
	if err := p.file(c.cache[""][0], 0, 0); err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			return nil, err
		}
		return c, nil
	}
	c.global = p.opts
	c.checkGlobal()
	return c, nil
}

// Valid reports whether sshd would start with the configuration.
func (c *Config) Valid() bool { return len(c.Problems) == 0 }

// refusal ends the reading of a configuration that sshd refuses.
type refusal struct{ Problem }

func (r *refusal) Error() string { return "sshd refuses the configuration: " + r.String() }

// checkGlobal makes the checks that sshd makes after reading everything.
func (c *Config) checkGlobal() {
	add := func(text string) {
		c.Problems = append(c.Problems, Problem{File: c.main, Text: text})
	}
	for _, what := range []string{"AuthorizedKeysCommand", "AuthorizedPrincipalsCommand"} {
		key := lowerASCII(what)
		cmd, set := c.global[key]
		_, user := c.global[key+"user"]
		if set && !user && !strings.EqualFold(cmd.vals[0], "none") {
			add(what + " set without " + what + "User")
		}
	}
	names := c.release.names()
	for key, k := range keywords {
		if k.kind != kAlgorithms {
			continue
		}
		if o, set := c.global[key]; set {
			if _, err := names.assemble(o.vals[0], k.list); err != nil {
				add(key + ": " + err.Error())
			}
		}
	}
	c.checkListeners(add)
	if m, set := c.global["authenticationmethods"]; set && !c.methodsPossible(m.vals) {
		add("AuthenticationMethods cannot be satisfied by enabled authentication methods")
	}
}

// checkListeners finds addresses that cannot be listened on whatever the resolver says.
func (c *Config) checkListeners(add func(string)) {
	family := "any"
	if o, set := c.global["addressfamily"]; set {
		family = o.vals[0]
	}
	for _, l := range c.global["listenaddress"].vals {
		host, _, _ := strings.Cut(l, " ")
		a, err := parseAddress(host)
		switch {
		case err != nil && strings.Contains(host, ":"):
			add("ListenAddress " + host + " is not an address")
		case err != nil || family == "any" || family == "inet" && (a.Is4() || a.Is4In6()):
		case a.Is4() != (family == "inet"):
			add("ListenAddress " + host + " is not of the AddressFamily " + family)
		}
	}
}

// methodsPossible reports whether one of the lists of methods needs only methods that are on.
func (c *Config) methodsPossible(lists []string) bool {
	d := c.release.defaults()
	on := func(key string) bool {
		if o, ok := c.global[key]; ok {
			return o.vals[0] == "yes"
		}
		return d[key][0] == "yes"
	}
	if len(lists) == 1 && strings.EqualFold(lists[0], "any") {
		return true
	}
	for _, list := range lists {
		possible := true
		for _, m := range split(list) {
			m, _, _ = strings.Cut(m, ":")
			if key := methodKeys[m]; key != "" && !on(key) {
				possible = false
			}
			if methodKeys[m] == "" && m != "none" {
				possible = false
			}
		}
		if possible {
			return true
		}
	}
	return false
}

// methodKeys gives the keyword that turns an authentication method on.
var methodKeys = map[string]string{
	"publickey": "pubkeyauthentication", "gssapi-keyex": "gssapiauthentication",
	"gssapi-with-mic": "gssapiauthentication", "password": "passwordauthentication",
	"keyboard-interactive": "kbdinteractiveauthentication", "hostbased": "hostbasedauthentication",
}

// include returns the files that an argument of Include names, reading them the first time.
func (c *Config) include(selector string) ([]included, error) {
	if known, ok := c.cache[selector]; ok {
		return known, nil
	}
	paths, err := c.glob(selector)
	if err != nil {
		return nil, err
	}
	var out []included
	for _, path := range paths {
		content, err := c.files.Read(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read what the SSH server's configuration includes: %w", err)
		}
		out = append(out, included{path, configLines(content)})
		c.noteIncluded(path)
	}
	c.cache[selector] = out
	return out, nil
}

func (c *Config) noteIncluded(path string) {
	for _, known := range c.Included {
		if known == path {
			return
		}
	}
	c.Included = append(c.Included, path)
}

// glob finds the files of an Include, in byte order as glob(3) gives them in the C locale.
func (c *Config) glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		_, err := c.files.Read(pattern)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return []string{pattern}, nil
	}
	paths, err := c.files.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("cannot list what the SSH server's configuration includes: %w", err)
	}
	return sorted(paths), nil
}
