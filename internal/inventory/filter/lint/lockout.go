package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/netset"
)

// The ports without which nobody gets in any more: SSH and the web interface of PVE.
const (
	portSSH = 22
	portWeb = 8006
	// portCorosync is that of the first link; each further link has the next one (corosync.conf(5), mcastport; knet).
	portCorosync = 5405
)

// lockouts reports rules of one node that keep administrators or other nodes out.
func (k *checker) lockouts(net *filter.Network) {
	outside, host := filter.Endpoint{Kind: filter.Outside}, filter.Endpoint{Kind: filter.Host}
	reported := map[place]bool{}
	for _, family := range []int{4, 6} {
		for _, s := range net.Path(outside, host, family) {
			k.managementCut(net, s, reported)
		}
		for _, s := range net.Path(host, outside, family) {
			k.clusterCut(net, s, reported)
		}
	}
}

// managementCut looks for rules that stand before the built-in ones for management and refuse what those would accept.
func (k *checker) managementCut(net *filter.Network, s *filter.Stage, reported map[place]bool) {
	ports := netset.PortService(netset.ProtoTCP, netset.AnyPorts(), netset.PortSet(netset.PortSpan{From: portSSH, To: portSSH}, netset.PortSpan{From: portWeb, To: portWeb}))
	var mgmt netset.Region
	for i := range s.Steps {
		st := &s.Steps[i]
		if st.Verdict != filter.Accept || !forManagement(st.Why) {
			continue
		}
		for _, b := range st.Match {
			b.Service = b.Service.Intersect(ports)
			mgmt = mgmt.Union(netset.RegionOf(b))
		}
	}
	if mgmt.IsEmpty() {
		return
	}
	left := mgmt
	for i := range s.Steps {
		st := &s.Steps[i]
		if forManagement(st.Why) || len(left.Boxes()) > maxLeft {
			return
		}
		for _, b := range st.Match {
			hit, rest := left.Split(b)
			if hit.IsEmpty() {
				continue
			}
			left = rest
			p := place{st.Why.File, st.Why.Line}
			if st.Verdict == filter.Accept || reported[p] || !k.isRule(p) {
				continue
			}
			reported[p] = true
			k.add(k.managementFinding(net, st, hit, rest.IsEmpty()))
		}
	}
}

// isRule reports whether a line is a rule, or the ipset blacklist.
func (k *checker) isRule(p place) bool {
	for _, s := range k.sources {
		if s.path == p.file {
			set, ok := s.file.IPSet("blacklist")
			return s.isRuleLine(p.line) || ok && s == k.cluster && set.Line == p.line
		}
	}
	return false
}

// maxLeft bounds how finely rules may cut the management networks before the search for a lock-out ends.
const maxLeft = 1000

// forManagement reports whether a step is one that the firewall adds for the ipset management.
func forManagement(r filter.Reason) bool { return strings.HasPrefix(r.Rule, "management: ") }

func (k *checker) managementFinding(net *filter.Network, st *filter.Step, hit netset.Region, all bool) Finding {
	var ports netset.Ports
	var sources netset.Addrs
	for _, b := range hit.Boxes() {
		ports = ports.Union(b.Service.DestPorts(netset.ProtoTCP))
		sources = sources.Union(b.Source)
	}
	f := Finding{
		File: st.Why.File, Line: st.Why.Line, Code: LockoutMgmt, Severity: Medium, Owner: net.Node,
		Text: fmt.Sprintf("%s keeps %s of the management networks from tcp %s of %s, before the built-in rules let them in", quote(st.Why.Rule), short(sources), ports, net.Node),
		Hint: "exempt the addresses that you administer from, before you change anything else",
	}
	f.Effect = Effect{IPTables: FailClosed, NFTables: None}
	if all {
		f.Severity = High
	}
	return f
}

// maxShort is the number of networks that a text names.
const maxShort = 3

func short(a netset.Addrs) string {
	r := a.Ranges()
	var out []string
	for i, x := range r {
		if i == maxShort {
			out = append(out, "...")
			break
		}
		out = append(out, netset.RangeText(x))
	}
	return strings.Join(out, ", ")
}

// clusterCut looks for what a node sends to its peers and its own rules refuse: corosync on every link, SSH (migration) and the
// API.
func (k *checker) clusterCut(net *filter.Network, s *filter.Stage, reported map[place]bool) {
	if k.c.Standalone || !k.c.Corosync.Known() || k.c.Corosync.Absent || k.c.Corosync.Value == nil {
		return
	}
	refused := map[filter.Reason][]string{}
	for _, n := range k.c.Corosync.Value.Nodes {
		if n.Name == net.Node {
			continue
		}
		for link, text := range n.Addresses {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Is4() != (s.Family == 4) {
				continue
			}
			port := portCorosync
			if k.c.Corosync.Value.Totem["transport"] != "udp" {
				port += link
			}
			asked := map[string]netset.Services{"udp " + strconv.Itoa(port): udp(port)}
			if link == 0 {
				asked["tcp 22"], asked["tcp 8006"] = tcp(portSSH), tcp(portWeb)
			}
			for name, service := range asked {
				if why, ok := decider(s, a, service); ok {
					refused[why] = append(refused[why], fmt.Sprintf("%s to %s", name, n.Name))
				}
			}
		}
	}
	for why, what := range refused {
		p := place{why.File, why.Line}
		if reported[p] {
			continue
		}
		reported[p] = true
		slices.Sort(what)
		what = slices.Compact(what)
		f := Finding{File: why.File, Line: why.Line, Code: LockoutCluster, Severity: High, Owner: net.Node}
		if f.File == "" {
			f.File = k.cluster.path
		}
		f.Text = fmt.Sprintf("%s refuses what %s sends to its peers: %s", why.Rule, net.Node, strings.Join(what, ", "))
		f.Hint = "accept corosync (udp 5405 and one port for each further link), SSH and 8006 between the nodes"
		f.Effect = Effect{IPTables: FailClosed, NFTables: FailClosed}
		k.add(f)
	}
}

func udp(port int) netset.Services {
	return netset.PortService(netset.ProtoUDP, netset.AnyPorts(), netset.PortRange(uint16(port), uint16(port))) //nolint:gosec // small constants
}

func tcp(port int) netset.Services {
	return netset.PortService(netset.ProtoTCP, netset.AnyPorts(), netset.PortRange(uint16(port), uint16(port))) //nolint:gosec // small constants
}

// decider returns what refuses some of the packets to an address and service; false when all are accepted.
func decider(s *filter.Stage, to netip.Addr, service netset.Services) (filter.Reason, bool) {
	b := netset.Box{Source: netset.Any4(), Dest: netset.Addr(to), Service: service, Class: netset.Unicast}
	if s.Family == 6 {
		b.Source = netset.Any6()
	}
	left := netset.RegionOf(b)
	for i := range s.Steps {
		for _, m := range s.Steps[i].Match {
			hit, rest := left.Split(m)
			// A rule for a part of the addresses of the node is no verdict about the node.
			if !hit.IsEmpty() && s.Steps[i].Verdict != filter.Accept && rest.IsEmpty() {
				return s.Steps[i].Why, true
			}
			left = rest
		}
	}
	return filter.Reason{}, false
}
