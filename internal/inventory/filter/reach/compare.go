package reach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// Flip is packets that one firewall accepts and the other refuses.
type Flip struct {
	// Machines are the ends that the flip is the same for: "host", "vm/100/net0".
	Machines []string
	// Out is true for packets that the machines send, false for those that they get.
	Out bool
	// Opens is true when the packets are refused before and accepted after.
	Opens   bool
	Family  int
	Sources Sources
	Dest    *Sources
	Service netset.Services
	// Before and After are what decides, with Verdicts.
	Before, After               filter.Reason
	VerdictBefore, VerdictAfter filter.Verdict
}

// maxFlipParts bounds the pairs of parts that are compared for one machine, so that a hostile file cannot make a
// comparison endless; one with fifty rules has some thousands.
const maxFlipParts = 4_000_000

// Difference is what changes when a node goes from one firewall to the other.
type Difference struct {
	Node  string
	Flips []Flip
	// Cut lists machines for which the comparison was too large and was left out.
	Cut []string
	// Unknown lists guests whose rules could not be read.
	Unknown []string
	// Compared is the number of machines.
	Compared int
	never    netset.Addrs
}

// neverSources are addresses that no packet comes from unless somebody forges it: those of many machines. What the firewalls
// make of them differs, and matters to nobody.
func neverSources(nets ...*filter.Network) netset.Addrs {
	sets := []netset.Addrs{shared(4), shared(6)}
	for _, n := range nets {
		for _, b := range builtIn(n) {
			if b.Text == smurfs {
				sets = append(sets, b.Set)
			}
		}
	}
	return netset.Join(sets...)
}

// Compare says whose packets are treated differently by two compilations of the firewall of one node: everything to and
// from the node itself and each NIC of its guests, with the world outside as the other end.
func Compare(c *inventory.Cluster, before, after *filter.Network, named func(vmid int) *Names) Difference {
	d := Difference{Node: before.Node}
	outside := filter.Endpoint{Kind: filter.Outside}
	nics := before.NICs()
	p := &Prober{cluster: c, net: before, nics: nics}
	ends := []end{{text: "host", at: filter.Endpoint{Kind: filter.Host}, names: named(0)}}
	for _, nic := range nics {
		at := filter.Endpoint{Kind: filter.GuestNIC, VMID: nic.VMID, Net: nic.Net, Iface: nic.Bridge}
		ends = append(ends, end{nicText(nic), at, named(nic.VMID)})
	}
	found := map[string]*Flip{}
	d.never = neverSources(before, after)
	for _, e := range ends {
		if before.Known(e.at) != nil || after.Known(e.at) != nil {
			d.Unknown = append(d.Unknown, e.text)
			continue
		}
		d.Compared++
		outside.Iface = p.ifaces(e.at)[0]
		for _, family := range []int{4, 6} {
			all := space(family, netset.AnyService(), netset.AnyAddrs().Minus(d.never))
			for _, out := range []bool{false, true} {
				from, to := outside, e.at
				if out {
					from, to = e.at, outside
				}
				a, errA := Partition(all, before.Path(from, to, family), before.Unfiltered(from, to))
				b, errB := Partition(all, after.Path(from, to, family), after.Unfiltered(from, to))
				if (errA != nil || errB != nil || !d.flips(found, e, flipKind{family, out}, [2][]Part{a, b})) && !slices.Contains(d.Cut, e.text) {
					d.Cut = append(d.Cut, e.text)
				}
			}
		}
		before.Forget(e.at)
		after.Forget(e.at)
	}
	for _, f := range found {
		d.Flips = append(d.Flips, *f)
	}
	slices.SortFunc(d.Flips, func(x, y Flip) int {
		return cmp.Or(boolOrder(!x.Opens, !y.Opens), slices.Compare(x.Machines, y.Machines), boolOrder(x.Out, y.Out),
			strings.Compare(x.After.Rule, y.After.Rule), strings.Compare(string(x.VerdictAfter), string(y.VerdictAfter)),
			cmp.Compare(x.After.Line, y.After.Line), cmp.Compare(x.Family, y.Family), strings.Compare(x.text(), y.text()))
	})
	return d
}

type end struct {
	text  string
	at    filter.Endpoint
	names *Names
}

type flipKind struct {
	family int
	out    bool
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// flips adds what differs between two partitions of the same space; false means that they were too large.
func (d *Difference) flips(found map[string]*Flip, e end, kind flipKind, parts [2][]Part) bool {
	if boxes(parts[0])*boxes(parts[1]) > maxFlipParts {
		return false
	}
	for _, a := range parts[0] {
		for _, b := range parts[1] {
			if (a.Verdict == filter.Accept) == (b.Verdict == filter.Accept) {
				continue
			}
			both := a.Region.Intersect(b.Region)
			if both.IsEmpty() {
				continue
			}
			for _, x := range both.Simplify().Boxes() {
				f := Flip{
					Machines: []string{e.text}, Out: kind.out, Opens: b.Verdict == filter.Accept, Family: kind.family, Sources: e.names.loosely(x.Source, shared(kind.family), d.ignored(kind.family)), Service: x.Service,
					Before: a.Why, After: b.Why, VerdictBefore: a.Verdict, VerdictAfter: b.Verdict,
				}
				if !x.Dest.Covers(unicast(kind.family)) {
					dest := e.names.loosely(x.Dest, shared(kind.family))
					f.Dest = &dest
				}
				if old, ok := found[f.text()]; ok {
					old.Machines = append(old.Machines, e.text)
				} else {
					found[f.text()] = &f
				}
			}
		}
	}
	return true
}

func (d *Difference) ignored(family int) netset.Addrs {
	if family == 6 {
		return d.never.V6()
	}
	return d.never.V4()
}

// text is the same for flips that are one thing to people: the line of a guest's own file is not part of it when the rule is the same.
func (f *Flip) text() string {
	return fmt.Sprintf("%v|%v|%d|%s|%s|%s|%s|%s|%s|%s", f.Opens, f.Out, f.Family, f.Sources.key(), f.Dest.key(), f.Service, f.Before.Rule, f.After.Rule,
		f.VerdictBefore, f.VerdictAfter)
}

func boxes(parts []Part) int {
	n := 0
	for _, p := range parts {
		n += len(p.Region.Boxes())
	}
	return n
}
