// Package rbac answers who may do what on a Proxmox VE cluster: the roles and privileges of an identity at a path, who holds a
// privilege and through what, and what an identity can do in plain words.
//
// It computes what pve-access-control computes (PVE::AccessControl::roles and PVE::RPCEnvironment::permissions), from a
// [usercfg.Config] alone. Whether somebody can log in at present, being disabled or expired, is a question apart: PVE computes
// permissions for them all the same, and so does this room. It does not judge whether a permission is justified.
package rbac

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// Names of roles with a meaning of their own.
const (
	// Administrator is the role of root@pam.
	Administrator = "Administrator"
	// NoAccess cancels all other roles where it wins.
	NoAccess = "NoAccess"
)

// maxPath bounds paths that are asked for, in bytes. PVE's longest has six short components.
const maxPath = 4096

// Engine answers questions about one configuration. It may be used by several goroutines.
type Engine struct {
	cfg *usercfg.Config
	// groups of each user that a group names, also of those that do not exist.
	groups map[string][]string
	// pools that hold an object, by its path: "/vms/100", "/storage/local".
	pools map[string][]string
	// named are the paths of the entries of each member: "alice@pve", "@ops", "alice@pve!ci"; also of those that do not exist.
	named map[string][]string
	// under are the pools at or below a path "/pool/NAME".
	under map[string][]string

	abilities []ability
}

// New prepares the answers. It fails for a configuration that was not read to its end.
func New(cfg *usercfg.Config) (*Engine, error) {
	if cfg == nil {
		return nil, errors.New("there is no user.cfg")
	}
	if cfg.Incomplete != "" {
		return nil, fmt.Errorf("user.cfg was not read to its end: %s", cfg.Incomplete)
	}
	e := &Engine{cfg: cfg, groups: map[string][]string{}, pools: map[string][]string{}, named: map[string][]string{},
		under: map[string][]string{}, abilities: prepared()}
	for id, g := range cfg.Groups {
		for m := range g.Members {
			e.groups[m] = append(e.groups[m], id)
		}
	}
	for id, p := range cfg.Pools {
		for at := range prefixes("/pool/" + id) {
			if len(at) > len("/pool") {
				e.under[at] = append(e.under[at], id)
			}
		}
		for vm := range p.VMs {
			e.pools["/vms/"+vm] = append(e.pools["/vms/"+vm], id)
		}
		for s := range p.Storages {
			e.pools["/storage/"+s] = append(e.pools["/storage/"+s], id)
		}
	}
	for path, n := range cfg.ACL {
		for id := range n.Users {
			e.named[id] = append(e.named[id], path)
		}
		for id := range n.Tokens {
			e.named[id] = append(e.named[id], path)
		}
		for id := range n.Groups {
			e.named["@"+id] = append(e.named["@"+id], path)
		}
	}
	for _, list := range []map[string][]string{e.groups, e.pools, e.named, e.under} {
		for _, names := range list {
			slices.Sort(names)
		}
	}
	return e, nil
}

// Config is what the answers are about.
func (e *Engine) Config() *usercfg.Config { return e.cfg }

// Entries returns the paths of the entries for a member, sorted: "alice@pve", "@ops", "alice@pve!ci".
func (e *Engine) Entries(member string) []string { return e.named[member] }

// Groups returns the groups that name a user, sorted.
func (e *Engine) Groups(user string) []string { return e.groups[user] }

// Origin says where a role of an identity at a path comes from.
type Origin struct {
	Role string `json:"role"`
	// Member is whom the entry names: "alice@pve", "@ops", "alice@pve!backup".
	Member string `json:"member"`
	// Path is where the entry stands; the path asked for or one above it, or that of a pool.
	Path string `json:"at"`
	// Pool is set when the role is given on a pool that holds the object asked for.
	Pool string `json:"pool,omitempty"`
	// Propagate is the flag of the entry; roles that come through a pool do not propagate.
	Propagate bool `json:"propagate"`
	// Line is the line of user.cfg.
	Line int `json:"line,omitempty"`
}

// Perms is a set of privileges; Propagate holds those of them that count for what is below as well.
type Perms struct {
	Set, Propagate usercfg.Privs
}

// Roles returns the roles of an identity at a path, sorted, never nil. As in PVE, pools are not looked at, and those of a token
// are not cut to those of its user.
func (e *Engine) Roles(id, path string) []string {
	path, ok := clean(path)
	if !ok {
		return []string{}
	}
	names := map[string]bool{}
	for _, o := range e.roles(id, path) {
		names[o.Role] = true
	}
	return append([]string{}, slices.Sorted(maps.Keys(names))...)
}

// Permissions returns the privileges of an identity at a path: pools counted, those of a privilege-separated token cut to
// those of its user.
func (e *Engine) Permissions(id, path string) Perms {
	path, ok := clean(path)
	if !ok {
		return Perms{}
	}
	return e.permissions(id, path)
}

func clean(path string) (string, bool) {
	if len(path) > maxPath {
		return "", false
	}
	return usercfg.NormalizePath(path)
}

func (e *Engine) permissions(id, path string) Perms {
	if id == usercfg.RootUser {
		all := e.cfg.Roles[Administrator].Privs
		return Perms{all, all}
	}
	owner, _, isToken := usercfg.SplitToken(id)
	if !isToken {
		if !usercfg.ValidUser(id) {
			return Perms{}
		}
		return e.sum(e.effective(id, path))
	}
	t, _, ok := e.cfg.Token(id)
	if !ok {
		return Perms{}
	}
	if !t.Separated {
		return e.permissions(owner, path)
	}
	p := e.sum(e.effective(id, path))
	if owner == usercfg.RootUser {
		return p // PVE does not cut a token of root@pam
	}
	of := e.permissions(owner, path)
	return Perms{p.Set & of.Set, p.Propagate & of.Propagate}
}

// sum adds up the privileges of roles.
func (e *Engine) sum(origins []Origin) Perms {
	var p Perms
	for _, o := range origins {
		r := e.cfg.Roles[o.Role]
		if r == nil {
			continue
		}
		p.Set |= r.Privs
		if o.Propagate {
			p.Propagate |= r.Privs
		}
	}
	return p
}

// roles is PVE::AccessControl::roles: the walk from / to the path.
func (e *Engine) roles(id, path string) []Origin {
	if id == usercfg.RootUser {
		return []Origin{{Role: Administrator, Member: usercfg.RootUser, Path: "/", Propagate: true}}
	}
	if owner, _, isToken := usercfg.SplitToken(id); isToken {
		t, _, ok := e.cfg.Token(id)
		if !ok {
			return nil
		}
		if !t.Separated {
			return e.roles(owner, path)
		}
	}
	var roles []Origin
	for at := range prefixes(path) {
		n := e.cfg.ACL[at]
		if n == nil {
			continue
		}
		if found := e.atNode(n, id, at == path); len(found) > 0 {
			roles = found // the deeper entry replaces what came from above
		}
	}
	return onlyNoAccess(roles)
}

// prefixes walks "/", "/vms", "/vms/100".
func prefixes(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if path == "/" {
			yield("/")
			return
		}
		if !yield("/") {
			return
		}
		for i := 1; i < len(path); i++ {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
		yield(path)
	}
}

// atNode takes the first non-empty set of: the entries of the token, of the user, of all groups together. At the path itself
// every role counts, above it those that propagate.
func (e *Engine) atNode(n *usercfg.Node, id string, final bool) []Origin {
	if found := counting(n.Tokens[id], id, n.Path, final); len(found) > 0 {
		return found
	}
	if found := counting(n.Users[id], id, n.Path, final); len(found) > 0 {
		return found
	}
	var found []Origin
	mine := e.groups[id]
	if len(n.Groups) < len(mine) {
		for _, g := range slices.Sorted(maps.Keys(n.Groups)) {
			if gr := e.cfg.Groups[g]; gr != nil && gr.Members[id] {
				found = append(found, counting(n.Groups[g], "@"+g, n.Path, final)...)
			}
		}
		return found
	}
	for _, g := range mine {
		if grants := n.Groups[g]; grants != nil {
			found = append(found, counting(grants, "@"+g, n.Path, final)...)
		}
	}
	return found
}

func counting(grants usercfg.Grants, member, path string, final bool) []Origin {
	if len(grants) == 0 {
		return nil
	}
	found := make([]Origin, 0, len(grants))
	for role, g := range grants {
		if final || g.Propagate {
			found = append(found, Origin{Role: role, Member: member, Path: path, Propagate: g.Propagate, Line: g.Line})
		}
	}
	slices.SortFunc(found, func(a, b Origin) int { return strings.Compare(a.Role, b.Role) })
	return found
}

// onlyNoAccess leaves nothing but NoAccess when it is among the roles.
func onlyNoAccess(roles []Origin) []Origin {
	no := func(o Origin) bool { return o.Role == NoAccess }
	if !slices.ContainsFunc(roles, no) {
		return roles
	}
	return slices.DeleteFunc(slices.Clone(roles), func(o Origin) bool { return !no(o) })
}

// effective adds to the roles at a path those that pools give to exactly this guest or storage. As roles pass down to
// /pool/NAME too, a role on / that an entry at the guest replaces comes back through the pool that holds the guest.
func (e *Engine) effective(id, path string) []Origin {
	roles := e.roles(id, path)
	if len(roles) > 0 && roles[0].Role == NoAccess {
		return roles
	}
	var pooled []Origin
	for _, pool := range e.poolsFor(id, path) {
		for _, o := range e.roles(id, "/pool/"+pool) {
			o.Pool, o.Propagate = pool, false
			pooled = append(pooled, o)
		}
	}
	if no := onlyNoAccess(pooled); len(no) > 0 && no[0].Role == NoAccess {
		return no
	}
	// A role that the entries along the path give already counts with their flag.
	all := slices.Clip(roles)
	for _, o := range pooled {
		if !slices.ContainsFunc(roles, func(have Origin) bool { return have.Role == o.Role }) {
			all = append(all, o)
		}
	}
	return all
}

// manyPools is from how many pools on those that no entry concerns are looked at once for all.
const manyPools = 8

// poolsFor returns the pools of an object that make a difference to an identity. Pools below which no entry names it are all alike:
// of many, one stands for them.
func (e *Engine) poolsFor(id, path string) []string {
	pools := e.pools[path]
	if len(pools) <= manyPools {
		return pools
	}
	mine := map[string]bool{}
	concern := func(member string) {
		for _, at := range e.named[member] {
			if strings.HasPrefix(at, "/pool/") {
				for _, pool := range e.under[at] {
					mine[pool] = true
				}
			}
		}
	}
	concern(id)
	for _, g := range e.groups[id] {
		concern("@" + g)
	}
	var some []string
	for pool := range mine {
		if e.holds(pool, path) {
			some = append(some, pool)
		}
	}
	slices.Sort(some)
	for _, pool := range pools {
		if !mine[pool] {
			return append(some, pool)
		}
	}
	return some
}

// holds reports whether a pool holds an object.
func (e *Engine) holds(pool, path string) bool {
	p := e.cfg.Pools[pool]
	if vm, ok := strings.CutPrefix(path, "/vms/"); ok {
		return p.VMs[vm]
	}
	return p.Storages[strings.TrimPrefix(path, "/storage/")]
}

// Kin names identities that may exactly the same: users without entries of their own who are in the same groups. Others are their
// own kin.
func (e *Engine) Kin(id string) string {
	if id == usercfg.RootUser || len(e.named[id]) > 0 || !usercfg.ValidUser(id) {
		return id
	}
	return "@" + strings.Join(e.groups[id], ",")
}
