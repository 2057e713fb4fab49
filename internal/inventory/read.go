package inventory

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/cephcfg"
	"github.com/castellan-project/castellan/internal/pve/corosync"
	"github.com/castellan-project/castellan/internal/pve/datacenter"
	"github.com/castellan-project/castellan/internal/pve/firewall"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
	"github.com/castellan-project/castellan/internal/pve/hacfg"
	"github.com/castellan-project/castellan/internal/pve/jobscfg"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
	"github.com/castellan-project/castellan/internal/pve/notifycfg"
	"github.com/castellan-project/castellan/internal/pve/realmcfg"
	"github.com/castellan-project/castellan/internal/pve/replicationcfg"
	"github.com/castellan-project/castellan/internal/pve/sdncfg"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
	"github.com/castellan-project/castellan/internal/pve/tfacfg"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

var errNotRead = errors.New("not read")

func itoa(n int) string { return strconv.Itoa(n) }

// Files and patterns below /etc/pve that make up the model. Every one is known beforehand, so that a target over SSH
// sends them in one round trip.
const (
	dir            = "/etc/pve"
	patNodes       = dir + "/nodes/*"
	patHostFW      = dir + "/nodes/*/host.fw"
	patQEMU        = dir + "/nodes/*/qemu-server/*.conf"
	patLXC         = dir + "/nodes/*/lxc/*.conf"
	patFW          = dir + "/firewall/*.fw"
	patVNetFW      = dir + "/sdn/firewall/*.fw"
	fileUsers      = dir + "/user.cfg"
	fileRealms     = dir + "/domains.cfg"
	fileTFA        = dir + "/priv/tfa.cfg"
	fileDatacenter = dir + "/datacenter.cfg"
	fileStorages   = dir + "/storage.cfg"
	fileJobs       = dir + "/jobs.cfg"
	fileCron       = dir + "/vzdump.cron"
	fileRepl       = dir + "/replication.cfg"
	fileNotify     = dir + "/notifications.cfg"
	fileCeph       = dir + "/ceph.conf"
	fileCorosync   = dir + "/corosync.conf"
	fileInterfaces = "/etc/network/interfaces"
	filePending    = "/etc/network/interfaces.new"
	fileHosts      = "/etc/hosts"
	fileHostname   = "/etc/hostname"
	fileRelease    = "/etc/os-release"
	fileReleaseUsr = "/usr/lib/os-release"
)

// includePatterns are what /etc/network/interfaces may include on a node (interfaces(5), "source").
var includePatterns = []string{"/etc/network/interfaces.d/*"}

// haFiles and sdnFiles are read together, each kind into one configuration.
var (
	haFiles  = []string{"resources.cfg", "groups.cfg", "rules.cfg", "fence.cfg"}
	sdnFiles = []string{"zones.cfg", "vnets.cfg", "subnets.cfg", "controllers.cfg", "ipams.cfg", "dns.cfg", "fabrics.cfg", ".running-config"}
)

// Needs lists everything that Read asks for, for targets that fetch in rounds.
func Needs() []host.Need {
	var needs []host.Need
	for _, p := range []string{patHostFW, patQEMU, patLXC, patFW, patVNetFW, fileUsers, fileRealms, fileTFA, fileDatacenter, fileStorages, fileJobs,
		fileCron, fileRepl, fileNotify, fileCeph, fileCorosync, fileInterfaces, filePending, fileHosts, fileHostname, fileRelease, fileReleaseUsr,
		dir + "/ha/*.cfg", dir + "/sdn/*.cfg", dir + "/sdn/.running-config", includePatterns[0]} {
		needs = append(needs, host.Need{Read: p})
	}
	for _, p := range []string{patNodes, patHostFW, patQEMU, patLXC, patFW, patVNetFW, includePatterns[0]} {
		needs = append(needs, host.Need{List: p})
	}
	return append(needs, host.Need{Stat: dir})
}

// Read reads the model. It does not fail as a whole once /etc/pve is there: what cannot be read is a File with its
// error. The error is fs.ErrNotExist (wrapped) when the target is no Proxmox VE node. Release is the major version to assume; 0 takes
// that of the target.
func Read(r host.Reader, release int) (*Cluster, error) {
	// On a target in rounds all questions have to be asked before the first answer is missed.
	_, statErr := r.Stat(dir)
	c := &Cluster{}
	rd := &reader{r: r, c: c}
	if c.Release, c.ReleaseKnown = release, true; release == 0 {
		rd.release()
	}
	rd.files()
	rd.nodes()
	rd.guests()
	if statErr != nil {
		return c, fmt.Errorf("this is no Proxmox VE node: %w", statErr)
	}
	return c, nil
}

type reader struct {
	r host.Reader
	c *Cluster
}

// load reads and parses one file. A file that is not there is parsed as empty.
func load[T any](r host.Reader, name string, parse func([]byte) (T, []pve.Problem)) File[T] {
	f := File[T]{Path: name, read: true}
	b, err := r.ReadFile(name)
	if err != nil && !host.NotExist(err) {
		f.Err = err
		return f
	}
	f.Absent = err != nil
	f.Value, f.Problems = parse(b)
	return f
}

// loadAll reads several files into one configuration; parse gets them by base name.
func loadAll[T any](r host.Reader, where string, names []string, parse func(map[string][]byte) (T, []pve.Problem)) File[T] {
	f := File[T]{Path: where, read: true, Absent: true}
	contents := map[string][]byte{}
	for _, n := range names {
		b, err := r.ReadFile(path.Join(where, n))
		switch {
		case err == nil:
			contents[n], f.Absent = b, false
		case !host.NotExist(err) && f.Err == nil:
			f.Err = err
		}
	}
	if f.Err == nil {
		f.Value, f.Problems = parse(contents)
	}
	return f
}

// release tells the major version from the Debian release: PVE 8 is on Debian 12, 9 on 13.
func (rd *reader) release() {
	b, err := rd.r.ReadFile(fileRelease)
	if usr, usrErr := rd.r.ReadFile(fileReleaseUsr); err != nil && usrErr == nil {
		b, err = usr, nil
	}
	rd.c.Release, rd.c.ReleaseKnown = 9, false
	if err != nil {
		return
	}
	for _, l := range host.Lines(b) {
		k, v, _ := strings.Cut(l, "=")
		if k != "VERSION_ID" {
			continue
		}
		switch strings.Trim(v, `"'`) {
		case "12":
			rd.c.Release, rd.c.ReleaseKnown = 8, true
		case "13":
			rd.c.Release, rd.c.ReleaseKnown = 9, true
		}
	}
}

func (rd *reader) files() {
	c, r := rd.c, rd.r
	c.Users = load(r, fileUsers, func(b []byte) (*usercfg.Config, []pve.Problem) { return usercfg.Parse(b, c.Release) })
	c.Realms = load(r, fileRealms, realmcfg.Parse)
	c.TFA = load(r, fileTFA, tfacfg.Parse)
	c.Datacenter = load(r, fileDatacenter, datacenter.Parse)
	c.Firewall = load(r, dir+"/firewall/cluster.fw", parseFW(firewall.ClusterFile))
	c.Storages = load(r, fileStorages, storagecfg.Parse)
	c.Jobs = load(r, fileJobs, jobscfg.Parse)
	c.CronJobs = load(r, fileCron, jobscfg.ParseCron)
	c.Replication = load(r, fileRepl, replicationcfg.Parse)
	c.Notifications = load(r, fileNotify, notifycfg.Parse)
	c.Ceph = load(r, fileCeph, cephcfg.Parse)
	c.Corosync = load(r, fileCorosync, func(b []byte) (*corosync.Config, []pve.Problem) { return corosync.Parse(b), nil })
	c.HA = loadAll(r, dir+"/ha", haFiles, hacfg.Parse)
	c.SDN = loadAll(r, dir+"/sdn", sdnFiles, sdncfg.Parse)
	c.Standalone = c.Corosync.Known() && c.Corosync.Absent
	if c.Corosync.Known() && !c.Corosync.Absent {
		c.Name = c.Corosync.Value.Totem["cluster_name"]
	}
	c.VNetFirewalls = map[string]File[*firewall.File]{}
	found, err := r.List(patVNetFW)
	rd.listed(err)
	for _, f := range found {
		c.VNetFirewalls[strings.TrimSuffix(path.Base(f.Path), ".fw")] = load(r, f.Path, parseFW(firewall.VNetFile))
	}
}

func parseFW(kind firewall.Kind) func([]byte) (*firewall.File, []pve.Problem) {
	return func(b []byte) (*firewall.File, []pve.Problem) { return firewall.Parse(kind, b) }
}

// listed remembers the first listing that failed.
func (rd *reader) listed(err error) {
	if err != nil && !host.NotExist(err) && rd.c.ListErr == nil {
		rd.c.ListErr = err
	}
}

// nodes are the directories of /etc/pve/nodes and the members that corosync.conf names.
func (rd *reader) nodes() {
	c, r := rd.c, rd.r
	names := map[string]bool{}
	found, err := r.List(patNodes)
	rd.listed(err)
	for _, f := range found {
		if f.Type == host.Dir {
			names[path.Base(f.Path)] = true
		}
	}
	links := map[string][]string{}
	if c.Corosync.Known() && !c.Corosync.Absent {
		for _, n := range c.Corosync.Value.Nodes {
			names[n.Name] = true
			links[n.Name] = n.Addresses
		}
	}
	c.Here = rd.here(names)
	text, _ := r.ReadFile(fileHosts) // without it the corosync links are the addresses
	table := hosts.Parse(text)
	delete(names, "")
	sorted := slices.Sorted(maps.Keys(names))
	if len(sorted) > maxNodes {
		rd.listed(fmt.Errorf("%d nodes are named; only the first %d are looked at", len(sorted), maxNodes))
		sorted = sorted[:maxNodes]
	}
	for _, n := range sorted {
		node := &Node{Name: n, Here: n == c.Here, Named: named(table, n)}
		node.Addresses = union(links[n], node.Named)
		node.Firewall = load(r, path.Join(dir, "nodes", n, "host.fw"), parseFW(firewall.HostFile))
		rd.network(node)
		c.Nodes = append(c.Nodes, node)
	}
}

// maxNodes bounds the nodes of a model. Corosync is tested with 32, and the largest clusters that are known have some 50
// (pve-docs, pvecm); every question is asked of every node, so a file that names thousands would only cost time.
const maxNodes = 500

// here is the node's own name, or the only one.
func (rd *reader) here(names map[string]bool) string {
	b, err := rd.r.ReadFile(fileHostname)
	if err == nil {
		for _, l := range host.Lines(b) {
			n, _, _ := strings.Cut(strings.TrimSpace(l), ".")
			if names[n] {
				return n
			}
		}
	}
	if len(names) == 1 {
		for n := range names {
			return n
		}
	}
	return ""
}

// named are the addresses that /etc/hosts gives a name, without those of the loopback interface.
func named(table hosts.Table, name string) []string {
	var out []string
	for _, a := range table.Resolve(name) {
		out = union(out, []string{a.String()})
	}
	return out
}

// union joins two lists, each element once.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// network reads the interfaces of the node itself from its files, and those of its peers from the API or a recorded
// answer of it: no node holds the files of another.
func (rd *reader) network(n *Node) {
	if _, err := rd.r.ReadFile(fileInterfaces); !n.Here || errors.Is(err, host.ErrUnavailable) {
		n.Network = File[*netcfg.Config]{Path: "/nodes/" + n.Name + "/network", read: true}
		answer, err := API(rd.r, n.Network.Path)
		if err != nil {
			n.Network.Err = err
		} else {
			n.Network.Value, n.Network.Problems = netcfg.ParseAPI(answer)
		}
		n.Pending = File[*netcfg.Config]{Path: n.Network.Path, Err: errNotRead}
		return
	}
	included := map[string][]byte{}
	for _, p := range includePatterns {
		found, err := rd.r.List(p)
		if err != nil {
			continue
		}
		for _, f := range found {
			if b, err := rd.r.ReadFile(f.Path); err == nil {
				included[f.Path] = b
			}
		}
	}
	parse := func(b []byte) (*netcfg.Config, []pve.Problem) { return netcfg.Parse(b, included) }
	n.Network = load(rd.r, fileInterfaces, parse)
	n.Pending = load(rd.r, filePending, parse)
}

// API asks `pvesh get PATH` for the JSON that the API answers. A target over pve:// asks the API; a copy holds recorded
// answers in .castellan/run/pvesh-...; on a node the command itself is not run by a scan, because each call takes about a
// second of processor time.
func API(r host.Reader, resource string) ([]byte, error) {
	out, err := r.Run(APICommand(resource))
	if err != nil {
		return nil, err
	}
	if out.Code != 0 {
		return nil, fmt.Errorf("pvesh get %s ended with code %d", resource, out.Code)
	}
	return out.Stdout, nil
}

// apiTimeout bounds one call of pvesh.
const apiTimeout = 30 * time.Second

// APICommand is the command that answers a resource of the API: "/cluster/resources", "/nodes/pve1/network". Parameters follow a question
// mark, encoded as in a URL: "/access/permissions?userid=alice%40pve"; pvesh takes them as options (--userid alice@pve).
func APICommand(resource string) host.Command {
	name := []byte("pvesh" + strings.ToLower(resource))
	for i, b := range name {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') {
			name[i] = '-'
		}
	}
	argv := []string{"pvesh", "get", resource}
	if path, query, ok := strings.Cut(resource, "?"); ok {
		argv[2] = path
		for part := range strings.SplitSeq(query, "&") {
			k, v, _ := strings.Cut(part, "=")
			if text, err := url.QueryUnescape(v); err == nil {
				v = text
			}
			argv = append(argv, "--"+k, v)
		}
	}
	return host.Command{Name: string(name), Argv: append(argv, "--output-format", "json"), Timeout: apiTimeout}
}

func (rd *reader) guests() {
	c, r := rd.c, rd.r
	for kind, pattern := range map[GuestKind]string{QEMU: patQEMU, LXC: patLXC} {
		found, err := r.List(pattern)
		rd.listed(err)
		for _, f := range found {
			id, err := strconv.Atoi(strings.TrimSuffix(path.Base(f.Path), ".conf"))
			if err != nil || id < 1 {
				continue // PVE looks at names of digits only
			}
			g := &Guest{ID: id, Kind: kind, Node: strings.Split(f.Path, "/")[4]}
			g.Config = load(r, f.Path, func(b []byte) (*guestcfg.Config, []pve.Problem) { return guestcfg.Parse(string(kind), b) })
			g.Firewall = load(r, path.Join(dir, "firewall", itoa(id)+".fw"), parseFW(firewall.GuestFile))
			c.Guests = append(c.Guests, g)
		}
	}
	slices.SortFunc(c.Guests, func(a, b *Guest) int {
		if a.ID != b.ID {
			return a.ID - b.ID
		}
		return strings.Compare(a.Node, b.Node)
	})
}
