package netset

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Region is a union of disjoint boxes. The zero Region is empty.
type Region struct{ boxes []Box }

// AnyRegion is every packet.
func AnyRegion() Region { return Region{[]Box{AnyBox()}} }

// RegionOf is the union of boxes, which may overlap.
func RegionOf(boxes ...Box) Region {
	var r Region
	for _, b := range boxes {
		r = r.Union(Region{[]Box{b}})
	}
	return r
}

// Boxes returns the disjoint boxes; they must not be changed.
func (r Region) Boxes() []Box { return r.boxes }

// IsEmpty reports whether no packet is in the region.
func (r Region) IsEmpty() bool {
	return !slices.ContainsFunc(r.boxes, func(b Box) bool { return !b.IsEmpty() })
}

// Contains reports whether a packet is in the region.
func (r Region) Contains(p Packet) bool {
	return slices.ContainsFunc(r.boxes, func(b Box) bool { return b.Contains(p) })
}

// Overlaps reports whether the region has a packet in common with a box.
func (r Region) Overlaps(b Box) bool {
	return slices.ContainsFunc(r.boxes, func(x Box) bool { return x.Overlaps(b) })
}

// IntersectBox is the packets of the region that are in the box.
func (r Region) IntersectBox(b Box) Region {
	var out []Box
	for _, x := range r.boxes {
		if x = x.Intersect(b); !x.IsEmpty() {
			out = append(out, x)
		}
	}
	return Region{out}
}

// MinusBox is the packets of the region that are not in the box.
func (r Region) MinusBox(b Box) Region {
	if !r.Overlaps(b) {
		return r
	}
	out := make([]Box, 0, len(r.boxes)+3)
	for _, x := range r.boxes {
		out = x.minus(b, out)
	}
	return Region{out}
}

// Split returns the packets of the region that are in the box and those that are not, in one pass.
func (r Region) Split(b Box) (in, rest Region) {
	for i, x := range r.boxes {
		if x.Overlaps(b) {
			in.boxes = append(in.boxes, x.Intersect(b))
			if rest.boxes == nil {
				rest.boxes = append(make([]Box, 0, len(r.boxes)+3), r.boxes[:i]...)
			}
			rest.boxes = x.minus(b, rest.boxes)
		} else if rest.boxes != nil {
			rest.boxes = append(rest.boxes, x)
		}
	}
	if in.boxes == nil {
		return Region{}, r
	}
	return in, rest
}

// Carve takes the packets of a box out of disjoint boxes: it returns what is left and appends what was taken to hit. The
// slice pending is changed and belongs to the caller; this is Split for long lists of rules, without a copy for each. The
// work is about how many comparisons that took, for callers that have to stop some time.
func Carve(pending []Box, b Box, hit []Box) (rest, taken []Box, work int) {
	n := len(pending)
	work = n
	for i := 0; i < n; i++ {
		if !pending[i].Overlaps(b) {
			continue
		}
		x := pending[i]
		work += len(x.Source.v4) + len(x.Source.v6) + len(x.Dest.v4) + len(x.Dest.v6) + len(x.Service.parts)
		hit = append(hit, x.Intersect(b))
		end := len(pending)
		pending = x.minus(b, pending)
		// The hole is filled with the last of the new pieces, or else with the last box.
		last := len(pending) - 1
		pending[i] = pending[last]
		pending = pending[:last]
		if last < end { // nothing was left of the box, so an old one has moved here
			n--
			i--
		}
	}
	return pending, hit, work
}

// Union is the packets of either region.
func (r Region) Union(s Region) Region {
	switch {
	case len(r.boxes) == 0:
		return s
	case len(s.boxes) == 0:
		return r
	}
	return Region{slices.Concat(r.boxes, s.Minus(r).boxes)}
}

// Intersect is the packets of both regions.
func (r Region) Intersect(s Region) Region {
	var out []Box
	for _, b := range s.boxes {
		out = append(out, r.IntersectBox(b).boxes...)
	}
	return Region{out}
}

// Minus is the packets of r that are not in s.
func (r Region) Minus(s Region) Region {
	for _, b := range s.boxes {
		if len(r.boxes) == 0 {
			break
		}
		r = r.MinusBox(b)
	}
	return r
}

// Equal reports whether both regions hold the same packets, however they are cut into boxes.
func (r Region) Equal(s Region) bool { return r.Minus(s).IsEmpty() && s.Minus(r).IsEmpty() }

// Covers reports whether every packet of s is in r.
func (r Region) Covers(s Region) bool { return s.Minus(r).IsEmpty() }

// simplifyMost is the number of boxes above which Simplify leaves a region as it is: nobody reads so many lines.
const simplifyMost = 20_000

// Simplify joins boxes that differ in one property only, until there are none. The result holds the same packets in at most as many boxes.
func (r Region) Simplify() Region {
	if len(r.boxes) == 1 && !r.boxes[0].IsEmpty() {
		return Region{[]Box{r.boxes[0].tidy()}}
	}
	boxes := make([]Box, 0, len(r.boxes))
	for _, b := range r.boxes {
		if b = b.tidy(); !b.IsEmpty() {
			boxes = append(boxes, b)
		}
	}
	if len(boxes) < 2 || len(boxes) > simplifyMost {
		return Region{boxes}
	}
	for {
		before := len(boxes)
		for dim := range dims {
			boxes = join(boxes, dim)
		}
		if len(boxes) == before {
			return Region{boxes}
		}
	}
}

// dims are the properties along which boxes are joined: service, source, destination, class.
const dims = 4

// few is the number of boxes up to which comparing each with each is faster than a map.
const few = 24

// join unites boxes that are the same in all properties but one. The slice is changed.
func join(boxes []Box, dim int) []Box {
	out := boxes[:0]
	if len(boxes) <= few {
	next:
		for _, b := range boxes {
			for i := range out {
				if out[i].alike(&b, dim) {
					out[i].unite(&b, dim)
					continue next
				}
			}
			out = append(out, b)
		}
		return out
	}
	at := make(map[string]int, len(boxes))
	var key []byte
	for _, b := range boxes {
		key = b.key(key[:0], dim)
		i, ok := at[string(key)]
		if !ok {
			at[string(key)] = len(out)
			out = append(out, b)
			continue
		}
		out[i].unite(&b, dim)
	}
	return out
}

// alike reports whether two boxes are the same in all properties but one.
func (b *Box) alike(c *Box, without int) bool {
	return (without == 3 || b.Class == c.Class) && (without == 1 || b.Source.Equal(c.Source)) && (without == 2 || b.Dest.Equal(c.Dest)) &&
		(without == 0 || b.Service.Equal(c.Service))
}

func (b *Box) unite(c *Box, dim int) {
	switch dim {
	case 0:
		b.Service = b.Service.Union(c.Service)
	case 1:
		b.Source = b.Source.Union(c.Source)
	case 2:
		b.Dest = b.Dest.Union(c.Dest)
	case 3:
		b.Class |= c.Class
	}
}

// key is a text that is the same for boxes that are equal in all properties but one. A box without the other family in one
// property may only be joined with one that lacks it too, or the product would gain packets.
func (b Box) key(k []byte, without int) []byte {
	if without != 0 {
		k = b.Service.key(k)
	}
	if without != 1 {
		k = b.Source.key(k)
	}
	if without != 2 {
		k = b.Dest.key(k)
	}
	if without != 3 {
		k = append(k, byte(b.Class))
	}
	return k
}

func (a Addrs) key(k []byte) []byte {
	for _, s := range [][]span{a.v4, a.v6} {
		k = binary.AppendUvarint(k, uint64(len(s)))
		for _, x := range s {
			k = binary.AppendUvarint(k, x.lo.hi)
			k = binary.AppendUvarint(k, x.lo.lo)
			k = binary.AppendUvarint(k, x.hi.hi)
			k = binary.AppendUvarint(k, x.hi.lo)
		}
	}
	return k
}

func (s Services) key(k []byte) []byte {
	for _, w := range s.whole {
		k = binary.LittleEndian.AppendUint64(k, w)
	}
	for _, p := range s.parts {
		k = binary.AppendUvarint(append(k, p.proto), uint64(len(p.slabs)))
		for _, x := range p.slabs {
			k = binary.AppendUvarint(k, uint64(x.from)<<16|uint64(x.to))
			k = binary.AppendUvarint(k, uint64(len(x.second.spans)))
			for _, q := range x.second.spans {
				k = binary.AppendUvarint(k, uint64(q.From)<<16|uint64(q.To))
			}
		}
	}
	return k
}

// String is for tests and logs.
func (r Region) String() string {
	var out []string
	for _, b := range r.boxes {
		out = append(out, b.String())
	}
	return strings.Join(out, "; ")
}

// Disjoint is the union of boxes that are known to be disjoint, which costs nothing. The slice belongs to the region then.
func Disjoint(boxes []Box) Region { return Region{boxes} }
