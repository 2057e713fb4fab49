package collect

import (
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/grub"
	"github.com/castellan-project/castellan/internal/debian/modprobe"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

const (
	krnModules   = "/proc/modules"
	krnVulns     = "/sys/devices/system/cpu/vulnerabilities/*"
	krnSMT       = "/sys/devices/system/cpu/smt/control"
	krnCPUInfo   = "/proc/cpuinfo"
	krnLockdown  = "/sys/kernel/security/lockdown"
	krnIOMMU     = "/sys/kernel/iommu_groups/*"
	krnContainer = "/run/systemd/container"
	krnKernels   = "/boot/vmlinuz-*"
	krnStorage   = "/etc/pve/storage.cfg"
)

// krnWanted are the modules that the catalogue asks for, with underscores.
func krnWanted() []string {
	return []string{"cramfs", "freevxfs", "hfs", "hfsplus", "jffs2", "udf", "usb_storage", "dccp", "tipc", "rds", "sctp"}
}

func krnModprobePatterns() []string {
	var out []string
	for _, d := range modprobe.Dirs() {
		out = append(out, d+"/*.conf")
	}
	return out
}

// Kernel collects the subject kernel.
func Kernel() Collector {
	needs := append(reads(krnModprobePatterns()...), lists(krnModprobePatterns()...)...)
	needs = append(needs, lists(krnVulns, krnIOMMU, krnKernels, "/etc/default/grub.d/*.cfg")...)
	needs = append(needs, reads(krnModules, krnVulns, krnSMT, krnCPUInfo, krnLockdown, krnContainer, krnCmdline, sysctlRelease, krnStorage,
		"/etc/default/grub", "/etc/default/grub.d/*.cfg", "/etc/kernel/cmdline", grubCfg, dpkgStatus, lxcConfigs, qemuConfigs,
		"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/hostname")...)
	return Collector{Name: "kernel", Needs: needs, Collect: collectKernel}
}

func collectKernel(c *Context) {
	f := &posture.Kernel{}
	f.Installed = installedKernels(c)
	f.Container = inContainer(c)
	krnReleaseFact(c, f)
	krnArgs(c, f)
	krnCPU(c, f)
	krnModuleFacts(c, f)
	krnMicrocode(c, f)
	f.Lockdown = krnLockdownMode(c)
	f.PassthroughGuests = guestsOfNode(c, guestcfg.QEMU, func(s *guestcfg.Section) bool { return len(s.Numbered("hostpci")) > 0 })
	f.IOMMUGroups = liveOnly(c, krnIOMMU, func() (int, error) {
		list, err := c.Host.List(krnIOMMU)
		if err == nil {
			_, err = c.Host.Stat("/sys/kernel")
		}
		return len(list), err
	})
	c.Facts.Kernel = *f
}

// liveOnly makes a fact that only a running host can give.
func liveOnly[T any](c *Context, where string, get func() (T, error)) posture.Fact[T] {
	if !c.Live {
		return posture.Unknown[T](posture.Problemf("unavailable", "%s exists on a running host only", where), where)
	}
	v, err := get()
	if err != nil {
		return posture.Unknown[T](err, where)
	}
	return posture.Known(v, posture.Effective, where)
}

// installedKernels lists the releases of /boot/vmlinuz-*, newest first.
func installedKernels(c *Context) posture.Fact[[]string] {
	list, err := c.Host.List(krnKernels)
	if err != nil {
		return posture.Unknown[[]string](err, krnKernels)
	}
	if len(list) == 0 && !wholeSystem(c) {
		return posture.Unknown[[]string](notCopied("/boot"), krnKernels)
	}
	out := []string{}
	for _, i := range list {
		out = append(out, strings.TrimPrefix(path.Base(i.Path), "vmlinuz-"))
	}
	sort.Slice(out, func(a, b int) bool { return newerRelease(out[a], out[b]) })
	return posture.Known(out, posture.Effective, krnKernels)
}

// newerRelease compares releases as version numbers: each run of digits is a number.
func newerRelease(a, b string) bool {
	for a != "" && b != "" {
		na, ra := leadingNumber(a)
		nb, rb := leadingNumber(b)
		if na >= 0 && nb >= 0 {
			if na != nb {
				return na > nb
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return a[0] > b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) > len(b)
}

func leadingNumber(s string) (n int, rest string) {
	i := 0
	for i < len(s) && i < 9 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return -1, s
	}
	n, _ = strconv.Atoi(s[:i])
	return n, s[i:]
}

// inContainer says whether the target is a container. systemd writes /run/systemd/container in one (systemd's
// CONTAINER_INTERFACE); an image with a kernel in /boot is none.
func inContainer(c *Context) posture.Fact[bool] {
	if c.Live {
		b, err := c.Host.ReadFile(krnContainer)
		if err != nil && !host.NotExist(err) {
			return posture.Unknown[bool](err, krnContainer)
		}
		return posture.Known(err == nil && len(b) > 0, posture.Effective, krnContainer)
	}
	return posture.Known(false, posture.Default, "an image or copy is taken for that of a machine")
}

func krnReleaseFact(c *Context, f *posture.Kernel) {
	if !c.Live {
		f.Release = posture.Fact[string]{Problem: f.Installed.Problem, Source: krnKernels}
		if f.Installed.IsKnown() && len(f.Installed.Value) > 0 {
			f.Release = posture.Known(f.Installed.Value[0], posture.Configured, krnKernels)
		}
		return
	}
	b, err := c.Host.ReadFile(sysctlRelease)
	if err != nil {
		f.Release = posture.Unknown[string](err, sysctlRelease)
		return
	}
	f.Release = posture.Known(strings.TrimSpace(string(b)), posture.Effective, sysctlRelease)
}

// persistedArgs gathers the kernel arguments of the next boot from every place that holds some.
func persistedArgs(c *Context) (args []string, where string, err error) {
	var from []string
	add := func(file string, list []string) {
		from = append(from, file)
		for _, a := range list {
			if !slices.Contains(args, a) {
				args = append(args, a)
			}
		}
	}
	if b, e := c.Host.ReadFile(grubCfg); e == nil {
		var list []string
		entries := grub.Parse(b).Entries
		if len(entries) == 0 {
			err = posture.Problemf("malformed", "%s holds no boot entry", grubCfg)
		}
		for _, entry := range entries {
			if !entry.Recovery {
				list = append(list, entry.Args...)
			}
		}
		add(grubCfg, list)
	} else if !host.NotExist(e) {
		err = e
	}
	if b, e := c.Host.ReadFile("/etc/default/grub"); e == nil {
		_, more, e := readAll(c, "/etc/default/grub.d/*.cfg")
		if e != nil {
			return nil, "", e
		}
		vars := grub.ParseDefaults(append([][]byte{b}, more...)...)
		if len(vars) > 0 {
			add("/etc/default/grub", grub.Args(vars[grub.CmdlineLinux]+" "+vars[grub.CmdlineLinuxDefault]))
		}
	} else if !host.NotExist(e) {
		err = e
	}
	if b, e := c.Host.ReadFile("/etc/kernel/cmdline"); e == nil {
		add("/etc/kernel/cmdline", grub.Args(string(b)))
	} else if !host.NotExist(e) {
		err = e
	}
	if err == nil && len(from) == 0 {
		err = notCopied(grubCfg)
	}
	return args, strings.Join(from, ", "), err
}

func krnArgs(c *Context, f *posture.Kernel) {
	args, where, err := persistedArgs(c)
	if err != nil {
		f.CmdlinePersisted = posture.Unknown[[]string](err, grubCfg)
	} else {
		f.CmdlinePersisted = posture.Known(nonNil(args), posture.Configured, where)
	}
	if !c.Live {
		f.Cmdline = f.CmdlinePersisted
		return
	}
	b, err := c.Host.ReadFile(krnCmdline)
	if err != nil {
		f.Cmdline = posture.Unknown[[]string](err, krnCmdline)
		return
	}
	f.Cmdline = posture.Known(grub.Args(string(b)), posture.Effective, krnCmdline)
}

func krnCPU(c *Context, f *posture.Kernel) {
	info := func(key string) posture.Fact[string] {
		return liveOnly(c, krnCPUInfo, func() (string, error) {
			b, err := c.Host.ReadFile(krnCPUInfo)
			if err != nil {
				return "", err
			}
			for line := range strings.Lines(string(b)) {
				if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
					return strings.TrimSpace(v), nil
				}
			}
			return "", posture.Problemf("not-found", "%s does not say %q", krnCPUInfo, key)
		})
	}
	f.CPUVendor, f.CPUModel, f.MicrocodeRevision = info("vendor_id"), info("model name"), info("microcode")
	if flags := info("flags"); flags.IsKnown() {
		f.Virtual = posture.Known(slices.Contains(strings.Fields(flags.Value), "hypervisor"), posture.Effective, krnCPUInfo)
	} else {
		f.Virtual = posture.Fact[bool]{Problem: flags.Problem, Source: flags.Source}
	}
	f.SMT = liveOnly(c, krnSMT, func() (string, error) {
		b, err := c.Host.ReadFile(krnSMT)
		return strings.TrimSpace(string(b)), err
	})
	f.Vulnerabilities = liveOnly(c, krnVulns, func() (map[string]string, error) {
		paths, contents, err := readAll(c, krnVulns)
		if err == nil && len(paths) == 0 {
			err = notCopied(path.Dir(krnVulns))
		}
		out := map[string]string{}
		for i, p := range paths {
			out[path.Base(p)] = strings.TrimSpace(string(contents[i]))
		}
		return out, err
	})
	f.Vulnerable = posture.Fact[[]string]{Problem: f.Vulnerabilities.Problem, Source: f.Vulnerabilities.Source}
	f.MicrocodeOld = posture.Fact[bool]{Problem: f.Vulnerabilities.Problem, Source: f.Vulnerabilities.Source}
	if f.Vulnerabilities.IsKnown() {
		f.Vulnerable = posture.Known(openFlaws(f.Vulnerabilities.Value), posture.Effective, krnVulns)
		f.MicrocodeOld = posture.Known(strings.HasPrefix(f.Vulnerabilities.Value["old_microcode"], "Vulnerable"), posture.Effective, krnVulns)
	}
}

// openFlaws lists the flaws that are not mitigated. The kernel's words are "Not affected", "Mitigation: ...",
// "Vulnerable...", "KVM: Vulnerable" (itlb_multihit) and "Unknown: No mitigations" for processors that their vendor no longer
// looks after (Documentation/admin-guide/hw-vuln).
func openFlaws(all map[string]string) []string {
	out := []string{}
	for name, word := range all {
		if name == "old_microcode" {
			continue // BOOT-10 judges the microcode
		}
		if strings.HasPrefix(word, "Vulnerable") || strings.HasPrefix(word, "KVM: Vulnerable") || strings.HasPrefix(word, "Unknown: No mitigations") {
			out = append(out, name+": "+word)
		}
	}
	slices.Sort(out)
	return out
}

func krnLockdownMode(c *Context) posture.Fact[string] {
	return liveOnly(c, krnLockdown, func() (string, error) {
		b, err := c.Host.ReadFile(krnLockdown)
		if err != nil {
			return "", err
		}
		_, rest, ok := strings.Cut(string(b), "[")
		mode, _, ok2 := strings.Cut(rest, "]")
		if !ok || !ok2 {
			return "", posture.Problemf("malformed", "%s names no mode in brackets", krnLockdown)
		}
		return mode, nil
	})
}
