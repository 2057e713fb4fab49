package lockout

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// Ports that people and nodes come by.
const (
	portSSH = 22
	portWeb = 8006
	// portCorosync is that of the first link; each further one takes the next (corosync.conf(5), mcastport).
	portCorosync = 5405
)

// firewallGuard follows the packets of operators and of the other nodes through the firewall of Proxmox VE.
type firewallGuard struct{}

// Judge implements [change.Guard].
func (firewallGuard) Judge(c change.Case) []change.Verdict {
	var out []change.Verdict
	if p := foreignFilter(c); p != "" {
		j := refuse("castellan does not simulate %s, so it cannot be told who gets through; make this change by hand, at the console", p).in(p)
		out = append(out, everybody(c, "firewall", j)...)
	}
	if p := touched(c, "/etc/fail2ban/", "/etc/fail2ban/*"); p != "" && len(c.Operators) > 0 {
		j := admit("bans of fail2ban are not simulated: it bans who fails to log in; keep your address in its ignoreip").in(p)
		out = append(out, j.verdict("firewall", ""))
	}
	if _, err := c.After.Stat("/etc/pve"); err != nil || !firewallTouched(c) {
		return out
	}
	f, err := newFirewalls(c)
	if err != nil {
		return append(out, everybody(c, "firewall", refuse("the firewall cannot be computed: %v", err))...)
	}
	for _, o := range c.Operators {
		out = append(out, f.operator(o).verdict("firewall", o.Words()))
	}
	if j := f.members(); !j.silent {
		out = append(out, j.verdict("firewall", "root@cluster"))
	}
	return out
}

// foreignFilter names a change of a packet filter that is not Proxmox VE's.
func foreignFilter(c change.Case) string {
	if p := touched(c, "/etc/nftables.conf", "/etc/nftables.d/", "/etc/nftables/", "/etc/iptables/", "/etc/ufw/", "/etc/firewalld/"); p != "" {
		return p
	}
	for _, x := range c.Changes {
		unit := strings.TrimSuffix(x.Unit, ".service")
		if x.Kind == "unit" && slices.Contains([]string{"nftables", "netfilter-persistent", "ufw", "firewalld"}, unit) {
			return "the unit " + x.Unit
		}
	}
	return ""
}

// firewallTouched reports whether a window can change what the node's own firewall does. Files of guests do not.
func firewallTouched(c change.Case) bool {
	if touches(c, "/etc/pve/firewall/cluster.fw", "/etc/pve/nodes/*/host.fw", "/etc/pve/local/host.fw", "/etc/network/interfaces",
		"/etc/network/interfaces.d/", "/etc/hosts", "/etc/hostname", corosyncPVE, "/etc/pve/sdn/") {
		return true
	}
	return slices.ContainsFunc(c.Changes, func(x change.Change) bool {
		unit := strings.TrimSuffix(x.Unit, ".service")
		return x.Kind == "pvefirewall" || unit == "pve-firewall" || unit == "proxmox-firewall"
	})
}

// firewalls are the firewalls of the nodes that a window concerns, before and after.
type firewalls struct {
	c             change.Case
	before, after *inventory.Cluster
	here          string
	nodes         []string
	nets          map[string]compiled
}

// compiled is the firewall of a node on one side, or why it cannot be computed.
type compiled struct {
	net *filter.Network
	err error
}

func newFirewalls(c change.Case) (*firewalls, error) {
	f := &firewalls{c: c, nets: map[string]compiled{}}
	var err error
	if f.after, err = inventory.Read(c.After, 0); err != nil {
		return nil, err
	}
	if f.before, err = inventory.Read(c.Before, 0); err != nil {
		return nil, err
	}
	if f.after.ListErr != nil {
		return nil, f.after.ListErr
	}
	f.here = f.after.Here
	wide := f.here == "" || touches(c, "/etc/pve/firewall/cluster.fw", "/etc/hosts", corosyncPVE, "/etc/pve/sdn/")
	for _, n := range f.after.Nodes {
		own := n.Name == f.here || slices.Contains(c.Paths, "/etc/pve/nodes/"+n.Name+"/host.fw")
		if own || wide && (f.after.Standalone || f.after.Corosync.Err != nil || member(f.after, n.Name)) {
			f.nodes = append(f.nodes, n.Name)
		}
	}
	if len(f.nodes) == 0 {
		return nil, fmt.Errorf("no node is in /etc/pve/nodes")
	}
	return f, nil
}

// network compiles the firewall of a node on one side of the window.
func (f *firewalls) network(node string, after bool) (*filter.Network, error) {
	key := fmt.Sprintf("%s %t", node, after)
	n, ok := f.nets[key]
	if !ok {
		cluster := f.before
		if after {
			cluster = f.after
		}
		n.net, n.err = compile(cluster, node, f.c)
		f.nets[key] = n
	}
	return n.net, n.err
}

func compile(cluster *inventory.Cluster, node string, c change.Case) (*filter.Network, error) {
	if _, ok := cluster.Node(node); !ok {
		return nil, fmt.Errorf("the node %s is not there", node)
	}
	n, err := filter.New(cluster, node, filter.DefaultBackend(cluster, node), filter.Options{Now: c.Now})
	if err != nil {
		return nil, err
	}
	if len(n.Refused) > 0 {
		r := n.Refused[0]
		return nil, &stuckError{fmt.Sprintf("proxmox-firewall refuses %s:%d: %s; it keeps its old rules until the next boot and has none then",
			r.Path, r.Line, r.Text)}
	}
	return n, nil
}

// stuckError means that proxmox-firewall does not load the files of a node.
type stuckError struct{ text string }

func (e *stuckError) Error() string { return e.text }

// untold is the judgement of a node whose firewall cannot be computed.
func untold(node string, err error) judgement {
	j := refuse("what the firewall of %s does cannot be told: %v", node, err)
	var stuck *stuckError
	j.unknown, j.stuck = true, errors.As(err, &stuck)
	return j
}

// loses compares a probe that fails after a window with what became of it before: nothing is lost of what was shut, nor on a
// node whose firewall refuses its files before and after, because it keeps the rules that it has.
func (f *firewalls) loses(p probe, after judgement) bool {
	was := f.follow(p, false)
	if after.unknown {
		return !after.stuck || !was.stuck
	}
	return was.ok || was.unknown
}

// probe is one connection to a node.
type probe struct {
	node         string
	source, dest netip.Addr // an invalid dest is the address that the node's name stands for
	iface        string
	proto        string
	port         int
}

func (p probe) text() string {
	return fmt.Sprintf("%s to %s, %s port %d", p.source, p.node, p.proto, p.port)
}

// follow sends a probe through the firewall.
func (f *firewalls) follow(p probe, after bool) judgement {
	n, err := f.network(p.node, after)
	if err != nil {
		return untold(p.node, err)
	}
	q := filter.Query{From: "outside", To: "host", Proto: p.proto, Source: p.source.String(), DPort: strconv.Itoa(p.port)}
	if p.iface != "" {
		q.From = "outside/" + p.iface
	}
	if p.dest.IsValid() && p.dest.Is4() == p.source.Is4() {
		q.Dest = p.dest.String()
	}
	a, err := n.Simulate(q)
	if err != nil {
		return untold(p.node, err)
	}
	by := ""
	file := ""
	if len(a.Trace) > 0 {
		d := a.Trace[len(a.Trace)-1]
		by = d.Rule
		if d.File != "" {
			file = d.File
			by = fmt.Sprintf("%s:%d %s", d.File, d.Line, d.Rule)
			if d.Line == 0 {
				by = d.File + " " + d.Rule
			}
		}
	}
	if a.Verdict == filter.Accept {
		return admit("%s: %s", p.text(), by).in(file)
	}
	if p.proto == "udp" && p.port > portCorosync && p.dest.IsValid() && answers(n, p) {
		return admit("%s: comes in as the answer to what goes out", p.text())
	}
	return refuse("%s: %s by %s", p.text(), a.Verdict, by).in(file)
}

// answers reports whether a node's own packets to the other end go out. Both ends of a link of corosync send from and to the
// same port, so what comes in belongs to a flow that went out, and conntrack lets it in. pve-firewall opens no more than
// 5404:5405 by itself (PVE/Firewall.pm), and further links live by this. The first link is held to be open on its own.
func answers(n *filter.Network, p probe) bool {
	port := strconv.Itoa(p.port)
	a, err := n.Simulate(filter.Query{From: "host", To: "outside", Proto: p.proto, Source: p.dest.String(), Dest: p.source.String(), DPort: port, SPort: port})
	return err == nil && a.Verdict == filter.Accept
}

// operator judges SSH and the web interface on every node that the window concerns.
func (f *firewalls) operator(o change.Operator) judgement {
	network, err := parseFrom(o.Address)
	if err != nil {
		return refuse("it is not known where %s comes from: %v", o.User, err).adding("--admin %s@ADDRESS", o.User)
	}
	var good []string
	for _, node := range f.nodes {
		own := node == f.here || f.here == "" && len(f.nodes) == 1
		iface, dest := "", netip.Addr{}
		if own {
			dest, _ = netip.ParseAddr(local(f.c, o, network.prefix.Addr()))
			dest = dest.Unmap()
			iface = f.iface(dest)
		}
		addrs, err := f.samples(node, network, iface)
		if err != nil {
			return refuse("%v", err)
		}
		ports := []int{portSSH, portWeb}
		if own {
			ports[0] = port(o)
		}
		for i, p := range ports {
			j := f.everywhere(probe{node: node, dest: dest, iface: iface, proto: "tcp", port: p}, addrs, own && i == 0)
			if !j.ok {
				return j.adding("%s to the ipset management (castellan pve simulate shows the way of the packet)", o.Address)
			}
			good = append(good, j.why)
		}
	}
	return admit("%s", strings.Join(good, "; "))
}

// everywhere follows a probe from all addresses. What must be open is refused also when it was shut before; what need not
// be only when it was open.
func (f *firewalls) everywhere(p probe, addrs []netip.Addr, must bool) judgement {
	var first judgement
	for i, a := range addrs {
		p.source = a
		j := f.follow(p, true)
		if !j.ok {
			switch {
			case must:
				return afterwards(j, func() judgement { return f.follow(p, false) })
			case f.loses(p, j):
				return j
			case j.stuck:
				j = admit("%s: proxmox-firewall refuses its files there before and after, and keeps the rules that it has", p.text())
			default:
				j = admit("%s: shut before this plan already", p.text())
			}
		}
		if i == 0 {
			first = j
		}
	}
	return first
}

// iface is the interface of this node that has an address; empty leaves it to the one that the node's name stands for.
func (f *firewalls) iface(a netip.Addr) string {
	n, ok := f.after.Node(f.here)
	if !ok || !a.IsValid() || !n.Network.Known() || n.Network.Value == nil {
		return ""
	}
	for _, i := range n.Network.Value.Interfaces {
		for _, p := range i.Addresses {
			if p.Addr() == a {
				return i.Name
			}
		}
	}
	return ""
}

// samples are addresses that stand for an operator's network, as the steps of the node's firewall divide it.
func (f *firewalls) samples(node string, network from, iface string) ([]netip.Addr, error) {
	if network.one {
		return network.samples(nil)
	}
	var nets []netip.Prefix
	for _, after := range []bool{true, false} {
		n, err := f.network(node, after)
		if err != nil {
			continue // the probe itself says so
		}
		text := "outside"
		if iface != "" {
			text += "/" + iface
		}
		source, err := n.Endpoint(text)
		if err != nil {
			return nil, err
		}
		family := 6
		if network.prefix.Addr().Is4() {
			family = 4
		}
		for _, stage := range n.Path(source, filter.Endpoint{Kind: filter.Host}, family) {
			for _, step := range stage.Steps {
				for _, box := range step.Match {
					nets = append(nets, box.Source.Prefixes()...)
				}
				if len(nets) > 20*maxSamples {
					return nil, fmt.Errorf("the rules of %s name more than %d networks; name a smaller network than %s", node, 20*maxSamples, network.prefix)
				}
			}
		}
	}
	return network.samples(nets)
}

// members judges what the nodes need of each other: SSH and the API between their addresses, corosync on each link. Only
// what was open before can be lost.
func (f *firewalls) members() judgement {
	conf, err := f.after.Corosync.Get()
	if f.after.Standalone || err == nil && (conf == nil || len(conf.Nodes) < 2) {
		return judgement{silent: true}
	}
	if err != nil {
		return refuse("the nodes of the cluster cannot be told: %v", err)
	}
	links := map[string]int{}
	for _, n := range conf.Nodes {
		links[n.Name] = len(n.Addresses)
	}
	tested := 0
	for _, to := range f.nodes {
		dest, ok := f.after.Node(to)
		if !ok {
			continue
		}
		for _, source := range f.after.Nodes {
			if source.Name == to || !member(f.after, source.Name) {
				continue
			}
			if len(source.Addresses) == 0 {
				return refuse("no address of the node %s is known", source.Name).adding("its name to /etc/hosts")
			}
			for _, p := range memberProbes(source, dest, links[to]) {
				tested++
				if j := f.follow(p, true); !j.ok && f.loses(p, j) {
					return j.adding("the addresses of the nodes to the ipset management, or a rule that accepts them")
				}
			}
		}
	}
	return admit("the nodes reach each other as before: SSH, port %d and corosync (%d connections)", portWeb, tested)
}

// memberProbes are the connections from one node to another.
func memberProbes(source, dest *inventory.Node, links int) []probe {
	var out []probe
	for i := range min(len(source.Addresses), len(dest.Addresses)) {
		a, ok1 := unmapped(source.Addresses[i])
		b, ok2 := unmapped(dest.Addresses[i])
		if !ok1 || !ok2 || a.Is4() != b.Is4() {
			continue
		}
		if i < links {
			out = append(out, probe{node: dest.Name, source: a, dest: b, proto: "udp", port: portCorosync + i})
		}
		for _, p := range []int{portSSH, portWeb} {
			out = append(out, probe{node: dest.Name, source: a, dest: b, proto: "tcp", port: p})
		}
	}
	return out
}
