// Package replicationcfg reads replication.cfg, the jobs that copy the disks of guests to another node
// (pve-guest-common, PVE/ReplicationConfig.pm). What came of a job stands in the state files of each node, not here.
package replicationcfg

import (
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the file says.
type Config struct {
	// Jobs are in the order of the file.
	Jobs []Job
}

// Job copies the disks of one guest to one node.
type Job struct {
	// ID is "VMID-NUMBER".
	ID    string
	Guest int
	Line  int
	// Target is the node that gets the copy, Source the one that had the guest when the job last ran.
	Target, Source string
	Disabled       bool
	// Schedule is a calendar event; "*/15" unless set.
	Schedule string
	// Rate is the limit in MB/s as it is written, "" for none.
	Rate string
	// Remove is set to "local" or "full" when the job is to be removed.
	Remove string
}

// DefaultSchedule is how often a job runs that does not say it.
const DefaultSchedule = "*/15"

// Parse reads the file as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) {
	raw, problems := pve.ParseSections(b)
	sections, more := pve.Sections(raw, map[string][]string{"local": {"target", "schedule", "rate", "source", "disable", "remove_job", "comment", "guest", "id", "jobnum"}})
	problems = append(problems, more...)
	c := &Config{}
	for _, s := range sections {
		id, number, ok := strings.Cut(s.ID, "-")
		guest, err := strconv.Atoi(id)
		if _, numErr := strconv.Atoi(number); !ok || err != nil || numErr != nil || guest < 1 {
			problems = append(problems, pve.Skipf(s.Line, "a replication job is called VMID-NUMBER; all of it is ignored"))
			continue
		}
		j := Job{ID: s.ID, Guest: guest, Line: s.Line, Target: s.Value("target"), Source: s.Value("source"), Disabled: s.On("disable"),
			Schedule: s.Value("schedule"), Rate: s.Value("rate"), Remove: s.Value("remove_job")}
		if j.Schedule == "" {
			j.Schedule = DefaultSchedule
		}
		if _, err := pve.ParseCalendar(j.Schedule); err != nil {
			problems = append(problems, pve.Skipf(s.LineOf("schedule"), "%v; every 15 minutes counts", err))
			j.Schedule = DefaultSchedule
		}
		c.Jobs = append(c.Jobs, j)
	}
	return c, problems
}
