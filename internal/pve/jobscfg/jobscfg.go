// Package jobscfg reads the backup jobs of a cluster: jobs.cfg (pve-manager, PVE/Jobs/VZDump.pm) and vzdump.cron, the
// older form that nodes still run (pve-manager, PVE/VZDump.pm), and the defaults of a node, /etc/vzdump.conf. It knows jobs;
// which guests they save is for internal/inventory/backup to say.
package jobscfg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Jobs are the backup jobs in the order of the file.
	Jobs []Job
	// Others are jobs of other kinds, such as realm-sync.
	Others []Other
}

// Other is a job that saves nothing.
type Other struct {
	Kind, ID string
	Line     int
	Enabled  bool
}

// Job is a backup job.
type Job struct {
	// ID is its name; jobs of vzdump.cron are called "vzdump.cron:LINE".
	ID   string
	Line int
	// Cron is true for a job of vzdump.cron.
	Cron    bool
	Enabled bool
	// Schedule is the calendar event as it is written, "" when there is none: then the job never runs by itself.
	Schedule string
	// Event is the schedule as PVE reads it.
	Event pve.Calendar
	// RepeatMissed runs the job at boot when its time passed meanwhile.
	RepeatMissed bool

	// Storage or DumpDir is where backups go; both empty: what vzdump.conf of the node says, else the storage "local".
	Storage, DumpDir string
	// Node restricts the job to the guests of one node.
	Node string
	// Pool, VMIDs or All choose the guests, in this order of precedence; Exclude are exceptions from All.
	Pool    string
	VMIDs   []int
	All     bool
	Exclude []int
	// BadIDs is true when one of the VMIDs is none: the job fails as a whole.
	BadIDs bool

	// Mode is snapshot (the default), suspend or stop.
	Mode string
	// Retention is that of the job and counts before that of the storage when RetentionSet.
	Retention    pve.Retention
	RetentionSet bool
	Protected    bool
	// Script is a program that runs as root around each backup.
	Script string
	// MailTo and MailNotification are the older form of notifications: addresses, and always (the default) or failure.
	MailTo           []string
	MailNotification string
	// NotificationMode is auto (the default: mail when MailTo is set, else the notification system), legacy-sendmail or
	// notification-system.
	NotificationMode string
	Fleecing         bool
	Comment          string
}

// UsesMail reports whether the job sends mail by itself and not through the notification system.
func (j *Job) UsesMail() bool {
	switch j.NotificationMode {
	case "legacy-sendmail":
		return true
	case "notification-system":
		return false
	}
	return len(j.MailTo) > 0
}

// Saves reports whether the job chooses a guest by its VMID; pool says which pool, if any, the guest is a direct member of.
// Precedence is that of get_included_guests (pve-manager, PVE/VZDump.pm): pool, then VMIDs, then all without Exclude. The
// node is not looked at, and neither is Enabled.
func (j *Job) Saves(id int, pool string) bool {
	switch {
	case j.BadIDs:
		return false
	case j.Pool != "":
		return j.Pool == pool
	case len(j.VMIDs) > 0:
		_, found := slices.BinarySearch(j.VMIDs, id)
		return found
	case j.All:
		_, excluded := slices.BinarySearch(j.Exclude, id)
		return !excluded
	}
	return false
}

// Parse reads jobs.cfg as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) {
	raw, problems := pve.ParseSections(b)
	sections, more := pve.Sections(raw, map[string][]string{
		"vzdump":     vzdumpKeys(),
		"realm-sync": {"realm", "enabled", "schedule", "comment", "scope", "remove-vanished", "enable-new", "last-run"},
	})
	problems = append(problems, more...)
	c := &Config{}
	for _, s := range sections {
		enabled := true
		if v, ok := pve.Bool(s.Value("enabled")); ok {
			enabled = v
		}
		if s.Type != "vzdump" {
			c.Others = append(c.Others, Other{s.Type, s.ID, s.Line, enabled})
			continue
		}
		j := Job{ID: s.ID, Line: s.Line, Enabled: enabled, RepeatMissed: s.On("repeat-missed"), Comment: pve.DecodeText(s.Value("comment"))}
		found := j.options(s.Get, s.LineOf)
		if v, ok := s.Get("schedule"); ok {
			found = append(found, j.schedule(v, s.LineOf("schedule"))...)
		} else {
			// Of PVE 7: day of week and time, which the parser puts together.
			if at := s.Value("starttime"); at != "" {
				found = append(found, j.schedule(strings.TrimSpace(strings.Join(pve.List(s.Value("dow")), ",")+" "+at), s.LineOf("starttime"))...)
			}
		}
		c.Jobs, problems = append(c.Jobs, j), append(problems, found...)
	}
	return c, problems
}

func (j *Job) schedule(text string, line int) []pve.Problem {
	j.Schedule = text
	event, err := pve.ParseCalendar(text)
	if err != nil {
		j.Schedule = ""
		return []pve.Problem{pve.Skipf(line, "job %s never runs: %v", j.ID, err)}
	}
	j.Event = event
	return nil
}

// options reads the settings that vzdump itself knows, from a section or a command line.
func (j *Job) options(get func(string) (string, bool), line func(string) int) []pve.Problem {
	var problems []pve.Problem
	value := func(key string) string { v, _ := get(key); return v }
	on := func(key string) bool { v, _ := pve.Bool(value(key)); return v }
	j.Storage, j.DumpDir, j.Node, j.Pool = value("storage"), value("dumpdir"), value("node"), value("pool")
	j.Mode, j.NotificationMode, j.MailNotification = or(value("mode"), "snapshot"), or(value("notification-mode"), "auto"), or(value("mailnotification"), "always")
	j.Script, j.Protected, j.MailTo = value("script"), on("protected"), pve.List(value("mailto"))
	j.Fleecing = pve.ParseProperties(value("fleecing"), "enabled").On("enabled")
	ids := func(key string) []int {
		list, bad := vmids(value(key))
		if bad != "" {
			j.BadIDs = true
			problems = append(problems, pve.Abortf(line(key), "job %s fails: %q is no VMID", j.ID, short(bad)))
		}
		return list
	}
	j.VMIDs, j.Exclude = ids("vmid"), ids("exclude")
	_, excludes := get("exclude")
	j.All = on("all") || excludes // exclude implies all (verify_vzdump_parameters)
	if v, ok := get("prune-backups"); ok {
		r, err := pve.ParseRetention(v)
		if err != nil {
			problems = append(problems, pve.Skipf(line("prune-backups"), "job %s: %v", j.ID, err))
		} else {
			j.Retention, j.RetentionSet = r, true
		}
	} else if n, err := strconv.Atoi(value("maxfiles")); err == nil && n >= 0 {
		j.Retention, j.RetentionSet = pve.Retention{Last: n}, true
	}
	return problems
}

// vmids reads a list of VMIDs, ascending without repetition, and returns the first element that is none. PVE takes 100
// and up (schema pve-vmid).
func vmids(list string) (ids []int, bad string) {
	for _, s := range pve.List(list) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 999_999_999 || s[0] == '+' || s[0] == '0' {
			if bad == "" {
				bad = s
			}
			continue
		}
		ids = append(ids, n)
	}
	slices.Sort(ids)
	return slices.Compact(ids), bad
}

func or(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// vzdumpKeys are the settings of a backup job (pve-guest-common, PVE/VZDump/Common.pm, PVE/VZDump/JobBase.pm).
func vzdumpKeys() []string {
	return []string{"enabled", "schedule", "comment", "repeat-missed", "starttime", "dow", "id", "vmid", "pool", "all", "exclude", "exclude-path", "node", "storage",
		"dumpdir", "mode", "compress", "zstd", "pigz", "quiet", "stop", "stopwait", "stdexcludes", "bwlimit", "ionice", "performance", "lockwait", "tmpdir",
		"mailto", "mailnotification", "notification-mode", "notification-policy", "notification-target", "remove", "prune-backups", "maxfiles", "protected",
		"notes-template", "script", "fleecing", "pbs-change-detection-mode", "job-id", "next-run", "type"}
}
