// Package netset computes with sets of packets: addresses, protocols, ports and ICMP types. It is the mathematics under
// the question who can reach what. It knows neither firewalls nor Proxmox.
//
// A [Box] is a product of sets, one for each property of a packet; a [Region] is a union of disjoint boxes. All values
// are immutable: operations return new ones, which may share memory with the old. The zero value of every set is empty.
package netset

import "net/netip"

// Class is a set of classes of destination addresses, as the kernel sorts them (addrtype of iptables-extensions(8)).
type Class uint8

// The classes. Which one an address belongs to depends on the interfaces of the machine, so it is a property of its own.
const (
	Unicast Class = 1 << iota
	Broadcast
	Multicast

	AnyClass = Unicast | Broadcast | Multicast
)

func (c Class) String() string {
	switch c {
	case AnyClass:
		return "any"
	case 0:
		return "none"
	}
	text := ""
	for _, n := range []struct {
		c    Class
		name string
	}{{Unicast, "unicast"}, {Broadcast, "broadcast"}, {Multicast, "multicast"}} {
		if c&n.c != 0 {
			if text != "" {
				text += ","
			}
			text += n.name
		}
	}
	return text
}

// Numbers of IP protocols (IANA protocol numbers) that have ports or types.
const (
	ProtoICMP    uint8 = 1
	ProtoTCP     uint8 = 6
	ProtoUDP     uint8 = 17
	ProtoDCCP    uint8 = 33
	ProtoICMPv6  uint8 = 58
	ProtoSCTP    uint8 = 132
	ProtoUDPLite uint8 = 136
)

// HasPorts reports whether packets of a protocol carry ports.
func HasPorts(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}

// HasTypes reports whether packets of a protocol carry an ICMP type and code.
func HasTypes(proto uint8) bool { return proto == ProtoICMP || proto == ProtoICMPv6 }

// Packet is one packet: a point of the space. Source and Dest are of the same family and are never 4-in-6 addresses.
type Packet struct {
	Source, Dest netip.Addr
	Proto        uint8
	// SPort and DPort are the ports of protocols that have them.
	SPort, DPort uint16
	// Type and Code are those of ICMP.
	Type, Code uint8
	// Class has exactly one bit.
	Class Class
}
