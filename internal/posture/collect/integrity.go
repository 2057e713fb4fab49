package collect

import (
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// integrityTool is a file integrity checker: the units that run it by themselves, and the file that holds its baseline.
type integrityTool struct {
	name, baseline string
	units          []string
	cron           string
}

func integrityTools() []integrityTool {
	return []integrityTool{
		{"castellan", "/var/lib/castellan/integrity.db", []string{"castellan-integrity.timer", "castellan-watch.service"}, ""},
		{"aide", "/var/lib/aide/aide.db", []string{"dailyaidecheck.timer", "aidecheck.timer"}, "/etc/cron.daily/aide"},
		{"tripwire", "/var/lib/tripwire", []string{"tripwire.timer"}, "/etc/cron.daily/tripwire"},
		{"samhain", "/var/lib/samhain/samhain_file", []string{"samhain.service"}, ""},
		{"wazuh", "/var/ossec/queue/fim/db", []string{"wazuh-agent.service"}, ""},
	}
}

func integrityNeeds() []host.Need {
	var needs []host.Need
	for _, t := range integrityTools() {
		needs = append(needs, stats(t.baseline)...)
		if t.cron != "" {
			needs = append(needs, stats(t.cron)...)
		}
	}
	return append(needs, stats("/var/log/aide/aide.log")...)
}

func collectIntegrity(c *Context, f *posture.ServiceFacts, units *unitView) {
	i := &f.Integrity
	tools := []string{}
	var baseline, last time.Time
	for _, t := range integrityTools() {
		on, run, err := toolRuns(c, t, units)
		if err != nil {
			i.Tools, i.Baseline = posture.Unknown[[]string](err, t.name), posture.Unknown[time.Time](err, t.name)
			i.LastRun = posture.Unknown[time.Time](err, t.name)
			return
		}
		if !on {
			continue
		}
		tools = append(tools, t.name)
		if run.After(last) {
			last = run
		}
		info, err := c.Host.Stat(t.baseline)
		switch {
		case err == nil && info.ModTime.After(baseline) && recordable(info.ModTime):
			baseline = info.ModTime.UTC()
		case err != nil && !host.NotExist(err):
			i.Baseline = posture.Unknown[time.Time](err, t.baseline)
		}
	}
	i.Tools = posture.Known(tools, posture.Effective, "unit files")
	if i.Baseline.Problem == nil {
		i.Baseline = posture.Known(baseline, posture.Effective, "/var/lib")
	}
	i.LastRun = posture.Known(last, posture.Effective, "/var/lib/systemd/timers")
}

// toolRuns reports whether a checker runs by itself and when it last did. A service runs all the time: its last run is
// now.
func toolRuns(c *Context, t integrityTool, units *unitView) (bool, time.Time, error) {
	on, last := false, time.Time{}
	for _, name := range t.units {
		starts, err := units.starts(name)
		if err != nil {
			return false, last, err
		}
		if !starts {
			continue
		}
		on = true
		u := units.unit(name)
		switch {
		case u.LastRun.IsKnown() && u.LastRun.Value.After(last):
			last = u.LastRun.Value
		case u.Active.Value == "active" && len(name) > 8 && name[len(name)-8:] == ".service":
			last = c.Now.UTC()
		}
	}
	if t.cron == "" {
		return on, last, nil
	}
	info, err := c.Host.Stat(t.cron)
	if err != nil && !host.NotExist(err) {
		return false, last, err
	}
	// Debian's cron script of aide does nothing where systemd runs; only a script without a timer of its own counts.
	if err == nil && info.Mode&0o111 != 0 && t.name != "aide" {
		on = true
	}
	return on, last, nil
}
