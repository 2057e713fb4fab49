package exposure

import (
	"strconv"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve"
)

// Report is everything about one guest.
type Report struct {
	ID   int                 `json:"id"`
	Kind inventory.GuestKind `json:"kind"`
	Node string              `json:"node"`
	Name string              `json:"name"`
	File string              `json:"file"`
	Tags []string            `json:"tags"`
	// State is what the running cluster tells, Outdated whether the machine runs an older QEMU than its node has; nil when
	// nobody tells.
	State    State `json:"state"`
	Outdated *bool `json:"outdated_qemu"`
	// Machine is the version that the emulated board is pinned to, empty when it follows QEMU and for containers.
	Machine string `json:"machine_version,omitempty"`
	// Exposures are in force, the worst first; Pending what the next start changes.
	Exposures []Exposure `json:"exposures"`
	Pending   Change     `json:"pending"`
	Waiting   bool       `json:"changes_wait"`
	Life      Life       `json:"life"`
	// Problems are lines that PVE does not accept.
	Problems []pve.Problem `json:"problems"`
	// Error is why the configuration could not be read; everything else is empty then.
	Error string `json:"error,omitempty"`
}

// Worst is the severity of the worst exposure, "" for a guest without any.
func (r *Report) Worst() Severity { return Worst(r.Exposures) }

// Survey is everything about all guests of a cluster.
type Survey struct {
	Guests []Report `json:"guests"` // by VMID
	// Orphans are volumes that no configuration names; OrphansUnknown are storages whose contents nobody told.
	Orphans        []Orphan `json:"orphans"`
	OrphansUnknown []string `json:"orphans_unknown"`
	// StateSource is where the state of guests comes from, StateError why it is not known.
	StateSource string `json:"state_source,omitempty"`
	StateError  string `json:"state_error,omitempty"`
	// ListError is why the list of guests is not complete.
	ListError string `json:"list_error,omitempty"`
}

// Partial reports whether a configuration, or the list of them, could not be read.
func (s *Survey) Partial() bool {
	for i := range s.Guests {
		if s.Guests[i].Error != "" {
			return true
		}
	}
	return s.ListError != ""
}

// Options say what a survey asks beyond the configurations.
type Options struct {
	// Orphans asks for the contents of all storages with disks, which takes about a second each on a node.
	Orphans bool
}

// Read surveys the guests of a cluster. The reader is asked for what the model does not hold.
func Read(r host.Reader, c *inventory.Cluster, o Options) *Survey {
	judge, states := NewJudge(Models(r)), ReadStates(r, c)
	s := &Survey{Guests: []Report{}, Orphans: []Orphan{}, OrphansUnknown: []string{}, StateSource: states.Source}
	if states.Err != nil {
		s.StateSource, s.StateError = "", states.Err.Error()
	}
	if c.ListErr != nil {
		s.ListError = c.ListErr.Error()
	}
	for _, g := range c.Guests {
		if rep, ok := judge.report(g, states); ok {
			s.Guests = append(s.Guests, rep)
		}
	}
	storages := Storages(c)
	if !o.Orphans {
		s.OrphansUnknown = append(s.OrphansUnknown, storages...)
		return s
	}
	found, missing := Orphans(r, c, storages)
	s.Orphans, s.OrphansUnknown = append(s.Orphans, found...), append(s.OrphansUnknown, missing...)
	return s
}

func (j *Judge) report(g *inventory.Guest, states *States) (Report, bool) {
	rep := Report{ID: g.ID, Kind: g.Kind, Node: g.Node, File: g.Config.Path, Tags: []string{}, Exposures: []Exposure{}, Problems: []pve.Problem{}}
	rep.State = states.ByID[g.ID]
	cfg, err := g.Config.Get()
	switch {
	case err != nil:
		rep.Error = err.Error()
		return rep, true
	case g.Config.Absent || cfg == nil:
		return rep, false
	}
	rep.Name = Clip(cfg.Name())
	for _, t := range cfg.Tags() {
		rep.Tags = append(rep.Tags, Clip(t))
	}
	rep.Exposures = append(rep.Exposures, j.Of(g.Kind, &cfg.Current)...)
	rep.Pending = j.Pending(g.Kind, cfg)
	rep.Waiting = len(cfg.Pending.Entries) > 0 || len(cfg.Pending.Deletes) > 0
	rep.Life = LifeOf(g.Kind, cfg)
	for _, p := range g.Config.Problems {
		p.Text = Clip(p.Text)
		rep.Problems = append(rep.Problems, p)
	}
	if g.Kind == inventory.QEMU {
		rep.Machine = Clip(MachineOf(&cfg.Current).Version)
		if outdated, known := states.Outdated(g); known {
			rep.Outdated = &outdated
			if outdated {
				rep.Exposures = append(rep.Exposures, j.OldQEMU(rep.State, states.Newest(g.Node)))
				sortExposures(rep.Exposures)
			}
		}
	}
	return rep, true
}

// Remarks say in few words what is odd about the life of a guest.
func (r *Report) Remarks(now time.Time) []string {
	l := &r.Life
	remarks := []string{}
	add := func(when bool, text string) {
		if when {
			remarks = append(remarks, text)
		}
	}
	add(r.Outdated != nil && *r.Outdated, "QEMU "+r.State.QEMU)
	add(len(r.Pending.Gone) > 0 && r.State.Status != "stopped", "restart")
	add(l.Lock != "", "lock "+Clip(l.Lock))
	add(l.Template && !l.Created.IsZero() && age(l.Created, now) > templateDays, "template "+days(age(l.Created, now)))
	add(l.Template && (l.Created.IsZero() || age(l.Created, now) <= templateDays), "template")
	add(l.expired(now), "expired "+l.Expires)
	add(l.Owner == "" && !l.Template, "no owner")
	add(len(l.Unused) > 0, strconv.Itoa(len(l.Unused))+" unused")
	if l.Snapshots > 0 {
		text := strconv.Itoa(l.Snapshots) + " snap"
		if !l.Oldest.IsZero() {
			text += " " + days(age(l.Oldest, now))
		}
		add(true, text)
	}
	add(l.Unfinished > 0, "unfinished snap")
	if r.State.Status == "stopped" && !l.Template {
		switch {
		case !r.State.LastStart.IsZero():
			add(true, "off "+days(age(r.State.LastStart, now)))
		case r.State.NotSince:
			add(true, "off over "+days(age(r.State.LogBegin, now)))
		}
	}
	add(len(r.Problems) == 1, "1 bad line")
	add(len(r.Problems) > 1, strconv.Itoa(len(r.Problems))+" bad lines")
	return remarks
}

// templateDays is how old a template may be before it is remarked, a month with some slack.
const templateDays = 35

func age(from, now time.Time) int { return int(now.Sub(from) / (24 * time.Hour)) }

func days(n int) string { return strconv.Itoa(n) + "d" }

// expired reports whether the day on which the guest was to end has passed.
func (l *Life) expired(now time.Time) bool {
	return !l.ExpiresAt.IsZero() && l.ExpiresAt.AddDate(0, 0, 1).Before(now)
}
