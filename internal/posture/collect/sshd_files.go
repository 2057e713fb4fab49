package collect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/authorizedkeys"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/corosync"
)

// Links by which systemd starts the server at boot, as a service or for each connection.
const (
	sshdWantsService = "/etc/systemd/system/multi-user.target.wants/ssh.service"
	sshdWantsSocket  = "/etc/systemd/system/sockets.target.wants/ssh.socket"
)

// errOwners means that a copy did not keep modes and owners.
var errOwners = errors.New("this copy does not tell owners and modes")

func sshdNodes(c *Context, conf, hosts []byte) []posture.ClusterNode {
	var members *corosync.Members
	if b, err := c.Host.ReadFile(osFileMembers); err == nil {
		members, _ = corosync.ParseMembers(b)
	}
	nodes, _, _ := osNodes(corosync.Parse(conf), members, hosts)
	return nodes
}

// sshdFiles describes the files of the configuration.
func sshdFiles(c *Context, f *posture.SSHD, v sshdView) {
	if v.err != nil {
		f.Files = posture.Unknown[[]posture.SSHDFile](v.err, sshd.MainFile)
		f.ConfigChanged = posture.Unknown[time.Time](v.err, sshd.MainFile)
		return
	}
	var changed time.Time
	var failure error // of the first file; all are asked for before giving up, so that the questions travel together
	last, failed, ownersKept := sshd.MainFile, "", true
	files := []posture.SSHDFile{}
	for _, name := range append([]string{sshd.MainFile, sshdDropIns}, v.config.Included...) {
		st, err := c.Host.Stat(name)
		if err != nil && name == sshdDropIns && host.NotExist(err) {
			continue
		}
		if err != nil {
			if failure == nil {
				failure, failed = err, name
			}
			continue
		}
		ownersKept = ownersKept && !st.OwnerUnknown
		if st.ModTime.After(changed) {
			changed, last = st.ModTime, name
		}
		files = append(files, sshdFile(name, st))
	}
	if failure != nil {
		f.Files = posture.Unknown[[]posture.SSHDFile](failure, failed)
		f.ConfigChanged = posture.Unknown[time.Time](failure, failed)
		return
	}
	f.ConfigChanged = posture.Known(changed.UTC(), posture.Configured, last)
	f.Files = posture.Known(files, posture.Configured, sshd.MainFile)
	if !ownersKept {
		f.Files = posture.Unknown[[]posture.SSHDFile](errOwners, sshd.MainFile)
	}
}

func sshdFile(name string, st host.File) posture.SSHDFile {
	private := uint32(0o077)
	if st.Type == host.Dir {
		private = 0o022
	}
	return posture.SSHDFile{Path: name, Mode: fmt.Sprintf("%04o", st.Mode), Owner: fmt.Sprintf("%d:%d", st.UID, st.GID),
		OnlyRoot:   st.UID == 0 && st.GID == 0 && st.Mode&private == 0,
		RootWrites: st.UID == 0 && st.Mode&0o002 == 0 && (st.GID == 0 || st.Mode&0o020 == 0), Modified: st.ModTime.UTC()}
}

// sshdProcess tells whether the server runs and has read its present files. It writes its PID file when it starts and
// again when it reloads, so that the time of that file is the time of the last reading.
func sshdProcess(c *Context, f *posture.SSHD) {
	service, serviceErr := c.Host.List(sshdWantsService)
	socket, socketErr := c.Host.List(sshdWantsSocket)
	if !c.Live {
		f.LoadedAt = posture.Unknown[time.Time](host.ErrUnavailable, "a copy has no processes")
		f.ConfigLoaded = posture.Known(true, posture.Default, "a boot reads the files")
		f.Running = posture.Known(len(service)+len(socket) > 0, posture.Configured, sshdWantsService)
		_, unitsErr := c.Host.Stat("/etc/systemd/system") // part of a copy may lack it
		if err := errors.Join(serviceErr, socketErr, unitsErr); err != nil {
			f.Running = posture.Unknown[bool](err, sshdWantsService)
		}
		return
	}
	file := "/run/sshd.pid"
	if p := f.RootElsewhere.PidFile; p.IsKnown() {
		file = p.Value
	}
	pid, err := c.Host.ReadFile(file)
	if err != nil && host.NotExist(err) && len(socket) > 0 {
		f.Running = posture.Known(true, posture.Configured, sshdWantsSocket)
		f.LoadedAt = posture.Known(c.Now.UTC().Truncate(time.Second), posture.Effective, "systemd starts it for each connection")
		f.ConfigLoaded = posture.Known(true, posture.Effective, "systemd starts it for each connection")
		return
	}
	if err != nil && host.NotExist(err) && file != "none" {
		f.Running = posture.Known(false, posture.Effective, file)
		f.LoadedAt = posture.Unknown[time.Time](posture.Problemf("not-found", "the server does not run"), file)
		f.ConfigLoaded = posture.Known(true, posture.Default, "the server does not run; its start reads the files")
		return
	}
	if err != nil {
		f.Running, f.ConfigLoaded = posture.Unknown[bool](err, file), posture.Unknown[bool](err, file)
		f.LoadedAt = posture.Unknown[time.Time](err, file)
		return
	}
	sshdLoaded(c, f, file, strings.TrimSpace(string(pid)))
}

func sshdLoaded(c *Context, f *posture.SSHD, file, pid string) {
	comm := "/proc/" + pid + "/comm"
	if _, err := strconv.ParseUint(pid, 10, 31); err != nil {
		comm = file
	}
	name, err := c.Host.ReadFile(comm)
	switch {
	case err != nil && !host.NotExist(err):
		f.Running = posture.Unknown[bool](err, comm)
	default:
		f.Running = posture.Known(strings.HasPrefix(string(name), "sshd"), posture.Effective, comm)
	}
	st, err := c.Host.Stat(file)
	if err != nil {
		f.LoadedAt, f.ConfigLoaded = posture.Unknown[time.Time](err, file), posture.Unknown[bool](err, file)
		return
	}
	f.LoadedAt = posture.Known(st.ModTime.UTC(), posture.Effective, file)
	if !f.ConfigChanged.IsKnown() {
		f.ConfigLoaded = posture.Unknown[bool](f.ConfigChanged.Problem, f.ConfigChanged.Source)
		return
	}
	f.ConfigLoaded = posture.Known(!f.ConfigChanged.Value.After(st.ModTime), posture.Effective, file)
}

// sshdHostKeys describes the host keys. Only their public halves are read.
func sshdHostKeys(c *Context, f *posture.SSHD) {
	paths := f.RootElsewhere.HostKey
	if !paths.IsKnown() {
		f.HostKeys = posture.Unknown[[]posture.SSHHostKey](paths.Problem, paths.Source)
		return
	}
	keys := []posture.SSHHostKey{}
	var failure error
	failed := ""
	for _, p := range paths.Value {
		k, ok, err := sshdHostKey(c, p)
		switch {
		case err != nil && failure == nil:
			failure, failed = err, p
		case ok:
			keys = append(keys, k)
		}
	}
	f.HostKeys = posture.Known(keys, posture.Effective, paths.Source)
	if len(keys) == 0 && failure == nil {
		// An image or a part of a copy; a server that runs has at least one.
		failure, failed = posture.Problemf("not-found", "there is no host key yet; the first start makes them"), strings.Join(paths.Value, ", ")
	}
	if failure != nil {
		f.HostKeys = posture.Unknown[[]posture.SSHHostKey](failure, failed)
	}
}

// sshdHostKey describes one key; ok is false when there is none at the path.
func sshdHostKey(c *Context, p string) (k posture.SSHHostKey, ok bool, err error) {
	pub, pubErr := c.Host.ReadFile(p + ".pub")
	st, err := c.Host.Stat(p)
	switch {
	case err != nil && host.NotExist(err):
		return k, false, nil
	case err != nil:
		return k, false, err
	case pubErr != nil && !host.NotExist(pubErr):
		return k, false, pubErr
	case st.OwnerUnknown:
		return k, false, errOwners
	}
	k = posture.SSHHostKey{Path: p, Mode: fmt.Sprintf("%04o", st.Mode), Owner: fmt.Sprintf("%d:%d", st.UID, st.GID),
		OnlyRoot: st.UID == 0 && st.Mode&0o077 == 0, Modified: st.ModTime.UTC(), AgeDays: ageDays(c.Now, st.ModTime)}
	if key, err := authorizedkeys.ParseLine(strings.TrimSpace(string(pub))); pubErr == nil && err == nil {
		k.Type, k.Bits, k.Fingerprint = key.Type, key.Bits, key.Fingerprint
	}
	return k, true, nil
}

// ageDays counts whole days between two times, never less than none.
func ageDays(now, then time.Time) int { return max(0, int(now.Sub(then).Hours()/24)) }

// sshdExtras fills what hangs on other files: banner, sftp, CA, cluster firewall, and the limit on sources.
func sshdExtras(c *Context, f *posture.SSHD, v sshdView) {
	f.BannerText = sshdBanner(c, f.RootElsewhere.Banner)
	sshdSFTP(c, f)
	f.FirewallLimit = sshdFirewall(c)
	f.BastionMFA = posture.Unknown[bool](posture.Problemf("unavailable", "only a person can tell"), "attestation")
	f.SourceLimit = sshdSourceLimit(f, v)
	ca := f.RootElsewhere.TrustedUserCAKeys
	switch {
	case !ca.IsKnown():
		f.CertificateAuthority = posture.Unknown[bool](ca.Problem, ca.Source)
	case ca.Value == "none":
		f.CertificateAuthority = posture.Known(false, ca.Origin, ca.Source)
	default:
		_, err := c.Host.Stat(ca.Value)
		f.CertificateAuthority = posture.Known(err == nil, ca.Origin, ca.Value)
		if err != nil && !host.NotExist(err) {
			f.CertificateAuthority = posture.Unknown[bool](err, ca.Value)
		}
	}
}

func sshdBanner(c *Context, banner posture.Fact[string]) posture.Fact[string] {
	switch {
	case !banner.IsKnown():
		return posture.Unknown[string](banner.Problem, banner.Source)
	case banner.Value == "none":
		return posture.Known("", banner.Origin, banner.Source)
	}
	b, err := c.Host.ReadFile(banner.Value)
	if err != nil && host.NotExist(err) {
		return posture.Known("", posture.Configured, banner.Value+" does not exist")
	}
	if err != nil {
		return posture.Unknown[string](err, banner.Value)
	}
	if len(b) > 4096 {
		b = b[:4096]
	}
	return posture.Known(strings.ToValidUTF8(string(b), "?"), posture.Configured, banner.Value)
}

// sshdSFTP finds the program of the subsystem sftp.
func sshdSFTP(c *Context, f *posture.SSHD) {
	s := f.RootElsewhere.Subsystem
	if !s.IsKnown() {
		f.SFTPCommand, f.SFTPExists = posture.Unknown[string](s.Problem, s.Source), posture.Unknown[bool](s.Problem, s.Source)
		return
	}
	command := ""
	for _, v := range s.Value {
		if fields := strings.Fields(v); len(fields) > 1 && fields[0] == "sftp" {
			command = strings.Trim(fields[1], `"`)
		}
	}
	f.SFTPCommand = posture.Known(command, s.Origin, s.Source)
	if command == "" || command == "internal-sftp" {
		f.SFTPExists = posture.Known(command != "", s.Origin, s.Source)
		return
	}
	_, err := c.Host.Stat(command)
	f.SFTPExists = posture.Known(err == nil, posture.Effective, command)
	if err != nil && !host.NotExist(err) {
		f.SFTPExists = posture.Unknown[bool](err, command)
	}
}

// sshdFilters are the files that set up a packet filter at boot, each with a pattern of a line that switches it on.
var sshdFilters = []struct{ path, on string }{
	{sshdFileFW, `(?mi)^\s*enable\s*:\s*[1-9]`}, // section OPTIONS, 0 when not there (pve-docs, pve-firewall.adoc)
	{"/etc/systemd/system/sysinit.target.wants/nftables.service", ``},
	{"/etc/iptables/rules.v4", ``},
	{"/etc/ufw/ufw.conf", `(?mi)^\s*ENABLED=yes`},
	{"/etc/hosts.deny", `(?mi)^\s*(ALL|sshd)\b`}, // Debian's sshd is built with TCP wrappers
}

// sshdFirewall tells whether something else than sshd may limit who reaches it.
func sshdFirewall(c *Context) posture.Fact[bool] {
	var failure error
	failed := ""
	for _, f := range sshdFilters {
		b, err := c.Host.ReadFile(f.path)
		switch {
		case err != nil && host.NotExist(err):
		case err != nil && failure == nil:
			failure, failed = err, f.path
		case err == nil && (f.on == "" || regexp.MustCompile(f.on).Match(b)):
			return posture.Unknown[bool](posture.Problemf("unavailable",
				"%s sets up a packet filter; whether it limits SSH is not judged here", f.path), f.path)
		}
	}
	if failure != nil {
		return posture.Unknown[bool](failure, failed)
	}
	return posture.Known(false, posture.Configured, "no packet filter is set up")
}

// sshdSourceLimit decides whether sshd itself refuses everybody from addresses that belong to nobody, because of a
// rule about addresses.
func sshdSourceLimit(f *posture.SSHD, v sshdView) posture.Fact[bool] {
	for _, s := range []*posture.SSHDScenario{&f.RootElsewhere, &f.Admin} {
		if !s.Admitted.IsKnown() {
			return posture.Unknown[bool](s.Admitted.Problem, s.Admitted.Source)
		}
	}
	byAddress := slices.ContainsFunc(v.config.Directives, func(d sshd.Directive) bool {
		return (d.Name == "allowusers" || d.Name == "denyusers") && strings.Contains(d.Value, "@") ||
			d.Name == "match" && strings.Contains(strings.ToLower(d.Value), "address")
	})
	if !byAddress {
		return posture.Known(false, posture.Configured, sshd.MainFile)
	}
	if v.userErr != nil {
		return posture.Unknown[bool](v.userErr, sshdFilePasswd)
	}
	for _, u := range v.users {
		if u.UID != 0 && !sshdPerson(u) || !sshdShell(u.Shell) {
			continue
		}
		for _, addr := range sshdOutside {
			conn := v.connection(u.Name, addr, sshdOwn)
			s, err := v.config.For(conn)
			if err != nil {
				return posture.Unknown[bool](posture.Problemf("malformed", "%v", err), sshd.MainFile)
			}
			closed := u.UID == 0 && slices.Equal(s["permitrootlogin"].Values, []string{"no"})
			if ok, _ := v.config.Admits(s, conn); ok && !closed {
				return posture.Known(false, posture.Configured, sshd.MainFile)
			}
		}
	}
	return posture.Known(true, posture.Configured, sshd.MainFile)
}
