package collect

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/exposure"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// Files of the node that guests depend on.
const (
	fileKSM       = "/sys/kernel/mm/ksm/run"
	fileKSMTuned  = "/etc/systemd/system/multi-user.target.wants/ksmtuned.service"
	fileNestIntel = "/sys/module/kvm_intel/parameters/nested"
	fileNestAMD   = "/sys/module/kvm_amd/parameters/nested"
	guestFiles    = "/etc/pve/nodes/*/{qemu-server,lxc}/*.conf"
)

// guestsNeeds is what the subject guests reads beyond the inventory.
func guestsNeeds() []host.Need {
	needs := exposure.Needs()
	for _, f := range []string{fileKSM, fileNestIntel, fileNestAMD} {
		needs = append(needs, host.Need{Read: f})
	}
	return append(needs, host.Need{Stat: fileKSMTuned}, host.Need{Stat: path.Dir(fileKSMTuned)})
}

// guestReader fills the subject guests.
type guestReader struct {
	c      *Context
	cl     *inventory.Cluster
	f      *posture.GuestFacts
	judge  *exposure.Judge
	states *exposure.States

	vms       []posture.VM
	cts       []posture.Container
	lives     []posture.GuestLife
	templates []posture.GuestTemplate
	exposures map[string][]posture.GuestExposure
	waiting   []posture.GuestExposure
	rejected  []string
	segments  map[string]*posture.GuestGroup
	hosts     map[string]*posture.GuestGroup
	zones     map[string]bool
}

// guestsFacts fills the subject guests.
func guestsFacts(c *Context, cl *inventory.Cluster) posture.GuestFacts {
	f := posture.GuestFacts{}
	g := &guestReader{
		c: c, cl: cl, f: &f, judge: exposure.NewJudge(exposure.Models(c.Host)), states: exposure.ReadStates(c.Host, cl),
		exposures: map[string][]posture.GuestExposure{}, segments: map[string]*posture.GuestGroup{}, hosts: map[string]*posture.GuestGroup{},
		zones: map[string]bool{}, vms: []posture.VM{}, cts: []posture.Container{}, lives: []posture.GuestLife{}, templates: []posture.GuestTemplate{}, waiting: []posture.GuestExposure{}, rejected: []string{},
	}
	for _, kind := range exposure.Kinds() {
		g.exposures[kind] = []posture.GuestExposure{}
	}
	g.node()
	f.TemplatesClean = posture.Unknown[bool](posture.Problemf("unavailable", "the disks of guests are not read"), guestFiles)
	err := cl.ListErr
	for _, guest := range cl.Guests {
		cfg, readErr := guest.Config.Get()
		switch {
		case readErr != nil:
			err = cmp.Or(err, readErr)
		case guest.Config.Absent || cfg == nil: // went away between listing and reading
		default:
			g.guest(guest, cfg)
		}
	}
	g.publish(err)
	return f
}

// publish makes facts of what was found. When one configuration could not be read, nothing is known of all guests.
func (g *guestReader) publish(err error) {
	f := g.f
	if err != nil {
		f.QEMU, f.LXC = posture.Unknown[[]posture.VM](err, guestFiles), posture.Unknown[[]posture.Container](err, guestFiles)
		f.Summary = posture.Unknown[string](err, guestFiles)
		f.Lives, f.Templates = posture.Unknown[[]posture.GuestLife](err, guestFiles), posture.Unknown[[]posture.GuestTemplate](err, guestFiles)
		f.Exposures = posture.Unknown[map[string][]posture.GuestExposure](err, guestFiles)
		f.Waiting = posture.Unknown[[]posture.GuestExposure](err, guestFiles)
		f.Rejected, f.Zones = posture.Unknown[[]string](err, guestFiles), posture.Unknown[[]string](err, guestFiles)
		f.Segments, f.Hosts = posture.Unknown[[]posture.GuestGroup](err, guestFiles), posture.Unknown[[]posture.GuestGroup](err, guestFiles)
		f.Orphans, f.OrphansAsked = []string{}, posture.Unknown[bool](err, guestFiles)
		return
	}
	f.QEMU = posture.Known(g.vms, posture.Configured, guestFiles)
	f.LXC = posture.Known(g.cts, posture.Configured, guestFiles)
	f.Summary = posture.Known(fmt.Sprintf("virtual machines %d, containers %d, of them templates %d, nodes %d", len(g.vms), len(g.cts), len(g.templates), len(g.cl.Nodes)),
		posture.Configured, guestFiles)
	f.Lives = posture.Known(g.lives, posture.Configured, guestFiles)
	f.Templates = posture.Known(g.templates, posture.Configured, guestFiles)
	f.Exposures = posture.Known(g.exposures, posture.Configured, guestFiles)
	f.Waiting = posture.Known(g.waiting, posture.Configured, guestFiles)
	f.Rejected = posture.Known(g.rejected, posture.Configured, guestFiles)
	f.Segments = posture.Known(groups(g.segments), posture.Configured, guestFiles)
	f.Hosts = posture.Known(groups(g.hosts), posture.Configured, guestFiles)
	if len(g.zones) == 0 {
		f.Zones = posture.Unknown[[]string](posture.Problemf("unavailable", "no guest has a tag that names its level of trust, such as zone-dmz"), guestFiles)
	} else {
		f.Zones = posture.Known(sortedKeys(g.zones), posture.Configured, guestFiles)
	}
	g.orphans()
}

func groups(byName map[string]*posture.GuestGroup) []posture.GuestGroup {
	all := []posture.GuestGroup{}
	for _, name := range sortedKeys(byName) {
		x := byName[name]
		slices.Sort(x.Zones)
		x.Zones = slices.Compact(x.Zones)
		all = append(all, *x)
	}
	return all
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// orphans asks the API for the contents of the storages that the disks of guests lie on.
func (g *guestReader) orphans() {
	const source = "/nodes/NODE/storage/STORAGE/content"
	storages := exposure.Storages(g.cl)
	found, missing := exposure.Orphans(g.c.Host, g.cl, storages)
	g.f.Orphans = []string{}
	for _, o := range found {
		g.f.Orphans = append(g.f.Orphans, fmt.Sprintf("%s (%d GiB)", o.Volume, o.Size>>30))
	}
	if len(missing) > 0 {
		g.f.OrphansAsked = posture.Unknown[bool](posture.Problemf("unavailable", "the contents of %s are known to the API only", strings.Join(missing, ", ")), source)
		return
	}
	g.f.OrphansAsked = posture.Known(true, posture.Effective, source)
}

// node reads what guests depend on: merging of memory, nested virtualization.
func (g *guestReader) node() {
	h, f := g.c.Host, g.f
	if b, err := h.ReadFile(fileKSM); err == nil {
		f.KSM = posture.Known(strings.TrimSpace(string(b)) == "1", posture.Effective, fileKSM)
	} else if _, dirErr := h.Stat(path.Dir(fileKSMTuned)); g.c.Live || dirErr != nil {
		f.KSM = posture.Unknown[bool](err, fileKSM)
	} else {
		_, err := h.Stat(fileKSMTuned)
		f.KSM = posture.Known(err == nil, posture.Configured, fileKSMTuned)
	}
	f.NestedKVM = posture.Unknown[bool](posture.Problemf("not-found", "the module kvm_intel or kvm_amd is not loaded"), fileNestIntel)
	for _, file := range []string{fileNestIntel, fileNestAMD} {
		if b, err := h.ReadFile(file); err == nil {
			v := strings.TrimSpace(string(b))
			f.NestedKVM = posture.Known(v == "Y" || v == "1", posture.Effective, file)
		}
	}
}

// title is "vm 100 web".
func title(guest *inventory.Guest, cfg *guestcfg.Config) string {
	if n := exposure.Clip(cfg.Name()); n != "" {
		return guest.Title() + " " + n
	}
	return guest.Title()
}

// guest reads one guest.
func (g *guestReader) guest(guest *inventory.Guest, cfg *guestcfg.Config) {
	name := title(guest, cfg)
	tags := nonNil(cfg.Tags())
	life := exposure.LifeOf(guest.Kind, cfg)
	for _, e := range g.judge.Of(guest.Kind, &cfg.Current) {
		if e.Kind == "nested" && g.nestingOff(guest) {
			continue
		}
		g.exposures[e.Kind] = append(g.exposures[e.Kind], shown(guest, name, tags, life.Template, e))
	}
	running, known := g.states.Of(guest.ID)
	if !known || running.Status != "stopped" {
		for _, e := range g.judge.Pending(guest.Kind, cfg).Gone {
			g.waiting = append(g.waiting, shown(guest, name, tags, life.Template, e))
		}
	}
	file := path.Base(guest.Config.Path)
	for _, p := range guest.Config.Problems {
		if p.Effect == pve.Skipped {
			g.rejected = append(g.rejected, fmt.Sprintf("%s: %s (%s:%d)", name, exposure.Clip(p.Text), file, p.Line))
		}
	}
	if life.Template {
		g.templates = append(g.templates, posture.GuestTemplate{ID: guest.ID, Guest: name, Tags: tags})
	} else {
		g.groups(guest, cfg, name, tags)
	}
	g.life(guest, cfg, name, tags, life)
	if guest.Kind == inventory.LXC {
		g.container(guest, cfg, name, tags, life)
		return
	}
	g.machine(guest, cfg, name, tags, life)
}

// nestingOff reports whether the node of a guest is known to offer no virtualization to guests.
func (g *guestReader) nestingOff(guest *inventory.Guest) bool {
	return guest.Node == g.cl.Here && g.f.NestedKVM.IsKnown() && !g.f.NestedKVM.Value
}

func shown(guest *inventory.Guest, name string, tags []string, template bool, e exposure.Exposure) posture.GuestExposure {
	x := posture.GuestExposure{ID: guest.ID, Guest: name, Tags: tags, Template: template, Channel: string(e.Channel), Severity: string(e.Severity),
		Key: e.Key, Value: e.Text, Source: guest.Config.Path}
	where := path.Base(guest.Config.Path)
	if e.Line > 0 {
		x.Source += ":" + strconv.Itoa(e.Line)
		where += ":" + strconv.Itoa(e.Line)
	}
	x.Words = name + ": " + e.Words() + " (" + where + ")"
	return x
}

// groups notes on which networks and node a guest is, and its levels of trust.
func (g *guestReader) groups(guest *inventory.Guest, cfg *guestcfg.Config, name string, tags []string) {
	var zones []string
	for _, t := range tags {
		for _, p := range []string{"zone", "trust"} {
			if rest, ok := strings.CutPrefix(t, p); ok && len(rest) > 1 && strings.ContainsRune("-_.+", rune(rest[0])) {
				zones = append(zones, t)
				g.zones[t] = true
			}
		}
	}
	put := func(m map[string]*posture.GuestGroup, group string) {
		x, ok := m[group]
		if !ok {
			x = &posture.GuestGroup{Name: group, Zones: []string{}}
			m[group] = x
		}
		x.Guests = append(x.Guests, name)
		x.Zones = append(x.Zones, zones...)
	}
	put(g.hosts, guest.Node)
	seen := map[string]bool{}
	for _, n := range cfg.NICs() {
		segment := exposure.Clip(n.Bridge)
		if segment == "" {
			continue
		}
		if n.Tag > 0 {
			segment += " VLAN " + strconv.Itoa(n.Tag)
		}
		if !seen[segment] {
			seen[segment] = true
			put(g.segments, segment)
		}
	}
}

// days are whole days between two moments, 0 for none.
func days(from, to time.Time) int {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return int(to.Sub(from) / (24 * time.Hour))
}
