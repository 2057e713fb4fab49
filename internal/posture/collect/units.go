package collect

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/systemd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// namedUnits are the units that controls of the catalogue name. Another unit is not in services.units, and a control
// that asks for it comes out unknown.
func namedUnits() []string {
	return []string{
		"rpcbind.service", "rpcbind.socket", "rpc-statd.service", "rpc-statd-notify.service", "rpc-gssd.service", "nfs-client.target",
		"nfs-server.service", "nfs-kernel-server.service", "nfs-mountd.service", "nfs-blkmap.service", "postfix.service", "exim4.service",
		"spiceproxy.service", "pvedaemon.service", "pveproxy.service", "chrony.service", "systemd-timesyncd.service", "ntp.service",
		"ntpsec.service", "openntpd.service", "docker.service", "docker.socket", "containerd.service", "podman.service", "podman.socket",
		"k3s.service", "libvirtd.service", "nginx.service", "apache2.service", "mariadb.service", "mysql.service", "postgresql.service",
		"redis-server.service", "smbd.service", "nmbd.service", "vsftpd.service", "proftpd.service", "avahi-daemon.service",
		"avahi-daemon.socket", "cups.service", "cups.socket", "cups-browsed.service", "dnsmasq.service", "snmpd.service", "tftpd-hpa.service",
		"xinetd.service", "inetd.service", "named.service", "isc-dhcp-server.service", "slapd.service", "dovecot.service", "squid.service",
		"rsync.service", "ypbind.service", "ypserv.service", "autofs.service", "udisks2.service", "auditd.service", "apparmor.service",
		"dailyaidecheck.timer", "aidecheck.timer", "tripwire.timer", "samhain.service", "wazuh-agent.service", "cron.service", "atd.service",
		"tmp.mount", "castellan.service", "castellan-watch.service", "castellan-integrity.timer", "bluetooth.service", "telnet.socket",
		"ssh.service", "ssh.socket", "pve-firewall.service", "proxmox-firewall.service", "pvestatd.service", "pve-cluster.service",
		"corosync.service", "fail2ban.service", "unattended-upgrades.service", "rsyslog.service", "systemd-journal-upload.service",
	}
}

const svcListUnits = "systemd-units"

func unitNeeds() []host.Need {
	needs := lists("/etc/init.d/*", "/etc/rc[2-5].d/*")
	for _, d := range systemd.SearchPath() {
		needs = append(needs, lists(d+"/*", d+"/*.wants/*", d+"/*.requires/*", d+"/*.d/*.conf")...)
	}
	for _, n := range namedUnits() {
		needs = append(needs, reads("/etc/systemd/system/"+n, "/usr/lib/systemd/system/"+n, "/lib/systemd/system/"+n)...)
	}
	needs = append(needs, reads("/etc/systemd/system/castellan*.service.d/*.conf")...)
	needs = append(needs, lists("/var/lib/systemd/timers/stamp-*")...)
	return append(needs, host.Need{Run: listUnits()})
}

func listUnits() host.Command {
	return host.Command{Name: svcListUnits, Argv: []string{"systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full",
		"--type=service,socket,timer,mount,target"}}
}

// unitView is what the unit files and systemd say.
type unitView struct {
	c       *Context
	tree    *systemd.Tree
	treeErr error
	// vendor is true when the units of packages are there; without them a unit that is not found may exist.
	vendor    bool
	active    map[string]systemd.Active
	activeErr error
	stamps    map[string]time.Time
	stampErr  error
}

func readUnits(c *Context) *unitView {
	v := &unitView{c: c, stamps: map[string]time.Time{}}
	var entries []systemd.Entry
	patterns := []string{"/etc/init.d/*", "/etc/rc[2-5].d/*"}
	for _, d := range systemd.SearchPath() {
		patterns = append(patterns, d+"/*", d+"/*.wants/*", d+"/*.requires/*", d+"/*.d/*.conf")
	}
	for _, p := range patterns {
		infos, err := c.Host.List(p)
		if err != nil && !host.NotExist(err) && v.treeErr == nil {
			v.treeErr = err
		}
		for _, i := range infos {
			if i.Type == host.Dir {
				continue
			}
			entries = append(entries, systemd.Entry{Path: i.Path, Link: i.Link, Size: i.Size})
			v.vendor = v.vendor || strings.HasPrefix(i.Path, "/usr/lib/systemd/") || strings.HasPrefix(i.Path, "/lib/systemd/")
		}
	}
	v.tree = systemd.NewTree(entries)
	if len(entries) == 0 && v.treeErr == nil {
		v.treeErr = notCopied("/etc/systemd/system")
	}
	v.readActive()
	infos, err := c.Host.List("/var/lib/systemd/timers/stamp-*")
	v.stampErr = err
	for _, i := range infos {
		if !recordable(i.ModTime) {
			continue
		}
		v.stamps[strings.TrimPrefix(path.Base(i.Path), "stamp-")] = i.ModTime.UTC()
	}
	return v
}

func (v *unitView) readActive() {
	if !v.c.Live {
		return
	}
	out, err := v.c.Host.Run(listUnits())
	switch {
	case err != nil:
		v.activeErr = err
	case out.Code != 0:
		v.activeErr = posture.Problemf("error", "systemctl list-units ended with code %d: %s", out.Code, firstLine(out.Stderr))
	default:
		v.active = systemd.ParseListUnits(out.Stdout)
	}
}

// state resolves a unit from the files.
func (v *unitView) state(name string) (systemd.State, error) {
	if v.treeErr != nil {
		return systemd.State{}, v.treeErr
	}
	var content []byte
	if file := v.tree.File(name); file != "" {
		b, err := v.c.Host.ReadFile(file)
		if err != nil && !host.NotExist(err) {
			return systemd.State{}, err
		}
		content = b
	}
	return v.tree.State(name, content), nil
}

func (v *unitView) facts() (posture.Fact[map[string]posture.ServiceUnit], posture.Fact[[]string]) {
	units := map[string]posture.ServiceUnit{}
	for _, name := range namedUnits() {
		units[name] = v.unit(name)
	}
	all := posture.Known(units, posture.Effective, "unit files")
	if v.treeErr != nil {
		return all, posture.Unknown[[]string](v.treeErr, "/etc/systemd/system")
	}
	return all, posture.Known(orEmpty(v.tree.EnabledNames()), posture.Configured, "/etc/systemd/system")
}

func (v *unitView) unit(name string) posture.ServiceUnit {
	s, err := v.state(name)
	u := posture.ServiceUnit{LastRun: v.lastRun(name)}
	if err != nil {
		u.Exists, u.Enabled = posture.Unknown[bool](err, name), posture.Unknown[string](err, name)
		u.Active = v.activeFact(name, false, err)
		return u
	}
	src := s.Path
	if src == "" {
		src = "systemd.unit(5) search path"
	}
	u.Exists = posture.Known(s.Exists, posture.Configured, src)
	u.Enabled = posture.Known(string(s.Enabled), posture.Configured, src)
	missing := s.Enabled == systemd.Absent
	if missing && len(v.pulled(name)) > 0 { // enabled in /etc, its file was not copied
		u.Exists = posture.Known(true, posture.Configured, v.pulled(name))
		u.Enabled = posture.Known(string(systemd.Enabled), posture.Configured, v.pulled(name))
		u.Active = v.activeFact(name, true, nil)
		return u
	}
	if !s.Exists && !v.vendor && !v.c.Live {
		err := notCopied("/usr/lib/systemd/system/" + name)
		u.Exists = posture.Unknown[bool](err, name)
		if missing {
			u.Enabled = posture.Unknown[string](err, name)
			u.Active = posture.Unknown[string](err, name)
			return u
		}
	}
	boots := s.Boots && s.Enabled != systemd.Masked
	u.Active = v.activeFact(name, boots, nil)
	return u
}

// pulled returns the name when a link enables a unit whose own file is not part of the copy.
func (v *unitView) pulled(name string) string {
	if v.vendor || v.c.Live || !slices.Contains(v.tree.EnabledNames(), name) {
		return ""
	}
	return "/etc/systemd/system"
}

func (v *unitView) activeFact(name string, boots bool, err error) posture.Fact[string] {
	if v.c.Live {
		if v.activeErr != nil {
			return posture.Unknown[string](v.activeErr, "systemctl list-units")
		}
		if a, ok := v.active[name]; ok {
			return posture.Known(a.Active, posture.Effective, "systemctl list-units")
		}
		return posture.Known("inactive", posture.Effective, "systemctl list-units")
	}
	if err != nil {
		return posture.Unknown[string](err, name)
	}
	if boots {
		return posture.Known("active", posture.Configured, "unit files")
	}
	return posture.Known("inactive", posture.Configured, "unit files")
}

func (v *unitView) lastRun(name string) posture.Fact[time.Time] {
	if !strings.HasSuffix(name, ".timer") {
		return posture.Unknown[time.Time](posture.Problemf("unavailable", "%s is no timer", name), name)
	}
	src := "/var/lib/systemd/timers/stamp-" + name
	if t, ok := v.stamps[name]; ok {
		return posture.Known(t, posture.Effective, src)
	}
	if v.stampErr != nil {
		return posture.Unknown[time.Time](v.stampErr, src)
	}
	return posture.Known(time.Time{}, posture.Effective, src)
}

// starts reports whether a unit is started at boot or runs now.
func (v *unitView) starts(name string) (bool, error) {
	u := v.unit(name)
	if !u.Active.IsKnown() {
		return false, u.Active.Problem
	}
	if u.Active.Value == "active" || u.Active.Value == "activating" {
		return true, nil
	}
	if !u.Enabled.IsKnown() {
		return false, u.Enabled.Problem
	}
	return strings.HasPrefix(u.Enabled.Value, "enabled"), nil
}

// ownUnits reads the service units of castellan itself, with their drop-ins.
func (v *unitView) ownUnits() posture.Fact[[]posture.ServiceSettings] {
	src := "castellan*.service"
	if v.treeErr != nil {
		return posture.Unknown[[]posture.ServiceSettings](v.treeErr, src)
	}
	out := []posture.ServiceSettings{}
	for _, name := range namedUnits() {
		if !strings.HasPrefix(name, "castellan") || !strings.HasSuffix(name, ".service") {
			continue
		}
		file := v.tree.File(name)
		if file == "" {
			if !v.vendor && !v.c.Live {
				return posture.Unknown[[]posture.ServiceSettings](notCopied("/usr/lib/systemd/system/"+name), src)
			}
			continue
		}
		set, err := v.settings(append([]string{file}, v.tree.DropIns(name)...))
		if err != nil {
			return posture.Unknown[[]posture.ServiceSettings](err, file)
		}
		out = append(out, posture.ServiceSettings{Name: name, Settings: set})
	}
	return posture.Known(out, posture.Configured, src)
}

func (v *unitView) settings(files []string) (map[string]string, error) {
	set := map[string]string{}
	for _, f := range files {
		b, err := v.c.Host.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, s := range systemd.ParseUnit(b).Settings {
			if s.Section == "Service" {
				set[s.Key] = s.Value
			}
		}
	}
	return set, nil
}

func firstLine(b []byte) string {
	if l := host.Lines(b); len(l) > 0 {
		return strings.ToValidUTF8(l[0], "?")
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }
