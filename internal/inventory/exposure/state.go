package exposure

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/tasklog"
)

// State is what a running cluster tells about a guest.
type State struct {
	// Status is running, stopped, paused and so on; "" when not known.
	Status string `json:"status,omitempty"`
	// Uptime is in seconds.
	Uptime int64 `json:"uptime,omitempty"`
	// QEMU is the version that runs (major, minor, micro; PVE does not tell the revision of the package), Machine the
	// emulated board with its version. Both are empty for containers and for machines that are stopped.
	QEMU    string `json:"running_qemu,omitempty"`
	Machine string `json:"running_machine,omitempty"`
	// LastStart is the last start in the task log of the node; zero when there is none. NotSince is true when the log
	// reaches back to LogBegin and the guest was not started in that time.
	LastStart time.Time `json:"last_start,omitzero"`
	NotSince  bool      `json:"-"`
	LogBegin  time.Time `json:"-"`
}

// States is the state of all guests, by VMID.
type States struct {
	ByID map[int]State
	// Source is where the status comes from; Err why it is not known.
	Source string
	Err    error
	// Installed is the version of pve-qemu-kvm by node, without its revision, where it is known.
	Installed map[string]string
	// running is the newest QEMU that a machine of a node runs.
	running map[string]string
}

// Of returns the state of a guest, and whether its status is known.
func (s *States) Of(id int) (State, bool) {
	st, ok := s.ByID[id]
	return st, ok && st.Status != ""
}

// Files that tell the state of guests without the API. pmxcfs gives in .rrd what the nodes last broadcast of their guests
// (pve-manager PVE/Service/pvestatd.pm, PVE/API2Tools.pm).
const (
	fileBroadcast = "/etc/pve/.rrd"
	fileTasks     = "/var/log/pve/tasks/index"
	fileOldTasks  = "/var/log/pve/tasks/index.1"
	fileDpkg      = "/var/lib/dpkg/status"
	fileModels    = "/etc/pve/virtual-guest/cpu-models.conf"
)

// Needs lists what ReadStates asks for on a target without commands.
func Needs() []host.Need {
	return []host.Need{{Read: fileBroadcast}, {Read: fileTasks}, {Read: fileOldTasks}, {Read: fileModels}}
}

// Models reads the CPU models that administrators defined. Without the file there are none.
func Models(r host.Reader) map[string]Model {
	b, err := r.ReadFile(fileModels)
	if err != nil {
		return nil
	}
	return ParseModels(b)
}

// ReadStates asks for the state of all guests: the API, else what the nodes broadcast.
func ReadStates(r host.Reader, c *inventory.Cluster) *States {
	s := &States{ByID: map[int]State{}, Installed: map[string]string{}, running: map[string]string{}}
	s.resources(r)
	if s.Err != nil {
		s.broadcast(r)
	}
	if s.Err == nil {
		for _, n := range c.Nodes {
			s.readQEMU(r, n.Name)
		}
	}
	s.tasks(r)
	return s
}

// resources reads /cluster/resources.
func (s *States) resources(r host.Reader) {
	s.Source = "/cluster/resources"
	b, err := inventory.API(r, s.Source)
	if err != nil {
		s.Err = err
		return
	}
	var list []struct {
		Type, Status string
		VMID, Uptime json.Number // some versions write numbers as texts
	}
	if err := json.Unmarshal(b, &list); err != nil {
		s.Err = fmt.Errorf("cannot read the answer of %s: %w", s.Source, err)
		return
	}
	for _, g := range list {
		id, err := strconv.Atoi(g.VMID.String())
		if (g.Type == "qemu" || g.Type == "lxc") && err == nil && id > 0 && g.Status != "unknown" {
			up, _ := g.Uptime.Float64()
			s.ByID[id] = State{Status: Clip(g.Status), Uptime: int64(min(max(up, 0), maxTime))}
		}
	}
}

// broadcast reads lines "pve2.3-vm/100:uptime:name:status:..." or "pve-vm-9.0/100:...".
func (s *States) broadcast(r host.Reader) {
	b, err := r.ReadFile(fileBroadcast)
	if err != nil {
		return // the API's error says more
	}
	s.Source, s.Err = fileBroadcast, nil
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 5)
		kind, id, ok := strings.Cut(f[0], "/")
		if !ok || len(f) < 4 || !strings.Contains(kind, "-vm") {
			continue
		}
		n, err := strconv.Atoi(id)
		if err != nil || n < 1 {
			continue
		}
		up, _ := strconv.ParseInt(f[1], 10, 64)
		s.ByID[n] = State{Status: Clip(f[3]), Uptime: up}
	}
}

// readQEMU reads which QEMU the machines of a node run, and which one is installed there.
func (s *States) readQEMU(r host.Reader, node string) {
	cmd := inventory.APICommand("/nodes/" + node + "/qemu")
	cmd.Argv = append(cmd.Argv, "--full", "1")
	out, err := r.Run(cmd)
	if err != nil || out.Code != 0 {
		return
	}
	var list []struct {
		VMID    json.Number
		QEMU    string `json:"running-qemu"`
		Machine string `json:"running-machine"`
	}
	if json.Unmarshal(out.Stdout, &list) != nil {
		return
	}
	any := false
	for _, g := range list {
		id, _ := strconv.Atoi(g.VMID.String())
		if st, ok := s.ByID[id]; ok && g.QEMU != "" {
			st.QEMU, st.Machine = Clip(g.QEMU), Clip(g.Machine)
			s.ByID[id] = st
			any = true
			if older(s.running[node], st.QEMU) {
				s.running[node] = st.QEMU
			}
		}
	}
	if !any {
		return
	}
	b, err := inventory.API(r, "/nodes/"+node+"/apt/versions")
	var packages []struct{ Package, OldVersion string }
	if err == nil && json.Unmarshal(b, &packages) == nil {
		for _, p := range packages {
			if p.Package == "pve-qemu-kvm" {
				s.Installed[node] = upstream(p.OldVersion)
			}
		}
	}
}

// upstream is a version without the revision of the package: "10.1.2-7" is "10.1.2".
func upstream(v string) string {
	v, _, _ = strings.Cut(v, "-")
	return Clip(v)
}

// tasks finds the last start of each guest in the task log of the node that was read.
func (s *States) tasks(r host.Reader) {
	var all []tasklog.Task
	for _, f := range []string{fileTasks, fileOldTasks} {
		if b, err := r.ReadFile(f); err == nil {
			found, _ := tasklog.Parse(b)
			all = append(all, found...)
		}
	}
	var begin time.Time
	starts := map[int]time.Time{}
	for _, t := range all {
		if begin.IsZero() || t.Start.Before(begin) {
			begin = t.Start
		}
		switch t.Type {
		case "qmstart", "vzstart", "qmrestore", "vzrestore", "qmcreate", "vzcreate", "qmclone", "vzclone", "qmreboot", "vzreboot", "qmigrate", "vzmigrate":
			if id, err := strconv.Atoi(t.ID); err == nil && t.Start.After(starts[id]) {
				starts[id] = t.Start
			}
		}
	}
	if begin.IsZero() {
		return
	}
	for id, st := range s.ByID {
		st.LogBegin, st.LastStart = begin, starts[id]
		st.NotSince = st.LastStart.IsZero()
		s.ByID[id] = st
	}
}

// Outdated reports whether a machine runs an older QEMU than its node has. Known is false when that cannot be told.
func (s *States) Outdated(g *inventory.Guest) (outdated, known bool) {
	running := s.ByID[g.ID].QEMU
	if running == "" {
		return false, false
	}
	outdated = older(running, s.Newest(g.Node))
	return outdated, outdated || s.Installed[g.Node] != ""
}

// Newest is the QEMU that a node has: the one installed, and where that is not known the newest that a machine runs there,
// which is no newer.
func (s *States) Newest(node string) string {
	if v := s.Installed[node]; v != "" {
		return v
	}
	return s.running[node]
}

// older compares versions of dotted numbers.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		x, y := 0, 0
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x < y
		}
	}
	return false
}

// Older reports whether QEMU version a is before b.
func Older(a, b string) bool { return older(a, b) }

// Orphan is a volume of a storage that no guest has in its configuration.
type Orphan struct {
	Storage string `json:"storage"`
	Volume  string `json:"volume"`
	Size    int64  `json:"size"`
	// VMID is in the name of the volume; Gone is true when there is no such guest.
	VMID int  `json:"vmid"`
	Gone bool `json:"gone"`
}

// Orphans lists the volumes with disks that no configuration names, as far as the contents of these storages are known;
// missing are the storages that no node told about.
func Orphans(r host.Reader, c *inventory.Cluster, storages []string) (orphans []Orphan, missing []string) {
	used, ids := references(c)
	seen := map[string]bool{}
	for _, storage := range storages {
		told := false
		for _, n := range c.Nodes {
			list, ok := contents(r, n.Name, storage)
			told = told || ok
			for _, v := range list {
				id, _ := strconv.Atoi(v.VMID.String())
				if !v.disk() || used[v.Volid] || used[tail(v.Volid)] || seen[v.Volid] {
					continue
				}
				seen[v.Volid] = true
				orphans = append(orphans, Orphan{Storage: storage, Volume: Clip(v.Volid), Size: v.bytes(), VMID: id, Gone: !ids[id]})
			}
		}
		if !told {
			missing = append(missing, storage)
		}
	}
	return orphans, missing
}

// content is a volume in the answer of the API.
type content struct {
	Volid, Content string
	Size, VMID     json.Number
}

func (v content) bytes() int64 {
	n, _ := v.Size.Float64()
	return int64(min(max(n, 0), 1<<60))
}

// disk reports whether the volume is a disk, not one that PVE makes for itself.
func (v content) disk() bool {
	return (v.Content == "images" || v.Content == "rootdir") && !strings.Contains(v.Volid, "-cloudinit") && !strings.Contains(v.Volid, "-state-")
}

func contents(r host.Reader, node, storage string) ([]content, bool) {
	b, err := inventory.API(r, "/nodes/"+node+"/storage/"+storage+"/content")
	if err != nil {
		return nil, false
	}
	var list []content
	return list, json.Unmarshal(b, &list) == nil
}

// tail is the volume without the base that it is a clone of.
func tail(volid string) string {
	storage, name, ok := strings.Cut(volid, ":")
	if !ok {
		return volid
	}
	return storage + ":" + path.Base(name)
}

// references lists the volumes that configurations name, snapshots and pending changes included.
func references(c *inventory.Cluster) (used map[string]bool, ids map[int]bool) {
	used, ids = map[string]bool{}, map[int]bool{}
	for _, g := range c.Guests {
		ids[g.ID] = true
		cfg, err := g.Config.Get()
		if err != nil || cfg == nil {
			continue
		}
		for _, v := range cfg.Volumes() {
			used[v.ID()], used[tail(v.ID())] = true, true // what is unused has an owner: Life tells
		}
		for _, v := range cfg.Pending.Volumes() {
			used[v.ID()] = true
		}
		for i := range cfg.Snapshots {
			for _, v := range cfg.Snapshots[i].Volumes() {
				used[v.ID()] = true
			}
			used[cfg.Snapshots[i].VMState] = true
		}
	}
	return used, ids
}

// Storages lists the storages that disks of guests lie on, sorted.
func Storages(c *inventory.Cluster) []string {
	seen := map[string]bool{}
	var all []string
	for _, g := range c.Guests {
		cfg, err := g.Config.Get()
		if err != nil || cfg == nil {
			continue
		}
		for _, v := range cfg.Volumes() {
			if v.Storage != "" && !v.CDROM && !seen[v.Storage] {
				seen[v.Storage] = true
				all = append(all, v.Storage)
			}
		}
	}
	slices.Sort(all)
	return all
}
