// Package inventory is the model of a Proxmox VE cluster: nodes, guests, principals, firewall, storage, networks, put
// together from the formats of internal/pve with PVE's own defaults. Everything stands on it: the answers of `castellan
// pve`, the cluster facts of a scan, the map, and later the gate.
//
// The model is read once, through a [host.Reader], from a node, a copy of its files, or the API put in the form of
// those files. It does not judge (internal/posture does) and does not print (internal/cli does). The questions live in
// packages below: rbac (who may do what), filter (which packet gets through), backup (what is covered) and topology
// (how the network looks).
package inventory

import (
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

// File is one configuration file, or why it could not be read. The zero File is unread: its value means nothing.
type File[T any] struct {
	// Path is where the file is, as on the node: "/etc/pve/user.cfg".
	Path string
	// Value is what the file says; of an absent file what its absence means to PVE.
	Value T
	// Absent is true when there is no such file, which has a meaning of its own (PVE's defaults).
	Absent bool
	// Err is why the value is not known: permission denied, too large, not asked for.
	Err error
	// Problems are the lines that PVE does not accept.
	Problems []pve.Problem
	read     bool
}

// Known reports whether Value can be relied on.
func (f File[T]) Known() bool { return f.read && f.Err == nil }

// Get returns the value, or the error that kept it from being known.
func (f File[T]) Get() (T, error) {
	if !f.read && f.Err == nil {
		return f.Value, errNotRead
	}
	return f.Value, f.Err
}

// Cluster is one Proxmox VE cluster, or a standalone node, which is a cluster of one.
type Cluster struct {
	// Name is totem.cluster_name; empty for a standalone node.
	Name string
	// Standalone is true when there is no corosync.conf.
	Standalone bool
	// Here is the node that the files were read on; empty when the model comes from the API.
	Here string
	// Release is the major version of Proxmox VE (8 or 9); 9 when it could not be told, then ReleaseKnown is false.
	Release      int
	ReleaseKnown bool

	Nodes  []*Node  // by name
	Guests []*Guest // by VMID

	Users         File[*usercfg.Config]
	Realms        File[*realmcfg.Config]
	TFA           File[*tfacfg.Config]
	Datacenter    File[*datacenter.Config]
	Firewall      File[*firewall.File] // cluster.fw
	VNetFirewalls map[string]File[*firewall.File]
	Storages      File[*storagecfg.Config]
	Jobs          File[*jobscfg.Config] // jobs.cfg
	CronJobs      File[*jobscfg.Config] // vzdump.cron
	Replication   File[*replicationcfg.Config]
	Notifications File[*notifycfg.Config]
	HA            File[*hacfg.Config]
	SDN           File[*sdncfg.Config]
	Ceph          File[*cephcfg.Config]
	Corosync      File[*corosync.Config]

	// ListErr is why nodes or guests could not be listed: then Nodes and Guests are not complete.
	ListErr error
}

// Node is a member of the cluster.
type Node struct {
	Name string
	// Here is true for the node that the files were read on.
	Here bool
	// Addresses are the addresses of its corosync links in their order, and of its name in /etc/hosts; empty when unknown.
	Addresses []string
	// Named are those that /etc/hosts gives its name: the first is the one that PVE takes for the node's.
	Named    []string
	Firewall File[*firewall.File] // host.fw
	// Network is /etc/network/interfaces with what it includes; Pending is interfaces.new, absent when nothing waits.
	Network File[*netcfg.Config]
	Pending File[*netcfg.Config]
}

// GuestKind tells virtual machines from containers.
type GuestKind string

// The kinds of guests, in PVE's words.
const (
	QEMU GuestKind = "qemu"
	LXC  GuestKind = "lxc"
)

// Guest is a virtual machine or a container.
type Guest struct {
	ID   int
	Kind GuestKind
	// Node is the node in whose directory the configuration lies.
	Node   string
	Config File[*guestcfg.Config]
	// Firewall is VMID.fw.
	Firewall File[*firewall.File]
}

// Node returns a node by name.
func (c *Cluster) Node(name string) (*Node, bool) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return nil, false
}

// Guest returns a guest by VMID.
func (c *Cluster) Guest(id int) (*Guest, bool) {
	for _, g := range c.Guests {
		if g.ID == id {
			return g, true
		}
	}
	return nil, false
}

// Title names a guest for people: "vm 100" or "ct 200".
func (g *Guest) Title() string {
	if g.Kind == LXC {
		return "ct " + itoa(g.ID)
	}
	return "vm " + itoa(g.ID)
}
