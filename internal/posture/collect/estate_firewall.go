package collect

import (
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// fwShowName names the question to systemd about the services of the firewall.
const fwShowName = "systemd-firewall"

// fwUnits are the services of the two firewalls.
func fwUnits() []string { return []string{"pve-firewall.service", "proxmox-firewall.service"} }

// firewallNeeds is what the subject asks for beyond the inventory.
func firewallNeeds() []host.Need { return []host.Need{{Run: showCommand(fwShowName, fwUnits())}} }

// fwView is what the parts of the subject share.
type fwView struct {
	c        *Context
	cl       *inventory.Cluster
	backends map[string]posture.Fact[[]string] // by node
	networks map[fwKey]*fwNetwork
}

// fwKey names the firewall of a node as one of the programs sees it.
type fwKey struct {
	node    string
	backend filter.Backend
}

// fwNetwork is a compiled firewall, or why it could not be compiled.
type fwNetwork struct {
	net     *filter.Network
	err     error
	missing map[fwCard]filter.Missing
}

// fwCard is a card of a guest by VMID and number.
type fwCard struct{ vmid, net int }

// firewallFacts fills the subject firewall.
func firewallFacts(c *Context, cl *inventory.Cluster) posture.FirewallFacts {
	v := &fwView{c: c, cl: cl, backends: map[string]posture.Fact[[]string]{}, networks: map[fwKey]*fwNetwork{}}
	var f posture.FirewallFacts
	v.options(&f)
	f.OtherFilter = otherPacketFilter(c)
	listErr := cl.ListErr
	if listErr == nil && len(v.members()) == 0 {
		listErr = posture.Problemf("not-found", "there is no directory of a node below /etc/pve/nodes")
	}
	if listErr != nil {
		f.Nodes = posture.Unknown[[]posture.FirewallNode](listErr, "/etc/pve/nodes")
		f.Guests = posture.Unknown[[]posture.FirewallGuest](listErr, "/etc/pve/nodes")
		f.Cards = posture.Unknown[[]posture.FirewallCard](listErr, "/etc/pve/nodes")
		f.Rules = posture.Unknown[[]posture.FirewallRule](listErr, "/etc/pve/nodes")
		f.Faults = posture.Unknown[[]posture.FirewallFault](listErr, "/etc/pve/nodes")
		f.Exposures = posture.Unknown[[]posture.FirewallExposure](listErr, "/etc/pve/nodes")
		f.LimitsHere = posture.Unknown[[]string](listErr, "/etc/pve/nodes")
		return f
	}
	nodes := v.nodes()
	f.Nodes = posture.Known(nodes, posture.Configured, "/etc/pve/nodes")
	v.guests(&f)
	f.Rules = v.rules()
	f.Faults = v.faults()
	f.Exposures = v.exposures(nodes, f.Management)
	f.LimitsHere = limitsHere(&f)
	return f
}

// members are the nodes of the cluster; the directory of a node that was removed may still be there.
func (v *fwView) members() []*inventory.Node {
	if !v.cl.Corosync.Known() || v.cl.Corosync.Absent {
		return v.cl.Nodes
	}
	names := map[string]bool{}
	for _, n := range v.cl.Corosync.Value.Nodes {
		names[n.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(v.cl.Nodes), func(n *inventory.Node) bool { return !names[n.Name] })
}

// network compiles the firewall of a node, once.
func (v *fwView) network(node string, backend filter.Backend) (*filter.Network, error) {
	k := fwKey{node, backend}
	n, ok := v.networks[k]
	if !ok {
		n = &fwNetwork{missing: map[fwCard]filter.Missing{}}
		if n.net, n.err = filter.New(v.cl, node, backend, filter.Options{Now: v.c.Now}); n.err == nil {
			for _, nic := range n.net.NICs() {
				n.missing[fwCard{nic.VMID, nic.Net}] = nic.Missing
			}
		}
		v.networks[k] = n
	}
	return n.net, n.err
}

// optionOf turns a setting of a firewall file into a fact; absent is PVE's default.
func optionOf[T any](f inventory.File[*firewall.File], name, absent string, value func(string) T) posture.Fact[T] {
	file, err := f.Get()
	if err != nil {
		return posture.Unknown[T](err, f.Path)
	}
	if o, ok := file.Option(name); ok {
		return posture.Known(value(o.Value), posture.Configured, f.Path+":"+strconv.Itoa(o.Line))
	}
	return posture.Known(value(absent), posture.Default, "default of PVE")
}

func flagOf(f inventory.File[*firewall.File], name, absent string) posture.Fact[bool] {
	return optionOf(f, name, absent, func(s string) bool { return s != "0" && s != "" })
}

func textOf(f inventory.File[*firewall.File], name, absent string) posture.Fact[string] {
	return optionOf(f, name, absent, func(s string) string { return s })
}

// numberOf reads a number; one that is too large for the machine is as large as can be.
func numberOf(f inventory.File[*firewall.File], name, absent string) posture.Fact[int] {
	return optionOf(f, name, absent, func(s string) int {
		n, err := strconv.Atoi(s)
		if errors.Is(err, strconv.ErrRange) {
			return int(^uint(0) >> 1)
		}
		return n
	})
}

// trialSeconds is how long a time behind enable counts as on (PVE::Firewall, "double anti-lockout call").
const trialSeconds = 60

// options are the settings of cluster.fw and what it defines for all nodes.
func (v *fwView) options(f *posture.FirewallFacts) {
	fw := v.cl.Firewall
	f.EnableValue = numberOf(fw, "enable", "0")
	f.Enabled = optionOf(fw, "enable", "0", func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 64)
		since := v.c.Now.Unix() - n
		return err == nil && (n == 1 || n > 1 && !v.c.Now.IsZero() && since >= 0 && since < trialSeconds)
	})
	f.PolicyIn = textOf(fw, "policy_in", "DROP")
	f.PolicyOut = textOf(fw, "policy_out", "ACCEPT")
	f.PolicyForward = textOf(fw, "policy_forward", "ACCEPT")
	f.Ebtables = flagOf(fw, "ebtables", "1")
	f.LogRateLimit = optionOf(fw, "log_ratelimit", "1", func(s string) bool {
		first, _, _ := strings.Cut(s, ",")
		return strings.TrimPrefix(first, "enable=") != "0"
	})
	file, err := fw.Get()
	if err != nil {
		f.Management = posture.Unknown[[]posture.FirewallNet](err, fw.Path)
		f.LocalNetwork = posture.Unknown[string](err, fw.Path)
		f.Blacklist = posture.Unknown[int](err, fw.Path)
		return
	}
	f.Management = posture.Known([]posture.FirewallNet{}, posture.Default, "no ipset management")
	if set, ok := file.IPSet("management"); ok {
		f.Management = posture.Known(fwNets(file, set, path.Base(fw.Path)), posture.Configured, fw.Path+":"+strconv.Itoa(set.Line))
	}
	f.LocalNetwork = posture.Known("", posture.Default, "no alias local_network")
	if a, ok := file.Alias("local_network"); ok {
		f.LocalNetwork = posture.Known(a.CIDR, posture.Configured, fw.Path+":"+strconv.Itoa(a.Line))
	}
	f.Blacklist = posture.Known(0, posture.Default, "no ipset blacklist")
	if set, ok := file.IPSet("blacklist"); ok {
		f.Blacklist = posture.Known(len(set.Entries), posture.Configured, fw.Path+":"+strconv.Itoa(set.Line))
	}
}

// fwNets are the entries of an ipset of cluster.fw that count.
func fwNets(file *firewall.File, set *firewall.IPSet, name string) []posture.FirewallNet {
	out := []posture.FirewallNet{}
	for _, e := range set.Entries {
		if e.Error != "" {
			continue
		}
		text, cidr := e.CIDR, e.CIDR
		if e.Alias {
			cidr = ""
			if a, ok := file.Alias(afterSlash(e.CIDR)); ok {
				cidr = a.CIDR
			}
		}
		n := fwNet(cidr)
		n.Text, n.Not, n.Line = text, e.NoMatch, name+":"+strconv.Itoa(e.Line)
		out = append(out, n)
	}
	return out
}

// afterSlash takes the scope of an alias off: "dc/office" is "office".
func afterSlash(ref string) string { _, name := firewall.AliasName(ref); return name }

// fwNet says what a network is; of a text that is none only the text.
func fwNet(cidr string) posture.FirewallNet {
	p, ok := firewall.CIDR(cidr)
	if !ok {
		return posture.FirewallNet{Text: cidr}
	}
	return posture.FirewallNet{Text: cidr, CIDR: p.String(), Bits: p.Bits(), IPv6: p.Addr().Is6(), Public: prefixSet(p).Overlaps(publicAddrs())}
}

// nodes are the firewalls of the members.
func (v *fwView) nodes() []posture.FirewallNode {
	units, unitsErr := v.units()
	out := []posture.FirewallNode{}
	for _, n := range v.members() {
		fw := n.Firewall
		f := posture.FirewallNode{Name: n.Name, Here: n.Here, NFTables: flagOf(fw, "nftables", "0"), Enabled: flagOf(fw, "enable", "1"),
			NoSmurfs: flagOf(fw, "nosmurfs", "1"), TCPFlags: flagOf(fw, "tcpflags", "0"), NDP: flagOf(fw, "ndp", "1"),
			SynFlood: flagOf(fw, "protection_synflood", "0"), SynFloodRate: numberOf(fw, "protection_synflood_rate", "200"),
			ConntrackMax: numberOf(fw, "nf_conntrack_max", "262144"), ConntrackInvalid: flagOf(fw, "nf_conntrack_allow_invalid", "0"),
			LogIn: textOf(fw, "log_level_in", "nolog"), LogOut: textOf(fw, "log_level_out", "nolog")}
		f.Backends = v.chosen(n.Name, f.NFTables)
		v.backends[n.Name] = f.Backends
		f.Service = v.service(n, f.NFTables, units, unitsErr)
		f.ServiceOff = f.Service.IsKnown() && !f.Service.Value
		f.LocalNetworks = v.localNetworks(n)
		out = append(out, f)
	}
	return out
}

// chosen are the programs that are judged for a node.
func (v *fwView) chosen(node string, nft posture.Fact[bool]) posture.Fact[[]string] {
	if len(v.c.Backends) > 0 {
		return posture.Known(slices.Clone(v.c.Backends), posture.Configured, "scan --backend")
	}
	if !nft.IsKnown() {
		return posture.Unknown[[]string](nft.Problem, nft.Source)
	}
	return posture.Known([]string{string(filter.DefaultBackend(v.cl, node))}, nft.Origin, nft.Source)
}

// units asks systemd about the services of the firewall on this machine.
func (v *fwView) units() (map[string]posture.WatchedUnit, error) {
	if v.c.API {
		return nil, host.ErrUnavailable
	}
	if v.c.Live {
		return watchedUnits(v.c, fwShowName, fwUnits())
	}
	view := readUnits(v.c)
	if view.treeErr != nil {
		return nil, view.treeErr
	}
	states := map[string]posture.WatchedUnit{}
	for _, u := range fwUnits() {
		s := view.unit(u)
		if !s.Enabled.IsKnown() {
			continue
		}
		on := strings.HasPrefix(s.Enabled.Value, "enabled")
		states[u] = posture.WatchedUnit{Name: u, Installed: s.Exists.Value, Enabled: on, Active: on}
	}
	return states, nil
}

// service says whether the program that a node has chosen runs: on this node from systemd, on others from the API.
func (v *fwView) service(n *inventory.Node, nft posture.Fact[bool], units map[string]posture.WatchedUnit, unitsErr error) posture.Fact[bool] {
	if !nft.IsKnown() {
		return posture.Unknown[bool](nft.Problem, nft.Source)
	}
	name := "pve-firewall"
	if nft.Value {
		name = "proxmox-firewall"
	}
	if n.Here && unitsErr == nil {
		if u, ok := units[name+".service"]; ok {
			return posture.Known(u.Active, posture.Effective, "state of "+name+".service")
		}
	}
	resource := "/nodes/" + n.Name + "/services/" + name + "/state"
	b, err := inventory.API(v.c.estateReader(), resource)
	if err != nil {
		if n.Here && unitsErr != nil && !v.c.API {
			err = unitsErr
		}
		return posture.Unknown[bool](err, resource)
	}
	var state struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(b, &state); err != nil || state.State == "" {
		return posture.Unknown[bool](posture.Problemf("malformed", "%s does not say in which state the service is", resource), resource)
	}
	return posture.Known(state.State == "running", posture.Effective, resource)
}

// localNetworks are what PVE adds to the management networks of a node by itself: the alias local_network, or the network
// around the address of the node's name.
func (v *fwView) localNetworks(n *inventory.Node) posture.Fact[[]posture.FirewallNet] {
	fw, err := v.cl.Firewall.Get()
	if err != nil {
		return posture.Unknown[[]posture.FirewallNet](err, v.cl.Firewall.Path)
	}
	if a, ok := fw.Alias("local_network"); ok {
		return posture.Known([]posture.FirewallNet{fwNet(a.CIDR)}, posture.Configured, v.cl.Firewall.Path+":"+strconv.Itoa(a.Line))
	}
	backend := filter.DefaultBackend(v.cl, n.Name)
	net, err := v.network(n.Name, backend)
	if err == nil && len(net.Addresses()) == 0 {
		err = n.Network.Err
		if err == nil {
			err = posture.Problemf("not-found", "the addresses of %s are not known", n.Name)
		}
	}
	if err != nil {
		return posture.Unknown[[]posture.FirewallNet](err, "addresses of "+n.Name)
	}
	out := []posture.FirewallNet{}
	own := net.Addresses()[0]
	for _, p := range net.Addresses() {
		if p == own || backend == filter.NFTables && p.Contains(own.Addr()) {
			out = append(out, fwNet(p.Masked().String()))
		}
	}
	return posture.Known(slices.CompactFunc(out, func(a, b posture.FirewallNet) bool { return a.CIDR == b.CIDR }), posture.Default, "network of "+own.Addr().String())
}
