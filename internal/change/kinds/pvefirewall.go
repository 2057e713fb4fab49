package kinds

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

const clusterFW = pveDir + "/firewall/cluster.fw"

// pvefirewall changes the firewall of Proxmox VE. section says what of it:
//
//   - cluster, host, guest: options, in set; of the nodes or VMIDs in each ("local" is the node itself). "log_ratelimit.enable" is a part of an
//     option; an empty value takes an option away, "!2" takes it away when it is 2.
//   - alias, ipset, group, rules: what cluster.fw holds, or with each the files of nodes and guests. set holds aliases (name: network), ipsets (name: entries
//     parted by commas, blanks or lines), groups (name: rules, one a line), and rules (first or last: rules, one a line). What is missing is
//     added, nothing twice; with ensure: absent what is named is taken away, a set or group of which nothing is named as a whole.
//
// What one of the two programs of PVE would not read as it is meant cannot be made, nor a rule that never decides.
func pvefirewall(d *change.Draft, c change.Change) error {
	cl, err := inventory.Read(d, 0)
	if err != nil {
		return change.Cannot("this is no node of Proxmox VE: %v", err)
	}
	w := &fwChange{d: d, c: c, cl: cl}
	switch c.Section {
	case "", "cluster", "host", "guest":
		return w.options()
	case "alias", "ipset", "group", "rules":
		return w.lists()
	}
	return change.Cannot("the firewall has no section %q; it is cluster, host, guest, alias, ipset, group or rules", c.Section)
}

// fwChange is one change of firewall files while it is drafted.
type fwChange struct {
	d  *change.Draft
	c  change.Change
	cl *inventory.Cluster
}

// fwFile is one file that is changed.
type fwFile struct {
	kind firewall.Kind
	path string
}

// files turns the ids into files. kind "" takes nodes and guests.
func (w *fwChange) files(kind firewall.Kind) ([]fwFile, error) {
	if kind == firewall.ClusterFile || kind == "" && w.c.Each == nil {
		return []fwFile{{firewall.ClusterFile, clusterFW}}, nil
	}
	var out []fwFile
	for _, id := range w.c.Each {
		if id == "local" && kind != firewall.GuestFile {
			if w.cl.Here == "" {
				return nil, change.Cannot("which node this is cannot be told from /etc/hostname and /etc/pve/nodes")
			}
			id = w.cl.Here
		}
		_, node := w.cl.Node(id)
		n, err := strconv.Atoi(id)
		guest := false
		if err == nil {
			_, guest = w.cl.Guest(n)
		}
		switch node, guest := node && kind != firewall.GuestFile, guest && kind != firewall.HostFile; {
		case node && guest:
			return nil, change.Cannot("%s is a node and a guest", id)
		case node:
			out = append(out, fwFile{firewall.HostFile, path.Join(pveDir, "nodes", id, "host.fw")})
		case guest:
			out = append(out, fwFile{firewall.GuestFile, guestFirewall(id)})
		case kind == firewall.HostFile:
			return nil, change.Cannot("there is no node %q", id)
		case kind == firewall.GuestFile:
			return nil, change.Cannot("there is no guest %q", id)
		default:
			return nil, change.Cannot("%q is neither a node nor a guest", id)
		}
	}
	return out, nil
}

func (w *fwChange) options() error {
	kind := map[string]firewall.Kind{"host": firewall.HostFile, "guest": firewall.GuestFile}[w.c.Section]
	if kind == "" {
		kind = firewall.ClusterFile
	}
	files, err := w.files(kind)
	if err != nil {
		return err
	}
	for _, f := range files {
		old, _, err := w.d.Content(f.path)
		if err != nil {
			return err
		}
		b := old
		for _, name := range slices.Sorted(maps.Keys(w.c.Set)) {
			if b, err = fwOption(f, b, name, w.c.Set[name]); err != nil {
				return err
			}
		}
		if string(b) == string(old) {
			continue
		}
		if err := w.put(f, old, b); err != nil {
			return err
		}
		if f.kind == firewall.ClusterFile {
			if err := w.enabling(old, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// fwOption gives an option a value and makes sure that PVE reads it so.
func fwOption(f fwFile, b []byte, name, value string) ([]byte, error) {
	if err := pveText(name, value); err != nil {
		return nil, err
	}
	key, part, _ := strings.Cut(strings.ToLower(name), ".")
	was, _ := firewall.Parse(f.kind, b)
	o, set := was.Option(key)
	next, do := pveWanted(o.Value, set, value, strings.EqualFold)
	if part != "" {
		next, do = pvePart(o.Value, part, value, "enable")
	}
	if !do {
		return b, nil
	}
	e := firewall.NewEdit(f.kind, b)
	e.SetOption(key, next)
	now, _ := firewall.Parse(f.kind, e.Bytes())
	if got, set := now.Option(key); set != (next != "") || !strings.EqualFold(got.Value, next) {
		return nil, change.Cannot("pve-firewall would not read %s: %s from %s; castellan pve lint names what is wrong with the file", key, next, f.path)
	}
	return e.Bytes(), nil
}

// put drafts a file unless one of the two programs would refuse a line more than before.
func (w *fwChange) put(f fwFile, old, b []byte) error {
	was, before := firewall.Parse(f.kind, old)
	now, after := firewall.Parse(f.kind, b)
	if err := pveAccepted(f.path, before, after); err != nil {
		return err
	}
	if err := pveAccepted(f.path, refusals(was), refusals(now)); err != nil {
		return err
	}
	if err := pveWrite(w.d, f.path, b); err != nil {
		return err
	}
	if f.kind == firewall.ClusterFile {
		if err := pveShared(w.d, f.path); err != nil {
			return err
		}
	}
	if w.onIPTables() {
		return w.d.Do(change.Action{Verb: change.Check, Object: "pve-firewall compile"})
	}
	return nil
}

// refusals are the lines for which proxmox-firewall refuses a file.
func refusals(f *firewall.File) []pve.Problem {
	var out []pve.Problem
	for _, p := range f.Strict {
		if p.Effect == pve.Aborted {
			out = append(out, p)
		}
	}
	return out
}

// onIPTables reports whether this node's rules are made by pve-firewall, which can compile them for a look.
func (w *fwChange) onIPTables() bool {
	return w.cl.Here != "" && filter.DefaultBackend(w.cl, w.cl.Here) == filter.IPTables
}

// enabling says what it means that the firewall of the cluster goes on, and puts that on trial where pve-firewall can.
func (w *fwChange) enabling(old, b []byte) error {
	was, _ := firewall.Parse(firewall.ClusterFile, old)
	now, _ := firewall.Parse(firewall.ClusterFile, b)
	if now.Value("enable", "0") != "1" || was.Value("enable", "0") == "1" {
		return nil
	}
	w.d.Effect("the firewall goes on for the nodes, and for every guest whose own switches are on; connections that are open stay, new ones meet the rules")
	for _, n := range w.cl.Nodes {
		if filter.DefaultBackend(w.cl, n.Name) != filter.IPTables {
			w.d.Effect("%s uses nftables, which knows no enabling on trial: have a console of the node at hand", n.Name)
			return nil
		}
	}
	if !w.d.Live() || !w.onIPTables() {
		return nil
	}
	w.d.Effect("the firewall is on for about %d seconds first and goes off by itself unless this connection survives", int(TimedEnable{}.Hold().Seconds()))
	return w.d.OnTrial(clusterFW, TimedEnableName)
}
