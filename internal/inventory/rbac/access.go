package rbac

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// PathAccess is what an identity may at one path.
type PathAccess struct {
	Path  string   `json:"path"`
	Roles []string `json:"roles"`
	Privs []string `json:"privs"`
	// From are the entries that give the roles, in words.
	From []string `json:"from"`
}

// Ability is something that an identity can do, in plain words, and where.
type Ability struct {
	// Class names the kind of ability: "run-code-in-guests".
	Class string `json:"class"`
	Text  string `json:"text"`
	// Privs are the privileges behind it.
	Privs []string `json:"privs"`
	Paths []string `json:"paths"`
	// Escalates is true when the ability leads, or may lead, to permissions that the identity does not have; Note says how.
	Escalates bool   `json:"escalates,omitempty"`
	Note      string `json:"note,omitempty"`
}

// Access is everything that an identity may do.
type Access struct {
	Principal
	Groups []string `json:"groups"`
	// Paths are those at which something differs from the path above.
	Paths []PathAccess `json:"paths"`
	// Abilities in the order of how much they matter.
	Abilities []Ability `json:"abilities"`
}

// topPaths are the paths that PVE itself looks at when it lists somebody's permissions
// (PVE::RPCEnvironment::get_effective_permissions), and those below which other objects are.
func topPaths() []string {
	return []string{"/", "/access", "/access/groups", "/access/realm", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
}

// pathsOf returns the paths at which the permissions of an identity may differ from those above: the top ones, those of entries
// that concern it, and the objects of pools.
func (e *Engine) pathsOf(id string) []string {
	paths := map[string]bool{}
	concern := func(member string) {
		for _, p := range e.named[member] {
			paths[p] = true
		}
	}
	concern(id)
	user := id
	if owner, _, isToken := usercfg.SplitToken(id); isToken {
		user = owner
		concern(owner)
	}
	for _, g := range e.groups[user] {
		concern("@" + g)
	}
	e.addPooled(paths)
	for _, p := range topPaths() {
		paths[p] = true
	}
	return slices.Sorted(maps.Keys(paths))
}

// concerned reports whether any entry concerns an identity.
func (e *Engine) concerned(id string) bool {
	user := id
	if owner, _, isToken := usercfg.SplitToken(id); isToken {
		user = owner
	}
	return user == usercfg.RootUser || len(e.named[id])+len(e.named[user]) > 0 ||
		slices.ContainsFunc(e.groups[user], func(g string) bool { return len(e.named["@"+g]) > 0 })
}

// addPooled adds the objects of pools. A pool gives its objects what counts at /pool/NAME; that differs from what counts at
// the objects only through an entry for pools, or through one on / that an entry for all objects of a kind replaces.
func (e *Engine) addPooled(paths map[string]bool) {
	if paths["/pool"] || paths["/"] && (paths["/vms"] || paths["/storage"]) {
		for object := range e.pools {
			paths[object] = true
		}
		return
	}
	var add []string
	for at := range paths {
		if !strings.HasPrefix(at, "/pool/") {
			continue
		}
		for _, pool := range e.under[at] {
			for vm := range e.cfg.Pools[pool].VMs {
				add = append(add, "/vms/"+vm)
			}
			for s := range e.cfg.Pools[pool].Storages {
				add = append(add, "/storage/"+s)
			}
		}
	}
	for _, object := range add {
		paths[object] = true
	}
}

// Access returns everything that an identity may do; false when nothing in user.cfg names it. A path that ends with "/*" stands for all
// that is below without entries of its own: an entry that is not passed down replaces others at its path and nowhere else.
func (e *Engine) Access(id string, now time.Time) (Access, bool) {
	p, known := e.Principal(id, now)
	a := Access{Principal: p, Groups: append([]string{}, e.groups[id]...), Paths: []PathAccess{}, Abilities: []Ability{}}
	if !e.concerned(id) {
		return a, known
	}
	sets := map[string]usercfg.Privs{}
	for _, path := range e.pathsOf(id) {
		for _, at := range []string{path, below(path)} {
			set := e.permissions(id, at).Set
			sets[at] = set
			if above, ok := sets[above(at, sets)]; set == above && (ok || set == 0) || at != path && single(path) {
				continue
			}
			pa := PathAccess{Path: at, Privs: set.Names()}
			pa.Roles, pa.From = e.explain(p, at)
			a.Paths = append(a.Paths, pa)
		}
	}
	a.Abilities = e.abilitiesAt(sets)
	return a, known
}

// single reports whether a path names one object that has none below it: a guest, a storage, a node.
func single(path string) bool {
	return strings.HasPrefix(path, "/vms/") || strings.HasPrefix(path, "/storage/") || strings.HasPrefix(path, "/nodes/")
}

// below is the path that stands for everything below a path that has no entries. "*" occurs in no real path.
func below(path string) string { return strings.TrimSuffix(path, "/") + "/*" }

// above is what a path has its permissions from when it has no entries of its own: of "/vms/*" it is "/vms", of "/vms/100" it is
// "/vms/*". Of "/" it is nothing.
func above(path string, sets map[string]usercfg.Privs) string {
	if parent, ok := strings.CutSuffix(path, "/*"); ok {
		if parent == "" {
			return "/"
		}
		return parent
	}
	for path != "/" {
		path = path[:max(strings.LastIndexByte(path, '/'), 1)]
		if _, ok := sets[path]; ok {
			return below(path)
		}
	}
	return ""
}

// explain names the roles at a path and where they come from.
func (e *Engine) explain(p Principal, path string) (roles, from []string) {
	id := p.ID
	if p.Kind == "token" && !p.Separated {
		id = p.Owner
		from = append(from, "no privilege separation: all that "+p.Owner+" may")
	}
	roles = []string{}
	if id == usercfg.RootUser {
		return []string{Administrator}, append(from, "root@pam may do everything")
	}
	for _, o := range e.effective(id, path) {
		roles = append(roles, o.Role)
		from = append(from, o.Words(path))
	}
	slices.Sort(roles)
	if len(from) == 0 {
		from = []string{}
	}
	return slices.Compact(roles), from
}

// abilitiesAt finds the abilities that sets of privileges at paths amount to.
func (e *Engine) abilitiesAt(sets map[string]usercfg.Privs) []Ability {
	paths := slices.Sorted(maps.Keys(sets))
	paths = slices.DeleteFunc(paths, func(p string) bool { return sets[p] == 0 })
	found := []Ability{}
	for _, k := range e.abilities {
		var at []string
		var privs usercfg.Privs
		for _, path := range paths {
			if !k.asks(path) {
				continue
			}
			if held, ok := k.held(sets[path]); ok {
				at = append(at, path)
				privs |= held
			}
		}
		if at = outermost(at, sets); len(at) > 0 {
			found = append(found, Ability{Class: k.class, Text: k.text, Privs: privs.Names(), Paths: at, Escalates: k.note != "", Note: k.note})
		}
	}
	return found
}

// outermost leaves out paths for which the one above says the same.
func outermost(paths []string, sets map[string]usercfg.Privs) []string {
	in := map[string]bool{}
	for _, p := range paths {
		in[p] = true
	}
	return slices.DeleteFunc(paths, func(p string) bool { return in[above(p, sets)] })
}

// ability is a class of what can be done. All of need and one of any are needed at a path that the API asks about.
type ability struct {
	class, text string
	need, any   []string
	// at are the paths that the API asks about, of are those whose objects it asks about: of "/vms" means /vms/100.
	at, of []string
	note   string

	needSet, anySet usercfg.Privs
}

func (k *ability) asks(path string) bool {
	return slices.Contains(k.at, path) || slices.ContainsFunc(k.of, func(kind string) bool { return strings.HasPrefix(path, kind+"/") })
}

func (k *ability) held(set usercfg.Privs) (usercfg.Privs, bool) {
	if !set.Has(k.needSet) || k.anySet != 0 && set&k.anySet == 0 {
		return 0, false
	}
	return k.needSet | set&k.anySet, true
}

// prepared is the table with its privileges as sets.
func prepared() []ability {
	all := abilities()
	for i := range all {
		all[i].needSet, all[i].anySet = usercfg.PrivsOf(all[i].need...), usercfg.PrivsOf(all[i].any...)
	}
	return all
}

// abilities are the classes of what privileges amount to, most serious first. The privileges are those that the API demands of
// the calls concerned (the permissions of the API schema of PVE 8.4 and 9.1).
//
// table: what privileges amount to in plain words
func abilities() []ability {
	guests, nodes, storages := []string{"/vms"}, []string{"/nodes"}, []string{"/storage"}
	return []ability{
		{class: "grant-everything", text: "grant permissions on everything, to anybody", need: []string{"Permissions.Modify"}, at: []string{"/"},
			note: "can make itself Administrator"},
		{class: "grant-permissions", text: "grant permissions", need: []string{"Permissions.Modify"},
			of: []string{"/access", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms"}, at: []string{"/access"}, note: "can give itself every role there"},
		{class: "administer-cluster", text: "change the cluster: data centre options, cluster firewall, backup jobs, replication, notifications",
			need: []string{"Sys.Modify"}, at: []string{"/"}, note: "can switch off the firewall of all nodes and guests"},
		{class: "administer-nodes", text: "change nodes: package sources, network, DNS, certificates, node firewall", need: []string{"Sys.Modify"}, of: nodes,
			note: "a package source of its own becomes root on the node at the next upgrade"},
		{class: "change-roles", text: "change what roles hold", need: []string{"Sys.Modify"}, at: []string{"/access"},
			note: "can add privileges to a role that it has"},
		{class: "become-users", text: "set passwords and e-mail of users, remove their second factors, make API tokens for them", need: []string{"User.Modify"},
			at: []string{"/access/groups"}, of: []string{"/access/groups"}, note: "can act as any user of these groups other than root@pam, Administrators included"},
		{class: "change-realms", text: "change where users log in: realms, their servers and synchronisation", need: []string{"Realm.Allocate"},
			at: []string{"/access/realm"}, note: "can point a realm at a directory of its own and log in as its users"},
		{class: "run-code-in-guests", text: "run programs and set passwords in guests through the agent", any: []string{"VM.GuestAgent.Unrestricted", "VM.Monitor"},
			of: guests, note: "is root in every guest with the agent"},
		{class: "write-files-in-guests", text: "write files in guests through the agent", need: []string{"VM.GuestAgent.FileWrite"}, of: guests,
			note: "a file in the right place runs as root in the guest"},
		{class: "read-files-in-guests", text: "read any file in guests through the agent", any: []string{"VM.GuestAgent.FileRead"}, of: guests},
		{class: "allocate-storages", text: "add, change and remove storages", need: []string{"Datastore.Allocate"}, at: []string{"/storage"},
			note: "a storage over a directory of the node exposes files that belong to root"},
		{class: "destroy-volumes", text: "destroy volumes and backups on storages", need: []string{"Datastore.Allocate"}, of: storages},
		{class: "steal-backups", text: "copy guests, with all that they hold, into backups", need: []string{"VM.Backup"}, of: guests},
		{class: "destroy-guests", text: "create and destroy guests, and share its own permissions on them", need: []string{"VM.Allocate"}, of: guests},
		{class: "guest-firewall", text: "change network cards and the firewall of guests", need: []string{"VM.Config.Network"}, of: guests,
			note: "can switch off the guest's firewall or join another network"},
		{class: "guest-disks", text: "attach, move and remove disks of guests", need: []string{"VM.Config.Disk"}, of: guests},
		{class: "guest-hardware", text: "change hardware and options of guests",
			any: []string{"VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Options"}, of: guests},
		{class: "clone-guests", text: "clone guests, with all that they hold", need: []string{"VM.Clone"}, of: guests},
		{class: "snapshots", text: "take guests back to an earlier state or snapshot them", any: []string{"VM.Snapshot", "VM.Snapshot.Rollback"}, of: guests},
		{class: "guest-console", text: "see and use the consoles of guests", need: []string{"VM.Console"}, of: guests},
		{class: "guest-power", text: "start, stop and reset guests", need: []string{"VM.PowerMgmt"}, of: guests},
		{class: "move-guests", text: "migrate or replicate guests to other nodes", any: []string{"VM.Migrate", "VM.Replicate"}, of: guests},
		{class: "node-console", text: "open a console on nodes (it asks for a login)", need: []string{"Sys.Console"}, of: nodes,
			note: "with the password of a Linux account it is a shell on the node, past SSH's rules"},
		{class: "node-power", text: "restart and shut down nodes", need: []string{"Sys.PowerMgmt"}, of: nodes},
		{class: "accept-guests", text: "take in guests of other clusters", need: []string{"Sys.Incoming"}, at: []string{"/"}},
		{class: "reach-out", text: "make nodes fetch from addresses of its choice", need: []string{"Sys.AccessNetwork"}, of: nodes},
		{class: "networks", text: "change virtual networks (SDN)", need: []string{"SDN.Allocate"}, of: []string{"/sdn"}},
		{class: "map-devices", text: "choose which devices of nodes guests may have", need: []string{"Mapping.Modify"}, of: []string{"/mapping"}},
		{class: "use-devices", text: "give mapped devices of nodes to guests", need: []string{"Mapping.Use"}, of: []string{"/mapping"}},
		{class: "use-networks", text: "join guests to networks", need: []string{"SDN.Use"}, of: []string{"/sdn"}},
		{class: "groups", text: "create and delete groups", need: []string{"Group.Allocate"}, at: []string{"/access/groups"}, of: []string{"/access/groups"}},
		{class: "create-users", text: "create users in realms", need: []string{"Realm.AllocateUser"}, of: []string{"/access/realm"}},
		{class: "pools", text: "create pools and change what is in them", need: []string{"Pool.Allocate"}, of: []string{"/pool"}},
		{class: "fill-storages", text: "allocate space and upload templates on storages", any: []string{"Datastore.AllocateSpace", "Datastore.AllocateTemplate"}, of: storages},
		{class: "read-logs", text: "read the system logs of nodes", need: []string{"Sys.Syslog"}, of: nodes},
		{class: "see-cluster", text: "see nodes, settings and users", need: []string{"Sys.Audit"}, at: []string{"/access"}, of: []string{"/nodes"}},
		{class: "see-guests", text: "see guests and their configuration", any: []string{"VM.Audit", "VM.GuestAgent.Audit"}, of: guests},
		{class: "see-storages", text: "see storages and what they hold", need: []string{"Datastore.Audit"}, of: storages},
		{class: "see-networks", text: "see virtual networks, mappings and pools", any: []string{"SDN.Audit", "Mapping.Audit", "Pool.Audit"},
			of: []string{"/sdn", "/mapping", "/pool"}},
	}
}

// Where says a list of paths in words, shortened.
func Where(paths []string) string {
	const most = 6
	if len(paths) <= most {
		return strings.Join(paths, ", ")
	}
	return strings.Join(paths[:most], ", ") + " and " + strconv.Itoa(len(paths)-most) + " more"
}
