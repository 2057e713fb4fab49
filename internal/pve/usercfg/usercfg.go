// Package usercfg reads and writes user.cfg, the users, tokens, groups, roles, pools and access control list of a
// Proxmox VE cluster, exactly as pve-access-control does: the same lines are accepted, the same warnings are counted and the
// same bytes are written back. It does not compute permissions (internal/inventory/rbac does).
//
// The order of lines matters: a token has to follow its user, an ACL entry its role and its token; a second line of a user
// wipes the user's tokens. A role line that names a built-in role changes that role in the running daemons and is lost at
// the next write. Such things are no problems to PVE; they are [Note]s here.
//
// Source of the rules: pve-access-control, src/PVE/AccessControl.pm parse_user_config and write_user_config,
// src/PVE/Auth/Plugin.pm verify_username, and PVE/Tools.pm split_list and encode_text.
package usercfg

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// RootUser is the user that is always Administrator, whatever the file says.
const RootUser = "root@pam"

// Config is what the file says.
type Config struct {
	// Release is the major version whose roles and privileges apply: 8 or 9.
	Release int
	// Users by full name ("alice@pve"). root@pam is always there.
	Users  map[string]*User
	Groups map[string]*Group
	// Roles by name, the built-in ones among them.
	Roles map[string]*Role
	Pools map[string]*Pool
	// ACL holds the access control list by path: "/", "/vms/100". A path without entries is not there.
	ACL map[string]*Node
	// Notes are what PVE accepts without a word and an administrator should hear of.
	Notes []Note
	// Incomplete says why the rest of the file was not read; empty when all of it was. It happens only when lists multiply
	// to millions of ACL entries: answers from such a Config would be wrong.
	Incomplete string

	vmPool map[string]string
	grants int
}

// User is one user.
type User struct {
	ID      string
	Enabled bool
	// Expire is the end of the account in seconds since 1970; 0 means never.
	Expire                              int64
	FirstName, LastName, Email, Comment string
	// Line is where the user stands; 0 for root@pam when the file does not name it.
	Line int
	// Tokens by their short name.
	Tokens map[string]*Token

	expire string
	keys   string
}

// Token is an API token of a user.
type Token struct {
	// ID is the full name: "alice@pve!backup".
	ID, User, Name string
	// Expire is the end of the token in seconds since 1970; 0 means never.
	Expire int64
	// Separated is true for a token that has permissions of its own, cut to those of its user ("privilege separation"); else
	// it has all of its user's.
	Separated bool
	Comment   string
	Line      int

	expire string
}

// Group is a group of users. Members may name users that do not exist: they become members when they are created.
type Group struct {
	ID      string
	Comment string
	Members map[string]bool
	Line    int
}

// Role is a set of privileges.
type Role struct {
	ID    string
	Privs Privs
	// Builtin is true for the roles that come with PVE; Added are the privileges that the file adds to such a role.
	Builtin bool
	Added   Privs
	// Line is the first line that names the role; 0 for a built-in role that the file does not name.
	Line int
}

// Pool is a pool of guests and storages. Pools nest up to three levels: "customers/acme/web".
type Pool struct {
	ID      string
	Comment string
	// VMs holds VMIDs as PVE compares them, without leading zeros.
	VMs      map[string]bool
	Storages map[string]bool
	// Line is 0 for a pool that exists only because one below it does.
	Line int
}

// Node is the part of the access control list that stands at one path: for each member the roles.
type Node struct {
	Path                  string
	Groups, Users, Tokens map[string]Grants
}

// Grants are the roles of one member at one path.
type Grants map[string]Grant

// Grant is one role given to one member at one path.
type Grant struct {
	// Propagate is true when the role counts for everything below as well.
	Propagate bool
	// Line is the line that gave it; of several the last one, whose propagate flag counts.
	Line int
}

// NoteKind classifies a [Note].
type NoteKind string

// The kinds of notes.
const (
	// BuiltinRole is a role line with the name of a built-in role.
	BuiltinRole NoteKind = "builtin-role"
	// RepeatedUser is a second line of a user; it wiped the tokens that stood before.
	RepeatedUser NoteKind = "repeated-user"
)

// Note is something that PVE accepts silently although it hardly is what somebody wanted.
type Note struct {
	Line int
	Kind NoteKind
	// Subject is the role or user.
	Subject string
	Text    string
}

// maxGrants bounds the product of roles and members over the whole file. The largest real estates have some ten thousand
// entries; without a bound a file of 1 MB could ask for billions.
const maxGrants = 1 << 20

// Parse reads the file as the release does (8 or 9; built-in roles and privileges differ). The number of problems is the
// number of warnings that PVE gives.
func Parse(b []byte, release int) (*Config, []pve.Problem) {
	if release != 8 {
		release = 9
	}
	p := &parser{c: &Config{
		Release: release, Users: map[string]*User{}, Groups: map[string]*Group{}, Roles: builtinRoles(release),
		Pools: map[string]*Pool{}, ACL: map[string]*Node{}, vmPool: map[string]string{},
	}, valid: allPrivs(release)}
	p.c.Users[RootUser] = &User{ID: RootUser, Enabled: true}
	rest := string(b)
	for rest != "" && p.c.Incomplete == "" {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		p.line++
		if l = trim(l); l != "" {
			p.parseLine(l)
		}
	}
	if p.lines == 0 && strings.Trim(string(b), "\n") != "" {
		// PVE's pattern takes the blanks of a file that holds nothing else for a line.
		p.skip("a line of blanks")
	}
	return p.c, p.problems
}

type parser struct {
	c        *Config
	valid    Privs
	line     int
	lines    int
	problems []pve.Problem
}

func (p *parser) skip(format string, args ...any) {
	p.problems = append(p.problems, pve.Skipf(p.line, format, args...))
}

func (p *parser) warn(format string, args ...any) {
	p.problems = append(p.problems, pve.Warnf(p.line, format, args...))
}

func (p *parser) note(kind NoteKind, subject, text string) {
	p.c.Notes = append(p.c.Notes, Note{p.line, kind, subject, text})
}

// parseLine splits at colons. Like Perl's split it drops empty fields at the end, before blanks are trimmed.
func (p *parser) parseLine(l string) {
	p.lines++
	f := strings.Split(l, ":")
	for len(f) > 0 && f[len(f)-1] == "" {
		f = f[:len(f)-1]
	}
	for i := range f {
		f[i] = trim(f[i])
	}
	f = append(f, "", "", "", "", "", "", "", "", "") // missing fields are empty
	switch f[0] {
	case "user":
		p.user(f[1:])
	case "token":
		p.token(f[1:])
	case "group":
		p.group(f[1:])
	case "role":
		p.role(f[1:])
	case "pool":
		p.pool(f[1:])
	case "acl":
		p.acl(f[1:])
	default:
		// Only the first word is shown: the rest of a mistyped user line may hold a secret key.
		p.skip("%q begins no line of this file; there are user, token, group, role, pool and acl, and no comments", clip(f[0]))
	}
}

// KeysKind says what the field "keys" of a user holds.
type KeysKind string

// The kinds of keys.
const (
	// NoKeys: the field is empty.
	NoKeys KeysKind = ""
	// KeysElsewhere: the factors are in priv/tfa.cfg ("x").
	KeysElsewhere KeysKind = "tfa.cfg"
	// KeysLegacy: the field holds keys of the old form, which count when the realm demands a second factor.
	KeysLegacy KeysKind = "legacy"
)

// Keys says what the field "keys" holds. The keys themselves are secret and stay here.
func (u *User) Keys() KeysKind {
	switch {
	case u.keys == "":
		return NoKeys
	case u.keys == "x" || strings.HasPrefix(u.keys, "x!"):
		return KeysElsewhere
	}
	return KeysLegacy
}

// Realm is the part of the user's name after the last "@".
func (u *User) Realm() string { return u.ID[strings.LastIndexByte(u.ID, '@')+1:] }

// Token returns a token by its full name, and its user.
func (c *Config) Token(id string) (*Token, *User, bool) {
	owner, name, ok := SplitToken(id)
	if !ok {
		return nil, nil, false
	}
	u, ok := c.Users[owner]
	if !ok {
		return nil, nil, false
	}
	t, ok := u.Tokens[name]
	return t, u, ok
}

// PoolOf returns the pool that a VMID is in.
func (c *Config) PoolOf(vmid string) (string, bool) {
	p, ok := c.vmPool[vmid]
	return p, ok
}

// Paths returns the paths of the access control list in the order in which PVE walks its tree: a path before what is below
// it, siblings by name.
func (c *Config) Paths() []string {
	return slices.SortedFunc(maps.Keys(c.ACL), compareTree)
}

// compareTree compares two paths component by component.
func compareTree(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			switch {
			case a[i] == '/':
				return -1
			case b[i] == '/':
				return 1
			}
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}
