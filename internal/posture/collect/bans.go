package collect

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/fail2ban"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// banUnits are the services of ban engines, by engine.
func banUnits() map[string]string {
	return map[string]string{"fail2ban": "fail2ban.service", "crowdsec": "crowdsec.service", "sshguard": "sshguard.service",
		"denyhosts": "denyhosts.service", "castellan": "castellan.service"}
}

// The commands of the collector; all of them only ask.
func banUnitCommand() host.Command {
	argv := []string{"systemctl", "show", "--property=Id,ActiveState"}
	for _, e := range slices.Sorted(maps.Keys(banUnits())) {
		argv = append(argv, banUnits()[e])
	}
	return host.Command{Name: "ban-units", Argv: argv, Timeout: 5 * time.Second}
}

func banStatusCommand() host.Command {
	return host.Command{Name: "fail2ban-status", Argv: []string{"fail2ban-client", "status"}, Timeout: 5 * time.Second}
}

func banTablesCommand() host.Command {
	return host.Command{Name: "nft-tables", Argv: []string{"nft", "list", "tables"}, Timeout: 5 * time.Second}
}

// journalCommand asks for the last 200 failures that a unit logged; only counts are kept of them.
func journalCommand(name, pattern string, units ...string) host.Command {
	argv := []string{"journalctl", "--quiet", "--no-pager", "--output=short", "--lines=200", "--since=-7d", "--grep=" + pattern}
	for _, u := range units {
		argv = append(argv, "--unit="+u)
	}
	return host.Command{Name: name, Argv: argv, Timeout: 10 * time.Second}
}

func banSSHJournal() host.Command {
	return journalCommand("journal-ssh-failures", "^Failed password for ", "ssh.service", "sshd.service")
}

func banWebJournal() host.Command {
	return journalCommand("journal-pve-failures", "^authentication failure; rhost=", "pvedaemon.service")
}

// Paths of fail2ban on Debian, and of what it needs.
const (
	banClient     = "/usr/bin/fail2ban-client"
	banWants      = "/etc/systemd/system/multi-user.target.wants/*"
	banModule     = "/usr/lib/python3/dist-packages/systemd/*"
	banHostFW     = "/etc/pve/local/host.fw"
	banNodesFW    = "/etc/pve/nodes/*/host.fw"
	banLogs       = "/var/log"
	banAccessLog  = "/var/log/pveproxy/access.log"
	banOwnTable   = "inet castellan"
	banConfigGlob = fail2ban.Base + "/*"
)

// Bans returns the collector of the subject bans.
func Bans() Collector {
	c := Collector{Name: "bans", Collect: collectBans}
	for _, f := range []string{banConfigGlob, fail2ban.Base + "/jail.d/*", fail2ban.Base + "/filter.d/*", fail2ban.Base + "/action.d/*",
		// Asked for by name as well, because most of them are not there, which is an answer too.
		fail2ban.Base + "/jail.local", fail2ban.Base + "/jail.d/defaults-debian.local", fail2ban.Base + "/fail2ban.local",
		fail2ban.Base + "/paths-debian.local", fail2ban.Base + "/paths-common.local", fail2ban.Base + "/paths-overrides.local",
		fail2ban.Base + "/filter.d/sshd.local", fail2ban.Base + "/filter.d/common.local",
		dpkgStatus, osFileOSRelease, osFileOSReleaseUsr, webClusterFW, banHostFW, banNodesFW, osFileHostname, osFileProcHostname} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, f := range []string{banConfigGlob, fail2ban.Base + "/*.local", fail2ban.Base + "/*.conf", fail2ban.Base + "/jail.d/*", fail2ban.Base + "/jail.d/*.conf", fail2ban.Base + "/jail.d/*.local", fail2ban.Base + "/filter.d/*",
		fail2ban.Base + "/fail2ban.d/*.conf", fail2ban.Base + "/fail2ban.d/*.local", banWants, banModule} {
		c.Needs = append(c.Needs, host.Need{List: f})
	}
	for _, f := range []string{banClient, banLogs, banAccessLog, "/var/log/auth.log", "/var/log/daemon.log"} {
		c.Needs = append(c.Needs, host.Need{Stat: f})
	}
	for _, t := range []string{"nft", "iptables", "ipset"} {
		c.Needs = append(c.Needs, host.Need{Stat: "/usr/sbin/" + t})
	}
	for _, cmd := range []host.Command{banUnitCommand(), banStatusCommand(), banTablesCommand(), banSSHJournal(), banWebJournal()} {
		c.Needs = append(c.Needs, host.Need{Run: cmd})
	}
	return c
}

func collectBans(c *Context) {
	var f posture.BanFacts
	status, statusErr := osStatus(c)
	cfg, cfgErr := banLoad(c)
	release, _ := c.Host.ReadFile(osFileOSReleaseUsr)
	f.Fail2ban = banInstalled(c, status, statusErr, cfgErr)
	f.Engines = banEngines(c)
	f.JournalModule = banJournalModule(c, status, statusErr)
	banFirewall(c, &f)
	shapes := logShapes(sshProgram(release, status))
	jails := banConfig(c, &f, cfg, cfgErr, shapes)
	f.RunningJails = banRunning(c, &f)
	f.Shared = banShared(c)
	f.Misplaced = banMisplaced(c, cfg, cfgErr, status)
	f.SSH = banCover(c, &f, jails, shapes, "ssh", banSSHJournal())
	f.Web = banCover(c, &f, jails, shapes, "web", banWebJournal())
	f.Token = banCover(c, &f, jails, shapes, "token", host.Command{})
	f.MissingTools = banMissingTools(&f)
	c.Facts.Bans = f
}

// banLoad reads the configuration of fail2ban. To fail2ban a file that cannot be read is one that is not there; to us a
// file that only we cannot read (rights, size, not fetched yet) makes the whole configuration unknown.
func banLoad(c *Context) (*fail2ban.Config, error) {
	src := fail2ban.Source(netSource(c.Host))
	var unread error
	read := src.Read
	src.Read = func(name string) ([]byte, error) {
		b, err := read(name)
		if err != nil && !host.NotExist(err) && unread == nil {
			unread = err
		}
		return b, err
	}
	cfg, err := fail2ban.Load(src, fail2ban.Base)
	if unread != nil {
		return cfg, unread
	}
	return cfg, err
}

// sshProgram is the name under which this host's sshd logs failures: OpenSSH 9.8 and later split sshd-session off.
func sshProgram(release, status []byte) string {
	if p, ok := osPackage(status, "openssh-server"); ok {
		v := p["Version"][strings.IndexByte(p["Version"], ':')+1:]
		if major := firstLabel(v); len(major) > 1 || strings.HasPrefix(v, "9.8") || strings.HasPrefix(v, "9.9") {
			return "sshd-session"
		}
		return "sshd"
	}
	if strings.Contains(string(release), `VERSION_ID="13"`) {
		return "sshd-session"
	}
	return "sshd"
}

func banInstalled(c *Context, status []byte, statusErr, cfgErr error) posture.Fact[bool] {
	_, binErr := c.Host.Stat(banClient)
	_, listed := osPackage(status, "fail2ban")
	switch {
	case binErr == nil:
		return posture.Known(true, posture.Effective, banClient)
	case statusErr == nil:
		return posture.Known(listed, posture.Effective, dpkgStatus)
	case cfgErr == nil:
		return posture.Known(true, posture.Configured, fail2ban.Base)
	case errors.Is(cfgErr, fs.ErrNotExist) && host.NotExist(binErr) && c.Live:
		return posture.Known(false, posture.Effective, banClient)
	}
	return posture.Unknown[bool](statusErr, dpkgStatus)
}

// banEngines asks systemd on a live host, and looks at what a boot starts elsewhere.
func banEngines(c *Context) posture.Fact[[]string] {
	out, runErr := c.Host.Run(banUnitCommand())
	links, listErr := c.Host.List(banWants)
	engines := []string{}
	if c.Live && runErr == nil && out.Code == 0 {
		for block := range strings.SplitSeq(string(out.Stdout), "\n\n") {
			for e, unit := range banUnits() {
				if strings.Contains(block, "Id="+unit) && strings.Contains(block, "ActiveState=active") {
					engines = append(engines, e)
				}
			}
		}
		slices.Sort(engines)
		return posture.Known(engines, posture.Effective, "systemctl show")
	}
	if c.Live {
		return posture.Unknown[[]string](cmp.Or(runErr, error(posture.Problemf("unavailable", "systemctl could not reach systemd"))), "systemctl show")
	}
	if listErr != nil {
		return posture.Unknown[[]string](listErr, banWants)
	}
	for _, l := range links {
		for e, unit := range banUnits() {
			if strings.HasSuffix(l.Path, "/"+unit) {
				engines = append(engines, e)
			}
		}
	}
	slices.Sort(engines)
	return posture.Known(engines, posture.Configured, banWants)
}

func banJournalModule(c *Context, status []byte, statusErr error) posture.Fact[bool] {
	files, err := c.Host.List(banModule)
	if err == nil && len(files) > 0 {
		return posture.Known(true, posture.Effective, banModule)
	}
	if statusErr != nil {
		return posture.Unknown[bool](statusErr, dpkgStatus)
	}
	_, ok := osPackage(status, "python3-systemd")
	return posture.Known(ok, posture.Effective, dpkgStatus)
}

// banConfig fills the facts about configuration and jails, and returns the enabled jails for further questions.
func banConfig(c *Context, f *posture.BanFacts, cfg *fail2ban.Config, err error, shapes []logShape) []*fail2ban.Jail {
	if errors.Is(err, fs.ErrNotExist) && f.Fail2ban.IsKnown() && !f.Fail2ban.Value {
		cfg, err = &fail2ban.Config{}, nil // not installed: no jails, and that is known
	}
	if err != nil {
		f.ConfigProblems, f.FatalProblems = posture.Unknown[[]string](err, fail2ban.Base), posture.Unknown[[]string](err, fail2ban.Base)
		f.Jails, f.Database = posture.Unknown[[]posture.BanJail](err, fail2ban.Base), posture.Unknown[string](err, fail2ban.Base)
		f.PurgeAge, f.Persistent = posture.Unknown[int](err, fail2ban.Base), posture.Unknown[bool](err, fail2ban.Base)
		return nil
	}
	problems, fatal := []string{}, []string{}
	for _, p := range cfg.Problems {
		problems = append(problems, p.String())
		if p.Fatal {
			fatal = append(fatal, p.String())
		}
	}
	f.ConfigProblems = posture.Known(problems, posture.Configured, fail2ban.Base)
	f.FatalProblems = posture.Known(fatal, posture.Configured, fail2ban.Base)
	var enabled []*fail2ban.Jail
	jails := []posture.BanJail{}
	for _, j := range cfg.Jails {
		if j.Enabled {
			enabled = append(enabled, j)
			jails = append(jails, banJail(c, j, shapes))
		}
	}
	f.Jails = posture.Known(jails, posture.Configured, fail2ban.Base)
	f.Database = posture.Known(cfg.DBFile, posture.Configured, fail2ban.Base+"/fail2ban.conf")
	f.PurgeAge = posture.Known(cfg.DBPurgeAge, posture.Configured, fail2ban.Base+"/fail2ban.conf")
	kept := cfg.DBFile != "None" && cfg.DBFile != ":memory:" && cfg.DBFile != ""
	f.Persistent = posture.Known(kept, posture.Configured, fail2ban.Base+"/fail2ban.conf")
	return enabled
}

func banJail(c *Context, j *fail2ban.Jail, shapes []logShape) posture.BanJail {
	out := posture.BanJail{
		Name: j.Name, Filter: j.FilterName, Port: j.Port, Backend: j.Backend, Journal: j.Journal(), LogPaths: []posture.BanLogPath{},
		JournalMatch: []string{}, MaxRetry: j.MaxRetry, FindTime: j.FindTime, BanTime: j.BanTime,
		Increment: j.Increment, IgnoreIP: nonNil(j.IgnoreIP), IgnoreNetworks: ignoreNetworks(j.IgnoreIP), IgnoreSelf: j.IgnoreSelf,
		Actions: nonNil(j.Actions), ActionBackend: actionBackend(j), Starts: j.Starts(), Matches: map[string]bool{},
		Source: sourceLine(j.File, j.Line),
	}
	out.Problems = problemTexts(j)
	if j.Filter != nil {
		out.JournalMatch = nonNil(j.Filter.JournalMatch)
		for _, s := range shapes {
			got, ok := s.takes(j)
			out.Matches[s.name] = ok && got == s.host
			out.Forgeable = out.Forgeable || s.forged && ok && got == forgedHost
		}
	}
	banSource(c, &out, j.LogPaths)
	return out
}

// problemTexts are the problems of a jail and its filter, those first that keep the jail from starting.
func problemTexts(j *fail2ban.Jail) []string {
	all := slices.Clone(j.Problems)
	if j.Filter != nil {
		all = append(all, j.Filter.Problems...)
	}
	slices.SortStableFunc(all, func(a, b fail2ban.Problem) int {
		switch {
		case a.Fatal == b.Fatal:
			return 0
		case a.Fatal:
			return -1
		}
		return 1
	})
	out := []string{}
	for _, p := range all {
		out = append(out, p.String())
	}
	return uniqStrings(out)
}

// banSource looks for what the jail reads.
func banSource(c *Context, out *posture.BanJail, paths []string) {
	_, logsErr := c.Host.Stat(banLogs)
	found := false
	for _, p := range paths {
		files, err := c.Host.List(p)
		exists := err == nil && len(files) > 0
		out.LogPaths = append(out.LogPaths, posture.BanLogPath{Path: p, Exists: exists})
		found = found || exists
		if err != nil && !host.NotExist(err) {
			logsErr = err
		}
	}
	switch {
	case out.Journal:
		out.SourceExists = posture.Known(true, posture.Configured, "journal")
	case found || logsErr == nil:
		out.SourceExists = posture.Known(found, posture.Effective, strings.Join(paths, ", "))
	default:
		out.SourceExists = posture.Unknown[bool](logsErr, strings.Join(paths, ", "))
	}
}

// ignoreNetworks keeps what of ignoreip are addresses and networks; host names are left out, because whom they name
// is for DNS to say.
func ignoreNetworks(list []string) []string {
	out := []string{}
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked().String())
		} else if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String())
		}
	}
	return out
}

func actionBackend(j *fail2ban.Jail) string {
	for _, a := range append(slices.Clone(j.Actions), j.BanAction) {
		for _, k := range []struct{ prefix, backend string }{{"nftables", "nftables"}, {"iptables-ipset", "ipset"}, {"iptables", "iptables"},
			{"ufw", "ufw"}, {"firewallcmd", "firewalld"}, {"route", "route"}, {"shorewall", "iptables"}} {
			if strings.HasPrefix(a, k.prefix) {
				return k.backend
			}
		}
	}
	return "other"
}

func banRunning(c *Context, f *posture.BanFacts) posture.Fact[[]string] {
	out, err := c.Host.Run(banStatusCommand())
	if c.Live && err == nil && out.Code == 0 {
		for _, l := range host.Lines(out.Stdout) {
			if _, list, ok := strings.Cut(l, "Jail list:"); ok {
				return posture.Known(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), posture.Effective, "fail2ban-client status")
			}
		}
		return posture.Known([]string{}, posture.Effective, "fail2ban-client status")
	}
	if c.Live && (f.Engines.IsKnown() && !slices.Contains(f.Engines.Value, "fail2ban") || f.Fail2ban.IsKnown() && !f.Fail2ban.Value) {
		return posture.Known([]string{}, posture.Effective, "systemctl show")
	}
	if c.Live {
		return posture.Unknown[[]string](cmp.Or(err, error(posture.Problemf("permission", "fail2ban-client could not reach the server"))), "fail2ban-client status")
	}
	if !f.Jails.IsKnown() {
		return posture.Unknown[[]string](f.Jails.Problem, f.Jails.Source)
	}
	names := []string{}
	for _, j := range f.Jails.Value {
		if j.Starts && !j.SourceExists.IsKnown() {
			return posture.Unknown[[]string](j.SourceExists.Problem, j.SourceExists.Source)
		}
		if j.Starts && !j.SourceExists.Value {
			return posture.Known([]string{}, posture.Configured, fail2ban.Base) // fail2ban does not start then
		}
		if j.Starts {
			names = append(names, j.Name)
		}
	}
	if f.FatalProblems.IsKnown() && len(f.FatalProblems.Value) > 0 {
		names = []string{}
	}
	return posture.Known(names, posture.Configured, fail2ban.Base)
}

// banShared looks for castellan's own table, the only engine here that carries bans to other nodes.
func banShared(c *Context) posture.Fact[bool] {
	out, err := c.Host.Run(banTablesCommand())
	if c.Live && err == nil && out.Code == 0 {
		return posture.Known(strings.Contains(string(out.Stdout), "table "+banOwnTable), posture.Effective, "nft list tables")
	}
	if c.Live && !host.NotExist(err) {
		return posture.Unknown[bool](cmp.Or(err, error(posture.Problemf("permission", "nft list tables failed"))), "nft list tables")
	}
	return posture.Known(false, posture.Configured, "no ban set of castellan is configured")
}

// banMisplaced collects settings in files that belong to the package, and files that fail2ban never reads.
func banMisplaced(c *Context, cfg *fail2ban.Config, err error, status []byte) posture.Fact[[]string] {
	if errors.Is(err, fs.ErrNotExist) {
		return posture.Known([]string{}, posture.Configured, fail2ban.Base)
	}
	if err != nil {
		return posture.Unknown[[]string](err, fail2ban.Base)
	}
	out := []string{}
	for _, p := range cfg.Problems {
		if strings.Contains(p.Text, "does not read this file") {
			out = append(out, p.String())
		}
	}
	file := fail2ban.Base + "/jail.conf"
	b, readErr := c.Host.ReadFile(file)
	if sum := conffileSum(status, "fail2ban", file); readErr == nil && sum != "" {
		if got := md5.Sum(b); hex.EncodeToString(got[:]) != sum {
			out = append(out, file+": differs from the package's file; an update overwrites it or stops to ask; move the changes to "+fail2ban.Base+"/jail.local")
		}
		return posture.Known(out, posture.Configured, file)
	}
	for _, j := range cfg.Jails {
		if j.Enabled && j.File == file {
			out = append(out, fmt.Sprintf("%s: jail %s is switched on in the package's own file; move it to %s/jail.local", sourceLine(file, j.Line), j.Name, fail2ban.Base))
		}
	}
	return posture.Known(out, posture.Configured, file)
}

// conffileSum is the MD5 sum that dpkg recorded for a configuration file of a package.
func conffileSum(status []byte, pkg, file string) string {
	_, rest, ok := strings.Cut("\n"+string(status), "\nPackage: "+pkg+"\n")
	if !ok {
		return ""
	}
	stanza, _, _ := strings.Cut(rest, "\n\n")
	for l := range strings.SplitSeq(stanza, "\n") {
		if f := strings.Fields(l); len(f) >= 2 && f[0] == file && strings.HasPrefix(l, " ") {
			return f[1]
		}
	}
	return ""
}
