package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/netset"
	"github.com/castellan-project/castellan/internal/pve/corosync"
	"github.com/castellan-project/castellan/internal/pve/firewall"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

// nodeFiles is what both programs read on a node.
type nodeFiles struct {
	name                  string
	cluster, host         *firewall.File
	clusterPath, hostPath string
	corosync              *corosync.Config // nil on a node that is no member of a cluster
	links                 []link
	guests                []*guestFiles // by VMID
	byID                  map[int]*guestFiles
	vnets                 map[string]*firewall.File
	vnetPaths             map[string]string
	// addresses are those of the node, with the length of their network where that is known.
	addresses []netip.Prefix
	// named are the addresses that the node's name stands for.
	named []netip.Addr
	// ifaces are the interfaces of the node; nil when they are not known. Main is the one that leads outside.
	ifaces []netcfg.Interface
	main   string
}

// link is the address of a member on one link of corosync.
type link struct {
	node string
	ring int
	addr netip.Addr
}

// guestFiles is a guest of the node.
type guestFiles struct {
	id        int
	container bool
	file      *firewall.File
	path      string
	err       error // why the configuration or the firewall of the guest is not known
	nics      []*nic
}

// nic is a NIC with the guest that it belongs to.
type nic struct {
	NIC
	guest *guestFiles
}

func (c *nic) title() string {
	kind := "vm"
	if c.guest.container {
		kind = "ct"
	}
	return fmt.Sprintf("%s %d net%d", kind, c.VMID, c.Net)
}

func (g *guestFiles) enabled() bool { return g.file.On("enable", false) }

// readNode collects the files. With strict they are read as proxmox-firewall does.
func readNode(c *inventory.Cluster, n *inventory.Node, strict bool) (*nodeFiles, error) {
	f := &nodeFiles{name: n.Name, clusterPath: c.Firewall.Path, hostPath: n.Firewall.Path, byID: map[int]*guestFiles{}}
	var err error
	if f.cluster, err = view(c.Firewall, firewall.ClusterFile, strict); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", f.clusterPath, err)
	}
	if f.host, err = view(n.Firewall, firewall.HostFile, strict); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", f.hostPath, err)
	}
	f.network(c, n)
	f.members(c)
	f.vnets, f.vnetPaths = map[string]*firewall.File{}, map[string]string{}
	for name, file := range c.VNetFirewalls {
		if v, err := view(file, firewall.VNetFile, strict); err == nil {
			f.vnets[name], f.vnetPaths[name] = v, file.Path
		}
	}
	for _, g := range c.Guests {
		if g.Node == n.Name {
			f.guest(g, strict)
		}
	}
	return f, nil
}

// view is the file as one of the programs reads it.
func view(f inventory.File[*firewall.File], kind firewall.Kind, strict bool) (*firewall.File, error) {
	v, err := f.Get()
	if err != nil {
		return nil, err
	}
	if strict && v != nil {
		return firewall.ParseStrict(kind, v.Bytes()), nil
	}
	return v, nil
}

func (f *nodeFiles) guest(g *inventory.Guest, strict bool) {
	gf := &guestFiles{id: g.ID, container: g.Kind == inventory.LXC, path: g.Firewall.Path}
	var fwErr error
	gf.file, fwErr = view(g.Firewall, firewall.GuestFile, strict)
	cfg, cfgErr := g.Config.Get()
	if gf.err = errors.Join(fwErr, cfgErr); gf.err != nil {
		gf.err = fmt.Errorf("the firewall of %s is not known: %w", g.Title(), gf.err)
	}
	if cfg != nil {
		for _, c := range cfg.NICs() {
			x := &nic{NIC{VMID: g.ID, Kind: g.Kind, Net: c.Index, Bridge: c.Bridge, MAC: c.MAC, Firewall: c.Firewall}, gf}
			for _, a := range []string{c.IP, c.IP6} {
				if p, err := netip.ParsePrefix(a); err == nil {
					x.Addresses = append(x.Addresses, p)
				} else if a, err := netip.ParseAddr(a); err == nil {
					x.Addresses = append(x.Addresses, netip.PrefixFrom(a, a.BitLen()))
				}
			}
			gf.nics = append(gf.nics, x)
		}
	}
	f.guests = append(f.guests, gf)
	f.byID[g.ID] = gf
}

func (f *nodeFiles) nic(vmid, net int) *nic {
	g := f.byID[vmid]
	if g == nil {
		return nil
	}
	for _, c := range g.nics {
		if c.Net == net {
			return c
		}
	}
	return nil
}

// inOrder are the guests in the order in which pve-firewall takes them: virtual machines sorted as text, then containers.
func (f *nodeFiles) inOrder() []*guestFiles {
	list := slices.Clone(f.guests)
	slices.SortStableFunc(list, func(a, b *guestFiles) int {
		if a.container != b.container {
			if b.container {
				return -1
			}
			return 1
		}
		return strings.Compare(strconv.Itoa(a.id), strconv.Itoa(b.id))
	})
	return list
}

// network finds the addresses and interfaces of the node. Those of a peer are known from the API only; without it the
// node is taken to be in the networks of the node at hand.
func (f *nodeFiles) network(c *inventory.Cluster, n *inventory.Node) {
	var nets []netip.Prefix
	if cfg, err := n.Network.Get(); err == nil && cfg != nil {
		f.ifaces = cfg.Interfaces
		for _, i := range cfg.Interfaces {
			nets = append(nets, i.Addresses...)
		}
	} else if here, ok := c.Node(c.Here); ok {
		if cfg, err := here.Network.Get(); err == nil && cfg != nil {
			for _, i := range cfg.Interfaces {
				for _, a := range i.Addresses {
					nets = append(nets, a.Masked())
				}
			}
		}
	}
	for i, s := range append(slices.Clone(n.Named), n.Addresses...) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			continue
		}
		f.address(a, nets)
		if i < max(len(n.Named), 1) {
			f.named = append(f.named, a.Unmap())
		}
	}
	for _, gateway := range []bool{true, false} { // without a name the address of the interface that leads outside comes first
		for _, i := range f.ifaces {
			for _, p := range i.Addresses {
				if len(i.Gateways) > 0 == gateway && !p.Addr().IsLoopback() {
					f.address(p.Addr(), nets)
				}
			}
		}
	}
	f.main = f.outside()
}

// address adds an address once, with the length of the smallest network that holds it.
func (f *nodeFiles) address(a netip.Addr, nets []netip.Prefix) {
	a = a.Unmap().WithZone("")
	if slices.ContainsFunc(f.addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
		return
	}
	bits := -1
	for _, p := range nets {
		if p.Contains(a) && p.Bits() > bits {
			bits = p.Bits()
		}
	}
	if bits < 0 {
		bits = a.BitLen()
	}
	f.addresses = append(f.addresses, netip.PrefixFrom(a, bits))
}

// outside is the interface with the node's own address, else the one with a gateway, else vmbr0, as PVE's installer names
// it.
func (f *nodeFiles) outside() string {
	if len(f.addresses) > 0 {
		for _, i := range f.ifaces {
			if slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == f.addresses[0].Addr() }) {
				return i.Name
			}
		}
	}
	for _, i := range f.ifaces {
		if len(i.Gateways) > 0 {
			return i.Name
		}
	}
	return "vmbr0"
}

// localNetwork is what pve-firewall takes for the network of the cluster: the alias local_network, else the network that
// holds the address of the node's name, else 127.0.0.0/8.
func (f *nodeFiles) localNetwork() netip.Prefix {
	if a, ok := f.cluster.Alias("local_network"); ok {
		p, _ := firewall.CIDR(a.CIDR)
		return p
	}
	if len(f.addresses) > 0 && f.addresses[0].Bits() < f.addresses[0].Addr().BitLen() {
		return f.addresses[0].Masked()
	}
	return netip.MustParsePrefix("127.0.0.0/8")
}

// broadcasts are the addresses that the node takes for broadcasts.
func (f *nodeFiles) broadcasts() netset.Addrs {
	sets := []netset.Addrs{prefix("255.255.255.255/32")}
	for _, p := range f.addresses {
		if p.Addr().Is4() && p.Bits() < 31 {
			b := p.Masked().Addr().As4()
			for i := p.Bits(); i < 32; i++ {
				b[i/8] |= 0x80 >> (i % 8)
			}
			sets = append(sets, netset.Addr(netip.AddrFrom4(b)))
		}
	}
	return netset.Join(sets...)
}

// members reads the links of corosync.conf. A name instead of an address stands for what /etc/hosts says of the member.
func (f *nodeFiles) members(c *inventory.Cluster) {
	cfg, err := c.Corosync.Get()
	if err != nil || cfg == nil || c.Corosync.Absent {
		return
	}
	f.corosync = cfg
	for _, m := range cfg.Nodes {
		for ring, s := range m.Addresses {
			a, err := netip.ParseAddr(s)
			if err != nil {
				n, ok := c.Node(s)
				if !ok || len(n.Named) == 0 {
					continue
				}
				if a, err = netip.ParseAddr(n.Named[0]); err != nil {
					continue
				}
			}
			f.links = append(f.links, link{m.Name, ring, a.Unmap()})
		}
	}
}

// window is how long "enable: UNIXTIME" counts (parse_clusterfw_option).
const window = time.Minute

// enabled is the switch of cluster.fw.
func (f *nodeFiles) enabled(now time.Time, backend Backend) bool {
	o, ok := f.cluster.Option("enable")
	if !ok || o.Value == "0" {
		return false
	}
	if o.Value == "1" || backend == NFTables {
		return true
	}
	since, err := strconv.ParseInt(o.Value, 10, 64)
	return err == nil && !now.IsZero() && now.Unix()-since <= int64(window/time.Second)
}

func (f *nodeFiles) hostEnabled() bool { return f.host.On("enable", true) }

// enableLine is where a file says enable, 0 when it does not.
func enableLine(f *firewall.File) int {
	o, _ := f.Option("enable")
	return o.Line
}

// refused are the lines for which proxmox-firewall does not load anything: in cluster.fw, in host.fw of the node, in the
// files of its guests, whether these are enabled or not, and in those of vnets.
func (f *nodeFiles) refused() []Refusal {
	var list []Refusal
	add := func(path string, file *firewall.File) {
		if p := file.Refused(); p != nil {
			list = append(list, Refusal{path, *p})
		}
	}
	add(f.clusterPath, f.cluster)
	add(f.hostPath, f.host)
	for _, g := range f.guests {
		add(g.path, g.file)
	}
	names := make([]string, 0, len(f.vnets))
	for name := range f.vnets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		add(f.vnetPaths[name], f.vnets[name])
	}
	return list
}

// sdnSets are the ipsets that SDN makes of its subnets: VNET-all, -gateway, -no-gateway and -dhcp.
func sdnSets(c *inventory.Cluster) map[string]netset.Addrs {
	cfg, err := c.SDN.Get()
	if err != nil || cfg == nil {
		return nil
	}
	sets := map[string]netset.Addrs{}
	for _, v := range cfg.VNets {
		for _, suffix := range []string{"-all", "-gateway", "-no-gateway", "-dhcp"} {
			sets[v.ID+suffix] = netset.Addrs{}
		}
	}
	for _, s := range cfg.Subnets {
		if p, ok := firewall.CIDR(s.CIDR); ok {
			sets[s.VNet+"-all"] = sets[s.VNet+"-all"].Union(netset.Prefix(p))
		}
		if a, err := netip.ParseAddr(s.Gateway); err == nil {
			sets[s.VNet+"-gateway"] = sets[s.VNet+"-gateway"].Union(netset.Addr(a))
		}
		for _, r := range s.DHCPRanges {
			sets[s.VNet+"-dhcp"] = sets[s.VNet+"-dhcp"].Union(dhcpRange(r))
		}
	}
	for _, v := range cfg.VNets {
		sets[v.ID+"-no-gateway"] = sets[v.ID+"-all"].Minus(sets[v.ID+"-gateway"])
	}
	return sets
}

// dhcpRange reads "start-address=A,end-address=B", or "A-B".
func dhcpRange(s string) netset.Addrs {
	from, to, ok := strings.Cut(s, "-")
	if strings.Contains(s, "=") {
		for part := range strings.SplitSeq(s, ",") {
			if v, found := strings.CutPrefix(part, "start-address="); found {
				from = v
			}
			if v, found := strings.CutPrefix(part, "end-address="); found {
				to, ok = v, true
			}
		}
	}
	a, err1 := netip.ParseAddr(strings.TrimSpace(from))
	b, err2 := netip.ParseAddr(strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil {
		return netset.Addrs{}
	}
	return netset.AddrRange(a, b)
}

// namedNetworks are the networks of the node's interfaces that hold an address of its name.
func (f *nodeFiles) namedNetworks() []netip.Prefix {
	var nets []netip.Prefix
	for _, a := range f.named {
		for _, i := range f.ifaces {
			for _, p := range i.Addresses {
				if p.Contains(a) {
					nets = append(nets, p.Masked())
				}
			}
		}
		for _, p := range f.addresses {
			if len(f.ifaces) == 0 && p.Addr() == a && p.Bits() < a.BitLen() {
				nets = append(nets, p.Masked())
			}
		}
	}
	return nets
}
