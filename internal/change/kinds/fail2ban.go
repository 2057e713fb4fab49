package kinds

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	parser "github.com/castellan-project/castellan/internal/debian/fail2ban"
	"github.com/castellan-project/castellan/internal/host"
)

// Files and the unit of fail2ban. Of all files that it reads those of jail.d ending in .local come last, in the order of their
// names (jail.conf(5)).
const (
	fail2banFile   = parser.Base + "/jail.d/castellan.local"
	fail2banMain   = parser.Base + "/jail.conf"
	fail2banUnit   = "fail2ban.service"
	fail2banModule = "/usr/lib/python3/dist-packages/systemd/*"
)

// fail2ban sets options of one jail, or of DEFAULT, in a file of ours. The result is read back as fail2ban reads it: a jail that has no
// log, or whose filter misses the lines that the daemons write, would protect nobody and is refused.
func fail2ban(d *change.Draft, c change.Change) error {
	b := &jails{d: d}
	before, err := b.load()
	if err != nil {
		return err
	}
	old, _, err := d.Content(fail2banFile)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", fail2banFile, err)
	}
	b.doc = conffile.Parse(old, conffile.Dialect{Separator: " = ", Split: "=:", Comment: "#;", Sections: true})
	if err := jailOptions(c.Section, c.Set); err != nil {
		return err
	}
	if c.Section == "DEFAULT" {
		err = b.defaults(before, c.Set)
	} else {
		c.Set = stricter(jailNamed(before, c.Section), c.Set)
		err = b.jail(before, c.Section, c.Set)
	}
	if err != nil {
		return err
	}
	changed, err := b.write()
	if err != nil {
		return err
	}
	after, err := b.load()
	if err != nil {
		return err
	}
	if err := b.accept(after, c); err != nil {
		return err
	}
	// A filter that another change of the control wrote needs the restart as well.
	if changed || slices.ContainsFunc(d.Changed(), func(p string) bool { return strings.HasPrefix(p, parser.Base+"/") }) {
		return b.restart(after)
	}
	return nil
}

// jailOptions refuses what would be something else in the file.
func jailOptions(section string, set map[string]string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`).MatchString(section) {
		return change.Cannot("%q is no name of a jail", section)
	}
	for key, value := range set {
		if !regexp.MustCompile(`^[a-z][a-z0-9_.]*$`).MatchString(key) || strings.ContainsAny(value, "\r\n\x00") || strings.Contains(value, " ;") || strings.Contains(value, " #") {
			return change.Cannot("%s = %q is nothing that a jail can hold", key, value)
		}
	}
	return nil
}

// stricter leaves out limits that a jail keeps to already: what is wanted are least times and a greatest number of failures.
func stricter(j *parser.Jail, set map[string]string) map[string]string {
	if j == nil || !j.Enabled {
		return set
	}
	out := maps.Clone(set)
	if n, err := strconv.Atoi(set["maxretry"]); err == nil && j.MaxRetry > 0 && j.MaxRetry <= n {
		delete(out, "maxretry")
	}
	if n, err := parser.Seconds(set["findtime"]); err == nil && j.FindTime >= n {
		delete(out, "findtime")
	}
	if n, err := parser.Seconds(set["bantime"]); err == nil && banLength(j) >= n {
		delete(out, "bantime")
	}
	return out
}

// jails drafts on the jails of a host.
type jails struct {
	d   *change.Draft
	doc *conffile.Doc
}

// source reads the configuration of the draft.
func (b *jails) source() parser.Source {
	return parser.Source{Read: b.d.ReadFile, Glob: func(pattern string) ([]string, error) {
		list, err := b.d.List(pattern)
		var out []string
		for _, f := range list {
			if f.Type == host.Regular || f.Type == host.Link {
				out = append(out, f.Path)
			}
		}
		return out, err
	}}
}

// written drafts what was set so far, and reads what the jails are then.
func (b *jails) written() (*parser.Config, error) {
	if _, err := b.write(); err != nil {
		return nil, err
	}
	return b.load()
}

// load reads what the draft says. To fail2ban a file that cannot be read is none, and to us it is a reason to refuse.
func (b *jails) load() (*parser.Config, error) {
	if _, exists, err := b.d.Content(fail2banMain); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", fail2banMain, err)
	} else if !exists {
		return nil, change.Later("fail2ban is not installed: install the package fail2ban first (BAN-01 does), then make a new plan")
	}
	src := b.source()
	var unread error
	read := src.Read
	src.Read = func(name string) ([]byte, error) {
		content, err := read(name)
		if err != nil && !host.NotExist(err) && unread == nil {
			unread = err
		}
		return content, err
	}
	cfg, err := parser.Load(src, parser.Base)
	if err == nil {
		err = unread
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration of fail2ban: %w", err)
	}
	return cfg, nil
}

// set writes options of a section that fail2ban does not read so already.
func (b *jails) set(section string, set map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		b.doc.Set(section, key, set[key])
	}
}

func (b *jails) write() (bool, error) {
	old, _, err := b.d.Content(fail2banFile)
	if err != nil || string(old) == string(b.doc.Bytes()) {
		return false, err
	}
	return true, b.d.Write(fail2banFile, b.doc.Bytes(), 0o644)
}

// jail sets options of one jail. Other jails that look for the same lines and are weaker, or have nothing to read, are switched
// off: with two of them the attacker has the choice.
func (b *jails) jail(before *parser.Config, name string, set map[string]string) error {
	for _, j := range before.Jails {
		if j.Name != name || !jailHolds(j, set) {
			continue
		}
		set = nil // it says so already, in whatever file
	}
	b.set(name, set)
	after, err := b.written()
	if err != nil {
		return err
	}
	mine := jailNamed(after, name)
	if mine == nil || !mine.Enabled {
		return nil
	}
	for _, j := range after.Jails {
		if j.Name == name || !j.Enabled {
			continue
		}
		if !sameDuty(b.d, mine, j) {
			b.mend(j)
			continue
		}
		if j.Starts() && b.readable(j) && j.MaxRetry <= mine.MaxRetry && j.FindTime >= mine.FindTime && banLength(j) >= banLength(mine) {
			continue
		}
		b.set(j.Name, map[string]string{"enabled": "false"})
		b.d.Effect("the jail [%s] (%s:%d) is switched off: [%s] looks for the same lines, and that one is weaker or cannot work", j.Name, j.File, j.Line, name)
	}
	return nil
}

// mend lets another jail read the journal that has no log file and keeps fail2ban from starting with it.
func (b *jails) mend(j *parser.Jail) {
	if j.Starts() && !b.readable(j) && inJournal(b.d, j) && (b.module() || b.packaged("python3-systemd")) {
		b.set(j.Name, map[string]string{"backend": "systemd"})
		b.d.Effect("the jail [%s] reads the journal instead of %s, which is not there: fail2ban does not start at all for it", j.Name, strings.Join(j.LogPaths, ", "))
	}
}

// module reports whether Python's module for the journal is there.
func (b *jails) module() bool {
	found, err := b.d.List(fail2banModule)
	return err == nil && len(found) > 0
}

func banLength(j *parser.Jail) int {
	if j.BanTime < 0 {
		return int(^uint(0) >> 1) // for ever
	}
	return j.BanTime
}

func jailNamed(c *parser.Config, name string) *parser.Jail {
	for _, j := range c.Jails {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// accept refuses a configuration with which fail2ban does not start, or does not what was wanted.
func (b *jails) accept(cfg *parser.Config, c change.Change) error {
	for _, p := range cfg.Problems {
		if p.Fatal {
			return change.Cannot("fail2ban does not start: %s", p)
		}
	}
	for _, j := range cfg.Jails {
		if !j.Enabled {
			continue
		}
		mine := j.Name == c.Section
		if (mine || c.Section == "DEFAULT") && !b.effective(j, c) {
			return change.Cannot("%s", b.winner(j, c))
		}
		if mine {
			if err := b.works(j); err != nil {
				return err
			}
			if _, err := b.d.Stat("/var/log"); err != nil && !j.Journal() {
				return change.Cannot("whether %s is there cannot be seen here, and fail2ban does not start without it: %v", strings.Join(j.LogPaths, ", "), err)
			}
		}
		if j.Starts() && !b.readable(j) {
			text := fmt.Sprintf("fail2ban does not start: [%s] (%s:%d) reads %s, which is not there", j.Name, j.File, j.Line, strings.Join(j.LogPaths, ", "))
			if mine || c.Set["backend"] != "" {
				return change.Cannot("%s; switch the jail off, or give it a log", text)
			}
			return change.Later("%s; repair BAN-04 first", text)
		}
	}
	if c.Section != "DEFAULT" && isOn(c.Set["enabled"]) && jailNamed(cfg, c.Section) == nil {
		return change.Cannot("fail2ban does not read %s", fail2banFile)
	}
	return nil
}

// works tries the filter of a jail, and whether it can read what it wants to.
func (b *jails) works(j *parser.Jail) error {
	for _, p := range append(slices.Clone(j.Problems), filterProblems(j)...) {
		if p.Fatal {
			return change.Cannot("the jail [%s] would not start: %s", j.Name, p)
		}
	}
	if j.Journal() {
		if !b.module() && !b.packaged("python3-systemd") {
			return change.Later("the jail [%s] reads the journal, which needs the package python3-systemd; install it first (BAN-04 does)", j.Name)
		}
	}
	return tryFilter(b.d, j)
}

func filterProblems(j *parser.Jail) []parser.Problem {
	if j.Filter == nil {
		return nil
	}
	return j.Filter.Problems
}

// packaged looks a package up among the installed ones, for copies that hold the list of packages and not their files.
func (b *jails) packaged(name string) bool {
	status, _, err := b.d.Content("/var/lib/dpkg/status")
	if err != nil {
		return false
	}
	for block := range strings.SplitSeq("\n"+string(status), "\n\n") {
		if strings.Contains("\n"+strings.TrimLeft(block, "\n")+"\n", "\nPackage: "+name+"\n") {
			return strings.Contains(block, "\nStatus: install ok installed")
		}
	}
	return false
}

// readable reports whether a jail has something to read. Where the copy did not keep /var/log nobody can tell, and it is taken to have.
func (b *jails) readable(j *parser.Jail) bool {
	if j.Journal() {
		return true
	}
	for _, p := range j.LogPaths {
		if found, err := b.d.List(p); err == nil && len(found) > 0 {
			return true
		}
	}
	_, err := b.d.Stat("/var/log")
	return err != nil
}

// restart lets fail2ban read its files. One that a boot would start and that does not run is started.
func (b *jails) restart(cfg *parser.Config) error {
	for _, a := range []change.Action{{Verb: change.Check, Object: "fail2ban-client -t"}, {Verb: change.Restart, Object: fail2banUnit}} {
		if err := b.d.Do(a); err != nil {
			return err
		}
	}
	b.d.Effect("fail2ban starts again; bans that stand in its database are put back")
	for _, j := range cfg.Jails {
		if j.Starts() && !slices.ContainsFunc(j.IgnoreIP, func(s string) bool { return s != "::1" && s != "localhost" && !strings.HasPrefix(s, "127.") }) {
			b.d.Effect("[%s] ignores no address of an administrator yet (BAN-07): %d failures from yours ban it as well", j.Name, j.MaxRetry)
		}
	}
	if !b.d.Live() {
		return nil
	}
	out, err := b.d.Run(change.UnitState(fail2banUnit))
	if err != nil {
		return fmt.Errorf("cannot ask for the state of %s: %w", fail2banUnit, err)
	}
	if !slices.Contains(host.Lines(out.Stdout), "UnitFileState=enabled") {
		return nil
	}
	return b.d.Do(change.Action{Verb: change.Start, Object: fail2banUnit})
}
