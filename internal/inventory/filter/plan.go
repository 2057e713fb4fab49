package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// plan is how a run of pve-firewall goes for one family. A security group is made when the first GROUP line asks for it,
// with the chains of both directions; when a rule in it cannot be generated, the run of whatever asked for it ends
// there: for the node the GROUP line is lost, for a guest everything that is not yet made. Chains that exist by then stay,
// with the rules up to the bad one, and later GROUP lines use them. So the order decides, and it is that of the program:
// the node, the virtual machines sorted by VMID as text, the containers likewise; for each guest its NICs sorted by name
// as text, each in and then out.
type plan struct {
	// lost are the GROUP lines of the node that nothing is made of.
	lost [2]map[*firewall.Rule]bool
	// unplugged are the NICs that have no chain, and what ended the run.
	unplugged [2]map[*nic]mishap
	// exists are the chains of groups so far.
	exists map[string][2]bool
}

// mishap is what ended a run, and the line of cluster.fw that did; the zero mishap is none.
type mishap struct {
	text string
	line int
}

// maxChainName is the length of the name of a chain that iptables takes.
const maxChainName = 28

func (p *perl) plan(family int) *plan {
	i := index(family)
	if p.plans[i] != nil {
		return p.plans[i]
	}
	pl := &plan{exists: map[string][2]bool{}}
	for d := in; d <= out; d++ {
		pl.lost[d], pl.unplugged[d] = map[*firewall.Rule]bool{}, map[*nic]mishap{}
	}
	p.plans[i] = pl
	if p.node.hostEnabled() {
		for d := in; d <= out; d++ {
			p.groupLines(p.node.host.Rules, nil, false, func(r *firewall.Rule) bool {
				pl.lost[d][r] = pl.use(p, r.Action, d, family) != mishap{}
				return true
			})
			p.groupLines(p.node.cluster.Rules, nil, true, func(r *firewall.Rule) bool {
				pl.lost[d][r] = pl.use(p, r.Action, d, family) != mishap{}
				return true
			})
		}
	}
	for _, g := range p.node.inOrder() {
		if g.enabled() {
			p.planGuest(pl, g, family)
		}
	}
	return pl
}

// groupLines calls use for the GROUP lines that count, until it returns false.
func (p *perl) groupLines(rules []firewall.Rule, local *firewall.File, own bool, use func(*firewall.Rule) bool) {
	sc := p.scope(local, own)
	for i := range rules {
		r := &rules[i]
		if r.Type != "group" || !r.Enabled || len(sc.Check(r).Errors) > 0 {
			continue
		}
		if !use(r) {
			return
		}
	}
}

func (p *perl) planGuest(pl *plan, g *guestFiles, family int) {
	nics := slices.Clone(g.nics)
	slices.SortFunc(nics, func(a, b *nic) int { return strings.Compare(strconv.Itoa(a.Net), strconv.Itoa(b.Net)) })
	var died mishap
	for _, c := range nics {
		if !c.Firewall {
			continue
		}
		netid := "net" + strconv.Itoa(c.Net)
		for d := in; d <= out; d++ {
			if died == (mishap{}) {
				p.groupLines(g.file.Rules, g.file, false, func(r *firewall.Rule) bool {
					if !given(r.Iface) || r.Iface == netid {
						died = pl.use(p, r.Action, d, family)
					}
					return died == mishap{}
				})
			}
			if died != (mishap{}) {
				pl.unplugged[d][c] = died
			}
		}
	}
}

// use asks for the chain of a group. The answer is why the run ends.
func (pl *plan) use(p *perl, name string, d direction, family int) mishap {
	e := pl.exists[name]
	if e[d] {
		return mishap{}
	}
	g := p.group(name, family)
	if e[in] {
		return mishap{"the group " + name + " was left half made, because of line " + strconv.Itoa(g.at[in]), g.at[in]}
	}
	for d, suffix := range []string{"-IN", "-OUT"} {
		if len("GROUP-"+name+suffix) > maxChainName {
			return mishap{text: "the name of the group " + name + " is too long"}
		}
		e[d] = true
		pl.exists[name] = e
		if g.dies[d] != nil {
			return mishap{"line " + strconv.Itoa(g.at[d]) + ", in the group " + name + ", cannot be generated: " + g.dies[d].Error(), g.at[d]}
		}
	}
	return mishap{}
}

func (p *perl) missing(c *nic, d direction, family int) (Missing, string) {
	switch {
	case !c.Firewall:
		return MissingFlag, ""
	case !c.guest.enabled():
		return MissingGuest, ""
	}
	if m := p.plan(family).unplugged[d][c]; m != (mishap{}) {
		return MissingChain, m.text
	}
	return "", ""
}
