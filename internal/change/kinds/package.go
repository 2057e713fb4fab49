package kinds

import (
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
)

const dpkgUpdates = "/var/lib/dpkg/updates/*"

// packages installs and purges packages. What APT would do with others is asked first (apt-get -s): a change that took Proxmox
// VE, the kernel or the way in with it is refused, what else comes or goes is said.
func packages(d *change.Draft, c change.Change) error {
	b, exists, err := d.Content(dpkgStatusFile)
	if err != nil {
		return err
	}
	if !exists {
		return change.Cannot("there is no %s, so what is installed is not known", dpkgStatusFile)
	}
	list, err := dpkg.ParseStatus(b)
	if err != nil {
		return change.Cannot("%s cannot be understood: %v", dpkgStatusFile, err)
	}
	install := slices.DeleteFunc(slices.Clone(c.Install), func(name string) bool { return hasPackage(list, name) })
	purge := slices.DeleteFunc(slices.Clone(c.Purge), func(name string) bool { return !leavesTrace(list, name) })
	if len(install)+len(purge) == 0 {
		return nil
	}
	for _, name := range slices.Concat(install, purge) {
		if !packageName(name) {
			return change.Cannot("%.60q is no name of a package", name)
		}
	}
	if !d.Live() {
		return change.Cannot("packages are not installed into a directory or removed from one; do it in the image (%s) and plan again",
			strings.Join(slices.Concat(install, purge), ", "))
	}
	if err := uninterrupted(d, list); err != nil {
		return err
	}
	if len(install) > 0 {
		if err := candidatesFor(d, install); err != nil {
			return err
		}
		if err := simulate(d, change.Install, install); err != nil {
			return err
		}
	}
	if len(purge) > 0 {
		return simulate(d, change.Purge, purge)
	}
	return nil
}

func hasPackage(list []dpkg.Package, name string) bool {
	return slices.ContainsFunc(list, func(p dpkg.Package) bool { return p.Name == name && p.Installed() })
}

// leavesTrace reports whether there is something to purge: the package or its configuration.
func leavesTrace(list []dpkg.Package, name string) bool {
	return slices.ContainsFunc(list, func(p dpkg.Package) bool { return p.Name == name && p.State != "not-installed" })
}

// packageName follows Debian policy 5.6.1.
func packageName(s string) bool {
	if len(s) < 2 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return false
	}
	return s[0] >= 'a' && s[0] <= 'z' || s[0] >= '0' && s[0] <= '9'
}

// uninterrupted refuses while dpkg has stopped half-way: APT would refuse as well, or carry on with what somebody else began.
func uninterrupted(d *change.Draft, list []dpkg.Package) error {
	for _, p := range list {
		if p.Broken() {
			return change.Cannot("the package %s is %s: dpkg was interrupted; run dpkg --configure -a and apt-get --fix-broken install first", p.Name, p.State)
		}
	}
	journal, err := d.List(dpkgUpdates)
	if err != nil && !host.NotExist(err) {
		return err
	}
	for _, f := range journal {
		if f.Type == host.Regular && strings.Trim(f.Path[strings.LastIndexByte(f.Path, '/')+1:], "0123456789") == "" {
			return change.Cannot("dpkg was interrupted; run dpkg --configure -a first")
		}
	}
	return nil
}

// policy asks APT which versions it could install.
func policy(names []string) host.Command {
	return host.Command{Name: "package-policy", Argv: append([]string{"apt-cache", "policy", "--"}, names...), Timeout: time.Minute}
}

// candidatesFor refuses packages that no source offers, and says which component they are in when that is known.
func candidatesFor(d *change.Draft, names []string) error {
	out, err := d.Run(policy(names))
	if err != nil {
		return change.Cannot("APT does not tell which packages it could install: %v", err)
	}
	offered := map[string]bool{}
	at := ""
	for _, l := range host.Lines(out.Stdout) {
		if l != "" && l[0] != ' ' {
			at = strings.TrimSuffix(l, ":")
		} else if v, ok := strings.CutPrefix(strings.TrimSpace(l), "Candidate:"); ok {
			offered[at] = strings.TrimSpace(v) != "(none)"
		}
	}
	for _, name := range names {
		if offered[name] {
			continue
		}
		if component := componentOf(name); component != "" {
			return change.Cannot("no package source offers %s: it is in Debian's component %s; add that word to the Components of your Debian source, "+
				"run apt-get update and plan again", name, component)
		}
		return change.Cannot("no package source offers %s; run apt-get update, or add the source that has it, and plan again", name)
	}
	return nil
}

// componentOf names the component of packages that are not in main.
func componentOf(name string) string {
	if strings.HasSuffix(name, "-microcode") || strings.HasPrefix(name, "firmware-") {
		return "non-free-firmware"
	}
	return ""
}

// simulation asks APT what it would do.
func simulation(verb change.Verb, names []string) host.Command {
	return host.Command{Name: "package-simulation-" + string(verb),
		Argv: append([]string{"apt-get", "-s", "-q", string(verb), "--"}, names...), Timeout: 2 * time.Minute}
}

// simulate tells what else an action does, and refuses one that takes what must stay.
func simulate(d *change.Draft, verb change.Verb, names []string) error {
	out, err := d.Run(simulation(verb, names))
	if err != nil {
		return change.Cannot("APT does not tell what it would do: %v", err)
	}
	if out.Code != 0 {
		return change.Cannot("APT refuses to %s %s: %.200s", verb, strings.Join(names, ", "), firstError(out))
	}
	var more, gone, lost []string
	for _, l := range host.Lines(out.Stdout) {
		f := strings.Fields(l)
		if len(f) < 2 || slices.Contains(names, f[1]) && f[0] == "Inst" {
			continue
		}
		switch f[0] {
		case "Inst":
			more = append(more, f[1])
		case "Remv", "Purg":
			if indispensable(f[1]) {
				lost = append(lost, f[1])
			} else if !slices.Contains(names, f[1]) {
				gone = append(gone, f[1])
			}
		}
	}
	if len(lost) > 0 {
		return change.Cannot("APT would remove %s with it, which this host needs", strings.Join(unique(lost), ", "))
	}
	if len(more) > 0 {
		d.Effect("APT also installs or upgrades %s", strings.Join(unique(more), ", "))
	}
	if len(gone) > 0 {
		d.Effect("APT also removes %s", strings.Join(unique(gone), ", "))
	}
	return d.Do(change.Action{Verb: verb, Object: strings.Join(unique(names), " ")})
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func firstError(out host.Output) string {
	for _, l := range host.Lines(out.Stderr) {
		if s, ok := strings.CutPrefix(l, "E: "); ok {
			return s
		}
	}
	return "it ended with an error"
}

// indispensable reports whether a host is lost without a package: Proxmox VE, the kernel, the init system, the way in and
// the package manager itself.
func indispensable(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	for _, p := range []string{"pve-", "libpve-", "proxmox-", "libproxmox-", "linux-image-", "grub-", "ceph-"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return slices.Contains([]string{"systemd", "systemd-sysv", "openssh-server", "qemu-server", "lxc-pve", "lxcfs", "corosync", "dpkg", "apt", "base-files",
		"bash", "dash", "coreutils", "libc6", "ifupdown", "ifupdown2", "libpam-modules", "login", "passwd", "sudo", "util-linux", "zfsutils-linux"}, name)
}
