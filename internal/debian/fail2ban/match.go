package fail2ban

import (
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Match is what a filter found in a line.
type Match struct {
	// Host is the address or name to ban; IPv4 addresses written as IPv6 (::ffff:a.b.c.d) are unmapped.
	Host string
	// User is the account that was tried, empty when the filter does not tell.
	User string
	// Time is the time stamp of the line, zero when there is none or it has no year.
	Time time.Time
	// NoFail is true when the line only helps to understand other lines and is no failure by itself.
	NoFail bool
	// Rule is the index of the regular expression within failregex.
	Rule int
}

// Match applies the filter to one line of a log file. The time stamp is found and taken out first, as fail2ban does.
// It reports whether the line is a failure of a host.
func (f *Filter) Match(line string) (Match, bool) {
	body, t := f.cutTime(line)
	m, ok := f.MatchText(body)
	m.Time = t
	return m, ok
}

// MatchText applies the filter to a line without time stamp, which is what the systemd backend gives:
// "host program[pid]: message".
func (f *Filter) MatchText(body string) (Match, bool) {
	if len(f.ignore) < len(f.fail)-2 && f.ignored(body) {
		return Match{}, false
	}
	var pre map[string]string
	if f.pref != nil {
		g, ok := f.pref.find(body)
		if !ok {
			return Match{}, false
		}
		pre = g
		if g["content"] != "" {
			body = g["content"]
		}
	}
	for i, p := range f.fail {
		g, ok := p.find(body)
		if !ok {
			continue
		}
		if f.ignored(body) {
			return Match{}, false
		}
		for k, v := range pre {
			if _, own := g[k]; !own && k != "content" {
				g[k] = v
			}
		}
		m := Match{Host: failureHost(g), User: user(g), Rule: i}
		_, noFail := g["nofail"]
		_, gained := g["mlfgained"] // a successful login, by which fail2ban forgets earlier failures
		m.NoFail = noFail || gained
		return m, m.Host != "" && !m.NoFail
	}
	return Match{}, false
}

func (f *Filter) ignored(body string) bool {
	for _, p := range f.ignore {
		if _, ok := p.find(body); ok {
			return true
		}
	}
	return false
}

func failureHost(g map[string]string) string {
	for _, k := range []string{"fid", "ip4", "ip6", "dns"} {
		v := g[k]
		if v == "" {
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(v, "[]")); err == nil {
			return a.Unmap().String()
		}
		return v
	}
	return ""
}

func user(g map[string]string) string {
	for _, k := range []string{"user", "alt_user"} {
		if g[k] != "" {
			return g[k]
		}
	}
	return ""
}

// stamp is a form of time stamp: the expression finds it, and its first group is parsed by layout.
type stamp struct {
	re     *regexp.Regexp
	layout string
}

// stamps are the forms that fail2ban finds without being told: ISO 8601, syslog's, the Common Log Format, those of
// common servers and seconds since 1970. A form at the beginning of the line comes first. The day/month/year of
// pveproxy's access.log is not among them: fail2ban reads it as month/day/year (of cPanel) or not at all, so that a
// filter for that file needs a datepattern.
func stamps() []stamp {
	const clock = `\d\d:\d\d:\d\d(?:[.,]\d+)?`
	return []stamp{
		{regexp.MustCompile(`^\[?(\d{4}[-/]\d\d[-/]\d\d[T ]` + clock + `(?: ?(?:Z|[+-]\d\d:?\d\d))?)`), time.RFC3339Nano},
		{regexp.MustCompile(`^\[?((?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} +\d?\d ` + clock + `(?: \d{4})?)`), time.Stamp},
		{regexp.MustCompile(`^\[?(\d\d?-[A-Z][a-z]{2}-\d{4} ` + clock + `(?: [+-]\d{4})?)`), "02-Jan-2006 15:04:05 -0700"},
		{regexp.MustCompile(`(\d\d/[A-Z][a-z]{2}/\d{4}:` + clock + `(?: [+-]\d{4})?)`), "02/Jan/2006:15:04:05 -0700"},
		{regexp.MustCompile(`^([A-Z][a-z]{2}-\d\d-\d\d ` + clock + `)`), "Jan-02-06 15:04:05"},
		{regexp.MustCompile(`^\[?(\d{10}(?:\.\d+)?)\b`), ""},
		{regexp.MustCompile(`audit\((\d{10}\.\d+:\d+)\)`), ""},
	}
}

// cutTime takes the time stamp out of a line.
func (f *Filter) cutTime(line string) (string, time.Time) {
	for _, re := range f.dates {
		if m := re.FindStringIndex(line); m != nil {
			_, t := f.cutStamp(line[m[0]:m[1]])
			if own, err := time.Parse("02/01/2006:15:04:05 -0700", strings.Trim(line[m[0]:m[1]], "[]")); err == nil {
				t = own
			}
			return line[:m[0]] + line[m[1]:], t
		}
	}
	return f.cutStamp(line)
}

func (f *Filter) cutStamp(line string) (string, time.Time) {
	for _, s := range f.stamps {
		m := s.re.FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		text := strings.Replace(strings.Replace(line[m[2]:m[3]], " ", "T", 1), ",", ".", 1)
		if s.layout != time.RFC3339Nano {
			text = line[m[2]:m[3]]
		}
		t, err := time.Parse(s.layout, text)
		if err != nil || t.Year() == 0 {
			t = time.Time{}
		}
		return line[:m[2]] + line[m[3]:], t
	}
	return line, time.Time{}
}

// datePatterns translates a filter's own date patterns (strptime directives, {^LN-BEG}) into expressions. A pattern
// with more than that is left out, and the usual forms are looked for.
func datePatterns(s string) []*regexp.Regexp {
	directives := map[byte]string{
		'Y': `\d{4}`, 'y': `\d\d`, 'm': `\d{1,2}`, 'd': `[ \d]?\d`, 'H': `\d{1,2}`, 'k': `[ \d]?\d`, 'M': `\d\d`, 'S': `\d\d`,
		'b': `[A-Za-z]{3}`, 'B': `[A-Za-z]{3,9}`, 'a': `[A-Za-z]{3}`, 'A': `[A-Za-z]{6,9}`, 'z': `(?:Z|[+-]\d\d:?\d\d)`,
		'Z': `[A-Z]{3,5}`, 'f': `\d{1,6}`, 'j': `\d{1,3}`, 'p': `[AP]M`, 'I': `\d{1,2}`,
	}
	var out []*regexp.Regexp
	for _, l := range splitLines(s) {
		l = strings.TrimSpace(l)
		begin := strings.HasPrefix(l, "{^LN-BEG}")
		l = strings.TrimPrefix(l, "{^LN-BEG}")
		if l == "" || l[0] == '{' || strings.Contains(l, "{DATE}") || !strings.Contains(l, "%") {
			continue
		}
		var b strings.Builder
		if begin {
			b.WriteByte('^')
		}
		for i := 0; i < len(l); i++ {
			if l[i] == '%' && i+1 < len(l) && directives[l[i+1]] != "" {
				b.WriteString(directives[l[i+1]])
				i++
				continue
			}
			b.WriteByte(l[i])
		}
		if re, err := regexp.Compile(b.String()); err == nil {
			out = append(out, re)
		}
	}
	return out
}
