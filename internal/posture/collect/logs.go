package collect

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/journald"
	"github.com/castellan-project/castellan/internal/debian/logrotate"
	"github.com/castellan-project/castellan/internal/debian/rsyslog"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/tasklog"
)

// Files of the logs collector.
const (
	logJournal     = "/var/log/journal"
	logSealKeys    = "/var/log/journal/*/fss"
	logRsyslog     = "/etc/rsyslog.conf"
	logRsyslogD    = "/etc/rsyslog.d/*.conf"
	logRotate      = "/etc/logrotate.conf"
	logRotateD     = "/etc/logrotate.d/*"
	logStatusCfg   = "/etc/pve/status.cfg"
	logTasks       = "/var/log/pve/tasks/index"
	logTasksOld    = "/var/log/pve/tasks/index.1"
	logNetlogd     = "/etc/systemd/netlogd.conf"
	logWazuhState  = "/var/ossec/var/run/wazuh-agentd.state"
	logShowName    = "systemctl-show-logs"
	logJournald    = "journald.conf"
	logUploadConf  = "journal-upload.conf"
	logUploadUnit  = "systemd-journal-upload.service"
	logNetlogdUnit = "systemd-netlogd.service"
	logRemoteUnit  = "systemd-journal-remote.socket"
	logRsyslogUnit = "rsyslog.service"
)

// pveLogFiles are the logs of Proxmox VE that go to files and not to the journal.
func pveLogFiles() []string {
	return []string{"/var/log/pveproxy/access.log", logTasks, "/var/log/pve-firewall.log"}
}

// Logs returns the collector of the subject logs.
func Logs() Collector {
	c := Collector{Name: "logs", Collect: collectLogs}
	files := []string{logRsyslog, logRsyslogD, logRotate, logRotateD, logStatusCfg, logTasks, logTasksOld, logNetlogd, logWazuhState}
	for _, name := range []string{logJournald, logUploadConf} {
		files = append(files, journald.Patterns(name)...)
		c.Needs = append(c.Needs, lists(journald.Patterns(name)...)...)
	}
	for _, a := range logAgents() {
		files = append(files, a.config...)
		c.Needs = append(c.Needs, lists(a.config...)...)
	}
	c.Needs = append(c.Needs, reads(files...)...)
	c.Needs = append(c.Needs, lists(logRsyslogD, logRotateD, logSealKeys)...)
	c.Needs = append(c.Needs, stats(logJournal, logWazuhState)...)
	c.Needs = append(c.Needs, host.Need{Run: showCommand(logShowName, logUnits())})
	return c
}

func logUnits() []string {
	units := []string{logRsyslogUnit, logUploadUnit, logNetlogdUnit, logRemoteUnit}
	for _, a := range logAgents() {
		units = append(units, a.unit)
	}
	return append(units, logExporters()...)
}

// logState is what the parts of the collector share.
type logState struct {
	c       *Context
	facts   *posture.LogFacts
	units   map[string]posture.WatchedUnit
	unitErr error
	rsyslog *rsyslog.Config // nil when there is no configuration
	// rsyslogErr is why the configuration of rsyslog is not known.
	rsyslogErr error
	// followed are the patterns of files that running programs send away, by program.
	followed map[string][]string
}

func collectLogs(c *Context) {
	s := &logState{c: c, facts: &posture.LogFacts{}, followed: map[string][]string{}}
	s.units, s.unitErr = watchedUnits(c, logShowName, logUnits())
	s.journald()
	s.readRsyslog()
	s.facts.Rsyslog = unitFact(s.units, s.unitErr, logRsyslogUnit)
	s.forwards()
	s.receivers()
	s.agents()
	s.pveLogs()
	s.retention()
	s.facts.CollectorDays = posture.Unknown[int](posture.Problemf("unavailable", "how long the log collector keeps messages cannot be seen from here"), "log collector")
	s.metrics()
	s.exporters()
	s.tasks()
	c.Facts.Logs = *s.facts
}

// systemdConf reads a configuration file of systemd with its drop-ins.
func (s *logState) systemdConf(name, section string) (*journald.Config, error) {
	var found []string
	for _, p := range journald.Patterns(name) {
		list, err := s.c.Host.List(p)
		if err != nil {
			return nil, err
		}
		for _, fi := range list {
			found = append(found, fi.Path)
		}
	}
	conf := &journald.Config{Section: section}
	for _, f := range journald.Order(name, found) {
		b, err := s.c.Host.ReadFile(f)
		if err != nil {
			if host.NotExist(err) {
				continue // masked by a link to nowhere, or gone
			}
			return nil, err
		}
		conf.Merge(f, b)
	}
	return conf, nil
}

func (s *logState) journald() {
	j := &s.facts.Journald
	conf, err := s.systemdConf(logJournald, "Journal")
	if err == nil {
		err = notCopiedDir(s.c, "/etc/systemd")
	}
	text := func(key, byDefault string) posture.Fact[string] {
		if err != nil {
			return posture.Unknown[string](err, "journald.conf")
		}
		if v, ok := conf.Get(key); ok {
			return posture.Known(v.Value, posture.Configured, v.Source)
		}
		return posture.Known(byDefault, posture.Default, "default of journald.conf "+key)
	}
	truth := func(key string) posture.Fact[bool] { return logParse(text(key, "yes"), journald.Bool) }
	j.Storage = text("Storage", "auto")
	j.Compress, j.Seal, j.ForwardToSyslog = truth("Compress"), truth("Seal"), truth("ForwardToSyslog")
	if !j.Compress.IsKnown() && j.Compress.Problem.Code == "malformed" {
		// Compress= also takes a size from which on objects are compressed.
		j.Compress = logParse(text("Compress", "yes"), func(v string) (bool, error) { _, err := journald.Size(v); return true, err })
	}
	j.MaxUse = logParse(text("SystemMaxUse", "0"), func(v string) (int, error) { n, err := journald.Size(v); return int(n), err })
	j.RetentionDays = logParse(text("MaxRetentionSec", "0"), func(v string) (int, error) {
		d, err := journald.Span(v)
		if d == 1<<63-1 {
			d = 0
		}
		return int((d + 24*time.Hour - 1) / (24 * time.Hour)), err
	})
	j.Persistent = s.persistent(j.Storage)
	j.Sealed = s.sealed(j.Seal)
}

// logParse turns the text of a setting into its value.
func logParse[T any](text posture.Fact[string], parse func(string) (T, error)) posture.Fact[T] {
	if !text.IsKnown() {
		return posture.Fact[T]{Problem: text.Problem, Source: text.Source}
	}
	v, err := parse(text.Value)
	if err != nil {
		return posture.Unknown[T](posture.Problemf("malformed", "%v", err), text.Source)
	}
	return posture.Known(v, text.Origin, text.Source)
}

func (s *logState) persistent(storage posture.Fact[string]) posture.Fact[bool] {
	switch {
	case !storage.IsKnown():
		return posture.Fact[bool]{Problem: storage.Problem, Source: storage.Source}
	case storage.Value != "auto":
		return posture.Known(storage.Value == "persistent", storage.Origin, storage.Source)
	}
	fi, err := s.c.Host.Stat(logJournal)
	if err == nil {
		return posture.Known(fi.Type == host.Dir, storage.Origin, logJournal)
	}
	if host.NotExist(err) {
		if err = notCopiedDir(s.c, "/var/log"); err == nil {
			return posture.Known(false, storage.Origin, logJournal)
		}
	}
	return posture.Unknown[bool](err, logJournal)
}

func (s *logState) sealed(seal posture.Fact[bool]) posture.Fact[bool] {
	if !seal.IsKnown() || !seal.Value {
		return seal
	}
	keys, err := s.c.Host.List(logSealKeys)
	if err != nil {
		return posture.Unknown[bool](err, logSealKeys)
	}
	if len(keys) == 0 && !s.c.Root {
		return posture.Unknown[bool](posture.Problemf("permission", "only root and the group systemd-journal see the sealing key"), logSealKeys)
	}
	return posture.Known(len(keys) > 0, posture.Effective, logSealKeys)
}

// readRsyslog parses the configuration, opening the files that it includes. Only the usual directory is known
// beforehand on a remote target; what else it includes is asked for in the next round.
func (s *logState) readRsyslog() {
	b, err := s.c.Host.ReadFile(logRsyslog)
	if host.NotExist(err) {
		return
	}
	if err != nil {
		s.rsyslogErr = err
		return
	}
	open := func(pattern string) []rsyslog.File {
		if strings.HasSuffix(pattern, "/") {
			pattern += "*"
		}
		list, err := s.c.Host.List(pattern)
		if err != nil {
			s.rsyslogErr = err
			return nil
		}
		var files []rsyslog.File
		for _, fi := range list {
			if fi.Type == host.Dir {
				continue
			}
			b, err := s.c.Host.ReadFile(fi.Path)
			if err != nil {
				s.rsyslogErr = err
				continue
			}
			files = append(files, rsyslog.File{Path: fi.Path, Content: b})
		}
		return files
	}
	s.rsyslog = rsyslog.Parse(rsyslog.File{Path: logRsyslog, Content: b}, open)
	for _, in := range s.rsyslog.Inputs {
		if in.Type == "imfile" {
			s.followed["rsyslog"] = append(s.followed["rsyslog"], in.File)
		}
	}
}

// retention resolves how long the journal and the logs of logrotate are kept here.
func (s *logState) retention() {
	j := s.facts.Journald
	if !j.Persistent.IsKnown() || !j.RetentionDays.IsKnown() {
		p := j.Persistent.Problem
		if p == nil {
			p = j.RetentionDays.Problem
		}
		s.facts.Retention = posture.Fact[[]posture.LogRetention]{Problem: p, Source: "journald.conf"}
		return
	}
	list := []posture.LogRetention{{Log: "journal", Days: j.RetentionDays.Value, Source: j.RetentionDays.Source}}
	switch {
	case !j.Persistent.Value:
		list[0].Days, list[0].Source = 0, j.Persistent.Source
	case list[0].Days == 0:
		list[0].Days = -1
	}
	rules, err := s.rotation()
	if err != nil {
		s.facts.Retention = posture.Unknown[[]posture.LogRetention](err, logRotate)
		return
	}
	for _, f := range []string{"/var/log/pveproxy/access.log", "/var/log/pve-firewall.log", "/var/log/auth.log", "/var/log/syslog"} {
		if r, ok := logrotate.Find(rules, f); ok {
			list = append(list, posture.LogRetention{Log: f, Days: r.Days(), Source: "/etc/logrotate.d"})
		}
	}
	s.facts.Retention = posture.Known(list, posture.Configured, "journald.conf, logrotate.conf")
}

// rotation reads logrotate's configuration: the main file's defaults, then the directory (which Debian's main file
// includes).
func (s *logState) rotation() ([]logrotate.Rule, error) {
	b, err := s.c.Host.ReadFile(logRotate)
	if host.NotExist(err) && !s.c.Live {
		return nil, posture.Problemf("not-found", "%s is not part of this copy", logRotate)
	}
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	rules, defaults := logrotate.Parse(b, logrotate.Defaults())
	files, errs := pkgReadParts(s.c, logRotateD, func(name string) bool {
		return !slices.Contains([]string{".dpkg-old", ".dpkg-dist", ".dpkg-new", ".disabled", ".bak"}, path.Ext(name))
	})
	if err := pkgFirst(errs); err != nil {
		return nil, err
	}
	for _, f := range files {
		more, _ := logrotate.Parse(f.content, defaults)
		rules = append(rules, more...)
	}
	return rules, nil
}

// tasks counts who starts tasks, in the present index and the one before it.
func (s *logState) tasks() {
	var all []tasklog.Task
	for _, file := range []string{logTasks, logTasksOld} {
		b, err := s.c.Host.ReadFile(file)
		if err != nil {
			if file == logTasksOld && !errors.Is(err, host.ErrPending) {
				continue // the older half is welcome, not needed
			}
			s.facts.Tasks = posture.Unknown[posture.TaskOwners](err, file)
			return
		}
		list, _ := tasklog.Parse(b)
		all = append(all, list...)
	}
	o := posture.TaskOwners{Total: len(all)}
	for _, t := range all {
		if t.Automatic() {
			continue
		}
		o.Personal++
		if t.User == "root@pam" || strings.HasPrefix(t.User, "root@pam!") {
			o.Root++
		}
	}
	if o.Personal > 0 {
		o.RootPercent = (o.Root*100 + o.Personal - 1) / o.Personal
	}
	s.facts.Tasks = posture.Known(o, posture.Effective, logTasks)
}
