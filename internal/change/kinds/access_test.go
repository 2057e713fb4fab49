package kinds

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
)

// debianAuth is common-auth of Debian 12 as pam-auth-update writes it.
const debianAuth = `#
# /etc/pam.d/common-auth - authentication settings common to all services
#
# here are the per-package modules (the "Primary" block)
auth	[success=1 default=ignore]	pam_unix.so nullok
# here's the fallback if no module succeeds
auth	requisite			pam_deny.so
auth	required			pam_permit.so
# end of pam-auth-update config
`

// debianSu is the beginning of /etc/pam.d/su of Debian 12.
const debianSu = `auth       sufficient pam_rootok.so

# Uncomment this to force users to be a member of group wheel
# auth       required   pam_wheel.so

# auth       sufficient pam_wheel.so trust
# auth       required   pam_wheel.so deny group=nosu
session       required   pam_env.so readenv=1
@include common-auth
`

func TestPAM(t *testing.T) {
	const wheel = "auth\trequired\tpam_wheel.so use_uid group=sudo"
	su := change.Change{Kind: "pam", Section: "su", Set: map[string]string{"pam_wheel.so": "auth required pam_wheel.so use_uid group=sudo"}}
	nullok := change.Change{Kind: "pam", Section: "*", Set: map[string]string{"pam_unix.so": "-nullok"}}
	yescrypt := change.Change{Kind: "pam", Section: "common-password", Set: map[string]string{"pam_unix.so": "+yescrypt"}}
	runEdits(t, []edit{
		{"nullok goes, the rest stays", map[string]string{"etc/pam.d/common-auth": debianAuth, "etc/pam.d/x.dpkg-old": debianAuth}, nullok,
			map[string]string{"/etc/pam.d/common-auth": strings.Replace(debianAuth, " nullok", "", 1), "/etc/pam.d/x.dpkg-old": debianAuth}, ""},
		{"nullok before a comment and on a continued line", map[string]string{"etc/pam.d/a": "auth required pam_unix.so nullok_secure try_first_pass # nullok\r\nauth \\\r\n required pam_unix.so \\\r\n nullok\r\n"}, nullok,
			map[string]string{"/etc/pam.d/a": "auth required pam_unix.so try_first_pass # nullok\r\nauth \\\r\n required pam_unix.so \\\r\n\r\n"}, ""},
		{"nothing to do", map[string]string{"etc/pam.d/common-auth": "auth required pam_unix.so\n"}, nullok, nil, ""},
		{"a hash takes the place of another", map[string]string{"etc/pam.d/common-password": "password\t[success=1 default=ignore]\tpam_unix.so obscure sha512 rounds=65536 minlen=8\n"}, yescrypt,
			map[string]string{"/etc/pam.d/common-password": "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt minlen=8\n"}, ""},
		{"a hash is added", map[string]string{"etc/pam.d/common-password": "password required pam_unix.so  # hashed\n"}, yescrypt,
			map[string]string{"/etc/pam.d/common-password": "password required pam_unix.so yescrypt  # hashed\n"}, ""},
		{"su: Debian's example becomes the line", map[string]string{"etc/pam.d/su": debianSu, "etc/pam.d/common-auth": debianAuth}, su,
			map[string]string{"/etc/pam.d/su": strings.Replace(debianSu, "# auth       required   pam_wheel.so\n", wheel+"\n", 1)}, ""},
		{"su: without an example it stands after pam_rootok", map[string]string{"etc/pam.d/su": "auth sufficient pam_rootok.so\n@include common-auth\n", "etc/pam.d/common-auth": debianAuth}, su,
			map[string]string{"/etc/pam.d/su": "auth sufficient pam_rootok.so\n" + wheel + "\n@include common-auth\n"}, ""},
		{"su: another group", map[string]string{"etc/pam.d/su": "auth required pam_wheel.so\nauth required pam_unix.so"}, su,
			map[string]string{"/etc/pam.d/su": wheel + "\nauth required pam_unix.so"}, ""},
		{"su: before a line that turns it around", map[string]string{"etc/pam.d/su": "auth sufficient pam_wheel.so trust\n"}, su,
			map[string]string{"/etc/pam.d/su": wheel + "\nauth sufficient pam_wheel.so trust\n"}, ""},
		{"a stack that is broken", map[string]string{"etc/pam.d/su": "nonsense here now\n"}, su, nil, "correct that first"},
		{"a stack that is not there", nil, su, nil, "is not there"},
		{"a way out of the directory", nil, change.Change{Kind: "pam", Section: "../x", Set: su.Set}, nil, "is no file"},
		{"a line of another module", map[string]string{"etc/pam.d/su": debianSu}, change.Change{Kind: "pam", Section: "su", Set: map[string]string{"pam_wheel.so": "auth required pam_exec.so x"}}, nil, "is no line of PAM"},
	})
}

func TestPAMModules(t *testing.T) {
	lock := change.Change{Kind: "faillock", Set: map[string]string{"deny": "5", "unlock_time": "900", "root_unlock_time": "900"}}
	quality := change.Change{Kind: "pwquality", Set: map[string]string{"minlen": "14"}}
	runEdits(t, []edit{
		{"faillock.conf of Debian", map[string]string{"etc/pam.d/common-auth": debianAuth, "etc/security/faillock.conf": "# deny = 3\nunlock_time = 600 # short\nsilent\n"}, lock,
			map[string]string{faillockFile: "# deny = 3\nunlock_time = 900\nsilent\ndeny = 5\n"}, ""},
		{"root is counted for a day", map[string]string{"etc/pam.d/common-auth": debianAuth, "etc/security/faillock.conf": "deny=3\nunlock_time=0\neven_deny_root\nroot_unlock_time=86400\n"}, lock,
			map[string]string{faillockFile: "deny=3\nunlock_time=0\neven_deny_root\nroot_unlock_time = 900\n"}, ""},
		{"an argument wins over the file", map[string]string{"etc/pam.d/common-auth": "auth requisite pam_faillock.so preauth deny=10\nauth [default=die] pam_faillock.so authfail deny=10 # x\n"}, lock,
			map[string]string{"/etc/pam.d/common-auth": "auth requisite pam_faillock.so preauth deny=5\nauth [default=die] pam_faillock.so authfail deny=5 # x\n"}, ""},
		{"pwquality", map[string]string{"etc/pam.d/common-password": "password requisite pam_pwquality.so retry=3\n", "etc/security/pwquality.conf": "# minlen = 8\n"}, quality,
			map[string]string{pwqualityFile: "# minlen = 8\nminlen = 14\n"}, ""},
		{"a file beside it is stricter", map[string]string{"etc/pam.d/common-password": "password requisite pam_pwquality.so\n", "etc/security/pwquality.conf.d/a.conf": "minlen = 20\n"}, quality, nil, ""},
		{"the main file is read last", map[string]string{"etc/pam.d/common-password": "password requisite pam_pwquality.so\n", "etc/security/pwquality.conf.d/a.conf": "minlen = 20\n", "etc/security/pwquality.conf": "minlen = 8\n"}, quality,
			map[string]string{pwqualityFile: "minlen = 14\n"}, ""},
		{"nobody asks pwquality", map[string]string{"etc/pam.d/common-password": "password required pam_unix.so\n"}, quality, nil, "install libpam-pwquality"},
	})
}

func TestSudoers(t *testing.T) {
	set := change.Change{Kind: "sudoers", Set: map[string]string{"use_pty": "", "logfile": "/var/log/sudo.log", "timestamp_timeout": "15"}}
	const main = "Defaults\tenv_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"
	runEdits(t, []edit{
		{"a file of ours", map[string]string{"etc/sudoers": main}, set,
			map[string]string{sudoersFile: "Defaults logfile=\"/var/log/sudo.log\"\nDefaults timestamp_timeout=15\nDefaults use_pty\n", sudoersMain: main}, ""},
		{"what is stricter stays", map[string]string{"etc/sudoers": "Defaults timestamp_timeout=5, use_pty\nDefaults logfile=/var/log/mine\n" + main}, set, nil, ""},
		{"our own line is written anew", map[string]string{"etc/sudoers": main, "etc/sudoers.d/castellan": "# ours\nDefaults timestamp_timeout=60\nDefaults use_pty\nDefaults logfile=/x\n"}, set,
			map[string]string{sudoersFile: "# ours\nDefaults timestamp_timeout=15\nDefaults use_pty\nDefaults logfile=/x\n"}, ""},
		{"a later file", map[string]string{"etc/sudoers": main, "etc/sudoers.d/zz": "Defaults !use_pty\n"}, set, nil, "/etc/sudoers.d/zz:1 sets use_pty after"},
		{"no directory is included", map[string]string{"etc/sudoers": "root ALL=(ALL:ALL) ALL\n"}, set, nil, "does not include /etc/sudoers.d"},
		{"sudo is not there", nil, set, nil, "sudo is not installed"},
		{"broken already", map[string]string{"etc/sudoers": "nonsense\n" + main}, set, nil, "sudo refuses its files"},
		{"a value that is more than one", map[string]string{"etc/sudoers": main}, change.Change{Kind: "sudoers", Set: map[string]string{"logfile": "/x, !authenticate"}}, nil, "cannot be written"},
	})
	b := newBench(t, true, map[string]string{"etc/sudoers": main})
	p := b.plan(t, set)
	if len(p.Windows) != 1 {
		t.Fatalf("%+v", p.Omitted)
	}
	found := false
	for _, s := range p.Windows[0].Steps {
		found = found || s.Path == sudoersFile && s.Candidate == "visudo -c -f"
	}
	if !found {
		t.Errorf("the file is not checked before it is put: %+v", p.Windows[0].Steps)
	}
}

const (
	usersOfHost  = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\nold:x:1001:1001::/home/old:/bin/bash\nsvc:x:999:999::/srv:/bin/sh\n"
	shadowOfHost = "root:$y$j9T$salt$hashofroot:20400:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nann:$y$j9T$salt$hashofann:20400:0:99999:7:::\nold::20000:0:99999:7:::\nsvc:$6$s$hashofsvc:20000:0:99999:7:::\n"
)

func TestAccount(t *testing.T) {
	files := map[string]string{"etc/passwd": usersOfHost, "etc/shadow": shadowOfHost}
	of := func(set map[string]string, names ...string) change.Change {
		return change.Change{Kind: "account", Each: names, Set: set}
	}
	replaced := func(s, old, new string) string { return strings.Replace(s, old, new, 1) }
	runEdits(t, []edit{
		{"lock", files, of(map[string]string{"locked": "yes"}, "old", "svc"),
			map[string]string{passwdFile: usersOfHost, shadowFile: replaced(replaced(shadowOfHost, "old::", "old:!:"), "svc:$6", "svc:!$6")}, ""},
		{"what is locked stays", map[string]string{"etc/passwd": usersOfHost, "etc/shadow": replaced(shadowOfHost, "old:", "old:!!")}, of(map[string]string{"locked": "yes"}, "old", "daemon"), nil, ""},
		{"shell", files, of(map[string]string{"shell": "/usr/sbin/nologin"}, "svc"), map[string]string{passwdFile: replaced(usersOfHost, "/srv:/bin/sh", "/srv:/usr/sbin/nologin")}, ""},
		{"ageing keeps what is stricter", map[string]string{"etc/passwd": usersOfHost, "etc/shadow": replaced(shadowOfHost, "hashofann:20400:0:99999:7:::", "hashofann:20400:2:90:14:30::")},
			of(map[string]string{"max_days": "365", "min_days": "1", "warn_days": "7", "inactive_days": "45"}, "ann"), nil, ""},
		{"ageing", files, of(map[string]string{"max_days": "365", "min_days": "1", "warn_days": "7", "inactive_days": "45"}, "ann"),
			map[string]string{shadowFile: replaced(shadowOfHost, "hashofann:20400:0:99999:7:::", "hashofann:20400:1:365:7:45::")}, ""},
		{"expiry", files, of(map[string]string{"expire": "1970-01-02"}, "old"), map[string]string{shadowFile: replaced(shadowOfHost, "old::20000:0:99999:7:::", "old::20000:0:99999:7::1:")}, ""},
		{"a hash in passwd moves", map[string]string{"etc/passwd": replaced(usersOfHost, "old:x", "old:$1$a$b"), "etc/shadow": replaced(shadowOfHost, "old::20000:0:99999:7:::\n", "")},
			of(map[string]string{"locked": "yes"}, "old"), map[string]string{passwdFile: usersOfHost, shadowFile: replaced(shadowOfHost, "old::20000:0:99999:7:::\n", "") + "old:!$1$a$b:::::::\n"}, ""},
		{"root is never locked", files, of(map[string]string{"locked": "yes"}, "root"), nil, "rights of root"},
		{"nobody there", files, of(map[string]string{"locked": "yes"}, "eve"), nil, "there is no account"},
		{"the last one", map[string]string{"etc/passwd": usersOfHost, "etc/shadow": "root:*:::::::\nann:$y$a$b$c:::::::\nold:!:::::::\nsvc:!:::::::\n"}, of(map[string]string{"locked": "yes"}, "ann"), nil, "no account would be left"},
		{"a field too many", files, of(map[string]string{"shell": "/bin/sh:x"}, "ann"), nil, "cannot stand"},
		{"unlocking", files, of(map[string]string{"locked": "no"}, "ann"), nil, "unlocks none"},
		{"broken files", map[string]string{"etc/passwd": "root:x:0\n", "etc/shadow": shadowOfHost}, of(map[string]string{"locked": "yes"}, "ann"), nil, "expected 7"},
	})
}

// TestAccountSecrets: no hash enters a plan, wherever it stands.
func TestAccountSecrets(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/passwd": strings.Replace(usersOfHost, "old:x", "old:$1$hashinpasswd", 1), "etc/shadow": shadowOfHost})
	p := b.plan(t, change.Change{Kind: "account", Each: []string{"old", "svc", "ann"}, Set: map[string]string{"locked": "yes", "shell": "/usr/sbin/nologin"}})
	if len(p.Windows) != 1 {
		t.Fatalf("%+v", p.Omitted)
	}
	for _, s := range p.Windows[0].Steps {
		if strings.Contains(s.Diff, "hash") {
			t.Errorf("%s shows a hash:\n%s", s.Path, s.Diff)
		}
	}
}

// TestAgeingShutsNobodyOut: somebody whose password is too old for the days of grace would not get in with a key either.
func TestAgeingShutsNobodyOut(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/passwd": usersOfHost, "etc/shadow": shadowOfHost})
	b.planner.Target.Now = time.Unix(21000*86400, 0)
	err := account(b.draft(t), change.Change{Each: []string{"ann"}, Set: map[string]string{"max_days": "365", "inactive_days": "45"}})
	if !isCannot(err) || !strings.Contains(err.Error(), "would be locked out at once") {
		t.Errorf("gives %v", err)
	}
	b.planner.Target.Now = time.Unix(20780*86400, 0)
	if err := account(b.draft(t), change.Change{Each: []string{"ann"}, Set: map[string]string{"max_days": "365", "inactive_days": "45"}}); err != nil {
		t.Errorf("within the days of grace: %v", err)
	}
}

// TestAccountsStayWhole: whatever accounts there are, a change of one leaves every other line as it is.
func TestAccountsStayWhole(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[a-z]{2,8}`).Filter(func(n string) bool { return n != "root" }) // who stands there already
		names := rapid.SliceOfNDistinct(name, 2, 6, rapid.ID[string]).Draw(rt, "names")
		ending := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "ending")
		users, shadow := "root:x:0:0::/root:/bin/bash"+ending, "root:$y$a$b$c:1:0:9:7:::"+ending
		lines := map[string]string{}
		for _, n := range names {
			users += n + ":x:1000:1000:a b:/home:/bin/sh" + ending
			lines[n] = n + ":" + rapid.SampledFrom([]string{"", "!", "*", "$6$x$y", "!$6$x$y", "!!"}).Draw(rt, "hash") + ":" + rapid.SampledFrom([]string{"", "20000"}).Draw(rt, "changed") + ":0:99999:7:::" + ending
			shadow += lines[n]
		}
		b := newBench(t, false, map[string]string{"etc/passwd": users, "etc/shadow": shadow})
		d := b.draft(t)
		if err := account(d, change.Change{Each: names[:1], Set: map[string]string{"locked": "yes", "expire": "1970-01-02"}}); err != nil {
			rt.Fatal(err)
		}
		got, _, err := d.Content(shadowFile)
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range names[1:] {
			if !strings.Contains(string(got), lines[n]) {
				rt.Errorf("the line of %s changed: %q", n, got)
			}
		}
		if strings.Count(string(got), ending) != strings.Count(shadow, ending) {
			rt.Errorf("lines came or went: %q", got)
		}
	})
}
