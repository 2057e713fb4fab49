package lockout

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/debian/sshd"
)

// login is one attempt to log in to one side of a window.
type login struct {
	st     *state
	config *sshd.Config
	op     change.Operator
	addr   netip.Addr
	local  string
	// node is set for another member of the cluster: then the keys named root@NODE count.
	node string
	// socket is set when systemd listens for the server (ssh.socket): Port and ListenAddress mean nothing then.
	socket bool
	// before is the same login before the window, for the operator of the present session.
	before *login

	user passwd.User
	s    sshd.Settings
}

// connection is what Match compares with. Without a user's group file no group matches.
func (l *login) connection() sshd.Connection {
	return sshd.Connection{User: l.op.User, Groups: l.st.groupsOf(l.user), KnownUser: true, Host: l.addr.String(), Address: l.addr.String(),
		LocalAddress: l.local, LocalPort: port(l.op)}
}

// judge follows sshd through a login: configuration, listening, lists, account, methods.
func (l *login) judge() judgement {
	var err error
	if l.user, err = l.st.user(l.op.User); err != nil {
		return refuse("%v", err).in(filePasswd)
	}
	if !l.config.Valid() {
		p := l.config.Problems[0]
		return refuse("sshd would not start: %s", p).in(p.File)
	}
	conn := l.connection()
	if l.s, err = l.config.For(conn); err != nil {
		return refuse("what sshd does cannot be told: %v", err).in(sshd.MainFile)
	}
	for _, check := range []func() judgement{l.listens, l.names, func() judgement { return l.lists(conn) }, l.account, l.crypto, l.shell} {
		if j := check(); !j.ok {
			return j
		}
	}
	return l.methods()
}

// listens tells whether the server still listens where the operator comes in.
func (l *login) listens() judgement {
	if l.socket {
		return judgement{ok: true}
	}
	v := l.s["listenaddress"]
	want := port(l.op)
	if v.Err != nil {
		return refuse("where sshd listens cannot be told: %v", v.Err).in(v.Source).adding("an address in ListenAddress instead of a name")
	}
	portHere := false
	for _, text := range v.Values {
		ap, err := netip.ParseAddrPort(text)
		if err != nil || int(ap.Port()) != want {
			continue
		}
		portHere = true
		a := ap.Addr()
		own, ownErr := netip.ParseAddr(l.local)
		switch {
		case a.Unmap().Is4() != l.addr.Is4():
		case a.IsUnspecified():
			return judgement{ok: true}
		case ownErr == nil && a.Unmap() == own.Unmap():
			return judgement{ok: true}
		}
	}
	if portHere {
		return refuse("sshd listens on %s only (%s)", strings.Join(v.Values, ", "), source(v.Source)).in(v.Source).
			adding("ListenAddress with the address that %s connects to, port %d", l.op.Words(), want)
	}
	where := l.s["port"].Source
	if where == "" {
		where = v.Source
	}
	return refuse("sshd no longer listens on port %d but on %s (%s)", want, strings.Join(v.Values, ", "), source(where)).in(where).
		adding("a line \"Port %d\" as well, until nobody comes by it any more", want)
}

// names refuses what depends on the client's name in the DNS, which nobody can foretell.
func (l *login) names() judgement {
	if v, where := one(l.s, "usedns"); v != "yes" {
		return judgement{ok: true}
	} else if d, ok := asksHost(l.config); ok {
		return refuse("with UseDNS yes (%s) the name of the client decides (%s), and that cannot be told", where, d.Source()).in(d.File).
			adding("UseDNS no, and addresses instead of names")
	}
	return judgement{ok: true}
}

// asksHost finds a line that compares the client's name: Match Host, user@pattern.
func asksHost(c *sshd.Config) (sshd.Directive, bool) {
	for _, d := range c.Directives {
		low := strings.ToLower(d.Value)
		if d.Name == "match" && strings.Contains(low, "host") ||
			(d.Name == "allowusers" || d.Name == "denyusers") && strings.Contains(d.Value, "@") {
			return d, true
		}
	}
	return sshd.Directive{}, false
}

// lists asks AllowUsers and its like.
func (l *login) lists(conn sshd.Connection) judgement {
	ok, by := l.config.Admits(l.s, conn)
	if ok {
		return judgement{ok: true}
	}
	word := map[string]string{"denyusers": "DenyUsers", "allowusers": "AllowUsers", "denygroups": "DenyGroups", "allowgroups": "AllowGroups",
		"refuseconnection": "RefuseConnection"}[by]
	v := l.s[by]
	j := refuse("%s %s (%s) keeps %s out", word, strings.Join(v.Values, " "), source(v.Source), l.op.Words()).in(v.Source)
	switch by {
	case "allowusers":
		return j.adding("%s to AllowUsers", l.op.User)
	case "allowgroups":
		return j.adding("%s to one of the groups %s, or one of the groups %s to AllowGroups", l.op.User, strings.Join(v.Values, ", "),
			strings.Join(conn.Groups, ", "))
	}
	j.why += "; take it out there"
	return j
}

// account asks whether the account itself lets anybody in.
func (l *login) account() judgement {
	if text := l.st.shellProblem(l.user); text != "" {
		return refuse("%s", text).in(filePasswd)
	}
	pam, where := one(l.s, "usepam")
	if pam != "yes" {
		// Without PAM sshd itself refuses accounts whose password begins with "!", also by key (auth.c, platform_locked_account).
		state, err := l.st.password(l.user)
		if err != nil {
			return refuse("with UsePAM no (%s) sshd refuses locked accounts, and whether %s is locked cannot be told: %v", where, l.op.User, err)
		}
		if state == passwd.Locked || state == passwd.None {
			return refuse("with UsePAM no (%s) sshd refuses accounts with a locked password, and %s has one", where, l.op.User).
				in(l.s["usepam"].Source).adding("UsePAM yes")
		}
	}
	text, err := l.st.aged(l.user)
	if err != nil {
		return refuse("whether the account is still good cannot be told: %v", err).in(fileShadow)
	}
	if text != "" {
		return refuse("%s", text).in(fileShadow).adding("a later date: chage -E -1 %s", l.op.User)
	}
	return judgement{ok: true}
}

// shell asks whether somebody who is let in can work: a forced command, a changed root or no session leaves nothing.
func (l *login) shell() judgement {
	for _, x := range []struct{ key, word, bad string }{
		{"forcecommand", "ForceCommand", ""}, {"chrootdirectory", "ChrootDirectory", ""}, {"permittty", "PermitTTY", "no"}, {"maxsessions", "MaxSessions", "0"},
	} {
		v, where := one(l.s, x.key)
		if v == "" || v == "none" || x.bad != "" && v != x.bad {
			continue
		}
		value := v
		if x.key == "forcecommand" {
			value = "..." // a command may hold a secret
		}
		return refuse("%s %s (%s) leaves %s no shell", x.word, value, where, l.op.Words()).in(l.s[x.key].Source)
	}
	return judgement{ok: true}
}

// way is one method of logging in: works says that it does, how describes it.
type way struct {
	works bool
	text  string // how it works, or what stands against it
	j     judgement
	// keys counts the keys that work, for lists that ask for two.
	keys int
}

// methods finds a list of methods that lets the operator in. What he did not show to have (another key, a password when he
// came by key) counts only as a second factor, in a list that also holds what he showed, or when nothing is known of him.
func (l *login) methods() judgement {
	key := l.byKey()
	secret := l.byPassword("passwordauthentication", "PasswordAuthentication")
	kbd := l.byPassword("kbdinteractiveauthentication", "KbdInteractiveAuthentication")
	lists := strings.Fields(strings.Join(l.s["authenticationmethods"].Values, " "))
	if len(lists) == 0 || len(lists) == 1 && strings.EqualFold(lists[0], "any") {
		lists = []string{"publickey", "password", "keyboard-interactive"}
	}
	shown := l.shown()
	var against []judgement
	for _, list := range lists {
		j := tryList(list, shown, key, secret, kbd)
		if j.ok {
			where := ""
			if v := l.s["authenticationmethods"]; v.Source != "" {
				where = "; AuthenticationMethods " + list + " (" + v.Source + ")"
			}
			j.why += l.rootText() + where
			return j
		}
		if j.why != "" {
			against = append(against, j)
		}
	}
	if len(against) == 0 {
		v := l.s["authenticationmethods"]
		return refuse("%s came by %s, which AuthenticationMethods %s (%s) does not take", l.op.Words(), strings.Join(shown, " or "),
			strings.Join(lists, " "), source(v.Source)).in(v.Source)
	}
	if len(shown) == 0 && len(against) > 1 {
		texts := []string{}
		for _, a := range against {
			if !slices.Contains(texts, a.why) {
				texts = append(texts, a.why)
			}
		}
		against[0].why = "no way of logging in works: " + strings.Join(texts, "; ")
	}
	return against[0]
}

// shown are the methods that the operator is known to master; empty when nothing is known.
func (l *login) shown() []string {
	switch m := strings.ToLower(l.op.Method); {
	case l.op.Key != "" || strings.HasPrefix(m, "publickey"), l.node != "":
		return []string{"publickey"}
	case strings.HasPrefix(m, "password"), strings.HasPrefix(m, "keyboard-interactive"):
		return []string{"password", "keyboard-interactive"} // the same secret, asked for in two ways
	case m != "":
		return []string{m}
	}
	return nil
}

// tryList judges one list of AuthenticationMethods. An empty reason says that the list is not for this operator.
func tryList(list string, shown []string, key, secret, kbd way) judgement {
	methods := strings.Split(strings.ToLower(list), ",")
	for i, m := range methods {
		methods[i], _, _ = strings.Cut(m, ":")
	}
	if len(shown) > 0 && !slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(shown, m) }) {
		return judgement{}
	}
	var texts []string
	keys := 0
	for i, m := range methods {
		var w way
		switch m {
		case "publickey":
			w = key
			keys++
			if keys > 1 && w.works && w.keys < keys {
				return refuse("the list %s asks for %d different keys", list, keys)
			}
		case "password":
			w = secret
		case "keyboard-interactive":
			w = kbd
		default:
			return refuse("whether the method %s works cannot be told", m)
		}
		_, device, _ := strings.Cut(strings.Split(strings.ToLower(list), ",")[i], ":")
		if m == "keyboard-interactive" && device != "" && device != "pam" {
			return refuse("the device %s of keyboard-interactive does not exist on Linux", device)
		}
		if !w.works {
			return w.j
		}
		texts = append(texts, w.text)
	}
	return admit("%s", strings.Join(slices.Compact(texts), " and "))
}

// rootText says through which setting root comes in.
func (l *login) rootText() string {
	if l.user.UID != 0 {
		return ""
	}
	v, where := one(l.s, "permitrootlogin")
	if v == "without-password" {
		v = "prohibit-password"
	}
	return fmt.Sprintf(" through PermitRootLogin %s, %s", v, where)
}

// rootRefusal says why PermitRootLogin stands against a method; every account with the number 0 is root to sshd
// (auth_root_allowed in OpenSSH's auth.c, asked for every method of a list).
func (l *login) rootRefusal(method string) (judgement, bool) {
	if l.user.UID != 0 {
		return judgement{}, false
	}
	v, where := one(l.s, "permitrootlogin")
	switch {
	case v == "yes", method == "publickey" && (v == "prohibit-password" || v == "without-password"):
		return judgement{}, false
	case v == "forced-commands-only" && method == "publickey":
		return refuse("PermitRootLogin forced-commands-only (%s) gives root forced commands and no shell", where).in(l.s["permitrootlogin"].Source), true
	}
	if v == "without-password" {
		v = "prohibit-password"
	}
	return refuse("PermitRootLogin %s (%s) keeps %s out by %s", v, where, l.op.Words(), method).in(l.s["permitrootlogin"].Source).
		adding("PermitRootLogin prohibit-password and a key for root, in a Match block for the address, or another account for the work"), true
}

// byPassword judges password and keyboard-interactive, which ask for the same secret of the account.
func (l *login) byPassword(key, word string) way {
	method := "password"
	if key != "passwordauthentication" {
		method = "keyboard-interactive"
	}
	if v, where := one(l.s, key); v != "yes" {
		return way{j: refuse("%s no (%s), and %s comes by a password", word, where, l.op.Words()).in(l.s[key].Source).
			adding("a key of yours in authorized_keys of %s, and log in with it once", l.op.User)}
	}
	if pam, where := one(l.s, "usepam"); pam != "yes" && method == "keyboard-interactive" {
		return way{j: refuse("keyboard-interactive asks PAM, and UsePAM is no (%s)", where).in(l.s["usepam"].Source)}
	}
	if j, no := l.rootRefusal(method); no {
		return way{j: j}
	}
	state, err := l.st.password(l.user)
	switch {
	case err != nil:
		return way{j: refuse("whether %s has a password cannot be told: %v", l.op.User, err).in(fileShadow)}
	case state == passwd.Empty:
		return way{j: refuse("%s has an empty password, which is none", l.op.User).in(fileShadow)}
	case state != passwd.Set:
		return way{j: refuse("%s has no password that can be used (it is %s in %s)", l.op.User, state, fileShadow).in(fileShadow)}
	}
	_, where := one(l.s, key)
	return way{works: true, text: fmt.Sprintf("by password (%s yes, %s)", word, where)}
}
