package kinds

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// perInterface are the parameters for which the value of an interface counts beside that of "all": the kernel combines the two
// with OR or takes the larger one, and does not pass the value for "all" on (Documentation/networking/ip-sysctl.rst).
func perInterface(family, name string) bool {
	switch family {
	case "ipv4":
		return slices.Contains([]string{"accept_redirects", "proxy_arp", "rp_filter", "secure_redirects", "send_redirects"}, name)
	case "ipv6":
		return slices.Contains([]string{"accept_redirects", "accept_ra"}, name)
	}
	return false
}

// interfaceSysctls gives the value of "all" to the interfaces that exist, where their own value counts. Those that are made later
// begin with the value of "default". Cards of guests come and go with them and are left alone; so is proxy_arp of everything
// that is no bridge, because networks of some providers need it.
func interfaceSysctls(d *change.Draft, key, value string) error {
	family, name, ok := allKey(key)
	if !ok || !perInterface(family, name) {
		return nil
	}
	dir := "/proc/sys/net/" + family + "/conf/"
	list, err := d.List(dir + "*")
	if err != nil {
		return err
	}
	for _, f := range list {
		dev := path.Base(f.Path)
		if dev == "all" || dev == "default" || f.Type != host.Dir || guestCard(dev) {
			continue
		}
		if name == "proxy_arp" {
			if _, err := d.Stat("/sys/class/net/" + dev + "/bridge"); err != nil {
				continue
			}
		}
		own := "net/" + family + "/conf/" + dev + "/" + name
		if name == "rp_filter" {
			b, _, err := d.Content("/proc/sys/" + own)
			if err != nil {
				return err
			}
			if weaker(strings.TrimSpace(string(b)), value) {
				continue
			}
		}
		if err := d.Sysctl(own, value); err != nil {
			return err
		}
	}
	return interfaceFiles(d, family, name, value)
}

// weaker reports whether the kernel, which takes the larger value of rp_filter, lets the value of all decide.
func weaker(own, all string) bool {
	a, err := strconv.Atoi(own)
	b, err2 := strconv.Atoi(all)
	return err == nil && err2 == nil && a <= b
}

// interfaceFiles corrects what the files say of single interfaces, which would be back at the next start.
func interfaceFiles(d *change.Draft, family, name, value string) error {
	set, err := sysctlSet(d)
	if err != nil {
		return err
	}
	// systemd ships "net.ipv4.conf.*.rp_filter = 2" (sysctl.d/50-default.conf), which holds for each card that has no line of its own.
	if a, ok := set.Lookup("net." + family + ".conf.lo." + name); ok && a.IsGlob() && a.Value != value && !(name == "rp_filter" && weaker(a.Value, value)) && name != "proxy_arp" {
		if err := persistSysctl(d, a.Key, value); err != nil {
			return err
		}
	}
	for _, k := range set.Keys() {
		dev, ok := strings.CutPrefix(k, "net."+family+".conf.")
		if !ok {
			continue
		}
		dev, ok = strings.CutSuffix(dev, "."+name)
		if !ok || dev == "all" || dev == "default" || guestCard(dev) || name == "proxy_arp" && !strings.HasPrefix(dev, "vmbr") {
			continue
		}
		if a, _ := set.Lookup(k); name == "rp_filter" && weaker(a.Value, value) {
			continue
		}
		if err := persistSysctl(d, k, value); err != nil {
			return err
		}
	}
	return nil
}

// allKey takes "net.ipv4.conf.all.NAME" apart.
func allKey(key string) (family, name string, ok bool) {
	f := strings.Split(key, ".")
	if len(f) != 5 || f[0] != "net" || f[2] != "conf" || f[3] != "all" {
		return "", "", false
	}
	return f[1], f[4], true
}

// guestCard reports whether an interface belongs to a guest: tap of a machine, veth of a container and the bridges that the
// firewall puts before them (PVE::Network, PVE::Firewall).
func guestCard(name string) bool {
	for _, p := range []string{"tap", "veth", "fwbr", "fwpr", "fwln"} {
		if rest, ok := strings.CutPrefix(name, p); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return true
		}
	}
	return false
}
