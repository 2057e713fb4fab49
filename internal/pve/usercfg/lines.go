package usercfg

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/pve"
)

// expiry reads a time of expiry; missing means never.
func expiry(s string) (text string, seconds int64, ok bool) {
	if !pve.Truth(s) {
		return "0", 0, true
	}
	if !digits(s) {
		return "", 0, false
	}
	text = perlInt(s)
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		seconds = math.MaxInt64
	}
	return text, seconds, true
}

// perlInt is Perl's int() of digits, as it is printed: without leading zeros, and as a floating point number when it does
// not fit into 64 bits.
func perlInt(s string) string {
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return "0"
	}
	if len(s) <= 20 {
		if _, err := strconv.ParseUint(s, 10, 64); err == nil {
			return s
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	if math.IsInf(f, 0) {
		return "Inf"
	}
	return strconv.FormatFloat(f, 'g', 15, 64)
}

// text decodes a comment or name; "0" is false to Perl and therefore nothing.
func text(s string) string {
	if !pve.Truth(s) {
		return ""
	}
	s = pve.DecodeText(s)
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			n = malformed(s)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// malformed is how many bytes at the start of s are one malformed character: a first byte with those that could follow it.
// Each becomes one U+FFFD.
func malformed(s string) int {
	want := 1
	switch c := s[0]; {
	case c >= 0xf0 && c <= 0xf4:
		want = 4
	case c >= 0xe0 && c < 0xf0:
		want = 3
	}
	n := 1
	for n < want-1 && n < len(s) && s[n]&0xc0 == 0x80 {
		n++
	}
	return n
}

func (p *parser) user(f []string) {
	id := f[0]
	if !ValidUser(id) {
		p.skip("user %q: no valid name; it is name@realm, 3 to 64 characters", clip(id))
		return
	}
	expire, seconds, ok := expiry(f[2])
	if !ok {
		p.skip("user %q: expire %q is no number of seconds, so that the whole user is dropped", clip(id), clip(f[2]))
		return
	}
	if old := p.c.Users[id]; old != nil && old.Line > 0 {
		var lost []string
		for name := range old.Tokens {
			lost = append(lost, name)
		}
		slices.Sort(lost)
		what := "the line before it, " + strconv.Itoa(old.Line) + ", does not count"
		if len(lost) > 0 {
			what += ", and the tokens that stand before are gone: " + clip(strings.Join(lost, ", "))
		}
		p.note(RepeatedUser, id, "user "+id+" is defined again: "+what)
	}
	u := &User{ID: id, Enabled: pve.Truth(f[1]), Expire: seconds, expire: expire, FirstName: text(f[3]), LastName: text(f[4]),
		Comment: text(f[6]), Line: p.line}
	if pve.Truth(f[5]) {
		u.Email = f[5]
	}
	if pve.Truth(f[7]) {
		u.keys = f[7]
	}
	p.c.Users[id] = u
}

func (p *parser) token(f []string) {
	owner, name, ok := SplitToken(f[0])
	if !ok || !pve.Truth(name) {
		p.skip("token %q: no valid name; it is user@realm!name", clip(f[0]))
		return
	}
	expire, seconds, ok := expiry(f[1])
	if !ok {
		p.skip("token %q: expire %q is no number of seconds, so that the token is dropped", clip(f[0]), clip(f[1]))
		return
	}
	u, ok := p.c.Users[owner]
	if !ok {
		p.skip("token %q: there is no such user above this line", clip(f[0]))
		return
	}
	if u.Tokens == nil {
		u.Tokens = map[string]*Token{}
	}
	t := u.Tokens[name]
	if t == nil {
		t = &Token{ID: f[0], User: owner, Name: name, Line: p.line}
		u.Tokens[name] = t
	}
	t.Expire, t.expire, t.Separated = seconds, expire, pve.Truth(f[2])
	if c := text(f[3]); c != "" {
		t.Comment = c
	}
}

func (p *parser) group(f []string) {
	id := f[0]
	if !validName(id) {
		p.skip("group %q: the name may hold letters, digits, '.', '-' and '_'", clip(id))
		return
	}
	g := p.c.Groups[id]
	if g == nil {
		g = &Group{ID: id, Members: map[string]bool{}, Line: p.line}
		p.c.Groups[id] = g
	}
	if c := text(f[2]); c != "" {
		g.Comment = c
	}
	for _, m := range list(f[1]) {
		if !ValidUser(m) {
			p.skip("group %q: the member %q is no valid user name", clip(id), clip(m))
			continue
		}
		if p.c.Users[m] == nil {
			p.warn("group %q: there is no user %q above this line; whoever gets this name is a member", clip(id), clip(m))
		}
		g.Members[m] = true
	}
}

func (p *parser) role(f []string) {
	id := f[0]
	if !validName(id) {
		p.skip("role %q: the name may hold letters, digits, '.', '-' and '_'", clip(id))
		return
	}
	r := p.c.Roles[id]
	if r == nil {
		r = &Role{ID: id}
		p.c.Roles[id] = r
	}
	if r.Line == 0 {
		r.Line = p.line
	}
	var added Privs
	for _, name := range list(f[1]) {
		priv, ok := PrivOf(name)
		if !ok || priv&p.valid == 0 {
			p.skip("role %q: there is no privilege %q in PVE %d", clip(id), clip(name), p.c.Release)
			continue
		}
		if r.Builtin {
			added |= priv &^ r.Privs
		}
		r.Privs |= priv
	}
	if r.Builtin {
		r.Added |= added
		what := "adds nothing, but the name is that of a built-in role"
		if added != 0 {
			what = "gives it also " + strings.Join(added.Names(), ", ") +
				"; the daemons obey and keep it until they restart, and the next change through the interface deletes the line"
		}
		p.note(BuiltinRole, id, "the built-in role "+id+" is changed by hand: the line "+what)
	}
}

func (p *parser) pool(f []string) {
	id := f[0]
	if !validPool(id) {
		p.skip("pool %q: no valid name; it has up to three parts of letters, digits, '.', '-' and '_' divided by '/'", clip(id))
		return
	}
	pool := p.addPool(id)
	if pool.Line == 0 {
		pool.Line = p.line
	}
	for parent := id; strings.Contains(parent, "/"); {
		parent = parent[:strings.LastIndexByte(parent, '/')]
		p.addPool(parent)
	}
	if c := text(f[1]); c != "" {
		pool.Comment = c
	}
	for _, v := range list(f[2]) {
		if !digits(v) {
			p.skip("pool %q: %q is no VMID", clip(id), clip(v))
			continue
		}
		v = perlInt(v)
		if owner := p.c.vmPool[v]; pve.Truth(owner) {
			p.skip("pool %q: guest %s is already in the pool %q", clip(id), clip(v), clip(owner))
			continue
		}
		pool.VMs[v] = true
		p.c.vmPool[v] = id
	}
	for _, s := range list(f[3]) {
		if !validStorage(s) {
			p.skip("pool %q: %q is no name of a storage", clip(id), clip(s))
			continue
		}
		pool.Storages[s] = true
	}
}

func (p *parser) addPool(id string) *Pool {
	pool := p.c.Pools[id]
	if pool == nil {
		pool = &Pool{ID: id, VMs: map[string]bool{}, Storages: map[string]bool{}}
		p.c.Pools[id] = pool
	}
	return pool
}

// member is one element of the member list of an ACL line, judged once for all roles of the line.
type member struct {
	name    string
	kind    byte // 'g', 'u', 't', or 0 for what is skipped
	problem string
}

func (p *parser) member(ug string) member {
	if group := strings.TrimPrefix(ug, "@"); group != ug && pve.Truth(group) && validName(group) {
		m := member{name: group, kind: 'g'}
		if p.c.Groups[group] == nil {
			m.problem = "there is no group " + strconv.Quote(clip(group)) + " above this line; the entry stays and counts once there is one"
		}
		return m
	}
	if ValidUser(ug) {
		m := member{name: ug, kind: 'u'}
		if p.c.Users[ug] == nil {
			m.problem = "there is no user " + strconv.Quote(clip(ug)) + " above this line; the entry stays and counts once there is one"
		}
		return m
	}
	if _, _, ok := p.c.Token(ug); ok {
		return member{name: ug, kind: 't'}
	}
	return member{problem: strconv.Quote(clip(ug)) + " is no user, group or token above this line"}
}

func (p *parser) acl(f []string) {
	path, ok := NormalizePath(f[1])
	if !ok {
		p.skip("acl: %q is no path", clip(f[1]))
		return
	}
	key := treePath(path)
	propagate := pve.Truth(f[0])
	roles := list(f[3])
	if len(roles) == 0 {
		return
	}
	var members []member
	for _, ug := range list(f[2]) {
		members = append(members, p.member(ug))
	}
	for _, role := range roles {
		switch {
		case !validName(role):
			p.skip("acl %s: %q is no name of a role", clip(path), clip(role))
			continue
		case p.c.Roles[role] == nil:
			p.skip("acl %s: there is no role %q above this line", clip(path), clip(role))
			continue
		}
		if p.c.grants += len(members); p.c.grants > maxGrants {
			p.c.Incomplete = "line " + strconv.Itoa(p.line) + ": the lists of members and roles multiply to more than " +
				strconv.Itoa(maxGrants) + " entries"
			return
		}
		for _, m := range members {
			if m.problem != "" {
				p.memberProblem(m, path)
			}
			if m.kind != 0 {
				p.c.grant(key, m, role, Grant{propagate, p.line})
			}
		}
	}
}

func (p *parser) memberProblem(m member, path string) {
	if m.kind == 0 {
		p.skip("acl %s: %s", clip(path), m.problem)
		return
	}
	p.warn("acl %s: %s", clip(path), m.problem)
}

// grant enters one role of one member at one path.
func (c *Config) grant(path string, m member, role string, g Grant) {
	n := c.ACL[path]
	if n == nil {
		n = &Node{Path: path, Groups: map[string]Grants{}, Users: map[string]Grants{}, Tokens: map[string]Grants{}}
		c.ACL[path] = n
	}
	of := n.Users
	switch m.kind {
	case 'g':
		of = n.Groups
	case 't':
		of = n.Tokens
	}
	if of[m.name] == nil {
		of[m.name] = Grants{}
	}
	of[m.name][role] = g
}
