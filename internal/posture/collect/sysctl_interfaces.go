package collect

import (
	"path"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	sysctlV4 = "/proc/sys/net/ipv4/conf/"
	sysctlV6 = "/proc/sys/net/ipv6/conf/"
)

// sysctlV4Keys and sysctlV6Keys are what is asked of each interface.
func sysctlV4Keys() []string {
	return []string{"accept_redirects", "forwarding", "proxy_arp", "rp_filter", "secure_redirects", "send_redirects"}
}

func sysctlV6Keys() []string {
	return []string{"accept_ra", "accept_redirects", "disable_ipv6", "forwarding"}
}

func sysctlInterfaceNeeds() []host.Need {
	out := lists(sysctlV4 + "*")
	for _, k := range sysctlV4Keys() {
		out = append(out, host.Need{Read: sysctlV4 + "*/" + k})
	}
	for _, k := range sysctlV6Keys() {
		out = append(out, host.Need{Read: sysctlV6 + "*/" + k})
	}
	return out
}

// maxInterfaces bounds what is asked one by one; a node of a thousand guests has some thousands.
const maxInterfaces = 20_000

func sysctlInterfaces(c *Context) posture.Fact[[]posture.SysctlInterface] {
	if !c.Live {
		return posture.Unknown[[]posture.SysctlInterface](posture.Problemf("unavailable",
			"the values of interfaces exist on a running host only"), sysctlV4)
	}
	list, err := c.Host.List(sysctlV4 + "*")
	if err != nil {
		return posture.Unknown[[]posture.SysctlInterface](err, sysctlV4)
	}
	bridges := map[string]bool{}
	marks, err := c.Host.List("/sys/class/net/*/bridge")
	if err != nil {
		return posture.Unknown[[]posture.SysctlInterface](err, "/sys/class/net")
	}
	for _, m := range marks {
		bridges[path.Base(path.Dir(m.Path))] = true
	}
	out := []posture.SysctlInterface{}
	for _, i := range list {
		name := path.Base(i.Path)
		if name == "all" || name == "default" || i.Type != host.Dir || isGuestLink(name) {
			continue
		}
		if len(out) == maxInterfaces {
			return posture.Unknown[[]posture.SysctlInterface](host.ErrTooLarge, sysctlV4)
		}
		n := sysctlInterface(c, name)
		n.Bridge = bridges[name]
		out = append(out, n)
	}
	if len(out) == 0 {
		// Every Linux has lo: an empty list means that nothing was seen.
		return posture.Unknown[[]posture.SysctlInterface](posture.Problemf("not-found", "no interface is listed in %s", sysctlV4), sysctlV4)
	}
	return posture.Known(out, posture.Effective, sysctlV4)
}

// confValues reads single values and remembers the first error.
type confValues struct {
	c   *Context
	err error
}

func (v *confValues) get(dir, scope, key string) int {
	file := dir + scope + "/" + key
	b, err := v.c.Host.ReadFile(file)
	var n int
	if err == nil {
		n, err = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err != nil && v.err == nil {
		v.err = err
	}
	return n
}

// combined makes a fact of values of one interface, by the rule of the kernel for that key.
func combined[T any](c *Context, where string, rule func(v *confValues) T) posture.Fact[T] {
	v := &confValues{c: c}
	x := rule(v)
	if v.err != nil {
		return posture.Unknown[T](v.err, where)
	}
	return posture.Known(x, posture.Effective, where)
}

func sysctlInterface(c *Context, name string) posture.SysctlInterface {
	w4, w6 := sysctlV4+name, sysctlV6+name
	either := func(key string) posture.Fact[bool] {
		return combined(c, w4+"/"+key, func(v *confValues) bool {
			return v.get(sysctlV4, "all", key) != 0 || v.get(sysctlV4, name, key) != 0
		})
	}
	n := posture.SysctlInterface{
		Name: name, SendRedirects: either("send_redirects"), SecureRedirects: either("secure_redirects"), ProxyARP: either("proxy_arp"),
		RPFilter: combined(c, w4+"/rp_filter", func(v *confValues) int {
			return max(v.get(sysctlV4, "all", "rp_filter"), v.get(sysctlV4, name, "rp_filter"))
		}),
		AcceptRedirects: combined(c, w4+"/accept_redirects", func(v *confValues) bool {
			all, own := v.get(sysctlV4, "all", "accept_redirects") != 0, v.get(sysctlV4, name, "accept_redirects") != 0
			if v.get(sysctlV4, name, "forwarding") != 0 {
				return all && own
			}
			return all || own
		}),
	}
	if _, err := c.Host.Stat(sysctlV6 + name); host.NotExist(err) {
		off := posture.Known(false, posture.Effective, w6)
		n.AcceptRedirects6, n.AcceptRA = off, off
		return n
	}
	n.AcceptRedirects6 = combined(c, w6+"/accept_redirects", func(v *confValues) bool {
		return v.get(sysctlV6, name, "disable_ipv6") == 0 && v.get(sysctlV6, name, "forwarding") == 0 && v.get(sysctlV6, name, "accept_redirects") != 0
	})
	n.AcceptRA = combined(c, w6+"/accept_ra", func(v *confValues) bool {
		ra := v.get(sysctlV6, name, "accept_ra")
		return name != "lo" && v.get(sysctlV6, name, "disable_ipv6") == 0 && (ra == 2 || ra == 1 && v.get(sysctlV6, name, "forwarding") == 0)
	})
	return n
}
