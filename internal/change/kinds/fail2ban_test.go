package kinds

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

const (
	jailConf = "[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 5\nbackend = auto\nenabled = false\nfilter = %(__name__)s\nport = 0:65535\n" +
		"banaction = iptables-multiport\nbanaction_allports = iptables-allports\naction_ = %(banaction)s[port=\"%(port)s\"]\naction = %(action_)s\n" +
		"[sshd]\nport = ssh\nlogpath = /var/log/auth.log\n"
	sshdFilter = "[Definition]\nfailregex = ^\\s*\\S+\\s+sshd(?:-session)?\\[\\d+\\]: Failed \\S+ for (?:invalid user )?<F-USER>.*</F-USER> from <HOST> port \\d+ ssh2$\n" +
		"journalmatch = _SYSTEMD_UNIT=ssh.service\n"
	pveFilter = "[Definition]\nfailregex = ^\\s*\\S+\\s+pvedaemon\\[\\d+\\]: (?:openid )?authentication failure; rhost=<ADDR> (?:user=.* )?msg=\n" +
		"journalmatch = _SYSTEMD_UNIT=pvedaemon.service\n"
	apiFilter = "[Definition]\nfailregex = ^<ADDR> - \\S+ \\[\\] \"[A-Z]+ /api2/\\S* HTTP/\\d\\.\\d\" 401\\b\ndatepattern = %%d/%%m/%%Y:%%H:%%M:%%S %%z\n"
)

// bans is a node with fail2ban as Debian 12 ships it, which logs into the journal alone.
func bans(more map[string]string) map[string]string {
	files := map[string]string{
		"etc/fail2ban/jail.conf": jailConf, "etc/fail2ban/jail.d/defaults-debian.conf": "[sshd]\nenabled = true\n", "etc/fail2ban/filter.d/sshd.conf": sshdFilter,
		"etc/fail2ban/action.d/iptables-multiport.conf": "", "etc/fail2ban/action.d/nftables.conf": "", "var/log/dpkg.log": "",
		"usr/lib/python3/dist-packages/systemd/__init__.py": "", "etc/os-release": "VERSION_ID=\"12\"\n",
	}
	maps.Copy(files, more)
	maps.DeleteFunc(files, func(_, v string) bool { return v == "-" })
	return files
}

func jailChange(section string, set map[string]string) change.Change {
	return change.Change{Kind: "fail2ban", Section: section, Set: set}
}

func sshJail() change.Change {
	return jailChange("sshd", map[string]string{"enabled": "true", "backend": "systemd", "maxretry": "3", "findtime": "300", "bantime": "3600"})
}

func webJail() change.Change {
	return jailChange("castellan-pve", map[string]string{"enabled": "true", "filter": "castellan-pve", "backend": "systemd", "port": "8006", "maxretry": "7", "findtime": "2h", "bantime": "3600"})
}

func TestFail2ban(t *testing.T) {
	c := sshJail()
	for name, x := range map[string]struct {
		files map[string]string
		c     change.Change
		want  string
	}{
		"Debian 12": {nil, c, "[sshd]\nbackend = systemd\nbantime = 3600\nenabled = true\nmaxretry = 3\n"},
		"holds":     {map[string]string{"etc/fail2ban/jail.local": "[sshd]\nenabled = true\nbackend = systemd\nmaxretry = 2\nfindtime = 1d\nbantime = -1\n"}, c, ""},
		"stricter values stay": {map[string]string{"etc/fail2ban/jail.local": "[sshd]\nenabled = true\nmaxretry = 2\nfindtime = 1d\nbantime = 1d\n"}, c,
			"[sshd]\nbackend = systemd\nenabled = true\n"},
		"own file keeps its lines": {map[string]string{"etc/fail2ban/jail.d/castellan.local": "# mine\n[other]\nenabled = false\n\n[sshd]\nmaxretry=9\n"}, c,
			"# mine\n[other]\nenabled = false\n\n[sshd]\nmaxretry = 3\nbackend = systemd\nbantime = 3600\nenabled = true\n"},
		"the jail of old guides goes": {map[string]string{"etc/fail2ban/jail.local": "[ssh]\nenabled = true\nfilter = sshd\nlogpath = /var/log/auth.log\nmaxretry = 6\n"}, c,
			"[sshd]\nbackend = systemd\nbantime = 3600\nenabled = true\nmaxretry = 3\n\n[ssh]\nenabled = false\n"},
		"the web, beside a jail without a log": {map[string]string{"etc/fail2ban/filter.d/castellan-pve.conf": pveFilter}, webJail(),
			"[castellan-pve]\nbackend = systemd\nbantime = 3600\nenabled = true\nfilter = castellan-pve\nfindtime = 2h\nmaxretry = 7\nport = 8006\n\n[sshd]\nbackend = systemd\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false, bans(x.files))
			if d := cmp.Diff(x.want, b.after(t, []string{fail2banFile}, x.c, x.c)[fail2banFile]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFail2banTriesTheFilter(t *testing.T) {
	for name, x := range map[string]struct{ filter, want string }{
		"right":                    {pveFilter, ""},
		"of a guide, not anchored": {"[Definition]\nfailregex = pvedaemon\\[.*authentication failure; rhost=<HOST> user=.* msg=.*\n", "attacker"},
		"misses the mapped form":   {"[Definition]\nfailregex = ^\\s*\\S+\\s+pvedaemon\\[\\d+\\]: authentication failure; rhost=(?P<ip4>192\\S+) user=\n", "::ffff:"},
		"lower case tag":           {"[Definition]\nfailregex = authentication failure; rhost=<host> user=\n", "would not start"},
		"takes a success":          {"[Definition]\nfailregex = ^\\s*\\S+\\s+pvedaemon\\[\\d+\\]: (?:authentication failure; rhost=<ADDR> |<root@pam> (?P<ip4>successful))\n", "pvedaemon"},
		"no failregex":             {"[Definition]\nignoreregex =\n", "misses the line"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false, bans(map[string]string{"etc/fail2ban/filter.d/castellan-pve.conf": x.filter}))
			why := b.refusal(t, webJail())
			if x.want == "" && why != "" || !strings.Contains(why, x.want) {
				t.Errorf("%q, want %q in it", why, x.want)
			}
		})
	}
	api := jailChange("castellan-pve-api", map[string]string{"enabled": "true", "filter": "castellan-pve-api", "backend": "auto", "logpath": "/var/log/pveproxy/access.log"})
	good := bans(map[string]string{"etc/fail2ban/filter.d/castellan-pve-api.conf": apiFilter, "var/log/pveproxy/access.log": ""})
	if why := newBench(t, false, good).refusal(t, api); why != "" {
		t.Error(why)
	}
	good["etc/fail2ban/filter.d/castellan-pve-api.conf"] = strings.Split(apiFilter, "datepattern")[0]
	if why := newBench(t, false, good).refusal(t, api); !strings.Contains(why, "misses the line") {
		t.Errorf("without a date pattern: %q", why)
	}
	delete(good, "var/log/pveproxy/access.log")
	good["etc/fail2ban/filter.d/castellan-pve-api.conf"] = apiFilter
	if why := newBench(t, false, good).refusal(t, api); !strings.Contains(why, "is not there") {
		t.Errorf("without a log: %q", why)
	}
	delete(good, "var/log/dpkg.log")
	if why := newBench(t, false, good).refusal(t, api); !strings.Contains(why, "cannot be seen") {
		t.Errorf("a copy without logs: %q", why)
	}
	// Debian 13 logs as sshd-session, which the filter of Debian 12 misses.
	old := bans(map[string]string{"etc/os-release": "VERSION_ID=\"13\"\n", "etc/fail2ban/filter.d/sshd.conf": strings.Replace(sshdFilter, "(?:-session)?", "", 1)})
	if why := newBench(t, false, old).refusal(t, sshJail()); !strings.Contains(why, "misses the line") {
		t.Errorf("%q", why)
	}
}

func TestFail2banRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		c     change.Change
		want  string
	}{
		"not installed":      {map[string]string{"etc/fail2ban/jail.conf": "-"}, sshJail(), "not installed"},
		"no module":          {map[string]string{"usr/lib/python3/dist-packages/systemd/__init__.py": "-"}, sshJail(), "python3-systemd"},
		"a later file":       {map[string]string{"etc/fail2ban/jail.d/zz.local": "[sshd]\nmaxretry = 9\n"}, sshJail(), "zz.local:2"},
		"cannot be read":     {map[string]string{"etc/fail2ban/jail.local": "[a]\nb\n"}, sshJail(), "jail.local:2"},
		"another has no log": {map[string]string{"etc/fail2ban/jail.local": "[web]\nenabled = true\nfilter = x\nlogpath = /var/log/none\n", "etc/fail2ban/filter.d/x.conf": "[Definition]\nfailregex = ^x <HOST>$\n"}, sshJail(), "[web]"},
		"no name":            {nil, jailChange("a]\n[b", map[string]string{"enabled": "true"}), "no name of a jail"},
		"two lines":          {nil, jailChange("sshd", map[string]string{"port": "1\nenabled = false"}), "nothing that a jail"},
		"everybody":          {nil, jailChange("DEFAULT", map[string]string{"ignoreip": "0.0.0.0/0"}), "almost everybody"},
		"no address":         {nil, jailChange("DEFAULT", map[string]string{"ignoreip": "192.0.2.x"}), "no address"},
	} {
		if why := newBench(t, false, bans(x.files)).refusal(t, x.c); !strings.Contains(why, x.want) {
			t.Errorf("%s: %q, want %q in it", name, why, x.want)
		}
	}
}

func TestFail2banDefaults(t *testing.T) {
	for name, x := range map[string]struct {
		files map[string]string
		set   map[string]string
		want  string
	}{
		"lists are joined, jails with lists of their own included": {
			map[string]string{"etc/fail2ban/jail.local": "[DEFAULT]\nignoreip = 127.0.0.1 0.0.0.0/0\n 198.51.100.7\n[sshd]\nbackend = systemd\nignoreip = 203.0.113.1\n"},
			map[string]string{"ignoreip": "127.0.0.0/8 ::1 192.0.2.0/24"},
			"[DEFAULT]\nignoreip = 127.0.0.1 198.51.100.7 127.0.0.0/8 ::1 192.0.2.0/24\n\n[sshd]\nignoreip = 203.0.113.1 127.0.0.0/8 ::1 192.0.2.0/24\n"},
		"members of the cluster": {
			map[string]string{"etc/fail2ban/jail.local": "[sshd]\nbackend = systemd\n", "etc/pve/corosync.conf": twoNodes, "etc/hosts": "192.0.2.2 pve2\n"},
			map[string]string{"ignoreip": "::1"}, "[DEFAULT]\nignoreip = ::1 10.0.0.1 10.1.0.1 192.0.2.2\n"},
		"jails that read files keep them": {
			map[string]string{"etc/fail2ban/jail.local": "[web]\nenabled = true\nfilter = x\nlogpath = /var/log/dpkg.log\n[sshd]\nbackend = pyinotify\n",
				"etc/fail2ban/filter.d/x.conf": "[Definition]\nfailregex = ^x <HOST>$\n"},
			map[string]string{"backend": "systemd"}, "[DEFAULT]\nbackend = systemd\n\n[sshd]\nbackend = systemd\n\n[web]\nbackend = auto\n"},
		"a jail without a log reads the journal": {
			nil, map[string]string{"ignoreip": "192.0.2.0/24"}, "[DEFAULT]\nignoreip = 192.0.2.0/24\n\n[sshd]\nbackend = systemd\n"},
		"bans go to nftables": {
			map[string]string{"etc/fail2ban/jail.local": "[sshd]\nbackend = systemd\nbanaction = iptables-multiport\n"},
			map[string]string{"banaction": "nftables", "banaction_allports": "nftables[type=allports]"},
			"[DEFAULT]\nbanaction = nftables\nbanaction_allports = nftables[type=allports]\n\n[sshd]\nbanaction = nftables\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, false, bans(x.files))
			c := jailChange("DEFAULT", x.set)
			if d := cmp.Diff(x.want, b.after(t, []string{fail2banFile}, c, c)[fail2banFile]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFail2banActions(t *testing.T) {
	b := newBench(t, true, bans(nil))
	p := b.plan(t, sshJail())
	if a := actionsOf(p); !slices.Equal(a, []string{"check with fail2ban-client -t", "restart fail2ban.service"}) {
		t.Errorf("%q", a)
	}
	if e := effectsOf(p); !strings.Contains(e, "BAN-07") {
		t.Errorf("%q", e)
	}
	stopped := host.Output{Stdout: []byte("LoadState=loaded\nActiveState=failed\nUnitFileState=enabled\n")}
	m := b.planner.Machine.(machine)
	m.run = map[string]host.Output{"unit-state fail2ban.service": stopped}
	b.planner.Machine = m
	if a := actionsOf(b.plan(t, sshJail())); !slices.Equal(a, []string{"check with fail2ban-client -t", "start fail2ban.service"}) {
		t.Errorf("%q", a)
	}
}

func FuzzFail2ban(f *testing.F) {
	for _, s := range []string{"", "[sshd]\nmaxretry = 5\n", "[sshd]\n maxretry\n  = 5", "\x00\xff[", "[sshd]\r\nbantime = 1 ; x\r\n[sshd]\n", "[DEFAULT]\nignoreip = %(x)s\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := newBench(t, false, bans(map[string]string{"etc/fail2ban/jail.d/castellan.local": text}))
		d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
		if err != nil {
			t.Fatal(err)
		}
		if fail2ban(d, sshJail()) != nil {
			return // it refuses, and nothing is kept of what it drafted
		}
		once, _, _ := d.Content(fail2banFile)
		if err := fail2ban(d, sshJail()); err != nil {
			t.Fatalf("%q: the second time: %v", text, err)
		}
		if twice, _, _ := d.Content(fail2banFile); string(twice) != string(once) {
			t.Errorf("%q becomes %q", once, twice)
		}
	})
}
