package backup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// finishStorages sums up what the storages for backups hold.
func (a *assessment) finishStorages() {
	if a.storeErr != nil {
		return
	}
	used := map[string]bool{}
	for i := range a.jobs {
		if j := &a.jobs[i]; j.Enabled {
			id, _ := a.place(j)
			used[id] = true
		}
	}
	counts := map[string]*Storage{}
	for i := range a.c.Storages.Value.Storages {
		s := &a.c.Storages.Value.Storages[i]
		if !s.Holds("backup") {
			continue
		}
		out := Storage{ID: s.ID, Type: s.Type, Disabled: s.Disabled, Shared: s.Shared, Encrypted: s.Encrypted(), Used: used[s.ID],
			KeepsAll: s.Retention.KeepsAll()}
		if g := a.onGuest[s.ID]; g != nil {
			out.OnGuest = g.Title()
		}
		for _, n := range a.c.Nodes {
			out.Read = out.Read || a.looked[s.ID+"@"+n.Name]
		}
		a.rep.Storages = append(a.rep.Storages, out)
	}
	slices.SortFunc(a.rep.Storages, func(x, y Storage) int { return strings.Compare(x.ID, y.ID) })
	for i := range a.rep.Storages {
		counts[a.rep.Storages[i].ID] = &a.rep.Storages[i]
	}
	for _, list := range a.backups {
		for _, b := range list {
			s := counts[b.Storage]
			if s == nil {
				continue
			}
			s.Backups++
			switch b.Verification {
			case "ok":
				s.Verified++
			case "failed":
				s.Failed++
			}
			if !b.Encrypted {
				s.Plain++
			}
		}
	}
}

func (a *assessment) orphans() {
	if a.c.ListErr != nil || len(a.c.Guests) == 0 {
		return // without a complete list of guests every backup looks like an orphan
	}
	type key struct {
		id      int
		storage string
	}
	found, exists := map[key]*Orphan{}, map[int]bool{}
	for _, g := range a.c.Guests {
		exists[g.ID] = true
	}
	for id, list := range a.backups {
		if exists[id] {
			continue
		}
		for _, b := range list {
			o := found[key{id, b.Storage}]
			if o == nil {
				o = &Orphan{ID: id, Storage: b.Storage}
				found[key{id, b.Storage}] = o
			}
			o.Count++
			if b.Time.After(o.Last) {
				o.Last = b.Time
			}
		}
	}
	for _, o := range found {
		a.rep.Orphans = append(a.rep.Orphans, *o)
	}
	slices.SortFunc(a.rep.Orphans, func(x, y Orphan) int {
		if x.ID != y.ID {
			return x.ID - y.ID
		}
		return strings.Compare(x.Storage, y.Storage)
	})
}

func (a *assessment) problem(code, subject, source, format string, args ...any) {
	a.rep.Problems = append(a.rep.Problems, Problem{Code: code, Subject: subject, Source: source, Text: fmt.Sprintf(format, args...)})
}

// problems lists what is wrong, jobs first.
func (a *assessment) problems() {
	exists := map[int]bool{}
	for _, g := range a.c.Guests {
		exists[g.ID] = true
	}
	for i := range a.jobs {
		a.jobProblems(&a.jobs[i], exists)
	}
	for _, s := range a.rep.Storages {
		a.storageProblems(s)
	}
	for _, g := range a.rep.Guests {
		if g.SameHost && !g.Template {
			a.problem("same-host", g.Title, "", "backups are lost together with the guest: %s", g.SameWhy)
		}
		if g.Failed > 0 {
			a.problem("verification-failed", g.Title, "", "%d of its backups failed verification", g.Failed)
		}
	}
	for _, o := range a.rep.Orphans {
		a.problem("orphan", itoa(o.ID), "", "%d backup(s) on %s of a guest that no longer exists, the last of %s", o.Count, o.Storage, o.Last.Format("2006-01-02"))
	}
	tasks := a.tasks()
	for _, id := range slices.Sorted(maps.Keys(tasks)) {
		t, what := tasks[id], "a job"
		if id != "" {
			what = id
		}
		a.problem("task-failed", what, TaskIndex, "the last backup task of %s on %s ended with: %s", what, t.Start.Format("2006-01-02 15:04"), clip(t.Status))
	}
	a.lines("storage.cfg", a.c.Storages.Problems)
	a.lines("jobs.cfg", a.c.Jobs.Problems)
	a.lines("vzdump.cron", a.c.CronJobs.Problems)
}

// maxLines bounds how many refused lines of a file are reported.
const maxLines = 100

func (a *assessment) lines(file string, problems []pve.Problem) {
	for i, p := range problems {
		if i == maxLines {
			a.problem("line", file, file, "and %d more lines that PVE does not accept", len(problems)-i)
			return
		}
		a.problem("line", file, fmt.Sprintf("%s:%d", file, p.Line), "%s (%s)", p.Text, p.Effect)
	}
}

func (a *assessment) jobProblems(j *job, exists map[int]bool) {
	place, dir := a.place(j)
	out := Job{ID: j.ID, Enabled: j.Enabled, Schedule: j.Schedule, Place: place, Guests: j.guests, Source: j.source, KeepsAll: a.keepsAll(j, place)}
	if out.Guests == nil {
		out.Guests = []int{}
	}
	if next, ok := j.Event.Next(a.now); ok {
		out.Next = &next
	}
	if broken, err := a.usable(j, j.Node); err == nil {
		out.Broken = broken
	}
	switch {
	case out.Broken != "":
		a.problem("job-broken", j.ID, j.source, "the job saves nothing: %s", out.Broken)
	case !j.Enabled:
		a.problem("job-disabled", j.ID, j.source, "the job is switched off; PVE counts its %d guest(s) as backed up all the same", len(j.guests))
	case out.Next == nil:
		a.problem("job-never-runs", j.ID, j.source, "the job has no run ahead of it")
	case len(j.guests) == 0 && a.poolsErr == nil:
		a.problem("job-ghost", j.ID, j.source, "the job is on and saves no guest")
	}
	if j.Pool == "" && a.c.ListErr == nil {
		var ghosts []string
		for _, id := range j.VMIDs {
			if !exists[id] && len(ghosts) < 20 {
				ghosts = append(ghosts, itoa(id))
			}
		}
		if len(ghosts) > 0 {
			a.problem("job-ghost", j.ID, j.source, "the job names guests that do not exist: %s", strings.Join(ghosts, ", "))
		}
	}
	if j.Enabled && out.KeepsAll && out.Broken == "" && !dir {
		text := "the job removes no old backups, and neither does the storage %s: the disk fills up"
		if s := a.storage(place); s != nil && s.Type == "pbs" {
			text = "neither the job nor the storage %s limits what is kept: see that a prune job runs on the backup server"
		}
		a.problem("keeps-all", j.ID, j.source, text, place)
	}
	a.rep.Jobs = append(a.rep.Jobs, out)
}

// keepsAll resolves prune-backups: that of the job, of vzdump.conf, of the storage.
func (a *assessment) keepsAll(j *job, place string) bool {
	if j.RetentionSet {
		return j.Retention.KeepsAll()
	}
	if a.defaults.RetentionSet {
		return a.defaults.Retention.KeepsAll()
	}
	if s := a.storage(place); s != nil {
		return s.Retention.KeepsAll()
	}
	return true
}

func (a *assessment) storageProblems(s Storage) {
	if s.Disabled {
		return
	}
	if s.OnGuest != "" {
		a.problem("server-in-cluster", s.ID, "storage.cfg", "the backup server is %s of this cluster: a lost cluster takes its backups with it", s.OnGuest)
	}
	if s.Used && !s.Encrypted {
		a.problem("unencrypted", s.ID, "storage.cfg", "backups on %s are not encrypted", s.ID)
	}
	if s.Type == "pbs" && s.Read && s.Backups > 0 && s.Verified+s.Failed == 0 {
		a.problem("unverified", s.ID, "storage.cfg", "none of the %d backups on %s was ever verified: see that a verify job runs on the backup server", s.Backups, s.ID)
	}
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
