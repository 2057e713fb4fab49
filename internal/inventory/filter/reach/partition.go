package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// Part is the packets about which one step decides.
type Part struct {
	Region  netset.Region
	Verdict filter.Verdict
	Why     filter.Reason
	// Stage is the name of the stage that the step is in.
	Stage string
	// Rest is true for the last step of a stage, which decides about what is left.
	Rest bool
}

// Partition sends all packets of a space through the stages of a path. The parts are disjoint and together they are the
// space: nothing is sampled, nothing is left out. Frames carry the address of their NIC, so the MAC filter stops none.
// A path without stages accepts everything, with the reason given. The error is [ErrTooLarge].
func Partition(space netset.Region, path []*filter.Stage, unfiltered filter.Reason) ([]Part, error) {
	if space.IsEmpty() {
		return nil, nil
	}
	if len(path) == 0 {
		return []Part{{Region: space, Verdict: filter.Accept, Why: unfiltered, Rest: true}}, nil
	}
	var out []Part
	for i, stage := range path {
		parts, err := pass(space, stage)
		if err != nil {
			return nil, err
		}
		if i == len(path)-1 {
			return append(out, parts...), nil
		}
		var on []netset.Box
		for _, p := range parts {
			if p.Verdict == filter.Accept {
				on = append(on, p.Region.Boxes()...)
			} else {
				out = append(out, p)
			}
		}
		if len(on) == 0 {
			return out, nil
		}
		space = netset.Disjoint(on).Simplify()
	}
	return out, nil
}

// ErrTooLarge means that a stage has so many rules that the question would take minutes. A question about one port, or about
// fewer sources, is smaller.
var ErrTooLarge = errors.New("there are too many rules to work it out; ask about one port, or about the sources that matter (--from)")

// maxWork bounds the comparisons for one stage, some seconds. Fifty rules take thousands, and 3,000 rules with a port and a
// network of their own each five millions.
const maxWork = 60_000_000

// pass splits the packets that come to a stage by the step that decides.
func pass(space netset.Region, stage *filter.Stage) ([]Part, error) {
	work := 0
	out := make([]Part, 0, len(stage.Steps))
	pending := slices.Clone(space.Boxes())
	for i := range stage.Steps {
		st := &stage.Steps[i]
		var hit []netset.Box
		for _, b := range st.Match {
			var n int
			pending, hit, n = netset.Carve(pending, b, hit)
			work += n
		}
		if work > maxWork {
			return nil, fmt.Errorf("%s: %w", stage.Name, ErrTooLarge)
		}
		if len(hit) > 0 {
			out = append(out, Part{Region: netset.Disjoint(hit), Verdict: st.Verdict, Why: st.Why, Stage: stage.Name, Rest: i == len(stage.Steps)-1})
		}
		if len(pending) == 0 {
			break
		}
	}
	return out, nil
}

// space is all packets of a family with some services to one machine.
func space(family int, service netset.Services, source netset.Addrs) netset.Region {
	b := netset.Box{Source: netset.Any4(), Dest: unicast(family), Service: service, Class: netset.Unicast}
	if family == 6 {
		b.Source = netset.Any6()
	}
	if !source.IsEmpty() {
		b.Source = b.Source.Intersect(source)
	}
	if b.IsEmpty() {
		return netset.Region{}
	}
	return netset.RegionOf(b)
}

// unicast is the addresses that one machine can have.
func unicast(family int) netset.Addrs {
	if family == 6 {
		return netset.Any6().Minus(shared(6))
	}
	return netset.Any4().Minus(shared(4))
}

// shared is the addresses that no machine has for itself (RFC 1112, RFC 919, RFC 4291).
func shared(family int) netset.Addrs {
	if family == 6 {
		return prefixOf("ff00::/8")
	}
	return netset.Join(prefixOf("224.0.0.0/4"), prefixOf("255.255.255.255/32"))
}

func prefixOf(text string) netset.Addrs { return netset.Prefix(netip.MustParsePrefix(text)) }
