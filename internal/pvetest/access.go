package pvetest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// permissions is GET /access/permissions: the caller's own, or those of somebody else for auditors.
func permissions(s *Server, c *call) (any, *failure) {
	id := c.user
	if want := c.params["userid"]; want != "" && want != id {
		owner, _, isToken := strings.Cut(want, "!")
		if !(isToken && owner == c.user) && !s.can(c.user, "/access", []string{"Sys.Audit"}, false) {
			return nil, fail(http.StatusForbidden, "Permission check failed (/access, Sys.Audit)")
		}
		id = want
	}
	paths := []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
	if p := c.params["path"]; p != "" {
		paths = []string{p}
	} else {
		paths = append(paths, s.users.Paths()...)
		for name, p := range s.users.Pools {
			paths = append(paths, "/pool/"+name)
			for vm := range p.VMs {
				paths = append(paths, "/vms/"+vm)
			}
			for st := range p.Storages {
				paths = append(paths, "/storage/"+st)
			}
		}
	}
	out := object{}
	for _, p := range paths {
		perms := s.engine.Permissions(id, p)
		set := object{}
		for _, name := range perms.Set.Names() {
			bit, _ := usercfg.PrivOf(name)
			set[name] = 0
			if perms.Propagate.Has(bit) {
				set[name] = 1
			}
		}
		if len(set) > 0 {
			out[p] = set
		}
	}
	return out, nil
}

// sees reports whether the caller sees a user: itself, or by a privilege on a group of it.
func (s *Server) sees(caller, user string) bool {
	privs := []string{"User.Modify", "Sys.Audit"}
	if caller == user || s.can(caller, "/access/groups", privs, true) {
		return true
	}
	return slices.ContainsFunc(s.engine.Groups(user), func(g string) bool { return s.can(caller, "/access/groups/"+g, privs, true) })
}

func users(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.users.Users)) {
		if s.sees(c.user, id) {
			out = append(out, s.userObject(id, pve.Truth(c.params["full"])))
		}
	}
	return out, nil
}

func user(s *Server, c *call) (any, *failure) {
	id := c.params["userid"]
	u, ok := s.users.Users[id]
	if !ok {
		return nil, fail(http.StatusInternalServerError, "no such user ('%s')", id)
	}
	o := s.userObject(id, false)
	o["groups"] = orEmptyTexts(s.engine.Groups(id))
	tokens := object{}
	for name, t := range u.Tokens {
		tokens[name] = tokenObject(t)
	}
	o["tokens"] = tokens
	return o, nil
}

func orEmptyTexts(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func tokenObject(t *usercfg.Token) object {
	o := commented(object{"tokenid": t.Name, "expire": t.Expire, "privsep": 0}, t.Comment)
	if t.Separated {
		o["privsep"] = 1
	}
	return o
}

func (s *Server) userObject(id string, full bool) object {
	u := s.users.Users[id]
	o := commented(object{"userid": id, "enable": 0, "expire": u.Expire, "realm-type": s.realmType(u.Realm())}, u.Comment)
	if u.Enabled {
		o["enable"] = 1
	}
	for k, v := range map[string]string{"firstname": u.FirstName, "lastname": u.LastName, "email": u.Email} {
		if v != "" {
			o[k] = v
		}
	}
	switch u.Keys() {
	case usercfg.KeysElsewhere:
		o["keys"] = "x"
	case usercfg.KeysLegacy:
		o["keys"] = "v2-SECRETKEY"
	}
	if full {
		o["groups"] = strings.Join(s.engine.Groups(id), ",")
		tokens := []any{}
		for _, name := range slices.Sorted(maps.Keys(u.Tokens)) {
			tokens = append(tokens, tokenObject(u.Tokens[name]))
		}
		if len(tokens) > 0 {
			o["tokens"] = tokens
		}
	}
	return o
}

func (s *Server) realmType(realm string) string {
	for _, x := range s.tree.sections("/etc/pve/domains.cfg") {
		if x.ID == realm {
			return x.Type
		}
	}
	return realm
}

func groups(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.users.Groups)) {
		if s.can(c.user, "/access/groups/"+id, []string{"User.Modify", "Sys.Audit", "Group.Allocate"}, true) {
			g := s.users.Groups[id]
			out = append(out, commented(object{"groupid": id, "users": strings.Join(slices.Sorted(maps.Keys(g.Members)), ",")}, g.Comment))
		}
	}
	return out, nil
}

func roles(s *Server, _ *call) (any, *failure) {
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.users.Roles)) {
		r := s.users.Roles[id]
		o := object{"roleid": id, "privs": strings.Join(r.Privs.Names(), ","), "special": 0}
		if r.Builtin {
			o["special"] = 1
		}
		out = append(out, o)
	}
	return out, nil
}

// acl shows everything to auditors, and to others what they may change.
func acl(s *Server, c *call) (any, *failure) {
	out := []any{}
	audit := s.can(c.user, "/access", []string{"Sys.Audit"}, false)
	for _, path := range s.users.Paths() {
		privs := []string{"Permissions.Modify"}
		for prefix, p := range map[string]string{"/vms/": "VM.Allocate", "/storage/": "Datastore.Allocate", "/pool/": "Pool.Allocate"} {
			if strings.HasPrefix(path, prefix) {
				privs = append(privs, p)
			}
		}
		if !audit && !s.can(c.user, path, privs, true) {
			continue
		}
		n := s.users.ACL[path]
		for kind, members := range map[string]map[string]usercfg.Grants{"group": n.Groups, "user": n.Users, "token": n.Tokens} {
			for member, grants := range members {
				for role, g := range grants {
					o := object{"path": path, "type": kind, "ugid": member, "roleid": role, "propagate": 0}
					if g.Propagate {
						o["propagate"] = 1
					}
					out = append(out, o)
				}
			}
		}
	}
	return out, nil
}

func domains(s *Server, _ *call) (any, *failure) {
	out := []any{}
	for _, x := range s.realms() {
		o := object{"realm": x.ID, "type": x.Type}
		for _, k := range []string{"comment", "default"} {
			if v, ok := x.Get(k); ok {
				o[k] = value(k, pve.DecodeText(v))
			}
		}
		if v, ok := x.Get("tfa"); ok {
			o["tfa"] = pve.ParseProperties(v, "").Value("type")
		}
		out = append(out, o)
	}
	return out, nil
}

// realms are those of the file, and pam and pve, which always exist.
func (s *Server) realms() []pve.Section {
	all := s.tree.sections("/etc/pve/domains.cfg")
	for _, name := range []string{"pam", "pve"} {
		if !slices.ContainsFunc(all, func(x pve.Section) bool { return x.ID == name }) {
			all = append(all, pve.Section{Type: name, ID: name})
		}
	}
	return all
}

func domain(s *Server, c *call) (any, *failure) {
	for _, x := range s.realms() {
		if x.ID == c.params["realm"] {
			o := flat(&x)
			if v, ok := x.Get("comment"); ok {
				o["comment"] = pve.DecodeText(v)
			}
			o["type"], o["digest"] = x.Type, digest
			return o, nil
		}
	}
	return nil, fail(http.StatusInternalServerError, "domain '%s' does not exist", c.params["realm"])
}

// tfa lists second factors without their secrets.
func tfa(s *Server, c *call) (any, *failure) {
	var file struct {
		Users map[string]map[string]json.RawMessage `json:"users"`
	}
	out := []any{}
	if b := s.tree.raw("/etc/pve/priv/tfa.cfg"); b == nil || json.Unmarshal(b, &file) != nil {
		return out, nil
	}
	all := s.can(c.user, "/access/groups", []string{"User.Modify", "Sys.Audit"}, true)
	for _, id := range slices.Sorted(maps.Keys(file.Users)) {
		if !all && id != c.user {
			continue
		}
		o := object{"userid": id}
		entries := []any{}
		for _, kind := range slices.Sorted(maps.Keys(file.Users[id])) {
			raw := file.Users[id][kind]
			switch kind {
			case "totp-locked", "tfa-locked-until":
				o[kind] = raw
			case "recovery":
				entries = append(entries, object{"id": "recovery", "type": "recovery", "description": "", "created": created(raw), "enable": true})
			default:
				var list []struct {
					Entry struct {
						ID          string `json:"id"`
						Description string `json:"description"`
						Created     int64  `json:"created"`
						Enable      *bool  `json:"enable"`
					} `json:"info"`
				}
				_ = json.Unmarshal(raw, &list) // another shape has no entries
				for _, e := range list {
					entries = append(entries, object{"id": e.Entry.ID, "type": kind, "description": e.Entry.Description, "created": e.Entry.Created,
						"enable": e.Entry.Enable == nil || *e.Entry.Enable})
				}
			}
		}
		o["entries"] = entries
		out = append(out, o)
	}
	return out, nil
}

func created(raw json.RawMessage) int64 {
	var r struct {
		Created int64 `json:"created"`
	}
	_ = json.Unmarshal(raw, &r) // without one it is 0
	return r.Created
}

func pools(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.users.Pools)) {
		if want := c.params["poolid"]; want != "" && want != id {
			continue
		}
		if s.can(c.user, "/pool/"+id, []string{"Pool.Audit"}, false) {
			o := commented(object{"poolid": id}, s.users.Pools[id].Comment)
			if c.params["poolid"] != "" {
				o["members"] = s.members(id)
			}
			out = append(out, o)
		}
	}
	return out, nil
}

func pool(s *Server, c *call) (any, *failure) {
	p, ok := s.users.Pools[c.params["poolid"]]
	if !ok {
		return nil, fail(http.StatusInternalServerError, "pool '%s' does not exist", c.params["poolid"])
	}
	return commented(object{"members": s.members(p.ID)}, p.Comment), nil
}

func (s *Server) members(id string) []any {
	p := s.users.Pools[id]
	out := []any{}
	for _, vm := range slices.Sorted(maps.Keys(p.VMs)) {
		if g := s.tree.guest(vm); g != nil {
			out = append(out, object{"id": g.kind + "/" + vm, "type": g.kind, "vmid": g.id, "node": g.node})
		}
	}
	for _, st := range slices.Sorted(maps.Keys(p.Storages)) {
		out = append(out, object{"id": "storage/" + s.tree.nodes[0] + "/" + st, "type": "storage", "storage": st, "node": s.tree.nodes[0]})
	}
	return out
}

// mayRead is PVE's rule for entries of /cluster/resources.
func (s *Server) mayRead(caller string, o object) bool {
	text := func(k string) string {
		if n, ok := o[k].(float64); ok {
			return number64(n)
		}
		v, _ := o[k].(string)
		return v
	}
	switch text("type") {
	case "qemu", "lxc":
		return s.can(caller, "/vms/"+text("vmid"), []string{"VM.Audit"}, false)
	case "storage":
		return s.can(caller, "/storage/"+text("storage"), []string{"Datastore.Audit", "Datastore.AllocateSpace"}, true)
	case "pool":
		return s.can(caller, "/pool/"+text("pool"), []string{"Pool.Audit"}, false)
	case "sdn":
		return s.can(caller, "/sdn/zones/"+text("sdn"), []string{"SDN.Audit"}, false)
	}
	return true
}
