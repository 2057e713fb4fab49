package usercfg

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/pve"
)

func parse(t *testing.T, lines ...string) (*Config, int) {
	t.Helper()
	c, problems := Parse([]byte(strings.Join(lines, "\n")+"\n"), 9)
	return c, len(problems)
}

// written is what PVE writes back of some lines, without empty lines and without the line of root@pam.
func written(c *Config) []string {
	var lines []string
	for l := range strings.Lines(string(c.Write())) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "user:root@pam:") {
			lines = append(lines, l)
		}
	}
	return lines
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		warns int
		want  []string
	}{
		{"as the writer emits it", []string{"user:a@pve:1:0:A:B:a@x.example:c:x:"}, 0, []string{"user:a@pve:1:0:A:B:a@x.example:c:x:"}},
		{"CRLF and indentation are harmless", []string{"  user:a@pve:1:0::::::\r"}, 0, []string{"user:a@pve:1:0::::::"}},
		{"fields are trimmed", []string{"user : a@pve : 1 : 7 :"}, 0, []string{"user:a@pve:1:7::::::"}},
		{"there are no comments", []string{"# user:a@pve:1:"}, 1, nil},
		{"an unknown word", []string{"users:a@pve:1:"}, 1, nil},
		{"only colons", []string{":::"}, 1, nil},
		{"enable is Perl's truth", []string{"user:a@pve:foo:", "user:b@pve:0:", "user:c@pve:", "user:d@pve:00:"}, 0,
			[]string{"user:a@pve:1:0::::::", "user:b@pve:0:0::::::", "user:c@pve:0:0::::::", "user:d@pve:1:0::::::"}},
		{"a bad expiry drops the user", []string{"user:a@pve:1:-1:", "user:b@pve:1:1e9:", "user:c@pve:1:007:"}, 2, []string{"user:c@pve:1:7::::::"}},
		{"an expiry beyond 64 bits", []string{"user:a@pve:1:18446744073709551615:", "user:b@pve:1:100000000000000000000:"}, 0,
			[]string{"user:a@pve:1:18446744073709551615::::::", "user:b@pve:1:1e+20::::::"}},
		{"names", []string{"user:a:1:", "user:@pve:1:", "user:a@1x:1:", "user:a@x:1:", "user:a/b@pve:1:", "user:a@b@pve:1:", "user:a!b@pve:1:",
			"user:" + strings.Repeat("a", 61) + "@pve:1:"}, 6, []string{"user:a!b@pve:1:0::::::", "user:a@b@pve:1:0::::::"}},
		{"a token follows its user", []string{"token:a@pve!tt:0:1:", "user:a@pve:1:"}, 1, []string{"user:a@pve:1:0::::::"}},
		{"a bare token has no privilege separation", []string{"user:a@pve:1:", "token:a@pve!tt"}, 0, []string{"user:a@pve:1:0::::::", "token:a@pve!tt:0:0::"}},
		{"token names", []string{"user:a@pve:1:", "token:a@pve!t:0:1:", "token:a@pve!1t:0:1:", "token:a@pve:0:1:", "token:a@pve!tt:x:1:"}, 4, []string{"user:a@pve:1:0::::::"}},
		{"root@pam is there", []string{"token:root@pam!tt:0:0:c%3a d:"}, 0, []string{"token:root@pam!tt:0:0:c%3A d:"}},
		{"a repeated user loses its tokens", []string{"user:a@pve:1:", "token:a@pve!tt:0:1:", "user:a@pve:0:"}, 0, []string{"user:a@pve:0:0::::::"}},
		{"a repeated token is merged", []string{"user:a@pve:1:", "token:a@pve!tt:5:1:c:", "token:a@pve!tt:0:0::"}, 0, []string{"user:a@pve:1:0::::::", "token:a@pve!tt:0:0:c:"}},
		{"groups keep unknown members", []string{"group:g:b@pve,a@pve;bad c@pve:c:", "group:g::"}, 4, []string{"group:g:a@pve,b@pve,c@pve:c:"}},
		{"group names", []string{"group:a b:", "group::", "group:0:"}, 2, []string{"group:0:::"}},
		{"unknown privileges are dropped one by one", []string{"role:r:VM.Audit,VM.Monitor,Foo VM.Backup:", "role:r:Sys.Audit:"}, 2, []string{"role:r:Sys.Audit,VM.Audit,VM.Backup:"}},
		{"a built-in role is not written", []string{"role:NoAccess:VM.Audit:"}, 0, nil},
		{"pools nest and create their parents", []string{"pool:a/b/c:x:101,0100,1000::", "pool:a/b/c/d::::", "pool:a//b::::"}, 2,
			[]string{"pool:a::::", "pool:a/b::::", "pool:a/b/c:x:100,1000,101::"}},
		{"a guest is in one pool, a storage in many", []string{"pool:a::100:s1,local:", "pool:b::100,x:s1,1s,a:"}, 4, []string{"pool:a::100:local,s1:", "pool:b:::s1:"}},
		{"the list 0 is empty", []string{"pool:a::0:0:", "group:g:0:"}, 0, []string{"group:g:::", "pool:a::::"}},
		{"a list with NUL splits there only", []string{"group:g:a@pve\x00b@pve c@pve:"}, 2, []string{"group:g:a@pve::"}},
		{"acl roles and members", []string{"user:a@pve:1:", "acl:1:/vms/100:a@pve,ghost@pve,@g,a@pve!tt,!:PVEAdmin,None,a/b:"}, 6,
			[]string{"user:a@pve:1:0::::::", "acl:1:/vms/100:@g,a@pve,ghost@pve:PVEAdmin:"}},
		{"acl of a role before the role", []string{"user:a@pve:1:", "acl:1:/:a@pve:r:", "role:r:VM.Audit:"}, 1, []string{"user:a@pve:1:0::::::", "role:r:VM.Audit:"}},
		{"acl paths", []string{"user:a@pve:1:", "acl:1:vms//100/:a@pve:PVEAdmin:", "acl:1::a@pve:PVEAdmin:", "acl:1:0:a@pve:PVEAdmin:",
			"acl:1:/a b:a@pve:PVEAdmin:", "acl:1:///:a@pve:PVEAuditor:", "acl:1:/kvm/../x:a@pve:PVEAuditor:"}, 3,
			[]string{"user:a@pve:1:0::::::", "acl:1:/:a@pve:PVEAuditor:", "acl:1:/kvm/../x:a@pve:PVEAuditor:", "acl:1:/vms/100:a@pve:PVEAdmin:"}},
		{"a component 0 is no component", []string{"user:a@pve:1:", "acl:1:/vms/0:a@pve:PVEAdmin:", "acl:1:0/:a@pve:PVEAuditor:"}, 0,
			[]string{"user:a@pve:1:0::::::", "acl:1:/:a@pve:PVEAuditor:", "acl:1:/vms:a@pve:PVEAdmin:"}},
		{"the last propagate wins", []string{"user:a@pve:1:", "acl:1:/:a@pve:PVEAdmin:", "acl:0:/:a@pve:PVEAdmin,PVEAuditor:", "acl:1:/:a@pve:PVEAuditor:"}, 0,
			[]string{"user:a@pve:1:0::::::", "acl:0:/:a@pve:PVEAdmin:", "acl:1:/:a@pve:PVEAuditor:"}},
		{"root@pam's own entries are not written", []string{"acl:1:/:root@pam:PVEAdmin:"}, 0, nil},
		{"tree order", []string{"user:a@pve:1:", "acl:1:/vms-x:a@pve:PVEAdmin:", "acl:1:/vms/2:a@pve:PVEAdmin:", "acl:1:/vms:a@pve:PVEAdmin:", "acl:1:/vms/10:a@pve:PVEAdmin:"}, 0,
			[]string{"user:a@pve:1:0::::::", "acl:1:/vms:a@pve:PVEAdmin:", "acl:1:/vms/10:a@pve:PVEAdmin:", "acl:1:/vms/2:a@pve:PVEAdmin:", "acl:1:/vms-x:a@pve:PVEAdmin:"}},
		{"a role with the name 0", []string{"user:a@pve:1:", "role:0:VM.Audit:", "role:r:VM.Audit:", "acl:1:/:a@pve:0,r:", "acl:0:/:a@pve:0:"}, 0,
			[]string{"user:a@pve:1:0::::::", "role:0:VM.Audit:", "role:r:VM.Audit:", "acl:1:/:a@pve:0r:"}},
		{"text", []string{"user:a@pve:1:0:0:%c3%bc:0:a%25b%zz, c\u00fc\xff:0:"}, 0, []string{"user:a@pve:1:0::%C3%BC::a%25b%25zz, c%C3%BC%EF%BF%BD::"}},
		{"only blanks", []string{" \t"}, 1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, warns := parse(t, tc.lines...)
			if warns != tc.warns {
				_, problems := Parse([]byte(strings.Join(tc.lines, "\n")), 9)
				t.Errorf("%d warnings, want %d: %v", warns, tc.warns, problems)
			}
			if diff := cmp.Diff(tc.want, written(c)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingAtAllIsQuiet(t *testing.T) {
	for _, text := range []string{"", "\n", "\n\n\n"} {
		if _, problems := Parse([]byte(text), 9); len(problems) > 0 {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

func TestReleases(t *testing.T) {
	if n := len(Privileges(8)); n != 42 {
		t.Errorf("PVE 8 has %d privileges", n)
	}
	if n := len(Privileges(9)); n != 47 {
		t.Errorf("PVE 9 has %d privileges", n)
	}
	if !slices.IsSorted(privilegeNames[:]) {
		t.Error("the privileges are not sorted, so that they are not found")
	}
	// The sizes that the reference gives for PVE 9.
	for role, n := range map[string]int{"Administrator": 47, "NoAccess": 0, "PVEAdmin": 40, "PVEAuditor": 7, "PVEVMAdmin": 23, "PVEVMUser": 10, "PVESysAdmin": 3} {
		if privs, ok := BuiltinRoleOf(9, role); !ok || privs.Len() != n {
			t.Errorf("%s has %d privileges, want %d", role, privs.Len(), n)
		}
	}
	line := []byte("role:r:VM.Monitor,VM.Replicate:\n")
	c8, p8 := Parse(line, 8)
	c9, p9 := Parse(line, 9)
	if got := c8.Roles["r"].Privs.Names(); !slices.Equal(got, []string{"VM.Monitor"}) || len(p8) != 1 {
		t.Errorf("PVE 8: %v, %v", got, p8)
	}
	if got := c9.Roles["r"].Privs.Names(); !slices.Equal(got, []string{"VM.Replicate"}) || len(p9) != 1 {
		t.Errorf("PVE 9: %v, %v", got, p9)
	}
	if len(builtinRoles(8)) != 17 || len(builtinRoles(9)) != 17 {
		t.Error("there are 17 built-in roles")
	}
	agent, _ := PrivOf("VM.GuestAgent.FileWrite")
	if user8, _ := BuiltinRoleOf(8, "PVEVMUser"); user8&agent != 0 {
		t.Error("PVEVMUser writes no files through the agent in PVE 8")
	}
	if user9, _ := BuiltinRoleOf(9, "PVEVMUser"); user9&agent == 0 {
		t.Error("PVEVMUser writes files through the agent in PVE 9")
	}
}

func TestNotes(t *testing.T) {
	c, warns := parse(t, "user:a@pve:1:", "token:a@pve!tt:0:1:", "user:a@pve:1:", "role:PVEAuditor:Sys.Modify,VM.Audit:", "user:root@pam:1:")
	if warns != 0 {
		t.Errorf("%d warnings", warns)
	}
	if len(c.Notes) != 2 || c.Notes[0].Kind != RepeatedUser || c.Notes[0].Line != 3 || !strings.Contains(c.Notes[0].Text, "tt") ||
		c.Notes[1].Kind != BuiltinRole || c.Notes[1].Line != 4 {
		t.Errorf("notes: %+v", c.Notes)
	}
	r := c.Roles["PVEAuditor"]
	if got := r.Added.Names(); !slices.Equal(got, []string{"Sys.Modify"}) {
		t.Errorf("added: %v", got)
	}
}

func TestKeysStayHidden(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXP"
	c, problems := Parse([]byte("user:a@pve:1:0:::::"+secret+":\nuser:b@pve:1:0:::::x:\nuser:c@pve:1:0:::::x!yubico:\nuser:d@pve:1:\nuser;e@pve:1:0:::::"+secret+":\nuser:f@pve:1:x:::::"+secret+":\n"), 9)
	for id, want := range map[string]KeysKind{"a@pve": KeysLegacy, "b@pve": KeysElsewhere, "c@pve": KeysElsewhere, "d@pve": NoKeys} {
		if got := c.Users[id].Keys(); got != want {
			t.Errorf("%s: %q", id, got)
		}
	}
	if text := fmt.Sprint(problems); len(problems) != 2 || strings.Contains(text, secret) {
		t.Errorf("problems: %s", text)
	}
}

// TestLarge reads 100,000 lines of each kind.
func TestLarge(t *testing.T) {
	var b bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&b, "user:u%d@pve:1:0::::::\n", i)
	}
	for i := range 50_000 {
		fmt.Fprintf(&b, "acl:1:/vms/%d:u%d@pve:PVEVMAdmin:\n", 100+i, i)
	}
	var c *Config
	var problems []pve.Problem
	hosttest.Hostile(t, "users and entries", b.Len(), func() { c, problems = Parse(b.Bytes(), 9) })
	if len(problems) > 0 || len(c.Users) != 50_001 || len(c.ACL) != 50_000 {
		t.Errorf("%d problems, %d users, %d paths", len(problems), len(c.Users), len(c.ACL))
	}
	if len(c.Write()) < b.Len() {
		t.Error("not all was written")
	}
}

// TestListsDoNotMultiply: 20,000 members times 20,000 roles are refused, not computed.
func TestListsDoNotMultiply(t *testing.T) {
	var members, roles, b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "role:r%d:\n", i)
		fmt.Fprintf(&roles, "r%d,", i)
		fmt.Fprintf(&members, "u%d@pve,", i)
	}
	fmt.Fprintf(&b, "acl:1:/:%s:%s:\n", members.String(), roles.String())
	c, _ := Parse([]byte(b.String()), 9)
	if c.Incomplete == "" {
		t.Error("400 million entries were taken")
	}
}

func lineGen() *rapid.Generator[string] {
	users := rapid.SampledFrom([]string{"a@pve", "b@pam", "root@pam", "c@d@ldap1", "ghost@pve", "bad", "a@pve!t1", "a@pve!t2", "@g1", "@g2", "@ghosts", "0", "root@pam!t1"})
	members := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(users, 0, 4).Draw(t, "members"), rapid.SampledFrom([]string{",", ";", " ", "\x00"}).Draw(t, "by"))
	})
	roles := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"PVEAdmin", "NoAccess", "R1", "R2", "0", "PVEAuditor", "x/y"}), 0, 3).Draw(t, "roles"), ",")
	})
	privs := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(privilegeNames[:]), 0, 4).Draw(t, "privs"), ",")
	})
	paths := rapid.SampledFrom([]string{"/", "/vms", "/vms/100", "//vms//100/", "vms/101", "/storage/local", "/pool/p", "/pool/p/q", "/vms/0", "0/", "0", "", "/a b", "/access/groups/g1"})
	flag := rapid.SampledFrom([]string{"", "0", "1", "x"})
	number := rapid.SampledFrom([]string{"", "0", "7", "x", "1700000000", "99999999999999999999999"})
	text := rapid.SampledFrom([]string{"", "0", "c", "a%3Ab", "ü", "%", "%ff"})
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			return "user:" + users.Draw(t, "u") + ":" + flag.Draw(t, "on") + ":" + number.Draw(t, "end") + ":" + text.Draw(t, "c") + "::x:" + text.Draw(t, "d") + ":"
		case 1:
			return "token:" + users.Draw(t, "u") + ":" + number.Draw(t, "end") + ":" + flag.Draw(t, "sep") + ":" + text.Draw(t, "c") + ":"
		case 2:
			return "group:" + rapid.SampledFrom([]string{"g1", "g2", "g/3"}).Draw(t, "g") + ":" + members.Draw(t, "m") + ":" + text.Draw(t, "c") + ":"
		case 3:
			return "role:" + rapid.SampledFrom([]string{"R1", "R2", "0", "NoAccess"}).Draw(t, "r") + ":" + privs.Draw(t, "p") + ":"
		case 4:
			return "pool:" + rapid.SampledFrom([]string{"p", "p/q", "p/q/r/s", "0"}).Draw(t, "p") + ":" + text.Draw(t, "c") + ":100,0101,x:local,s1,9:"
		case 5:
			return rapid.StringN(0, 40, 60).Draw(t, "junk")
		}
		return "acl:" + flag.Draw(t, "f") + ":" + paths.Draw(t, "p") + ":" + members.Draw(t, "m") + ":" + roles.Draw(t, "r") + ":"
	})
}

// TestWriteSettles: what is written is read and written the same again. The first writing may hold what the next reading
// drops (entries of tokens that a repeated user line wiped, a time of expiry beyond 64 bits, a list of roles joined at "0"),
// as with PVE; after a second nothing changes any more.
func TestWriteSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(lineGen(), 0, 25).Draw(t, "lines"), "\n"))
		release := rapid.SampledFrom([]int{8, 9}).Draw(t, "release")
		again := func(b []byte) []byte {
			c, _ := Parse(b, release)
			return c.Write()
		}
		first := again(text)
		second := again(first)
		third := again(second)
		if !bytes.Equal(second, third) {
			t.Fatalf("written twice:\n%s\nand again:\n%s", second, third)
		}
		if !strings.Contains(string(text), "user:") && !bytes.Contains(text, []byte("999999")) && !strings.Contains(string(text), "role:0") && !bytes.Equal(first, second) {
			t.Fatalf("written:\n%s\nand again:\n%s", first, second)
		}
	})
}

// TestEntriesHaveLines: every user, token, group, own role and entry knows the line it stands on.
func TestEntriesHaveLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(lineGen(), 0, 25).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		all := strings.Split(text, "\n")
		c, _ := Parse([]byte(text), 9)
		check := func(what string, line int, word string) {
			if line < 1 || line > len(all) || !strings.Contains(all[line-1], word) {
				t.Fatalf("%s is said to stand on line %d of\n%s", what, line, text)
			}
		}
		for id, u := range c.Users {
			if u.Line > 0 || id != RootUser {
				check(id, u.Line, id)
			}
			for _, tok := range u.Tokens {
				check(tok.ID, tok.Line, tok.ID)
			}
		}
		for id, g := range c.Groups {
			check(id, g.Line, id)
		}
		for _, n := range c.ACL {
			for _, members := range []map[string]Grants{n.Groups, n.Users, n.Tokens} {
				for m, grants := range members {
					for role, g := range grants {
						check(m, g.Line, m)
						check(role, g.Line, role)
					}
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", " ", "user:a@pve:1:0:A:B:m@x:c:x:\ntoken:a@pve!tt:0:1:c:\n", "group:g:a@pve,b@pve:\nrole:r:VM.Audit:\nacl:1:/vms/100:@g:r:\n",
		"pool:a/b/c::100:local:\n", "user:a@pve:1:\x00\xff", strings.Repeat(":", 5000), "acl:1:" + strings.Repeat("/a", 3000) + ":root@pam!x:NoAccess:",
		"role:0::\nacl::0/:0@00:0,0:", "pool:0::1::\npool:b::1::\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problems := Parse(b, 9)
		lines := bytes.Count(b, []byte("\n")) + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || len(p.Text) > 1000 {
				t.Errorf("problem %v of %d lines", p, lines)
			}
		}
		w := c.Write()
		c2, _ := Parse(w, 9)
		c3, _ := Parse(c2.Write(), 9)
		if !bytes.Equal(c2.Write(), c3.Write()) {
			t.Errorf("writing does not settle:\n%s\n%s", c2.Write(), c3.Write())
		}
		for _, p := range slices.Collect(maps.Keys(c.ACL)) {
			if q, ok := NormalizePath(p); !ok || q != p {
				t.Errorf("path %q is not normal: %q", p, q)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var text bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&text, "user:u%d@pve:1:0::::::\n", i)
	}
	for b.Loop() {
		Parse(text.Bytes(), 9)
	}
}
