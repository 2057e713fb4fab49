package netset

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Services is a set of what comes above IP: protocols, with ports where the protocol has them (tcp, udp, udplite, dccp,
// sctp), with types and codes for ICMP and ICMPv6, whole for all others. The zero Services is empty.
//
// The form is canonical, so equal sets are equal in memory: a protocol is either whole, absent, or a list of slabs.
type Services struct {
	whole [4]uint64
	parts []part // by protocol
}

// part is the part of a protocol that is in the set: neither nothing nor everything.
type part struct {
	proto uint8
	slabs []slab
}

// slab is a range of destination ports (or ICMP types), with the source ports (or codes) that go with each of them.
// Slabs are sorted and disjoint; neighbours differ in their second set, which is never empty.
type slab struct {
	from, to uint16
	second   Ports
}

// AnyService is every protocol, whole.
func AnyService() Services {
	return Services{whole: [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}}
}

// Protocol is all packets of a protocol.
func Protocol(proto uint8) Services {
	var s Services
	s.whole[proto>>6] = 1 << (proto & 63)
	return s
}

// PortService is the packets of a protocol from some ports to others. A protocol that has no ports gives the empty set:
// no packet of it has these ports.
func PortService(proto uint8, source, dest Ports) Services {
	if !HasPorts(proto) || source.IsEmpty() {
		return Services{}
	}
	slabs := make([]slab, 0, len(dest.spans))
	for _, d := range dest.spans {
		slabs = append(slabs, slab{d.From, d.To, source})
	}
	return single(proto, slabs)
}

// ICMPService is the packets of ICMP or ICMPv6 with a type, and a code when it is at least 0.
func ICMPService(proto, icmpType uint8, code int) Services {
	if !HasTypes(proto) || code > maxType {
		return Services{}
	}
	codes := Ports{[]PortSpan{{0, maxType}}}
	if code >= 0 {
		codes = PortRange(uint16(code), uint16(code))
	}
	return single(proto, []slab{{uint16(icmpType), uint16(icmpType), codes}})
}

// limit is the last value on both axes of a protocol.
func limit(proto uint8) uint16 {
	if HasTypes(proto) {
		return maxType
	}
	return maxPort
}

func single(proto uint8, slabs []slab) Services {
	if len(slabs) == 0 {
		return Services{}
	}
	if isWhole(proto, slabs) {
		return Protocol(proto)
	}
	return Services{parts: []part{{proto, slabs}}}
}

func isWhole(proto uint8, slabs []slab) bool {
	l := limit(proto)
	return len(slabs) == 1 && slabs[0].from == 0 && slabs[0].to == l && slabs[0].second.isFull(l)
}

func (s Services) isWhole(proto uint8) bool { return s.whole[proto>>6]&(1<<(proto&63)) != 0 }

// slabs returns what the set holds of a protocol that one of two sets has in parts.
func (s Services) slabs(proto uint8) []slab {
	if s.isWhole(proto) {
		l := limit(proto)
		return []slab{{0, l, Ports{[]PortSpan{{0, l}}}}}
	}
	for i := range s.parts {
		if s.parts[i].proto == proto {
			return s.parts[i].slabs
		}
	}
	return nil
}

// combine applies an operation on sets: to the protocols that are whole or absent in both by its bits, and to the others
// slab by slab.
func combine(a, b Services, bitwise func(x, y uint64) uint64, slabwise func(x, y Ports) Ports) Services {
	var out Services
	for i := range out.whole {
		out.whole[i] = bitwise(a.whole[i], b.whole[i])
	}
	for i, j := 0, 0; i < len(a.parts) || j < len(b.parts); {
		var proto uint8
		switch {
		case j == len(b.parts) || i < len(a.parts) && a.parts[i].proto < b.parts[j].proto:
			proto = a.parts[i].proto
			i++
		case i == len(a.parts) || b.parts[j].proto < a.parts[i].proto:
			proto = b.parts[j].proto
			j++
		default:
			proto = a.parts[i].proto
			i, j = i+1, j+1
		}
		out.whole[proto>>6] &^= 1 << (proto & 63)
		switch slabs := sweep(a.slabs(proto), b.slabs(proto), slabwise); {
		case len(slabs) == 0:
		case isWhole(proto, slabs):
			out.whole[proto>>6] |= 1 << (proto & 63)
		default:
			out.parts = append(out.parts, part{proto, slabs})
		}
	}
	return out
}

// sweep goes along the first axis and combines the second sets between two ends of slabs.
func sweep(a, b []slab, f func(x, y Ports) Ports) []slab {
	out := make([]slab, 0, len(a)+len(b))
	i, j := 0, 0
	for pos := 0; ; {
		for i < len(a) && int(a[i].to) < pos {
			i++
		}
		for j < len(b) && int(b[j].to) < pos {
			j++
		}
		if i == len(a) && j == len(b) {
			return out
		}
		var x, y Ports
		end := maxPort
		if i < len(a) {
			if int(a[i].from) <= pos {
				x, end = a[i].second, min(end, int(a[i].to))
			} else {
				end = min(end, int(a[i].from)-1)
			}
		}
		if j < len(b) {
			if int(b[j].from) <= pos {
				y, end = b[j].second, min(end, int(b[j].to))
			} else {
				end = min(end, int(b[j].from)-1)
			}
		}
		if z := f(x, y); !z.IsEmpty() {
			if n := len(out); n > 0 && int(out[n-1].to)+1 == pos && out[n-1].second.Equal(z) {
				out[n-1].to = uint16(end) //nolint:gosec // at most maxPort
			} else {
				out = append(out, slab{uint16(pos), uint16(end), z}) //nolint:gosec // at most maxPort
			}
		}
		pos = end + 1
	}
}

// Intersect is what is in both sets.
func (s Services) Intersect(t Services) Services {
	if s.IsAny() {
		return t
	}
	if t.IsAny() {
		return s
	}
	return combine(s, t, func(x, y uint64) uint64 { return x & y }, Ports.Intersect)
}

// Union is what is in either set.
func (s Services) Union(t Services) Services {
	if s.IsAny() || t.IsEmpty() {
		return s
	}
	if t.IsAny() || s.IsEmpty() {
		return t
	}
	return combine(s, t, func(x, y uint64) uint64 { return x | y }, Ports.Union)
}

// Minus is what is in s and not in t.
func (s Services) Minus(t Services) Services {
	if t.IsAny() {
		return Services{}
	}
	return combine(s, t, func(x, y uint64) uint64 { return x &^ y }, Ports.Minus)
}

// IsEmpty reports whether nothing is in the set.
func (s Services) IsEmpty() bool { return len(s.parts) == 0 && s.whole == [4]uint64{} }

// IsAny reports whether everything is in the set.
func (s Services) IsAny() bool {
	return len(s.parts) == 0 && s.whole[0]&s.whole[1]&s.whole[2]&s.whole[3] == ^uint64(0)
}

// Equal reports whether both sets are the same.
func (s Services) Equal(t Services) bool {
	return s.whole == t.whole && slices.EqualFunc(s.parts, t.parts, func(x, y part) bool {
		return x.proto == y.proto && slices.EqualFunc(x.slabs, y.slabs, func(v, w slab) bool {
			return v.from == w.from && v.to == w.to && v.second.Equal(w.second)
		})
	})
}

// Overlaps reports whether the sets have something in common.
func (s Services) Overlaps(t Services) bool {
	for i := range s.whole {
		if s.whole[i]&t.whole[i] != 0 {
			return true
		}
	}
	for i := range s.parts {
		if t.isWhole(s.parts[i].proto) {
			return true
		}
		for j := range t.parts {
			if t.parts[j].proto == s.parts[i].proto && slabsOverlap(s.parts[i].slabs, t.parts[j].slabs) {
				return true
			}
		}
	}
	for j := range t.parts {
		if s.isWhole(t.parts[j].proto) {
			return true
		}
	}
	return false
}

func slabsOverlap(a, b []slab) bool {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].to < b[j].from:
			i++
		case b[j].to < a[i].from:
			j++
		case !a[i].second.Intersect(b[j].second).IsEmpty():
			return true
		case a[i].to < b[j].to:
			i++
		default:
			j++
		}
	}
	return false
}

// Covers reports whether everything of t is in s.
func (s Services) Covers(t Services) bool { return s.IsAny() || t.Minus(s).IsEmpty() }

// Contains reports whether a packet is in the set by its protocol, ports, type and code.
func (s Services) Contains(p Packet) bool {
	if s.isWhole(p.Proto) {
		return true
	}
	first, second := p.DPort, p.SPort
	if HasTypes(p.Proto) {
		first, second = uint16(p.Type), uint16(p.Code)
	}
	for _, x := range s.slabs(p.Proto) {
		if x.from <= first && first <= x.to {
			return x.second.Contains(second)
		}
	}
	return false
}

// Key is a text that two sets have in common when they are equal, and only then.
func (s Services) Key() string { return string(s.key(nil)) }

// ServicePart is one line of a set of services in readable form.
type ServicePart struct {
	// Proto is the protocol; Count is 1, or how many protocols from Proto on are all whole.
	Proto uint8
	Count int
	// Whole protocols have no ports or types.
	Whole bool
	// Dest are the destination ports or ICMP types, Source the source ports or codes.
	Dest, Source Ports
	// AnySource is true when the second axis is not limited.
	AnySource bool
}

// Parts lists the set by protocol. Destination ports that go with the same source ports are together.
func (s Services) Parts() []ServicePart {
	var out []ServicePart
	for proto := range 256 {
		p := uint8(proto) //nolint:gosec // below 256
		if s.isWhole(p) {
			if n := len(out); n > 0 && out[n-1].Whole && int(out[n-1].Proto)+out[n-1].Count == proto {
				out[n-1].Count++
				continue
			}
			out = append(out, ServicePart{Proto: p, Count: 1, Whole: true})
			continue
		}
		from := len(out)
	slabs:
		for _, x := range s.slabs(p) {
			for i := from; i < len(out); i++ {
				if out[i].Source.Equal(x.second) {
					out[i].Dest = out[i].Dest.Union(PortRange(x.from, x.to))
					continue slabs
				}
			}
			out = append(out, ServicePart{Proto: p, Count: 1, Dest: PortRange(x.from, x.to), Source: x.second, AnySource: x.second.isFull(limit(p))})
		}
	}
	return out
}

// Size is the number of protocols that are whole, and of slabs: how much work the set is.
func (s Services) Size() int {
	n := 0
	for _, w := range s.whole {
		n += bits.OnesCount64(w)
	}
	for _, p := range s.parts {
		n += len(p.slabs)
	}
	return n
}

// DestPorts is the set of destination ports (or ICMP types) that any packet of a protocol in the set has.
func (s Services) DestPorts(proto uint8) Ports {
	if s.isWhole(proto) {
		return PortRange(0, limit(proto))
	}
	spans := make([]PortSpan, 0, 4)
	for _, x := range s.slabs(proto) {
		spans = append(spans, PortSpan{x.from, x.to})
	}
	return PortSet(spans...)
}

// String lists the protocols: "6/22,80 17/any" for tcp and udp; sources follow "<-".
func (s Services) String() string {
	switch {
	case s.IsEmpty():
		return "none"
	case s.IsAny():
		return "any"
	}
	var out []string
	for _, p := range s.Parts() {
		text := strconv.Itoa(int(p.Proto))
		switch {
		case p.Count > 1:
			text += "-" + strconv.Itoa(int(p.Proto)+p.Count-1)
		case !p.Whole:
			text += "/" + p.Dest.String()
			if !p.AnySource {
				text += "<-" + p.Source.String()
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}
