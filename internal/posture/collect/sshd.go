package collect

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/osrelease"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files of the SSH server and of the accounts that log in through it.
const (
	sshdDropIns    = "/etc/ssh/sshd_config.d"
	sshdFilePasswd = "/etc/passwd"
	sshdFileGroup  = "/etc/group"
	sshdFileFW     = "/etc/pve/firewall/cluster.fw"
)

// SSHD returns the collector of the subject sshd. On a live target read as root it asks the server itself; otherwise,
// and to know which line decides, it evaluates the files.
func SSHD() Collector {
	c := Collector{Name: "sshd", Collect: collectSSHD}
	for _, f := range []string{sshd.MainFile, sshdDropIns + "/*.conf", dpkgStatus, osFileOSRelease, osFileOSReleaseUsr, osFileHostname,
		osFileHosts, osFileCorosyncPVE, osFileCorosync, osFileMembers, sshdFilePasswd, sshdFileGroup, sshdFileFW, "/run/sshd.pid",
		"/etc/ssh/ssh_host_*_key.pub", "/etc/issue.net"} {
		c.Needs = append(c.Needs, host.Need{Read: f})
	}
	for _, f := range sshdFilters {
		c.Needs = append(c.Needs, host.Need{Read: f.path})
	}
	for _, f := range []string{sshd.MainFile, sshdDropIns, "/etc/systemd/system", "/run/sshd.pid", "/usr/lib/openssh/sftp-server"} {
		c.Needs = append(c.Needs, host.Need{Stat: f})
	}
	for _, p := range []string{sshdDropIns + "/*.conf", "/etc/ssh/ssh_host_*", sshdWantsService, sshdWantsSocket} {
		c.Needs = append(c.Needs, host.Need{List: p})
	}
	c.Needs = append(c.Needs, host.Need{Run: sshdTest()})
	return c
}

// sshdView is the server as its files describe it; the collectors of sshd and sshkeys share it.
type sshdView struct {
	config *sshd.Config
	// other is the same configuration under the rules of another release, when the release is not known.
	other   *sshd.Config
	release sshd.Release
	err     error // why config is nil
	users   []passwd.User
	groups  []passwd.Group
	userErr error // why users and groups are not known

	// patterns is AuthorizedKeysFile outside of Match blocks, patternsVary whether a block changes it.
	patterns     []string
	patternsVary bool
}

// sshdMaxAccounts bounds the accounts that are looked at one by one. Local accounts of a host are a few dozen; a file
// with more than this was not made for it.
const sshdMaxAccounts = 5000

func collectSSHD(c *Context) {
	var f posture.SSHD
	defer func() { c.Facts.SSHD = f }()
	sshdPackage(c, &f)
	if f.Installed.IsKnown() && !f.Installed.Value {
		return
	}
	v := sshdLoad(c)
	sshdConfig(c, &f, v)
	sshdScenarios(c, &f, v)
	sshdFiles(c, &f, v)
	sshdProcess(c, &f)
	sshdHostKeys(c, &f)
	sshdExtras(c, &f, v)
}

var sshdUpstream = regexp.MustCompile(`^(?:\d+:)?([0-9.]+(?:p\d+)?)`)

// sshdPackage says whether the server is installed, and which release.
func sshdPackage(c *Context, f *posture.SSHD) {
	status, err := c.Host.ReadFile(dpkgStatus)
	_, confErr := c.Host.ReadFile(sshd.MainFile)
	set := func(err error, source string) {
		f.Package, f.Version = posture.Unknown[string](err, source), posture.Unknown[string](err, source)
		f.Major, f.Minor = posture.Unknown[int](err, source), posture.Unknown[int](err, source)
	}
	if err != nil {
		set(err, dpkgStatus)
		switch {
		case confErr == nil || host.Denied(confErr):
			f.Installed = posture.Known(true, posture.Configured, sshd.MainFile)
		default:
			f.Installed = posture.Unknown[bool](err, dpkgStatus)
		}
		return
	}
	p, ok := osPackage(status, "openssh-server")
	f.Installed = posture.Known(ok, posture.Effective, dpkgStatus)
	if !ok {
		set(posture.Problemf("not-found", "openssh-server is not installed"), dpkgStatus)
		return
	}
	version := p["Version"]
	f.Package = posture.Known(version, posture.Effective, dpkgStatus)
	rel, err := sshd.ParsePackageVersion(version)
	if err != nil {
		set(posture.Problemf("malformed", "%v", err), dpkgStatus)
		return
	}
	f.Version = posture.Known(sshdUpstream.FindStringSubmatch(version)[1], posture.Effective, dpkgStatus)
	f.Major = posture.Known(rel.Major, posture.Effective, dpkgStatus)
	f.Minor = posture.Known(rel.Minor, posture.Effective, dpkgStatus)
}

// sshdRelease finds the release: from dpkg, else from the release of Debian. known is false for a guess.
func sshdRelease(c *Context) (r sshd.Release, known bool) {
	if status, err := c.Host.ReadFile(dpkgStatus); err == nil {
		if p, ok := osPackage(status, "openssh-server"); ok {
			if r, err := sshd.ParsePackageVersion(p["Version"]); err == nil {
				return r, true
			}
		}
	}
	b, err := c.Host.ReadFile(osFileOSRelease)
	if err != nil {
		b, err = c.Host.ReadFile(osFileOSReleaseUsr)
	}
	if err != nil {
		return sshd.Release{}, false
	}
	values, _ := osrelease.Parse(b)
	switch values["VERSION_CODENAME"] {
	case "bookworm":
		return sshd.Release{Major: 9, Minor: 2, Update: -1}, true
	case "trixie":
		return sshd.Release{Major: 10, Minor: 0, Update: -1}, true
	}
	return sshd.Release{}, false
}

// sshdLoad reads the configuration and the accounts.
func sshdLoad(c *Context) sshdView {
	var v sshdView
	var known bool
	v.release, known = sshdRelease(c)
	v.config, v.err = sshd.Load(sshd.MainFile, sshdReader(c), v.release)
	if !known && v.err == nil {
		v.other, v.err = sshd.Load(sshd.MainFile, sshdReader(c), sshd.Release{Major: 9, Minor: 2, Update: -1})
	}
	users, err := c.Host.ReadFile(sshdFilePasswd)
	groups, groupErr := c.Host.ReadFile(sshdFileGroup)
	if err == nil {
		v.users, err = passwd.ParseUsers(users)
	}
	if groupErr == nil {
		v.groups, groupErr = passwd.ParseGroups(groups)
	}
	if v.userErr = err; err == nil {
		v.userErr = groupErr
	}
	if len(v.users) > sshdMaxAccounts {
		v.users, v.userErr = nil, posture.Problemf("too-large", "%s has more than %d accounts", sshdFilePasswd, sshdMaxAccounts)
	}
	return v
}

// sshdReader lets the evaluator read through the host as glob(3) and fopen(3) would.
func sshdReader(c *Context) sshd.Files {
	return sshd.Files{
		Read: func(name string) ([]byte, error) {
			b, err := c.Host.ReadFile(name)
			if errors.Is(err, host.ErrNotRegular) {
				if st, statErr := c.Host.Stat(name); statErr == nil && st.Type == host.Dir {
					return nil, nil
				}
			}
			return b, err
		},
		Glob: func(pattern string) ([]string, error) {
			pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "**", "*"), "[!", "[^")
			list, err := c.Host.List(pattern)
			if err != nil {
				return nil, err
			}
			var out []string
			for _, f := range list {
				hidden := strings.HasPrefix(path.Base(f.Path), ".") && !strings.HasPrefix(path.Base(pattern), ".")
				if !hidden {
					out = append(out, f.Path)
				}
			}
			return out, nil
		},
	}
}

// sshdTest is the server's own check of its files.
func sshdTest() host.Command {
	return host.Command{Name: "sshd-test", Argv: []string{"sshd", "-t"}}
}

// sshdConfig tells what the files say, and whether sshd takes them.
func sshdConfig(c *Context, f *posture.SSHD, v sshdView) {
	if v.err != nil {
		f.ConfigValid = posture.Unknown[bool](v.err, sshd.MainFile)
		f.ConfigProblems = posture.Unknown[[]string](v.err, sshd.MainFile)
		f.Directives = posture.Unknown[[]posture.SSHDirective](v.err, sshd.MainFile)
		for _, into := range []*posture.Fact[[]string]{&f.Obsolete, &f.UnknownKeywords, &f.Matches, &f.DropIns} {
			*into = posture.Unknown[[]string](v.err, sshd.MainFile)
		}
		f.DropInsFirst = posture.Unknown[bool](v.err, sshd.MainFile)
		f.RootLoginDecidedIn = posture.Unknown[string](v.err, sshd.MainFile)
		f.MainRootLogin = posture.Unknown[string](v.err, sshd.MainFile)
		return
	}
	problems := []string{}
	for _, p := range v.config.Problems {
		problems = append(problems, p.String())
	}
	origin, source := posture.Configured, sshd.MainFile
	if c.Live && c.Root {
		if out, err := c.Host.Run(sshdTest()); err == nil {
			origin, source = posture.Effective, "sshd -t"
			if out.Code == 0 {
				problems = []string{}
			} else if len(problems) == 0 {
				problems = append(problems, sshdComplaint(out))
			}
		}
	}
	f.ConfigValid = posture.Known(len(problems) == 0, origin, source)
	f.ConfigProblems = posture.Known(problems, origin, source)
	sshdLines(f, v.config)
}

// sshdComplaint is the last line of what sshd said.
func sshdComplaint(out host.Output) string {
	lines := host.Lines(out.Stderr)
	if len(lines) == 0 {
		return fmt.Sprintf("sshd ended with code %d", out.Code)
	}
	return strings.ToValidUTF8(strings.TrimSpace(lines[len(lines)-1]), "?")
}

// sshdLines fills what follows from the lines of the files.
func sshdLines(f *posture.SSHD, config *sshd.Config) {
	directives, obsolete, unknown, matches := []posture.SSHDirective{}, []string{}, []string{}, []string{}
	main, decided := "", ""
	first := posture.Known(false, posture.Configured, sshd.MainFile)
	settled := false
	for _, d := range config.Directives {
		directives = append(directives, posture.SSHDirective{Keyword: d.Keyword, Name: d.Name, Value: sshdPublic(d.Name, d.Value), Match: d.Match, Source: d.Source()})
		switch {
		case d.Name == "":
			unknown = append(unknown, strings.ToLower(d.Keyword))
		case d.Obsolete != "":
			obsolete = append(obsolete, d.Source()+": "+d.Keyword+": "+d.Obsolete)
		case d.Name == "match":
			matches = append(matches, strings.TrimSpace(d.Value))
		}
		if d.Name == "permitrootlogin" && d.Match == "" {
			if decided == "" {
				decided = d.File
			}
			if main == "" && d.File == sshd.MainFile {
				main = strings.ToLower(strings.TrimSpace(d.Value))
			}
		}
		if d.File == sshd.MainFile && !settled {
			settled = true
			if d.Name == "include" && strings.Contains(d.Value, "sshd_config.d/") {
				first = posture.Known(true, posture.Configured, d.Source())
			}
		}
	}
	if decided == "" {
		decided = "default"
	}
	dropins := []string{}
	for _, p := range config.Included {
		if path.Dir(p) == sshdDropIns {
			dropins = append(dropins, p)
		}
	}
	f.Directives = posture.Known(directives, posture.Configured, sshd.MainFile)
	f.Obsolete = posture.Known(obsolete, posture.Configured, sshd.MainFile)
	f.UnknownKeywords = posture.Known(unknown, posture.Configured, sshd.MainFile)
	f.Matches = posture.Known(matches, posture.Configured, sshd.MainFile)
	f.DropIns = posture.Known(dropins, posture.Configured, sshdDropIns)
	f.DropInsFirst = first
	f.RootLoginDecidedIn = posture.Known(decided, posture.Configured, decided)
	f.MainRootLogin = posture.Known(main, posture.Configured, sshd.MainFile)
}

// sshdPublic cuts off what may hold a secret: the values of variables, the arguments of commands, and what follows a
// word that sshd does not know.
func sshdPublic(name, value string) string {
	switch name {
	case "":
		return ""
	case "setenv":
		name, _, _ := strings.Cut(value, "=")
		return name
	case "forcecommand", "authorizedkeyscommand", "authorizedprincipalscommand":
		command, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		return command
	}
	return value
}
