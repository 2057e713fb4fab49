package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

const (
	corosyncFile  = "/etc/pve/corosync.conf"
	knownFile     = "/etc/pve/priv/known_hosts"
	authorizedPVE = "/etc/pve/priv/authorized_keys"
	membersFile   = "/etc/pve/.members"
	haDefaults    = "/etc/default/pve-ha-manager"
	cephFile      = "/etc/pve/ceph.conf"
	proxyCerts    = "/etc/pve/nodes/*/pveproxy-ssl.pem"
)

// fencingUnits are the services without which a node is not fenced (pve-ha-manager).
func fencingUnits() []string {
	return []string{"watchdog-mux.service", "pve-ha-lrm.service", "pve-ha-crm.service"}
}

// clusterNeeds is what the subject cluster reads beyond the inventory.
func clusterNeeds() []host.Need {
	needs := []host.Need{{Read: knownFile}, {Read: authorizedPVE}, {Read: membersFile}, {Read: haDefaults}, {List: proxyCerts}}
	for _, u := range fencingUnits() {
		needs = append(needs, host.Need{List: "/etc/systemd/system/" + u})
	}
	return needs
}

// clusterState is what the facts of the subject cluster are made from.
type clusterState struct {
	c     *Context
	plain host.Reader
	cl    *inventory.Cluster
	facts posture.ClusterFacts
}

// clusterFacts fills the subject cluster.
func clusterFacts(c *Context, cl *inventory.Cluster) posture.ClusterFacts {
	s := &clusterState{c: c, plain: c.Host, cl: cl}
	if rec, ok := c.Host.(*recorder); ok {
		s.plain = rec.Reader
	}
	s.membership()
	s.now()
	s.deviations()
	s.availability()
	s.fencing()
	s.replication()
	s.ceph()
	s.facts.Compared = posture.Unknown[bool](posture.Problemf("unavailable", "one node does not know the results of the others; scan all of them in one run"), "")
	s.pools()
	return s.facts
}

// membership compares corosync.conf with what is left of nodes elsewhere.
func (s *clusterState) membership() {
	f := &s.facts
	cfg, err := s.cl.Corosync.Get()
	if err == nil && s.cl.Corosync.Absent && s.c.API {
		err = posture.Problemf("unavailable", "the API did not tell the members")
	}
	if err == nil && len(cfg.Problems) > 0 && len(cfg.Nodes) == 0 && !s.cl.Corosync.Absent {
		err = posture.Problemf("malformed", "corosync.conf names no nodes: %s", cfg.Problems[0])
	}
	if err != nil {
		f.Standalone, f.Name = posture.Unknown[bool](err, corosyncFile), posture.Unknown[string](err, corosyncFile)
		f.Members, f.Leftovers, f.Missing = posture.Unknown[[]string](err, corosyncFile), posture.Unknown[[]string](err, corosyncFile), posture.Unknown[[]string](err, corosyncFile)
		f.Votes, f.QDevice = posture.Unknown[int](err, corosyncFile), posture.Unknown[bool](err, corosyncFile)
		return
	}
	f.Standalone, f.Name = configured(s.cl.Standalone, corosyncFile), configured(s.cl.Name, corosyncFile)
	f.QDevice = configured(cfg.Device["model"] == "net", corosyncFile)
	members, votes := []string{}, 0
	for _, n := range cfg.Nodes {
		members, votes = append(members, n.Name), votes+n.Votes
	}
	if s.cl.Standalone {
		if s.cl.Here == "" {
			err := posture.Problemf("unavailable", "the name of this node is not known")
			f.Members, f.Leftovers, f.Missing = posture.Unknown[[]string](err, ""), posture.Unknown[[]string](err, ""), posture.Unknown[[]string](err, "")
			return
		}
		members, votes = []string{s.cl.Here}, 1
	}
	slices.Sort(members)
	f.Members, f.Votes = configured(members, corosyncFile), configured(votes, corosyncFile)
	s.traces(members)
}

// traces finds what is left of nodes that are no members, and members without a directory.
func (s *clusterState) traces(members []string) {
	f := &s.facts
	files, err := s.plain.List("/etc/pve/nodes/*")
	if err != nil {
		f.Leftovers, f.Missing = posture.Unknown[[]string](err, "/etc/pve/nodes"), posture.Unknown[[]string](err, "/etc/pve/nodes")
		return
	}
	left, missing, gone := []string{}, []string{}, map[string]bool{}
	dirs := map[string]bool{}
	for _, d := range files {
		name := path.Base(d.Path)
		dirs[name] = d.Type == host.Dir
		if dirs[name] && !slices.Contains(members, name) {
			left, gone[name] = append(left, "directory "+d.Path), true
		}
	}
	for _, m := range members {
		if !dirs[m] {
			missing = append(missing, m)
		}
	}
	f.Missing = configured(missing, "/etc/pve/nodes")
	known, knownErr := s.plain.ReadFile(knownFile)
	for _, name := range hostNames(known) {
		if !slices.Contains(members, name) && name != "localhost" {
			left, gone[name] = append(left, "host key of "+name+" in "+knownFile), true
		}
	}
	// The comment of a node's key is root@NODE; keys of people who call themselves so elsewhere are not meant.
	keys, keysErr := s.plain.ReadFile(authorizedPVE)
	for i, line := range host.Lines(keys) {
		_, name, ok := strings.Cut(line, " root@")
		if name = strings.TrimSpace(name); ok && gone[name] {
			left = append(left, fmt.Sprintf("key of root@%s in %s:%d", name, authorizedPVE, i+1))
		}
	}
	f.Leftovers = configured(left, "/etc/pve")
	for _, err := range []error{knownErr, keysErr} {
		if err != nil && !host.NotExist(err) && len(left) == 0 {
			f.Leftovers = posture.Unknown[[]string](err, knownFile)
		}
	}
}

// hostNames are the names, addresses left out, that a known_hosts file has keys of.
func hostNames(b []byte) []string {
	var names []string
	for _, line := range host.Lines(b) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0][0] == '#' || fields[0][0] == '@' || fields[0][0] == '|' {
			continue
		}
		for n := range strings.SplitSeq(fields[0], ",") {
			n, _, _ = strings.Cut(strings.Trim(n, "[]"), "]")
			if _, err := netip.ParseAddr(n); err != nil && n != "" && !strings.ContainsAny(n, ".*?!:") {
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// now reads what the cluster file system says about the present.
func (s *clusterState) now() {
	f := &s.facts
	b, err := s.plain.ReadFile(membersFile)
	var m *corosync.Members
	if err == nil {
		m, err = corosync.ParseMembers(b)
	}
	if err != nil && s.statusFromAPI() {
		return
	}
	if err != nil {
		f.Quorate, f.Offline = posture.Unknown[bool](err, membersFile), posture.Unknown[[]string](err, membersFile)
		return
	}
	offline := []string{}
	for _, n := range m.Nodes {
		if !n.Online {
			offline = append(offline, n.Name)
		}
	}
	f.Quorate = posture.Known(m.Quorate || !m.Cluster, posture.Effective, membersFile)
	f.Offline = posture.Known(offline, posture.Effective, membersFile)
}

// statusFromAPI asks the API instead, which has no such file. A standalone node has no entry of the type cluster and is
// always quorate.
func (s *clusterState) statusFromAPI() bool {
	const resource = "/cluster/status"
	answer, err := inventory.API(s.c.Host, resource)
	var raw []struct {
		Type    string `json:"type"`
		Name    string `json:"name"`
		Quorate int    `json:"quorate"`
		Online  *int   `json:"online"`
	}
	if err != nil || json.Unmarshal(answer, &raw) != nil || len(raw) == 0 {
		return false
	}
	quorate, offline := true, []string{}
	for _, x := range raw {
		switch {
		case x.Type == "cluster":
			quorate = x.Quorate != 0
		case x.Type == "node" && x.Online != nil && *x.Online == 0:
			offline = append(offline, x.Name)
		}
	}
	s.facts.Quorate = posture.Known(quorate, posture.Effective, resource)
	s.facts.Offline = posture.Known(offline, posture.Effective, resource)
	return true
}

// deviations compares what /etc/pve says about the nodes.
func (s *clusterState) deviations() {
	list := []string{}
	options := map[string]map[string]string{} // option -> node -> value
	var nodes []*inventory.Node
	for _, n := range s.cl.Nodes {
		if !s.facts.Members.IsKnown() || slices.Contains(s.facts.Members.Value, n.Name) {
			nodes = append(nodes, n)
		}
	}
	for _, n := range nodes {
		fw, err := n.Firewall.Get()
		if err != nil {
			s.facts.Deviations = posture.Unknown[[]string](err, n.Firewall.Path)
			return
		}
		for _, o := range fw.Options {
			if options[o.Name] == nil {
				options[o.Name] = map[string]string{}
			}
			options[o.Name][n.Name] = o.Value
		}
	}
	names := make([]string, 0, len(options))
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var values, parts []string
		for _, n := range nodes {
			v, ok := options[name][n.Name]
			if !ok {
				v = "unset"
			}
			values, parts = append(values, v), append(parts, n.Name+" "+v)
		}
		slices.Sort(values)
		if len(slices.Compact(values)) > 1 && len(list) < 50 {
			list = append(list, name+" of host.fw: "+strings.Join(parts, ", "))
		}
	}
	certs, err := s.plain.List(proxyCerts)
	if err == nil && len(certs) > 0 && len(certs) < len(nodes) {
		var own []string
		for _, c := range certs {
			own = append(own, path.Base(path.Dir(c.Path)))
		}
		list = append(list, "a certificate of its own for the web interface: only "+strings.Join(own, ", "))
	}
	s.facts.Deviations = configured(list, "/etc/pve/nodes")
	if joined := errors.Join(err, s.cl.ListErr); joined != nil {
		s.facts.Deviations = posture.Unknown[[]string](joined, "/etc/pve/nodes")
	}
}
