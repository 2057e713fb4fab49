package fail2ban

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Filter is a filter of fail2ban, ready to match lines.
type Filter struct {
	Name string
	// File is where the filter's regular expressions stand; empty when they stand in the jail.
	File string
	// JournalMatch are the alternatives of journalctl matches, one string each.
	JournalMatch []string
	// MaxLines is how many lines the filter looks at together; more than one is not evaluated here.
	MaxLines int
	// DatePattern is the filter's own pattern for time stamps, as configured.
	DatePattern string
	Problems    []Problem

	pref   *pattern
	fail   []*pattern
	ignore []*pattern
	dates  []*regexp.Regexp
	stamps []stamp
}

// Usable reports whether the filter has at least one regular expression and nothing in it keeps fail2ban from using it.
func (f *Filter) Usable() bool {
	for _, p := range f.Problems {
		if p.Fatal {
			return false
		}
	}
	return len(f.fail) > 0
}

// filterOptions are the options of a filter that a jail may override (FilterReader._configOpts).
func filterOptions() []string {
	return []string{"usedns", "prefregex", "ignoreregex", "failregex", "maxlines", "datepattern", "journalmatch"}
}

// LoadFilter reads one filter file by its path ("/etc/fail2ban/filter.d/sshd.conf"), with what it includes and its
// .local, for lines of a log file or, when journal is true, of the journal. options are those of filter = name[...].
func LoadFilter(src Source, file string, options map[string]string, journal bool) (*Filter, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(file, ".conf"), ".local")
	return loadFilter(src, base, options, nil, journal)
}

// filterConfig is a filter with the options that its jail gave it.
type filterConfig struct {
	cfg  *config
	init map[string]string
	vars section
}

func readFilter(src Source, base string, options map[string]string, jail section, journal bool) (*filterConfig, error) {
	cfg, err := load(src, base)
	if err != nil {
		return nil, err
	}
	fc := &filterConfig{cfg: cfg, init: map[string]string{}, vars: section{}}
	for k, v := range options {
		fc.init[strings.ToLower(k)] = v
	}
	if _, own := cfg.sections["Definition"]["logtype"]; !own && fc.init["logtype"] == "" {
		fc.init["logtype"] = "file"
		if journal {
			fc.init["logtype"] = "journal"
		}
	}
	for k, v := range jail {
		fc.vars[k] = v
	}
	for k, v := range fc.init {
		fc.vars[k] = Value{Text: v}
	}
	for _, k := range cfg.sections["Init"].names() {
		v, _, err := cfg.get("Init", k, nil)
		if err != nil {
			return nil, err
		}
		fc.init["known/"+k] = v.Text
		if _, set := fc.init[k]; !set {
			fc.init[k] = v.Text
		}
	}
	return fc, nil
}

// option returns one option of [Definition] with interpolation and tags resolved.
func (fc *filterConfig) option(name string) (Value, bool, error) {
	if _, own := fc.vars[name]; own {
		return Value{}, false, nil // the jail's value counts, and is used by the jail
	}
	v, found, err := fc.cfg.get("Definition", name, fc.vars)
	if text, ok := fc.init[name]; ok { // [Init] may hold options of the filter as well, and wins
		v, found, err = Value{Text: text, File: v.File, Line: v.Line}, true, nil
	}
	if err != nil || !found {
		return v, found, err
	}
	v.Text, err = substitute(name, v.Text, func(tag string) (string, bool) {
		if s, ok := fc.init[tag]; ok {
			return s, true
		}
		w, ok, err := fc.cfg.getEx("Definition", tag, fc.vars)
		return w.Text, ok && err == nil
	})
	return v, true, err
}

func loadFilter(src Source, base string, options map[string]string, jail section, journal bool) (*Filter, error) {
	fc, err := readFilter(src, base, options, jail, journal)
	if err != nil {
		return nil, err
	}
	f := &Filter{Name: path.Base(base), File: base + ".conf", MaxLines: 1, Problems: fc.cfg.problems, stamps: stamps()}
	values := map[string]Value{}
	for _, name := range filterOptions() {
		v, found, err := fc.option(name)
		if err != nil {
			f.Problems = append(f.Problems, Problem{File: v.File, Line: v.Line, Fatal: true, Text: err.Error()})
			continue
		}
		if found {
			values[name] = v
		}
	}
	f.set(values)
	return f, nil
}

// set compiles the options; those that are missing keep what is there.
func (f *Filter) set(values map[string]Value) {
	if v, ok := values["maxlines"]; ok {
		if _, err := fmt.Sscanf(v.Text, "%d", &f.MaxLines); err != nil {
			f.MaxLines = 1
		}
		if f.MaxLines > 1 {
			f.Problems = append(f.Problems, Problem{File: f.File, Text: fmt.Sprintf("the filter looks at %d lines together, which is not evaluated", f.MaxLines)})
		}
	}
	if v, ok := values["journalmatch"]; ok {
		f.JournalMatch = splitLines(v.Text)
	}
	if v, ok := values["datepattern"]; ok {
		f.DatePattern = v.Text
		f.dates = datePatterns(v.Text)
	}
	if v, ok := values["prefregex"]; ok && strings.TrimSpace(v.Text) != "" {
		f.pref = f.compile(v, v.Text, false)
	}
	if v, ok := values["failregex"]; ok {
		f.File = v.File
		for _, l := range splitLines(v.Text) {
			f.checkLine(v, l)
			if p := f.compile(v, l, true); p != nil {
				f.fail = append(f.fail, p)
			}
		}
	}
	if v, ok := values["ignoreregex"]; ok {
		for _, l := range splitLines(v.Text) {
			if p := f.compile(v, l, false); p != nil {
				f.ignore = append(f.ignore, p)
			}
		}
	}
}

// failureGroups are the groups that can name whom to ban (failregex.py, FAILURE_ID_PRESENTS).
func failureGroups() []string { return []string{"fid", "ip4", "ip6", "dns", "mlfid"} }

func (f *Filter) compile(v Value, text string, needHost bool) *pattern {
	p, err := compilePattern(hostTags(text))
	if err != nil {
		f.Problems = append(f.Problems, Problem{File: v.File, Line: v.Line, Fatal: true, Text: fmt.Sprintf("%q: %v", clip(text), err)})
		return nil
	}
	if !needHost {
		return p
	}
	for _, g := range failureGroups() {
		if p.names[g] || f.pref != nil && f.pref.names[g] {
			return p
		}
	}
	fix := "put <HOST> where the address stands"
	if regexp.MustCompile(`(?i)<(host|addr|ip4|ip6)>`).MatchString(text) {
		fix = "tags are upper case: write <HOST>"
	}
	f.Problems = append(f.Problems, Problem{File: v.File, Line: v.Line, Fatal: true,
		Text: fmt.Sprintf("failregex %q names no address to ban, and fail2ban refuses it", clip(text)), Fix: fix})
	return nil
}

// checkLine recognises a failregex that swallowed the next setting, as happens when lines are pasted together.
func (f *Filter) checkLine(v Value, text string) {
	if m := regexp.MustCompile(`\s(ignoreregex|failregex|journalmatch|datepattern)\s*=`).FindStringSubmatch(text); m != nil {
		f.Problems = append(f.Problems, Problem{File: v.File, Line: v.Line,
			Text: fmt.Sprintf("failregex holds %q: two settings were joined to one line", m[1]+" ="), Fix: "each setting has a line of its own"})
	}
}

// splitLines returns the lines of a value that are not empty.
func splitLines(s string) []string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}

// notExist reports whether err says that a file is not there.
func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
