package netset

// Box is a product: the packets with a source in Source, a destination in Dest of the same family, a service in Service and
// a destination of a class in Class. The zero Box is empty.
type Box struct {
	Source, Dest Addrs
	Service      Services
	Class        Class
}

// AnyBox is every packet of both families.
func AnyBox() Box {
	return Box{Source: AnyAddrs(), Dest: AnyAddrs(), Service: AnyService(), Class: AnyClass}
}

// IsEmpty reports whether no packet is in the box.
func (b Box) IsEmpty() bool {
	return b.Class == 0 || (len(b.Source.v4) == 0 || len(b.Dest.v4) == 0) && (len(b.Source.v6) == 0 || len(b.Dest.v6) == 0) || b.Service.IsEmpty()
}

// tidy drops the addresses of a family that has only one side: no packet has them.
func (b Box) tidy() Box {
	if len(b.Source.v4) == 0 || len(b.Dest.v4) == 0 {
		b.Source.v4, b.Dest.v4 = nil, nil
	}
	if len(b.Source.v6) == 0 || len(b.Dest.v6) == 0 {
		b.Source.v6, b.Dest.v6 = nil, nil
	}
	return b
}

// Contains reports whether a packet is in the box.
func (b Box) Contains(p Packet) bool {
	return b.Class&p.Class != 0 && p.Source.Is4() == p.Dest.Is4() && b.Service.Contains(p) && b.Source.Contains(p.Source) && b.Dest.Contains(p.Dest)
}

// Overlaps reports whether both boxes have a packet in common.
func (b Box) Overlaps(c Box) bool {
	return b.Class&c.Class != 0 &&
		(overlaps(b.Source.v4, c.Source.v4) && overlaps(b.Dest.v4, c.Dest.v4) || overlaps(b.Source.v6, c.Source.v6) && overlaps(b.Dest.v6, c.Dest.v6)) &&
		b.Service.Overlaps(c.Service)
}

// Intersect is the packets of both boxes.
func (b Box) Intersect(c Box) Box {
	if !b.Overlaps(c) {
		return Box{}
	}
	return Box{
		Source: b.Source.Intersect(c.Source), Dest: b.Dest.Intersect(c.Dest), Service: b.Service.Intersect(c.Service), Class: b.Class & c.Class,
	}.tidy()
}

// Minus returns disjoint boxes that together are the packets of b that are not in c. Services are split first: rules for
// different ports then never meet again.
func (b Box) Minus(c Box) []Box { return b.minus(c, nil) }

func (b Box) minus(c Box, out []Box) []Box {
	if !b.Overlaps(c) {
		if b.IsEmpty() {
			return out
		}
		return append(out, b)
	}
	add := func(x Box) {
		if x = x.tidy(); !x.IsEmpty() {
			out = append(out, x)
		}
	}
	rest := b
	if !c.Service.IsAny() {
		rest.Service = b.Service.Minus(c.Service)
		add(rest)
		rest.Service = b.Service.Intersect(c.Service)
	}
	if left := b.Class &^ c.Class; left != 0 {
		x := rest
		x.Class = left
		add(x)
		rest.Class = b.Class & c.Class
	}
	x := rest
	x.Source = b.Source.Minus(c.Source)
	add(x)
	rest.Source = b.Source.Intersect(c.Source)
	x = rest
	x.Dest = b.Dest.Minus(c.Dest)
	add(x)
	return out
}

// Covers reports whether every packet of c is in b.
func (b Box) Covers(c Box) bool {
	c = c.tidy()
	return c.IsEmpty() || c.Class&^b.Class == 0 && b.Source.Covers(c.Source) && b.Dest.Covers(c.Dest) && b.Service.Covers(c.Service)
}

// Equal reports whether both boxes hold the same packets.
func (b Box) Equal(c Box) bool {
	if b.IsEmpty() || c.IsEmpty() {
		return b.IsEmpty() && c.IsEmpty()
	}
	b, c = b.tidy(), c.tidy()
	return b.Class == c.Class && b.Source.Equal(c.Source) && b.Dest.Equal(c.Dest) && b.Service.Equal(c.Service)
}

// String is for tests and logs.
func (b Box) String() string {
	if b.IsEmpty() {
		return "none"
	}
	return b.Source.String() + " > " + b.Dest.String() + " " + b.Service.String() + " " + b.Class.String()
}
