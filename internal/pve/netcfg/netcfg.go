// Package netcfg reads the network configuration of a node: /etc/network/interfaces with what it includes, the edits that
// wait in interfaces.new, and the same as the API tells it. It knows the kinds of interfaces that Proxmox VE knows (bridge, bond,
// VLAN, Open vSwitch ...) and keeps everything else as raw options, because a "post-up iptables" line is what an
// administrator forgets first.
//
// Two programs read the file: ifupdown2, which brings the interfaces up, and PVE, which shows them. Where they differ, the model
// follows ifupdown2, since that is what runs, and a [pve.Problem] says what PVE does instead. The package opens no files, resolves
// no names and judges nothing.
//
// Sources: interfaces(5) of ifupdown and ifupdown2; pve-common PVE/Network/Interfaces.pm.
package netcfg

import (
	"net/netip"
	"strings"
)

// Kind is what an interface is.
type Kind string

// The kinds of interfaces. PVE's own names for them are eth, bridge, bond, vlan, alias, loopback, OVSBridge, OVSBond, OVSPort,
// OVSIntPort, vxlan, dummy and unknown.
const (
	Physical   Kind = "physical"
	Bridge     Kind = "bridge"
	Bond       Kind = "bond"
	VLAN       Kind = "vlan"
	Alias      Kind = "alias"
	Loopback   Kind = "loopback"
	OVSBridge  Kind = "ovs-bridge"
	OVSBond    Kind = "ovs-bond"
	OVSPort    Kind = "ovs-port"
	OVSIntPort Kind = "ovs-intport"
	VXLAN      Kind = "vxlan"
	Dummy      Kind = "dummy"
	VNet       Kind = "vnet" // a bridge that SDN made
	Unknown    Kind = "unknown"
)

// Config is the network configuration of one node.
type Config struct {
	// Interfaces are in the order in which the files name them first; those of an included file come where it is included.
	Interfaces []Interface
	// Sources are the patterns of the source and source-directory lines.
	Sources []string
	// FromAPI is true when the API told it: then there are no lines, and PVE's reading is all there is.
	FromAPI bool

	raw []byte
}

// Interface is everything that the configuration says about one interface; several stanzas of a name are one interface.
type Interface struct {
	Name string
	Kind Kind
	// Methods are the families and methods of the stanzas: "inet static", "inet6 auto"; "" for a stanza without.
	Methods []string
	// Addresses keep their host bits: 192.0.2.10/24. An address without a prefix length and netmask has the full length.
	Addresses []netip.Prefix
	Gateways  []netip.Addr
	// Autostart is true when the interface comes up at boot or when it is plugged in.
	Autostart bool
	// Active is true when the API says that the interface is up; false when a file was read.
	Active bool

	// Ports are the ports of a bridge, Linux or Open vSwitch, as configured.
	Ports     []string
	VLANAware bool
	// VIDs are the VLANs of a VLAN-aware bridge as written, "2-4094" when it is aware and says nothing (ifupdown2 and PVE).
	VIDs string
	STP  bool

	// Slaves are the members of a bond, Linux or Open vSwitch.
	Slaves      []string
	BondMode    string // by name: "active-backup", "802.3ad"
	BondPrimary string

	// RawDevice and VLANID are those of a VLAN; 0 when not given.
	RawDevice    string
	VLANID       int
	VLANProtocol string

	OVSBridge  string // the bridge that an OVS port, bond or intport belongs to
	OVSTag     int    // the VLAN of an OVS port; 0 for none
	OVSOptions string

	VXLANID     int
	VXLANLocal  string
	VXLANRemote []string

	// MTU in bytes; 0 when not set.
	MTU int
	// Options are the settings that have no field of their own, in order: post-up lines and unknown keys.
	Options  []Option
	Comments []string
	// File and Line are where the first stanza is. From the API there are none.
	File string
	Line int
}

// Option is one setting of an interface, as written; the key with hyphens.
type Option struct {
	Key, Value string
	File       string
	Line       int
}

// Interface returns an interface by name.
func (c *Config) Interface(name string) (*Interface, bool) {
	if c == nil {
		return nil, false
	}
	for i := range c.Interfaces {
		if c.Interfaces[i].Name == name {
			return &c.Interfaces[i], true
		}
	}
	return nil, false
}

// Bytes returns the main file as it was read.
func (c *Config) Bytes() []byte { return c.raw }

// Option returns the values of a raw option over all stanzas.
func (i *Interface) Option(key string) []string {
	var out []string
	for _, o := range i.Options {
		if o.Key == key {
			out = append(out, o.Value)
		}
	}
	return out
}

// Hooks are the options that ifupdown runs as commands (interfaces(5)).
func (i *Interface) Hooks() []Option {
	var out []Option
	for _, o := range i.Options {
		switch o.Key {
		case "pre-up", "up", "post-up", "pre-down", "down", "post-down":
			out = append(out, o)
		}
	}
	return out
}

// IsBridge reports whether guests can be attached to the interface.
func (i *Interface) IsBridge() bool {
	return i.Kind == Bridge || i.Kind == OVSBridge || i.Kind == VNet
}

// Carries are the interfaces that this one sends its frames through: ports, slaves, the raw device of a VLAN, the base of
// an alias, the bridge of an OVS port of the host.
func (i *Interface) Carries() []string {
	switch i.Kind {
	case Bridge, OVSBridge, VNet:
		return i.Ports
	case Bond, OVSBond:
		return i.Slaves
	case VLAN:
		if i.RawDevice != "" {
			return []string{i.RawDevice}
		}
	case Alias:
		base, _, _ := strings.Cut(i.Name, ":")
		return []string{base}
	case OVSIntPort:
		if i.OVSBridge != "" {
			return []string{i.OVSBridge}
		}
	}
	return nil
}
