package usercfg

import (
	"math/bits"
	"slices"
)

// Privs is a set of privileges, one bit for each.
type Privs uint64

// privilegeNames are the privileges of PVE 8 and 9 in the order of their names, which is that of their bits.
//
// table: the privileges, from pve-access-control 8.2.3 and 9.1.1
var privilegeNames = [...]string{
	"Datastore.Allocate",
	"Datastore.AllocateSpace",
	"Datastore.AllocateTemplate",
	"Datastore.Audit",
	"Group.Allocate",
	"Mapping.Audit",
	"Mapping.Modify",
	"Mapping.Use",
	"Permissions.Modify",
	"Pool.Allocate",
	"Pool.Audit",
	"Realm.Allocate",
	"Realm.AllocateUser",
	"SDN.Allocate",
	"SDN.Audit",
	"SDN.Use",
	"Sys.AccessNetwork",
	"Sys.Audit",
	"Sys.Console",
	"Sys.Incoming",
	"Sys.Modify",
	"Sys.PowerMgmt",
	"Sys.Syslog",
	"User.Modify",
	"VM.Allocate",
	"VM.Audit",
	"VM.Backup",
	"VM.Clone",
	"VM.Config.CDROM",
	"VM.Config.CPU",
	"VM.Config.Cloudinit",
	"VM.Config.Disk",
	"VM.Config.HWType",
	"VM.Config.Memory",
	"VM.Config.Network",
	"VM.Config.Options",
	"VM.Console",
	"VM.GuestAgent.Audit",
	"VM.GuestAgent.FileRead",
	"VM.GuestAgent.FileSystemMgmt",
	"VM.GuestAgent.FileWrite",
	"VM.GuestAgent.Unrestricted",
	"VM.Migrate",
	"VM.Monitor",
	"VM.PowerMgmt",
	"VM.Replicate",
	"VM.Snapshot",
	"VM.Snapshot.Rollback",
}

// only8 and only9 are the privileges that one of the releases has and the other has not.
func only8() []string { return []string{"VM.Monitor"} }

func only9() []string {
	return []string{
		"VM.GuestAgent.Audit",
		"VM.GuestAgent.FileRead",
		"VM.GuestAgent.FileSystemMgmt",
		"VM.GuestAgent.FileWrite",
		"VM.GuestAgent.Unrestricted",
		"VM.Replicate",
	}
}

// builtin is the privileges of the built-in roles, other than Administrator, that both releases have.
//
// table: the built-in roles, from pve-access-control 8.2.3 and 9.1.1
func builtin() map[string][]string {
	return map[string][]string{
		"NoAccess": {},
		"PVEAdmin": {
			"Datastore.Allocate",
			"Datastore.AllocateSpace",
			"Datastore.AllocateTemplate",
			"Datastore.Audit",
			"Group.Allocate",
			"Mapping.Audit",
			"Mapping.Use",
			"Pool.Allocate",
			"Pool.Audit",
			"Realm.AllocateUser",
			"SDN.Allocate",
			"SDN.Audit",
			"SDN.Use",
			"Sys.Audit",
			"Sys.Console",
			"Sys.Syslog",
			"User.Modify",
			"VM.Allocate",
			"VM.Audit",
			"VM.Backup",
			"VM.Clone",
			"VM.Config.CDROM",
			"VM.Config.CPU",
			"VM.Config.Cloudinit",
			"VM.Config.Disk",
			"VM.Config.HWType",
			"VM.Config.Memory",
			"VM.Config.Network",
			"VM.Config.Options",
			"VM.Console",
			"VM.GuestAgent.Audit",
			"VM.GuestAgent.FileRead",
			"VM.GuestAgent.FileSystemMgmt",
			"VM.GuestAgent.FileWrite",
			"VM.GuestAgent.Unrestricted",
			"VM.Migrate",
			"VM.Monitor",
			"VM.PowerMgmt",
			"VM.Replicate",
			"VM.Snapshot",
			"VM.Snapshot.Rollback",
		},
		"PVEAuditor": {
			"Datastore.Audit",
			"Mapping.Audit",
			"Pool.Audit",
			"SDN.Audit",
			"Sys.Audit",
			"VM.Audit",
			"VM.GuestAgent.Audit",
		},
		"PVEDatastoreAdmin": {
			"Datastore.Allocate",
			"Datastore.AllocateSpace",
			"Datastore.AllocateTemplate",
			"Datastore.Audit",
		},
		"PVEDatastoreUser": {
			"Datastore.AllocateSpace",
			"Datastore.Audit",
		},
		"PVEMappingAdmin": {
			"Mapping.Audit",
			"Mapping.Modify",
			"Mapping.Use",
		},
		"PVEMappingUser": {
			"Mapping.Audit",
			"Mapping.Use",
		},
		"PVEPoolAdmin": {
			"Pool.Allocate",
			"Pool.Audit",
		},
		"PVEPoolUser": {
			"Pool.Audit",
		},
		"PVESDNAdmin": {
			"SDN.Allocate",
			"SDN.Audit",
			"SDN.Use",
		},
		"PVESDNUser": {
			"SDN.Audit",
			"SDN.Use",
		},
		"PVESysAdmin": {
			"Sys.Audit",
			"Sys.Console",
			"Sys.Syslog",
		},
		"PVETemplateUser": {
			"VM.Audit",
			"VM.Clone",
		},
		"PVEUserAdmin": {
			"Group.Allocate",
			"Realm.AllocateUser",
			"User.Modify",
		},
		"PVEVMAdmin": {
			"VM.Allocate",
			"VM.Audit",
			"VM.Backup",
			"VM.Clone",
			"VM.Config.CDROM",
			"VM.Config.CPU",
			"VM.Config.Cloudinit",
			"VM.Config.Disk",
			"VM.Config.HWType",
			"VM.Config.Memory",
			"VM.Config.Network",
			"VM.Config.Options",
			"VM.Console",
			"VM.GuestAgent.Audit",
			"VM.GuestAgent.FileRead",
			"VM.GuestAgent.FileSystemMgmt",
			"VM.GuestAgent.FileWrite",
			"VM.GuestAgent.Unrestricted",
			"VM.Migrate",
			"VM.Monitor",
			"VM.PowerMgmt",
			"VM.Replicate",
			"VM.Snapshot",
			"VM.Snapshot.Rollback",
		},
		"PVEVMUser": {
			"VM.Audit",
			"VM.Backup",
			"VM.Config.CDROM",
			"VM.Config.Cloudinit",
			"VM.Console",
			"VM.GuestAgent.Audit",
			"VM.GuestAgent.FileRead",
			"VM.GuestAgent.FileSystemMgmt",
			"VM.GuestAgent.FileWrite",
			"VM.PowerMgmt",
		},
	}
}

// PrivOf returns the privilege of a name, of either release.
func PrivOf(name string) (Privs, bool) {
	i, ok := slices.BinarySearch(privilegeNames[:], name)
	if !ok {
		return 0, false
	}
	return 1 << i, true
}

// PrivsOf returns the set of several names; unknown ones are left out.
func PrivsOf(names ...string) Privs {
	var set Privs
	for _, n := range names {
		p, _ := PrivOf(n)
		set |= p
	}
	return set
}

// Names returns the privileges of the set, sorted; never nil.
func (p Privs) Names() []string {
	names := make([]string, 0, bits.OnesCount64(uint64(p)))
	for p != 0 {
		i := bits.TrailingZeros64(uint64(p))
		names = append(names, privilegeNames[i])
		p &^= 1 << i
	}
	return names
}

// Has reports whether all of the other privileges are in the set.
func (p Privs) Has(other Privs) bool { return p&other == other }

// Len returns how many privileges are in the set.
func (p Privs) Len() int { return bits.OnesCount64(uint64(p)) }

// Privileges returns the names of all privileges of a release (8, else 9), sorted.
func Privileges(release int) []string { return allPrivs(release).Names() }

// allPrivs is the set of all privileges of a release.
func allPrivs(release int) Privs {
	all := Privs(1)<<len(privilegeNames) - 1
	if release == 8 {
		return all &^ PrivsOf(only9()...)
	}
	return all &^ PrivsOf(only8()...)
}

// builtinRoles makes the roles that come with a release.
func builtinRoles(release int) map[string]*Role {
	valid := allPrivs(release)
	roles := map[string]*Role{"Administrator": {ID: "Administrator", Privs: valid, Builtin: true}}
	for id, names := range builtin() {
		// What a role has in one release and not in the other are the privileges that the other does not know.
		roles[id] = &Role{ID: id, Privs: PrivsOf(names...) & valid, Builtin: true}
	}
	return roles
}

// BuiltinRoleOf returns what a built-in role holds in a release before any file changed it.
func BuiltinRoleOf(release int, id string) (Privs, bool) {
	r, ok := builtinRoles(release)[id]
	if !ok {
		return 0, false
	}
	return r.Privs, true
}
