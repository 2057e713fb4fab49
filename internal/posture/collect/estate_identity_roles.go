package collect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

func (s *identityState) groups() {
	duties := map[string]usercfg.Privs{}
	for _, n := range s.cfg.ACL {
		for g, grants := range n.Groups {
			for role := range grants {
				duties[g] |= s.cfg.Roles[role].Privs
			}
		}
	}
	list := []posture.IdentityGroup{}
	for _, id := range slices.Sorted(maps.Keys(s.cfg.Groups)) {
		g := s.cfg.Groups[id]
		x := posture.IdentityGroup{ID: id, Members: []string{}, Duty: duty(duties[id]), Source: at(g.Line)}
		for _, m := range slices.Sorted(maps.Keys(g.Members)) {
			if s.cfg.Users[m] != nil {
				x.Members = append(x.Members, m)
			}
		}
		list = append(list, x)
	}
	s.facts.Groups = posture.Known(list, posture.Configured, userFile)
}

// duty is what privileges amount to.
func duty(p usercfg.Privs) string {
	any := func(names ...string) bool { return p&usercfg.PrivsOf(names...) != 0 }
	switch {
	case p == 0:
		return ""
	case any("Permissions.Modify", "Sys.Modify"):
		return "admin"
	case readOnly(p):
		return "audit"
	case any("VM.PowerMgmt", "VM.Allocate", "VM.Config.Disk", "VM.Config.Network", "VM.Config.HWType", "VM.Config.Options", "VM.Migrate", "VM.Console"):
		return "operation"
	case any("VM.Backup", "Datastore.AllocateSpace"):
		return "backup"
	}
	return "other"
}

// readOnly reports whether privileges let their holder see and change nothing.
func readOnly(p usercfg.Privs) bool {
	for _, name := range p.Names() {
		if !strings.HasSuffix(name, ".Audit") && name != "Sys.Syslog" {
			return false
		}
	}
	return true
}

func (s *identityState) roles() {
	used := map[string]bool{}
	for _, n := range s.cfg.ACL {
		for _, members := range []map[string]usercfg.Grants{n.Groups, n.Users, n.Tokens} {
			for _, grants := range members {
				for role := range grants {
					used[role] = true
				}
			}
		}
	}
	admin, _ := usercfg.BuiltinRoleOf(s.cfg.Release, "PVEAdmin")
	list := []posture.IdentityRole{}
	for _, id := range slices.Sorted(maps.Keys(s.cfg.Roles)) {
		r := s.cfg.Roles[id]
		if r.Builtin {
			continue
		}
		list = append(list, posture.IdentityRole{ID: id, Privs: r.Privs.Names(), BeyondAdmin: (r.Privs &^ admin).Names(), CoversAdmin: r.Privs.Has(admin),
			Used: used[id], Source: at(r.Line)})
	}
	s.facts.Roles = posture.Known(list, posture.Configured, userFile)
}

// entries lists the access control list, and what in it and in groups names nobody.
func (s *identityState) entries() {
	list, dangling := []posture.IdentityEntry{}, []string{}
	for _, path := range s.cfg.Paths() {
		n := s.cfg.ACL[path]
		for _, of := range []struct {
			kind    string
			members map[string]usercfg.Grants
		}{{"group", n.Groups}, {"user", n.Users}, {"token", n.Tokens}} {
			for _, m := range slices.Sorted(maps.Keys(of.members)) {
				grants := of.members[m]
				for _, role := range slices.Sorted(maps.Keys(grants)) {
					x := posture.IdentityEntry{Path: path, Kind: of.kind, Member: m, Role: role, Propagate: grants[role].Propagate,
						Exists: s.exists(of.kind, m), ReadOnly: readOnly(s.cfg.Roles[role].Privs), Source: at(grants[role].Line)}
					list = append(list, x)
					if !x.Exists {
						dangling = append(dangling, fmt.Sprintf("%s: %s on %s (user.cfg:%d)", m, role, path, grants[role].Line))
					}
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.cfg.Groups)) {
		g := s.cfg.Groups[id]
		for _, m := range slices.Sorted(maps.Keys(g.Members)) {
			if s.cfg.Users[m] == nil {
				dangling = append(dangling, fmt.Sprintf("%s: member of group %s (user.cfg:%d)", m, id, g.Line))
			}
		}
	}
	s.facts.Entries = posture.Known(list, posture.Configured, userFile)
	s.facts.Dangling = posture.Known(dangling, posture.Configured, userFile)
}

func (s *identityState) exists(kind, member string) bool {
	switch kind {
	case "group":
		return s.cfg.Groups[member] != nil
	case "user":
		return s.cfg.Users[member] != nil
	}
	_, _, ok := s.cfg.Token(member)
	return ok
}

// farReaching are the privileges whose holders are named (reference row IAM-07): each leads beyond the object that it is given on, or
// into guests.
func farReaching() []string {
	return []string{"Datastore.Allocate", "Permissions.Modify", "Realm.Allocate", "SDN.Allocate", "Sys.Console", "Sys.Modify", "User.Modify",
		"VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted", "VM.Monitor"}
}

// escalating are the classes of abilities that lead to all permissions.
func escalating() []string {
	return []string{"grant-everything", "grant-permissions", "change-roles", "become-users", "change-realms"}
}

// holders names who holds what reaches far, through groups, pools and propagation, and not who has a line.
func (s *identityState) holders() {
	admins, holders, escalations := []posture.IdentityHolder{}, []posture.IdentityHolder{}, []posture.IdentityHolder{}
	reach := map[string][]posture.IdentityHolder{} // by kin: who may the same holds the same
	for _, id := range s.engine.Principals() {
		p, _ := s.engine.Principal(id, s.c.Now)
		if id == usercfg.RootUser || p.State != rbac.Enabled {
			continue
		}
		h := posture.IdentityHolder{ID: id, Kind: p.Kind, Person: p.Kind == "user"}
		if s.administrator(id) {
			h.Privilege, h.Where = "Permissions.Modify", "/"
			h.Through = s.through(id, "Permissions.Modify", "/")
			admins = append(admins, h)
			continue
		}
		if p.Kind == "token" && !p.Separated {
			continue // what its user holds
		}
		a := s.accessOf(id)
		kin := s.engine.Kin(id)
		if _, known := reach[kin]; !known {
			reach[kin] = s.reachOf(id, a)
		}
		for _, x := range reach[kin] {
			x.ID, x.Kind, x.Person = h.ID, h.Kind, h.Person
			holders = append(holders, x)
		}
		for _, y := range a.Abilities {
			if !slices.Contains(escalating(), y.Class) || y.Class == "grant-permissions" && !slices.Contains(y.Paths, "/access") {
				continue
			}
			x := h
			x.Privilege, x.Where, x.Through = strings.Join(y.Privs, ", "), rbac.Where(y.Paths), y.Note
			escalations = append(escalations, x)
		}
	}
	f := &s.facts
	f.Administrators = posture.Known(admins, posture.Configured, userFile)
	f.Holders = posture.Known(holders, posture.Configured, userFile)
	f.Escalations = posture.Known(escalations, posture.Configured, userFile)
}

// reachOf lists the far-reaching privileges of an identity, and where.
func (s *identityState) reachOf(id string, a rbac.Access) []posture.IdentityHolder {
	var list []posture.IdentityHolder
	for _, priv := range farReaching() {
		if paths := heldAt(a.Paths, priv); len(paths) > 0 {
			list = append(list, posture.IdentityHolder{Privilege: priv, Where: rbac.Where(paths), Through: s.through(id, priv, paths[0])})
		}
	}
	return list
}

// heldAt returns the outermost of the paths listed at which a privilege is held.
func heldAt(paths []rbac.PathAccess, priv string) []string {
	var at []string
	held := map[string]bool{}
	for _, p := range paths { // sorted, parents first
		if !slices.Contains(p.Privs, priv) {
			continue
		}
		held[p.Path] = true
		covered := false
		for up := p.Path; up != "/" && !covered; {
			up = up[:max(strings.LastIndexByte(up, '/'), 1)]
			covered = held[up] || held[strings.TrimSuffix(up, "/")+"/*"] && p.Path != strings.TrimSuffix(up, "/")+"/*"
		}
		if !covered {
			at = append(at, p.Path)
		}
	}
	return at
}

// through says what gives an identity a privilege at a path.
func (s *identityState) through(id, priv, path string) string {
	p, _ := s.engine.Principal(id, s.c.Now)
	set, _ := usercfg.PrivOf(priv)
	return strings.Join(s.engine.Chain(p, set, path), "; ")
}
