// Package journald reads the configuration files of systemd's journal (journald.conf, journal-upload.conf and their
// drop-ins), with systemd's precedence, sizes and time spans. It is pure: bytes in, values out.
package journald

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dirs are the directories that systemd searches, highest precedence first (systemd.unit(5) and journald.conf(5)).
var dirs = [...]string{"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"}

// Patterns are the globs that find every file of a configuration: name is "journald.conf".
func Patterns(name string) []string {
	var list []string
	for _, d := range dirs {
		list = append(list, d+"/"+name, d+"/"+name+".d/*.conf")
	}
	return list
}

// Order puts the files that were found into the order in which they are read, later ones winning: the main file of the
// highest directory, then the drop-ins of all directories by their names; of drop-ins of one name only that of the
// highest directory is read.
func Order(name string, found []string) []string {
	var order []string
	for _, d := range dirs {
		if slices.Contains(found, d+"/"+name) {
			order = append(order, d+"/"+name)
			break
		}
	}
	best := map[string]int{}
	for _, f := range found {
		rank := slices.Index(dirs[:], strings.TrimSuffix(path.Dir(f), "/"+name+".d"))
		if rank < 0 || path.Ext(f) != ".conf" || path.Base(path.Dir(f)) != name+".d" {
			continue
		}
		if r, ok := best[path.Base(f)]; !ok || rank < r {
			best[path.Base(f)] = rank
		}
	}
	names := make([]string, 0, len(best))
	for n := range best {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		order = append(order, dirs[best[n]]+"/"+name+".d/"+n)
	}
	return order
}

// Setting is one assignment.
type Setting struct {
	Value string
	// Source is where it stands: "/etc/systemd/journald.conf:12".
	Source string
}

// Config holds the settings of one section. The zero Config is empty and ready to use.
type Config struct {
	// Section is the only one that is read: "Journal", "Upload".
	Section  string
	settings map[string]Setting
}

// Merge reads a further file; its settings replace earlier ones, and an empty assignment takes back to the default.
// Lines that are neither assignments, sections nor comments are reported, as systemd logs and skips them.
func (c *Config) Merge(file string, b []byte) []error {
	var errs []error
	if c.settings == nil {
		c.settings = map[string]Setting{}
	}
	section := ""
	var parts []string // of a line that is continued with backslashes
	n, start := 0, 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if len(parts) == 0 {
			start = n
			if line == "" || line[0] == '#' || line[0] == ';' {
				continue
			}
		} else if line != "" && (line[0] == '#' || line[0] == ';') {
			continue // comments inside a continued line are dropped
		}
		if before, ok := strings.CutSuffix(line, `\`); ok {
			parts = append(parts, before)
			continue
		}
		text := strings.Join(append(parts, line), " ")
		parts = nil
		if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
			section = strings.TrimSuffix(inner, "]")
		} else if key, value, ok := strings.Cut(text, "="); !ok {
			errs = append(errs, fmt.Errorf("%s:%d: %.60q is no assignment", file, start, text))
		} else if section == c.Section {
			c.set(strings.TrimSpace(key), strings.TrimSpace(value), fmt.Sprintf("%s:%d", file, start))
		}
	}
	return errs
}

func (c *Config) set(key, value, source string) {
	if value == "" {
		delete(c.settings, key)
		return
	}
	c.settings[key] = Setting{value, source}
}

// Get returns a setting; names are case-sensitive, as in systemd. It reports false when the default applies.
func (c *Config) Get(key string) (Setting, bool) {
	s, ok := c.settings[key]
	return s, ok
}

// Bool reads a boolean as systemd does.
func Bool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, fmt.Errorf("%.40q is no boolean", s)
}

// Size reads a size in bytes with an optional suffix K, M, G, T, P, E to the base 1024 (journald.conf(5)).
func Size(s string) (int64, error) {
	t := strings.TrimSuffix(strings.TrimSpace(s), "B")
	shift := 0
	if t != "" {
		if i := strings.IndexByte("KMGTPE", t[len(t)-1]); i >= 0 {
			shift, t = 10*(i+1), strings.TrimSpace(t[:len(t)-1])
		}
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || v < 0 || v*math.Pow(2, float64(shift)) >= math.MaxInt64 || math.IsNaN(v) {
		return 0, fmt.Errorf("%.40q is no size such as 500M or 2G", s)
	}
	return int64(v * math.Pow(2, float64(shift))), nil
}

// unit gives the lengths of systemd.time(7) in seconds; a month is 30.44 and a year 365.25 days.
func unit(name string) (float64, bool) {
	switch name {
	case "", "s", "sec", "second", "seconds":
		return 1, true
	case "ms", "msec":
		return 0.001, true
	case "us", "usec", "µs":
		return 0.000001, true
	case "m", "min", "minute", "minutes":
		return 60, true
	case "h", "hr", "hour", "hours":
		return 3600, true
	case "d", "day", "days":
		return 86400, true
	case "w", "week", "weeks":
		return 7 * 86400, true
	case "M", "month", "months":
		return 2629800, true
	case "y", "year", "years":
		return 31557600, true
	}
	return 0, false
}

// Span reads a time span of systemd.time(7): "90day", "2w 3d", or seconds. Zero means no limit in journald.conf;
// "infinity" gives the longest duration.
func Span(s string) (time.Duration, error) {
	rest := strings.TrimSpace(s)
	if rest == "infinity" {
		return math.MaxInt64, nil
	}
	if rest == "" {
		return 0, fmt.Errorf("the time span is empty")
	}
	total := 0.0
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i < 0 {
			i = len(rest)
		}
		number, err := strconv.ParseFloat(rest[:i], 64)
		rest = strings.TrimLeft(rest[i:], " \t")
		j := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == ' ' || r == '\t' })
		if j < 0 {
			j = len(rest)
		}
		length, ok := unit(rest[:j])
		if err != nil || !ok {
			return 0, fmt.Errorf("%.40q is no time span such as 90day or 3month", s)
		}
		total += number * length
		rest = strings.TrimLeft(rest[j:], " \t")
	}
	if total >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64, nil
	}
	return time.Duration(total * float64(time.Second)), nil
}
