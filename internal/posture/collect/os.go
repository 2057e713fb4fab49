package collect

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/hosts"
	"github.com/castellan-project/castellan/internal/debian/osrelease"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

// Files that say what a system is.
const (
	osFileOSRelease    = "/etc/os-release"
	osFileOSReleaseUsr = "/usr/lib/os-release"
	osFileHostname     = "/etc/hostname"
	osFileProcHostname = "/proc/sys/kernel/hostname"
	osFileHosts        = "/etc/hosts"
	osFilePVECfg       = "/usr/share/perl5/PVE/pvecfg.pm"
	osFileCorosyncPVE  = "/etc/pve/corosync.conf"
	osFileCorosync     = "/etc/corosync/corosync.conf"
	osFileMembers      = "/etc/pve/.members"
)

// OS returns the collector of the subject os: release, Proxmox VE version, and membership in a cluster.
func OS() Collector {
	c := Collector{Name: "os", Collect: collectOS}
	for _, f := range []string{osFileOSRelease, osFileOSReleaseUsr, osFileHostname, osFileProcHostname, osFileHosts, dpkgStatus,
		osFilePVECfg, osFileCorosyncPVE, osFileCorosync, osFileMembers} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, f := range []string{"/usr/bin/pveversion", "/etc/pve", osFileCorosyncPVE, osFileCorosync} {
		c.Needs = append(c.Needs, host.Need{Stat: f})
	}
	c.Needs = append(c.Needs, host.Need{List: "/etc/pve/*"})
	return c
}

func collectOS(c *Context) {
	var f posture.OS
	osRelease(c, &f)
	f.Hostname = osHostname(c)
	status, statusErr := osStatus(c)
	f.Arch = osArch(status, statusErr)
	osPVE(c, &f, status, statusErr)
	osCluster(c, &f)
	c.Facts.OS = f
}

// osRelease reads os-release, of which /etc has a link that copies often lack.
func osRelease(c *Context, f *posture.OS) {
	src := osFileOSRelease
	b, err := c.Host.ReadFile(src)
	if usr, usrErr := c.Host.ReadFile(osFileOSReleaseUsr); err != nil && usrErr == nil {
		b, err, src = usr, nil, osFileOSReleaseUsr
	}
	if err != nil {
		f.ID, f.Version = posture.Unknown[string](err, src), posture.Unknown[string](err, src)
		f.Codename = posture.Unknown[string](err, src)
		return
	}
	v, err := osrelease.Parse(b)
	field := func(key string) posture.Fact[string] {
		if v[key] == "" && err != nil {
			return posture.Unknown[string](posture.Problemf("malformed", "cannot read %s: %v", src, err), src)
		}
		return posture.Known(v[key], posture.Effective, src)
	}
	f.ID, f.Version, f.Codename = field("ID"), field("VERSION_ID"), field("VERSION_CODENAME")
}

// osHostname prefers the kernel's word on a live host. It is the name without domain, as PVE uses it.
func osHostname(c *Context) posture.Fact[string] {
	configured, err := c.Host.ReadFile(osFileHostname)
	if c.Live {
		if b, liveErr := c.Host.ReadFile(osFileProcHostname); liveErr == nil {
			return posture.Known(osShortName(b), posture.Effective, osFileProcHostname)
		}
	}
	if err != nil {
		return posture.Unknown[string](err, osFileHostname)
	}
	return posture.Known(osShortName(configured), posture.Configured, osFileHostname)
}

func osShortName(b []byte) string {
	for _, l := range host.Lines(b) {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		n, _, _ := strings.Cut(l, ".")
		return n
	}
	return ""
}

// osArch is dpkg's own architecture: that of the package dpkg.
func osArch(status []byte, err error) posture.Fact[string] {
	if err != nil {
		return posture.Unknown[string](err, dpkgStatus)
	}
	p, ok := osPackage(status, "dpkg")
	if !ok || p["Architecture"] == "" {
		return posture.Unknown[string](posture.Problemf("not-found", "%s does not list the package dpkg", dpkgStatus), dpkgStatus)
	}
	return posture.Known(p["Architecture"], posture.Effective, dpkgStatus)
}

// osStatus reads dpkg's status file. One without any package is damaged: every Debian has dpkg itself.
func osStatus(c *Context) ([]byte, error) {
	b, err := c.Host.ReadFile(dpkgStatus)
	if err == nil && !bytes.HasPrefix(b, []byte("Package: ")) && !bytes.Contains(b, []byte("\nPackage: ")) {
		return nil, posture.Problemf("malformed", "%s lists no package", dpkgStatus)
	}
	return b, err
}

// osPackage returns the fields of one installed package in dpkg's status file. Only the wanted stanza is looked at.
func osPackage(status []byte, name string) (map[string]string, bool) {
	s := string(status)
	header := "Package: " + name + "\n"
	for {
		i := strings.Index(s, header)
		if i < 0 {
			return nil, false
		}
		if i > 0 && s[i-1] != '\n' {
			s = s[i+len(header):]
			continue
		}
		stanza, rest, _ := strings.Cut(s[i:], "\n\n")
		fields := map[string]string{}
		for l := range strings.SplitSeq(stanza, "\n") {
			if k, v, ok := strings.Cut(l, ":"); ok && k != "" && k[0] != ' ' {
				fields[k] = strings.TrimSpace(v)
			}
		}
		if strings.HasSuffix(fields["Status"], " installed") {
			return fields, true
		}
		s = rest
	}
}

// osPVECfg finds the version in the generated Perl module of pve-manager.
func osPVECfg(b []byte) string {
	m := regexp.MustCompile(`['"]?version['"]?\s*=>\s*['"]([0-9][0-9A-Za-z.~+-]*)['"]`).FindSubmatch(b)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// osPVE decides whether this is a Proxmox VE node. dpkg knows for certain; a copy without dpkg's status is a node
// when pve-manager's own files or the cluster file system's are there, and unknown otherwise.
func osPVE(c *Context, f *posture.OS, status []byte, statusErr error) {
	cfg, cfgErr := c.Host.ReadFile(osFilePVECfg)
	tree, treeErr := c.Host.List("/etc/pve/*")
	set := func(pve bool, version string, origin posture.Origin, source string) {
		f.PVE = posture.Known(pve, origin, source)
		f.PVEVersion = posture.Known(version, origin, source)
		major, _ := strconv.Atoi(firstLabel(version))
		f.PVEMajor = posture.Known(major, origin, source)
		if pve && version == "" {
			p := posture.Problemf("not-found", "the version of pve-manager stands in %s or %s; neither could be read", dpkgStatus, osFilePVECfg)
			f.PVEVersion, f.PVEMajor = posture.Unknown[string](p, source), posture.Unknown[int](p, source)
		}
	}
	p, ok := osPackage(status, "pve-manager")
	switch {
	case statusErr == nil && ok:
		set(true, p["Version"], posture.Effective, dpkgStatus)
	case cfgErr == nil:
		set(true, osPVECfg(cfg), posture.Effective, osFilePVECfg)
	case statusErr == nil:
		set(false, "", posture.Effective, dpkgStatus)
	case treeErr == nil && len(tree) > 0:
		set(true, "", posture.Configured, "/etc/pve")
	default:
		f.PVE = posture.Unknown[bool](statusErr, dpkgStatus)
		f.PVEVersion = posture.Unknown[string](statusErr, dpkgStatus)
		f.PVEMajor = posture.Unknown[int](statusErr, dpkgStatus)
	}
}

// firstLabel is what stands before the first dot: of a version its major number, of a name the host.
func firstLabel(s string) string {
	a, _, _ := strings.Cut(s, ".")
	return a
}

// osCluster reads the membership. The copy in /etc/pve is the cluster's; the one in /etc/corosync is what this node's
// corosync uses and stays readable when pmxcfs is not mounted.
func osCluster(c *Context, f *posture.OS) {
	hosts, _ := c.Host.ReadFile(osFileHosts)
	membersFile, membersErr := c.Host.ReadFile(osFileMembers)
	conf, src, err := osCorosync(c)
	switch {
	case err != nil && host.NotExist(err):
		f.Cluster = posture.Known(false, posture.Effective, src)
		f.ClusterName = posture.Known("", posture.Effective, src)
		f.Nodes = posture.Known([]posture.ClusterNode{}, posture.Effective, src)
		f.NodeAddresses = posture.Known([]string{}, posture.Effective, src)
		f.Quorate = posture.Known(true, posture.Default, "a standalone node needs no quorum")
		return
	case err != nil && host.Denied(err):
		f.Cluster = posture.Known(true, posture.Configured, src) // it is there, or this error would be another
	case err != nil:
		f.Cluster = posture.Unknown[bool](err, src)
	default:
		f.Cluster = posture.Known(true, posture.Configured, src)
	}
	if err != nil {
		f.ClusterName = posture.Unknown[string](err, src)
		f.Nodes, f.NodeAddresses = posture.Unknown[[]posture.ClusterNode](err, src), posture.Unknown[[]string](err, src)
		f.Quorate = posture.Unknown[bool](err, src)
		return
	}
	var members *corosync.Members
	if membersErr == nil {
		members, membersErr = corosync.ParseMembers(membersFile)
	}
	parsed := corosync.Parse(conf)
	f.ClusterName = posture.Known(parsed.Totem["cluster_name"], posture.Configured, src)
	nodes, addresses, unresolved := osNodes(parsed, members, hosts)
	f.Nodes = posture.Known(nodes, posture.Configured, src)
	f.NodeAddresses = posture.Known(addresses, posture.Configured, src)
	if len(unresolved) > 0 {
		f.NodeAddresses = posture.Unknown[[]string](posture.Problemf("not-found",
			"no address is known for %s: corosync.conf names a host that /etc/hosts does not resolve", strings.Join(unresolved, ", ")), src)
	}
	if membersErr != nil {
		f.Quorate = posture.Unknown[bool](membersErr, osFileMembers)
		return
	}
	f.Quorate = posture.Known(members.Quorate, posture.Effective, osFileMembers)
}

func osCorosync(c *Context) ([]byte, string, error) {
	pve, pveErr := c.Host.ReadFile(osFileCorosyncPVE)
	own, ownErr := c.Host.ReadFile(osFileCorosync)
	switch {
	case pveErr == nil:
		return pve, osFileCorosyncPVE, nil
	case ownErr == nil:
		return own, osFileCorosync, nil
	case !host.NotExist(pveErr):
		return nil, osFileCorosyncPVE, pveErr
	default:
		return nil, osFileCorosync, ownErr
	}
}

// osNodes brings the configured members and pmxcfs's view together. unresolved are nodes without any known IP
// address.
func osNodes(conf *corosync.Config, members *corosync.Members, hosts []byte) (nodes []posture.ClusterNode, addresses, unresolved []string) {
	names := hostTable(hosts)
	nodes, addresses = []posture.ClusterNode{}, []string{}
	for _, n := range conf.Nodes {
		node := posture.ClusterNode{Name: n.Name, ID: n.ID, Addresses: []string{}}
		for _, a := range n.Addresses {
			node.Addresses = append(node.Addresses, resolveHost(a, names)...)
		}
		if members != nil {
			for _, m := range members.Nodes {
				if m.Name != n.Name {
					continue
				}
				node.Online = m.Online
				node.Addresses = append(node.Addresses, resolveHost(m.Address, names)...)
			}
		}
		node.Addresses = uniqStrings(node.Addresses)
		if len(node.Addresses) == 0 {
			unresolved = append(unresolved, n.Name)
		}
		addresses = append(addresses, node.Addresses...)
		nodes = append(nodes, node)
	}
	slices.Sort(addresses)
	return nodes, slices.Compact(addresses), unresolved
}

// hostTable reads /etc/hosts.
func hostTable(b []byte) hosts.Table { return hosts.Parse(b) }

// resolveHost turns an address or a host name of /etc/hosts into addresses.
func resolveHost(s string, names hosts.Table) []string {
	var out []string
	for _, a := range names.Resolve(s) {
		out = append(out, a.String())
	}
	return out
}

func uniqStrings(s []string) []string {
	out := s[:0]
	for _, v := range s {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// firstHardError returns the first error that is not about a missing file.
func firstHardError(errs ...error) error {
	for _, err := range errs {
		if err != nil && !host.NotExist(err) {
			return err
		}
	}
	return nil
}
