package lockout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/host"
)

// accountsGuard judges whether the accounts of the operators still let them in and let them work: the account, its shell,
// its age, PAM, and sudo for whoever is not root.
type accountsGuard struct{}

// Judge implements [change.Guard].
func (accountsGuard) Judge(c change.Case) []change.Verdict {
	_, purged := stops(c, nil, []string{"sudo", "libpam-runtime", "libpam-modules", "login", "passwd"})
	if !purged && !touches(c, filePasswd, fileShadow, fileGroup, "/etc/gshadow", "/etc/pam.d/", "/etc/security/*.conf", "/etc/sudoers", "/etc/sudoers.d/",
		"/etc/nologin", "/run/nologin", "/var/run/nologin", "/etc/shells", "/usr/bin/sudo", "/usr/bin/su", "/etc/nsswitch.conf") {
		return nil
	}
	after, before := newState(c.After, c.Now), newState(c.Before, c.Now)
	if !c.Target.Live && host.NotExist(after.userErr) && host.NotExist(before.userErr) {
		return nil // a copy of parts of a host, without its accounts
	}
	var out []change.Verdict
	for _, o := range c.Operators {
		j := accountOf(c, after, before, o)
		if !j.ok {
			j = afterwards(j, func() judgement { return accountOf(c, before, before, o) })
		}
		out = append(out, j.verdict("accounts", o.Words()))
	}
	return out
}

// accountOf judges one operator on one side; before is the other side, against which modules of PAM that are not understood
// are compared.
func accountOf(c change.Case, st, before *state, o change.Operator) judgement {
	u, err := st.user(o.User)
	if err != nil {
		return refuse("%v", err).in(filePasswd)
	}
	if text := st.shellProblem(u); text != "" {
		return refuse("%s", text).in(filePasswd)
	}
	text, err := st.aged(u)
	if err != nil {
		return refuse("whether the account is still good cannot be told: %v", err).in(fileShadow)
	}
	if text != "" {
		return refuse("%s", text).in(fileShadow).adding("a later date: chage -E -1 %s", u.Name)
	}
	if p := touched(c, "/etc/nsswitch.conf"); p != "" && st != before {
		return refuse("where accounts are looked up changes (%s), and what is found there cannot be told", p).in(p)
	}
	secret := byPassword(o)
	state, err := st.password(u)
	if secret && (err != nil || state != passwd.Set) {
		if err != nil {
			return refuse("whether %s has a password cannot be told: %v", u.Name, err).in(fileShadow)
		}
		return refuse("%s comes by a password, and that of the account cannot be used (it is %s in %s)", u.Name, state, fileShadow).in(fileShadow).
			adding("a key for %s, and log in with it once", u.Name)
	}
	if j := nologin(st, u); !j.ok {
		return j
	}
	phases := []string{"account"}
	if secret || o.Method == "" && o.Key == "" {
		phases = append(phases, "auth")
	}
	if j := pamAdmits(st, before, "sshd", u, phases); !j.ok {
		return j
	}
	if u.UID == 0 {
		return admit("the account %s is good, its shell and PAM let it in", u.Name)
	}
	return becomesRoot(c, st, before, u)
}

// byPassword reports whether an operator is known to come by a password.
func byPassword(o change.Operator) bool {
	m := strings.ToLower(o.Method)
	return o.Key == "" && (strings.HasPrefix(m, "password") || strings.HasPrefix(m, "keyboard-interactive"))
}

// nologin asks for the file that keeps everybody but root out (nologin(5)).
func nologin(st *state, u passwd.User) judgement {
	if u.UID == 0 {
		return judgement{ok: true}
	}
	for _, name := range []string{"/etc/nologin", "/run/nologin", "/var/run/nologin"} {
		_, err := st.r.Stat(name)
		if err == nil {
			return refuse("%s keeps everybody but root out; remove it", name).in(name)
		}
		if !host.NotExist(err) {
			return refuse("whether %s keeps everybody but root out cannot be told: %v", name, err).in(name)
		}
	}
	return judgement{ok: true}
}

// becomesRoot judges sudo for an account that is not root. Who had no sudo before has lost none.
func becomesRoot(c change.Case, st, before *state, u passwd.User) judgement {
	after := sudoOf(st, before, u)
	if x, ok := stops(c, nil, []string{"sudo"}); ok && st != before {
		after = refuse("%s removes the package sudo", x.Control)
	}
	if after.ok {
		return admit("the account %s is good, and %s", u.Name, after.why)
	}
	was, err := before.user(u.Name)
	if err != nil {
		was = u
	}
	if st != before && !sudoOf(before, before, was).ok {
		if suOf(before, was) && !suOf(st, u) {
			return refuse("%s becomes root by su, and could no longer (pam_wheel in /etc/pam.d/su, or the password of root)", u.Name).in("/etc/pam.d/su").
				adding("%s to the group that pam_wheel asks for", u.Name)
		}
		return admit("the account %s is good; it had no sudo before this plan either", u.Name)
	}
	if st == before {
		return admit("the account %s is good", u.Name)
	}
	return refuse("%s gets in and can no longer become root: %s", u.Name, after.why).in(after.path).adding("%s", or(after.add, u.Name+" to the group sudo"))
}

// suOf tells whether an account becomes root by su: root has a password, and pam_wheel, where it is asked, finds the account
// in its group (pam_wheel(8); without a name the group wheel, or the one with the number 0).
func suOf(st *state, u passwd.User) bool {
	root, err := st.user("root")
	if err != nil {
		return false
	}
	if state, err := st.password(root); err != nil || state != passwd.Set {
		return false
	}
	entries, err := st.stack("su")
	if err != nil {
		return false
	}
	groups := st.groupsOf(u)
	for _, e := range entries {
		if e.Type != "auth" || e.Module != "pam_wheel.so" || !e.Binding() {
			continue
		}
		want, ok := e.Arg("group")
		if !ok {
			want = "wheel"
			if !slices.ContainsFunc(st.groups, func(g passwd.Group) bool { return g.Name == "wheel" }) {
				want = "root"
			}
		}
		if slices.Contains(groups, want) == e.Flag("deny") {
			return false
		}
	}
	return true
}

// where words file and line of something.
func where(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }
