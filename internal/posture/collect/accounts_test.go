package collect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

func accountTree(more map[string]string) map[string]string {
	files := map[string]string{
		"var/lib/dpkg/status":           installedDpkg,
		"etc/passwd":                    "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:1001::/home/bob:\n",
		"etc/group":                     "root:x:0:\nsudo:x:27:bob\nann:x:1000:\nbob:x:1001:\n",
		"etc/shadow":                    "root:$y$CANARY:20000:0:99999:7:::\nwww:*:20000:0:99999:7:::\nann:!$6$CANARY:20000:0:99999:7:::\nbob:$6$CANARY:20000:0:99999:7::20100:\n",
		"etc/gshadow":                   "sudo:$6$CANARY::bob\n",
		"etc/sudoers":                   "root ALL=(ALL) ALL\n%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n",
		"home/ann/.ssh/authorized_keys": "ssh-ed25519 AAAA ann\n",
	}
	for k, v := range more {
		files[k] = v
	}
	return files
}

// collectDated collects as collectTree does, at the moment that the copy says.
func collectDated(t *testing.T, col Collector, files map[string]string) *posture.Facts {
	t.Helper()
	files[".castellan/meta"] = "now 2026-11-20T12:00:00Z\n"
	d := hosttest.Open(t, hosttest.Write(t, files))
	f, err := Run(d, d.Describe(), []Collector{col})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func byName(f posture.AccountFacts, name string) posture.Account {
	for _, a := range f.Users.Value {
		if a.Name == name {
			return a
		}
	}
	return posture.Account{}
}

func TestAccounts(t *testing.T) {
	f := collectDated(t, Accounts(), accountTree(nil)).Accounts
	ann, bob, www := byName(f, "ann"), byName(f, "bob"), byName(f, "www")
	if ann.Password.Value != "locked" || ann.Scheme.Value != "sha512" || !ann.Keys.Value || !ann.CanLogin.Value || ann.Admin.Value {
		t.Errorf("a locked password leaves the key: %+v", ann)
	}
	if !bob.Expired.Value || bob.CanLogin.Value || !bob.Admin.Value || !bob.Interactive || bob.Groups[0] != "bob" {
		t.Errorf("bob's account has ended: %+v", bob)
	}
	if www.Person || www.Interactive || www.Password.Value != "none" {
		t.Errorf("%+v", www)
	}
	if len(f.People.Value) != 1 || len(f.Admins.Value) != 0 || f.Superusers.Value[0] != "root" || f.GroupsWithPassword.Value[0] != "sudo" {
		t.Errorf("%+v", f)
	}
	if len(f.Sudo.NoPasswd.Value) != 1 || f.Sudo.UsePTY.Value || f.Sudo.TimestampTimeout.Value != 15 || f.Sudo.TimestampTimeout.Origin != posture.Default {
		t.Errorf("%+v", f.Sudo)
	}
}

func TestNoHashEntersAFact(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"well-formed":     nil,
		"broken shadow":   {"etc/shadow": "root:$y$CANARY:x::::::\nann:$6$CANARY\n"},
		"hash in passwd":  {"etc/passwd": "root:$6$CANARY:0:0:root:/root:/bin/bash\n"},
		"broken passwd":   {"etc/passwd": "root:$6$CANARY\n"},
		"broken gshadow":  {"etc/gshadow": "sudo:$6$CANARY\n"},
		"broken in group": {"etc/group": "sudo:CANARY\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(collectTree(t, Accounts(), accountTree(files)).Accounts)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "CANARY") {
				t.Error("a secret is in the facts")
			}
		})
	}
}

func TestAccountsThatCannotBeRead(t *testing.T) {
	f := collectTree(t, Accounts(), map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n"}).Accounts
	ann := byName(f, "ann")
	if ann.Password.IsKnown() || ann.CanLogin.IsKnown() || ann.Admin.IsKnown() || ann.LastLogin.IsKnown() || ann.MaxDays.IsKnown() {
		t.Errorf("guessed: %+v", ann)
	}
	if f.People.IsKnown() || f.Admins.IsKnown() || f.Superusers.IsKnown() || f.Sudo.Installed.IsKnown() || f.PAM.NullOK.IsKnown() ||
		f.PAM.Faillock.Active.IsKnown() || f.PAM.Quality.MinLength.IsKnown() || f.Login.PassMaxDays.IsKnown() || f.Login.Timeout.IsKnown() || f.Login.PersonUmask.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
}

func TestFaillockNeedsBothLines(t *testing.T) {
	pre, unix, fail := "auth requisite pam_faillock.so preauth\n", "auth [success=2 default=ignore] pam_unix.so\n", "auth [default=die] pam_faillock.so authfail deny=7\n"
	for stack, want := range map[string]bool{pre + unix + fail: true, pre + unix: false, unix + fail: false, unix + pre + fail: false, fail + unix + pre: false} {
		f := collectTree(t, Accounts(), accountTree(map[string]string{"etc/pam.d/common-auth": stack,
			"etc/security/faillock.conf": "deny = 3\nroot_unlock_time = 60\n"})).Accounts.PAM.Faillock
		if f.Active.Value != want || !f.Active.IsKnown() {
			t.Errorf("%q: active %v", stack, f.Active.Value)
		}
		if want && (f.Deny.Value != 7 || f.RootUnlockTime.Value != 60 || !f.EvenDenyRoot.Value || f.FailInterval.Value != 900) {
			t.Errorf("arguments win over the file, and root_unlock_time counts root: %+v", f)
		}
	}
}

func TestUmasks(t *testing.T) {
	base := map[string]string{"etc/pam.d/common-session": "session required pam_unix.so\n", "etc/pam.d/common-auth": "auth required pam_unix.so\n",
		"etc/login.defs": "UMASK 027\n", "etc/profile": "PATH=/bin\n"}
	for name, tt := range map[string]struct {
		more         map[string]string
		root, person string
	}{
		"login.defs alone does nothing": {nil, "022", "022"},
		"pam_umask gives it to all":     {map[string]string{"etc/pam.d/common-session": "session optional pam_umask.so\n"}, "027", "027"},
		"private groups":                {map[string]string{"etc/pam.d/common-session": "session optional pam_umask.so\n", "etc/login.defs": "UMASK 027\nUSERGROUPS_ENAB yes\n"}, "027", "007"},
		"people only":                   {map[string]string{"etc/profile.d/u.sh": "if [ $UID -ge 1000 ]; then umask 077; fi\n"}, "022", "077"},
		"profile for all":               {map[string]string{"etc/profile": "umask 027\n"}, "027", "027"},
		"root's own":                    {map[string]string{"etc/profile": "umask 027\n", "root/.bashrc": "umask 022\n"}, "022", "027"},
	} {
		t.Run(name, func(t *testing.T) {
			files := accountTree(base)
			for k, v := range tt.more {
				files[k] = v
			}
			f := collectTree(t, Accounts(), files).Accounts.Login
			if f.PersonGroupWrite.Value {
				t.Error("nobody but the person is in a private group")
			}
			if f.RootUmask.Value != tt.root || f.PersonUmask.Value != tt.person {
				t.Errorf("root %s, people %s; want %s and %s", f.RootUmask.Value, f.PersonUmask.Value, tt.root, tt.person)
			}
		})
	}
}
