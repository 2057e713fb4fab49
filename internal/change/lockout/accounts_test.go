package lockout

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

func TestAccounts(t *testing.T) {
	auth := debian()["/etc/pam.d/common-auth"]
	passwdFile := debian()["/etc/passwd"]
	shadow := debian()["/etc/shadow"]
	edit := func(name, old, fresh string) files {
		text := debian()[name]
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %s", old, name)
		}
		return files{name: strings.Replace(text, old, fresh, 1)}
	}
	ann := named("ann", "192.0.2.10")
	annKey := change.Operator{User: "ann", Address: "192.0.2.10", Key: edPrint, Method: "publickey", Session: true}
	faillock := "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\nauth sufficient pam_faillock.so authsucc\n"
	for name, tt := range map[string]struct {
		before, changed files
		op              change.Operator
		want            wanted
	}{
		"nothing that matters":   {nil, files{"/etc/passwd": passwdFile + "eve:x:1009:1009::/home/eve:/bin/bash\n"}, annKey, yes("becomes root by sudo (/etc/sudoers:3)")},
		"removed":                {nil, edit("/etc/passwd", "ann:x:1000:1000::/home/ann:/bin/bash\n", ""), annKey, no("no account ann")},
		"no shell":               {nil, edit("/etc/passwd", "/home/ann:/bin/bash", "/home/ann:/usr/sbin/nologin"), annKey, no("nologin", "/etc/passwd:2")},
		"a shell that is gone":   {files{"/bin/bash": "x"}, edit("/etc/passwd", "/home/ann:/bin/bash", "/home/ann:/bin/fish"), annKey, no("/bin/fish does not exist")},
		"locked, comes by key":   {nil, edit("/etc/shadow", "root:$y", "root:!$y"), rootByKey(), yes()},
		"locked, comes by word":  {nil, edit("/etc/shadow", "root:$y", "root:!$y"), byWord("root"), no("cannot be used", "locked")},
		"expired":                {nil, edit("/etc/shadow", "ann:$y$j9T$ab$cd:20000:0:99999:7:::", "ann:$y$j9T$ab$cd:20000:0:99999:7::20400:"), annKey, no("expired on 2025-11-08", "chage")},
		"expires later":          {nil, edit("/etc/shadow", "ann:$y$j9T$ab$cd:20000:0:99999:7:::", "ann:$y$j9T$ab$cd:20000:0:99999:7::29000:"), annKey, yes()},
		"grace is over":          {nil, edit("/etc/shadow", "ann:$y$j9T$ab$cd:20000:0:99999:7:::", "ann:$y$j9T$ab$cd:20000:0:90:7:30::"), annKey, no("time of grace")},
		"no line in shadow":      {nil, files{"/etc/shadow": "root:*:1::::::\n"}, annKey, no("no line in /etc/shadow")},
		"out of sudo":            {nil, edit("/etc/group", "sudo:x:27:ann", "sudo:x:27:"), annKey, no("can no longer become root", "ann to the group sudo")},
		"sudoers without group":  {nil, edit("/etc/sudoers", "%sudo", "%wheel"), annKey, no("no rule of sudo")},
		"sudoers broken":         {nil, files{"/etc/sudoers": debian()["/etc/sudoers"] + "ann ALL\n"}, annKey, no("sudo refuses its files")},
		"sudo asks, no password": {nil, edit("/etc/shadow", "ann:$y", "ann:!$y"), annKey, no("sudo asks for the password of ann")},
		"sudo does not ask": {nil, edit("/etc/shadow", "ann:$y", "ann:!$y").with(edit("/etc/sudoers", "%sudo ALL=(ALL:ALL) ALL", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL")),
			annKey, yes()},
		"sudo asks for root's":       {nil, edit("/etc/sudoers", "env_reset", "rootpw").with(edit("/etc/shadow", "root:$y", "root:!$y")), annKey, no("password of root")},
		"a later rule takes it back": {nil, files{"/etc/sudoers": debian()["/etc/sudoers"] + "ann ALL=(ALL) !ALL\n"}, annKey, no("no rule of sudo")},
		"had no sudo":                {nil, files{"/etc/passwd": passwdFile + "\n"}, named("bob", "192.0.2.10"), yes("no sudo before")},
		"su is shut": {nil, files{"/etc/pam.d/su": "auth required pam_wheel.so\n" + debian()["/etc/pam.d/su"]}, named("bob", "192.0.2.10"),
			no("by su, and could no longer")},
		"nologin":                  {nil, files{"/etc/nologin": "down\n"}, annKey, no("/etc/nologin keeps everybody but root out")},
		"nologin, root":            {nil, files{"/etc/nologin": "down\n"}, rootByKey(), yes()},
		"faillock in order":        {nil, files{"/etc/pam.d/common-auth": faillock + "auth requisite pam_deny.so\nauth required pam_permit.so\n"}, byWord("root"), yes()},
		"faillock jumps too short": {nil, files{"/etc/pam.d/common-auth": strings.Replace(faillock, "[success=1", "[success=ignore", 1) + "auth requisite pam_deny.so\n"}, byWord("root"), no("PAM stops root at pam_faillock.so", "common-auth:3")},
		"faillock, comes by key":   {nil, files{"/etc/pam.d/common-auth": "auth requisite pam_deny.so\n"}, rootByKey(), yes()},
		"deny alone":               {nil, files{"/etc/pam.d/common-auth": "auth requisite pam_deny.so\n"}, byWord("root"), no("pam_deny.so (auth")},
		"deny for accounts":        {nil, files{"/etc/pam.d/common-account": "account required pam_deny.so\n"}, rootByKey(), no("pam_deny.so (account")},
		"an unknown module":        {nil, files{"/etc/pam.d/common-auth": auth + "auth required pam_exotic.so\n"}, byWord("root"), no("pam_exotic.so", "cannot be told")},
		"an unknown module before": {files{"/etc/pam.d/common-auth": auth + "auth required pam_exotic.so\n"},
			files{"/etc/pam.d/common-auth": "# new\n" + auth + "auth required pam_exotic.so\n"}, byWord("root"), yes()},
		"pam_access with new rules": {files{"/etc/pam.d/common-account": debian()["/etc/pam.d/common-account"] + "account required pam_access.so\n"},
			files{"/etc/security/access.conf": "-:ALL:ALL\n"}, rootByKey(), no("pam_access.so", "cannot be told")},
		"a module that is missing": {files{"/usr/lib/x86_64-linux-gnu/security/pam_unix.so": "x", "/usr/lib/x86_64-linux-gnu/security/pam_deny.so": "x",
			"/usr/lib/x86_64-linux-gnu/security/pam_permit.so": "x", "/usr/lib/x86_64-linux-gnu/security/pam_nologin.so": "x"}, files{"/etc/pam.d/common-auth": "auth required pam_faillock.so preauth\n" + auth}, byWord("root"), no("pam_faillock.so")},
		"a circle":           {nil, files{"/etc/pam.d/common-auth": "@include common-auth\n"}, byWord("root"), no("cannot be read")},
		"a copy of a part":   {files{"/etc/pam.d/sshd": "@include common-auth\n"}, files{"/etc/shadow": shadow + "\n"}, rootByKey(), yes()},
		"nobody says yes":    {nil, files{"/etc/pam.d/common-account": "account optional pam_echo.so\n"}, rootByKey(), no("no module of PAM says yes")},
		"shells":             {files{"/etc/shells": "/bin/sh\n"}, files{"/etc/pam.d/common-account": "account required pam_shells.so\n"}, rootByKey(), no("pam_shells.so")},
		"unreadable shadow":  {nil, files{"/etc/shadow": "unreadable"}, annKey, no("/etc/shadow")},
		"unreadable sudoers": {nil, files{"/etc/sudoers": "unreadable"}, annKey, no("/etc/sudoers")},
		"never was":          {nil, files{"/etc/shadow": shadow + "\n"}, named("zoe", "192.0.2.1"), no("no account zoe", "also before this plan")},
		"unknown method":     {nil, files{"/etc/shadow": shadow + "zed:!:1::::::\n"}, ann, yes()},
	} {
		t.Run(name, func(t *testing.T) {
			tt.want.check(t, accountsGuard{}.Judge(caseOf(debian().with(tt.before), tt.changed, tt.op)))
		})
	}
	t.Run("silent", func(t *testing.T) {
		if v := (accountsGuard{}).Judge(caseOf(debian(), drop("Port 22"), ann)); v != nil {
			t.Errorf("%+v", v)
		}
	})
	t.Run("sudo is purged", func(t *testing.T) {
		c := caseOf(debian(), nil, annKey)
		c.Changes = []change.Change{{Control: "X", Kind: "package", Purge: []string{"sudo"}}}
		no("X removes the package sudo").check(t, accountsGuard{}.Judge(c))
	})
	t.Run("sudo loses its bit", func(t *testing.T) {
		c := caseOf(debian(), nil, annKey)
		after := host.NewOverlay(c.Before)
		if err := after.Set("/usr/bin/sudo", host.Node{Type: host.Regular, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		c.After, c.Paths = after, []string{"/usr/bin/sudo"}
		no("no set-user-ID bit").check(t, accountsGuard{}.Judge(c))
	})
}

// lastlog makes a record for each user id.
func lastlog(times map[int]time.Time) string {
	b := make([]byte, 292*1100)
	for uid, t := range times {
		binary.LittleEndian.PutUint32(b[uid*292:], uint32(t.Unix()))
	}
	return string(b)
}

func TestSecondPath(t *testing.T) {
	fresh := files{"/var/log/lastlog": lastlog(map[int]time.Time{1000: testNow.Add(-3 * time.Hour)})}
	for name, tt := range map[string]struct {
		before, changed files
		op              change.Operator
		want            wanted
	}{
		"proven":                {fresh, drop("PermitRootLogin no"), rootByKey(), yes("PermitRootLogin no", "ann still gets in", "becomes root by sudo", "2026-11-21 09:00")},
		"passwords go":          {fresh, drop("PasswordAuthentication no"), rootByKey(), yes("PasswordAuthentication no")},
		"a list":                {fresh, drop("AllowGroups sudo root"), rootByKey(), yes("AllowGroups")},
		"stale":                 {files{"/var/log/lastlog": lastlog(map[int]time.Time{1000: testNow.Add(-30 * time.Hour)})}, drop("PermitRootLogin no"), rootByKey(), no("2026-11-20", "usermod -aG sudo")},
		"never":                 {files{"/var/log/lastlog": lastlog(nil)}, drop("PermitRootLogin no"), rootByKey(), no("never done so")},
		"not recorded":          {nil, drop("PermitRootLogin no"), rootByKey(), no("not recorded")},
		"shut out herself":      {fresh, drop("PermitRootLogin no", "AllowUsers root"), rootByKey(), no("AllowUsers")},
		"no key":                {fresh.with(files{"/home/ann/.ssh/authorized_keys": "-"}), drop("PermitRootLogin no"), rootByKey(), no("ann has no key")},
		"no sudo":               {fresh.with(files{"/etc/sudoers": "root ALL=(ALL) ALL\n"}), drop("PermitRootLogin no"), rootByKey(), no("no account of a person has sudo")},
		"her own session":       {nil, drop("PermitRootLogin no"), change.Operator{User: "ann", Address: "192.0.2.10", Local: "192.0.2.1", Key: edPrint, Method: "publickey", Session: true}, yes("logged in now")},
		"her session, by word":  {nil, drop("PermitRootLogin no"), byWord("ann"), no("not recorded")},
		"unreadable sudoers":    {fresh.with(files{"/etc/sudoers": "unreadable"}), drop("PermitRootLogin no"), rootByKey(), no("no second administrator")},
		"a closed address only": {fresh, drop("Match Address 192.0.2.10", "PermitRootLogin no"), rootByKey(), yes("PermitRootLogin no")},
	} {
		t.Run(name, func(t *testing.T) {
			tt.want.check(t, secondPath{}.Judge(caseOf(debian().with(tt.before), tt.changed, tt.op)))
		})
	}
	t.Run("the journal proves", func(t *testing.T) {
		c := caseOf(debian(), drop("PermitRootLogin no"), rootByKey())
		c.Before.(*host.Memory).Answers["ssh-accepted"] = []byte("1795251600.12 alpha sshd-session[99]: Accepted publickey for ann from 192.0.2.3 port 4 ssh2\n")
		yes("last login 2026-11-21").check(t, secondPath{}.Judge(c))
		c.Target.Root = false
		no("not recorded").check(t, secondPath{}.Judge(c))
	})
	t.Run("silent", func(t *testing.T) {
		for _, changed := range []files{drop("X11Forwarding no"), {"/etc/motd": "x"}, drop("PermitRootLogin prohibit-password")} {
			if v := (secondPath{}).Judge(caseOf(debian(), changed, rootByKey())); v != nil {
				t.Errorf("%+v", v)
			}
		}
		c := caseOf(debian(), drop("PermitRootLogin no"))
		c.Target.Live, c.Target.Kind = false, "dir"
		if v := (secondPath{}).Judge(c); v != nil {
			t.Errorf("a copy without named operators: %+v", v)
		}
	})
	t.Run("a copy", func(t *testing.T) {
		c := caseOf(debian(), drop("PermitRootLogin no"), named("ann", "192.0.2.10"))
		c.Target.Live, c.Target.Kind = false, "dir"
		yes("a copy cannot prove a login").check(t, secondPath{}.Judge(c))
	})
}

func TestOperator(t *testing.T) {
	c := caseOf(debian(), drop("Port 22"))
	c.Changes = []change.Change{{Control: "A", Lockout: "none"}, {Control: "B", Lockout: "session"}}
	no("nobody is named who must still get in", "B can cut", "--admin user@cidr").check(t, operatorGuard{}.Judge(c))
	c.Changes[1].Lockout = "boot"
	if v := (operatorGuard{}).Judge(c); v != nil {
		t.Errorf("%+v", v)
	}
	c.Changes[1].Lockout = "cluster"
	c.Operators = []change.Operator{rootByKey()}
	if v := (operatorGuard{}).Judge(c); v != nil {
		t.Errorf("%+v", v)
	}
	c.Operators, c.Target.Live = nil, false
	if v := (operatorGuard{}).Judge(c); v != nil {
		t.Errorf("a copy: %+v", v)
	}
}
