package kinds

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

const userFile = pveDir + "/user.cfg"

// pveacl changes users, groups, roles, tokens and permissions of Proxmox VE. section says which; name, or each for several, whose:
//
//   - role: set privs (exactly these; every one has to exist). group: set members (added, none is taken out), comment.
//   - user: set enable (1, 0), expire (never, a day, or seconds since 1970), groups (exactly these; empty for none), comment, email, permissions (empty takes all
//     entries of the user's own away). A user that does not exist is made without a password, disabled unless enable says otherwise.
//   - token: set privsep (1, 0), expire, comment. Tokens are not made or removed: pveum user token add prints the secret once, to whoever calls it.
//   - acl: set path, role, one of group, user, token, and propagate (1 unless given).
//   - dangling: takes away what is given to users, groups and tokens that do not exist; set names nothing.
//
// With ensure: absent a role, group or acl entry is taken away. Passwords and factors stand elsewhere and are never touched. Lines are
// written in PVE's own form, and the others stay; where that cannot be, the whole file is written so, as PVE does at each change of its own: sorted,
// without lines that it does not understand.
func pveacl(d *change.Draft, c change.Change) error {
	old, there, err := d.Content(userFile)
	if err != nil {
		return err
	}
	if !there {
		return change.Cannot("there is no %s: this is no node of Proxmox VE, or the copy does not hold it", userFile)
	}
	cl, err := inventory.Read(d, 0)
	if err != nil {
		return change.Cannot("this is no node of Proxmox VE: %v", err)
	}
	cfg, _ := usercfg.Parse(old, cl.Release)
	if cfg.Incomplete != "" {
		return change.Cannot("%s cannot be read as a whole: %s", userFile, cfg.Incomplete)
	}
	canonical := cfg.Write()
	before := administrators(cfg)
	if err := aclEdit(cfg, c); err != nil {
		return err
	}
	if bytes.Equal(cfg.Write(), canonical) {
		return nil
	}
	b, lossless := cfg.Patch(old, canonical)
	if len(before) > 0 && len(administrators(cfg)) == 0 {
		return change.Cannot("nobody but root@pam would be Administrator; give the role to somebody else first")
	}
	if !lossless {
		d.Effect("%s was edited by hand: it is written in PVE's own form, as PVE does at its next change; lines that PVE does not understand are lost, others sorted", userFile)
	}
	if err := pveShared(d, userFile); err != nil {
		return err
	}
	return pveWrite(d, userFile, b)
}

// administrators are the users beside root@pam that are enabled and hold the role Administrator on / themselves or by a group.
func administrators(cfg *usercfg.Config) []string {
	n := cfg.ACL["/"]
	if n == nil {
		return nil
	}
	var out []string
	for id, u := range cfg.Users {
		_, own := n.Users[id]["Administrator"]
		for g, grants := range n.Groups {
			_, holds := grants["Administrator"]
			own = own || holds && cfg.Groups[g] != nil && cfg.Groups[g].Members[id]
		}
		if own && u.Enabled {
			out = append(out, id)
		}
	}
	return out
}

func aclEdit(cfg *usercfg.Config, c change.Change) error {
	if c.Section == "dangling" {
		cfg.Forget()
		return nil
	}
	edit, ok := map[string]func(*usercfg.Config, string, change.Change) error{
		"role": aclRole, "group": aclGroup, "user": aclUser, "token": aclToken, "acl": aclEntry}[c.Section]
	if !ok {
		return change.Cannot("there is no section %q; it is role, group, user, token, acl or dangling", c.Section)
	}
	names := slices.Clone(c.Each)
	if c.Name != "" {
		names = append(names, c.Name)
	}
	if c.Section == "acl" {
		names = []string{""}
	}
	if c.Name == "" && c.Each == nil && c.Section != "acl" {
		return change.Cannot("the change does not name the %s", c.Section)
	}
	for k, v := range c.Set {
		if err := pveText(k, v); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := edit(cfg, name, c); err != nil {
			return err
		}
	}
	return nil
}

// aclKeys refuses keys that a section does not have.
func aclKeys(c change.Change, known ...string) error {
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		if !slices.Contains(known, k) {
			return change.Cannot("a %s has no %q; it has %s", c.Section, k, strings.Join(known, ", "))
		}
	}
	return nil
}

func aclCannot(err error) error {
	if err == nil {
		return nil
	}
	return change.Cannot("%v", err)
}

func aclRole(cfg *usercfg.Config, name string, c change.Change) error {
	if err := aclKeys(c, "privs"); err != nil {
		return err
	}
	if c.Ensure == "absent" {
		return aclCannot(cfg.RemoveRole(name))
	}
	return aclCannot(cfg.SetRole(name, pve.List(c.Set["privs"])))
}

func aclGroup(cfg *usercfg.Config, name string, c change.Change) error {
	if err := aclKeys(c, "members", "comment"); err != nil {
		return err
	}
	if c.Ensure == "absent" {
		return aclCannot(cfg.RemoveGroup(name))
	}
	g, err := cfg.AddGroup(name)
	if err != nil {
		return aclCannot(err)
	}
	for _, m := range pve.List(c.Set["members"]) {
		if cfg.Users[m] == nil {
			return change.Cannot("there is no user %q: whoever got that name later would be a member of %s", m, name)
		}
		g.Members[m] = true
	}
	if v, ok := c.Set["comment"]; ok {
		g.Comment = v
	}
	return nil
}

func aclUser(cfg *usercfg.Config, name string, c change.Change) error {
	if err := aclKeys(c, "enable", "expire", "groups", "comment", "email", "permissions"); err != nil {
		return err
	}
	if c.Ensure == "absent" {
		return change.Cannot("users are not removed, because their passwords and factors stand elsewhere: pveum user delete %s", name)
	}
	if name == usercfg.RootUser {
		return change.Cannot("%s is not changed: it is the way back in", name)
	}
	u, err := cfg.AddUser(name)
	if err != nil {
		return aclCannot(err)
	}
	if v, ok := c.Set["enable"]; ok {
		on, known := pve.Bool(v)
		if !known {
			return change.Cannot("enable is 1 or 0")
		}
		u.Enabled = on
	}
	if v, ok := c.Set["expire"]; ok {
		at, err := aclTime(v)
		if err != nil {
			return err
		}
		u.SetExpire(at)
	}
	if v, ok := c.Set["permissions"]; ok {
		if v != "" {
			return change.Cannot("permissions can only be taken away here (an empty value); give them with section acl")
		}
		cfg.Strip(name)
	}
	if v, ok := c.Set["comment"]; ok {
		u.Comment = v
	}
	if v, ok := c.Set["email"]; ok {
		if strings.ContainsAny(v, ": \t") {
			return change.Cannot("%q is no address of mail", v)
		}
		u.Email = v
	}
	if v, ok := c.Set["groups"]; ok {
		return aclGroups(cfg, name, pve.List(v))
	}
	return nil
}

// aclGroups puts a user into exactly these groups.
func aclGroups(cfg *usercfg.Config, user string, groups []string) error {
	for _, id := range groups {
		if cfg.Groups[id] == nil {
			return change.Cannot("there is no group %q", id)
		}
	}
	for id, g := range cfg.Groups {
		if slices.Contains(groups, id) {
			g.Members[user] = true
		} else {
			delete(g.Members, user)
		}
	}
	return nil
}

func aclToken(cfg *usercfg.Config, id string, c change.Change) error {
	if err := aclKeys(c, "privsep", "expire", "comment"); err != nil {
		return err
	}
	t, _, ok := cfg.Token(id)
	switch {
	case c.Ensure == "absent":
		return change.Cannot("tokens are not removed, because their secrets stand elsewhere: pveum user token remove")
	case !ok:
		return change.Cannot("there is no token %q, and none is made: pveum user token add prints the secret once, to whoever calls it", id)
	}
	if v, ok := c.Set["privsep"]; ok {
		on, known := pve.Bool(v)
		if !known {
			return change.Cannot("privsep is 1 or 0")
		}
		t.Separated = on
	}
	if v, ok := c.Set["expire"]; ok {
		at, err := aclTime(v)
		if err != nil {
			return err
		}
		t.SetExpire(at)
	}
	if v, ok := c.Set["comment"]; ok {
		t.Comment = v
	}
	return nil
}

func aclEntry(cfg *usercfg.Config, _ string, c change.Change) error {
	if err := aclKeys(c, "path", "role", "group", "user", "token", "propagate"); err != nil {
		return err
	}
	var member string
	for _, k := range []string{"group", "user", "token"} {
		v := c.Set[k]
		if v == "" {
			continue
		}
		if member != "" {
			return change.Cannot("an entry is for one group, user or token")
		}
		if member = v; k == "group" {
			member = "@" + v
		}
	}
	if member == "" || c.Set["path"] == "" || c.Set["role"] == "" {
		return change.Cannot("an entry has a path, a role, and a group, user or token")
	}
	if c.Ensure == "absent" {
		return aclCannot(cfg.Revoke(c.Set["path"], member, c.Set["role"]))
	}
	propagate := true
	if v, ok := c.Set["propagate"]; ok {
		if propagate, ok = pve.Bool(v); !ok {
			return change.Cannot("propagate is 1 or 0")
		}
	}
	return aclCannot(cfg.Grant(c.Set["path"], member, c.Set["role"], propagate))
}

// aclTime reads an end: never, a day (its beginning in UTC), or seconds since 1970.
func aclTime(s string) (int64, error) {
	if s == "never" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil && t.Unix() > 0 {
		return t.Unix(), nil
	}
	return 0, change.Cannot("expire is never, a day such as 2027-06-30, or seconds since 1970; %q is none of them", s)
}
