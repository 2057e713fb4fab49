package collect

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/authorizedkeys"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sudoers"
	"github.com/castellan-project/castellan/internal/debian/utmp"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Where logins are recorded. Debian 13 keeps the last login in a database (lastlog2) that is not read; wtmp is there
// when a program still writes it.
const (
	sshKeysLastlog = "/var/log/lastlog"
	sshKeysWtmp    = "/var/log/wtmp"
)

// sshKeysAdminPaths lists the people who can become root, and whether their way in is proven.
func sshKeysAdminPaths(c *Context, v sshdView) posture.Fact[[]posture.AdminPath] {
	if v.userErr != nil {
		return posture.Unknown[[]posture.AdminPath](v.userErr, sshdFilePasswd)
	}
	via, err := sshKeysVia(c, v)
	if err != nil {
		return posture.Unknown[[]posture.AdminPath](err, "/etc/sudoers")
	}
	out := []posture.AdminPath{}
	for _, u := range v.users {
		how := via(u)
		if !sshdPerson(u) || how == "" {
			continue
		}
		p := posture.AdminPath{Account: u.Name, UID: u.UID, Via: how, Key: sshKeysHas(c, v, u)}
		p.Admitted = posture.Unknown[bool](v.err, "sshd_config")
		if v.err == nil {
			conn := v.connection(u.Name, sshdElsewhere, sshdOwn)
			if s, err := v.config.For(conn); err != nil {
				p.Admitted = posture.Unknown[bool](posture.Problemf("malformed", "%v", err), "sshd_config")
			} else {
				ok, by := v.config.Admits(s, conn)
				p.Admitted = posture.Known(ok, posture.Configured, "sshd_config "+by)
			}
		}
		p.LastLogin = sshKeysLastLogin(c, u)
		p.HoursAgo = posture.Fact[int]{Problem: p.LastLogin.Problem, Origin: p.LastLogin.Origin, Source: p.LastLogin.Source}
		if p.LastLogin.IsKnown() {
			p.HoursAgo.Value = math.MaxInt32
			if !p.LastLogin.Value.IsZero() {
				p.HoursAgo.Value = max(0, int(c.Now.Sub(p.LastLogin.Value).Hours()))
			}
		}
		out = append(out, p)
	}
	return posture.Known(out, posture.Configured, "/etc/sudoers and /etc/shadow")
}

// sshKeysHas tells whether an account has a key that sshd accepts.
func sshKeysHas(c *Context, v sshdView, u passwd.User) posture.Fact[bool] {
	files, err := v.keyFiles(u)
	if err != nil {
		return posture.Unknown[bool](err, "AuthorizedKeysFile")
	}
	for _, name := range files {
		b, err := c.Host.ReadFile(name)
		if err != nil && !host.NotExist(err) {
			return posture.Unknown[bool](err, name)
		}
		if keys, _ := authorizedkeys.Parse(b); len(keys) > 0 {
			return posture.Known(true, posture.Configured, name)
		}
	}
	return posture.Known(false, posture.Configured, strings.Join(files, ", "))
}

// sshKeysVia returns how an account becomes root: "sudo", "su", or "" for not at all.
func sshKeysVia(c *Context, v sshdView) (func(passwd.User) string, error) {
	rules, err := sudoers.Parse("/etc/sudoers", sshKeysSudoers{c})
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	su, err := sshKeysSu(c)
	if err != nil {
		return nil, err
	}
	return func(u passwd.User) string {
		groups := v.groupsOf(u.Name)
		sudo := false
		for _, r := range rules.Rules {
			if !r.Everything() {
				continue
			}
			for _, who := range r.Users {
				if who == u.Name || who == "ALL" || strings.HasPrefix(who, "%") && slices.Contains(groups, who[1:]) {
					sudo = true
				}
			}
			if slices.Contains(r.Users, "!"+u.Name) {
				sudo = false
			}
		}
		switch {
		case sudo:
			return "sudo"
		case su(groups):
			return "su"
		}
		return ""
	}, nil
}

// sshKeysSudoers lets the parser of sudoers read through the host.
type sshKeysSudoers struct{ c *Context }

func (s sshKeysSudoers) Read(name string) ([]byte, error) { return s.c.Host.ReadFile(name) }

func (s sshKeysSudoers) Dir(name string) ([]string, error) {
	list, err := s.c.Host.List(strings.TrimSuffix(name, "/") + "/*")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range list {
		out = append(out, f.Path)
	}
	return out, nil
}

// sshKeysSu tells who may use su to become root: nobody while root has no password; everybody, or the members of the
// group that pam_wheel names (pam_wheel(8); without a name it is wheel, or the group with GID 0).
func sshKeysSu(c *Context) (func(groups []string) bool, error) {
	shadow, err := c.Host.ReadFile("/etc/shadow")
	if err != nil {
		return nil, err
	}
	entries, err := passwd.ParseShadow(shadow)
	if err != nil {
		return nil, err
	}
	set := slices.ContainsFunc(entries, func(s passwd.Shadow) bool { return s.Name == "root" && s.State == passwd.Set })
	pam, err := c.Host.ReadFile("/etc/pam.d/su")
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	wheel := ""
	for _, line := range host.Lines(pam) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "auth" || f[2] != "pam_wheel.so" || f[1] != "required" && f[1] != "requisite" {
			continue
		}
		wheel = "wheel"
		for _, arg := range f[3:] {
			if g, ok := strings.CutPrefix(arg, "group="); ok {
				wheel = g
			}
		}
	}
	return func(groups []string) bool {
		return set && (wheel == "" || slices.Contains(groups, wheel) || wheel == "wheel" && slices.Contains(groups, "root"))
	}, nil
}

// sshKeysLastLogin takes the later of what lastlog and wtmp record.
func sshKeysLastLogin(c *Context, u passwd.User) posture.Fact[time.Time] {
	var last time.Time
	source := ""
	b, lastlogErr := c.Host.ReadFile(sshKeysLastlog)
	if lastlogErr == nil {
		byUID, err := utmp.ParseLastlog(b)
		if lastlogErr = err; err == nil {
			last, source = byUID[u.UID], sshKeysLastlog
		}
	}
	b, wtmpErr := c.Host.ReadFile(sshKeysWtmp)
	if wtmpErr == nil {
		for _, l := range utmp.ParseLogins(b) {
			if l.User == u.Name && l.Time.After(last) {
				last, source = l.Time, sshKeysWtmp
			}
		}
	}
	accepted, journalErr := sshKeysAccepted(c)
	if t := accepted[u.Name]; journalErr == nil && t.After(last) {
		last, source = t, "journal"
	}
	if lastlogErr != nil && journalErr != nil && (wtmpErr != nil || last.IsZero()) {
		return posture.Unknown[time.Time](lastlogErr, sshKeysLastlog)
	}
	if source == "" {
		source = "lastlog, wtmp and journal"
	}
	return posture.Known(last, posture.Effective, source)
}

// sshKeysJournal asks the journal for the logins that sshd accepted in the last 25 hours, newest first.
func sshKeysJournal() host.Command {
	return host.Command{Name: "ssh-accepted", Argv: []string{"journalctl", "-q", "--no-pager", "-o", "short-unix", "-t", "sshd",
		"-t", "sshd-session", "--since=-25h", "--grep=^Accepted ", "-n", "500"}}
}

var sshKeysAcceptedLine = regexp.MustCompile(`^(\d+)(?:\.\d+)? \S+ sshd(?:-session)?\[\d+\]: Accepted \S+ for (\S+) from `)

// sshKeysAccepted gives the last login of each account in the journal.
func sshKeysAccepted(c *Context) (map[string]time.Time, error) {
	if !c.Live || !c.Root {
		return nil, host.ErrUnavailable
	}
	out, err := c.Host.Run(sshKeysJournal())
	if err != nil {
		return nil, err
	}
	if out.Code > 1 { // 1 means that no line matched
		return nil, posture.Problemf("error", "journalctl ended with code %d", out.Code)
	}
	last := map[string]time.Time{}
	for _, line := range host.Lines(out.Stdout) {
		m := sshKeysAcceptedLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		sec, err := strconv.ParseInt(m[1], 10, 64)
		if t := time.Unix(sec, 0).UTC(); err == nil && t.Year() < 10000 && t.After(last[m[2]]) { // JSON has no later years
			last[m[2]] = t
		}
	}
	return last, nil
}
