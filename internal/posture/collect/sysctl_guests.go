package collect

import (
	"strings"

	"github.com/castellan-project/castellan/internal/debian/journald"
	"github.com/castellan-project/castellan/internal/debian/limits"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

const (
	dpkgStatus    = "/var/lib/dpkg/status"
	sysctlCluster = "/etc/pve/firewall/cluster.fw"
	lxcConfigs    = "/etc/pve/nodes/*/lxc/*.conf"
	qemuConfigs   = "/etc/pve/nodes/*/qemu-server/*.conf"
	limitsMain    = "/etc/security/limits.conf"
	limitsMore    = "/etc/security/limits.d/*.conf"
	coreConf      = "coredump.conf"
	coreCollector = "/usr/lib/systemd/systemd-coredump"
)

// errNoPVEFiles means that the cluster file system was not there.
var errNoPVEFiles = posture.Problem{Code: "unavailable", Text: "/etc/pve is empty: the cluster file system is not mounted or was not copied"}

// hasPVE reports whether pve-manager is installed.
func hasPVE(c *Context) (bool, error) {
	b, err := c.Host.ReadFile(dpkgStatus)
	if err != nil {
		return false, err
	}
	_, ok := osPackage(b, "pve-manager")
	return ok, nil
}

// guestsOfNode reads the configurations of this node's guests of a kind (guestcfg.QEMU or guestcfg.LXC) and returns the
// VMIDs of those whose settings in force match.
func guestsOfNode(c *Context, kind string, match func(*guestcfg.Section) bool) posture.Fact[[]string] {
	pattern := qemuConfigs
	if kind == guestcfg.LXC {
		pattern = lxcConfigs
	}
	paths, contents, err := readAll(c, pattern)
	if err != nil {
		return posture.Unknown[[]string](err, pattern)
	}
	if len(paths) == 0 {
		nodes, err := c.Host.List("/etc/pve/nodes/*")
		pve, pveErr := hasPVE(c)
		switch {
		case err != nil:
			return posture.Unknown[[]string](err, pattern)
		case len(nodes) == 0 && (pveErr != nil || pve):
			return posture.Unknown[[]string](&errNoPVEFiles, pattern)
		}
	}
	name := osHostname(c)
	own := name.IsKnown()
	if own {
		_, err := c.Host.Stat("/etc/pve/nodes/" + firstLabel(name.Value))
		own = err == nil
	}
	out := []string{}
	for i, p := range paths {
		if own && nodeOf(p) != firstLabel(name.Value) {
			continue
		}
		if cfg, _ := guestcfg.Parse(kind, contents[i]); match(&cfg.Current) {
			out = append(out, vmid(p))
		}
	}
	return posture.Known(out, posture.Configured, pattern)
}

func unprivilegedContainers(c *Context) posture.Fact[[]string] {
	return guestsOfNode(c, guestcfg.LXC, func(s *guestcfg.Section) bool { return s.On("unprivileged") })
}

// bridgeFirewall says which of PVE's firewalls filters what crosses bridges. The cluster option enable is off by
// default; the host option nftables chooses proxmox-firewall, which filters in the bridge family and needs no
// bridge-nf-call.
func bridgeFirewall(c *Context) posture.Fact[string] {
	pve, err := hasPVE(c)
	if err != nil {
		return posture.Unknown[string](err, dpkgStatus)
	}
	if !pve {
		return posture.Known("off", posture.Default, "no Proxmox VE")
	}
	b, err := c.Host.ReadFile(sysctlCluster)
	if err != nil {
		nodes, listErr := c.Host.List("/etc/pve/nodes/*")
		if host.NotExist(err) && listErr == nil && len(nodes) > 0 {
			return posture.Known("off", posture.Default, "no "+sysctlCluster)
		}
		return posture.Unknown[string](err, sysctlCluster)
	}
	if !pveFirewallEnabled(b) {
		return posture.Known("off", posture.Configured, sysctlCluster)
	}
	name := osHostname(c)
	if !name.IsKnown() {
		return posture.Fact[string]{Problem: name.Problem, Source: name.Source}
	}
	file := "/etc/pve/nodes/" + firstLabel(name.Value) + "/host.fw"
	b, err = c.Host.ReadFile(file)
	if host.NotExist(err) {
		return posture.Known("iptables", posture.Default, "no "+file)
	}
	if err != nil {
		return posture.Unknown[string](err, file)
	}
	nft := false
	section := ""
	for _, l := range host.Lines(b) {
		l, _, _ = strings.Cut(l, "#")
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			section = strings.ToLower(strings.Trim(l, "[]"))
			continue
		}
		key, value, ok := strings.Cut(l, ":")
		if !ok || section != "options" {
			continue
		}
		if strings.TrimSpace(key) == "nftables" {
			nft = strings.TrimSpace(value) == "1"
		}
	}
	// The host option enable only concerns the host's own rules; those of guests are compiled all the same.
	mode := "iptables"
	if nft {
		mode = "nftables"
	}
	return posture.Known(mode, posture.Configured, file)
}

// bridgeCalls says whether bridged packets reach iptables.
func bridgeCalls(c *Context, f *posture.SysctlFacts) posture.Fact[bool] {
	if !c.Live {
		if f.BridgeFirewall.IsKnown() && f.BridgeFirewall.Value == "iptables" {
			return posture.Known(true, posture.Default, "pve-firewall sets it when it starts")
		}
		on := false
		for _, k := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
			p := f.Keys[k].Persisted
			if !f.Keys[k].Set {
				return posture.Unknown[bool](posture.Problemf("unavailable", "whether br_netfilter will be loaded is known on a running host only"), k)
			}
			on = on || p.Value == "1"
		}
		return posture.Known(on, posture.Configured, f.Keys["net.bridge.bridge-nf-call-iptables"].Persisted.Source)
	}
	on := false
	for _, k := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
		r := f.Keys[k].Running
		if r.Problem != nil && r.Problem.Code == "not-found" {
			continue // br_netfilter is not loaded
		}
		if !r.IsKnown() {
			return posture.Fact[bool]{Problem: r.Problem, Source: r.Source}
		}
		on = on || r.Value == "1"
	}
	return posture.Known(on, posture.Effective, "/proc/sys/net/bridge")
}

func sysctlCoreNeeds() []host.Need {
	return append(append(reads(limitsMain, limitsMore), reads(journald.Patterns(coreConf)...)...),
		append(append(lists(limitsMore), lists(journald.Patterns(coreConf)...)...), stats(coreCollector)...)...)
}

// sysctlCore fills what happens to core files.
func sysctlCore(c *Context, f *posture.SysctlCore) {
	coreLimits(c, f)
	there, err := exists(c, coreCollector)
	if err != nil {
		f.Collector = posture.Unknown[bool](err, coreCollector)
	} else {
		f.Collector = posture.Known(there, posture.Effective, coreCollector)
	}
	var facts posture.LogFacts
	conf, err := (&logState{c: c, facts: &facts}).systemdConf(coreConf, "Coredump")
	if err != nil {
		f.Storage = posture.Unknown[string](err, coreConf)
		return
	}
	if s, ok := conf.Get("Storage"); ok {
		f.Storage = posture.Known(strings.ToLower(s.Value), posture.Configured, s.Source)
		return
	}
	f.Storage = posture.Known("external", posture.Default, "default of systemd-coredump")
}

func coreLimits(c *Context, f *posture.SysctlCore) {
	b, err := c.Host.ReadFile(limitsMain)
	if err != nil && !absent(c, err) {
		f.HardLimit = posture.Unknown[string](err, limitsMain)
		f.Exceptions = posture.Unknown[[]string](err, limitsMain)
		return
	}
	list := limits.Parse(limitsMain, b)
	paths, contents, err := readAll(c, limitsMore)
	if err != nil {
		f.HardLimit = posture.Unknown[string](err, limitsMore)
		f.Exceptions = posture.Unknown[[]string](err, limitsMore)
		return
	}
	for i, p := range paths {
		list = append(list, limits.Parse(p, contents[i])...)
	}
	all, others := limits.Hard(list, "core")
	f.HardLimit = posture.Known("unlimited", posture.Default, "default of the kernel")
	if all != nil {
		f.HardLimit = posture.Known(all.Value, posture.Configured, source(all.File, all.Line))
	}
	out := []string{}
	for _, o := range others {
		if o.Value != "0" {
			out = append(out, o.Domain+" "+o.Value+" ("+source(o.File, o.Line)+")")
		}
	}
	f.Exceptions = posture.Known(out, posture.Configured, limitsMain)
}
