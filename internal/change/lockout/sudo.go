package lockout

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sudoers"
	"github.com/castellan-project/castellan/internal/host"
)

const fileSudoers = "/etc/sudoers"

// sudoFiles lets the parser of sudoers read through a host.
type sudoFiles struct{ r host.Reader }

func (s sudoFiles) Read(name string) ([]byte, error) { return s.r.ReadFile(name) }

func (s sudoFiles) Dir(name string) ([]string, error) {
	list, err := s.r.List(strings.TrimSuffix(name, "/") + "/*")
	var out []string
	for _, f := range list {
		out = append(out, f.Path)
	}
	return out, err
}

// sudoOf judges whether sudo gives an account everything as root. The last rule that fits decides (sudoers(5)).
func sudoOf(st, before *state, u passwd.User) judgement {
	config, err := sudoers.Parse(fileSudoers, sudoFiles{st.r})
	if err != nil {
		if host.NotExist(err) {
			return refuse("there is no %s", fileSudoers)
		}
		return refuse("what sudo allows cannot be told: %v", err).in(fileSudoers)
	}
	if len(config.Problems) > 0 {
		return refuse("sudo refuses its files: %s (visudo -c shows the lines)", config.Problems[0]).in(config.Problems[0])
	}
	if why := st.sudoMode(); why != "" {
		return refuse("%s", why)
	}
	groups := st.groupsOf(u)
	var last *sudoers.Rule
	for i, r := range config.Rules {
		if !fits(r.Users, u, groups, st.groups) {
			continue
		}
		switch {
		case r.Everything() && slices.Contains(r.Hosts, "ALL"):
			last = &config.Rules[i]
		case r.Command == "!ALL":
			last = nil
		}
	}
	if last == nil {
		return refuse("no rule of sudo gives %s everything as root", u.Name).in(fileSudoers).adding("%s to the group sudo", u.Name)
	}
	at := where(last.File, last.Line)
	phases := []string{"account"}
	if free, ok := config.Last("authenticate"); !last.NoPasswd && (!ok || !free.Off) {
		phases = append(phases, "auth")
		if j := sudoPassword(st, config, u, at); !j.ok {
			return j
		}
	}
	if j := pamAdmits(st, before, "sudo", u, phases); !j.ok {
		return j
	}
	return admit("becomes root by sudo (%s)", at)
}

// sudoPassword asks whether the account has the password that sudo asks for: its own, or that of the target (rootpw,
// targetpw, runaspw).
func sudoPassword(st *state, config sudoers.Config, u passwd.User, at string) judgement {
	who := u
	for _, name := range []string{"rootpw", "targetpw", "runaspw"} {
		if d, ok := config.Last(name); ok && !d.Off {
			root, err := st.user("root")
			if err != nil {
				return refuse("%v", err)
			}
			who = root
		}
	}
	state, err := st.password(who)
	switch {
	case err != nil:
		return refuse("sudo asks for the password of %s (%s), and whether there is one cannot be told: %v", who.Name, at, err).in(fileShadow)
	case state != passwd.Set:
		return refuse("sudo asks for the password of %s (%s), and it has none that can be used (it is %s in %s)", who.Name, at, state, fileShadow).
			in(fileShadow).adding("a password: passwd %s", who.Name)
	}
	return judgement{ok: true}
}

// sudoMode says why sudo would not run, or not read its main file: without its set-user-ID bit, or with a file that others
// can write (sudoers(5), "sudoers file mode").
func (st *state) sudoMode() string {
	if f, err := st.r.Stat("/usr/bin/sudo"); err == nil && !f.OwnerUnknown && f.Mode&0o4000 == 0 {
		return "/usr/bin/sudo has no set-user-ID bit"
	}
	if f, err := st.r.Stat(fileSudoers); err == nil && !f.OwnerUnknown && (f.UID != 0 || f.Mode&0o022 != 0) {
		return "sudo refuses " + fileSudoers + ": it belongs to somebody else than root, or others can write it"
	}
	return ""
}

// fits reports whether a list of users holds an account; the last word that fits decides (sudoers(5)).
func fits(list []string, u passwd.User, groups []string, all []passwd.Group) bool {
	hit := false
	for _, w := range list {
		name, negated := strings.CutPrefix(w, "!")
		ok := name == "ALL" || name == u.Name || name == "#"+strconv.Itoa(u.UID)
		if g, is := strings.CutPrefix(name, "%"); is {
			ok = slices.Contains(groups, g) || slices.ContainsFunc(all, func(x passwd.Group) bool {
				return g == "#"+strconv.Itoa(x.GID) && slices.Contains(groups, x.Name)
			})
		}
		if ok {
			hit = !negated
		}
	}
	return hit
}
