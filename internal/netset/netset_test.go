package netset

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The universe is small, and has the ends of every axis in it: off-by-one mistakes live there.
func addresses() []netip.Addr {
	var out []netip.Addr
	for _, s := range []string{
		"0.0.0.0", "0.0.0.1", "10.0.0.1", "10.0.0.2", "255.255.255.254", "255.255.255.255",
		"::", "::1", "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func ports() []uint16 { return []uint16{0, 1, 22, 23, 65534, 65535} }

func services() []Packet {
	var out []Packet
	for _, d := range ports() {
		for _, s := range []uint16{0, 1024, 65535} {
			out = append(out, Packet{Proto: ProtoTCP, DPort: d, SPort: s})
		}
		out = append(out, Packet{Proto: ProtoUDP, DPort: d, SPort: 53})
	}
	for _, t := range []uint8{0, 8, 255} {
		out = append(out, Packet{Proto: ProtoICMP, Type: t}, Packet{Proto: ProtoICMPv6, Type: t, Code: 255})
	}
	return append(out, Packet{Proto: 0}, Packet{Proto: 47}, Packet{Proto: 255})
}

func universe() []Packet {
	var out []Packet
	as := addresses()
	for _, v := range services() {
		for _, s := range as {
			for _, d := range as {
				if s.Is4() != d.Is4() {
					continue
				}
				v.Source, v.Dest, v.Class = s, d, Unicast
				out = append(out, v)
				if s == as[0] || s == as[8] {
					v.Class = Multicast
					out = append(out, v)
				}
			}
		}
	}
	return out
}

func genAddrs(t *rapid.T, label string) Addrs {
	as := addresses()
	if rapid.IntRange(0, 3).Draw(t, label+" any") == 0 {
		return rapid.SampledFrom([]Addrs{AnyAddrs(), Any4(), Any6(), {}}).Draw(t, label)
	}
	var sets []Addrs
	for range rapid.IntRange(1, 3).Draw(t, label+" n") {
		a, b := rapid.SampledFrom(as).Draw(t, label+" from"), rapid.SampledFrom(as).Draw(t, label+" to")
		if b.Less(a) {
			a, b = b, a
		}
		sets = append(sets, AddrRange(a, b))
	}
	return Join(sets...)
}

func genPorts(t *rapid.T, label string) Ports {
	var spans []PortSpan
	for range rapid.IntRange(0, 2).Draw(t, label+" n") {
		spans = append(spans, PortSpan{rapid.SampledFrom(ports()).Draw(t, label), rapid.SampledFrom(ports()).Draw(t, label)})
	}
	if len(spans) == 0 {
		return AnyPorts()
	}
	return PortSet(spans...)
}

func genServices(t *rapid.T, label string) Services {
	switch rapid.IntRange(0, 5).Draw(t, label+" kind") {
	case 0:
		return AnyService()
	case 1:
		return Protocol(rapid.SampledFrom([]uint8{0, 1, 6, 17, 47, 255}).Draw(t, label))
	case 2:
		return ICMPService(rapid.SampledFrom([]uint8{ProtoICMP, ProtoICMPv6}).Draw(t, label), rapid.SampledFrom([]uint8{0, 8, 255}).Draw(t, label+" type"),
			rapid.SampledFrom([]int{-1, 0, 255}).Draw(t, label+" code"))
	case 3:
		return PortService(ProtoTCP, genPorts(t, label+" sport"), genPorts(t, label+" dport")).Union(PortService(ProtoUDP, AnyPorts(), genPorts(t, label+" udp")))
	default:
		return PortService(ProtoTCP, genPorts(t, label+" sport"), genPorts(t, label+" dport"))
	}
}

func genBox(t *rapid.T, label string) Box {
	return Box{
		Source: genAddrs(t, label+" source"), Dest: genAddrs(t, label+" dest"), Service: genServices(t, label+" service"),
		Class: rapid.SampledFrom([]Class{AnyClass, AnyClass, Unicast, Multicast, 0}).Draw(t, label+" class"),
	}
}

func genRegion(t *rapid.T, label string) (Region, []Box) {
	var boxes []Box
	for range rapid.IntRange(0, 4).Draw(t, label+" boxes") {
		boxes = append(boxes, genBox(t, label))
	}
	return RegionOf(boxes...), boxes
}

func disjoint(t *rapid.T, r Region) {
	for i, a := range r.Boxes() {
		for _, b := range r.Boxes()[:i] {
			if a.Overlaps(b) {
				t.Fatalf("boxes overlap: %v and %v", a, b)
			}
		}
	}
}

func TestAddrsAgreeWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genAddrs(t, "a"), genAddrs(t, "b")
		some, all := false, true
		for _, x := range addresses() {
			ia, ib := a.Contains(x), b.Contains(x)
			some, all = some || ia && ib, all && (ia || !ib)
			if got := a.Union(b).Contains(x); got != (ia || ib) {
				t.Fatalf("union: %v", x)
			}
			if got := a.Intersect(b).Contains(x); got != (ia && ib) {
				t.Fatalf("intersect: %v", x)
			}
			if got := a.Minus(b).Contains(x); got != (ia && !ib) {
				t.Fatalf("minus: %v", x)
			}
			if got := a.Complement().Contains(x); got == ia {
				t.Fatalf("complement: %v", x)
			}
		}
		// Ends of the generated ranges are in the universe, so what the universe does not see does not exist.
		if a.Overlaps(b) != some || a.Overlaps(b) == a.Intersect(b).IsEmpty() {
			t.Fatalf("overlaps: %v", a.Overlaps(b))
		}
		if got := a.Covers(b); got != b.Minus(a).IsEmpty() || got && !all {
			t.Fatalf("covers: %v", got)
		}
		if !a.Minus(b).Union(a.Intersect(b)).Equal(a) || !a.Complement().Complement().Equal(a) {
			t.Fatal("the parts do not make the whole")
		}
		ranges, odd := a.Shape()
		for _, r := range a.Ranges() {
			ranges--
			if _, ok := r.Prefix(); !ok {
				odd--
			}
		}
		if ranges != 0 || odd != 0 {
			t.Fatalf("shape of %v", a)
		}
		var again []Addrs
		for _, p := range a.Prefixes() {
			again = append(again, Prefix(p))
		}
		if !Join(again...).Equal(a) {
			t.Fatalf("prefixes: %v is not %v", Join(again...), a)
		}
	})
}

func TestServicesAgreeWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genServices(t, "a"), genServices(t, "b").Union(genServices(t, "b2"))
		for _, p := range services() {
			ia, ib := a.Contains(p), b.Contains(p)
			if a.Union(b).Contains(p) != (ia || ib) || a.Intersect(b).Contains(p) != (ia && ib) || a.Minus(b).Contains(p) != (ia && !ib) {
				t.Fatalf("%v: in a %v, in b %v; union %v intersect %v minus %v", p, ia, ib, a.Union(b), a.Intersect(b), a.Minus(b))
			}
		}
		if a.Overlaps(b) == a.Intersect(b).IsEmpty() {
			t.Fatal("overlaps")
		}
		if a.Covers(b) != b.Minus(a).IsEmpty() {
			t.Fatal("covers")
		}
		if !a.Minus(b).Union(a.Intersect(b)).Equal(a) || !a.Union(b).Equal(b.Union(a)) {
			t.Fatalf("not canonical: %v, %v", a, b)
		}
		// The readable parts say the same.
		var again Services
		for _, p := range a.Parts() {
			switch {
			case p.Whole:
				for i := range p.Count {
					again = again.Union(Protocol(p.Proto + uint8(i)))
				}
			case HasTypes(p.Proto):
				for _, s := range p.Dest.Spans() {
					for ty := int(s.From); ty <= int(s.To); ty++ {
						if p.AnySource {
							again = again.Union(ICMPService(p.Proto, uint8(ty), -1))
							continue
						}
						for _, c := range p.Source.Spans() {
							for code := int(c.From); code <= int(c.To); code++ {
								again = again.Union(ICMPService(p.Proto, uint8(ty), code))
							}
						}
					}
				}
			default:
				again = again.Union(PortService(p.Proto, p.Source, p.Dest))
			}
		}
		if !again.Equal(a) {
			t.Fatalf("parts of %v give %v", a, again)
		}
	})
}

func TestRegionsAgreeWithBruteForce(t *testing.T) {
	all := universe()
	rapid.Check(t, func(t *rapid.T) {
		a, as := genRegion(t, "a")
		b, bs := genRegion(t, "b")
		x := genBox(t, "x")
		in := func(boxes []Box, p Packet) bool {
			return slices.ContainsFunc(boxes, func(b Box) bool { return b.Contains(p) })
		}
		both, either, less, plain := a.Intersect(b), a.Union(b), a.Minus(b), a.Simplify()
		inside, outside := a.Split(x)
		rest, taken, _ := Carve(slices.Clone(a.Boxes()), x, nil)
		if !Disjoint(rest).Equal(outside) || !Disjoint(taken).Equal(inside) {
			t.Fatal("carve and split differ")
		}
		disjoint(t, Disjoint(append(rest, taken...)))
		for _, r := range []Region{a, both, either, less, plain, inside, outside} {
			disjoint(t, r)
		}
		for _, p := range all {
			ia, ib, ix := in(as, p), in(bs, p), x.Contains(p)
			switch {
			case a.Contains(p) != ia:
				t.Fatalf("a: %v", p)
			case both.Contains(p) != (ia && ib):
				t.Fatalf("intersect: %v", p)
			case either.Contains(p) != (ia || ib):
				t.Fatalf("union: %v", p)
			case less.Contains(p) != (ia && !ib):
				t.Fatalf("minus: %v", p)
			case plain.Contains(p) != ia:
				t.Fatalf("simplify: %v", p)
			case inside.Contains(p) != (ia && ix), outside.Contains(p) != (ia && !ix):
				t.Fatalf("split: %v", p)
			}
		}
		if !plain.Equal(a) || len(plain.Boxes()) > len(a.Boxes()) {
			t.Fatalf("simplify: %d boxes became %d", len(a.Boxes()), len(plain.Boxes()))
		}
		if !inside.Union(outside).Equal(a) || !either.Covers(a) || !less.Union(both).Equal(a) {
			t.Fatal("the parts do not make the whole")
		}
		if x.Covers(Box{Source: x.Source.V4(), Dest: x.Dest, Service: x.Service, Class: x.Class}) != true {
			t.Fatal("a box does not cover its part of IPv4")
		}
	})
}

func TestBoxMinusIsEmptyOnlyWhenCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genBox(t, "a"), genBox(t, "b")
		if got, want := len(a.Minus(b)) == 0, b.Covers(a); got != want {
			t.Fatalf("%v minus %v is empty: %v; covered: %v", a, b, got, want)
		}
	})
}

func TestText(t *testing.T) {
	p := func(s string) Addrs { return Prefix(netip.MustParsePrefix(s)) }
	cases := []struct{ got, want string }{
		{Addrs{}.String(), "none"},
		{AnyAddrs().String(), "any"},
		{p("192.0.2.0/25").Union(p("192.0.2.128/25")).Union(p("2001:db8::/32")).String(), "192.0.2.0/24,2001:db8::/32"},
		{p("10.0.0.0/8").Minus(p("10.1.0.0/16")).String(), "10.0.0.0/16,10.2.0.0-10.255.255.255"},
		{PortSet(PortSpan{22, 22}, PortSpan{5900, 5999}, PortSpan{23, 23}).String(), "22:23,5900:5999"},
		{AnyService().Minus(PortService(ProtoTCP, AnyPorts(), PortRange(22, 22))).String(), "0-5 6/0:21,23:65535 7-255"},
		{PortService(ProtoUDP, PortRange(53, 53), AnyPorts()).String(), "17/any<-53"},
		{ICMPService(ProtoICMP, 8, -1).String(), "1/8"},
		{(Unicast | Multicast).String(), "unicast,multicast"},
		{AnyBox().String(), "any > any any any"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if !AddrRange(netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.1")).IsEmpty() || !PortService(47, AnyPorts(), AnyPorts()).IsEmpty() {
		t.Error("what cannot be is not empty")
	}
	if Join(Addr(netip.MustParseAddr("::ffff:192.0.2.1"))).Contains(netip.MustParseAddr("192.0.2.1")) {
		t.Error("an IPv6 address that looks like an IPv4 one is taken for it")
	}
}

// BenchmarkRules splits everything by fifty rules of one guest.
func BenchmarkRules(b *testing.B) {
	var rules []Box
	for i := range 50 {
		r := AnyBox()
		r.Source = Prefix(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16))
		port := uint16(1000 + i*7)
		r.Service = PortService(ProtoTCP, AnyPorts(), PortRange(port, port+3))
		rules = append(rules, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		rest := AnyRegion()
		for _, r := range rules {
			_, rest = rest.Split(r)
		}
		if rest.IsEmpty() {
			b.Fatal("nothing is left")
		}
	}
}
