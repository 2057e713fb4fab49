package collect

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/audit"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	svcAppArmorParam    = "/sys/module/apparmor/parameters/enabled"
	svcAppArmorProfiles = "/sys/kernel/security/apparmor/profiles"
	svcAuditRules       = "/etc/audit/rules.d/*.rules"
	svcAuditCompiled    = "/etc/audit/audit.rules"
)

func confinementNeeds() []host.Need {
	needs := reads(svcAppArmorParam, svcAppArmorProfiles, svcAuditRules, svcAuditCompiled, "/etc/default/grub", "/etc/default/grub.d/*.cfg", "/etc/kernel/cmdline")
	needs = append(needs, lists("/etc/apparmor.d/*", "/etc/apparmor.d/lxc/*", "/etc/apparmor.d/disable/*", "/etc/apparmor.d/force-complain/*",
		svcAuditRules, "/etc/default/grub.d/*.cfg")...)
	return append(needs, host.Need{Run: auditList()})
}

func auditList() host.Command {
	return host.Command{Name: "audit-rules", Argv: []string{"auditctl", "-l"}, Timeout: 5e9}
}

func collectAppArmor(c *Context, f *posture.ServiceFacts) {
	a := &f.AppArmor
	if !c.Live {
		appArmorFiles(c, a)
		return
	}
	b, err := c.Host.ReadFile(svcAppArmorParam)
	switch {
	case host.NotExist(err):
		a.Enabled = posture.Known(false, posture.Effective, svcAppArmorParam)
	case err != nil:
		a.Enabled = posture.Unknown[bool](err, svcAppArmorParam)
	default:
		a.Enabled = posture.Known(strings.TrimSpace(string(b)) == "Y", posture.Effective, svcAppArmorParam)
	}
	b, err = c.Host.ReadFile(svcAppArmorProfiles)
	if err != nil {
		if host.NotExist(err) && a.Enabled.IsKnown() && !a.Enabled.Value {
			none := posture.Known([]string{}, posture.Effective, svcAppArmorProfiles)
			a.Enforced, a.Complaining = none, none
			a.ContainerProfiles = posture.Known(false, posture.Effective, svcAppArmorProfiles)
			return
		}
		a.Enforced, a.Complaining = posture.Unknown[[]string](err, svcAppArmorProfiles), posture.Unknown[[]string](err, svcAppArmorProfiles)
		a.ContainerProfiles = posture.Unknown[bool](err, svcAppArmorProfiles)
		return
	}
	enforced, complaining := appArmorModes(b)
	a.Enforced = posture.Known(enforced, posture.Effective, svcAppArmorProfiles)
	a.Complaining = posture.Known(complaining, posture.Effective, svcAppArmorProfiles)
	a.ContainerProfiles = posture.Known(slices.Contains(enforced, "lxc-container-default-cgns") && containsSuffix(enforced, "lxc-start"),
		posture.Effective, svcAppArmorProfiles)
}

// appArmorModes reads the kernel's list of profiles, "NAME (MODE)" a line.
func appArmorModes(b []byte) (enforced, complaining []string) {
	enforced, complaining = []string{}, []string{}
	for _, l := range host.Lines(b) {
		i := strings.LastIndex(l, " (")
		if i < 0 {
			continue
		}
		switch l[i+2:] {
		case "enforce)":
			enforced = append(enforced, l[:i])
		case "complain)":
			complaining = append(complaining, l[:i])
		}
	}
	return enforced, complaining
}

// appArmorFiles says what a boot of a copy would load.
func appArmorFiles(c *Context, a *posture.ServiceAppArmor) {
	a.Enabled = posture.Known(true, posture.Default, "default of Debian's kernel")
	for _, p := range []string{"/etc/default/grub", "/etc/kernel/cmdline"} {
		b, err := c.Host.ReadFile(p)
		if err == nil && switchesOffAppArmor(b) {
			a.Enabled = posture.Known(false, posture.Configured, p)
		}
	}
	infos, err := c.Host.List("/etc/apparmor.d/*")
	more, err2 := c.Host.List("/etc/apparmor.d/lxc/*")
	disabled, err3 := c.Host.List("/etc/apparmor.d/disable/*")
	complain, err4 := c.Host.List("/etc/apparmor.d/force-complain/*")
	for _, e := range []error{err, err2, err3, err4} {
		if e != nil && !host.NotExist(e) {
			a.Enforced, a.Complaining = posture.Unknown[[]string](e, "/etc/apparmor.d"), posture.Unknown[[]string](e, "/etc/apparmor.d")
			a.ContainerProfiles = posture.Unknown[bool](e, "/etc/apparmor.d")
			return
		}
	}
	if len(infos) == 0 && !wholeSystem(c) {
		e := notCopied("/etc/apparmor.d")
		a.Enforced, a.Complaining = posture.Unknown[[]string](e, "/etc/apparmor.d"), posture.Unknown[[]string](e, "/etc/apparmor.d")
		a.ContainerProfiles, a.Enabled = posture.Unknown[bool](e, "/etc/apparmor.d"), posture.Unknown[bool](e, "/etc/apparmor.d")
		return
	}
	enforced, soft := []string{}, []string{}
	for _, i := range append(infos, more...) {
		name := path.Base(i.Path)
		switch {
		case i.Type != host.Regular, named(disabled, name):
		case named(complain, name):
			soft = append(soft, name)
		default:
			enforced = append(enforced, name)
		}
	}
	a.Enforced = posture.Known(enforced, posture.Configured, "/etc/apparmor.d")
	a.Complaining = posture.Known(soft, posture.Configured, "/etc/apparmor.d")
	a.ContainerProfiles = posture.Known(slices.Contains(enforced, "lxc-containers") && slices.Contains(enforced, "usr.bin.lxc-start") ||
		slices.Contains(enforced, "lxc-default-cgns") && slices.Contains(enforced, "usr.bin.lxc-start"), posture.Configured, "/etc/apparmor.d")
}

// switchesOffAppArmor reports whether a kernel command line holds apparmor=0 or chooses another major module.
func switchesOffAppArmor(b []byte) bool {
	for _, l := range host.Lines(b) {
		if strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		for _, w := range strings.FieldsFunc(l, func(r rune) bool { return r == ' ' || r == '"' || r == '\'' || r == '\t' }) {
			if w == "apparmor=0" || strings.HasPrefix(w, "security=") && w != "security=apparmor" {
				return true
			}
		}
	}
	return false
}

func named(list []host.File, name string) bool {
	return slices.ContainsFunc(list, func(i host.File) bool { return path.Base(i.Path) == name })
}

func containsSuffix(list []string, suffix string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasSuffix(s, suffix) })
}

func collectAudit(c *Context, f *posture.ServiceFacts) {
	a := &f.Audit
	conf, src, err := auditFiles(c)
	if err != nil {
		a.ConfiguredWatches, a.Watches = posture.Unknown[[]string](err, src), posture.Unknown[[]string](err, src)
		a.Syscalls, a.Suppressed = posture.Unknown[[]string](err, src), posture.Unknown[bool](err, src)
		a.Immutable = posture.Unknown[bool](err, src)
		return
	}
	a.ConfiguredWatches = posture.Known(orEmpty(conf.Watches()), posture.Configured, src)
	a.Immutable = posture.Known(conf.Mode == "2", posture.Configured, src)
	rules, origin := conf, posture.Configured
	if c.Live {
		out, err := c.Host.Run(auditList())
		switch {
		case err != nil && !host.NotExist(err):
			a.Watches, a.Syscalls = posture.Unknown[[]string](err, "auditctl -l"), posture.Unknown[[]string](err, "auditctl -l")
			a.Suppressed = posture.Unknown[bool](err, "auditctl -l")
			return
		case err != nil || out.Code != 0 && c.Root: // not installed, or no audit in this kernel: nothing is recorded
			rules = audit.Rules{}
		case out.Code != 0:
			p := posture.Problemf("permission", "auditctl -l ended with code %d: %s", out.Code, firstLine(out.Stderr))
			a.Watches, a.Syscalls = posture.Unknown[[]string](p, "auditctl -l"), posture.Unknown[[]string](p, "auditctl -l")
			a.Suppressed = posture.Unknown[bool](p, "auditctl -l")
			return
		default:
			rules = audit.Parse(out.Stdout)
		}
		origin, src = posture.Effective, "auditctl -l"
	}
	a.Watches = posture.Known(orEmpty(rules.Watches()), origin, src)
	a.Syscalls = posture.Known(orEmpty(rules.Syscalls()), origin, src)
	a.Suppressed = posture.Known(rules.Suppressed, origin, src)
}

// auditFiles reads the rules that augenrules puts together at boot; without any, audit.rules itself.
func auditFiles(c *Context) (audit.Rules, string, error) {
	paths, contents, err := readAll(c, svcAuditRules)
	if err != nil {
		return audit.Rules{}, svcAuditRules, err
	}
	if len(paths) > 0 {
		var all []byte
		for _, b := range contents {
			for l := range bytes.Lines(b) {
				if string(bytes.TrimSpace(l)) == "-D" {
					continue // augenrules(8) puts it first, whichever file it stands in, where it deletes nothing of these
				}
				all = append(all, l...)
			}
			all = append(all, '\n')
		}
		return audit.Parse(all), "/etc/audit/rules.d", nil
	}
	b, err := c.Host.ReadFile(svcAuditCompiled)
	if err != nil && !absent(c, err) {
		return audit.Rules{}, svcAuditCompiled, err
	}
	return audit.Parse(b), svcAuditCompiled, nil
}

// orEmpty turns a nil list into an empty one, so that facts say [] and not null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
