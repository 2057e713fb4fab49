package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

const (
	haFile          = "/etc/pve/ha/resources.cfg"
	replicationFile = "/etc/pve/replication.cfg"
)

// availability says what high availability manages and what of it cannot be started elsewhere.
func (s *clusterState) availability() {
	f := &s.facts
	cfg, err := s.cl.HA.Get()
	if err != nil {
		f.HAGuests, f.HAFaults = posture.Unknown[[]string](err, haFile), posture.Unknown[[]string](err, haFile)
		f.HAStuck = posture.Unknown[[]posture.EstateNote](err, haFile)
		return
	}
	guests, faults, stuck := []string{}, []string{}, []posture.EstateNote{}
	for i, p := range s.cl.HA.Problems {
		if i == 50 {
			break
		}
		faults = append(faults, fmt.Sprintf("ha:%d: %s", p.Line, p.Text))
	}
	exists := map[int]*inventory.Guest{}
	for _, g := range s.cl.Guests {
		exists[g.ID] = g
	}
	var unknown error
	for _, r := range cfg.Resources {
		g := exists[r.Guest]
		if g == nil {
			if s.cl.ListErr == nil {
				faults = append(faults, fmt.Sprintf("resources.cfg:%d: %s %d does not exist", r.Line, r.Kind, r.Guest))
			}
			continue
		}
		if !r.Managed() {
			continue
		}
		guests = append(guests, g.Title())
		why, err := s.stuck(g)
		unknown = errors.Join(unknown, err)
		if nodes := cfg.Nodes(r.Guest); len(nodes) == 1 {
			why = append(why, "bound to "+nodes[0])
		}
		if len(why) > 0 {
			stuck = append(stuck, note(g.ID, g.Title(), strings.Join(why, ", ")))
		}
	}
	f.HAGuests, f.HAFaults, f.HAStuck = configured(guests, haFile), configured(faults, haFile), configured(stuck, haFile)
	if unknown != nil && len(stuck) == 0 {
		f.HAStuck = posture.Unknown[[]posture.EstateNote](unknown, haFile)
	}
}

// stuck says what keeps a guest on its node: disks that only this node has, devices, directories.
func (s *clusterState) stuck(g *inventory.Guest) ([]string, error) {
	cfg, err := g.Config.Get()
	if err != nil {
		return nil, err
	}
	stores, err := s.cl.Storages.Get()
	if err != nil {
		return nil, err
	}
	replicated, err := s.replicated(g.ID)
	if err != nil {
		return nil, err
	}
	var why []string
	for _, v := range cfg.Volumes() {
		if v.Unused {
			continue
		}
		if v.Path != "" {
			if v.Path != "cdrom" && !v.Shared {
				why = append(why, v.Key+" is "+v.Path+" of the node")
			}
			continue
		}
		st, ok := stores.Storage(v.Storage)
		if v.Storage != "" && ok && !st.Shared && !(replicated && v.Replicate && !v.CDROM) {
			why = append(why, v.Key+" on "+v.Storage)
		}
	}
	return append(why, devices(cfg)...), nil
}

// devices are those of the node that a guest uses by their own address and not by a mapping, which other nodes may have too.
func devices(cfg *guestcfg.Config) []string {
	var why []string
	for _, family := range []string{"hostpci", "usb", "serial", "parallel", "dev"} {
		for _, e := range cfg.Current.Numbered(family) {
			mapped := strings.Contains(e.Value, "mapping=")
			harmless := family == "usb" && strings.HasPrefix(e.Value, "spice") || family == "serial" && e.Value == "socket"
			if !mapped && !harmless {
				why = append(why, e.Key+" is a device of the node")
			}
		}
	}
	return why
}

// replicated reports whether the disks of a guest are copied to another node.
func (s *clusterState) replicated(id int) (bool, error) {
	cfg, err := s.cl.Replication.Get()
	if err != nil {
		return false, err
	}
	for _, j := range cfg.Jobs {
		if j.Guest == id && !j.Disabled && j.Remove == "" {
			return true, nil
		}
	}
	return false, nil
}

// fencing says how a node that is lost is kept from writing.
func (s *clusterState) fencing() {
	f := &s.facts
	dc, err := s.cl.Datacenter.Get()
	if err != nil {
		f.Fencing = posture.Unknown[string](err, datacenterFile)
	} else if _, set := dc.Get("fencing"); set {
		f.Fencing = configured(dc.Fencing(), fmt.Sprintf("%s:%d", datacenterFile, dc.LineOf("fencing")))
	} else {
		f.Fencing = posture.Known(dc.Fencing(), posture.Default, "default of Proxmox VE")
	}
	b, err := s.plain.ReadFile(haDefaults)
	f.Watchdog = posture.Known("softdog", posture.Default, "default of pve-ha-manager")
	if err != nil && !host.NotExist(err) {
		f.Watchdog = posture.Unknown[string](err, haDefaults)
	}
	for i, l := range host.Lines(b) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), "WATCHDOG_MODULE="); ok {
			f.Watchdog = configured(strings.Trim(v, `"'`), fmt.Sprintf("%s:%d", haDefaults, i+1))
		}
	}
	masked := []string{}
	for _, u := range fencingUnits() {
		files, err := s.plain.List("/etc/systemd/system/" + u)
		if err != nil {
			f.MaskedUnits = posture.Unknown[[]string](err, u)
			return
		}
		for _, x := range files {
			if x.Type == host.Link && x.Link == "/dev/null" {
				masked = append(masked, u)
			}
		}
	}
	f.MaskedUnits = configured(masked, "/etc/systemd/system")
}

// replication looks at the jobs that copy disks.
func (s *clusterState) replication() {
	f := &s.facts
	cfg, err := s.cl.Replication.Get()
	if err == nil {
		err = s.cl.ListErr
	}
	if err != nil {
		f.Replications = posture.Unknown[int](err, replicationFile)
		f.ReplicationFaults = posture.Unknown[[]posture.EstateNote](err, replicationFile)
		return
	}
	nodes, guests := map[string]bool{}, map[int]*inventory.Guest{}
	for _, n := range s.cl.Nodes {
		nodes[n.Name] = true
	}
	for _, g := range s.cl.Guests {
		guests[g.ID] = g
	}
	faults := []posture.EstateNote{}
	for _, j := range cfg.Jobs {
		name := fmt.Sprintf("%s (replication.cfg:%d)", j.ID, j.Line)
		g := guests[j.Guest]
		switch {
		case j.Remove != "":
			faults = append(faults, note(j.Guest, name, "is to be removed"))
		case j.Disabled:
			faults = append(faults, note(j.Guest, name, "switched off"))
		case g == nil:
			faults = append(faults, note(j.Guest, name, "the guest does not exist"))
		case !nodes[j.Target]:
			faults = append(faults, note(j.Guest, name, "there is no node "+j.Target))
		case g.Node == j.Target:
			faults = append(faults, note(j.Guest, name, "the guest is on "+j.Target+" itself"))
		}
	}
	for i, p := range s.cl.Replication.Problems {
		if i == 50 {
			break
		}
		faults = append(faults, posture.EstateNote{Name: "replication.cfg", Text: fmt.Sprintf("replication.cfg:%d: %s", p.Line, p.Text)})
	}
	f.Replications, f.ReplicationFaults = configured(len(cfg.Jobs), replicationFile), configured(faults, replicationFile)
}

// ceph reads what ceph.conf says about pools and authentication.
func (s *clusterState) ceph() {
	f := &s.facts
	cfg, err := s.cl.Ceph.Get()
	if err == nil && s.cl.Ceph.Absent && s.c.API {
		err = posture.Problemf("unavailable", "the API did not tell ceph.conf")
	}
	if err != nil {
		f.Ceph, f.PoolSize, f.PoolMinSize = posture.Unknown[bool](err, cephFile), posture.Unknown[int](err, cephFile), posture.Unknown[int](err, cephFile)
		f.CephAuth = posture.Unknown[[]string](err, cephFile)
		return
	}
	f.Ceph = configured(!s.cl.Ceph.Absent, cephFile)
	open := []string{}
	for _, side := range []string{"cluster", "service", "client"} {
		if !strings.Contains(cfg.Auth(side), "cephx") {
			open = append(open, side)
		}
	}
	f.PoolSize, f.PoolMinSize, f.CephAuth = configured(cfg.PoolSize(), cephFile), configured(cfg.PoolMinSize(), cephFile), configured(open, cephFile)
}

// pools asks the API which pools there are; erasure-coded pools have no copies and are left out.
func (s *clusterState) pools() {
	node := s.cl.Here
	if node == "" && len(s.cl.Nodes) > 0 {
		node = s.cl.Nodes[0].Name
	}
	resource := "/nodes/" + node + "/ceph/pool"
	answer, err := inventory.API(s.c.Host, resource)
	var raw []struct {
		Name    string `json:"pool_name"`
		Type    string `json:"type"`
		Size    int    `json:"size"`
		MinSize int    `json:"min_size"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &raw)
	}
	if err != nil {
		s.facts.Pools = posture.Unknown[[]posture.CephPool](err, resource)
		return
	}
	pools := []posture.CephPool{}
	for _, p := range raw {
		if p.Type != "erasure" {
			pools = append(pools, posture.CephPool{Name: p.Name, Size: p.Size, MinSize: p.MinSize})
		}
	}
	s.facts.Pools = posture.Known(pools, posture.Effective, resource)
}
