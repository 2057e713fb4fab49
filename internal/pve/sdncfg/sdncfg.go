// Package sdncfg reads the software-defined networks of a cluster: the section files below /etc/pve/sdn and .running-config, which
// holds what was applied last. PVE changes nothing on the nodes until "Apply" is pressed, so what the files say may be a plan only:
// [Config.Pending] is the difference.
//
// It does not judge and does not look at the nodes. Secrets (tokens of an IPAM, keys of a name server) are not kept.
//
// Sources: pve-docs, chapter Software-Defined Network; pve-network PVE/Network/SDN.pm and its plugins.
package sdncfg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Config is what the files say.
type Config struct {
	Zones   []Zone
	VNets   []VNet
	Subnets []Subnet
	// Controllers, IPAMs, DNS and Fabrics are the sections of their files.
	Controllers []Object
	IPAMs       []Object
	DNS         []Object
	Fabrics     []Object
	// Applied is true when .running-config could be read. Version counts its applications.
	Applied bool
	Version int
	// Pending is what differs between the files and what was applied, sorted by file and id; empty when Applied is false and nothing is defined.
	Pending []Pending
}

// Zone is a zone: a kind of network that vnets are made in.
type Zone struct {
	ID string
	// Type is simple, vlan, qinq, vxlan, evpn or faucet.
	Type string
	// Nodes are the nodes that have it; empty for all.
	Nodes []string
	// Bridge is the bridge of a VLAN or QinQ zone.
	Bridge string
	// Peers are the tunnel ends of a VXLAN zone; Fabric is what gives them instead.
	Peers      []string
	Fabric     string
	Controller string
	ExitNodes  []string
	DHCP       string
	Tag        int
	MTU        int
	Line       int
}

// Tunnels reports whether the frames of the zone travel in VXLAN, which does not encrypt (RFC 7348, section 7).
func (z *Zone) Tunnels() bool { return z.Type == "vxlan" || z.Type == "evpn" }

// VNet is a virtual network, which guests name as their bridge.
type VNet struct {
	ID, Zone, Alias string
	// Tag is the VLAN or VXLAN id, 1 to 16777215; 0 when the zone needs none.
	Tag       int
	VLANAware bool
	// IsolatePorts keeps the guests of the vnet on one node from talking to each other.
	IsolatePorts bool
	Line         int
}

// Subnet is an address range of a vnet.
type Subnet struct {
	// ID is as PVE names it: zone-network-length.
	ID, VNet, Gateway string
	// CIDR is made from the id: "10.0.0.0/24".
	CIDR string
	// SNAT is true when the nodes hide the guests behind their own addresses.
	SNAT       bool
	DHCPRanges []string
	Line       int
}

// Object is a section that has no model of its own.
type Object struct {
	ID, Type string
	Values   pve.Properties // without secrets
	Line     int
}

// Pending is one object whose definition was not applied yet.
type Pending struct {
	// Kind is the plural that PVE uses: zones, vnets, subnets, controllers, fabrics.
	Kind string
	ID   string
	// State is new, changed or deleted.
	State string
	// Keys are the settings that differ, sorted; only of changed ones.
	Keys []string
}

// String says it in words: "zone z1 is new".
func (p Pending) String() string {
	s := strings.TrimSuffix(p.Kind, "s") + " " + p.ID + " is " + p.State
	if len(p.Keys) > 0 {
		s += " (" + strings.Join(p.Keys, ", ") + ")"
	}
	return s
}

// kinds are the files that .running-config keeps.
//
// table: file names and the keys of .running-config
func kinds() []struct{ file, kind string } {
	return []struct{ file, kind string }{
		{"zones.cfg", "zones"}, {"vnets.cfg", "vnets"}, {"subnets.cfg", "subnets"}, {"controllers.cfg", "controllers"}, {"fabrics.cfg", "fabrics"},
	}
}

// Parse reads the files, by their base names, as PVE does. Problems of all files come together; their texts name the file.
func Parse(files map[string][]byte) (*Config, []pve.Problem) {
	c := &Config{}
	p := &parser{files: files, sections: map[string][]pve.Section{}}
	for _, s := range p.read("zones.cfg", "simple", "vlan", "qinq", "vxlan", "evpn", "faucet") {
		c.Zones = append(c.Zones, Zone{ID: s.ID, Type: s.Type, Nodes: pve.List(s.Value("nodes")), Bridge: s.Value("bridge"), Peers: pve.List(s.Value("peers")),
			Fabric: s.Value("fabric"), Controller: s.Value("controller"), ExitNodes: pve.List(s.Value("exitnodes")), DHCP: s.Value("dhcp"),
			Tag: p.number(&s, "tag", "zones.cfg"), MTU: p.number(&s, "mtu", "zones.cfg"), Line: s.Line})
	}
	zones := make(map[string]bool, len(c.Zones))
	for i := range c.Zones {
		zones[c.Zones[i].ID] = true
	}
	for _, s := range p.read("vnets.cfg", "vnet") {
		v := VNet{ID: s.ID, Zone: s.Value("zone"), Alias: pve.DecodeText(s.Value("alias")), Tag: p.number(&s, "tag", "vnets.cfg"),
			VLANAware: s.On("vlanaware"), IsolatePorts: s.On("isolate-ports"), Line: s.Line}
		if !zones[v.Zone] && files["zones.cfg"] != nil {
			p.warn("vnets.cfg", s.Line, "vnet "+v.ID+" is in zone "+v.Zone+", which does not exist")
		}
		c.VNets = append(c.VNets, v)
	}
	for _, s := range p.read("subnets.cfg", "subnet") {
		n := Subnet{ID: s.ID, VNet: s.Value("vnet"), Gateway: s.Value("gateway"), CIDR: subnetCIDR(s.ID), SNAT: s.On("snat"), DHCPRanges: s.All("dhcp-range"), Line: s.Line}
		if n.CIDR == "" {
			p.warn("subnets.cfg", s.Line, "the id of the subnet holds no network: "+clip(s.ID))
		}
		c.Subnets = append(c.Subnets, n)
	}
	c.Controllers = objects(p.read("controllers.cfg"))
	c.IPAMs = objects(p.read("ipams.cfg"))
	c.DNS = objects(p.read("dns.cfg"))
	c.Fabrics = objects(p.read("fabrics.cfg"))
	p.running(c)
	return c, p.problems
}

type parser struct {
	files    map[string][]byte
	sections map[string][]pve.Section
	problems []pve.Problem
}

func (p *parser) warn(file string, line int, text string) {
	p.problems = append(p.problems, pve.Warnf(line, "%s: %s", file, text))
}

// read parses one file; sections of another type than those named are skipped, as are second ones of an id.
func (p *parser) read(file string, types ...string) []pve.Section {
	all, problems := pve.ParseSections(p.files[file])
	for _, pr := range problems {
		pr.Text = file + ": " + pr.Text
		p.problems = append(p.problems, pr)
	}
	have := make(map[string]bool, len(all))
	var out []pve.Section
	for _, s := range all {
		switch {
		case len(types) > 0 && !slices.Contains(types, s.Type):
			p.problems = append(p.problems, pve.Skipf(s.Line, "%s: no such type: %s", file, clip(s.Type)))
		case have[s.ID]:
			p.problems = append(p.problems, pve.Skipf(s.Line, "%s: a second section named %s", file, clip(s.ID)))
		default:
			have[s.ID] = true
			out = append(out, s)
		}
	}
	p.sections[file] = out
	return out
}

func (p *parser) number(s *pve.Section, key, file string) int {
	v, ok := s.Get(key)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<24-1 {
		p.problems = append(p.problems, pve.Skipf(s.LineOf(key), "%s: %s is no number, or out of range: %s", file, key, clip(v)))
		return 0
	}
	return n
}

func objects(sections []pve.Section) []Object {
	var out []Object
	for _, s := range sections {
		o := Object{ID: s.ID, Type: s.Type, Line: s.Line}
		for _, k := range s.Keys {
			if !secret(k.Name) {
				o.Values = append(o.Values, pve.Property{Key: k.Name, Value: k.Value})
			}
		}
		out = append(out, o)
	}
	return out
}

// secret are the keys whose values nobody may see: the token of an IPAM, the key of a name server, passwords of BGP peers, private keys.
func secret(key string) bool {
	for _, part := range []string{"token", "key", "password", "secret"} {
		if strings.Contains(strings.ToLower(key), part) {
			return true
		}
	}
	return false
}

// subnetCIDR takes zone-10.0.0.0-24 apart. A zone has no hyphen; an IPv6 network has colons.
func subnetCIDR(id string) string {
	_, rest, ok := strings.Cut(id, "-")
	network, length, ok2 := strings.Cut(rest, "-")
	if !ok || !ok2 {
		return ""
	}
	if p, ok := parsePrefix(network + "/" + length); ok {
		return p
	}
	return ""
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
