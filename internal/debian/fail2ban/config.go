package fail2ban

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Limits against loops in included files and in interpolation.
const (
	maxIncludeDepth = 10        // fail2ban stops at files it has seen; ten levels are more than it ships
	maxExpandDepth  = 10        // Python's configparser: MAX_INTERPOLATION_DEPTH
	maxExpanded     = 128 << 10 // bytes that one value may grow to
)

// Source gives the files of the target: Read returns a file's content (fs.ErrNotExist when it is not there), Glob
// the paths that match a shell pattern, sorted.
type Source struct {
	Read func(path string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
}

// config is a set of files merged in fail2ban's order.
type config struct {
	defaults section
	sections map[string]section
	known    map[string]section // values that a later file replaced, for %(known/x)s
	order    []string
	files    []string
	problems []Problem
	// err is the first file that is there and could not be read.
	err error
}

// load reads base.conf, base.d/*.conf, base.local and base.d/*.local with everything they include; a later file wins.
// It is an fs.ErrNotExist when none of them exists. After an error it still asks for the other files, so that a target
// which answers in rounds learns of all of them at once.
func load(src Source, base string) (*config, error) {
	var names []string
	var globErr error
	for _, ext := range []string{"conf", "local"} {
		names = append(names, base+"."+ext)
		list, err := src.Glob(base + ".d/*." + ext)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			globErr = fmt.Errorf("cannot list %s.d: %w", base, err)
		}
		names = append(names, list...)
	}
	l := &loader{src: src, cfg: &config{defaults: section{}, sections: map[string]section{}, known: map[string]section{}},
		parsed: map[string]*iniFile{}}
	for _, f := range l.expand(names, nil, 0) {
		l.cfg.merge(f, l.parsed[f])
	}
	if err := cmp.Or(globErr, l.cfg.err); err != nil {
		return nil, err
	}
	if len(l.cfg.files) == 0 {
		return nil, fmt.Errorf("%s.conf: %w", base, fs.ErrNotExist)
	}
	return l.cfg, nil
}

type loader struct {
	src    Source
	cfg    *config
	parsed map[string]*iniFile
}

// expand puts files in reading order: what a file includes before it, the file, what it includes after it. Each
// included x.conf is followed by its x.local.
func (l *loader) expand(names, seen []string, depth int) []string {
	var out []string
	for _, n := range names {
		out = append(out, l.expandOne(n, seen, depth)...)
		if local := strings.TrimSuffix(n, path.Ext(n)) + ".local"; path.Ext(n) != ".local" && !contains(names, local) {
			out = append(out, l.expandOne(local, seen, depth)...)
		}
	}
	return out
}

func (l *loader) expandOne(name string, seen []string, depth int) []string {
	ini := l.parse(name)
	if ini == nil || depth > maxIncludeDepth {
		return nil
	}
	seen = append(append([]string{}, seen...), name)
	include := func(key string) []string {
		var files []string
		for f := range strings.SplitSeq(ini.sections["INCLUDES"][key].Text, "\n") {
			if f = strings.TrimSpace(f); f == "" {
				continue
			}
			if !path.IsAbs(f) {
				f = path.Join(path.Dir(name), f)
			}
			if !contains(seen, f) {
				files = append(files, f)
			}
		}
		return l.expand(files, seen, depth+1)
	}
	return append(append(include("before"), name), include("after")...)
}

func (l *loader) parse(name string) *iniFile {
	if f, ok := l.parsed[name]; ok {
		return f
	}
	b, err := l.src.Read(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && l.cfg.err == nil {
			l.cfg.err = err
		}
		l.parsed[name] = nil
		return nil
	}
	f := parseINI(name, b)
	l.parsed[name] = f
	l.cfg.problems = append(l.cfg.problems, f.problems...)
	return f
}

func (c *config) merge(name string, f *iniFile) {
	c.files = append(c.files, name)
	for k, v := range f.defaults {
		c.defaults[k] = v
	}
	for _, n := range f.order {
		s := f.sections[n]
		dst, exists := c.sections[n]
		if !exists {
			dst = section{}
			c.sections[n] = dst
			c.order = append(c.order, n)
		}
		for k, v := range s {
			if old, ok := dst[k]; ok {
				if c.known[n] == nil {
					c.known[n] = section{}
				}
				c.known[n][k] = old
			}
			dst[k] = v
		}
	}
}

// lookup finds an option in vars, the section and the defaults, in this order, without interpolation.
func (c *config) lookup(sec, opt string, vars section) (Value, bool) {
	if v, ok := vars[opt]; ok {
		return v, true
	}
	if v, ok := c.sections[sec][opt]; ok {
		return v, true
	}
	v, ok := c.defaults[opt]
	return v, ok
}

// get returns an option with its interpolations resolved. found is false when it is set nowhere.
func (c *config) get(sec, opt string, vars section) (v Value, found bool, err error) {
	v, found = c.lookup(sec, opt, vars)
	if !found {
		return v, false, nil
	}
	budget := maxExpanded
	v.Text, err = c.expand(sec, v.Text, vars, 0, &budget)
	if err != nil {
		err = fmt.Errorf("%s:%d: %s: %w", v.File, v.Line, opt, err)
	}
	return v, true, err
}

// expand resolves %(name)s, %(section/name)s, %(known/name)s, %(default/name)s, %(__name__)s and %%.
func (c *config) expand(sec, text string, vars section, depth int, budget *int) (string, error) {
	if depth > maxExpandDepth {
		return "", errors.New("interpolation goes round in circles")
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:i])
		text = text[i+1:]
		switch {
		case strings.HasPrefix(text, "%"):
			b.WriteByte('%')
			text = text[1:]
		case strings.HasPrefix(text, "(") && strings.Contains(text, ")s"):
			name, rest, _ := strings.Cut(text[1:], ")")
			if !strings.HasPrefix(rest, "s") {
				return "", fmt.Errorf("%%(%s) must be followed by s", clip(name))
			}
			text = rest[1:]
			v, ok := c.reference(sec, strings.ToLower(name), name, vars)
			if !ok {
				return "", fmt.Errorf("%%(%s)s is not set anywhere", clip(name))
			}
			inner, err := c.expand(sec, v, vars, depth+1, budget)
			if err != nil {
				return "", err
			}
			b.WriteString(inner)
		default:
			return "", errors.New("a single % must be written as %%")
		}
		if *budget -= b.Len(); *budget < 0 {
			return "", errors.New("value grows without limit")
		}
	}
	return b.String(), nil
}

func (c *config) reference(sec, name, original string, vars section) (string, bool) {
	if name == "__name__" {
		return sec, true
	}
	if v, ok := c.lookup(sec, name, vars); ok {
		return v.Text, true
	}
	s, opt, ok := strings.Cut(original, "/")
	if !ok {
		return "", false
	}
	opt = strings.ToLower(opt)
	var from section
	switch strings.ToLower(s) {
	case "known":
		from = c.known[sec]
	case "default":
	default:
		from = c.sections[s]
	}
	if v, ok := from[opt]; ok {
		return v.Text, true
	}
	v, ok := c.defaults[opt]
	return v.Text, ok
}

// getEx is get for a name that may carry a section: "lt_file/__prefix_line".
func (c *config) getEx(sec, opt string, vars section) (Value, bool, error) {
	if m := regexp.MustCompile(`^([\w\-]+)/([^\s>]+)$`).FindStringSubmatch(opt); m != nil {
		name := m[2]
		switch strings.ToLower(m[1]) {
		case "known":
			if v, ok := c.known[sec][name]; ok {
				return v, true, nil
			}
			if v, found, err := c.get(sec, name, nil); found {
				return v, true, err
			}
		case "default":
			if v, ok := c.defaults[name]; ok {
				budget := maxExpanded
				text, err := c.expand("DEFAULT", v.Text, nil, 0, &budget)
				v.Text = text
				return v, true, err
			}
		default:
			if _, ok := c.sections[m[1]]; ok {
				if v, found, err := c.get(m[1], name, nil); found {
					return v, true, err
				}
			}
		}
	}
	return c.get(sec, opt, vars)
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
