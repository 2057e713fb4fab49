package collect

import (
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// engineBinaries are programs that make a host something else than a hypervisor: container engines, orchestrators,
// other hypervisors.
func engineBinaries() []string {
	return []string{
		"/usr/bin/docker", "/usr/bin/dockerd", "/usr/local/bin/docker", "/usr/bin/podman", "/usr/bin/containerd", "/usr/bin/nerdctl", "/usr/local/bin/k3s",
		"/usr/bin/kubelet", "/usr/bin/microk8s", "/usr/bin/lxd", "/usr/bin/incus", "/usr/bin/incusd", "/snap/bin/docker", "/usr/sbin/libvirtd", "/usr/bin/VBoxManage",
	}
}

const (
	svcIPv6Running = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
	svcIPv6Table   = "/proc/net/if_inet6"
)

func platformNeeds() []host.Need {
	needs := append(stats(engineBinaries()...), reads(svcIPv6Running, svcIPv6Table, "/proc/cmdline", "/etc/sysctl.conf", "/etc/default/grub", "/etc/kernel/cmdline")...)
	for _, d := range sysctlDirs() {
		needs = append(needs, host.Need{Read: d + "/*.conf"}, host.Need{List: d + "/*.conf"})
	}
	return needs
}

func collectPlatform(c *Context, f *posture.ServiceFacts) {
	found := []string{}
	f.Engines = posture.Known(found, posture.Effective, "/usr/bin")
	for _, p := range engineBinaries() {
		ok, err := exists(c, p)
		if err != nil {
			f.Engines = posture.Unknown[[]string](err, p)
			break
		}
		if ok {
			found = append(found, p)
			f.Engines.Value = found
		}
	}
	f.IPv6Disabled = ipv6Disabled(c)
}

func ipv6Disabled(c *Context) posture.Fact[bool] {
	if c.Live {
		b, err := c.Host.ReadFile(svcIPv6Running)
		if host.NotExist(err) { // the kernel was started with ipv6.disable=1 or has no IPv6
			return posture.Known(true, posture.Effective, svcIPv6Running)
		}
		if err != nil {
			return posture.Unknown[bool](err, svcIPv6Running)
		}
		return posture.Known(strings.TrimSpace(string(b)) == "1", posture.Effective, svcIPv6Running)
	}
	return ipv6DisabledAtBoot(c)
}

// sysctlDirs are the directories of sysctl.d(5), strongest first.
func sysctlDirs() []string {
	return []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"}
}

// ipv6DisabledAtBoot follows sysctl.d(5) for this one key: files of all directories in the order of their names, a file
// hiding those of the same name in weaker directories, the last assignment winning.
func ipv6DisabledAtBoot(c *Context) posture.Fact[bool] {
	for _, p := range []string{"/etc/default/grub", "/etc/kernel/cmdline"} {
		if b, err := c.Host.ReadFile(p); err == nil && slices.Contains(strings.FieldsFunc(string(b), isWordEnd), "ipv6.disable=1") {
			return posture.Known(true, posture.Configured, p)
		}
	}
	files := map[string][]byte{}
	where := map[string]string{}
	for _, d := range sysctlDirs() {
		paths, contents, err := readAll(c, d+"/*.conf")
		if err != nil {
			return posture.Unknown[bool](err, d)
		}
		for i, p := range paths {
			if name := path.Base(p); where[name] == "" {
				files[name], where[name] = contents[i], p
			}
		}
	}
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	out := posture.Known(false, posture.Default, "default of the kernel")
	for _, n := range names {
		for i, l := range host.Lines(files[n]) {
			key, value, ok := strings.Cut(strings.TrimLeft(strings.TrimSpace(l), "-"), "=")
			if ok && strings.ReplaceAll(strings.TrimSpace(key), "/", ".") == "net.ipv6.conf.all.disable_ipv6" {
				out = posture.Known(strings.TrimSpace(value) == "1", posture.Configured, source(where[n], i+1))
			}
		}
	}
	return out
}

func isWordEnd(r rune) bool { return r == ' ' || r == '"' || r == '\'' || r == '\n' || r == '\t' }
