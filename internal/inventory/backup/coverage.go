package backup

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
	"github.com/castellan-project/castellan/internal/pve/jobscfg"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

// assessment is the work on one report.
type assessment struct {
	c   *inventory.Cluster
	r   host.Reader
	now time.Time
	rep *Report

	jobs     []job
	pools    map[int]string // the pool that a guest is a direct member of
	poolsErr error
	jobsErr  error
	storeErr error
	defaults jobscfg.Defaults
	stores   map[string]*storagecfg.Storage

	backups map[int][]Backup // by guest
	// looked are the storages of a node that could be listed: "storage@node".
	looked map[string]bool
	// onGuest are the guests that backup servers run in, by storage.
	onGuest map[string]*inventory.Guest
}

// job is a backup job with what the model makes of it.
type job struct {
	jobscfg.Job
	source string
	guests []int
	period time.Duration
}

func (a *assessment) prepare() {
	a.backups, a.looked, a.pools, a.onGuest = map[int][]Backup{}, map[string]bool{}, map[int]string{}, map[string]*inventory.Guest{}
	for _, f := range []struct {
		file inventory.File[*jobscfg.Config]
		name string
	}{{a.c.Jobs, "jobs.cfg"}, {a.c.CronJobs, "vzdump.cron"}} {
		cfg, err := f.file.Get()
		if err != nil {
			a.jobsErr = err
			a.rep.Unread = append(a.rep.Unread, err.Error())
			continue
		}
		for _, j := range cfg.Jobs {
			a.jobs = append(a.jobs, job{Job: j, source: fmt.Sprintf("%s:%d", f.name, j.Line), period: j.Event.Period(a.now)})
		}
	}
	a.stores = map[string]*storagecfg.Storage{}
	if cfg, err := a.c.Storages.Get(); err != nil {
		a.storeErr = err
		a.rep.Unread = append(a.rep.Unread, err.Error())
	} else {
		for i := range cfg.Storages {
			a.stores[cfg.Storages[i].ID] = &cfg.Storages[i]
		}
	}
	if b, err := a.r.ReadFile(DefaultsFile); err == nil {
		a.defaults, _ = jobscfg.ParseDefaults(b)
	}
	a.readPools()
	a.servers()
}

// DefaultsFile is where a node keeps the defaults of backups.
const DefaultsFile = "/etc/vzdump.conf"

func (a *assessment) readPools() {
	users, err := a.c.Users.Get()
	if err != nil {
		a.poolsErr = err
		a.rep.Unread = append(a.rep.Unread, err.Error())
		return
	}
	for _, p := range users.Pools {
		for id := range p.VMs {
			n := 0
			if _, err := fmt.Sscanf(id, "%d", &n); err == nil {
				a.pools[n] = p.ID
			}
		}
	}
}

// servers finds backup servers that run in a guest of the cluster itself: by the address of a card, or by name.
func (a *assessment) servers() {
	cfg, err := a.c.Storages.Get()
	if err != nil {
		return
	}
	addresses := map[string]*inventory.Guest{}
	for _, g := range a.c.Guests {
		gc, err := g.Config.Get()
		if err != nil {
			continue
		}
		if name := strings.ToLower(gc.Name()); name != "" {
			addresses[name] = g
		}
		for _, n := range gc.NICs() {
			for _, ip := range []string{n.IP, n.IP6} {
				ip, _, _ = strings.Cut(ip, "/")
				if addr, err := netip.ParseAddr(ip); err == nil {
					addresses[addr.Unmap().String()] = g
				}
			}
		}
	}
	text, _ := a.r.ReadFile("/etc/hosts") // without it names say nothing about addresses
	table := hosts.Parse(text)
	for _, s := range cfg.Storages {
		name := strings.ToLower(s.Server)
		if s.Type != "pbs" || name == "" {
			continue
		}
		names := []string{name}
		for _, ip := range table.Resolve(name) {
			names = append(names, ip.String())
		}
		first, _, _ := strings.Cut(name, ".")
		for _, n := range append(names, first) {
			if g := addresses[n]; g != nil && n != "" {
				a.onGuest[s.ID] = g
				break
			}
		}
	}
}

// place is where a job puts the backups of a node: a storage, or a directory of the node.
func (a *assessment) place(j *job) (id string, dir bool) {
	switch {
	case j.Storage != "":
		return j.Storage, false
	case j.DumpDir != "":
		return j.DumpDir, true
	case a.defaults.Storage != "":
		return a.defaults.Storage, false
	case a.defaults.DumpDir != "":
		return a.defaults.DumpDir, true
	}
	return "local", false
}

// usable says why a job cannot save guests of a node, "" when it can; node "" asks for any node. It is an error when the storages are not known.
func (a *assessment) usable(j *job, node string) (string, error) {
	if j.BadIDs {
		return "one of its VMIDs is none", nil
	}
	id, dir := a.place(j)
	if dir {
		return "", nil
	}
	if a.storeErr != nil {
		return "", a.storeErr
	}
	s := a.stores[id]
	switch {
	case s == nil:
		return "there is no storage " + id, nil
	case s.Disabled:
		return "the storage " + id + " is disabled", nil
	case !s.Holds("backup"):
		return "the storage " + id + " is not for backups", nil
	case node != "" && !s.On(node):
		return "the storage " + id + " is not there on " + node, nil
	}
	return "", nil
}

func (a *assessment) storage(id string) *storagecfg.Storage { return a.stores[id] }

// guest answers for one guest.
func (a *assessment) guest(g *inventory.Guest) Guest {
	out := Guest{ID: g.ID, Title: g.Title(), Node: g.Node, Jobs: []string{}, DisabledJobs: []string{}, LeftOut: []Volume{}, Places: []string{}, Status: Uncovered}
	cfg, cfgErr := g.Config.Get()
	var volumes []guestcfg.Volume
	if cfgErr == nil {
		out.Name, out.Template = cfg.Name(), cfg.On("template")
		volumes = cfg.Volumes()
	} else {
		a.rep.Unread = append(a.rep.Unread, cfgErr.Error())
	}
	var why []string
	unknown := a.jobsErr != nil
	var active []*job
	for i := range a.jobs {
		j := &a.jobs[i]
		if j.Pool != "" && a.poolsErr != nil && j.Enabled {
			unknown = true
		}
		if !j.Saves(g.ID, a.pools[g.ID]) || j.Node != "" && j.Node != g.Node {
			continue
		}
		out.PVESays = true
		j.guests = append(j.guests, g.ID)
		if !j.Enabled {
			out.DisabledJobs = append(out.DisabledJobs, j.ID)
			continue
		}
		broken, err := a.usable(j, g.Node)
		switch {
		case err != nil:
			unknown = true
		case broken != "":
			why = append(why, j.ID+": "+broken)
		case j.Schedule == "":
			why = append(why, j.ID+" has no schedule")
		default:
			active = append(active, j)
			out.Jobs = append(out.Jobs, j.ID)
		}
	}
	switch {
	case len(active) > 0:
		out.Status = Covered
	case unknown:
		out.Status, out.Why = Unknown, "jobs, pools or storages could not be read"
	case len(why) > 0:
		out.Why = strings.Join(why, "; ")
	case len(out.DisabledJobs) > 0:
		out.Status, out.Why = Disabled, "only "+strings.Join(out.DisabledJobs, ", ")+" names it, and is switched off"
	default:
		out.Why = "no job names it"
	}
	a.details(&out, g, active, volumes)
	return out
}

// details fills in what active jobs mean for a guest, and what they left behind.
func (a *assessment) details(out *Guest, g *inventory.Guest, active []*job, volumes []guestcfg.Volume) {
	if out.Status == Covered {
		out.LeftOut = leftOut(volumes)
		if len(out.LeftOut) > 0 {
			out.Status = Partial
			names := make([]string, len(out.LeftOut))
			for i, v := range out.LeftOut {
				names[i] = v.Key + " (" + v.Why + ")"
			}
			out.Why = "without " + strings.Join(names, ", ")
		}
	}
	var period time.Duration
	for _, j := range active {
		if id, _ := a.place(j); !slices.Contains(out.Places, id) {
			out.Places = append(out.Places, id)
		}
		if period == 0 || j.period > 0 && j.period < period {
			period = j.period
		}
	}
	slices.Sort(out.Places)
	out.Encrypted = len(out.Places) > 0
	out.SameHost = len(out.Places) > 0
	var reasons []string
	for _, id := range out.Places {
		if s := a.storage(id); s == nil || !s.Encrypted() {
			out.Encrypted = false
		}
		why := a.same(id, g, volumes)
		out.SameHost = out.SameHost && why != ""
		reasons = append(reasons, why)
	}
	if out.SameHost {
		out.SameWhy = strings.Join(reasons, "; ")
	}
	if period > 0 {
		out.RPOHours, out.AllowedHours = hours(period), hours(period+slack(period))
	}
	a.last(out, g)
}

// leftOut are the volumes that a backup does not hold. The EFI disk of a machine without OVMF holds nothing.
func leftOut(volumes []guestcfg.Volume) []Volume {
	left := []Volume{}
	for _, v := range volumes {
		if v.Backup || v.Unused || v.CDROM || v.Cloudinit || v.EFI {
			continue
		}
		why := "backup=0"
		switch {
		case v.Bind:
			why = "a directory of the node"
		case v.Device && v.Mount != "":
			why = "a device of the node"
		case v.Mount != "":
			why = "no backup=1"
		}
		left = append(left, Volume{v.Key, v.ID(), why})
	}
	return left
}

// same says how backups of a place are lost together with the disks of a guest, "" when they are not.
func (a *assessment) same(place string, g *inventory.Guest, volumes []guestcfg.Volume) string {
	s := a.storage(place)
	if server := a.onGuest[place]; server != nil && server.Node == g.Node {
		return fmt.Sprintf("the backup server of %s is %s on the same node", place, server.Title())
	}
	for _, v := range volumes {
		if !v.Backup || v.Storage == "" {
			continue
		}
		disk := a.storage(v.Storage)
		switch {
		case v.Storage == place:
			return "on the storage " + place + " together with the disks"
		case s == nil && strings.HasPrefix(place, "/") && (disk == nil || !disk.Shared):
			return path.Clean(place) + " is a directory of the node that has the disks"
		case s == nil || disk == nil:
		case !s.Shared && !disk.Shared:
			return place + " is on the node that has the disks"
		case s.Server != "" && s.Server == disk.Server:
			return place + " is on the server that has the disks"
		}
	}
	return ""
}
