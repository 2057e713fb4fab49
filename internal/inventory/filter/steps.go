package filter

import (
	"net/netip"

	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// builder collects the steps of one stage.
type builder struct {
	family int
	steps  []Step
	groups map[string]bool // those that are in already
}

// once reports whether a security group is new to the stage. Whatever one of its rules matches is decided there, so that
// a second GROUP line for it finds no packets left; without this, a hostile file could make a stage endless.
func (b *builder) once(group string) bool {
	if b.groups[group] {
		return false
	}
	if b.groups == nil {
		b.groups = map[string]bool{}
	}
	b.groups[group] = true
	return true
}

func (b *builder) add(v Verdict, why Reason, boxes ...netset.Box) {
	kept := boxes[:0]
	for _, x := range boxes {
		if !x.IsEmpty() {
			kept = append(kept, x)
		}
	}
	if len(kept) > 0 {
		b.steps = append(b.steps, Step{Match: kept, Verdict: v, Why: why})
	}
}

// any is every packet of the family, changed as told.
func (b *builder) any(change ...func(*netset.Box)) netset.Box {
	x := all(b.family)
	for _, c := range change {
		c(&x)
	}
	return x
}

func services(sets ...netset.Services) func(*netset.Box) {
	var union netset.Services
	for _, s := range sets {
		union = union.Union(s)
	}
	return func(x *netset.Box) { x.Service = union }
}

func source(a netset.Addrs) func(*netset.Box) {
	return func(x *netset.Box) { x.Source = x.Source.Intersect(a) }
}

func dest(a netset.Addrs) func(*netset.Box) {
	return func(x *netset.Box) { x.Dest = x.Dest.Intersect(a) }
}

func class(c netset.Class) func(*netset.Box) { return func(x *netset.Box) { x.Class = c } }

func multicast4() netset.Addrs { return prefix("224.0.0.0/4") }
func multicast6() netset.Addrs { return prefix("ff00::/8") }

func prefix(s string) netset.Addrs { return netset.Prefix(netip.MustParsePrefix(s)) }

func built(text string) Reason { return Reason{Rule: text} }

// rejectBox adds what becomes of packets that a rule rejects in pve-firewall: the chain PVEFW-reject drops broadcasts, what comes
// from a multicast address and ICMP, and rejects the rest.
func (b *builder) rejectBox(x netset.Box, why Reason) {
	dropped := []netset.Box{x.Intersect(b.any(services(netset.Protocol(icmpProto(b.family)))))}
	if b.family == 4 {
		dropped = append(dropped, x.Intersect(b.any(class(netset.Broadcast))), x.Intersect(b.any(source(multicast4()))))
	}
	b.add(Drop, why, dropped...)
	b.add(Reject, why, x)
}

// tail is the reason of what the policies DROP and REJECT do by themselves before they drop or reject.
func tail(policy Verdict, text string, why Reason) Reason {
	return Reason{File: why.File, Line: why.Line, Rule: "policy " + string(policy) + ": " + text}
}

// policy adds the end of a chain of pve-firewall, with what the chains PVEFW-Drop and PVEFW-Reject do first.
func (b *builder) policy(v Verdict, why Reason) {
	if v == Accept {
		b.add(Accept, why, b.any())
		return
	}
	if b.family == 6 {
		b.add(Reject, tail(v, "tcp 43", why), b.any(services(to(netset.ProtoTCP, 43, 43))))
		b.add(Drop, tail(v, "multicast", why), b.any(dest(multicast6())))
		b.add(Accept, tail(v, "ICMPv6 that paths need", why),
			b.any(services(icmp(6, "destination-unreachable", "time-exceeded", "packet-too-big"))))
	} else {
		b.add(Drop, tail(v, "broadcast and multicast", why), b.any(class(netset.Broadcast|netset.Multicast)), b.any(dest(multicast4())))
		b.add(Accept, tail(v, "ICMP that paths need", why), b.any(services(icmp(4, "fragmentation-needed", "time-exceeded"))))
	}
	if v == Drop {
		b.add(Drop, why, b.any())
		return
	}
	smb := b.any(services(
		to(netset.ProtoUDP, 135, 135), to(netset.ProtoUDP, 445, 445), to(netset.ProtoUDP, 137, 139),
		udpFromTo(137, 1024, 65535),
		to(netset.ProtoTCP, 135, 135), to(netset.ProtoTCP, 139, 139), to(netset.ProtoTCP, 445, 445)))
	b.rejectBox(smb, tail(v, "SMB", why))
	b.add(Drop, tail(v, "UPnP and DNS answers", why),
		b.any(services(to(netset.ProtoUDP, 1900, 1900), udpFromTo(53, 0, 65535))))
	b.rejectBox(b.any(), why)
}

// verdictOf is the verdict of a rule or policy.
func verdictOf(action string) Verdict {
	switch action {
	case "ACCEPT":
		return Accept
	case "REJECT":
		return Reject
	}
	return Drop
}

// optionReason says where a policy comes from.
func optionReason(path string, f *firewall.File, name, absent string) (value string, why Reason) {
	if o, ok := f.Option(name); ok {
		return o.Value, Reason{File: path, Line: o.Line, Rule: name + ": " + o.Value}
	}
	return absent, Reason{File: path, Rule: name + " " + absent + " (default)"}
}
