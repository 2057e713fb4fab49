package filter

import (
	"errors"
	"net/netip"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
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
	// Missing names the first of the switches that is off, for packets in or out; empty when the NIC is filtered.
	Missing Missing
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

// Network is the firewall of one node, compiled for one backend. Stages are made when they are first asked for; a Network
// must not be used by several goroutines at once.
type Network struct {
	Node    string
	Backend Backend
}

// New compiles the firewall of a node. An error means that a file that decides could not be read.
func New(c *inventory.Cluster, node string, backend Backend, o Options) (*Network, error) {
	return nil, errors.New("not yet")
}

// DefaultBackend is the one that host.fw of the node chooses.
func DefaultBackend(c *inventory.Cluster, node string) Backend { return IPTables }

// Endpoint reads "host", "outside", "outside/IFACE", "BRIDGE/PORT", "vm/ID", "ct/ID", "guest/ID", each guest with an
// optional "/netN" (net0 when there is none), also with ":" instead of "/". The error says what there is.
func (n *Network) Endpoint(text string) (Endpoint, error) { return Endpoint{}, errors.New("not yet") }

// NICs lists the NICs of the guests of this node by VMID and number.
func (n *Network) NICs() []NIC { return nil }

// Path lists the stages that a packet of a family (4 or 6) passes on its way, in order. None means that nothing filters.
func (n *Network) Path(from, to Endpoint, family int) []*Stage { return nil }

// Addresses lists the addresses of the node, first the one that its name stands for.
func (n *Network) Addresses() []netip.Prefix { return nil }
