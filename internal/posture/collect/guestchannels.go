package collect

import (
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
	"github.com/castellan-project/castellan/internal/pve/proxycfg"
)

const (
	svcSDNZones  = "/etc/pve/sdn/zones.cfg"
	svcProxyConf = "/etc/default/pveproxy"
	// pvedaemonPort is where pvedaemon serves the API to pveproxy (PVE/Service/pvedaemon.pm of pve-manager), on 127.0.0.1.
	pvedaemonPort = 85
)

func guestChannelNeeds() []host.Need {
	return append(reads(qemuConfigs, svcSDNZones, svcProxyConf), append(lists(qemuConfigs), stats("/etc/pve", "/usr/bin/pvedaemon")...)...)
}

func collectGuestChannels(c *Context, f *posture.ServiceFacts, l listenerView) {
	collectPVEDaemon(c, f, l)
	f.SDNDHCP = sdnDHCP(c)
	f.SpiceLimited = spiceLimited(c)
	switch {
	case !c.Live:
		f.ConsoleListeners = posture.Known([]string{}, posture.Default, "a copy has no sockets")
	case l.err != nil:
		f.ConsoleListeners = posture.Unknown[[]string](l.err, "/proc/net/tcp")
	default:
		f.ConsoleListeners = posture.Known(l.exposed(func(s posture.ServiceListener) bool {
			return s.Protocol == "tcp" && s.Port >= 5900 && s.Port <= 5999
		}), posture.Effective, "/proc/net/tcp")
	}
	paths, contents, err := readAll(c, qemuConfigs)
	if err == nil && len(paths) == 0 {
		if ok, statErr := exists(c, "/etc/pve"); statErr != nil || !ok && !wholeSystem(c) {
			err = notCopied("/etc/pve")
		}
	}
	if err != nil {
		f.SpiceGuests, f.VNCGuests = posture.Unknown[[]string](err, qemuConfigs), posture.Unknown[[]string](err, qemuConfigs)
		return
	}
	spice, vnc := []string{}, []string{}
	for i, p := range paths {
		name := nodeOf(p) + "/" + vmid(p)
		s, v := channels(contents[i])
		for _, what := range s {
			spice = append(spice, name+": "+what)
		}
		if v {
			vnc = append(vnc, name)
		}
	}
	f.SpiceGuests = posture.Known(spice, posture.Configured, "/etc/pve/nodes")
	f.VNCGuests = posture.Known(vnc, posture.Configured, "/etc/pve/nodes")
}

// channels looks at the settings of a guest that are in force for SPICE devices and for raw QEMU arguments that open VNC on
// the network.
func channels(b []byte) (spice []string, vnc bool) {
	cfg, _ := guestcfg.Parse(guestcfg.QEMU, b)
	s := &cfg.Current
	args := s.Value("args")
	if strings.Contains(args, "-spice") {
		spice = append(spice, "args -spice")
	}
	if p := s.Properties("audio0", ""); p.Value("driver") == "spice" {
		spice = append(spice, "audio0 "+s.Value("audio0"))
	}
	for _, e := range s.Numbered("usb") {
		if p := pve.ParseProperties(e.Value, "host"); strings.EqualFold(p.Value("host"), "spice") {
			spice = append(spice, e.Key+" "+e.Value)
		}
	}
	if p := s.Properties("vga", "type"); strings.HasPrefix(p.Value("type"), "qxl") {
		spice = append(spice, "vga "+s.Value("vga"))
	}
	return spice, vncOnNetwork(strings.Fields(args))
}

// vncOnNetwork reports whether "-vnc DISPLAY" names a display reachable over TCP from elsewhere: not unix:, none or
// loopback.
func vncOnNetwork(args []string) bool {
	for i, a := range args {
		if a != "-vnc" && a != "--vnc" || i+1 == len(args) {
			continue
		}
		d := args[i+1]
		if !strings.HasPrefix(d, "unix:") && d != "none" && !strings.HasPrefix(d, "127.") && !strings.HasPrefix(d, "localhost:") && !strings.HasPrefix(d, "[::1]") {
			return true
		}
	}
	return false
}

func collectPVEDaemon(c *Context, f *posture.ServiceFacts, l listenerView) {
	src := "default of pvedaemon"
	if !c.Live {
		f.PVEDaemonAddresses = posture.Known([]string{"127.0.0.1"}, posture.Default, src)
		f.PVEDaemonExposed = posture.Known(false, posture.Default, src)
		return
	}
	src = "/proc/net/tcp"
	if l.err != nil {
		f.PVEDaemonAddresses, f.PVEDaemonExposed = posture.Unknown[[]string](l.err, src), posture.Unknown[bool](l.err, src)
		return
	}
	addresses, exposed := []string{}, false
	for _, s := range l.list {
		if s.Protocol == "tcp" && s.Port == pvedaemonPort {
			addresses = append(addresses, s.Address)
			exposed = exposed || !s.Loopback
		}
	}
	f.PVEDaemonAddresses = posture.Known(addresses, posture.Effective, src)
	f.PVEDaemonExposed = posture.Known(exposed, posture.Effective, src)
}

// sdnDHCP looks for zones with "dhcp dnsmasq".
func sdnDHCP(c *Context) posture.Fact[bool] {
	b, err := c.Host.ReadFile(svcSDNZones)
	if err != nil {
		if ok, statErr := exists(c, "/etc/pve"); host.NotExist(err) && (ok || statErr == nil) {
			return posture.Known(false, posture.Default, svcSDNZones)
		}
		return posture.Unknown[bool](err, svcSDNZones)
	}
	for _, l := range host.Lines(b) {
		if f := strings.Fields(l); len(f) == 2 && f[0] == "dhcp" && f[1] == "dnsmasq" {
			return posture.Known(true, posture.Configured, svcSDNZones)
		}
	}
	return posture.Known(false, posture.Configured, svcSDNZones)
}

// spiceLimited: spiceproxy takes ALLOW_FROM, DENY_FROM and POLICY from pveproxy's file (PVE/Service/spiceproxy.pm of
// pve-manager). A list of allowed addresses limits only when everybody else is denied.
func spiceLimited(c *Context) posture.Fact[bool] {
	b, err := c.Host.ReadFile(svcProxyConf)
	if absent(c, err) {
		return posture.Known(false, posture.Default, svcProxyConf)
	}
	if err != nil {
		return posture.Unknown[bool](err, svcProxyConf)
	}
	conf := proxycfg.Parse(b)
	if conf.Shell {
		return posture.Unknown[bool](posture.Problemf("malformed", "%s holds shell code", svcProxyConf), svcProxyConf)
	}
	allow, some := conf.Get("ALLOW_FROM")
	deny, _ := conf.Get("DENY_FROM")
	policy, _ := conf.Get("POLICY")
	limited := some && allow.Value != "all" && (deny.Value == "all" || policy.Value == "deny")
	return posture.Known(limited, posture.Configured, source(svcProxyConf, allow.Line))
}
