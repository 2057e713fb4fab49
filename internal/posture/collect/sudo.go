package collect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/sudoers"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	accSudoers    = "/etc/sudoers"
	accSudoersDir = "/etc/sudoers.d/*"
)

func sudoNeeds() []host.Need {
	return append(append(reads(accSudoers, accSudoersDir), lists(accSudoersDir)...), stats("/usr/bin/sudo")...)
}

// sudoFiles lets the parser read through the host.
type sudoFiles struct{ c *Context }

func (f sudoFiles) Read(p string) ([]byte, error) { return f.c.Host.ReadFile(p) }

func (f sudoFiles) Dir(p string) ([]string, error) {
	infos, err := f.c.Host.List(strings.TrimSuffix(p, "/") + "/*")
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	var out []string
	for _, i := range infos {
		if i.Type == host.Regular || i.Type == host.Link {
			out = append(out, i.Path)
		}
	}
	return out, nil
}

func collectSudo(c *Context, f *posture.SudoFacts) {
	conf, err := sudoers.Parse(accSudoers, sudoFiles{c})
	if absent(c, err) {
		f.Installed = posture.Known(false, posture.Effective, accSudoers)
		f.Rules = posture.Known([]posture.SudoRule{}, posture.Effective, accSudoers)
		f.Problems, f.NoPasswd = posture.Known([]string{}, posture.Effective, accSudoers), posture.Known([]string{}, posture.Effective, accSudoers)
		return
	}
	if err != nil {
		f.Installed = posture.Unknown[bool](err, accSudoers)
		if host.Denied(err) { // only root may read sudoers, but it is there
			f.Installed = posture.Known(true, posture.Effective, accSudoers)
		}
		f.NoPasswd = posture.Unknown[[]string](err, accSudoers)
		f.Rules, f.Problems = posture.Unknown[[]posture.SudoRule](err, accSudoers), posture.Unknown[[]string](err, accSudoers)
		f.UsePTY, f.Logfile = posture.Unknown[bool](err, accSudoers), posture.Unknown[string](err, accSudoers)
		f.Syslog, f.Authenticate = posture.Unknown[bool](err, accSudoers), posture.Unknown[bool](err, accSudoers)
		f.TimestampTimeout, f.PasswdTimeout = posture.Unknown[int](err, accSudoers), posture.Unknown[int](err, accSudoers)
		return
	}
	f.Installed = posture.Known(true, posture.Effective, accSudoers)
	f.Problems = posture.Known(orEmpty(conf.Problems), posture.Configured, accSudoers)
	rules, open := make([]posture.SudoRule, 0, len(conf.Rules)), []string{}
	for _, r := range conf.Rules {
		if r.NoPasswd {
			open = append(open, source(r.File, r.Line)+" "+strings.Join(r.Users, ", ")+": "+r.Command)
		}
		rules = append(rules, posture.SudoRule{Users: orEmpty(r.Users), RunAs: orEmpty(r.RunAs), Command: r.Command, NoPasswd: r.NoPasswd,
			Everything: r.Everything(), Source: source(r.File, r.Line)})
	}
	f.Rules, f.NoPasswd = posture.Known(rules, posture.Configured, accSudoers), posture.Known(open, posture.Configured, accSudoers)
	// Defaults of sudo 1.9.13 as Debian 12 builds it: use_pty off (its sudoers file switches it on), syslog authpriv,
	// timestamp_timeout 15 and passwd_timeout 0 minutes. Since 1.9.14 use_pty is on, which a missing line does not tell
	// apart here; the stricter reading is used.
	f.UsePTY = sudoFlag(conf, "use_pty", false)
	f.Authenticate = sudoFlag(conf, "authenticate", true)
	f.Syslog = sudoFlag(conf, "syslog", true)
	f.TimestampTimeout = sudoMinutes(conf, "timestamp_timeout", 15)
	f.PasswdTimeout = sudoMinutes(conf, "passwd_timeout", 0)
	f.Logfile = posture.Known("", posture.Default, "default of sudo")
	if d, ok := conf.Last("logfile"); ok {
		v := d.Value
		if d.Off {
			v = ""
		}
		f.Logfile = posture.Known(v, posture.Configured, source(d.File, d.Line))
	}
}

func sudoFlag(conf sudoers.Config, name string, standard bool) posture.Fact[bool] {
	if d, ok := conf.Last(name); ok {
		return posture.Known(!d.Off, posture.Configured, source(d.File, d.Line))
	}
	return posture.Known(standard, posture.Default, "default of sudo")
}

// sudoMinutes rounds up: half a minute is more than none.
func sudoMinutes(conf sudoers.Config, name string, standard int) posture.Fact[int] {
	d, ok := conf.Last(name)
	if !ok {
		return posture.Known(standard, posture.Default, "default of sudo")
	}
	src := source(d.File, d.Line)
	if d.Off {
		return posture.Known(0, posture.Configured, src)
	}
	v, err := strconv.ParseFloat(d.Value, 64)
	if err != nil || v > 1e6 {
		return posture.Unknown[int](posture.Problemf("malformed", "%s: %s is no number of minutes", src, name), src)
	}
	if v < 0 {
		return posture.Known(-1, posture.Configured, src)
	}
	n := int(v)
	if float64(n) < v {
		n++
	}
	return posture.Known(n, posture.Configured, src)
}

// isAdmin reports whether sudo lets an account run everything as root. Later rules do not take earlier ones back: sudo uses
// the last match, but a negated ALL is no sane configuration and is not modelled.
func isAdmin(a posture.Account, sudo posture.SudoFacts) posture.Fact[bool] {
	if a.UID == 0 {
		return posture.Known(true, posture.Effective, a.Source)
	}
	if !sudo.Rules.IsKnown() {
		return posture.Unknown[bool](sudo.Rules.Problem, sudo.Rules.Source)
	}
	for _, r := range sudo.Rules.Value {
		if r.Everything && ruleNames(r.Users, a) {
			return posture.Known(true, posture.Configured, r.Source)
		}
	}
	return posture.Known(false, posture.Configured, accSudoers)
}

// ruleNames reports whether a list of users of sudoers names an account; an exclusion after it counts.
func ruleNames(users []string, a posture.Account) bool {
	hit := false
	for _, u := range users {
		name, off := strings.CutPrefix(u, "!")
		name = strings.Trim(name, `"`)
		match := name == "ALL" || name == a.Name || name == "#"+strconv.Itoa(a.UID)
		if g, ok := strings.CutPrefix(name, "%"); ok {
			match = slices.Contains(a.Groups, g) || g == "#"+strconv.Itoa(a.GID)
		}
		if match {
			hit = !off
		}
	}
	return hit
}
