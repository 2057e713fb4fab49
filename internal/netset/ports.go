package netset

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxPort is the last port; maxType the last ICMP type and code.
const (
	maxPort = 1<<16 - 1
	maxType = 1<<8 - 1
)

// PortSpan is a range of ports, both ends included.
type PortSpan struct{ From, To uint16 }

// Ports is a set of ports. The zero Ports is empty.
type Ports struct{ spans []PortSpan }

var fullPorts = []PortSpan{{0, maxPort}}

// AnyPorts is every port.
func AnyPorts() Ports { return Ports{fullPorts} }

// PortRange is the ports from one to another, both included; empty when they are out of order.
func PortRange(from, to uint16) Ports {
	if from > to {
		return Ports{}
	}
	return Ports{[]PortSpan{{from, to}}}
}

// PortSet is the union of ranges.
func PortSet(spans ...PortSpan) Ports {
	out := make([]PortSpan, 0, len(spans))
	for _, s := range spans {
		if s.From <= s.To {
			out = append(out, s)
		}
	}
	return Ports{mergePorts(out)}
}

// mergePorts sorts in place and joins what overlaps or touches.
func mergePorts(s []PortSpan) []PortSpan {
	if len(s) < 2 {
		return s
	}
	slices.SortFunc(s, func(a, b PortSpan) int { return cmp.Compare(a.From, b.From) })
	out := s[:1]
	for _, x := range s[1:] {
		if last := &out[len(out)-1]; int(x.From) <= int(last.To)+1 {
			last.To = max(last.To, x.To)
			continue
		}
		out = append(out, x)
	}
	return out
}

func (p Ports) isFull(limit uint16) bool {
	return len(p.spans) == 1 && p.spans[0] == PortSpan{0, limit}
}

// Intersect is every port of both sets.
func (p Ports) Intersect(q Ports) Ports {
	if p.IsAny() {
		return q
	}
	if q.IsAny() {
		return p
	}
	var out []PortSpan
	for i, j := 0, 0; i < len(p.spans) && j < len(q.spans); {
		a, b := p.spans[i], q.spans[j]
		if lo, hi := max(a.From, b.From), min(a.To, b.To); lo <= hi {
			out = append(out, PortSpan{lo, hi})
		}
		if a.To < b.To {
			i++
		} else {
			j++
		}
	}
	return Ports{out}
}

// Union is every port of either set.
func (p Ports) Union(q Ports) Ports {
	switch {
	case len(p.spans) == 0 || q.IsAny():
		return q
	case len(q.spans) == 0 || p.IsAny():
		return p
	}
	return Ports{mergePorts(append(append(make([]PortSpan, 0, len(p.spans)+len(q.spans)), p.spans...), q.spans...))}
}

// Minus is every port of p that is not in q.
func (p Ports) Minus(q Ports) Ports {
	if len(p.spans) == 0 || len(q.spans) == 0 {
		return p
	}
	var out []PortSpan
	for _, a := range p.spans {
		lo := int(a.From)
		for _, b := range q.spans {
			if int(b.To) < lo {
				continue
			}
			if b.From > a.To {
				break
			}
			if int(b.From) > lo {
				out = append(out, PortSpan{uint16(lo), b.From - 1}) //nolint:gosec // lo is at most a.To here
			}
			lo = int(b.To) + 1
		}
		if lo <= int(a.To) {
			out = append(out, PortSpan{uint16(lo), a.To}) //nolint:gosec // as above
		}
	}
	return Ports{out}
}

// IsEmpty reports whether there is no port in the set.
func (p Ports) IsEmpty() bool { return len(p.spans) == 0 }

// IsAny reports whether every port is in the set.
func (p Ports) IsAny() bool { return p.isFull(maxPort) }

// Equal reports whether both sets hold the same ports.
func (p Ports) Equal(q Ports) bool { return slices.Equal(p.spans, q.spans) }

// Contains reports whether a port is in the set.
func (p Ports) Contains(port uint16) bool {
	for _, s := range p.spans {
		if s.From <= port && port <= s.To {
			return true
		}
	}
	return false
}

// Spans returns the sorted ranges; they must not be changed.
func (p Ports) Spans() []PortSpan { return p.spans }

// String lists the ranges as PVE writes them: "22,5900:5999"; "any" and "none".
func (p Ports) String() string {
	switch {
	case p.IsEmpty():
		return "none"
	case p.IsAny():
		return "any"
	}
	var b strings.Builder
	for i, s := range p.spans {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(s.From)))
		if s.To != s.From {
			b.WriteString(":" + strconv.Itoa(int(s.To)))
		}
	}
	return b.String()
}
