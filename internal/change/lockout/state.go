package lockout

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/debian/osrelease"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
)

// Files that several guards read.
const (
	filePasswd  = "/etc/passwd"
	fileGroup   = "/etc/group"
	fileShadow  = "/etc/shadow"
	dpkgStatus  = "/var/lib/dpkg/status"
	pveKeys     = "/etc/pve/priv/authorized_keys"
	rootKeys    = "/root/.ssh/authorized_keys"
	corosyncPVE = "/etc/pve/corosync.conf"
)

// state is one side of a window: the accounts and the SSH server as the files describe them.
type state struct {
	r   host.Reader
	now time.Time

	users   []passwd.User
	groups  []passwd.Group
	userErr error

	shadow    []passwd.Shadow
	shadowErr error
}

// newState reads the accounts.
func newState(r host.Reader, now time.Time) *state {
	st := &state{r: r, now: now}
	b, err := r.ReadFile(filePasswd)
	if err == nil {
		st.users, err = passwd.ParseUsers(b)
	}
	if err == nil {
		if b, err = r.ReadFile(fileGroup); err == nil {
			st.groups, err = passwd.ParseGroups(b)
		}
	}
	st.userErr = err
	if b, st.shadowErr = r.ReadFile(fileShadow); st.shadowErr == nil {
		st.shadow, st.shadowErr = passwd.ParseShadow(b)
	}
	return st
}

// user finds an account. The first line of a name counts, as for getpwnam(3).
func (st *state) user(name string) (passwd.User, error) {
	if st.userErr != nil {
		return passwd.User{}, st.userErr
	}
	i := slices.IndexFunc(st.users, func(u passwd.User) bool { return u.Name == name })
	if i < 0 {
		return passwd.User{}, fmt.Errorf("there is no account %s in %s", name, filePasswd)
	}
	return st.users[i], nil
}

// groupsOf lists the groups of an account, the primary one first.
func (st *state) groupsOf(u passwd.User) []string {
	var out []string
	for _, g := range st.groups {
		if g.GID == u.GID {
			out = append(out, g.Name)
		}
	}
	for _, g := range st.groups {
		if g.GID != u.GID && slices.Contains(g.Members, u.Name) {
			out = append(out, g.Name)
		}
	}
	return out
}

// password tells whether an account has a password that lets it in.
func (st *state) password(u passwd.User) (passwd.PasswordState, error) {
	switch {
	case u.NoField:
		return passwd.Empty, nil
	case !u.Shadowed:
		return passwd.None, fmt.Errorf("the password of %s stands in %s itself or is locked there", u.Name, filePasswd)
	case st.shadowErr != nil:
		return passwd.None, st.shadowErr
	}
	for _, s := range st.shadow {
		if s.Name == u.Name {
			return s.State, nil
		}
	}
	return passwd.None, fmt.Errorf("%s has no line in %s", u.Name, fileShadow)
}

// aged tells whether an account or its password is too old to be let in, by key or by password (shadow(5); pam_unix(8),
// account). An empty text is good news.
func (st *state) aged(u passwd.User) (string, error) {
	if !u.Shadowed {
		return "", nil
	}
	if st.shadowErr != nil {
		return "", st.shadowErr
	}
	for _, s := range st.shadow {
		if s.Name != u.Name {
			continue
		}
		where := fmt.Sprintf("%s:%d", fileShadow, s.Line)
		if !s.Expire.IsZero() && !st.now.Before(s.Expire) {
			return "the account expired on " + s.Expire.Format(time.DateOnly) + " (" + where + ")", nil
		}
		if s.Max >= 0 && s.Inactive >= 0 && !s.LastChange.IsZero() {
			if end := s.LastChange.AddDate(0, 0, s.Max+s.Inactive); st.now.After(end) {
				return "the password expired and its time of grace ended on " + end.Format(time.DateOnly) + " (" + where + ")", nil
			}
		}
		return "", nil
	}
	return "", fmt.Errorf("%s has no line in %s", u.Name, fileShadow)
}

// shellProblem says why the shell of an account ends a login at once, empty when it does not. sshd refuses an account whose
// shell is missing or cannot be run (allowed_user in OpenSSH's auth.c).
func (st *state) shellProblem(u passwd.User) string {
	shell := u.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	where := fmt.Sprintf("%s:%d", filePasswd, u.Line)
	if slices.Contains([]string{"nologin", "false", "true", "sync", "shutdown", "halt"}, path.Base(shell)) {
		return "the shell " + shell + " lets nobody work (" + where + ")"
	}
	if _, err := st.r.Stat(path.Dir(shell)); err != nil && host.NotExist(err) {
		return "" // a copy of parts of a host, without its programs
	}
	f, err := st.r.Stat(shell)
	switch {
	case err != nil && host.NotExist(err):
		return "the shell " + shell + " does not exist (" + where + ")"
	case err != nil:
		return "the shell cannot be looked at: " + err.Error()
	case f.Type != host.Regular || !f.OwnerUnknown && f.Mode&0o111 == 0:
		return "the shell " + shell + " is no program (" + where + ")"
	}
	return ""
}

// releases are the releases of OpenSSH that the server may be of: one when it is known, else those of Debian 12 and 13.
// Installed is false when dpkg says that there is no server.
func (st *state) releases() (list []sshd.Release, installed bool) {
	both := []sshd.Release{{Major: 9, Minor: 2, Update: -1}, {Major: 10, Minor: 0, Update: -1}}
	if b, err := st.r.ReadFile(dpkgStatus); err == nil && bytes.Contains(b, []byte("Package: openssh-server\n")) {
		packages, err := dpkg.ParseStatus(b)
		if err != nil {
			return both, true
		}
		for _, p := range packages {
			if p.Name != "openssh-server" || !p.Installed() {
				continue
			}
			if r, err := sshd.ParsePackageVersion(p.Version); err == nil {
				return []sshd.Release{r}, true
			}
			return both, true
		}
		return nil, false
	} else if err == nil && len(b) > 0 {
		return nil, false
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := st.r.ReadFile(name)
		if err != nil {
			continue
		}
		values, _ := osrelease.Parse(b)
		switch values["VERSION_CODENAME"] {
		case "bookworm":
			return both[:1], true
		case "trixie":
			return both[1:], true
		}
	}
	return both, true
}

// configs evaluates the configuration of the server under each release that it may be of.
func (st *state) configs() ([]*sshd.Config, error) {
	list, installed := st.releases()
	if !installed {
		return nil, nil
	}
	var out []*sshd.Config
	for _, r := range list {
		c, err := sshd.Load(sshd.MainFile, sshFiles(st.r), r)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// sshFiles lets the evaluator read through a host as glob(3) and fopen(3) would.
func sshFiles(r host.Reader) sshd.Files {
	return sshd.Files{
		Read: func(name string) ([]byte, error) {
			b, err := r.ReadFile(name)
			if errors.Is(err, host.ErrNotRegular) {
				if st, statErr := r.Stat(name); statErr == nil && st.Type == host.Dir {
					return nil, nil
				}
			}
			return b, err
		},
		Glob: func(pattern string) ([]string, error) {
			pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "**", "*"), "[!", "[^")
			list, err := r.List(pattern)
			if err != nil {
				return nil, err
			}
			var out []string
			for _, f := range list {
				if !strings.HasPrefix(path.Base(f.Path), ".") || strings.HasPrefix(path.Base(pattern), ".") {
					out = append(out, f.Path)
				}
			}
			return out, nil
		},
	}
}

// one returns the value of a keyword that has one, in lower case, and where it stands.
func one(s sshd.Settings, key string) (value, where string) {
	v := s[key]
	if len(v.Values) > 0 {
		value = strings.ToLower(v.Values[0])
	}
	return value, source(v.Source)
}
