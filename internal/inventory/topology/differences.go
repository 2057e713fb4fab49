package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

// difference is one thing in which a node is not like most others.
type difference struct{ node, port, text string }

// differences compares the bridges and networks of the nodes that are known: a guest that moves must find the same there. Bridges
// without a port are nobody's business but their node's, unless a guest uses them.
func (b *builder) differences() []difference {
	var known []*Node
	for i := range b.g.Nodes {
		if b.g.Nodes[i].Known {
			known = append(known, &b.g.Nodes[i])
		}
	}
	if len(known) < 2 {
		return nil
	}
	names := map[string]bool{}
	for _, n := range known {
		for i := range n.Ports {
			p := &n.Ports[i]
			if p.Kind != string(netcfg.VNet) && (isBridge(p) || p.Network != "" && p.Layer != LayerVNet) {
				names[p.Name] = true
			}
		}
	}
	var out []difference
	for _, name := range sortedKeys(names) {
		out = append(out, compare(known, name)...)
	}
	return out
}

// compare looks at one interface on all nodes.
func compare(known []*Node, name string) []difference {
	var out []difference
	var have, lack []*Node
	for _, n := range known {
		if _, ok := n.Port(name); ok {
			have = append(have, n)
		} else {
			lack = append(lack, n)
		}
	}
	first, _ := have[0].Port(name)
	if isBridge(first) && len(lack) > 0 {
		for _, n := range fewer(have, lack) {
			verb := "lacks"
			if _, ok := n.Port(name); ok {
				verb = "alone has"
				if len(have) > 1 {
					verb = "has"
				}
			}
			out = append(out, difference{n.Name, name, n.Name + " " + verb + " the bridge " + name})
		}
	}
	for _, trait := range traits() {
		out = append(out, odd(have, name, trait.what, trait.of)...)
	}
	return out
}

// fewer is the shorter list, the first when they are equally long.
func fewer(a, b []*Node) []*Node {
	if len(b) < len(a) {
		return b
	}
	return a
}

type trait struct {
	what string
	of   func(*Port) string
}

// traits are the properties that have to be the same.
//
// table: what is compared between nodes
func traits() []trait {
	return []trait{
		{"type", func(p *Port) string { return p.Kind }},
		{"MTU", func(p *Port) string {
			if p.MTU == 0 {
				return "1500"
			}
			return itoa(p.MTU)
		}},
		{"VLAN awareness", func(p *Port) string { return map[bool]string{true: "on", false: "off"}[p.VLANAware] }},
		{"VLANs", func(p *Port) string { return p.VIDs }},
	}
}

// odd names the nodes whose value is not the most frequent one; of equally frequent ones the first counts.
func odd(have []*Node, name, what string, of func(*Port) string) []difference {
	count := map[string]int{}
	var order []string
	for _, n := range have {
		p, _ := n.Port(name)
		v := of(p)
		if count[v] == 0 {
			order = append(order, v)
		}
		count[v]++
	}
	usual := slices.MaxFunc(order, func(x, y string) int {
		if count[x] != count[y] {
			return count[x] - count[y]
		}
		return slices.Index(order, y) - slices.Index(order, x)
	})
	var out []difference
	for _, n := range have {
		p, _ := n.Port(name)
		if v := of(p); v != usual {
			out = append(out, difference{n.Name, name, fmt.Sprintf("%s of %s on %s is %s, elsewhere %s", what, name, n.Name, orNone(v), orNone(usual))})
		}
	}
	return out
}

func orNone(s string) string {
	if strings.TrimSpace(s) == "" {
		return "none"
	}
	return clip(s)
}
