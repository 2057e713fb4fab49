package jobscfg

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// ParseCron reads vzdump.cron, the older form of backup jobs. PVE understands lines "MINUTE HOUR * * DAYS root vzdump ...", of
// which one with "#" before vzdump is switched off, and shows no others; cron runs them all the same.
func ParseCron(b []byte) (*Config, []pve.Problem) {
	c := &Config{}
	var problems []pve.Problem
	n := 0
	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || isVariable(line) {
			continue
		}
		j, found, ok := cronJob(line, n)
		problems = append(problems, found...)
		if !ok {
			if len(problems) < 200 {
				problems = append(problems, pve.Warnf(n, "PVE does not understand this line and shows no job for it; cron may run it"))
			}
			continue
		}
		c.Jobs = append(c.Jobs, j)
	}
	return c, problems
}

// isVariable tells lines such as PATH="/usr/bin" from jobs.
func isVariable(line string) bool {
	name, _, ok := strings.Cut(line, "=")
	return ok && !strings.ContainsAny(name, " \t")
}

func cronJob(line string, n int) (Job, []pve.Problem, bool) {
	f := strings.Fields(line)
	if len(f) < 7 || f[2] != "*" || f[3] != "*" || f[5] != "root" {
		return Job{}, nil, false
	}
	program := f[6][strings.LastIndexByte(f[6], '/')+1:]
	enabled := !strings.HasPrefix(program, "#")
	if strings.TrimPrefix(program, "#") != "vzdump" || !digits(f[0]) || !digits(f[1]) {
		return Job{}, nil, false
	}
	j := Job{ID: fmt.Sprintf("vzdump.cron:%d", n), Line: n, Cron: true, Enabled: enabled}
	days, ok := cronDays(f[4])
	if !ok {
		return Job{}, nil, false
	}
	problems := j.schedule(strings.TrimSpace(days+" "+f[1]+":"+f[0]), n)
	options, positional := arguments(f[7:])
	if len(positional) > 0 {
		options["vmid"] = strings.Join(positional, ",")
	}
	get := func(key string) (string, bool) { v, ok := options[key]; return v, ok }
	return j, append(problems, j.options(get, func(string) int { return n })...), true
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// cronDays turns days of the week of cron (0 and 7 are Sunday, names, ranges) into those of a calendar event.
func cronDays(s string) (string, bool) {
	if s == "*" {
		return "", true
	}
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	day := func(d string) string {
		if len(d) == 1 && d[0] >= '0' && d[0] <= '7' {
			return names[d[0]-'0']
		}
		return strings.ToLower(d)
	}
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if isRange {
			out = append(out, day(from)+".."+day(to))
		} else {
			out = append(out, day(from))
		}
	}
	text := strings.Join(out, ",")
	_, err := pve.ParseCalendar(text)
	return text, err == nil
}

// arguments takes a command line apart: "--key value", "--key=value" and what stands alone. Quotes hold no options here.
func arguments(words []string) (options map[string]string, positional []string) {
	options = map[string]string{}
	for i := 0; i < len(words); i++ {
		w := words[i]
		key, ok := strings.CutPrefix(w, "-")
		key = strings.TrimPrefix(key, "-")
		if !ok || key == "" {
			positional = append(positional, w)
			continue
		}
		if k, v, joined := strings.Cut(key, "="); joined {
			options[k] = strings.Trim(v, `"'`)
			continue
		}
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
			options[key] = strings.Trim(words[i+1], `"'`)
			i++
			continue
		}
		options[key] = "1"
	}
	return options, positional
}

// Defaults are the settings of vzdump.conf, which count on one node where a job says nothing.
type Defaults struct {
	Storage, DumpDir, Script string
	Retention                pve.Retention
	RetentionSet             bool
	// ScriptLine is where the script stands.
	ScriptLine int
}

// ParseDefaults reads /etc/vzdump.conf: lines "key: value", "#" begins comments. Unknown keys are for vzdump to judge.
func ParseDefaults(b []byte) (Defaults, []pve.Problem) {
	var d Defaults
	var problems []pve.Problem
	n := 0
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		n++
		l := strings.TrimSpace(string(line))
		if l == "" || l[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			if len(problems) < 200 {
				problems = append(problems, pve.Warnf(n, "not a line \"key: value\""))
			}
			continue
		}
		switch key {
		case "storage":
			d.Storage = value
		case "dumpdir":
			d.DumpDir = value
		case "script":
			d.Script, d.ScriptLine = value, n
		case "prune-backups":
			r, err := pve.ParseRetention(value)
			if err != nil {
				problems = append(problems, pve.Warnf(n, "%v", err))
				continue
			}
			d.Retention, d.RetentionSet = r, true
		}
	}
	return d, problems
}
