package lockout

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
)

// otherNodes are the other members of the cluster that a host belongs to, with every address that is known of them, and own
// the addresses by which they know this one. None when the host is in no cluster. An error means that it cannot be told.
func otherNodes(r host.Reader) (others []netNode, own []netip.Addr, err error) {
	if _, err := r.ReadFile(corosyncPVE); err != nil {
		if host.NotExist(err) {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	c, err := inventory.Read(r, 0)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Corosync.Get(); err != nil {
		return nil, nil, err
	}
	for _, n := range c.Nodes {
		x := netNode{name: n.Name}
		for _, text := range append(slices.Clone(n.Named), n.Addresses...) {
			if a, ok := unmapped(text); ok && !slices.Contains(x.addrs, a) {
				x.addrs = append(x.addrs, a)
			}
		}
		switch {
		case n.Name == c.Here || n.Here:
			own = x.addrs
		case member(c, n.Name):
			others = append(others, x)
		}
	}
	return others, own, nil
}

// member reports whether corosync.conf lists a node: directories of nodes that left stay behind.
func member(c *inventory.Cluster, name string) bool {
	for _, n := range c.Corosync.Value.Nodes {
		if strings.EqualFold(n.Name, name) {
			return true
		}
	}
	return false
}

// nodes judges whether the other members of the cluster still work on this one: root by the key of the node from each of
// its addresses, with a shell and the forwarding that migrations go through (pve-guest-common, PVE/Tunnel.pm: a socket of
// the other side is forwarded; qemu-server, PVE/QemuMigrate.pm).
//
// A node that does not get in before the plan either is told and not held against it: the plan does not make it worse, and
// the missing key of a node that left would otherwise stop every change of sshd.
func (g sshdGuard) nodes(c change.Case, before, after *sshSide) []change.Verdict {
	nodes, own, err := otherNodes(c.After)
	if err != nil {
		return []change.Verdict{refuse("the other nodes of the cluster cannot be told: %v", err).verdict("sshd", "root@cluster")}
	}
	var out []change.Verdict
	for _, n := range nodes {
		o := change.Operator{User: "root", Address: n.name}
		out = append(out, g.node(c, before, after, n, own).verdict("sshd", o.Words()))
	}
	return out
}

func (g sshdGuard) node(c change.Case, before, after *sshSide, n netNode, own []netip.Addr) judgement {
	if len(n.addrs) == 0 {
		return refuse("no address of the node %s is known", n.name).adding("its name to /etc/hosts")
	}
	if after.err != nil {
		return refuse("the configuration of sshd cannot be read: %v", after.err)
	}
	var j judgement
	for _, a := range n.addrs {
		o := change.Operator{User: "root", Address: a.String(), Local: ofFamily(own, a), Port: sshPort(before)}
		if j = after.nodeLogin(n, o); j.ok {
			j = g.ask(c, after, o, a)
		}
		if j.ok {
			continue
		}
		if before.err == nil {
			if was := before.nodeLogin(n, o); !was.ok {
				return admit("%s does not get in before this plan either: %s", a, was.why)
			}
		}
		j.why = "from " + a.String() + ": " + j.why
		return j.adding("a block \"Match Address\" with all addresses of the nodes, in which %s", or(j.add, "root keeps its keys"))
	}
	texts := []string{}
	for _, a := range n.addrs {
		texts = append(texts, a.String())
	}
	return admit("root from %s by the key of the node", strings.Join(texts, ", "))
}

// sshPort is the port on which the nodes reach each other: the first that sshd listens on.
func sshPort(s *sshSide) int {
	for _, config := range s.configs {
		for _, d := range config.Directives {
			if d.Name == "port" {
				return number(strings.TrimSpace(d.Value))
			}
		}
	}
	return 22
}

// number reads a port; 22 when it is none.
func number(text string) int {
	n := 0
	for _, r := range text {
		if r < '0' || r > '9' || n > 65535 {
			return 22
		}
		n = n*10 + int(r-'0')
	}
	if n == 0 {
		return 22
	}
	return n
}

// ofFamily is the first address of the family of another, as text; empty when there is none.
func ofFamily(list []netip.Addr, like netip.Addr) string {
	for _, a := range list {
		if a.Is4() == like.Is4() {
			return a.String()
		}
	}
	return ""
}

// nodeLogin judges the login of a node and what it does there.
func (s *sshSide) nodeLogin(n netNode, o change.Operator) judgement {
	a, _ := unmapped(o.Address)
	var j judgement
	for _, config := range s.configs {
		l := &login{st: s.st, config: config, op: o, addr: a, local: o.Local, socket: s.socket, node: n.name}
		if j = l.judge(); !j.ok {
			return j
		}
		if j = l.forwards(); !j.ok {
			return j
		}
	}
	return j
}

// forwards asks for what migrations need.
func (l *login) forwards() judgement {
	for _, x := range []struct {
		key, word string
		good      []string
	}{
		{"disableforwarding", "DisableForwarding", []string{"no"}},
		{"allowtcpforwarding", "AllowTcpForwarding", []string{"yes", "all", "local"}},
		{"allowstreamlocalforwarding", "AllowStreamLocalForwarding", []string{"yes", "all", "local"}},
	} {
		if v, where := one(l.s, x.key); !slices.Contains(x.good, v) {
			return refuse("%s %s (%s) stops migrations, which go through SSH", x.word, v, where).in(l.s[x.key].Source).
				adding("%s %s", x.word, x.good[0])
		}
	}
	return judgement{ok: true}
}
