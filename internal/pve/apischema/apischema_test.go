package apischema

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func load(t testing.TB, release int) *Schema {
	t.Helper()
	s, err := Load(release)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCounts holds the sizes that the source of the tables has.
func TestCounts(t *testing.T) {
	type count struct{ Methods, RootOnly, NoToken, World int }
	want := map[int]count{8: {605, 15, 5, 5}, 9: {649, 15, 5, 6}}
	for release, w := range want {
		s := load(t, release)
		got := count{Methods: len(s.All())}
		for _, m := range s.All() {
			if m.RootOnly() {
				got.RootOnly++
			}
			if m.NoToken {
				got.NoToken++
			}
			if m.User == "world" {
				got.World++
			}
		}
		if s.Len() != w.Methods || got != w {
			t.Errorf("release %d: %+v, want %+v", release, got, w)
		}
	}
	if _, err := Load(7); err == nil {
		t.Error("there is a table for release 7")
	}
}

func TestLookup(t *testing.T) {
	s := load(t, 9)
	cases := []struct {
		method, raw, want string
		params            map[string]string
	}{
		{"GET", "/api2/json/version", "/version", map[string]string{}},
		{"GET", "/api2/extjs//nodes///pve1/qemu/100/config/", "/nodes/{node}/qemu/{vmid}/config", map[string]string{"node": "pve1", "vmid": "100"}},
		{"GET", "/api2/json%2Fnodes", "", nil},
		{"GET", "/api2/json/nodes/pve1/storage/local/content/local:iso/x.iso", "/nodes/{node}/storage/{storage}/content/{volume}",
			map[string]string{"node": "pve1", "storage": "local", "volume": "local:iso/x.iso"}},
		{"GET", "/api2/json/nodes/pve1/storage/local/content/local:iso%2Fx.iso", "/nodes/{node}/storage/{storage}/content/{volume}",
			map[string]string{"node": "pve1", "storage": "local", "volume": "local:iso/x.iso"}},
		{"GET", "/api2/json/nodes/pve1/qemu%2F100/config", "", nil},
		{"GET", "/api2/json/Version", "", nil},
		{"PATCH", "/api2/json/version", "", nil},
		{"GET", "/api2/json/nope", "", nil},
		{"GET", "/api2/json/cluster/ha/rules", "/cluster/ha/rules", map[string]string{}},
	}
	for _, c := range cases {
		p, err := Canonical(c.raw)
		if err != nil {
			t.Fatalf("%s: %v", c.raw, err)
		}
		m, params := s.Lookup(c.method, p)
		got := ""
		if m != nil {
			got = m.Path
		}
		if got != c.want || m != nil && !cmp.Equal(params, c.params) {
			t.Errorf("%s %s leads to %q with %v, want %q with %v", c.method, c.raw, got, params, c.want, c.params)
		}
	}
	p, _ := Canonical("/api2/json/cluster/ha/rules")
	if m, _ := load(t, 8).Lookup("GET", p); m != nil {
		t.Error("release 8 has HA rules")
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, raw := range []string{"", "/", "/api2", "/api2/", "/api2//", "/api2/1x/version", "/api2/JSON/version", "/api2/json/../access", "/api2/json/nodes/%2e%2e/x", "/api2/json/a%00b",
		"/api2/json/%zz", "/api2/json/a%0ab", "/api2/json/%252e%252e", "/api2/json/\xff", "/api2/json/%ff", "/api3/json/version", "/api2/json/" + strings.Repeat("a", 9000)} {
		if p, err := Canonical(raw); err == nil {
			t.Errorf("%q is accepted as %v", raw, p)
		}
	}
}

// oracle grants what is written as "path priv".
func oracle(caller string, grants ...string) Oracle {
	has := func(path, priv string) bool { return slices.Contains(grants, path+" "+priv) }
	groups := map[string][]string{"alice@pve": {"ops"}, "bob@pve": {}}
	return Oracle{
		Caller: caller,
		Check: func(path string, privs []string, anyOf bool) bool {
			for _, p := range privs {
				if has(path, p) == anyOf {
					return anyOf
				}
			}
			return !anyOf
		},
		UserExists: func(u string) bool { _, ok := groups[u]; return ok },
		GroupsOf:   func(u string) []string { return groups[u] },
	}
}

func TestAllowed(t *testing.T) {
	s := load(t, 9)
	method := func(key string) *Method {
		for _, m := range s.All() {
			if m.HTTP+" "+m.Path == key {
				return m
			}
		}
		t.Fatalf("there is no method %s", key)
		return nil
	}
	type params = map[string]string
	cases := []struct {
		name, method string
		oracle       Oracle
		params       params
		ok           bool
		missing      string
	}{
		{"world", "GET /access/domains", oracle(""), nil, true, ""},
		{"nobody", "GET /version", oracle(""), nil, false, ""},
		{"all", "GET /version", oracle("a@pve"), nil, true, ""},
		{"root", "POST /nodes/{node}/execute", oracle("root@pam"), nil, true, ""},
		{"a token of root is not root", "POST /nodes/{node}/execute", oracle("root@pam!t", "/ Sys.Modify"), nil, false, ""},
		{"audit", "GET /nodes/{node}/qemu/{vmid}/config", oracle("a@pve", "/vms/100 VM.Audit"), params{"vmid": "100"}, true, ""},
		{"another guest", "GET /nodes/{node}/qemu/{vmid}/config", oracle("a@pve", "/vms/100 VM.Audit"), params{"vmid": "101"}, false, "/vms/101, VM.Audit"},
		{"any", "GET /access/domains/{realm}", oracle("a@pve", "/access/realm Sys.Audit"), params{"realm": "pam"}, true, ""},
		{"any missing", "GET /access/domains/{realm}", oracle("a@pve"), params{"realm": "pam"}, false, "/access/realm, Realm.Allocate|Sys.Audit"},
		{"user all before check", "GET /cluster/options", oracle("a@pve"), nil, true, ""},
		{"no tokens", "PUT /access/password", oracle("a@pve!t"), params{"userid": "a@pve"}, false, "API tokens are not accepted here"},
		{"0 becomes -", "GET /nodes/{node}/qemu/{vmid}/config", oracle("a@pve", "/vms/- VM.Audit"), params{"vmid": "0"}, true, ""},
		{"bad path", "GET /nodes/{node}/qemu/{vmid}/config", oracle("a@pve", "/vms/1 0 VM.Audit"), params{"vmid": "1 0"}, false, "/vms/1 0, VM.Audit"},
		{"self", "GET /access/users/{userid}/token", oracle("alice@pve"), params{"userid": "alice@pve"}, true, ""},
		{"a token is not its owner", "GET /access/users/{userid}/token", oracle("alice@pve!t"), params{"userid": "alice@pve"}, false, "the user itself"},
		{"the user's group", "PUT /access/users/{userid}", oracle("a@pve", "/access/groups/ops User.Modify"), params{"userid": "alice@pve", "groups": "ops"}, true, ""},
		{"a user without group", "PUT /access/users/{userid}", oracle("a@pve", "/access/groups/ops User.Modify"), params{"userid": "bob@pve", "groups": "ops"}, false, "/access/groups, User.Modify"},
		{"a foreign group", "PUT /access/users/{userid}", oracle("a@pve", "/access/groups/ops User.Modify"), params{"userid": "alice@pve", "groups": "ops,adm"}, false, "/access/groups/adm, User.Modify"},
		{"ACL of a guest", "PUT /access/acl", oracle("a@pve", "/vms/100 VM.Allocate"), params{"path": "/vms/100"}, true, ""},
		{"ACL of another guest", "PUT /access/acl", oracle("a@pve", "/vms/100 VM.Allocate"), params{"path": "/vms/101"}, false, "/vms/101, Permissions.Modify|VM.Allocate"},
		{"ACL without path", "PUT /access/acl", oracle("a@pve", "/access Permissions.Modify"), nil, true, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ok, missing := method(c.method).Allowed(c.oracle, c.params)
			if ok != c.ok || missing != c.missing {
				t.Errorf("%v, %q; want %v, %q", ok, missing, c.ok, c.missing)
			}
		})
	}
}

// TestMorePrivilegesNeverDeny holds of every method: whoever may do it with some privileges may do it with more.
func TestMorePrivilegesNeverDeny(t *testing.T) {
	s := load(t, 9)
	all := s.All()
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(all).Draw(t, "method")
		seed := rapid.Uint64().Draw(t, "seed")
		grant := func(extra bool) Oracle {
			has := func(path, p string) bool {
				h := seed
				for _, c := range path + " " + p {
					h = (h ^ uint64(c)) * 1099511628211
				}
				return h>>33%2 == 0 || extra && h>>35%2 == 0
			}
			o := oracle("alice@pve")
			o.Check = func(path string, privs []string, anyOf bool) bool {
				for _, p := range privs {
					if has(path, p) == anyOf {
						return anyOf
					}
				}
				return !anyOf
			}
			return o
		}
		params := map[string]string{"vmid": "100", "node": "n1", "userid": rapid.SampledFrom([]string{"alice@pve", "bob@pve", "x"}).Draw(t, "userid"),
			"groups": rapid.SampledFrom([]string{"", "ops", "ops,adm"}).Draw(t, "groups"), "path": "/vms/100"}
		less, _ := m.Allowed(grant(false), params)
		more, _ := m.Allowed(grant(true), params)
		if less && !more {
			t.Fatalf("%s %s is denied with more privileges", m.HTTP, m.Path)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"/api2/json/version", "/api2/json/nodes/pve1/storage/local/content/local:iso%2Fx.iso", "/api2/json/%2e%2e/x", "/api2/extjs//a//b"} {
		f.Add(seed)
	}
	s := load(f, 9)
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := Canonical(raw)
		if err != nil {
			return
		}
		again, err := Canonical(p.Escaped())
		if err != nil {
			t.Fatalf("%q gives %q, which is refused: %v", raw, p.Escaped(), err)
		}
		if again.String() != p.String() || again.Format != p.Format {
			t.Fatalf("%q is %v and then %v", raw, p, again)
		}
		m1, a := s.Lookup("GET", p)
		if !p.EncodedSlash {
			if m2, b := s.Lookup("GET", again); m1 != m2 || !cmp.Equal(a, b) {
				t.Fatalf("the canonical form of %q leads elsewhere", raw)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(9); err != nil {
			b.Fatal(err)
		}
	}
}
