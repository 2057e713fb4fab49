package collect

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// webFilterUnits are the links of units that load a packet filter at boot.
const webFilterUnits = "/etc/systemd/system/*.target.wants/*"

// webPacketFilter looks for any packet filter at all; see WebFacts.PacketFilter.
func webPacketFilter(c *Context) posture.Fact[bool] {
	fw, fwErr := c.Host.ReadFile(webClusterFW)
	other := otherPacketFilter(c)
	if err := firstHardError(fwErr); err != nil {
		return posture.Unknown[bool](err, webClusterFW)
	}
	if pveFirewallEnabled(fw) {
		return filterFound(webClusterFW)
	}
	return other
}

func filterFound(what string) posture.Fact[bool] {
	return posture.Unknown[bool](posture.Problemf("unavailable", "%s filters packets; what it lets through is not evaluated here", what), what)
}

// otherPacketFilter looks for packet filters other than that of PVE: false when there is none, unknown when there is one.
func otherPacketFilter(c *Context) posture.Fact[bool] {
	nft, nftErr := c.Host.ReadFile(netNftables)
	ipt, iptErr := c.Host.ReadFile(netIptables)
	units, unitsErr := c.Host.List(webFilterUnits)
	if err := firstHardError(nftErr, iptErr, unitsErr); err != nil {
		return posture.Unknown[bool](err, netNftables)
	}
	for _, u := range units {
		switch name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]; {
		case name == "nftables.service" && strings.Contains(string(nft), "hook input"):
			return filterFound(netNftables)
		case name == "netfilter-persistent.service" && len(ipt) > 0:
			return filterFound(netIptables)
		case name == "ufw.service", name == "firewalld.service", name == "shorewall.service":
			return filterFound(name)
		}
	}
	return posture.Known(false, posture.Configured, webClusterFW)
}

// pveFirewallEnabled reads the switch of cluster.fw; without "enable: 1" the whole firewall is off.
func pveFirewallEnabled(b []byte) bool {
	f, _ := firewall.Parse(firewall.ClusterFile, b)
	return f.Value("enable", "0") == "1"
}

// webPlainHTTP looks for listeners on port 80: in the kernel's tables on a live host; off-line a host without any web
// server or proxy package has none.
func webPlainHTTP(c *Context) posture.Fact[[]string] {
	tcp, err := c.Host.ReadFile("/proc/net/tcp")
	tcp6, err6 := c.Host.ReadFile("/proc/net/tcp6")
	status, statusErr := osStatus(c)
	if c.Live && err == nil {
		out := plainListeners(tcp)
		if err6 == nil {
			out = append(out, plainListeners(tcp6)...)
		}
		return posture.Known(out, posture.Effective, "/proc/net/tcp")
	}
	if c.Live {
		return posture.Unknown[[]string](err, "/proc/net/tcp")
	}
	if statusErr != nil {
		return posture.Unknown[[]string](statusErr, dpkgStatus)
	}
	for _, p := range []string{"nginx", "nginx-core", "apache2", "lighttpd", "caddy", "haproxy", "traefik", "squid", "varnish"} {
		if _, ok := osPackage(status, p); ok {
			return posture.Unknown[[]string](posture.Problemf("unavailable", "%s is installed; whether it listens on port 80 shows on the running host", p), dpkgStatus)
		}
	}
	return posture.Known([]string{}, posture.Configured, dpkgStatus)
}

// plainListeners returns the addresses that listen on port 80, from a table of /proc/net (proc_net_tcp): local address in
// hex, little-endian words, state 0A. Loopback is left out.
func plainListeners(table []byte) []string {
	const port = 80
	out := []string{}
	for _, l := range host.Lines(table) {
		f := strings.Fields(l)
		if len(f) < 4 || f[3] != "0A" {
			continue
		}
		addr, p, _ := strings.Cut(f[1], ":")
		pb, err := hex.DecodeString(p)
		if err != nil || len(pb) != 2 || uint16(pb[0])<<8|uint16(pb[1]) != port {
			continue
		}
		raw, err := hex.DecodeString(addr)
		if err != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			slices.Reverse(raw[i : i+4])
		}
		if a, ok := netip.AddrFromSlice(raw); ok && !a.Unmap().IsLoopback() {
			out = append(out, netip.AddrPortFrom(a.Unmap(), port).String())
		}
	}
	return out
}
