// Package netset computes with sets of packets: addresses, protocols, ports and ICMP types. It is the mathematics under
// the question who can reach what. It knows neither firewalls nor Proxmox.
//
// A [Box] is a product of sets, one for each property of a packet; a [Region] is a union of disjoint boxes. All values
// are immutable: operations return new ones.
package netset

import "go4.org/netipx"

// Addrs is a set of addresses of both families. The zero Addrs is empty.
type Addrs struct{ set *netipx.IPSet }
