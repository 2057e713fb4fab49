package collect

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/logindefs"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/utmp"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// Files of accounts.
const (
	accPasswd    = "/etc/passwd"
	accGroup     = "/etc/group"
	accShadow    = "/etc/shadow"
	accGShadow   = "/etc/gshadow"
	accLoginDefs = "/etc/login.defs"
	accLastlog   = "/var/log/lastlog"
	accWtmp      = "/var/log/wtmp"
	accLastlog2  = "/var/lib/lastlog/lastlog2.db" // of Debian 13
)

// Accounts returns the collector of the subject accounts.
func Accounts() Collector {
	needs := reads(accPasswd, accGroup, accShadow, accGShadow, accLoginDefs, accLastlog, accWtmp)
	needs = append(needs, lists("/root/.ssh/authorized_keys*", "/home/*/.ssh/authorized_keys*")...)
	needs = append(needs, stats(accLastlog2)...)
	for _, list := range [][]host.Need{sudoNeeds(), pamNeeds(), loginNeeds()} {
		needs = append(needs, list...)
	}
	return Collector{Name: "accounts", Needs: needs, Collect: collectAccounts}
}

func collectAccounts(c *Context) {
	var f posture.AccountFacts
	defs, defsErr := readLoginDefs(c)
	collectSudo(c, &f.Sudo)
	collectUsers(c, &f, defs)
	collectPAM(c, &f.PAM, defs, defsErr)
	collectLogin(c, &f, defs, defsErr)
	c.Facts.Accounts = f
}

// accountSources are the files from which users are put together.
type accountSources struct {
	shadow    map[string]passwd.Shadow
	shadowErr error
	groups    []passwd.Group
	logins    map[string]time.Time
	loginsSrc string
	loginsErr error
	uidMin    int
	uidMax    int
}

func collectUsers(c *Context, f *posture.AccountFacts, defs logindefs.Defs) {
	s := accountSources{}
	b, err := c.Host.ReadFile(accShadow)
	var shadow []passwd.Shadow
	if err == nil {
		shadow, err = passwd.ParseShadow(b)
		err = malformed(err)
	}
	s.shadow, s.shadowErr = map[string]passwd.Shadow{}, err
	for _, x := range shadow {
		s.shadow[x.Name] = x
	}
	s.uidMin, _, _ = defs.Int("UID_MIN")
	s.uidMax, _, _ = defs.Int("UID_MAX")

	b, err = c.Host.ReadFile(accGroup)
	if err == nil {
		s.groups, err = passwd.ParseGroups(b)
		err = malformed(err)
	}
	f.Groups = groupFacts(s.groups, err)
	b, gErr := c.Host.ReadFile(accGShadow)
	var open []string
	if gErr == nil {
		open, gErr = passwd.ParseGroupPasswords(b)
		gErr = malformed(gErr)
	}
	f.GroupsWithPassword = posture.Known(orEmpty(open), posture.Configured, accGShadow)
	if gErr != nil {
		f.GroupsWithPassword = posture.Unknown[[]string](gErr, accGShadow)
	}

	b, err = c.Host.ReadFile(accPasswd)
	var users []passwd.User
	if err == nil {
		users, err = passwd.ParseUsers(b)
		err = malformed(err)
	}
	f.Root.Sealed = posture.Unknown[bool](posture.Problemf("unavailable", "whether root's password is strong and sealed has to be attested"), "attestation")
	s.readLogins(c, users)
	f.Login.LastLoginSource = posture.Known(s.loginsSrc, posture.Effective, s.loginsSrc)
	if err != nil {
		f.Users = posture.Unknown[[]posture.Account](err, accPasswd)
		f.Root.Password, f.Root.Scheme = posture.Unknown[string](err, accPasswd), posture.Unknown[string](err, accPasswd)
		f.Root.LastChange = posture.Unknown[time.Time](err, accPasswd)
		f.Superusers, f.People, f.Admins = posture.Unknown[[]string](err, accPasswd), posture.Unknown[[]string](err, accPasswd), posture.Unknown[[]string](err, accPasswd)
		return
	}
	list := make([]posture.Account, 0, len(users))
	for _, u := range users {
		a := account(c, u, s, f.Sudo)
		if u.Name == "root" {
			f.Root.Password, f.Root.Scheme, f.Root.LastChange = a.Password, a.Scheme, a.LastChange
		}
		list = append(list, a)
	}
	f.Users = posture.Known(list, posture.Configured, accPasswd)
	summarize(f)
}

// summarize lists the names that people look for first. An account whose state is not known makes its list unknown.
func summarize(f *posture.AccountFacts) {
	super, people, admins := []string{}, []string{}, []string{}
	f.People, f.Admins = posture.Known(people, posture.Configured, accPasswd), posture.Known(admins, posture.Configured, accPasswd)
	for _, a := range f.Users.Value {
		if a.UID == 0 {
			super = append(super, a.Name)
		}
		switch {
		case !a.Person || a.CanLogin.IsKnown() && !a.CanLogin.Value:
		case !a.CanLogin.IsKnown():
			f.People = posture.Unknown[[]string](a.CanLogin.Problem, a.CanLogin.Source)
			f.Admins = posture.Unknown[[]string](a.CanLogin.Problem, a.CanLogin.Source)
		default:
			people = append(people, a.Name)
			if !a.Admin.IsKnown() {
				f.Admins = posture.Unknown[[]string](a.Admin.Problem, a.Admin.Source)
			} else if a.Admin.Value {
				admins = append(admins, a.Name)
			}
		}
	}
	for _, g := range f.Groups.Value {
		if g.GID == 0 {
			super = append(super, "group "+g.Name)
		}
	}
	f.Superusers = posture.Known(super, posture.Configured, accPasswd)
	if !f.Groups.IsKnown() {
		f.Superusers = posture.Unknown[[]string](f.Groups.Problem, accGroup)
	}
	if f.People.IsKnown() {
		f.People.Value = people
	}
	if f.Admins.IsKnown() {
		f.Admins.Value = admins
	}
}

// malformed marks an error of a parser.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return posture.Problemf("malformed", "%v", err)
}

func groupFacts(groups []passwd.Group, err error) posture.Fact[[]posture.AccountGroup] {
	if err != nil {
		return posture.Unknown[[]posture.AccountGroup](err, accGroup)
	}
	out := make([]posture.AccountGroup, 0, len(groups))
	for _, g := range groups {
		out = append(out, posture.AccountGroup{Name: g.Name, GID: g.GID, Members: orEmpty(g.Members)})
	}
	return posture.Known(out, posture.Configured, accGroup)
}

func account(c *Context, u passwd.User, s accountSources, sudo posture.SudoFacts) posture.Account {
	a := posture.Account{
		Name: u.Name, UID: u.UID, GID: u.GID, Home: u.Home, Shell: u.Shell, Shadowed: u.Shadowed,
		Person: u.UID >= s.uidMin && u.UID <= s.uidMax, Interactive: interactive(u.Shell),
		Groups: groupsOf(u, s.groups), Source: source(accPasswd, u.Line),
	}
	s.password(&a, u, c.Now)
	a.HomeMode, a.HomeOpen = home(c, a)
	a.Keys = hasKeys(c, u)
	a.CanLogin = canLogin(a)
	a.Admin = isAdmin(a, sudo)
	a.LastLogin = s.lastLogin(u)
	return a
}

// interactive reports whether a shell lets somebody work. The empty field means /bin/sh (passwd(5)).
func interactive(shell string) bool {
	switch path.Base(shell) {
	case "nologin", "false", "sync", "halt", "shutdown", "true":
		return false
	}
	return true
}

func groupsOf(u passwd.User, groups []passwd.Group) []string {
	primary, others := []string{}, []string{}
	for _, g := range groups {
		switch {
		case g.GID == u.GID:
			primary = append(primary, g.Name)
		case slices.Contains(g.Members, u.Name):
			others = append(others, g.Name)
		}
	}
	return append(primary, others...)
}

func (s accountSources) password(a *posture.Account, u passwd.User, now time.Time) {
	if u.NoField { // the password stands in passwd itself and is empty
		a.Password = posture.Known(string(passwd.Empty), posture.Configured, a.Source)
		a.Scheme = posture.Known("", posture.Configured, a.Source)
	}
	x, ok := s.shadow[u.Name]
	err := s.shadowErr
	if err == nil && !ok {
		if u.Shadowed { // "x" without a line in shadow: no password works
			x = passwd.Shadow{State: passwd.None, Min: -1, Max: -1, Warn: -1, Inactive: -1}
		} else {
			err = posture.Problemf("malformed", "%s keeps the password of %s outside of shadow", a.Source, u.Name)
		}
	}
	src := source(accShadow, x.Line)
	if err != nil {
		if !u.NoField {
			a.Password, a.Scheme = posture.Unknown[string](err, accShadow), posture.Unknown[string](err, accShadow)
		}
		a.LastChange, a.Expired = posture.Unknown[time.Time](err, accShadow), posture.Unknown[bool](err, accShadow)
		for _, n := range []*posture.Fact[int]{&a.MinDays, &a.MaxDays, &a.WarnDays, &a.InactiveDays} {
			*n = posture.Unknown[int](err, accShadow)
		}
		return
	}
	if !u.NoField {
		a.Password, a.Scheme = posture.Known(string(x.State), posture.Configured, src), posture.Known(x.Scheme, posture.Configured, src)
	}
	a.LastChange = posture.Known(x.LastChange, posture.Configured, src)
	a.MinDays, a.MaxDays = posture.Known(x.Min, posture.Configured, src), posture.Known(x.Max, posture.Configured, src)
	a.WarnDays, a.InactiveDays = posture.Known(x.Warn, posture.Configured, src), posture.Known(x.Inactive, posture.Configured, src)
	a.Expired = posture.Known(!x.Expire.IsZero() && !now.Before(x.Expire), posture.Configured, src)
}

func home(c *Context, a posture.Account) (mode posture.Fact[string], open posture.Fact[bool]) {
	err := error(posture.Problemf("unavailable", "%s is no account of a person", a.Name))
	if a.Person && strings.HasPrefix(a.Home, "/") {
		var info host.File
		if info, err = c.Host.Stat(a.Home); err == nil && info.OwnerUnknown {
			err = posture.Problemf("unavailable", "the copy did not keep the mode of %s", a.Home)
		}
		if err == nil {
			return posture.Known(fmt.Sprintf("%04o", info.Mode), posture.Effective, a.Home), posture.Known(info.Mode&0o027 != 0, posture.Effective, a.Home)
		}
	}
	return posture.Unknown[string](err, a.Home), posture.Unknown[bool](err, a.Home)
}

// hasKeys looks for the default authorized_keys files; the subject sshkeys reads what is in them.
func hasKeys(c *Context, u passwd.User) posture.Fact[bool] {
	if !strings.HasPrefix(u.Home, "/") || u.Home == "/" || u.Home == "/nonexistent" {
		return posture.Known(false, posture.Effective, u.Home)
	}
	p := u.Home + "/.ssh/authorized_keys"
	for _, name := range []string{p, p + "2"} {
		info, err := c.Host.Stat(name)
		if err == nil && info.Size > 0 {
			return posture.Known(true, posture.Effective, name)
		}
		if err != nil && !host.NotExist(err) {
			return posture.Unknown[bool](err, name)
		}
	}
	return posture.Known(false, posture.Effective, p)
}

func canLogin(a posture.Account) posture.Fact[bool] {
	if !a.Interactive {
		return posture.Known(false, posture.Configured, a.Source)
	}
	if a.Expired.IsKnown() && a.Expired.Value {
		return posture.Known(false, a.Expired.Origin, a.Expired.Source)
	}
	switch {
	case a.Keys.IsKnown() && a.Keys.Value:
		return posture.Known(true, posture.Configured, a.Keys.Source)
	case a.Password.IsKnown() && (a.Password.Value == string(passwd.Set) || a.Password.Value == string(passwd.Empty)):
		return posture.Known(true, posture.Configured, a.Password.Source)
	case !a.Password.IsKnown():
		return posture.Unknown[bool](a.Password.Problem, a.Password.Source)
	case !a.Keys.IsKnown():
		return posture.Unknown[bool](a.Keys.Problem, a.Keys.Source)
	}
	return posture.Known(false, posture.Configured, a.Password.Source)
}

func (s *accountSources) readLogins(c *Context, users []passwd.User) {
	s.logins = map[string]time.Time{}
	s.loginsSrc = "none"
	byUID := map[int]string{}
	for _, u := range slices.Backward(users) {
		byUID[u.UID] = u.Name
	}
	note := func(name string, t time.Time) {
		if t.After(s.logins[name]) {
			s.logins[name] = t
		}
	}
	b, lastErr := c.Host.ReadFile(accLastlog)
	if lastErr == nil {
		var last map[int]time.Time
		if last, lastErr = utmp.ParseLastlog(b); lastErr == nil {
			s.loginsSrc = accLastlog
			for uid, t := range last {
				note(byUID[uid], t)
			}
		}
	}
	b, wtmpErr := c.Host.ReadFile(accWtmp)
	if wtmpErr == nil {
		if lastErr != nil {
			s.loginsSrc = accWtmp
		}
		for _, l := range utmp.ParseLogins(b) {
			note(l.User, l.Time)
		}
	}
	_, newErr := c.Host.Stat(accLastlog2)
	switch {
	case lastErr != nil && wtmpErr != nil:
		s.loginsErr = lastErr
	case newErr == nil:
		s.loginsErr = posture.Problemf("unavailable", "this host keeps last logins in %s, which is not read yet", accLastlog2)
	case lastErr == nil && len(s.logins) == 0:
		s.loginsErr = posture.Problemf("not-found", "%s holds no login at all: either nobody ever logged in, or nothing writes it", accLastlog)
	}
	if lastErr != nil && wtmpErr == nil && s.loginsErr == nil {
		// wtmp alone is rotated monthly: who does not occur in it may have logged in before.
		s.loginsErr = posture.Problemf("not-found", "%s only keeps recent logins and there is no %s (Debian 13 keeps them in lastlog2)", accWtmp, accLastlog)
	}
}

func (s accountSources) lastLogin(u passwd.User) posture.Fact[time.Time] {
	if t, ok := s.logins[u.Name]; ok {
		return posture.Known(t, posture.Effective, s.loginsSrc)
	}
	if s.loginsErr != nil {
		return posture.Unknown[time.Time](s.loginsErr, accLastlog)
	}
	return posture.Known(time.Time{}, posture.Effective, s.loginsSrc)
}
