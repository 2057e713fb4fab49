package kinds

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

const users = `user:alice@pve:1:0:Alice::alice@example.org:one%3A two:x:
token:alice@pve!job:0:0:nightly:
user:bob@pve:0:0::::left::
user:root@pam:1:0:::::x:

group:admins:alice@pve,bob@pve:all of it:


role:Old:VM.Audit:

acl:1:/:@admins:Administrator:
acl:1:/vms:bob@pve,ghost@pve:PVEVMUser:
acl:1:/vms:@nobody:Old:
`

func TestPermissions(t *testing.T) {
	acl := func(section, name string, set map[string]string) change.Change {
		return change.Change{Kind: "pveacl", Section: section, Name: name, Set: set}
	}
	absent := func(c change.Change) change.Change { c.Ensure = "absent"; return c }
	for _, tc := range []struct {
		name        string
		c           change.Change
		minus, plus []string // lines that go and come
	}{
		{"a role", acl("role", "BackupAdmin", map[string]string{"privs": "VM.Backup, Datastore.Audit"}), nil, []string{"role:BackupAdmin:Datastore.Audit,VM.Backup:"}},
		{"a role changes", acl("role", "Old", map[string]string{"privs": "VM.Console"}), []string{"role:Old:VM.Audit:"}, []string{"role:Old:VM.Console:"}},
		{"a group", acl("group", "ops", map[string]string{"members": "alice@pve", "comment": "day: and night"}), nil, []string{"group:ops:alice@pve:day%3A and night:"}},
		{"a group keeps its members", acl("group", "admins", map[string]string{"members": "alice@pve"}), nil, nil},
		{"a user is made, disabled", acl("user", "carol@pve", map[string]string{"comment": "new"}), nil, []string{"user:carol@pve:0:0::::new::"}},
		{"a user in a group, with an end", acl("user", "bob@pve", map[string]string{"enable": "1", "expire": "2027-01-01", "groups": ""}),
			[]string{"user:bob@pve:0:0::::left::", "group:admins:alice@pve,bob@pve:all of it:"},
			[]string{"user:bob@pve:1:1798761600::::left::", "group:admins:alice@pve:all of it:"}},
		{"who has left", acl("user", "bob@pve", map[string]string{"groups": "", "permissions": ""}),
			[]string{"group:admins:alice@pve,bob@pve:all of it:", "acl:1:/vms:bob@pve,ghost@pve:PVEVMUser:"},
			[]string{"group:admins:alice@pve:all of it:", "acl:1:/vms:ghost@pve:PVEVMUser:"}},
		{"a token", change.Change{Kind: "pveacl", Section: "token", Each: []string{"alice@pve!job"}, Set: map[string]string{"privsep": "1", "expire": "1798761600"}},
			[]string{"token:alice@pve!job:0:0:nightly:"}, []string{"token:alice@pve!job:1798761600:1:nightly:"}},
		{"an entry", acl("acl", "", map[string]string{"path": "/storage/a", "role": "Old", "user": "alice@pve", "propagate": "0"}), nil, []string{"acl:0:/storage/a:alice@pve:Old:"}},
		{"an entry that is there", acl("acl", "", map[string]string{"path": "/", "role": "Administrator", "group": "admins"}), nil, nil},
		{"an entry goes", absent(acl("acl", "", map[string]string{"path": "/vms", "role": "PVEVMUser", "user": "ghost@pve"})),
			[]string{"acl:1:/vms:bob@pve,ghost@pve:PVEVMUser:"}, []string{"acl:1:/vms:bob@pve:PVEVMUser:"}},
		{"what nobody holds", acl("dangling", "", nil), []string{"acl:1:/vms:bob@pve,ghost@pve:PVEVMUser:", "acl:1:/vms:@nobody:Old:"}, []string{"acl:1:/vms:bob@pve:PVEVMUser:"}},
	} {
		cfg, _ := usercfg.Parse([]byte(users), 9)
		canonical := string(cfg.Write())
		b := newBench(t, false, map[string]string{"etc/pve/user.cfg": canonical})
		got := b.after(t, []string{userFile}, tc.c, tc.c)[userFile]
		want := canonical
		for _, l := range tc.minus {
			if !strings.Contains(want, l+"\n") {
				t.Fatalf("%s: the file has no line %q", tc.name, l)
			}
			want = strings.Replace(want, l+"\n", "", 1)
		}
		for _, l := range tc.plus {
			if !strings.Contains(got, l+"\n") {
				t.Errorf("%s: no line %q in\n%s", tc.name, l, got)
			}
			got = strings.Replace(got, l+"\n", "", 1)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, want)
		}
	}
}

func TestPermissionsCannot(t *testing.T) {
	c := func(section, name, ensure string, set map[string]string) change.Change {
		return change.Change{Kind: "pveacl", Section: section, Name: name, Ensure: ensure, Set: set}
	}
	for _, tc := range []struct {
		name, want string
		c          change.Change
	}{
		{"an unknown privilege", "no privilege", c("role", "New", "", map[string]string{"privs": "VM.Fly"})},
		{"a role of PVE", "comes with PVE", c("role", "PVEAdmin", "", map[string]string{"privs": "VM.Audit"})},
		{"a name of PVE", "belong to PVE", c("role", "PVEMine", "", map[string]string{"privs": "VM.Audit"})},
		{"a role that is held", "holds the role", c("role", "Old", "absent", nil)},
		{"a group that holds", "holds a role", c("group", "admins", "absent", nil)},
		{"an unknown role", "no role", c("acl", "", "", map[string]string{"path": "/", "role": "Fly", "user": "alice@pve"})},
		{"an unknown user", "no group, user or token", c("acl", "", "", map[string]string{"path": "/", "role": "Old", "user": "ghost@pve"})},
		{"two members", "one group, user or token", c("acl", "", "", map[string]string{"path": "/", "role": "Old", "user": "alice@pve", "group": "admins"})},
		{"no path", "no path", c("acl", "", "", map[string]string{"path": "/a b", "role": "Old", "user": "alice@pve"})},
		{"the last administrator", "nobody but root@pam", c("acl", "", "absent", map[string]string{"path": "/", "role": "Administrator", "group": "admins"})},
		{"the last administrator leaves", "nobody but root@pam", c("user", "alice@pve", "", map[string]string{"groups": ""})},
		{"the last administrator is disabled", "nobody but root@pam", c("user", "alice@pve", "", map[string]string{"enable": "0"})},
		{"a token is made", "prints the secret", c("token", "alice@pve!new", "", map[string]string{"privsep": "1"})},
		{"a password", "no \"password\"", c("user", "alice@pve", "", map[string]string{"password": "x"})},
		{"a user goes", "pveum user delete", c("user", "bob@pve", "absent", nil)},
		{"root", "way back", c("user", "root@pam", "", map[string]string{"enable": "0"})},
		{"a member that is not there", "no user", c("group", "admins", "", map[string]string{"members": "ghost@pve"})},
		{"a line break", "line break", c("user", "alice@pve", "", map[string]string{"comment": "a\nacl:1:/:ghost@pve:Administrator:"})},
		{"a colon", "no address", c("user", "alice@pve", "", map[string]string{"email": "a:b"})},
		{"a day that is none", "expire is", c("user", "alice@pve", "", map[string]string{"expire": "soon"})},
		{"no name", "does not name", c("user", "", "", map[string]string{"enable": "0"})},
		{"no section", "no section", c("pool", "x", "", map[string]string{"a": "b"})},
	} {
		b := newBench(t, false, map[string]string{"etc/pve/user.cfg": users})
		p := b.plan(t, tc.c)
		if len(p.Omitted) != 1 || !strings.Contains(p.Omitted[0].Reason, tc.want) || len(p.Windows) > 0 {
			t.Errorf("%s: %+v", tc.name, p.Omitted)
		}
	}
}

// Of a file that somebody edited the lines that are not meant stay as they are. Where the line that changes is in a form of its own, the
// plan says what becomes of the file.
func TestPermissionsByHand(t *testing.T) {
	byHand := "# by hand\n" + users + "role:PVEAuditor:Sys.Modify:\n"
	b := newBench(t, false, map[string]string{"etc/pve/user.cfg": byHand})
	group := change.Change{Kind: "pveacl", Section: "group", Name: "admins", Set: map[string]string{"members": "alice@pve"}}
	if p := b.plan(t, group); len(p.Windows) > 0 {
		t.Errorf("%+v", p.Windows)
	}
	c := change.Change{Kind: "pveacl", Section: "user", Name: "bob@pve", Set: map[string]string{"comment": "back", "groups": ""}}
	want := strings.NewReplacer("::::left::", "::::back::", "alice@pve,bob@pve:all", "alice@pve:all").Replace(byHand)
	if got := b.after(t, []string{userFile}, c, c)[userFile]; got != want {
		t.Errorf("%s", got)
	}
	b = newBench(t, false, map[string]string{"etc/pve/user.cfg": strings.Replace(byHand, "group:admins:alice@pve,bob@pve:", "group:admins:bob@pve, alice@pve:", 1)})
	p := b.plan(t, c)
	if len(p.Windows) != 1 || !strings.Contains(strings.Join(p.Windows[0].Effects, "\n"), "edited by hand") {
		t.Errorf("%+v", p.Windows)
	}
}

// What PVE writes and what is not meant stays; what is written is read as it was meant.
func checkPermissions(t interface {
	Fatalf(string, ...any)
}, content string) {
	cfg, _ := usercfg.Parse([]byte(content), 9)
	if cfg.Incomplete != "" {
		return
	}
	before := cfg.Write()
	cfg.Forget()
	once := cfg.Write()
	if patched, lossless := cfg.Patch([]byte(content), before); lossless {
		p, _ := usercfg.Parse(patched, 9)
		if string(p.Write()) != string(once) {
			t.Fatalf("%q gives %q", content, patched)
		}
	}
	again, problems := usercfg.Parse(once, 9)
	if len(problems) > 0 {
		t.Fatalf("%q gives %q: %v", content, once, problems)
	}
	again.Forget()
	if string(again.Write()) != string(once) {
		t.Fatalf("%q\n%q\n%q", content, once, again.Write())
	}
	for id := range cfg.Users {
		again.Strip(id)
	}
	for _, path := range again.Paths() {
		if len(again.ACL[path].Users)+len(again.ACL[path].Tokens) > 0 {
			t.Fatalf("%q: %s still has entries after all were taken away", before, path)
		}
	}
}

func TestPermissionsProperty(t *testing.T) {
	line := rapid.SampledFrom(append(strings.Split(strings.TrimSpace(users), "\n"), "", "# c", "token:ghost@pve!x:0:1::", "acl:0:/:alice@pve!job,alice@pve!gone:PVEAuditor:",
		"group:g2:ghost@pve,alice@pve::", "role:PVEAuditor:Sys.Modify:", "user:alice@pve:1:0::::again::", "acl:1:vms/:@g2:Old,NoAccess:"))
	rapid.Check(t, func(r *rapid.T) {
		checkPermissions(r, strings.Join(rapid.SliceOfN(line, 0, 15).Draw(r, "lines"), "\n"))
	})
}

func FuzzPermissions(f *testing.F) {
	f.Add(users)
	f.Add("acl:1:/:a@b\x00,c@dd:Administrator\xff:\r\nuser:a@bb:1")
	f.Fuzz(func(t *testing.T, content string) { checkPermissions(t, content) })
}
