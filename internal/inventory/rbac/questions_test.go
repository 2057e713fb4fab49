package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

func engine(tb testing.TB, lines ...string) *Engine {
	tb.Helper()
	cfg, _ := usercfg.Parse([]byte(strings.Join(lines, "\n")), 9)
	e, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// house is one configuration with the traps of the reference.
func house() []string {
	return []string{
		"user:alice@pve:1:0::::::", "token:alice@pve!ci:0:1::", "token:alice@pve!all:0:0::",
		"user:bob@pve:1:0::::::", "user:carol@pve:0:0::::::", "user:dave@pve:1:1000::::::", "user:eve@pve:1:0::::::",
		"token:root@pam!sep:0:1::", "token:root@pam!full:0:0::", "token:carol@pve!tt:0:0::",
		"group:ops:alice@pve,carol@pve,ghost@pve::", "group:dev:bob@pve,dave@pve::",
		"pool:prod::100,101:local:", "pool:prod/web::102::",
		"role:Backup:VM.Backup,Datastore.AllocateSpace:",
		"acl:1:/:@ops:PVEAdmin:", "acl:0:/vms:bob@pve:PVEAuditor:", "acl:1:/vms/200:@ops:PVEAuditor:", "acl:1:/vms/101:alice@pve:NoAccess:",
		"acl:1:/pool/prod:@dev:PVEVMAdmin:", "acl:1:/vms/102:eve@pve:PVEAuditor:", "acl:1:/pool/prod:eve@pve:NoAccess:",
		"acl:1:/vms:alice@pve!ci:PVEVMAdmin:", "acl:1:/nodes:root@pam!sep:PVEAuditor:", "acl:1:/:root@pam:NoAccess:",
		"acl:1:/storage:nobody@pve:Backup:",
	}
}

func TestRules(t *testing.T) {
	e := engine(t, house()...)
	for _, tc := range []struct {
		why, id, path, roles string
		has, hasNot          string
	}{
		{"root@pam ignores entries", "root@pam", "/vms/100", "Administrator", "Permissions.Modify", ""},
		{"a group passes down", "alice@pve", "/nodes/n1", "PVEAdmin", "Sys.Audit", "Sys.Modify"},
		{"a deeper group entry replaces", "alice@pve", "/vms/200", "PVEAuditor", "VM.Audit", "VM.PowerMgmt"},
		{"NoAccess at a guest beats its pool", "alice@pve", "/vms/101", "NoAccess", "", "VM.Audit"},
		{"a nested pool sees the root", "alice@pve", "/pool/prod/web", "PVEAdmin", "VM.Audit", ""},
		{"NoAccess of a user", "alice@pve", "/vms/101", "NoAccess", "", "VM.Audit"},
		{"an entry that does not propagate counts at its path", "bob@pve", "/vms", "PVEAuditor", "VM.Audit", ""},
		{"and not below, where the pool counts", "bob@pve", "/vms/100", "", "VM.PowerMgmt", ""},
		{"a pool does not count below the guest", "bob@pve", "/vms/100/x", "", "", "VM.PowerMgmt"},
		{"a storage of the pool", "bob@pve", "/storage/local", "", "VM.PowerMgmt", "Datastore.Audit"},
		{"a nested pool inherits", "bob@pve", "/vms/102", "", "VM.PowerMgmt", ""},
		{"NoAccess of a pool beats an entry", "eve@pve", "/vms/102", "PVEAuditor", "", "VM.Audit"},
		{"a disabled user keeps computed permissions", "carol@pve", "/nodes/n1", "PVEAdmin", "Sys.Audit", ""},
		{"a user that does not exist", "nobody@pve", "/storage/x", "Backup", "Datastore.AllocateSpace", ""},
		{"a token is cut to its user", "alice@pve!ci", "/vms/200", "PVEVMAdmin", "VM.Audit", "VM.PowerMgmt"},
		{"a token where its user has no access", "alice@pve!ci", "/vms/101", "PVEVMAdmin", "", "VM.Audit"},
		{"a separated token has only its own", "alice@pve!ci", "/nodes/n1", "", "", "Sys.Audit"},
		{"a token without separation is its user", "alice@pve!all", "/vms/200", "PVEAuditor", "VM.Audit", "VM.PowerMgmt"},
		{"a separated token of root@pam has exactly its own", "root@pam!sep", "/nodes/n1", "PVEAuditor", "Sys.Audit", "Sys.Modify"},
		{"a token of root@pam without separation", "root@pam!full", "/", "Administrator", "Permissions.Modify", ""},
		{"a token that does not exist", "alice@pve!no", "/", "", "", "Sys.Audit"},
		{"no identity", "alice", "/", "", "", "Sys.Audit"},
		{"a path is normalised", "alice@pve", "vms//200/", "PVEAuditor", "VM.Audit", "VM.PowerMgmt"},
		{"no path", "alice@pve", "/a b", "", "", "Sys.Audit"},
	} {
		if got := strings.Join(e.Roles(tc.id, tc.path), ","); got != tc.roles {
			t.Errorf("%s: roles of %s at %s are %q, want %q", tc.why, tc.id, tc.path, got, tc.roles)
		}
		set := e.Permissions(tc.id, tc.path).Set
		if tc.has != "" && !set.Has(usercfg.PrivsOf(tc.has)) {
			t.Errorf("%s: %s has no %s at %s, but %v", tc.why, tc.id, tc.has, tc.path, set.Names())
		}
		if tc.hasNot != "" && set.Has(usercfg.PrivsOf(tc.hasNot)) {
			t.Errorf("%s: %s has %s at %s", tc.why, tc.id, tc.hasNot, tc.path)
		}
	}
}

func TestPropagateFlag(t *testing.T) {
	e := engine(t, house()...)
	audit := usercfg.PrivsOf("VM.Audit")
	if p := e.Permissions("bob@pve", "/vms"); p.Set&audit == 0 || p.Propagate&audit != 0 {
		t.Error("an entry that does not propagate is said to")
	}
	if p := e.Permissions("alice@pve", "/vms"); p.Propagate&audit == 0 {
		t.Error("an entry that propagates is said not to")
	}
	if p := e.Permissions("bob@pve", "/vms/100"); p.Set&audit == 0 || p.Propagate&audit != 0 {
		t.Error("what comes through a pool does not propagate")
	}
}

func TestWhoCan(t *testing.T) {
	e := engine(t, house()...)
	now := time.Unix(2000, 0)
	var got []string
	for _, h := range e.WhoCan(usercfg.PrivsOf("VM.PowerMgmt"), "/vms/102", now) {
		got = append(got, fmt.Sprintf("%s (%s) %s", h.ID, h.State, strings.Join(h.Chain, "; ")))
	}
	want := []string{
		"alice@pve (enabled) group ops: PVEAdmin on /, passed down",
		"alice@pve!all (enabled) no privilege separation: all that alice@pve may; group ops: PVEAdmin on /, passed down",
		"alice@pve!ci (enabled) PVEVMAdmin on /vms, passed down; and alice@pve may as well",
		"bob@pve (enabled) group dev: PVEVMAdmin on /pool/prod, and the pool prod/web holds it",
		"carol@pve (disabled) group ops: PVEAdmin on /, passed down",
		"carol@pve!tt (owner unusable) no privilege separation: all that carol@pve may; group ops: PVEAdmin on /, passed down",
		"dave@pve (expired) group dev: PVEVMAdmin on /pool/prod, and the pool prod/web holds it",
		"ghost@pve (missing) group ops: PVEAdmin on /, passed down",
		"root@pam (enabled) root@pam may do everything, whatever user.cfg says",
		"root@pam!full (enabled) no privilege separation: all that root@pam may; root@pam may do everything, whatever user.cfg says",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if h := e.WhoCan(usercfg.PrivsOf("VM.Audit"), "no path", now); h != nil {
		t.Errorf("no path: %v", h)
	}
}

func classes(a Access) []string {
	var c []string
	for _, x := range a.Abilities {
		c = append(c, x.Class+" "+Where(x.Paths))
	}
	return c
}

func TestAccess(t *testing.T) {
	e := engine(t, house()...)
	now := time.Unix(2000, 0)
	bob, known := e.Access("bob@pve", now)
	if !known || !slices.Contains(classes(bob), "run-code-in-guests /vms/100, /vms/101, /vms/102") || slices.Contains(bob.Groups, "ops") {
		t.Errorf("bob: %+v", bob)
	}
	alice, _ := e.Access("alice@pve", now)
	for _, want := range []string{"run-code-in-guests /", "become-users /", "destroy-guests /"} {
		if !slices.ContainsFunc(classes(alice), func(c string) bool { return strings.HasPrefix(c, want) }) {
			t.Errorf("alice cannot %s: %v", want, classes(alice))
		}
	}
	root, _ := e.Access("root@pam", now)
	if len(root.Paths) != 1 || root.Paths[0].Path != "/" || root.Abilities[0].Class != "grant-everything" || !root.Abilities[0].Escalates {
		t.Errorf("root: %+v", root.Paths)
	}
	if a, known := e.Access("zed@pve", now); known || len(a.Paths)+len(a.Abilities) > 0 {
		t.Errorf("zed: %+v", a)
	}
	if a, known := e.Access("nobody@pve", now); !known || a.State != Missing || len(a.Paths) == 0 {
		t.Errorf("nobody: %+v", a)
	}
}

// TestAbilitiesNameRealPrivileges: a misspelt privilege would make an ability that nobody or everybody has.
func TestAbilitiesNameRealPrivileges(t *testing.T) {
	covered := usercfg.Privs(0)
	for _, k := range abilities() {
		for _, p := range append(slices.Clone(k.need), k.any...) {
			priv, ok := usercfg.PrivOf(p)
			if !ok {
				t.Errorf("%s: there is no privilege %s", k.class, p)
			}
			covered |= priv
		}
		if len(k.need)+len(k.any) == 0 {
			t.Errorf("%s needs nothing", k.class)
		}
	}
	for _, release := range []int{8, 9} {
		for _, p := range usercfg.Privileges(release) {
			if priv, _ := usercfg.PrivOf(p); covered&priv == 0 && p != "VM.GuestAgent.FileSystemMgmt" {
				t.Errorf("no ability speaks of %s", p)
			}
		}
	}
}

func drawConfig(t *rapid.T) []string {
	lines := []string{"user:a@pve:1:", "user:b@pve:1:", "token:a@pve!t1:0:1:", "token:a@pve!t2:0:0:", "token:root@pam!t1:0:1:",
		"group:g1:a@pve,b@pve:", "group:g2:a@pve:", "role:R1:VM.Audit,Sys.Modify:", "pool:p::100:local:", "pool:p/q::101:local:"}
	acl := rapid.Custom(func(t *rapid.T) string {
		return "acl:" + rapid.SampledFrom([]string{"0", "1"}).Draw(t, "f") + ":" + rapid.SampledFrom(drawPaths()).Draw(t, "p") + ":" +
			rapid.SampledFrom([]string{"a@pve", "b@pve", "@g1", "@g2", "a@pve!t1", "root@pam!t1", "a@pve!t2"}).Draw(t, "m") + ":" +
			rapid.SampledFrom([]string{"PVEAdmin", "PVEAuditor", "R1", "NoAccess", "PVEVMUser"}).Draw(t, "r") + ":"
	})
	return append(lines, rapid.SliceOfN(acl, 0, 12).Draw(t, "acl")...)
}

func drawPaths() []string {
	return []string{"/", "/vms", "/vms/100", "/vms/101", "/storage", "/storage/local", "/pool", "/pool/p", "/pool/p/q"}
}

func drawID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a@pve", "b@pve", "a@pve!t1", "a@pve!t2", "root@pam!t1"}).Draw(t, "id")
}

// TestPoolBringsBack: a role on / that an entry at the guest replaces is given again by the pool of the guest.
func TestPoolBringsBack(t *testing.T) {
	lines := []string{"user:a@pve:1:", "acl:1:/:a@pve:PVEAdmin:", "acl:1:/vms/100:a@pve:PVEAuditor:", "acl:1:/vms/101:a@pve:PVEAuditor:", "pool:p::101::"}
	e, power := engineOf(lines), usercfg.PrivsOf("VM.PowerMgmt")
	if e.Permissions("a@pve", "/vms/100").Set.Has(power) || !e.Permissions("a@pve", "/vms/101").Set.Has(power) {
		t.Error("the pool makes no difference")
	}
	if got := e.Roles("a@pve", "/vms/101"); !slices.Equal(got, []string{"PVEAuditor"}) {
		t.Errorf("roles do not look at pools: %v", got)
	}
}

// TestNoAccessTakesEverything: an entry NoAccess for the identity itself, at the path that is asked for, leaves nothing.
func TestNoAccessTakesEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines, id, path := drawConfig(t), drawID(t), rapid.SampledFrom(drawPaths()).Draw(t, "path")
		member := id
		if id == "a@pve!t2" {
			member = "a@pve" // has what its user has
		}
		after := engineOf(append(lines, "acl:0:"+path+":"+member+":NoAccess:"))
		if got := after.Permissions(id, path).Set; got != 0 {
			t.Fatalf("%s still has %v at %s", id, got.Names(), path)
		}
	})
}

// TestTokensStayBelowTheirUser, other than those of root@pam; and what propagates is held.
func TestTokensStayBelowTheirUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, path := engineOf(drawConfig(t)), rapid.SampledFrom(drawPaths()).Draw(t, "path")
		user := e.Permissions("a@pve", path)
		for _, id := range []string{"a@pve!t1", "a@pve!t2"} {
			p := e.Permissions(id, path)
			if !user.Set.Has(p.Set) || !user.Propagate.Has(p.Propagate) || !p.Set.Has(p.Propagate) {
				t.Fatalf("%s has %v at %s, its user %v", id, p.Set.Names(), path, user.Set.Names())
			}
		}
	})
}

// TestWhoCanAgrees: who is listed has the privilege and the other way round, and every chain names an entry that gives it.
func TestWhoCanAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, path := engineOf(drawConfig(t)), rapid.SampledFrom(drawPaths()).Draw(t, "path")
		priv := usercfg.PrivsOf(rapid.SampledFrom([]string{"VM.Audit", "Sys.Modify", "VM.Console"}).Draw(t, "priv"))
		listed := map[string]bool{}
		for _, h := range e.WhoCan(priv, path, time.Unix(0, 0)) {
			listed[h.ID] = true
			if len(h.Via) == 0 || len(h.Chain) == 0 {
				t.Fatalf("%s has no chain", h.ID)
			}
			for _, o := range h.Via {
				if e.Config().Roles[o.Role].Privs&priv == 0 {
					t.Fatalf("%s: %s does not give it", h.ID, o.Role)
				}
			}
		}
		for _, id := range e.Principals() {
			if has := e.Permissions(id, path).Set&priv != 0; has != listed[id] {
				t.Fatalf("%s: has it %v, is listed %v", id, has, listed[id])
			}
		}
	})
}

// TestAccessLeavesNothingOut: at every path an identity has what the list says for it, or for the nearest path above.
func TestAccessLeavesNothingOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, id := engineOf(drawConfig(t)), drawID(t)
		a, _ := e.Access(id, time.Unix(0, 0))
		listed := map[string][]string{}
		for _, p := range a.Paths {
			listed[p.Path] = p.Privs
		}
		for _, path := range append(drawPaths(), "/vms/200", "/nodes/n", "/nodes/n/x", "/pool/p/r", "/pool/z") {
			want := listed["/"]
			for at := range prefixes(path) {
				for _, p := range []string{at, below(at)} {
					if privs, ok := listed[p]; ok && (p != below(path)) {
						want = privs
					}
				}
			}
			if got := e.Permissions(id, path).Set.Names(); !slices.Equal(got, want) && len(got)+len(want) > 0 {
				t.Fatalf("%s has %v at %s, the list says %v", id, got, path, want)
			}
		}
	})
}

func engineOf(lines []string) *Engine {
	cfg, _ := usercfg.Parse([]byte(strings.Join(lines, "\n")), 9)
	e, _ := New(cfg)
	return e
}

func TestIncompleteIsRefused(t *testing.T) {
	if _, err := New(&usercfg.Config{Incomplete: "line 3"}); err == nil {
		t.Error("answers from half a file")
	}
	if _, err := New(nil); err == nil {
		t.Error("answers from nothing")
	}
}

// TestManyPrincipals asks a cluster of 50,000 users with an entry each.
func TestManyPrincipals(t *testing.T) {
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, "user:u%d@pve:1:0::::::\nacl:1:/vms/%d:u%d@pve,x%d@pve:PVEVMAdmin:\n", i, 100+i, i, i)
	}
	hosttest.Hostile(t, "users and entries", b.Len(), func() {
		e := engineOf(strings.Split(b.String(), "\n"))
		if n := len(e.WhoCan(usercfg.PrivsOf("VM.Audit"), "/vms/200", time.Unix(0, 0))); n != 3 {
			t.Errorf("%d holders", n)
		}
		if a, _ := e.Access("u7@pve", time.Unix(0, 0)); len(a.Paths) != 1 {
			t.Errorf("%d paths", len(a.Paths))
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("a@pve", "/vms/100")
	f.Add("a@pve!t1", "//pool//p/")
	f.Add("root@pam!t1", "/\x00")
	f.Add("@", strings.Repeat("/a", 10000))
	e := engineOf(append(house(), "user:a@pve:1:", "token:a@pve!t1:0:1:"))
	f.Fuzz(func(t *testing.T, id, path string) {
		if e.Roles(id, path) == nil {
			t.Error("nil")
		}
		p := e.Permissions(id, path)
		if !p.Set.Has(p.Propagate) {
			t.Errorf("%q at %q: passes down what it has not", id, path)
		}
	})
}

// TestManyPools: looking at those pools alone that make a difference gives the same as looking at all.
func TestManyPools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := []string{"user:a@pve:1:", "token:a@pve!t1:0:1:", "group:g1:a@pve:", "group:g2:b@pve:"}
		for i := range manyPools + 6 {
			lines = append(lines, fmt.Sprintf("pool:p%d/q::%d:local:", i, 100+i))
		}
		acl := rapid.Custom(func(t *rapid.T) string {
			return "acl:" + rapid.SampledFrom([]string{"0", "1"}).Draw(t, "f") + ":" +
				rapid.SampledFrom([]string{"/", "/pool", "/pool/p1", "/pool/p1/q", "/pool/p2/q", "/pool/p3", "/storage/local"}).Draw(t, "p") + ":" +
				rapid.SampledFrom([]string{"a@pve", "@g1", "@g2", "a@pve!t1"}).Draw(t, "m") + ":" +
				rapid.SampledFrom([]string{"PVEAdmin", "PVEAuditor", "NoAccess", "PVEVMUser"}).Draw(t, "r") + ":"
		})
		e := engineOf(append(lines, rapid.SliceOfN(acl, 0, 8).Draw(t, "acl")...))
		for _, id := range []string{"a@pve", "a@pve!t1", "b@pve"} {
			roles := e.roles(id, "/storage/local")
			want := e.sum(roles).Set
			if len(roles) == 0 || roles[0].Role != NoAccess {
				for _, pool := range e.pools["/storage/local"] {
					of := e.roles(id, "/pool/"+pool)
					if len(of) > 0 && of[0].Role == NoAccess {
						want = 0
						break
					}
					want |= e.sum(of).Set
				}
			}
			if got := e.sum(e.effective(id, "/storage/local")).Set; got != want {
				t.Fatalf("%s: %v, all pools give %v", id, got.Names(), want.Names())
			}
		}
	})
}

// TestKinMayTheSame: identities that are said to be alike are.
func TestKinMayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := engineOf(append(drawConfig(t), "user:c@pve:1:", "user:d@pve:1:", "group:g2:c@pve,d@pve:"))
		first := map[string]string{}
		for _, id := range e.Principals() {
			k := e.Kin(id)
			if first[k] == "" {
				first[k] = id
			}
			for _, path := range drawPaths() {
				if e.Permissions(id, path) != e.Permissions(first[k], path) {
					t.Fatalf("%s and %s differ at %s", id, first[k], path)
				}
			}
		}
	})
}
