package collect

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/notifycfg"
)

// taskFiles are where timers and cron keep what they run.
func taskFiles() []string {
	return []string{"/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/var/spool/cron/crontabs/*", "/etc/systemd/system/*.service"}
}

// timerLinks are the timers that boot starts.
const timerLinks = "/etc/systemd/system/timers.target.wants/*"

func hostTaskNeeds() []host.Need {
	needs := []host.Need{{List: timerLinks}}
	for _, p := range taskFiles() {
		needs = append(needs, host.Need{List: p}, host.Need{Read: p})
	}
	return needs
}

var (
	// saver are programs that copy files away.
	saver = regexp.MustCompile(`(?:^|[\s/;&|"'(=])(?:proxmox-backup-client|borg|borgmatic|restic|rsnapshot|rsync|duplicity|duply|kopia|rclone|tar|bacula-fd|rdiff-backup|scp|zstd|git)\s`)
	// hostConfig is /etc or /etc/pve as an argument, also as an archive of proxmox-backup-client ("etc.pxar:/etc").
	hostConfig = regexp.MustCompile(`(?:[\s"'=:(])/(?:etc(?:/pve)?/?|var/lib/pve-cluster(?:/\S*)?)(?:[\s"')]|$)`)
	// taskScript is a script of the administrator on a command line.
	taskScript = regexp.MustCompile(`(?:^|[\s"'=])(/(?:root|usr/local|opt|etc/pve|srv)/[\w./-]+)`)
	// inlineSecret is a credential in a script; the value is not kept.
	inlineSecret = regexp.MustCompile(`(?im)^\s*(?:export\s+)?\w*(?:PASSWORD|PASSPHRASE|SECRET|PASSWD|TOKEN)\w*\s*=\s*["']?[^\s"'$(]`)
)

// hostTasks finds what saves the configuration of this node.
func (s *backupState) hostTasks() {
	tasks, open := []string{}, []string{}
	timers := map[string]bool{}
	if links, err := s.plain.List(timerLinks); err == nil {
		for _, l := range links {
			timers[strings.TrimSuffix(path.Base(l.Path), ".timer")] = true
		}
	}
	for _, pattern := range taskFiles() {
		files, err := s.plain.List(pattern)
		if err != nil {
			s.facts.HostTasks = posture.Unknown[[]string](err, pattern)
			s.facts.OpenHostTasks = posture.Unknown[[]string](err, pattern)
			return
		}
		for _, f := range files {
			unit, isUnit := strings.CutSuffix(path.Base(f.Path), ".service")
			if f.Type != host.Regular || f.Size > maxScript || isUnit && !timers[unit] {
				continue
			}
			task, exposed := s.task(f)
			if task != "" {
				tasks = append(tasks, task)
			}
			open = append(open, exposed...)
		}
	}
	slices.Sort(open)
	s.facts.HostTasks = configured(tasks, "timers and cron")
	s.facts.OpenHostTasks = configured(slices.Compact(open), "timers and cron")
}

// task reads one file and what it calls; it returns where /etc is saved, and the files with credentials that everybody can read.
func (s *backupState) task(f host.File) (where string, exposed []string) {
	b, err := s.plain.ReadFile(f.Path)
	if err != nil {
		return "", nil
	}
	for i, line := range host.Lines(b) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		from, text := f, line
		if m := taskScript.FindStringSubmatch(line); m != nil && !saves(line) {
			st, err := s.plain.Stat(m[1])
			if err != nil || st.Type != host.Regular || st.Size > maxScript {
				continue
			}
			script, err := s.plain.ReadFile(m[1])
			if err != nil {
				continue
			}
			from, text = st, string(script)
			from.Path = m[1]
		}
		if !saves(text) {
			continue
		}
		if where == "" {
			where = fmt.Sprintf("%s:%d", f.Path, i+1)
		}
		whole := text
		if from.Path == f.Path {
			whole = string(b)
		}
		if inlineSecret.MatchString(whole) && !from.OwnerUnknown && from.Mode&0o004 != 0 {
			exposed = append(exposed, from.Path)
		}
	}
	return where, exposed
}

// saves reports whether a script or command copies /etc away.
func saves(text string) bool {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && saver.MatchString(line+" ") && hostConfig.MatchString(" "+line) {
			return true
		}
	}
	return false
}

// notifications says who learns of a backup that fails.
func (s *backupState) notifications() {
	f := &s.facts
	cfg, err := s.cl.Notifications.Get()
	if err != nil {
		f.ErrorTargets, f.LocalTargets = posture.Unknown[[]string](err, notifyFile), posture.Unknown[[]string](err, notifyFile)
		f.Unreported, f.PlainTargets = posture.Unknown[[]string](err, notifyFile), posture.Unknown[[]string](err, notifyFile)
		return
	}
	users, usersErr := s.cl.Users.Get()
	address := func(id string) string {
		if usersErr == nil && users.Users[id] != nil {
			return users.Users[id].Email
		}
		return ""
	}
	reached, local, plain := []string{}, []string{}, []string{}
	away := false
	for _, t := range cfg.Reached("vzdump", "error") {
		reached = append(reached, t.Name+": "+describe(t))
		if t.Local(address) {
			local = append(local, t.Name+": "+describe(t))
		} else {
			away = true
		}
	}
	for _, t := range cfg.Targets {
		if t.Plain && !t.Disabled {
			plain = append(plain, fmt.Sprintf("%s (%s, notifications.cfg:%d)", t.Name, t.Kind, t.Line))
		}
	}
	f.ErrorTargets, f.LocalTargets, f.PlainTargets = configured(reached, notifyFile), configured(local, notifyFile), configured(plain, notifyFile)
	f.Unreported = s.unreported(away)
	if usersErr != nil && len(local) > 0 && !away {
		f.Unreported = posture.Unknown[[]string](usersErr, notifyFile)
	}
}

// unreported are the jobs of which a failure reaches nobody outside of the node. Away says that the notification system does.
func (s *backupState) unreported(away bool) posture.Fact[[]string] {
	if !s.cl.Jobs.Known() || !s.cl.CronJobs.Known() {
		return posture.Unknown[[]string](nil, jobsFile)
	}
	list := []string{}
	for _, j := range slices.Concat(s.cl.Jobs.Value.Jobs, s.cl.CronJobs.Value.Jobs) {
		told := away
		if j.UsesMail() {
			told = slices.ContainsFunc(j.MailTo, func(m string) bool { return strings.Contains(m, "@") && !strings.HasSuffix(m, "@localhost") })
		}
		if j.Enabled && !told {
			list = append(list, j.ID)
		}
	}
	return configured(list, jobsFile)
}

func describe(t notifycfg.Target) string {
	to := slices.Concat(t.Mails, t.Users)
	if t.Server != "" {
		to = append(to, t.Server)
	}
	return t.Kind + " to " + strings.Join(to, ", ")
}
