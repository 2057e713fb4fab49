package filter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// Query asks for one packet, the first of a flow. Everything but From and To may be left out.
type Query struct {
	// From and To are endpoints; see [Network.Endpoint].
	From string `json:"from"`
	To   string `json:"to"`
	// Proto is the name or number of a protocol; tcp when it is not given.
	Proto string `json:"proto,omitempty"`
	// Source and Dest are addresses. When they are not given, that of the node is the one its name stands for, that of a
	// guest the static one of its configuration, and that of anyone else 100.100.1.2 as source and 100.200.3.4 as
	// destination (2001:db8:100::2 and 2001:db8:200::4), which PVE's own simulator takes too.
	Source string `json:"source,omitempty"`
	Dest   string `json:"dest,omitempty"`
	// DPort and SPort are ports: a number or a name of /etc/services. Without them the packet goes to port 0, which no
	// rule is about, and comes from 50000.
	DPort string `json:"dport,omitempty"`
	SPort string `json:"sport,omitempty"`
	// ICMPType is the name or number of a type, with "/CODE" where there is one; echo-request when it is not given.
	ICMPType string `json:"icmp_type,omitempty"`
	// MAC is the hardware address that the frame of a guest carries; its own when it is not given.
	MAC string `json:"mac,omitempty"`
}

// Answer is what becomes of the packet.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	// Trace holds one decision for each stage on the way; the last one is final.
	Trace []Decision `json:"trace"`
	// Packet is what was asked for, with all defaults.
	Packet netset.Packet `json:"-"`
}

// Decision is what one stage decided, and why.
type Decision struct {
	Stage string `json:"stage,omitempty"`
	Reason
	Verdict Verdict `json:"verdict"`
}

// UnknownError means that a query is good and cannot be answered, because a file could not be read.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string { return e.Err.Error() }

// Unwrap returns why the file could not be read.
func (e *UnknownError) Unwrap() error { return e.Err }

// Defaults for packets whose query leaves them open.
const (
	defaultSPort   = 50000
	defaultSource4 = "100.100.1.2"
	defaultDest4   = "100.200.3.4"
	defaultSource6 = "2001:db8:100::2"
	defaultDest6   = "2001:db8:200::4"
)

// Simulate follows one packet. The error says what is wrong with the query; an [UnknownError] which file
// could not be read.
func (n *Network) Simulate(q Query) (Answer, error) {
	from, err := n.Endpoint(q.From)
	if err != nil {
		return Answer{}, fmt.Errorf("from: %w", err)
	}
	to, err := n.Endpoint(q.To)
	if err != nil {
		return Answer{}, fmt.Errorf("to: %w", err)
	}
	if from.Kind == to.Kind && from.Kind != Outside && from.VMID == to.VMID && from.Net == to.Net {
		return Answer{}, fmt.Errorf("from and to are both %s; the firewall does not see what a machine says to itself", q.From)
	}
	for _, e := range []Endpoint{from, to} {
		if err := n.Known(e); err != nil {
			return Answer{}, &UnknownError{err}
		}
	}
	p, err := n.packet(q, from, to)
	if err != nil {
		return Answer{}, err
	}
	c := n.nic(from)
	foreign := q.MAC != "" && c != nil && !strings.EqualFold(q.MAC, c.MAC)
	return n.follow(p, from, to, foreign), nil
}

// follow walks the stages.
func (n *Network) follow(p netset.Packet, from, to Endpoint, foreign bool) Answer {
	family := 6
	if p.Source.Is4() {
		family = 4
	}
	path := n.Path(from, to, family)
	a := Answer{Verdict: Accept, Packet: p, Trace: make([]Decision, 0, len(path))}
	for _, s := range path {
		st := s.Decide(p, foreign)
		if st == nil { // every stage ends with a step for all packets
			continue
		}
		a.Trace = append(a.Trace, Decision{s.Name, st.Why, st.Verdict})
		if a.Verdict = st.Verdict; a.Verdict != Accept {
			return a
		}
	}
	if len(a.Trace) == 0 {
		a.Trace = append(a.Trace, Decision{Reason: n.Unfiltered(from, to), Verdict: Accept})
	}
	return a
}

func (n *Network) packet(q Query, from, to Endpoint) (netset.Packet, error) {
	p := netset.Packet{Proto: netset.ProtoTCP, SPort: defaultSPort, Class: netset.Unicast}
	if q.Proto != "" {
		var ok bool
		if p.Proto, ok = firewall.StrictProtocol(q.Proto); !ok {
			return p, fmt.Errorf("proto: unknown protocol %q; give a name of /etc/protocols or a number", q.Proto)
		}
	}
	if err := n.addressesOf(&p, q, from, to); err != nil {
		return p, err
	}
	for _, x := range []struct {
		name, text string
		port       *uint16
	}{{"dport", q.DPort, &p.DPort}, {"sport", q.SPort, &p.SPort}} {
		if x.text == "" {
			continue
		}
		r, why := firewall.StrictPorts(x.text)
		if why != "" || len(r) != 1 || r[0].From != r[0].To {
			return p, fmt.Errorf("%s: %q is no port from 0 to 65535 and no name of a service", x.name, x.text)
		}
		*x.port = r[0].From
	}
	if !netset.HasPorts(p.Proto) {
		p.SPort, p.DPort = 0, 0
	}
	if err := icmpType(&p, q.ICMPType); err != nil {
		return p, err
	}
	p.Class = n.Class(p.Dest)
	return p, nil
}

// Class is the class that an address has as a destination.
func (n *Network) Class(a netip.Addr) netset.Class {
	switch {
	case a.IsMulticast():
		return netset.Multicast
	case a.Is4() && n.files.broadcasts().Contains(a):
		return netset.Broadcast
	}
	return netset.Unicast
}

func icmpType(p *netset.Packet, text string) error {
	if !netset.HasTypes(p.Proto) {
		return nil
	}
	six := p.Proto == netset.ProtoICMPv6
	if text == "" {
		text = "echo-request"
	}
	name, code, hasCode := strings.Cut(text, "/")
	family := 4
	if six {
		family = 6
	}
	t, ok := firewall.ICMPTypeOf(name, family)
	if !ok {
		t, ok = firewall.StrictICMP(name, six)
	}
	if !ok || t.Type < 0 {
		return fmt.Errorf("icmp_type: unknown type %q; give a name such as echo-request or a number, with /CODE where there is one", text)
	}
	p.Type = uint8(t.Type)
	p.Code = uint8(max(t.Code, 0))
	if hasCode {
		c, err := strconv.ParseUint(code, 10, 8)
		if err != nil {
			return fmt.Errorf("icmp_type: %q is no code from 0 to 255", code)
		}
		p.Code = uint8(c)
	}
	return nil
}

// addressesOf fills in source and destination; what is given decides about the family.
func (n *Network) addressesOf(p *netset.Packet, q Query, from, to Endpoint) error {
	var err error
	for _, x := range []struct {
		name, text string
		addr       *netip.Addr
	}{{"source", q.Source, &p.Source}, {"dest", q.Dest, &p.Dest}} {
		if x.text == "" {
			continue
		}
		if *x.addr, err = netip.ParseAddr(x.text); err != nil {
			return fmt.Errorf("%s: %q is no IP address", x.name, x.text)
		}
		*x.addr = x.addr.Unmap().WithZone("")
	}
	four := p.Proto != netset.ProtoICMPv6
	switch {
	case p.Source.IsValid():
		four = p.Source.Is4()
	case p.Dest.IsValid():
		four = p.Dest.Is4()
	}
	source, dest := defaultSource4, defaultDest4
	if !four {
		source, dest = defaultSource6, defaultDest6
	}
	if !p.Source.IsValid() {
		p.Source = n.usual(from, four, source)
	}
	if !p.Dest.IsValid() {
		p.Dest = n.usual(to, four, dest)
	}
	if p.Source.Is4() != p.Dest.Is4() {
		return fmt.Errorf("source %s and dest %s are of different families", p.Source, p.Dest)
	}
	return nil
}

// usual is the address that an endpoint has when the query does not say.
func (n *Network) usual(e Endpoint, four bool, fallback string) netip.Addr {
	list := n.files.addresses
	switch e.Kind {
	case Outside:
		list = nil
	case GuestNIC:
		list = n.nic(e).Addresses
	}
	for _, a := range list {
		if a.Addr().Is4() == four {
			return a.Addr()
		}
	}
	return netip.MustParseAddr(fallback)
}
