package collect

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/grub"
	"github.com/castellan-project/castellan/internal/debian/sysctl"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	sysctlMain    = "/etc/sysctl.conf"
	sysctlRelease = "/proc/sys/kernel/osrelease"
	sysctlIPv6    = "/proc/sys/net/ipv6"
	krnCmdline    = "/proc/cmdline"
)

// sysctlWanted are the keys that the catalogue asks for, in words that make the network keys short.
func sysctlWanted() []string {
	out := []string{
		"dev.tty.ldisc_autoload", "fs.protected_fifos", "fs.protected_hardlinks", "fs.protected_regular", "fs.protected_symlinks",
		"fs.suid_dumpable", "kernel.dmesg_restrict", "kernel.kexec_load_disabled", "kernel.kptr_restrict", "kernel.perf_event_paranoid",
		"kernel.randomize_va_space", "kernel.sysrq", "kernel.unprivileged_bpf_disabled", "kernel.unprivileged_userns_clone",
		"kernel.yama.ptrace_scope", "net.bridge.bridge-nf-call-arptables", "net.bridge.bridge-nf-call-ip6tables",
		"net.bridge.bridge-nf-call-iptables", "net.ipv4.icmp_echo_ignore_broadcasts", "net.ipv4.icmp_ignore_bogus_error_responses",
		"net.ipv4.ip_forward", "net.ipv4.tcp_rfc1337", "net.ipv4.tcp_syncookies", "user.max_user_namespaces",
	}
	for _, scope := range []string{"all", "default"} {
		for _, k := range []string{"accept_redirects", "accept_source_route", "log_martians", "proxy_arp", "rp_filter", "secure_redirects", "send_redirects"} {
			out = append(out, "net.ipv4.conf."+scope+"."+k)
		}
		for _, k := range []string{"accept_ra", "accept_redirects", "accept_source_route", "disable_ipv6", "forwarding"} {
			out = append(out, "net.ipv6.conf."+scope+"."+k)
		}
	}
	return out
}

func sysctlPatterns() []string {
	var out []string
	for _, d := range sysctl.Dirs() {
		out = append(out, d+"/*.conf")
	}
	return out
}

// Sysctl collects kernel parameters, running and persisted.
func Sysctl() Collector {
	needs := append(reads(sysctlPatterns()...), lists(sysctlPatterns()...)...)
	needs = append(needs, lists("/boot/vmlinuz-*", "/sys/class/net/*/bridge")...)
	needs = append(needs, reads(sysctlMain, sysctlRelease, krnCmdline, sysctlCluster, "/etc/pve/nodes/*/host.fw",
		lxcConfigs, "/etc/hostname", dpkgStatus)...)
	needs = append(needs, sysctlInterfaceNeeds()...)
	needs = append(needs, sysctlCoreNeeds()...)
	needs = append(needs, stats(sysctlIPv6)...)
	for _, k := range sysctlWanted() {
		needs = append(needs, host.Need{Read: sysctl.Path(k)})
	}
	return Collector{Name: "sysctl", Needs: needs, Collect: collectSysctl}
}

// sysctlState is what the parts of the collector share.
type sysctlState struct {
	c    *Context
	set  *sysctl.Set
	err  error // a file of sysctl.d that could not be read: nothing persisted is certain then
	main bool  // /etc/sysctl.conf is applied through a link
	// kernel is the one that the next boot starts, as far as known: its defaults count.
	kernel sysctl.Kernel
	// args are sysctl.key=value of the kernel command line.
	args map[string]string
	vain map[string]sysctl.Assignment
}

func collectSysctl(c *Context) {
	s := &sysctlState{c: c, args: map[string]string{}, vain: map[string]sysctl.Assignment{}}
	f := &posture.SysctlFacts{Keys: map[string]posture.SysctlKey{}}
	s.files(f)
	s.ignored(f)
	s.kernel = nextKernel(c)
	s.arguments()
	keys := sysctlWanted()
	if s.set != nil {
		for _, k := range s.set.Keys() {
			if len(keys) < maxSysctlKeys && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		f.Keys[k] = s.key(k)
	}
	f.IPv6 = s.ipv6()
	f.Interfaces = sysctlInterfaces(c)
	f.BridgeFirewall = bridgeFirewall(c)
	f.BridgeCalls = bridgeCalls(c, f)
	f.UnprivilegedContainers = unprivilegedContainers(c)
	sysctlCore(c, &f.Core)
	c.Facts.Sysctl = *f
}

// maxSysctlKeys bounds the facts: a host sets dozens of keys, a hostile file could name millions.
const maxSysctlKeys = 1000

// files reads sysctl.d.
func (s *sysctlState) files(f *posture.SysctlFacts) {
	var found []string
	links := map[string]string{}
	for _, p := range sysctlPatterns() {
		list, err := s.c.Host.List(p)
		if err != nil {
			s.err = err
			f.Problems = posture.Unknown[[]string](err, p)
			return
		}
		for _, i := range list {
			found = append(found, i.Path)
			links[i.Path] = i.Link
		}
	}
	var all []sysctl.Assignment
	problems := []string{}
	for _, p := range sysctl.Order(found) {
		if links[p] == "/dev/null" {
			continue
		}
		b, err := s.c.Host.ReadFile(p)
		if host.NotExist(err) {
			continue // a link to nowhere
		}
		if err != nil {
			s.err = err
			f.Problems = posture.Unknown[[]string](err, p)
			return
		}
		if to := links[p]; to != "" && resolveLink(p, to) == sysctlMain {
			s.main = true
		}
		list, bad := sysctl.Parse(p, b)
		all, problems = append(all, list...), append(problems, bad...)
	}
	s.set = sysctl.NewSet(all)
	f.Problems = posture.Known(problems, posture.Configured, "sysctl.d")
}

func resolveLink(from, to string) string {
	if !path.IsAbs(to) {
		to = path.Join(path.Dir(from), to)
	}
	return path.Clean(to)
}

// ignored finds what /etc/sysctl.conf sets in vain. On Debian 12 the link /etc/sysctl.d/99-sysctl.conf leads to it;
// Debian 13 ships neither the file nor the link, and systemd-sysctl reads sysctl.d only.
func (s *sysctlState) ignored(f *posture.SysctlFacts) {
	b, err := s.c.Host.ReadFile(sysctlMain)
	switch {
	case s.err != nil:
		f.Ignored = posture.Unknown[[]string](s.err, "sysctl.d")
		return
	case err == nil && !s.main:
		list, _ := sysctl.Parse(sysctlMain, b)
		out := []string{}
		for _, a := range list {
			s.vain[a.Key] = a
			out = append(out, a.Key+"="+a.Value+" ("+source(a.File, a.Line)+")")
		}
		f.Ignored = posture.Known(out, posture.Configured, sysctlMain)
		return
	case err != nil && !host.NotExist(err):
		f.Ignored = posture.Unknown[[]string](err, sysctlMain)
		return
	}
	f.Ignored = posture.Known([]string{}, posture.Configured, sysctlMain)
}

// arguments reads sysctl.key=value of the kernel command line, which the kernel applies before anything else
// (Documentation/admin-guide/kernel-parameters.txt).
func (s *sysctlState) arguments() {
	b, err := s.c.Host.ReadFile(krnCmdline)
	if err != nil || !s.c.Live {
		return
	}
	for _, a := range grub.Args(string(b)) {
		if rest, ok := strings.CutPrefix(a, "sysctl."); ok {
			if k, v, ok := strings.Cut(rest, "="); ok {
				s.args[sysctl.Dotted(k)] = v
			}
		}
	}
}

// nextKernel finds the kernel whose defaults count: the newest installed one, else the running one.
func nextKernel(c *Context) sysctl.Kernel {
	k := sysctl.Kernel{}
	if list := installedKernels(c); list.IsKnown() && len(list.Value) > 0 {
		k.Release = list.Value[0]
	} else if b, err := c.Host.ReadFile(sysctlRelease); err == nil && c.Live {
		k.Release = strings.TrimSpace(string(b))
	}
	if k.Release != "" && !strings.Contains(k.Release, "/") {
		if b, err := c.Host.ReadFile("/boot/config-" + k.Release); err == nil {
			k.Config = sysctl.ParseConfig(b)
		}
	}
	return k
}

func (s *sysctlState) key(k string) posture.SysctlKey {
	out := posture.SysctlKey{}
	out.Persisted, out.Set = s.persisted(k)
	file := sysctl.Path(k)
	if !s.c.Live {
		out.Running = out.Persisted
		out.Summary = "gets " + sysctlWords(out.Persisted) + " at boot" + s.note(k)
		return out
	}
	b, err := s.c.Host.ReadFile(file)
	if err != nil {
		out.Running = posture.Unknown[string](err, file)
		_, procErr := s.c.Host.ReadFile(sysctlRelease) // /proc itself must be there
		out.Missing = host.NotExist(err) && procErr == nil
	} else {
		out.Running = posture.Known(strings.Join(strings.Fields(string(b)), " "), posture.Effective, file)
	}
	r, p := "runs with an unknown value", "a reboot brings "+sysctlWords(out.Persisted)
	if out.Running.IsKnown() {
		r = "runs with " + out.Running.Value
	}
	if out.Running.IsKnown() && out.Persisted.IsKnown() && out.Running.Value != out.Persisted.Value {
		p = "but " + p
	} else {
		p = "and " + p
	}
	out.Summary = r + ", " + p + s.note(k)
	return out
}

func (s *sysctlState) note(k string) string {
	a, ok := s.vain[k]
	if !ok {
		return ""
	}
	return "; " + source(a.File, a.Line) + " sets " + a.Value + " in vain, nothing applies that file"
}

func sysctlWords(f posture.Fact[string]) string {
	switch {
	case !f.IsKnown():
		return "an unknown value"
	case f.Value == "":
		return "an empty value (" + f.Source + ")"
	}
	return f.Value + " (" + f.Source + ")"
}

// errNoDefault is why a key that nothing sets is unknown.
var errNoDefault = errors.New("nothing sets this parameter and its default depends on the kernel")

func (s *sysctlState) persisted(k string) (posture.Fact[string], bool) {
	if s.err != nil {
		return posture.Unknown[string](s.err, "sysctl.d"), false
	}
	if a, ok := s.set.Lookup(k); ok {
		return posture.Known(strings.Join(strings.Fields(a.Value), " "), posture.Configured, source(a.File, a.Line)), true
	}
	if v, ok := s.args[k]; ok {
		return posture.Known(v, posture.Configured, krnCmdline), true
	}
	if !wholeSystem(s.c) {
		return posture.Unknown[string](posture.Problemf("not-found", "no file of this copy sets %s, and the copy is not of a whole system", k), "sysctl.d"), false
	}
	// Forwarding hosts do not accept redirects by default: inet_forward_change of net/ipv4/devinet.c.
	if k == "net.ipv4.conf.all.accept_redirects" {
		if fwd, _ := s.persisted("net.ipv4.ip_forward"); fwd.IsKnown() && fwd.Value == "1" {
			return posture.Known("0", posture.Default, "default of the kernel while it forwards"), false
		}
	}
	if v, from, ok := sysctl.Default(k, s.kernel); ok {
		return posture.Known(v, posture.Default, from), false
	}
	return posture.Unknown[string](errNoDefault, "sysctl.d"), false
}

func (s *sysctlState) ipv6() posture.Fact[bool] {
	if s.c.Live {
		_, err := s.c.Host.Stat(sysctlIPv6)
		switch {
		case err == nil:
			return posture.Known(true, posture.Effective, sysctlIPv6)
		case host.NotExist(err):
			return posture.Known(false, posture.Effective, sysctlIPv6)
		}
		return posture.Unknown[bool](err, sysctlIPv6)
	}
	args, where, err := persistedArgs(s.c)
	if err != nil {
		// An image without a boot loader's files: IPv6 is on unless something switches it off.
		return posture.Known(true, posture.Default, "default of the kernel")
	}
	return posture.Known(!slices.Contains(args, "ipv6.disable=1"), posture.Configured, where)
}
