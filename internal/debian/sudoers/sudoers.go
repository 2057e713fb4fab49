// Package sudoers reads sudoers(5): includes, aliases, user specifications and Defaults, as sudo 1.9 does. It answers who
// may run what as whom, and under which conditions; it does not evaluate host names or command arguments.
package sudoers

import (
	"slices"
	"strings"
)

// Rule is one command granted to a list of users.
type Rule struct {
	Users    []string // aliases resolved: "ann", "%sudo", "#1000", "%#27", "+netgroup", "ALL"; with "!" when excluded
	Hosts    []string
	RunAs    []string // users of the runas specification; "root" when there is none
	Command  string   // "ALL", a path with arguments, or an alias resolved to several rules
	NoPasswd bool
	NoExec   bool
	File     string
	Line     int
}

// Everything reports whether the rule allows any command as root.
func (r Rule) Everything() bool {
	return r.Command == "ALL" && (slices.Contains(r.RunAs, "ALL") || slices.Contains(r.RunAs, "root") || slices.Contains(r.RunAs, "#0"))
}

// Default is one setting of a Defaults line.
type Default struct {
	Scope string // empty: for everybody; else "@host", ":user", "!command", ">runas" as written
	Name  string
	Value string // empty for flags
	Op    string // "=", "+=", "-=", or empty for flags
	Off   bool   // "!name"
	File  string
	Line  int
}

// Config is everything that the files of sudo say.
type Config struct {
	Rules    []Rule
	Defaults []Default
	Problems []string // lines that sudo would refuse, as file:line: reason; sudo does not run at all with one
}

// Last returns the last global setting of a name.
func (c Config) Last(name string) (Default, bool) {
	for _, d := range slices.Backward(c.Defaults) {
		if d.Scope == "" && d.Name == name {
			return d, true
		}
	}
	return Default{}, false
}

// Files is how the parser reads: one file, and the files of a directory by path.
type Files interface {
	Read(path string) ([]byte, error)
	Dir(path string) ([]string, error)
}

// Limits for includes and aliases. sudo itself stops at 128 nested includes.
const (
	maxDepth = 32
	maxFiles = 512
	maxRules = 20_000
	maxAlias = 1 << 20 // members of aliases that are followed in all
)

// Parse reads path with everything that it includes. The error is that of the first file that cannot be read.
func Parse(path string, files Files) (Config, error) {
	p := parser{files: files, aliases: map[string]map[string][]string{}}
	if err := p.file(path, 0); err != nil {
		return Config{}, err
	}
	p.resolve()
	return p.out, nil
}

type parser struct {
	files   Files
	aliases map[string]map[string][]string // kind (User, Runas, Host, Cmnd) -> name -> members
	raw     []Rule
	out     Config
	seen    int
	// followed counts the members of aliases seen so far.
	followed int
}

func (p *parser) file(path string, depth int) error {
	if p.seen++; depth > maxDepth || p.seen > maxFiles {
		p.problem(path, 0, "too many nested includes")
		return nil
	}
	b, err := p.files.Read(path)
	if err != nil {
		return err
	}
	for _, l := range logicalLines(b) {
		if err := p.line(path, l, depth); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) line(path string, l numbered, depth int) error {
	if dir, target, ok := include(l.text); ok {
		return p.include(path, target, dir, depth)
	}
	text := strings.TrimSpace(uncomment(l.text))
	if text == "" {
		return nil
	}
	word, rest, _ := strings.Cut(text, " ")
	switch kind, isAlias := strings.CutSuffix(word, "_Alias"); {
	case isAlias && slices.Contains([]string{"User", "Runas", "Host", "Cmnd", "Cmd"}, kind):
		p.alias(strings.Replace(kind, "Cmd", "Cmnd", 1), rest, path, l.n)
	case strings.HasPrefix(word, "Defaults"):
		p.defaults(word[len("Defaults"):], rest, path, l.n)
	default:
		p.spec(text, path, l.n)
	}
	return nil
}

// include recognises @include, #include, @includedir and #includedir.
func include(line string) (dir bool, target string, ok bool) {
	f := strings.Fields(line)
	if len(f) != 2 {
		return false, "", false
	}
	switch f[0] {
	case "@include", "#include":
		return false, strings.Trim(f[1], `"`), true
	case "@includedir", "#includedir":
		return true, strings.Trim(f[1], `"`), true
	}
	return false, "", false
}

func (p *parser) include(from, target string, dir bool, depth int) error {
	if !strings.HasPrefix(target, "/") {
		target = from[:strings.LastIndexByte(from, '/')+1] + target
	}
	if !dir {
		return p.file(target, depth+1)
	}
	paths, err := p.files.Dir(target)
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, f := range paths {
		name := f[strings.LastIndexByte(f, '/')+1:]
		if strings.HasSuffix(name, "~") || strings.Contains(name, ".") {
			continue // sudoers(5): names that end in ~ or hold a dot are skipped
		}
		if err := p.file(f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) alias(kind, rest, path string, n int) {
	for def := range strings.SplitSeq(escapeColons(rest), ":") {
		name, members, ok := strings.Cut(def, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			p.problem(path, n, "an alias wants NAME = members")
			continue
		}
		if p.aliases[kind] == nil {
			p.aliases[kind] = map[string][]string{}
		}
		p.aliases[kind][name] = commas(strings.ReplaceAll(members, "\x01", ":"))
	}
}

func (p *parser) defaults(scope, rest, path string, n int) {
	if scope == "" {
		if f := strings.TrimSpace(rest); f != "" && strings.ContainsAny(f[:1], "@:!>") && strings.Contains(f, " ") && f[0] != '!' {
			scope, rest, _ = strings.Cut(f, " ")
		}
	}
	for _, s := range commas(rest) {
		d := Default{Scope: scope, File: path, Line: n}
		for strings.HasPrefix(s, "!") {
			d.Off, s = !d.Off, strings.TrimSpace(s[1:])
		}
		i := strings.IndexByte(s, '=')
		if i < 0 {
			d.Name = strings.TrimSpace(s)
		} else {
			d.Op = "="
			name := s[:i]
			if i > 0 && (s[i-1] == '+' || s[i-1] == '-') {
				name, d.Op = s[:i-1], s[i-1:i+1]
			}
			d.Name, d.Value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(s[i+1:]), `"`)
		}
		if d.Name == "" {
			p.problem(path, n, "Defaults without a name")
			continue
		}
		p.out.Defaults = append(p.out.Defaults, d)
	}
}
