package usercfg

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Write returns the file as PVE writes it: users with their tokens, groups, pools, roles and the access control list, each
// sorted, an empty line after each kind. What Parse skipped is gone, as it is when PVE writes.
func (c *Config) Write() []byte {
	var b bytes.Buffer
	line := func(fields ...string) {
		b.WriteString(strings.Join(fields, ":"))
		b.WriteString(":\n")
	}
	for _, id := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[id]
		line("user", id, bit(u.Enabled), number(u.expire), pve.EncodeText(u.FirstName), pve.EncodeText(u.LastName), u.Email,
			pve.EncodeText(u.Comment), u.keys)
		for _, name := range slices.Sorted(maps.Keys(u.Tokens)) {
			t := u.Tokens[name]
			line("token", id+"!"+name, number(t.expire), bit(t.Separated), pve.EncodeText(t.Comment))
		}
	}
	b.WriteByte('\n')
	for _, id := range slices.Sorted(maps.Keys(c.Groups)) {
		g := c.Groups[id]
		line("group", id, join(g.Members), pve.EncodeText(g.Comment))
	}
	b.WriteByte('\n')
	for _, id := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[id]
		line("pool", id, pve.EncodeText(p.Comment), join(p.VMs), join(p.Storages))
	}
	b.WriteByte('\n')
	for _, id := range slices.Sorted(maps.Keys(c.Roles)) {
		if r := c.Roles[id]; !r.Builtin {
			line("role", id, strings.Join(r.Privs.Names(), ","))
		}
	}
	b.WriteByte('\n')
	for _, path := range c.Paths() {
		c.ACL[path].write(line)
	}
	return b.Bytes()
}

// write writes the entries of a path: those that do not propagate first, members with the same roles on one line.
func (n *Node) write(line func(...string)) {
	byRoles := [2]map[string]map[string]bool{{}, {}}
	collect := func(members map[string]Grants, prefix string) {
		for m, grants := range members {
			if prefix == "" && m == RootUser {
				continue // always Administrator; never written
			}
			for i, propagate := range []bool{false, true} {
				roles := grants.joined(propagate)
				if !pve.Truth(roles) {
					continue
				}
				if byRoles[i][roles] == nil {
					byRoles[i][roles] = map[string]bool{}
				}
				byRoles[i][roles][prefix+m] = true
			}
		}
	}
	collect(n.Groups, "@")
	collect(n.Users, "")
	collect(n.Tokens, "")
	for i, flag := range []string{"0", "1"} {
		for _, roles := range slices.Sorted(maps.Keys(byRoles[i])) {
			line("acl", flag, n.Path, join(byRoles[i][roles]), roles)
		}
	}
}

// joined lists the roles with a propagate flag. A list that is "0" so far gets no comma, since it is false to Perl.
func (g Grants) joined(propagate bool) string {
	var b strings.Builder
	for _, role := range slices.Sorted(maps.Keys(g)) {
		if g[role].Propagate != propagate {
			continue
		}
		if pve.Truth(b.String()) {
			b.WriteByte(',')
		}
		b.WriteString(role)
	}
	return b.String()
}

func join(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ",") }

func bit(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

// number writes a time of expiry; the user root@pam that the file does not name has none.
func number(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
