package filter

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve"
)

// Options are what the compiler has to know besides the files.
type Options struct {
	// Now decides about "enable: UNIXTIME" in cluster.fw, which counts for a minute. The zero time is after that minute.
	Now time.Time
}

// EndpointKind tells where a packet comes from or goes to.
type EndpointKind string

// The kinds of endpoints.
const (
	// Host is the node itself.
	Host EndpointKind = "host"
	// Outside is what lies beyond the physical port of a bridge, or behind another interface of the node. A NIC of a
	// guest without "firewall=1" is the same to the firewall: one more port of the bridge.
	Outside EndpointKind = "outside"
	// GuestNIC is a NIC of a guest on this node.
	GuestNIC EndpointKind = "guest"
)

// Endpoint is one end of a path, seen from one node.
type Endpoint struct {
	Kind EndpointKind
	// VMID and Net name the NIC of a guest: 100 and 0 for "vm/100/net0".
	VMID, Net int
	// Iface is the interface of the node through which the packet comes or goes, which "-i" in host.fw and cluster.fw
	// compares: a bridge, or a plain interface.
	Iface string
}

// NIC is a network card of a guest on this node and what the firewall makes of it.
type NIC struct {
	VMID   int
	Kind   inventory.GuestKind
	Net    int
	Bridge string
	MAC    string
	// Addresses are the static addresses that the configuration gives it, for containers from netN, for virtual
	// machines from ipconfigN.
	Addresses []netip.Prefix
	// Firewall is the flag "firewall=1".
	Firewall bool
	// Missing names the first of the switches that is off; empty when the NIC is filtered. MissingChain may concern one
	// direction or one family only: see MissingWhy.
	Missing Missing
	// MissingWhy says more about MissingChain and MissingRuleset: which packets, and because of which line.
	MissingWhy string
}

// Missing is why a NIC is not filtered.
type Missing string

// The switches, and what else leaves a NIC without a filter.
const (
	MissingCluster Missing = "cluster.fw enable"
	MissingGuest   Missing = "VMID.fw enable"
	MissingFlag    Missing = "firewall=1 on the NIC"
	// MissingChain means that a security group that cannot be generated keeps pve-firewall from making the chains.
	MissingChain Missing = "chain: a security group cannot be generated"
	// MissingRuleset means that proxmox-firewall refuses a file, so that after a boot no rule at all is loaded.
	MissingRuleset Missing = "ruleset: proxmox-firewall refuses a file"
)

// Refusal is a line for which proxmox-firewall refuses to load anything on the node.
type Refusal struct {
	Path string
	pve.Problem
}

// Network is the firewall of one node, compiled for one backend. Stages are made when they are first asked for; a Network
// must not be used by several goroutines at once.
type Network struct {
	Node    string
	Backend Backend
	// Enabled is the switch "enable" of cluster.fw, HostEnabled that of host.fw: without the first nothing is filtered,
	// without the second the node is not.
	Enabled, HostEnabled bool
	// Refused is what keeps proxmox-firewall from loading its rules. It keeps the rules that it has; after a boot there
	// are none, and that is what a Network then answers: everything is accepted.
	Refused []Refusal

	files    *nodeFiles
	compiler compiler
	stages   map[stageKey]*Stage
}

// compiler makes the stages of one backend.
type compiler interface {
	hostIn(iface string, marked bool, family int) *Stage
	hostOut(iface string, family int) *Stage
	guest(c *nic, d direction, family int) *Stage
	// forward are the stages between two bridges, or within one; from and to are names of interfaces.
	forward(from, to string, family int) []*Stage
	// missing says why a NIC has no chain, in a word and in a sentence.
	missing(c *nic, d direction, family int) (Missing, string)
}

// stageKey names a stage that was made: of a NIC, or of an interface of the node when NIC is nil.
type stageKey struct {
	nic    *nic
	iface  string
	dir    direction
	marked bool
	family int
}

// New compiles the firewall of a node. An error means that a file that decides for the whole node could not be read; what
// concerns one guest only is told by [Network.Known].
func New(c *inventory.Cluster, node string, backend Backend, o Options) (*Network, error) {
	n, ok := c.Node(node)
	if !ok {
		return nil, fmt.Errorf("there is no node %s", node)
	}
	files, err := readNode(c, n, backend == NFTables)
	if err != nil {
		return nil, err
	}
	net := &Network{Node: node, Backend: backend, files: files, stages: map[stageKey]*Stage{}}
	net.Enabled, net.HostEnabled = files.enabled(o.Now, backend), files.hostEnabled()
	names := newNames(files.cluster, backend == NFTables)
	names.sdn = sdnSets(c)
	if backend == NFTables {
		net.Refused = files.refused()
		net.compiler = newRust(files, names, net.Refused)
	} else {
		names.localNet = files.localNetwork()
		net.compiler = newPerl(files, names)
	}
	return net, nil
}

// DefaultBackend is the one that host.fw of the node chooses.
func DefaultBackend(c *inventory.Cluster, node string) Backend {
	if n, ok := c.Node(node); ok && n.Firewall.Known() && n.Firewall.Value.On("nftables", false) {
		return NFTables
	}
	return IPTables
}

// Known is why what an endpoint lets through cannot be told; nil when it can.
func (n *Network) Known(e Endpoint) error {
	if c := n.nic(e); c != nil {
		return c.guest.err
	}
	return nil
}

func (n *Network) nic(e Endpoint) *nic {
	if e.Kind != GuestNIC {
		return nil
	}
	return n.files.nic(e.VMID, e.Net)
}

// NICs lists the NICs of the guests of this node by VMID and number.
func (n *Network) NICs() []NIC {
	var list []NIC
	for _, g := range n.files.guests {
		for _, c := range g.nics {
			x := c.NIC
			x.Missing, x.MissingWhy = n.missing(c)
			list = append(list, x)
		}
	}
	return list
}

// missing puts together what the chains of a NIC lack, in both directions and families.
func (n *Network) missing(c *nic) (Missing, string) {
	if !n.Enabled {
		return MissingCluster, ""
	}
	var missing Missing
	why, sides, all := "", "", true
	for _, family := range []int{4, 6} {
		for d := in; d <= out; d++ {
			m, text := n.compiler.missing(c, d, family)
			if m == "" {
				all = false
				continue
			}
			if missing == "" {
				missing, why = m, text
			}
			sides += fmt.Sprintf(", IPv%d %s", family, d)
		}
	}
	if missing != "" && !all {
		why += " (only" + sides[1:] + ")"
	}
	return missing, why
}

// Path lists the stages that a packet of a family (4 or 6) passes on its way, in order. None means that nothing filters.
func (n *Network) Path(from, to Endpoint, family int) []*Stage {
	if !n.Enabled {
		return nil
	}
	var path []*Stage
	marked := false
	fromNIC, toNIC := n.nic(from), n.nic(to)
	if fromNIC != nil {
		from.Iface = fromNIC.Bridge
		if fromNIC.Firewall {
			path = append(path, n.stage(stageKey{nic: fromNIC, dir: out, family: family}))
			missing, _ := n.compiler.missing(fromNIC, out, family)
			marked = missing == ""
		}
	}
	if toNIC != nil {
		to.Iface = toNIC.Bridge
	}
	switch {
	case from.Kind == Host:
		if n.HostEnabled {
			path = append(path, n.stage(stageKey{iface: to.Iface, dir: out, family: family}))
		}
		path = append(path, n.compiler.forward("", to.Iface, family)...)
	case to.Kind == Host:
		path = append(path, n.compiler.forward(from.Iface, "", family)...)
		if n.HostEnabled {
			path = append(path, n.stage(stageKey{iface: from.Iface, dir: in, marked: marked, family: family}))
		}
	default:
		path = append(path, n.compiler.forward(from.Iface, to.Iface, family)...)
	}
	if toNIC != nil && toNIC.Firewall {
		path = append(path, n.stage(stageKey{nic: toNIC, dir: in, family: family}))
	}
	return path
}

func (n *Network) stage(k stageKey) *Stage {
	if s, ok := n.stages[k]; ok {
		return s
	}
	var s *Stage
	switch {
	case k.nic != nil:
		s = n.compiler.guest(k.nic, k.dir, k.family)
	case k.dir == in:
		s = n.compiler.hostIn(k.iface, k.marked, k.family)
	default:
		s = n.compiler.hostOut(k.iface, k.family)
	}
	n.stages[k] = s
	return s
}

// Forget drops the stages of a NIC, for callers that go through thousands of guests once.
func (n *Network) Forget(e Endpoint) {
	c := n.nic(e)
	for _, family := range []int{4, 6} {
		for d := in; d <= out; d++ {
			delete(n.stages, stageKey{nic: c, dir: d, family: family})
		}
	}
}

// Unfiltered says why nothing filters between two endpoints; it is for paths without stages.
func (n *Network) Unfiltered(from, to Endpoint) Reason {
	switch {
	case !n.Enabled:
		return Reason{File: n.files.clusterPath, Line: enableLine(n.files.cluster), Rule: "not filtered: the firewall of the cluster is off"}
	case (from.Kind == Host || to.Kind == Host) && !n.HostEnabled:
		return Reason{File: n.files.hostPath, Line: enableLine(n.files.host), Rule: "not filtered: the firewall of the node is off"}
	}
	return Reason{Rule: "not filtered: no filter stands on the way"}
}

// Addresses lists the addresses of the node, first the one that its name stands for, with the length of its network, or
// the full length when that is not known.
func (n *Network) Addresses() []netip.Prefix { return n.files.addresses }
