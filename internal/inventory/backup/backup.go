// Package backup answers which guests of a cluster are saved, which of their volumes, where to, how old the last good
// backup is, and what is wrong with jobs and storages. It follows what vzdump does (pve-manager, PVE/VZDump.pm), not what
// /cluster/backup-info/not-backed-up reports: that counts disabled jobs, and jobs whose storage is not there.
//
// It reads what the storages hold through the same [host.Reader] as the model and judges nothing beyond the words covered,
// partial, disabled and uncovered; thresholds are the caller's.
package backup

import (
	"slices"
	"strconv"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
)

// Status says how a guest is saved.
type Status string

// The states of coverage, from good to bad.
const (
	// Covered means that a job that is on saves the whole guest.
	Covered Status = "covered"
	// Partial means that a job saves it without some of its volumes.
	Partial Status = "partial"
	// Disabled means that only jobs that are switched off name it. PVE reports such a guest as backed up.
	Disabled Status = "disabled"
	// Uncovered means that no job saves it.
	Uncovered Status = "uncovered"
	// Unknown means that the jobs, or what they refer to, could not be read.
	Unknown Status = "unknown"
)

// Report is the answer for a whole cluster.
type Report struct {
	Guests   []Guest   `json:"guests"`
	Jobs     []Job     `json:"jobs"`
	Storages []Storage `json:"storages"`
	// Orphans are backups of guests that no longer exist, one entry for each guest and storage.
	Orphans  []Orphan  `json:"orphans"`
	Problems []Problem `json:"problems"`
	// Unread is what could not be read, in words.
	Unread []string `json:"unread"`
}

// Guest is how one guest is saved.
type Guest struct {
	ID       int    `json:"id"`
	Title    string `json:"title"` // "vm 100"
	Name     string `json:"name"`
	Node     string `json:"node"`
	Template bool   `json:"template"`
	Status   Status `json:"status"`
	// Why explains every status but covered.
	Why string `json:"why,omitempty"`
	// Jobs save the guest; DisabledJobs would, were they on.
	Jobs         []string `json:"jobs"`
	DisabledJobs []string `json:"disabled_jobs"`
	// LeftOut are volumes that no backup holds.
	LeftOut []Volume `json:"left_out"`
	// Places are the storages that the jobs write to.
	Places []string `json:"places"`
	// SameHost is true when every place is lost together with the disks; SameWhy says how.
	SameHost bool   `json:"same_host"`
	SameWhy  string `json:"same_why,omitempty"`
	// Encrypted is true when every place encrypts backups before they leave the node.
	Encrypted bool `json:"encrypted"`
	// RPOHours is the longest time between two runs of the best job, 0 when no job runs by itself. AllowedHours adds the slack of
	// a run that takes its time: the half of it, at least 2 hours and at most a day.
	RPOHours     int `json:"rpo_hours"`
	AllowedHours int `json:"allowed_hours"`
	// LastKnown is true when the places could be looked into, or a backup was found anyway.
	LastKnown bool `json:"last_known"`
	// Last is the last good backup, nil when there is none or it is not known.
	Last *Backup `json:"last,omitempty"`
	// AgeHours is how long ago that was.
	AgeHours int `json:"age_hours"`
	// Stale is true when there is no good backup, or it is older than AllowedHours; false when LastKnown is.
	Stale bool `json:"stale"`
	// Failed counts backups whose verification failed.
	Failed int `json:"verification_failed"`
	// PVESays is true when PVE's own report counts the guest as backed up: any job names it, on or off.
	PVESays bool `json:"pve_reports_covered"`
}

// Bad reports whether the guest would be lost or set back further than planned: uncovered, saved by disabled jobs only, or with
// a last backup that is too old. Templates do not count.
func (g *Guest) Bad() bool {
	return !g.Template && (g.Status == Uncovered || g.Status == Disabled || g.Stale)
}

// Volume is a volume that is left out.
type Volume struct {
	Key    string `json:"key"`    // "scsi1", "mp0"
	Volume string `json:"volume"` // "local-lvm:vm-105-disk-1", or the path of a directory of the node
	Why    string `json:"why"`
}

// Backup is one backup of a guest.
type Backup struct {
	Guest   int       `json:"-"`
	Storage string    `json:"storage"`
	Node    string    `json:"-"`
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Size    int64     `json:"size,omitempty"`
	// Encrypted is true when the content is; Verification is ok, failed, or empty when nobody looked.
	Encrypted    bool   `json:"encrypted"`
	Verification string `json:"verification,omitempty"`
	Protected    bool   `json:"protected,omitempty"`
}

// Job is one backup job with what it amounts to.
type Job struct {
	ID       string `json:"id"`
	Enabled  bool   `json:"enabled"`
	Schedule string `json:"schedule"`
	Place    string `json:"place"`
	// Next is the next run; nil when there is none.
	Next *time.Time `json:"next,omitempty"`
	// Guests are those that it saves, or would were it on.
	Guests []int `json:"guests"`
	// KeepsAll is true when nothing ever removes its backups.
	KeepsAll bool `json:"keeps_all"`
	// Broken says why the job saves nothing, empty when it does.
	Broken string `json:"broken,omitempty"`
	Source string `json:"source"` // "jobs.cfg:12"
}

// Storage is a storage that holds backups.
type Storage struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Disabled  bool   `json:"disabled"`
	Shared    bool   `json:"shared"`
	Encrypted bool   `json:"encrypted"`
	// Used is true when a job that is on writes to it.
	Used     bool `json:"used"`
	KeepsAll bool `json:"keeps_all"`
	// Read is true when its backups could be listed.
	Read bool `json:"read"`
	// Backups counts them; Verified, Failed, Plain count those that verified, did not, and are not encrypted.
	Backups  int `json:"backups"`
	Verified int `json:"verified"`
	Failed   int `json:"failed"`
	Plain    int `json:"plain"`
	// OnGuest is the guest of this cluster that the backup server runs in, as "vm 130", empty when it is none.
	OnGuest string `json:"on_guest,omitempty"`
}

// Orphan is a guest that only backups are left of.
type Orphan struct {
	ID      int       `json:"id"`
	Storage string    `json:"storage"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
}

// Problem is something wrong with a job, a storage or a backup.
type Problem struct {
	// Code is stable: job-disabled, job-broken, job-never-runs, job-ghost, keeps-all, unverified, verification-failed, orphan,
	// unencrypted, same-host, server-in-cluster, left-out, task-failed, line.
	Code string `json:"code"`
	// Subject is what it is about: the job, the storage, the guest.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Source  string `json:"source,omitempty"`
}

// Assess answers for every guest of the cluster at a time. The reader is that of the model; it is asked for what the
// storages hold.
func Assess(c *inventory.Cluster, r host.Reader, now time.Time) *Report {
	a := &assessment{c: c, r: r, now: now, rep: &Report{Guests: []Guest{}, Jobs: []Job{}, Storages: []Storage{}, Orphans: []Orphan{},
		Problems: []Problem{}, Unread: []string{}}}
	a.prepare()
	a.evidence()
	for _, g := range c.Guests {
		a.rep.Guests = append(a.rep.Guests, a.guest(g))
	}
	a.finishStorages()
	a.orphans()
	a.problems()
	return a.rep
}

// Guest returns the answer for one guest.
func (r *Report) Guest(id int) (Guest, bool) {
	i := slices.IndexFunc(r.Guests, func(g Guest) bool { return g.ID == id })
	if i < 0 {
		return Guest{}, false
	}
	return r.Guests[i], true
}

// hours rounds up, so that a backup of 24 hours and a minute is older than a day.
func hours(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int((d + time.Hour - 1) / time.Hour)
}

// slack is how long a run may take, or wait for others of its night.
func slack(period time.Duration) time.Duration {
	return min(max(period/2, 2*time.Hour), 24*time.Hour)
}

func itoa(n int) string { return strconv.Itoa(n) }
