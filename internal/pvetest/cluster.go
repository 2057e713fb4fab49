package pvetest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/netcfg"
)

func number64(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// options is GET /cluster/options; PVE gives property strings as objects.
func options(s *Server, c *call) (any, *failure) {
	o := object{}
	if !s.can(c.user, "/", []string{"Sys.Audit"}, false) {
		return o, nil
	}
	for l := range strings.SplitSeq(string(s.tree.raw("/etc/pve/datacenter.cfg")), "\n") {
		k, v, ok := strings.Cut(strings.TrimSpace(l), ":")
		if !ok || strings.HasPrefix(k, "#") {
			continue
		}
		v = strings.TrimSpace(v)
		switch k {
		case "migration", "replication", "crs", "ha", "next-id", "notify", "webauthn", "u2f", "user-tag-access", "tag-style":
			first := map[string]string{"migration": "type", "replication": "type"}[k]
			p := object{}
			for _, x := range pve.ParseProperties(v, first) {
				p[x.Key] = number(x.Value)
				if x.Key == "user-allow-list" {
					p[x.Key] = strings.Split(x.Value, ";")
				}
			}
			o[k] = p
		case "registered-tags":
			o[k] = pve.List(v)
		case "description":
			o[k] = pve.DecodeText(v)
		default:
			o[k] = number(v)
		}
	}
	o["allowed-tags"] = []string{}
	return o, nil
}

// nodeBlocks are the nodes of corosync.conf by name.
func (s *Server) nodeBlock(name string) map[string]string {
	for _, b := range s.tree.blocks {
		if b.name == "nodelist/node" && b.keys["name"] == name {
			return b.keys
		}
	}
	return map[string]string{}
}

func clusterStatus(s *Server, _ *call) (any, *failure) {
	out := []any{}
	if s.tree.cluster != "" {
		out = append(out, object{"type": "cluster", "id": "cluster", "name": s.tree.cluster, "nodes": len(s.tree.nodes), "quorate": 1, "version": 1})
	}
	for i, n := range s.tree.nodes {
		o := object{"type": "node", "id": "node/" + n, "name": n, "nodeid": i + 1, "online": 1, "local": 0, "level": "", "ip": s.address(n)}
		if id := s.nodeBlock(n)["nodeid"]; id != "" {
			o["nodeid"] = number(id)
		}
		if n == s.opts.Node {
			o["local"] = 1
		}
		out = append(out, o)
	}
	return out, nil
}

// address is that of the node's name in /etc/hosts, else of its first link.
func (s *Server) address(node string) string {
	if found := hosts.Parse(s.tree.raw("/etc/hosts")).Resolve(node); len(found) > 0 {
		return found[0].String()
	}
	return s.nodeBlock(node)["ring0_addr"]
}

func configNodes(s *Server, _ *call) (any, *failure) {
	out := []any{}
	for _, b := range s.tree.blocks {
		if b.name == "nodelist/node" {
			o := object{"node": b.keys["name"]}
			for k, v := range b.keys {
				o[k] = v
			}
			out = append(out, o)
		}
	}
	return out, nil
}

func totem(s *Server, _ *call) (any, *failure) {
	o := object{}
	links := object{}
	for _, b := range s.tree.blocks {
		switch b.name {
		case "totem":
			for k, v := range b.keys {
				o[k] = v
			}
		case "totem/interface":
			link := object{}
			for k, v := range b.keys {
				link[k] = v
			}
			links[b.keys["linknumber"]] = link
		}
	}
	if len(links) > 0 {
		o["interface"] = links
	}
	return o, nil
}

func nodes(s *Server, _ *call) (any, *failure) {
	out := []any{}
	for _, n := range s.tree.nodes {
		out = append(out, object{"node": n, "id": "node/" + n, "type": "node", "status": "online", "level": "", "maxcpu": 8, "maxmem": 1 << 36, "mem": 1 << 34,
			"cpu": 0.05, "uptime": 86400, "disk": 1 << 33, "maxdisk": 1 << 37})
	}
	return out, nil
}

func nodeStatus(s *Server, c *call) (any, *failure) {
	v, _ := version(s, c)
	return object{"pveversion": "pve-manager/" + v.(object)["version"].(string) + "/0123456789abcdef", "kversion": "Linux", "uptime": 86400,
		"cpu": 0.05, "loadavg": []string{"0.10", "0.20", "0.30"}, "memory": object{"total": 1 << 36, "used": 1 << 34, "free": 3 << 34}}, nil
}

// resources is GET /cluster/resources: the recorded answer when the tree has one, cut to what the caller may see.
func resources(s *Server, c *call) (any, *failure) {
	all, ok := s.tree.recorded("/cluster/resources").([]any)
	if !ok {
		for _, n := range s.tree.nodes {
			all = append(all, object{"id": "node/" + n, "type": "node", "node": n, "status": "online"})
		}
		for _, g := range s.tree.guests {
			all = append(all, s.brief(g))
		}
		for _, x := range s.tree.sections("/etc/pve/storage.cfg") {
			for _, n := range s.tree.nodes {
				all = append(all, object{"id": "storage/" + n + "/" + x.ID, "type": "storage", "storage": x.ID, "node": n, "status": "available", "plugintype": x.Type,
					"content": x.Value("content"), "shared": number("0" + x.Value("shared"))})
			}
		}
	}
	out := []any{}
	for _, x := range all {
		o, _ := x.(object)
		kind, _ := o["type"].(string)
		if n, ok := o["vmid"].(int); ok {
			o["vmid"] = float64(n)
		}
		want := c.params["type"]
		if want == "" || want == kind || want == "vm" && (kind == "qemu" || kind == "lxc") {
			if s.mayRead(c.user, o) {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// brief is a guest in lists.
func (s *Server) brief(g *guest) object {
	name := g.get("name")
	if g.kind == "lxc" {
		name = g.get("hostname")
	}
	o := object{"id": g.kind + "/" + strconv.Itoa(g.id), "type": g.kind, "vmid": g.id, "node": g.node, "name": name, "status": s.state(g), "template": atoi(g.get("template")),
		"maxmem": atoi(g.get("memory")) << 20, "uptime": 0}
	if t := g.get("tags"); t != "" {
		o["tags"] = t
	}
	if p, ok := s.users.PoolOf(strconv.Itoa(g.id)); ok {
		o["pool"] = p
	}
	return o
}

func (s *Server) guestList(c *call, kind string) []any {
	all, ok := s.tree.recorded("/nodes/" + c.params["node"] + "/" + kind).([]any)
	if !ok {
		for _, g := range s.tree.guests {
			if g.kind == kind && g.node == c.params["node"] {
				o := s.brief(g)
				delete(o, "id")
				delete(o, "type")
				delete(o, "node")
				all = append(all, o)
			}
		}
	}
	out := []any{}
	for _, x := range all {
		o, _ := x.(object)
		id := ""
		switch v := o["vmid"].(type) {
		case int:
			id = strconv.Itoa(v)
		case float64:
			id = number64(v)
		}
		if s.can(c.user, "/vms/"+id, []string{"VM.Audit"}, false) {
			out = append(out, o)
		}
	}
	return out
}

// network is GET /nodes/{node}/network: recorded, or for the node whose files the tree holds made from them.
func network(s *Server, c *call) (any, *failure) {
	if v := s.tree.recorded(c.path.String()); v != nil {
		return v, nil
	}
	here := strings.TrimSpace(string(s.tree.raw("/etc/hostname")))
	if here, _, _ = strings.Cut(here, "."); here != c.params["node"] && len(s.tree.nodes) > 1 {
		return nil, fail(http.StatusInternalServerError, "the network of %s is not recorded in the tree of this test server", c.params["node"])
	}
	included := map[string][]byte{}
	if found, err := s.tree.r.List("/etc/network/interfaces.d/*"); err == nil {
		for _, f := range found {
			included[f.Path] = s.tree.raw(f.Path)
		}
	}
	conf, _ := netcfg.Parse(s.tree.raw("/etc/network/interfaces"), included)
	out := []any{}
	for i := range conf.Interfaces {
		out = append(out, iface(&conf.Interfaces[i]))
	}
	return out, nil
}

// iface is an interface in the words of the API.
func iface(i *netcfg.Interface) object {
	kinds := map[netcfg.Kind]string{netcfg.Physical: "eth", netcfg.OVSBridge: "OVSBridge", netcfg.OVSBond: "OVSBond", netcfg.OVSPort: "OVSPort",
		netcfg.OVSIntPort: "OVSIntPort", netcfg.VNet: "vnet"}
	kind := kinds[i.Kind]
	if kind == "" {
		kind = string(i.Kind)
	}
	o := object{"iface": i.Name, "type": kind, "active": 1, "method": "manual", "method6": "manual"}
	if i.Autostart {
		o["autostart"] = 1
	}
	for _, m := range i.Methods {
		family, method, _ := strings.Cut(m, " ")
		o[map[string]string{"inet": "method", "inet6": "method6"}[family]] = method
	}
	for _, a := range i.Addresses {
		if a.Addr().Is4() {
			o["cidr"], o["address"], o["netmask"] = a.String(), a.Addr().String(), strconv.Itoa(a.Bits())
		} else {
			o["cidr6"], o["address6"], o["netmask6"] = a.String(), a.Addr().String(), a.Bits()
		}
	}
	for _, g := range i.Gateways {
		if g.Is4() {
			o["gateway"] = g.String()
		} else {
			o["gateway6"] = g.String()
		}
	}
	words := map[string]string{"bridge_vids": i.VIDs, "bond_mode": i.BondMode, "bond-primary": i.BondPrimary, "vlan-raw-device": i.RawDevice,
		"vlan-protocol": i.VLANProtocol, "ovs_bridge": i.OVSBridge, "ovs_options": i.OVSOptions}
	for k, v := range words {
		if v != "" {
			o[k] = v
		}
	}
	numbers := map[string]int{"vlan-id": i.VLANID, "ovs_tag": i.OVSTag, "mtu": i.MTU, "vxlan-id": i.VXLANID}
	for k, v := range numbers {
		if v != 0 {
			o[k] = strconv.Itoa(v)
		}
	}
	switch i.Kind {
	case netcfg.Bridge:
		o["bridge_ports"] = strings.Join(i.Ports, " ")
		if i.VLANAware {
			o["bridge_vlan_aware"] = 1
		}
	case netcfg.OVSBridge:
		o["ovs_ports"] = strings.Join(i.Ports, " ")
	case netcfg.Bond:
		o["slaves"] = strings.Join(i.Slaves, " ")
	case netcfg.OVSBond:
		o["ovs_bonds"] = strings.Join(i.Slaves, " ")
	}
	options := []string{}
	for _, x := range i.Options {
		options = append(options, x.Key+" "+x.Value)
	}
	if len(options) > 0 {
		o["options"] = options
	}
	if len(i.Comments) > 0 {
		o["comments"] = strings.Join(i.Comments, "\n") + "\n"
	}
	return o
}
