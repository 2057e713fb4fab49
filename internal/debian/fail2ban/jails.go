package fail2ban

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Base is where fail2ban's configuration stands.
const Base = "/etc/fail2ban"

// Config is the whole configuration.
type Config struct {
	Jails []*Jail
	// Files are those that the jails were read from, in reading order.
	Files []string
	// DBFile is where bans are kept over a restart: a path, ":memory:" or "None".
	DBFile string
	// DBPurgeAge is how long they are kept, in seconds.
	DBPurgeAge int
	// Problems concern the configuration as a whole; a fatal one keeps fail2ban from starting.
	Problems []Problem
}

// Jail is one jail with all values resolved.
type Jail struct {
	Name    string
	Enabled bool
	// FilterName is the file in filter.d, FilterOptions what stands behind it in brackets.
	FilterName    string
	FilterOptions map[string]string
	// Filter is nil for a jail that is not enabled, and when it could not be read.
	Filter  *Filter
	Backend string
	Port    string
	// LogPaths are paths and patterns of log files; the systemd backend does not use them.
	LogPaths []string
	MaxRetry int
	// FindTime and BanTime are in seconds; a BanTime of -1 bans for ever.
	FindTime, BanTime int
	// Increment is true when the ban time grows with each ban of an address.
	Increment  bool
	IgnoreIP   []string
	IgnoreSelf bool
	// Actions are the names of the actions; BanAction is the one that the standard action uses.
	Actions   []string
	BanAction string
	// File and Line say where the jail was switched on, or else first mentioned.
	File     string
	Line     int
	Problems []Problem
}

// Journal reports whether the jail reads the journal instead of files.
func (j *Jail) Journal() bool { return strings.HasPrefix(j.Backend, "systemd") }

// Starts reports whether fail2ban can start the jail, its log source apart.
func (j *Jail) Starts() bool {
	for _, p := range j.Problems {
		if p.Fatal {
			return false
		}
	}
	return j.Enabled && j.Filter != nil && j.Filter.Usable()
}

// Match applies the jail's filter to a line: with time stamp from a file, without one from the journal.
func (j *Jail) Match(line string) (Match, bool) {
	if j.Filter == nil {
		return Match{}, false
	}
	if j.Journal() {
		return j.Filter.MatchText(line)
	}
	return j.Filter.Match(line)
}

// Load reads the configuration below base, which is [Base] but for tests.
func Load(src Source, base string) (*Config, error) {
	c := &Config{DBFile: "/var/lib/fail2ban/fail2ban.sqlite3", DBPurgeAge: 24 * 60 * 60}
	c.server(src, base)
	cfg, err := load(src, path.Join(base, "jail"))
	if err != nil {
		return nil, err
	}
	c.Files, c.Problems = cfg.files, append(cfg.problems, c.Problems...)
	c.strays(src, base)
	cfg.defaults["fail2ban_confpath"] = Value{Text: base}
	if _, ok := cfg.defaults["fail2ban_version"]; !ok {
		cfg.defaults["fail2ban_version"] = Value{Text: "1"}
	}
	for _, name := range cfg.order {
		if name == "INCLUDES" || name == "Definition" {
			continue
		}
		c.Jails = append(c.Jails, newJail(src, base, cfg, name))
	}
	return c, nil
}

// server reads fail2ban.conf for the database of bans.
func (c *Config) server(src Source, base string) {
	cfg, err := load(src, path.Join(base, "fail2ban"))
	if err != nil {
		return
	}
	c.Problems = append(c.Problems, cfg.problems...)
	if v, ok, err := cfg.get("Definition", "dbfile", nil); ok && err == nil && v.Text != "" {
		c.DBFile = v.Text
	}
	if v, ok, err := cfg.get("Definition", "dbpurgeage", nil); ok && err == nil {
		if n, err := Seconds(v.Text); err == nil {
			c.DBPurgeAge = n
		}
	}
}

// strays finds files that look like configuration and that fail2ban never reads.
func (c *Config) strays(src Source, base string) {
	for _, pattern := range []string{"/*.local", "/*.conf", "/jail.d/*", "/filter.d/*"} {
		files, err := src.Glob(base + pattern)
		if err != nil {
			continue
		}
		for _, f := range files {
			if why, fix := c.stray(f, path.Base(f), path.Base(path.Dir(f))); why != "" {
				c.Problems = append(c.Problems, Problem{File: f, Text: why, Fix: fix})
			}
		}
	}
}

func (c *Config) stray(file, name, dir string) (why, fix string) {
	stem, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	switch {
	case name == "README" || strings.HasPrefix(name, ".") || ext == ".py":
	case dir == "jail.d" && ext != ".conf" && ext != ".local":
		return "fail2ban does not read this file", "give it the ending .local"
	case dir == "filter.d" && ext != ".conf" && ext != ".local" && ext != "" && !strings.Contains(ext, "dpkg"):
		return "fail2ban does not read this file", "filters end in .conf, and changes of them in .local"
	case dir == "jail.d" || dir == "filter.d":
	case stem == "jail" || stem == "fail2ban" || strings.HasPrefix(stem, "paths-") || contains(c.Files, file):
	default:
		return "fail2ban does not read this file", "the local configuration of jails is " + path.Join(path.Dir(file), "jail.local")
	}
	return "", ""
}

// jailReader resolves the options of one jail.
type jailReader struct {
	src  Source
	base string
	cfg  *config
	j    *Jail
}

func newJail(src Source, base string, cfg *config, name string) *Jail {
	r := &jailReader{src: src, base: base, cfg: cfg, j: &Jail{Name: name, MaxRetry: 3, FindTime: 600, BanTime: 600, IgnoreSelf: true, Backend: "auto"}}
	r.place()
	if v, ok := r.text("enabled"); ok {
		r.j.Enabled = isTrue(v.Text)
		r.comment("enabled", v)
	}
	if v, ok := r.text("backend"); ok {
		r.j.Backend = v.Text
	}
	if v, ok := r.text("filter"); ok {
		r.filterName(v)
	}
	if !r.j.Enabled {
		return r.j
	}
	r.knownFilterOptions()
	r.numbers()
	r.lists()
	r.filter()
	r.actions()
	return r.j
}

// place finds where the jail is switched on.
func (r *jailReader) place() {
	s := r.cfg.sections[r.j.Name]
	if v, ok := s["enabled"]; ok {
		r.j.File, r.j.Line = v.File, v.Line
		return
	}
	for _, k := range s.names() {
		if v := s[k]; r.j.Line == 0 || v.Line < r.j.Line {
			r.j.File, r.j.Line = v.File, v.Line
		}
	}
}

func (r *jailReader) problem(v Value, fatal bool, fix, format string, args ...any) {
	r.j.Problems = append(r.j.Problems, Problem{File: v.File, Line: v.Line, Fatal: fatal, Text: fmt.Sprintf(format, args...), Fix: fix})
}

func (r *jailReader) text(opt string) (Value, bool) {
	v, found, err := r.cfg.get(r.j.Name, opt, nil)
	if err != nil {
		r.problem(v, true, "", "%s: %v", opt, err)
		return v, false
	}
	return v, found
}

// comment reports a "#" within a value: fail2ban takes it as part of the value.
func (r *jailReader) comment(opt string, v Value) {
	if i := strings.Index(v.Text, "#"); i > 0 && (v.Text[i-1] == ' ' || v.Text[i-1] == '\t') {
		r.problem(v, false, "put the comment on a line of its own",
			"%s is %q: within a line fail2ban takes # and what follows as part of the value", opt, clip(v.Text))
	}
}

func (r *jailReader) filterName(v Value) {
	name, opts, err := options(v.Text)
	if err != nil {
		r.problem(v, r.j.Enabled, "", "filter: %v", err)
		return
	}
	r.j.FilterName, r.j.FilterOptions = name, opts
}

func (r *jailReader) numbers() {
	if v, ok := r.text("maxretry"); ok {
		r.comment("maxretry", v)
		n, err := strconv.Atoi(strings.TrimSpace(v.Text))
		if err != nil {
			r.problem(v, true, "write the number alone", "maxretry is %q, which is no number", clip(v.Text))
		} else {
			r.j.MaxRetry = n
		}
	}
	for opt, dst := range map[string]*int{"findtime": &r.j.FindTime, "bantime": &r.j.BanTime} {
		v, ok := r.text(opt)
		if !ok {
			continue
		}
		r.comment(opt, v)
		n, err := Seconds(v.Text)
		if err != nil {
			r.problem(v, true, "write seconds, or a time like 10m, 1h, 1d", "%s: %v", opt, err)
			continue
		}
		*dst = n
	}
	if v, ok := r.text("bantime.increment"); ok {
		r.j.Increment = isTrue(v.Text)
	}
	if v, ok := r.text("ignoreself"); ok {
		r.j.IgnoreSelf = isTrue(v.Text)
	}
}

func (r *jailReader) lists() {
	if v, ok := r.text("port"); ok {
		r.j.Port = v.Text
		r.comment("port", v)
	}
	if v, ok := r.text("banaction"); ok {
		r.j.BanAction, _, _ = strings.Cut(v.Text, "[")
	}
	if v, ok := r.text("ignoreip"); ok {
		r.comment("ignoreip", v)
		r.j.IgnoreIP = strings.FieldsFunc(v.Text, func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\t' })
	}
	if v, ok := r.text("logpath"); ok {
		for l := range strings.SplitSeq(v.Text, "\n") {
			l = strings.TrimSpace(l)
			if i := strings.LastIndexByte(l, ' '); i > 0 { // "path tail" reads from the end of the file
				l = strings.TrimSpace(l[:i])
			}
			if l != "" {
				r.j.LogPaths = append(r.j.LogPaths, l)
			}
		}
	}
}

// knownFilterOptions lets the jail refer to its filter's own options as %(known/x)s.
func (r *jailReader) knownFilterOptions() {
	fc, err := readFilter(r.src, r.filterBase(), r.j.FilterOptions, nil, r.j.Journal())
	if err != nil {
		return // reported when the filter is loaded
	}
	s := r.cfg.sections[r.j.Name]
	for _, opt := range filterOptions() {
		v, ok, err := fc.option(opt)
		if _, set := s["known/"+opt]; ok && err == nil && !set {
			v.Text = strings.ReplaceAll(v.Text, "%", "%%")
			s["known/"+opt] = v
		}
	}
}

func (r *jailReader) filterBase() string { return path.Join(r.base, "filter.d", r.j.FilterName) }

func (r *jailReader) filter() {
	own, vars := map[string]Value{}, section{}
	for _, opt := range filterOptions() {
		if v, ok := r.text(opt); ok {
			own[opt], vars[opt] = v, v
		}
	}
	if r.j.FilterName == "" {
		r.j.Filter = &Filter{MaxLines: 1, stamps: stamps()}
		r.j.Filter.set(own)
		return
	}
	f, err := loadFilter(r.src, r.filterBase(), r.j.FilterOptions, vars, r.j.Journal())
	if err != nil {
		v := Value{File: r.j.File, Line: r.j.Line}
		switch {
		case notExist(err) && r.j.Name == "ssh":
			r.problem(v, true, "the jail of the SSH server is called [sshd]", "filter %s does not exist, and the jail is left out", clip(r.j.FilterName))
		case notExist(err):
			r.problem(v, true, "write "+r.filterBase()+".conf", "filter %s does not exist, and the jail is left out", clip(r.j.FilterName))
		default:
			r.problem(v, true, "", "cannot read filter %s: %v", clip(r.j.FilterName), err)
		}
		return
	}
	f.set(own)
	r.j.Filter = f
	if len(f.fail) == 0 && f.Usable() {
		r.problem(Value{File: f.File}, true, "set failregex", "filter %s has no failregex", clip(r.j.FilterName))
	}
}

func (r *jailReader) actions() {
	v, ok := r.text("action")
	if !ok {
		return
	}
	for _, a := range splitActions(v.Text) {
		name, _, err := options(a)
		if err != nil {
			r.problem(v, true, "", "action: %v", err)
			continue
		}
		r.j.Actions = append(r.j.Actions, name)
		if !r.exists(path.Join(r.base, "action.d", name)) {
			r.problem(v, true, "", "action %s does not exist, and the jail is left out", clip(name))
		}
	}
}

func (r *jailReader) exists(stem string) bool {
	for _, ext := range []string{".conf", ".local", ""} {
		if _, err := r.src.Read(stem + ext); !notExist(err) {
			return true
		}
	}
	return false
}

// isTrue is fail2ban's reading of a boolean.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

// options splits name[key=value, key="value"][...] into its parts.
func options(s string) (string, map[string]string, error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(s), "[")
	name = strings.TrimSpace(name)
	out := map[string]string{}
	if !ok {
		return name, out, nil
	}
	rest = strings.TrimSpace(rest)
	if !strings.HasSuffix(rest, "]") {
		return name, nil, fmt.Errorf("%q has no closing bracket", clip(s))
	}
	rest = strings.TrimSuffix(rest, "]")
	for rest = strings.TrimSpace(rest); rest != ""; {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return name, nil, fmt.Errorf("%q is not key=value", clip(rest))
		}
		value, tail := optionValue(after)
		out[strings.TrimSpace(strings.Trim(key, ", []\n\t"))] = strings.TrimSpace(value)
		rest = strings.TrimLeft(tail, ", []\n\t")
	}
	return name, out, nil
}

// optionValue takes a quoted value, or one that ends at a comma or bracket.
func optionValue(s string) (value, tail string) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : end+1], s[end+2:]
		}
	}
	if end := strings.IndexAny(s, ",]"); end >= 0 {
		return s[:end], s[end+1:]
	}
	return s, ""
}

// splitActions splits at blanks and newlines outside of brackets and quotes.
func splitActions(s string) []string {
	var out []string
	var cur strings.Builder
	depth, quote := 0, byte(0)
	flush := func() {
		if cur.Len() > 0 {
			out = append(out, cur.String())
		}
		cur.Reset()
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case depth > 0 && (c == '"' || c == '\''):
			quote = c
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth == 0 && (c == ' ' || c == '\n' || c == '\t'):
			flush()
			continue
		}
		cur.WriteByte(c)
	}
	flush()
	return out
}
