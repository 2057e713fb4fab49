package collect

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/wireguard"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Patterns of the files that describe WireGuard interfaces.
const (
	wireguardGlob = "/etc/wireguard/*.conf"
	networkdGlob  = "/etc/systemd/network/*.netdev"
)

// routingReasons collects why this host must forward packets. A file that exists and cannot be read makes the answer
// unknown unless another already gave a reason: then the answer "must forward" stands.
func routingReasons(c *Context, s *netState) posture.Fact[[]string] {
	var reasons []string
	var errs []error
	add := func(more []string, err error) {
		reasons = append(reasons, more...)
		errs = append(errs, err)
	}
	if s.conf != nil {
		reasons = append(reasons, configuredRouting(s)...)
		errs = append(errs, s.conf.Errors...)
	}
	for _, f := range []struct {
		path  string
		parse func([]byte) []string
	}{
		{netSDNZones, routingZones}, {netSDNSubnets, routingSubnets}, {netFRRDaemons, routingFRR},
		{netNftables, routingRules(netNftables)}, {netIptables, routingRules(netIptables)},
	} {
		b, err := c.Host.ReadFile(f.path)
		add(f.parse(b), err)
	}
	for _, l := range s.links {
		if isEngineBridge(l.Name) {
			reasons = append(reasons, l.Name+": the bridge of a container or virtualization engine with address translation")
		}
	}
	reasons = uniqStrings(reasons)
	if len(reasons) > 0 {
		return posture.Known(reasons, posture.Configured, netInterfaces+"; /etc/pve/sdn")
	}
	if s.confErr != nil && !s.live {
		return posture.Unknown[[]string](s.confErr, netInterfaces)
	}
	if err := firstHardError(append(errs, s.confErr)...); err != nil {
		return posture.Unknown[[]string](err, netInterfaces+"; /etc/pve/sdn")
	}
	return posture.Known([]string{}, posture.Configured, netInterfaces+"; /etc/pve/sdn")
}

// isEngineBridge tells the bridges of Docker (docker0, br- and twelve hex digits), Podman, LXC and libvirt.
func isEngineBridge(name string) bool {
	if id, ok := strings.CutPrefix(name, "br-"); ok {
		return len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	}
	return name == "docker0" || name == "podman0" || name == "lxcbr0" || name == "virbr0"
}

// configuredRouting finds routing in the interface configuration: translation and forwarding in hook lines,
// ifupdown2's ip-forward, proxy ARP, and bridges with an address but no port, whose guests reach nothing without it.
func configuredRouting(s *netState) []string {
	var out []string
	for _, i := range s.conf.Interfaces {
		for _, st := range i.Stanzas {
			for _, o := range st.Options {
				if why := routingOption(o.Key, o.Value); why != "" {
					out = append(out, fmt.Sprintf("%s: %s (%s)", i.Name, why, sourceLine(o.File, o.Line)))
				}
			}
		}
		if i.Kind() == "bridge" && len(i.Ports()) == 0 && len(i.Addresses()) > 0 {
			out = append(out, fmt.Sprintf("%s: a bridge with an address and no port; its guests are reached by routing only", i.Name))
		}
	}
	return out
}

func routingOption(key, value string) string {
	v := strings.ToLower(value)
	switch key {
	case "ip-forward", "ip6-forward":
		if v == "on" || v == "yes" || v == "1" {
			return "forwarding is switched on for it"
		}
	case "pre-up", "up", "post-up":
		switch {
		case strings.Contains(v, "masquerade") || strings.Contains(v, "snat"):
			return "a hook translates source addresses"
		case strings.Contains(v, "dnat"):
			return "a hook translates destination addresses"
		case strings.Contains(v, "ip_forward") || strings.Contains(v, "forwarding"):
			return "a hook switches forwarding on"
		case strings.Contains(v, "proxy_arp") || strings.Contains(v, "proxy_ndp"):
			return "a hook switches proxy ARP or NDP on"
		}
	}
	return ""
}

// sdnSections reads a file in PVE's section-config grammar: "type: id" at column zero, then indented keys.
func sdnSections(b []byte) []map[string]string {
	var out []map[string]string
	for _, l := range host.Lines(b) {
		if strings.TrimSpace(l) == "" || l[0] == '#' {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			typ, id, ok := strings.Cut(l, ":")
			if ok {
				out = append(out, map[string]string{"": strings.TrimSpace(typ), "id": strings.TrimSpace(id)})
			}
			continue
		}
		k, v, _ := strings.Cut(strings.TrimSpace(l), " ")
		if len(out) > 0 && k != "" && k != "id" {
			out[len(out)-1][k] = strings.TrimSpace(v)
		}
	}
	return out
}

// routingZones names the SDN zones whose node routes between the zone and the world. vlan, qinq and vxlan zones only
// bridge (pve-network, SDN/Zones/*Plugin.pm: no address is put on their bridges).
func routingZones(b []byte) []string {
	var out []string
	for _, s := range sdnSections(b) {
		switch s[""] {
		case "vlan", "qinq", "vxlan":
		default:
			out = append(out, fmt.Sprintf("SDN zone %s is of type %s, in which the node is the router", s["id"], s[""]))
		}
	}
	return out
}

func routingSubnets(b []byte) []string {
	var out []string
	for _, s := range sdnSections(b) {
		if v := s["snat"]; v == "1" || v == "yes" || v == "true" || v == "on" {
			out = append(out, fmt.Sprintf("SDN subnet %s has source NAT", s["id"]))
		}
	}
	return out
}

func routingFRR(b []byte) []string {
	var out []string
	for _, l := range host.Lines(b) {
		k, v, ok := strings.Cut(strings.TrimSpace(l), "=")
		switch k {
		case "bgpd", "ospfd", "ospf6d", "fabricd", "isisd", "ripd":
			if ok && strings.Trim(v, `"' `) == "yes" {
				out = append(out, "FRR: the routing daemon "+k+" is switched on")
			}
		}
	}
	return out
}

func routingRules(file string) func([]byte) []string {
	return func(b []byte) []string {
		for i, l := range host.Lines(b) {
			l = strings.ToLower(strings.TrimSpace(l))
			if l == "" || l[0] == '#' {
				continue
			}
			if strings.Contains(l, "masquerade") || strings.Contains(l, "snat") || strings.Contains(l, "dnat") {
				return []string{"packet filter: addresses are translated (" + sourceLine(file, i+1) + ")"}
			}
		}
		return nil
	}
}

// RTF_ADDRCONF of <linux/ipv6_route.h>: the route came from a router advertisement.
const rtfAddrConf = 0x00040000

// ipv6Route is a line of /proc/net/ipv6_route that is a default route.
type ipv6Route struct {
	gateway, device string
	flags           uint64
}

func ipv6DefaultLines(b []byte) []ipv6Route {
	var out []ipv6Route
	for _, l := range host.Lines(b) {
		f := strings.Fields(l)
		if len(f) != 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[9] == "lo" {
			continue
		}
		raw, err := hex.DecodeString(f[4])
		if err != nil || len(raw) != 16 {
			continue
		}
		flags, _ := strconv.ParseUint(f[8], 16, 64)
		out = append(out, ipv6Route{netip.AddrFrom16([16]byte(raw)).String(), f[9], flags})
	}
	return out
}

func ipv6Defaults(b []byte) []posture.NetRoute {
	var out []posture.NetRoute
	for _, r := range ipv6DefaultLines(b) {
		out = append(out, posture.NetRoute{Family: "inet6", Gateway: r.gateway, Interface: r.device})
	}
	return out
}

// usesSLAAC looks for addresses and default routes that came from router advertisements, and for stanzas that ask for
// them.
func (s *netState) usesSLAAC(v6routes []byte, v6Err error) posture.Fact[bool] {
	if s.conf != nil {
		for _, i := range s.conf.Interfaces {
			for _, st := range i.Stanzas {
				ra, _ := st.Get("accept-ra")
				if st.Family == "inet6" && (st.Method == "auto" || ra == "1" || ra == "2") {
					return posture.Known(true, posture.Configured, sourceLine(st.File, st.Line))
				}
			}
		}
	}
	for _, l := range s.links {
		for _, a := range l.Addresses {
			if a.Family == "inet6" && a.MngTmpAddr && a.Scope == "global" {
				return posture.Known(true, posture.Effective, "ip address: "+l.Name)
			}
		}
	}
	if v6Err == nil && slices.ContainsFunc(ipv6DefaultLines(v6routes), func(r ipv6Route) bool { return r.flags&rtfAddrConf != 0 }) {
		return posture.Known(true, posture.Effective, netIPv6Route)
	}
	if s.confErr != nil && !s.live {
		return posture.Unknown[bool](s.confErr, netInterfaces)
	}
	if s.live {
		return posture.Known(false, posture.Effective, "ip address")
	}
	return posture.Known(false, posture.Configured, netInterfaces)
}

// wireguardLinks reads the WireGuard configuration. Keys stay in the parser.
func wireguardLinks(c *Context) posture.Fact[[]posture.WireGuardLink] {
	out := []posture.WireGuardLink{}
	for _, pattern := range []string{wireguardGlob, networkdGlob} {
		files, err := c.Host.List(pattern)
		if err != nil {
			if host.NotExist(err) {
				continue
			}
			return posture.Unknown[[]posture.WireGuardLink](err, pattern)
		}
		for _, f := range files {
			b, err := c.Host.ReadFile(f.Path)
			if err != nil {
				return posture.Unknown[[]posture.WireGuardLink](err, f.Path)
			}
			if conf := wireguard.Parse(b); conf.WireGuard {
				st, statErr := c.Host.Stat(f.Path)
				out = append(out, wireguardLink(f.Path, conf, st, statErr))
			}
		}
	}
	return posture.Known(out, posture.Configured, wireguardGlob)
}

func wireguardLink(file string, conf *wireguard.Config, st host.File, statErr error) posture.WireGuardLink {
	l := posture.WireGuardLink{Name: conf.Name, File: file, Addresses: nonNil(conf.Addresses), ListenPort: conf.ListenPort,
		FileMode: -1, Peers: []posture.WireGuardPeer{}}
	if l.Name == "" {
		l.Name = wireguardName(file)
	}
	if statErr == nil && !st.OwnerUnknown {
		l.FileMode = int(st.Mode)
		// systemd-networkd reads its files as the group systemd-network: systemd.netdev(5) recommends 0640.
		allowed := uint32(0o600)
		if strings.HasPrefix(file, "/etc/systemd/") {
			allowed = 0o640
		}
		l.FileExposed = conf.PrivateKey && st.Mode&0o777&^allowed != 0
	}
	for _, p := range conf.Peers {
		l.Peers = append(l.Peers, posture.WireGuardPeer{Name: p.Name, AllowedIPs: nonNil(p.AllowedIPs), Endpoint: p.Endpoint,
			PresharedKey: p.PresharedKey, Everything: p.Everything()})
	}
	return l
}

// sourceLine writes where something stands.
func sourceLine(file string, line int) string { return file + ":" + strconv.Itoa(line) }
