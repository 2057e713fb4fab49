package usercfg

import (
	"fmt"
	"strconv"
	"strings"
)

// SetExpire gives an account an end in seconds since 1970; 0 means never.
func (u *User) SetExpire(seconds int64) {
	u.Expire, u.expire = seconds, strconv.FormatInt(seconds, 10)
}

// SetExpire gives a token an end in seconds since 1970; 0 means never.
func (t *Token) SetExpire(seconds int64) {
	t.Expire, t.expire = seconds, strconv.FormatInt(seconds, 10)
}

// AddUser returns a user, who is made when there is none: disabled, without a second factor, and without a password, which stands elsewhere.
func (c *Config) AddUser(id string) (*User, error) {
	if u, ok := c.Users[id]; ok {
		return u, nil
	}
	if !ValidUser(id) {
		return nil, fmt.Errorf("%q is no name of a user; it is name@realm", clip(id))
	}
	u := &User{ID: id, expire: "0"}
	c.Users[id] = u
	return u, nil
}

// AddGroup returns a group, which is made when there is none.
func (c *Config) AddGroup(id string) (*Group, error) {
	if g, ok := c.Groups[id]; ok {
		return g, nil
	}
	if !validName(id) {
		return nil, fmt.Errorf("%q is no name of a group", clip(id))
	}
	g := &Group{ID: id, Members: map[string]bool{}}
	c.Groups[id] = g
	return g, nil
}

// SetRole gives a role exactly these privileges; it is made when there is none. The built-in roles cannot be changed.
func (c *Config) SetRole(id string, privs []string) error {
	r := c.Roles[id]
	switch {
	case r != nil && r.Builtin:
		return fmt.Errorf("the role %s comes with PVE and cannot be changed; make one of your own", id)
	case !validName(id) || strings.HasPrefix(strings.ToUpper(id), "PVE") && r == nil:
		return fmt.Errorf("%q is no name for a role; names that begin with PVE belong to PVE", clip(id))
	}
	var set Privs
	for _, name := range privs {
		p, ok := PrivOf(name)
		if !ok || p&allPrivs(c.Release) == 0 {
			return fmt.Errorf("there is no privilege %q in PVE %d", clip(name), c.Release)
		}
		set |= p
	}
	if r == nil {
		r = &Role{ID: id}
		c.Roles[id] = r
	}
	r.Privs = set
	return nil
}

// Grant gives a role at a path to "@group", a user or a token. All of them have to exist: PVE drops or defers what does not.
func (c *Config) Grant(path, member, role string, propagate bool) error {
	m, key, err := c.entry(path, member)
	if err != nil {
		return err
	}
	switch {
	case m.kind == 0 || m.problem != "":
		return fmt.Errorf("there is no group, user or token %q", clip(member))
	case c.Roles[role] == nil:
		return fmt.Errorf("there is no role %q", clip(role))
	case m.kind == 'u' && m.name == RootUser:
		return fmt.Errorf("%s is Administrator everywhere and holds no entries", RootUser)
	}
	c.grant(key, m, role, Grant{Propagate: propagate})
	return nil
}

// Revoke takes a role at a path away from "@group", a user or a token, which need not exist. A role that is not held is no error.
func (c *Config) Revoke(path, member, role string) error {
	m, key, err := c.entry(path, member)
	if err != nil {
		return err
	}
	n := c.ACL[key]
	if n == nil {
		return nil
	}
	of, name := n.Users, m.name
	switch {
	case m.kind == 'g':
		of = n.Groups
	case m.kind != 'u':
		of, name = n.Tokens, member
	}
	delete(of[name], role)
	if len(of[name]) == 0 {
		delete(of, name)
	}
	c.prune(key)
	return nil
}

func (c *Config) entry(path, name string) (member, string, error) {
	p, ok := NormalizePath(path)
	if !ok {
		return member{}, "", fmt.Errorf("%q is no path", clip(path))
	}
	return (&parser{c: c}).member(name), treePath(p), nil
}

func (c *Config) prune(path string) {
	if n := c.ACL[path]; n != nil && len(n.Users)+len(n.Groups)+len(n.Tokens) == 0 {
		delete(c.ACL, path)
	}
}

// Strip takes a user out of all groups and takes all of the user's own entries away, those of the user's tokens among them.
func (c *Config) Strip(id string) {
	for _, g := range c.Groups {
		delete(g.Members, id)
	}
	for path, n := range c.ACL {
		delete(n.Users, id)
		for t := range n.Tokens {
			if owner, _, ok := SplitToken(t); ok && owner == id {
				delete(n.Tokens, t)
			}
		}
		c.prune(path)
	}
}

// Forget takes away what is given to users and groups that do not exist: entries and memberships.
func (c *Config) Forget() {
	for _, g := range c.Groups {
		for m := range g.Members {
			if c.Users[m] == nil {
				delete(g.Members, m)
			}
		}
	}
	for path, n := range c.ACL {
		for m := range n.Users {
			if c.Users[m] == nil {
				delete(n.Users, m)
			}
		}
		for g := range n.Groups {
			if c.Groups[g] == nil {
				delete(n.Groups, g)
			}
		}
		for t := range n.Tokens {
			if _, _, ok := c.Token(t); !ok {
				delete(n.Tokens, t)
			}
		}
		c.prune(path)
	}
}

// RemoveGroup takes a group away that no entry uses any more; otherwise it says which path does.
func (c *Config) RemoveGroup(id string) error {
	for _, path := range c.Paths() {
		if len(c.ACL[path].Groups[id]) > 0 {
			return fmt.Errorf("the group %s holds a role on %s; take that entry away first", id, path)
		}
	}
	delete(c.Groups, id)
	return nil
}

// RemoveRole is like RemoveGroup for a role.
func (c *Config) RemoveRole(id string) error {
	r := c.Roles[id]
	if r == nil {
		return nil
	}
	if r.Builtin {
		return fmt.Errorf("the role %s comes with PVE and cannot be removed", id)
	}
	for _, path := range c.Paths() {
		n := c.ACL[path]
		for _, of := range []map[string]Grants{n.Groups, n.Users, n.Tokens} {
			for m, g := range of {
				if _, ok := g[id]; ok {
					return fmt.Errorf("%s holds the role %s on %s; take that entry away first", m, id, path)
				}
			}
		}
	}
	delete(c.Roles, id)
	return nil
}
