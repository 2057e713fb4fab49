package collect

import (
	"encoding/json"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/ifupdown"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files and commands of the network collector.
const (
	netInterfaces    = "/etc/network/interfaces"
	netInterfacesNew = "/etc/network/interfaces.new"
	netResolvConf    = "/etc/resolv.conf"
	netIPv6Route     = "/proc/net/ipv6_route"
	netSDNZones      = "/etc/pve/sdn/zones.cfg"
	netSDNSubnets    = "/etc/pve/sdn/subnets.cfg"
	netFRRDaemons    = "/etc/frr/daemons"
	netNftables      = "/etc/nftables.conf"
	netIptables      = "/etc/iptables/rules.v4"
)

// netAddressCommand lists all interfaces with kind, master and addresses; netRouteCommand the default routes of IPv4.
func netAddressCommand() host.Command {
	return host.Command{Name: "ip-address", Argv: []string{"ip", "-details", "-json", "address", "show"}}
}

func netRouteCommand() host.Command {
	return host.Command{Name: "ip-route-default", Argv: []string{"ip", "-json", "route", "show", "default"}}
}

// Network returns the collector of the subject network.
func Network() Collector {
	c := Collector{Name: "network", Collect: collectNetwork}
	for _, f := range []string{netInterfaces, "/etc/network/interfaces.d/*", netResolvConf, netIPv6Route, netSDNZones,
		netSDNSubnets, netFRRDaemons, netNftables, netIptables, osFileHosts, osFileHostname, osFileProcHostname,
		wireguardGlob, networkdGlob} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, p := range []string{"/etc/network/interfaces.d/*", wireguardGlob, networkdGlob} {
		c.Needs = append(c.Needs, host.Need{List: p})
	}
	c.Needs = append(c.Needs, host.Need{Stat: netInterfacesNew}, host.Need{Run: netAddressCommand()}, host.Need{Run: netRouteCommand()})
	return c
}

// netLink is what ip -json tells about an interface.
type netLink struct {
	Name     string   `json:"ifname"`
	Flags    []string `json:"flags"`
	Master   string   `json:"master"`
	LinkType string   `json:"link_type"`
	LinkInfo struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
	Addresses []struct {
		Family  string `json:"family"`
		Local   string `json:"local"`
		Length  int    `json:"prefixlen"`
		Scope   string `json:"scope"`
		Dynamic bool   `json:"dynamic"`
		// MngTmpAddr is set on addresses made from router advertisements.
		MngTmpAddr bool `json:"mngtmpaddr"`
	} `json:"addr_info"`
}

// netState is everything that the facts are derived from.
type netState struct {
	conf    *ifupdown.Config
	confErr error
	links   []netLink
	// live is true when links hold what the kernel says.
	live    bool
	liveErr error
}

func collectNetwork(c *Context) {
	var s netState
	s.conf, s.confErr = ifupdown.Load(netInterfaces, netSource(c.Host))
	s.links, s.liveErr = netLinks(c)
	s.live = s.liveErr == nil
	routes, routesErr := netRoutes(c)
	v6routes, v6Err := c.Host.ReadFile(netIPv6Route)
	if !c.Live {
		routesErr, v6Err = host.ErrUnavailable, host.ErrUnavailable
	}
	name := osHostname(c)
	hosts, _ := c.Host.ReadFile(osFileHosts)

	var f posture.NetworkFacts
	f.Interfaces = s.interfaces()
	f.DefaultRoutes = s.defaultRoutes(routes, routesErr, v6routes, v6Err)
	s.addresses(&f)
	netManagement(&f, name, hosts)
	f.MultiHomed = s.multiHomed()
	f.UsesSLAAC = s.usesSLAAC(v6routes, v6Err)
	f.RoutingReasons = routingReasons(c, &s)
	f.PendingChanges = netPending(c)
	f.ParseProblems = s.problems()
	f.WireGuard = wireguardLinks(c)
	f.Nameservers = netNameservers(c)
	c.Facts.Network = f
}

// netSource lets the parser of interfaces read the target.
func netSource(r host.Reader) ifupdown.Source {
	return ifupdown.Source{Read: r.ReadFile, Glob: func(pattern string) ([]string, error) {
		list, err := r.List(pattern)
		var out []string
		for _, e := range list {
			if e.Type == host.Regular || e.Type == host.Link {
				out = append(out, e.Path)
			}
		}
		return out, err
	}}
}

func netLinks(c *Context) ([]netLink, error) {
	out, err := c.Host.Run(netAddressCommand())
	if !c.Live {
		return nil, host.ErrUnavailable
	}
	if err != nil {
		return nil, err
	}
	var links []netLink
	if err := json.Unmarshal(out.Stdout, &links); err != nil || out.Code != 0 {
		return nil, posture.Problemf("malformed", "ip address: exit code %d, and its output is not the expected JSON", out.Code)
	}
	return slices.DeleteFunc(links, func(l netLink) bool { return l.Name == "" }), nil
}

func netRoutes(c *Context) ([]posture.NetRoute, error) {
	out, err := c.Host.Run(netRouteCommand())
	if err != nil {
		return nil, err
	}
	var raw []struct {
		Gateway string `json:"gateway"`
		Dev     string `json:"dev"`
	}
	if err := json.Unmarshal(out.Stdout, &raw); err != nil || out.Code != 0 {
		return nil, posture.Problemf("malformed", "ip route: exit code %d, and its output is not the expected JSON", out.Code)
	}
	routes := []posture.NetRoute{}
	for _, r := range raw {
		routes = append(routes, posture.NetRoute{Family: "inet", Gateway: r.Gateway, Interface: r.Dev})
	}
	return routes, nil
}

// isGuestLink tells the interfaces that PVE and container engines make for guests, by PVE's naming.
func isGuestLink(name string) bool {
	for _, p := range []string{"tap", "veth", "fwbr", "fwln", "fwpr"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// interfaces merges the configured and the present interfaces by name.
func (s *netState) interfaces() posture.Fact[[]posture.NetInterface] {
	if s.confErr != nil && !s.live {
		return posture.Unknown[[]posture.NetInterface](s.confErr, netInterfaces)
	}
	all := map[string]posture.NetInterface{}
	if s.conf != nil {
		for _, i := range s.conf.Interfaces {
			all[i.Name] = configuredInterface(i)
		}
	}
	for _, l := range s.links {
		if !isGuestLink(l.Name) {
			all[l.Name] = s.withLink(all[l.Name], l)
		}
	}
	out := make([]posture.NetInterface, 0, len(all))
	for _, i := range all {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b posture.NetInterface) int { return strings.Compare(a.Name, b.Name) })
	if s.live {
		return posture.Known(out, posture.Effective, "ip address; "+netInterfaces)
	}
	return posture.Known(out, posture.Configured, netInterfaces)
}

func configuredInterface(i *ifupdown.Interface) posture.NetInterface {
	n := posture.NetInterface{
		Name: i.Name, Kind: i.Kind(), Addresses: nonNil(i.Addresses()), Gateways: nonNil(i.Gateways()),
		BridgePorts: nonNil(i.Ports()), VLANAware: i.VLANAware(), Autostart: i.Auto, Methods: []string{},
	}
	for _, st := range i.Stanzas {
		if st.Method != "" {
			n.Methods = append(n.Methods, st.Family+" "+st.Method)
		}
	}
	if len(i.Stanzas) > 0 {
		n.Source = sourceLine(i.Stanzas[0].File, i.Stanzas[0].Line)
	}
	return n
}

func (s *netState) withLink(n posture.NetInterface, l netLink) posture.NetInterface {
	if n.Name == "" {
		n = posture.NetInterface{Name: l.Name, Kind: linkKind(l), Addresses: []string{}, Gateways: []string{},
			Methods: []string{}, BridgePorts: []string{}, Source: "/sys/class/net/" + l.Name}
	} else if k := linkKind(l); k != "physical" && k != "other" {
		n.Kind = k
	}
	n.Up = slices.Contains(l.Flags, "UP")
	for _, a := range l.Addresses {
		p, err := netip.ParseAddr(a.Local)
		if err != nil || a.Scope == "link" {
			continue
		}
		if c := netip.PrefixFrom(p, a.Length).String(); !slices.Contains(n.Addresses, c) {
			n.Addresses = append(n.Addresses, c)
		}
	}
	for _, other := range s.links {
		if other.Master == n.Name && isGuestLink(other.Name) {
			n.Guests = true
		}
	}
	return n
}

// linkKind translates the kernel's kinds (ip-link(8)) into ours.
func linkKind(l netLink) string {
	switch k := l.LinkInfo.Kind; k {
	case "":
		if l.LinkType == "loopback" || l.Name == "lo" {
			return "loopback"
		}
		return "physical"
	case "bridge", "bond", "vlan", "vxlan", "wireguard":
		return k
	case "openvswitch":
		return "ovs-bridge"
	}
	return "other"
}

func (s *netState) defaultRoutes(v4 []posture.NetRoute, v4Err error, v6 []byte, v6Err error) posture.Fact[[]posture.NetRoute] {
	if v4Err == nil && v6Err == nil {
		return posture.Known(append(v4, ipv6Defaults(v6)...), posture.Effective, "ip route; "+netIPv6Route)
	}
	if s.confErr != nil {
		return posture.Unknown[[]posture.NetRoute](s.confErr, netInterfaces)
	}
	routes := []posture.NetRoute{}
	for _, i := range s.conf.Interfaces {
		for _, g := range i.Gateways() {
			routes = append(routes, posture.NetRoute{Family: family(g), Gateway: g, Interface: i.Name})
		}
	}
	return posture.Known(routes, posture.Configured, netInterfaces)
}

func family(address string) string {
	if strings.Contains(address, ":") {
		return "inet6"
	}
	return "inet"
}

// addresses fills the facts that are lists of addresses. Configured ones count although the interface may be down,
// because a reboot brings them back.
func (s *netState) addresses(f *posture.NetworkFacts) {
	if p := f.Interfaces.Problem; p != nil {
		f.Addresses, f.IPv6Addresses = posture.Unknown[[]string](p, netInterfaces), posture.Unknown[[]string](p, netInterfaces)
		f.PublicAddresses = posture.Unknown[[]string](p, netInterfaces)
		return
	}
	all, v6, public := []string{}, []string{}, []string{}
	for _, i := range f.Interfaces.Value {
		for _, c := range i.Addresses {
			p, err := netip.ParsePrefix(c)
			if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
				continue
			}
			a := p.Addr().Unmap()
			all = append(all, a.String())
			if a.Is6() {
				v6 = append(v6, a.String())
			}
			if isPublic(a) {
				public = append(public, a.String())
			}
		}
	}
	o, src := f.Interfaces.Origin, f.Interfaces.Source
	f.Addresses = posture.Known(uniqStrings(all), o, src)
	f.IPv6Addresses = posture.Known(uniqStrings(v6), o, src)
	f.PublicAddresses = posture.Known(uniqStrings(public), o, src)
	if s.confErr == nil && len(s.conf.Errors) > 0 && !s.live {
		err := s.conf.Errors[0]
		f.Addresses, f.IPv6Addresses = posture.Unknown[[]string](err, src), posture.Unknown[[]string](err, src)
		f.PublicAddresses = posture.Unknown[[]string](err, src)
	}
}

// isPublic reports whether the internet may route to an address. What is reserved for private use, sharing, links,
// loopback, benchmarks or multicast is not (IANA special-purpose address registries; RFC 1918, 4193, 6598, 3927, 2544).
func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, r := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "100::/64", "fec0::/10"} {
		if netip.MustParsePrefix(r).Contains(a) {
			return false
		}
	}
	return true
}

// netManagement finds the address by which PVE knows this host: that of its name in /etc/hosts.
func netManagement(f *posture.NetworkFacts, name posture.Fact[string], hosts []byte) {
	address, src := "", ""
	if name.IsKnown() && name.Value != "" {
		if found := hostTable(hosts)[strings.ToLower(name.Value)]; len(found) > 0 {
			address, src = found[0].String(), osFileHosts
		}
	}
	if address == "" && f.DefaultRoutes.IsKnown() && f.Interfaces.IsKnown() {
		address, src = addressOfDefault(f.DefaultRoutes.Value, f.Interfaces.Value), "the interface with the default route"
	}
	if address == "" {
		p := posture.Problemf("not-found", "%s has no address for this host's name, and no interface with a default route is known", osFileHosts)
		f.ManagementAddress, f.ManagementPublic = posture.Unknown[string](p, osFileHosts), posture.Unknown[bool](p, osFileHosts)
		return
	}
	f.ManagementAddress = posture.Known(address, posture.Configured, src)
	a, err := netip.ParseAddr(address)
	f.ManagementPublic = posture.Known(err == nil && isPublic(a.Unmap()), posture.Configured, src)
}

func addressOfDefault(routes []posture.NetRoute, interfaces []posture.NetInterface) string {
	for _, r := range routes {
		for _, i := range interfaces {
			if i.Name != r.Interface {
				continue
			}
			for _, c := range i.Addresses {
				if p, err := netip.ParsePrefix(c); err == nil && family(c) == r.Family {
					return p.Addr().String()
				}
			}
		}
	}
	return ""
}

func (s *netState) multiHomed() posture.Fact[bool] {
	i := s.interfaces()
	if i.Problem != nil {
		return posture.Unknown[bool](i.Problem, i.Source)
	}
	n := 0
	for _, x := range i.Value {
		dynamic := slices.ContainsFunc(x.Methods, func(m string) bool { return strings.HasSuffix(m, " dhcp") || m == "inet6 auto" })
		if x.Kind != "loopback" && x.Kind != "alias" && (len(x.Addresses) > 0 || dynamic) {
			n++
		}
	}
	return posture.Known(n > 1, i.Origin, i.Source)
}

func (s *netState) problems() posture.Fact[[]string] {
	if s.confErr != nil {
		return posture.Unknown[[]string](s.confErr, netInterfaces)
	}
	return posture.Known(nonNil(s.conf.Problems), posture.Effective, netInterfaces)
}

func netPending(c *Context) posture.Fact[bool] {
	_, err := c.Host.Stat(netInterfacesNew)
	switch {
	case err == nil:
		return posture.Known(true, posture.Effective, netInterfacesNew)
	case host.NotExist(err):
		return posture.Known(false, posture.Effective, netInterfacesNew)
	}
	return posture.Unknown[bool](err, netInterfacesNew)
}

func netNameservers(c *Context) posture.Fact[[]string] {
	b, err := c.Host.ReadFile(netResolvConf)
	if err != nil {
		return posture.Unknown[[]string](err, netResolvConf)
	}
	out := []string{}
	for _, l := range host.Lines(b) {
		if f := strings.Fields(l); len(f) >= 2 && f[0] == "nameserver" {
			out = append(out, f[1])
		}
	}
	return posture.Known(out, posture.Configured, netResolvConf)
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// wireguardName is the interface that a wg-quick file configures.
func wireguardName(file string) string { return strings.TrimSuffix(path.Base(file), ".conf") }
