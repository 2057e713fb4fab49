package collect

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/backup"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/jobscfg"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

const (
	storageFile = "/etc/pve/storage.cfg"
	jobsFile    = "/etc/pve/jobs.cfg"
	notifyFile  = "/etc/pve/notifications.cfg"
	dumpDir     = "/var/lib/vz/dump"
	keyFiles    = "/etc/pve/priv/storage/*"
)

// backupsNeeds is what the subject backups reads beyond the inventory.
func backupsNeeds() []host.Need {
	needs := append(backup.Needs(), host.Need{List: keyFiles}, host.Need{Stat: dumpDir})
	return append(needs, hostTaskNeeds()...)
}

// backupState is what the facts of the subject backups are made from.
type backupState struct {
	c     *Context
	plain host.Reader // reads without the bundle's recorder
	cl    *inventory.Cluster
	rep   *backup.Report
	facts posture.BackupFacts
}

// backupsFacts fills the subject backups.
func backupsFacts(c *Context, cl *inventory.Cluster) posture.BackupFacts {
	s := &backupState{c: c, plain: c.Host, cl: cl, rep: backup.Assess(cl, c.Host, c.Now)}
	if rec, ok := c.Host.(*recorder); ok {
		s.plain = rec.Reader
	}
	s.coverage()
	s.ages()
	s.jobs()
	s.storages()
	s.scripts()
	s.notifications()
	s.hostTasks()
	s.dumps()
	never := func(what string) posture.Fact[bool] {
		return posture.Unknown[bool](posture.Problemf("unavailable", "%s: no file of the node says it", what), "")
	}
	s.facts.KeyOffline = never("whether keys are kept off the cluster")
	s.facts.ServerRole = never("what the account may do at the backup server")
	s.facts.ServerJobs = never("which jobs run on the backup server")
	s.facts.HostElsewhere = never("whether another machine saves this node's configuration")
	return s.facts
}

func note(id int, name, text string) posture.EstateNote {
	return posture.EstateNote{ID: id, Name: name, Text: name + ": " + text}
}

// sourceOfJobs names the files that say what is saved.
const sourceOfJobs = jobsFile + ", " + storageFile

func configured[T any](v T, source string) posture.Fact[T] {
	return posture.Known(v, posture.Configured, source)
}

// coverage says which guests are saved.
func (s *backupState) coverage() {
	uncovered, partial, same := []posture.EstateNote{}, []posture.EstateNote{}, []posture.EstateNote{}
	count := 0
	err := errors.Join(s.cl.ListErr, s.cl.Jobs.Err, s.cl.CronJobs.Err)
	for i := range s.rep.Guests {
		g := &s.rep.Guests[i]
		if g.Template {
			continue
		}
		count++
		switch g.Status {
		case backup.Unknown:
			err = errors.Join(err, fmt.Errorf("%s: %s", g.Title, g.Why))
		case backup.Uncovered, backup.Disabled:
			uncovered = append(uncovered, note(g.ID, g.Title, g.Why))
		case backup.Partial:
			partial = append(partial, note(g.ID, g.Title, g.Why))
		case backup.Covered:
		}
		if g.SameHost {
			same = append(same, note(g.ID, g.Title, g.SameWhy))
		}
	}
	for _, g := range s.cl.Guests {
		err = errors.Join(err, g.Config.Err)
	}
	s.facts.Guests = configured(count, "/etc/pve/nodes")
	if s.cl.ListErr != nil {
		s.facts.Guests = posture.Unknown[int](s.cl.ListErr, "/etc/pve/nodes")
	}
	s.facts.CoverageKnown = knownUnless(err, sourceOfJobs)
	s.facts.Uncovered, s.facts.Partial, s.facts.SameHost = configured(uncovered, sourceOfJobs), configured(partial, sourceOfJobs), configured(same, sourceOfJobs)
}

// knownUnless is true, or unknown because of an error.
func knownUnless(err error, source string) posture.Fact[bool] {
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		code := posture.ProblemOf(err).Code
		return posture.Unknown[bool](posture.Problemf(code, "%s", first), source)
	}
	return configured(true, source)
}

// ages compares the last good backups with the schedules.
func (s *backupState) ages() {
	const source = "what the backup storages hold"
	late, orphans := []posture.EstateNote{}, []posture.EstateNote{}
	err := s.cl.ListErr
	for i := range s.rep.Guests {
		g := &s.rep.Guests[i]
		switch {
		case g.Template || len(g.Jobs) == 0:
		case g.Stale && g.Last != nil:
			late = append(late, note(g.ID, g.Title, fmt.Sprintf("%d h old, %d h are allowed", g.AgeHours, g.AllowedHours)))
		case g.Stale:
			late = append(late, note(g.ID, g.Title, "no good backup"))
		case !g.LastKnown:
			err = errors.Join(err, posture.Problemf("unavailable", "%s: what %s holds is known to the API only", g.Title, strings.Join(g.Places, ", ")))
		}
		if g.Status == backup.Unknown {
			err = errors.Join(err, posture.Problemf("unavailable", "%s: %s", g.Title, g.Why))
		}
	}
	s.facts.AgesKnown = knownUnless(err, source)
	s.facts.Late = configured(late, source)
	var contentErr error
	for _, st := range s.rep.Storages {
		if !st.Read && !st.Disabled {
			contentErr = errors.Join(contentErr, posture.Problemf("unavailable", "%s: its content is known to the API only", st.ID))
		}
	}
	for _, o := range s.rep.Orphans {
		orphans = append(orphans, note(o.ID, fmt.Sprint(o.ID), fmt.Sprintf("%d on %s, the last of %s", o.Count, o.Storage, o.Last.Format("2006-01-02"))))
	}
	s.facts.Orphans = configured(orphans, source)
	s.facts.ContentKnown = knownUnless(errors.Join(contentErr, s.cl.ListErr, s.cl.Storages.Err), source)
}

// jobs lists the jobs and what is wrong with them.
func (s *backupState) jobs() {
	if err := errors.Join(s.cl.Jobs.Err, s.cl.CronJobs.Err); err != nil {
		s.facts.Jobs = posture.Unknown[[]posture.BackupJob](err, jobsFile)
		s.facts.JobFaults = posture.Unknown[[]posture.EstateNote](err, jobsFile)
		return
	}
	jobs, faults := []posture.BackupJob{}, []posture.EstateNote{}
	for _, j := range s.rep.Jobs {
		out := posture.BackupJob{ID: j.ID, Enabled: j.Enabled, Schedule: j.Schedule, Place: j.Place, KeepsAll: j.KeepsAll, Prunes: !j.KeepsAll, Guests: len(j.Guests), Source: j.Source}
		if s.cl.Storages.Known() {
			if st, ok := s.cl.Storages.Value.Storage(j.Place); ok {
				out.Type = st.Type
			}
		}
		jobs = append(jobs, out)
	}
	for _, p := range s.rep.Problems {
		switch p.Code {
		case "job-disabled", "job-broken", "job-never-runs", "job-ghost":
			faults = append(faults, posture.EstateNote{Name: p.Subject, Text: p.Subject + " (" + p.Source + "): " + p.Text})
		case "line":
			faults = append(faults, posture.EstateNote{Name: p.Subject, Text: p.Source + ": " + p.Text})
		}
	}
	s.facts.Jobs, s.facts.JobFaults = configured(jobs, jobsFile), configured(faults, jobsFile)
}

// storages lists all storages.
func (s *backupState) storages() {
	cfg, err := s.cl.Storages.Get()
	if err != nil {
		s.facts.Storages = posture.Unknown[[]posture.BackupStorage](err, storageFile)
		return
	}
	keys := s.keyNames()
	counted := map[string]backup.Storage{}
	for _, st := range s.rep.Storages {
		counted[st.ID] = st
	}
	list := []posture.BackupStorage{}
	for i := range cfg.Storages {
		st := &cfg.Storages[i]
		n := counted[st.ID]
		out := posture.BackupStorage{ID: st.ID, Type: st.Type, Disabled: st.Disabled, Shared: st.Shared, Backup: st.Holds("backup"), Snippets: st.Holds("snippets"),
			Used: n.Used, Server: st.Server, Encrypted: st.Encrypted(), MasterKey: st.MasterPubkey, Username: st.Username, Token: st.Token(),
			Root: strings.HasPrefix(st.Username, "root@pam"), Fingerprint: st.Fingerprint != "", Prunes: !st.Retention.KeepsAll(), Sealed: sealed(st),
			SkipsCertificate: st.SkipCertCheck, Read: n.Read, Backups: n.Backups, Verified: n.Verified, Failed: n.Failed, Plain: n.Plain, OnGuest: n.OnGuest,
			Source: fmt.Sprintf("storage.cfg:%d", st.Line)}
		names, keyErr := keys.Value, keys.Problem
		if keyErr != nil {
			out.KeyFile = posture.Unknown[bool](keyErr, keyFiles)
		} else {
			out.KeyFile = configured(slices.Contains(names, st.ID+".enc"), keyFiles)
			out.MasterKey = out.MasterKey || slices.Contains(names, st.ID+".master.pem")
		}
		list = append(list, out)
	}
	s.facts.Storages = configured(list, storageFile)
}

// keyNames are the names of the files with keys and passwords of storages; their contents are not read.
func (s *backupState) keyNames() posture.Fact[[]string] {
	files, err := s.plain.List(keyFiles)
	if err != nil {
		return posture.Unknown[[]string](err, keyFiles)
	}
	names := []string{}
	for _, f := range files {
		names = append(names, path.Base(f.Path))
	}
	return configured(names, keyFiles)
}

// sealed reports whether the traffic of a share is encrypted (mount.cifs(8), nfs(5)).
func sealed(s *storagecfg.Storage) bool {
	for _, o := range s.Options {
		switch o {
		case "seal", "sec=krb5p", "xprtsec=tls", "xprtsec=mtls":
			return true
		}
	}
	return false
}

// scripts looks at the programs that vzdump runs.
func (s *backupState) scripts() {
	if err := errors.Join(s.cl.Jobs.Err, s.cl.CronJobs.Err); err != nil {
		s.facts.Scripts = posture.Unknown[[]posture.BackupScript](err, jobsFile)
		return
	}
	scripts := []posture.BackupScript{}
	for _, j := range s.cl.Jobs.Value.Jobs {
		if j.Script != "" {
			scripts = append(scripts, posture.BackupScript{Path: j.Script, Source: fmt.Sprintf("jobs.cfg:%d", j.Line), Safe: s.rootOnly(j.Script)})
		}
	}
	b, err := s.plain.ReadFile(backup.DefaultsFile)
	if err == nil {
		if d, _ := jobscfg.ParseDefaults(b); d.Script != "" {
			scripts = append(scripts, posture.BackupScript{Path: d.Script, Source: fmt.Sprintf("%s:%d", backup.DefaultsFile, d.ScriptLine), Safe: s.rootOnly(d.Script)})
		}
	} else if !host.NotExist(err) {
		s.facts.Scripts = posture.Unknown[[]posture.BackupScript](err, backup.DefaultsFile)
		return
	}
	s.facts.Scripts = configured(scripts, jobsFile)
}

// rootOnly reports whether nobody but root can change a file, by itself or by its directory.
func (s *backupState) rootOnly(name string) posture.Fact[bool] {
	if strings.HasPrefix(name, "/mnt/pve/") {
		return configured(false, name) // on a share that others may write
	}
	for _, p := range []string{name, path.Dir(name)} {
		f, err := s.plain.Stat(p)
		switch {
		case err != nil:
			return posture.Unknown[bool](err, p)
		case f.OwnerUnknown:
			return posture.Unknown[bool](posture.Problemf("unavailable", "the copy did not keep owners and modes"), p)
		case f.UID != 0 || f.Mode&0o022 != 0 && f.Mode&0o1000 == 0:
			return configured(false, p)
		}
	}
	return configured(true, name)
}

// dumps finds backups on this node that other users can read.
func (s *backupState) dumps() {
	open := []string{}
	d, err := s.plain.Stat(dumpDir)
	if host.NotExist(err) {
		s.facts.OpenDumps = configured(open, dumpDir)
		return
	}
	if err == nil && d.OwnerUnknown {
		err = posture.Problemf("unavailable", "the copy did not keep owners and modes")
	}
	if err != nil {
		s.facts.OpenDumps = posture.Unknown[[]string](err, dumpDir)
		return
	}
	files, err := s.plain.List(dumpDir + "/*")
	if err != nil {
		s.facts.OpenDumps = posture.Unknown[[]string](err, dumpDir)
		return
	}
	for _, f := range files {
		archive := strings.Contains(f.Path, ".vma") || strings.Contains(f.Path, ".tar") || strings.HasSuffix(f.Path, ".tgz")
		if f.Type == host.Regular && archive && d.Mode&0o001 != 0 && f.Mode&0o004 != 0 && len(open) < 20 {
			open = append(open, f.Path)
		}
	}
	s.facts.OpenDumps = configured(open, dumpDir)
}
