package fail2ban

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tree is a file system held in memory.
func tree(files map[string]string) Source {
	return Source{
		Read: func(p string) ([]byte, error) {
			s, ok := files[p]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return []byte(s), nil
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for f := range files {
				if ok, _ := path.Match(pattern, f); ok {
					out = append(out, f)
				}
			}
			sort.Strings(out)
			return out, nil
		},
	}
}

// base is a small configuration with the shape of Debian's.
func base(extra map[string]string) Source {
	files := map[string]string{
		Base + "/jail.conf": `[INCLUDES]
before = paths.conf
[DEFAULT]
bantime  = 10m
findtime = 10m
maxretry = 5
backend = auto
enabled = false
mode = normal
filter = %(__name__)s[mode=%(mode)s]
protocol = tcp
port = 0:65535
banaction = iptables-multiport
action_ = %(banaction)s[port="%(port)s", protocol="%(protocol)s", chain="<known/chain>"]
action = %(action_)s
[sshd]
port    = ssh
logpath = %(sshd_log)s
backend = %(sshd_backend)s
`,
		Base + "/paths.conf":                       "[INCLUDES]\nafter = paths-overrides.local\n[DEFAULT]\nsyslog_authpriv = /var/log/auth.log\nsshd_log = %(syslog_authpriv)s\nsshd_backend = %(default/backend)s\n",
		Base + "/jail.d/defaults-debian.conf":      "[sshd]\nenabled = true\n",
		Base + "/action.d/iptables-multiport.conf": "[Definition]\n",
		Base + "/action.d/nftables.conf":           "[Definition]\n",
		Base + "/filter.d/common.conf":             "[INCLUDES]\nafter = common.local\n[DEFAULT]\n_daemon = \\S*\nlogtype = file\n__prefix_line = <lt_<logtype>/__prefix_line>\n[lt_file]\n__prefix_line = \\s*(?:\\S+\\s+)?<_daemon>(?:\\[\\d+\\])?:\\s+\n[lt_journal]\n__prefix_line = \\s*(?:\\S+ )?<_daemon>\\[\\d+\\]:\\s+\n",
		Base + "/filter.d/sshd.conf": `[INCLUDES]
before = common.conf
[DEFAULT]
_daemon = sshd(?:-session)?
[Definition]
prefregex = ^<F-MLFID>%(__prefix_line)s</F-MLFID><F-CONTENT>.+</F-CONTENT>$
cmn = ^Failed \S+ for (?P<inv>invalid user )?<F-USER>(?P<u>\S+)|(?(inv)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>(?: port \d+)?(?: ssh\d*)?$
mdre-normal = ^<F-NOFAIL>Connection closed</F-NOFAIL> by <HOST>
mdre-ddos = ^Did not receive identification string from <HOST>
failregex = %(cmn)s
            <mdre-<mode>>
ignoreregex =
journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd
`,
	}
	for k, v := range extra {
		files[Base+k] = v
	}
	return tree(files)
}

func jail(t *testing.T, c *Config, name string) *Jail {
	t.Helper()
	for _, j := range c.Jails {
		if j.Name == name {
			return j
		}
	}
	t.Fatalf("no jail %s", name)
	return nil
}

func TestMergeOrder(t *testing.T) {
	c, err := Load(base(map[string]string{
		"/jail.d/z.conf":   "[sshd]\nmaxretry = 4\nbantime = 1h\n",
		"/jail.local":      "[DEFAULT]\nbantime = 2h\nignoreip = 127.0.0.1/8, ::1\n\t10.0.0.0/24\n[sshd]\nmaxretry = 3\nfindtime = 1d\n",
		"/jail.d/a.local":  "[sshd]\nbackend = systemd\nport = 22,2222\nbanaction = nftables\n",
		"/fail2ban.conf":   "[Definition]\ndbfile = /x/db\ndbpurgeage = 1d\n",
		"/fail2ban.local":  "[Definition]\ndbpurgeage = 7d\n",
		"/paths-overrides": "",
	}), Base)
	if err != nil {
		t.Fatal(err)
	}
	j := jail(t, c, "sshd")
	got := []any{j.Enabled, j.MaxRetry, j.FindTime, j.BanTime, j.Backend, j.Port, j.IgnoreIP, j.BanAction, j.Actions, j.LogPaths, j.FilterName, j.FilterOptions, c.DBFile, c.DBPurgeAge}
	want := []any{true, 3, 86400, 3600, "systemd", "22,2222", []string{"127.0.0.1/8", "::1", "10.0.0.0/24"}, "nftables", []string{"nftables"},
		[]string{"/var/log/auth.log"}, "sshd", map[string]string{"mode": "normal"}, "/x/db", 7 * 86400}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !j.Starts() || j.File != Base+"/jail.d/defaults-debian.conf" || j.Line != 2 {
		t.Errorf("%+v", j)
	}
}

func TestSSHDFilter(t *testing.T) {
	for _, backend := range []string{"auto", "systemd"} {
		c, err := Load(base(map[string]string{"/jail.local": "[sshd]\nbackend = " + backend + "\n"}), Base)
		if err != nil {
			t.Fatal(err)
		}
		j := jail(t, c, "sshd")
		if !j.Starts() {
			t.Fatalf("%v %v", j.Problems, j.Filter.Problems)
		}
		stamp := ""
		if backend == "auto" {
			stamp = "2026-11-20T12:00:00.123456+00:00 "
		}
		for line, want := range map[string]Match{
			"h sshd[1]: Failed password for root from 192.0.2.7 port 4 ssh2":                        {Host: "192.0.2.7", User: "root"},
			"h sshd-session[1]: Failed password for invalid user a b from 2001:db8::7 port 4 ssh2":  {Host: "2001:db8::7", User: "a b"},
			"h sshd[1]: Failed password for x from ::ffff:192.0.2.7 port 4 ssh2":                    {Host: "192.0.2.7", User: "x"},
			"h sshd[1]: Failed password for invalid user x from 1.1.1.1 from 192.0.2.9 port 4 ssh2": {Host: "192.0.2.9", User: "x from 1.1.1.1"},
		} {
			m, ok := j.Match(stamp + line)
			if !ok || m.Host != want.Host || (m.User != want.User && !strings.Contains(line, "from 1.1.1.1")) {
				t.Errorf("%s %q: %+v %v", backend, line, m, ok)
			}
			if backend == "auto" && m.Time.Year() != 2026 {
				t.Errorf("time %v", m.Time)
			}
		}
		for _, line := range []string{"h cron[1]: Failed password for root from 192.0.2.7 port 4 ssh2", "h sshd[1]: Connection closed by 192.0.2.7", "h sshd[1]: Accepted"} {
			if _, ok := j.Match(stamp + line); ok {
				t.Errorf("%s matches %q", backend, line)
			}
		}
	}
}

// The filters of the documents that castellan's catalogue comes from, judged on lines that PVE writes.
func TestSeedFilters(t *testing.T) {
	const prefix = "Nov 20 12:00:00 pve pvedaemon[123]: "
	v4 := prefix + "authentication failure; rhost=192.0.2.7 user=root@pam msg=Authentication failure"
	mapped := prefix + "authentication failure; rhost=::ffff:192.0.2.7 user=root@pam msg=no such user ('x@pam')"
	v6 := prefix + "authentication failure; rhost=2001:db8::7 user=root@pam msg=Authentication failure"
	forged := prefix + "authentication failure; rhost=192.0.2.7 user=x authentication failure; rhost=203.0.113.9 user=y msg=no such user"
	anchored := "[Definition]\nfailregex = ^\\s*\\S+\\s+pvedaemon\\[\\d+\\]: (?:openid )?authentication failure; rhost=<ADDR> (?:user=.* )?msg=\nignoreregex =\njournalmatch = _SYSTEMD_UNIT=pvedaemon.service\n"
	greedy := "[Definition]\nfailregex = pvedaemon\\[.*authentication failure; rhost=<HOST> user=.* msg=.*\nignoreregex =\n"
	for name, c := range map[string]struct {
		filter, forgedHost string
		matches            bool
	}{
		"anchored": {anchored, "192.0.2.7", true},
		"greedy":   {greedy, "203.0.113.9", true},
	} {
		f, err := LoadFilter(base(map[string]string{"/filter.d/p.conf": c.filter}), Base+"/filter.d/p.conf", nil, false)
		if err != nil || !f.Usable() {
			t.Fatalf("%s: %v %v", name, err, f.Problems)
		}
		for line, host := range map[string]string{v4: "192.0.2.7", mapped: "192.0.2.7", v6: "2001:db8::7", forged: c.forgedHost} {
			if m, ok := f.Match(line); ok != c.matches || m.Host != host {
				t.Errorf("%s: %+v %v for %s", name, m, ok, line)
			}
		}
	}
	split := "[Definition]\nfailregex = pvedaemon\\.*authentication\nfailure;\nrhost= <host> user=.* msg=.* ignoreregex =\n"
	f, err := LoadFilter(base(map[string]string{"/filter.d/p.conf": split}), Base+"/filter.d/p.conf", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if f.Usable() {
		t.Error("a filter in pieces is usable")
	}
	joined := "[Definition]\nfailregex = pvedaemon\\.*authentication failure; rhost= <host> user=.* msg=.* ignoreregex =\n"
	f, _ = LoadFilter(base(map[string]string{"/filter.d/p.conf": joined}), Base+"/filter.d/p.conf", nil, false)
	text := fmt.Sprint(f.Problems)
	if f.Usable() || !strings.Contains(text, "write <HOST>") || !strings.Contains(text, "joined to one line") {
		t.Errorf("%v", f.Problems)
	}
}

func TestProblems(t *testing.T) {
	c, err := Load(base(map[string]string{
		"/jain.local":    "[ssh]\n",
		"/jail.d/mine":   "[x]\n",
		"/jail.local":    "[ssh]\nenabled = true\nlogpath = /var/log/auth.log\n[sshd]\nmaxretry = 3 # three\nbantime = 3600 #1 heure\n[off]\nenabled = true # now\nfilter = sshd\n[bad]\nenabled = true\nfilter = sshd\naction = nonesuch\nfindtime = soon\n",
		"/filter.d/x.bk": "",
	}), Base)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(c.Problems)
	for _, want := range []string{"/jain.local: fail2ban does not read this file", "/jail.d/mine: fail2ban does not read", "/filter.d/x.bk"} {
		if !strings.Contains(all, want) {
			t.Errorf("no problem %q in %s", want, all)
		}
	}
	ssh := jail(t, c, "ssh")
	if ssh.Starts() || !strings.Contains(fmt.Sprint(ssh.Problems), "called [sshd]") {
		t.Errorf("ssh: %v", ssh.Problems)
	}
	sshd := jail(t, c, "sshd")
	if sshd.Starts() || sshd.BanTime != 3600 || !strings.Contains(fmt.Sprint(sshd.Problems), "no number") {
		t.Errorf("sshd: %+v", sshd)
	}
	off := jail(t, c, "off")
	if off.Enabled || !strings.Contains(fmt.Sprint(off.Problems), "part of the value") {
		t.Errorf("off: %+v", off)
	}
	bad := jail(t, c, "bad")
	if bad.Starts() || !strings.Contains(fmt.Sprint(bad.Problems), "nonesuch") || !strings.Contains(fmt.Sprint(bad.Problems), "soon") {
		t.Errorf("bad: %v", bad.Problems)
	}
}

func TestStrictGrammar(t *testing.T) {
	for name, text := range map[string]string{
		"section twice": "[a]\n[b]\n[a]\n", "option twice": "[a]\nx = 1\nX = 2\n", "no section": "x = 1\n", "no setting": "[a]\nwords only\n",
	} {
		p := parseINI("/f", []byte(text)).problems
		if len(p) != 1 || !p[0].Fatal {
			t.Errorf("%s: %v", name, p)
		}
	}
	f := parseINI("/f", []byte("[a]\nx = 1 ; comment\n  2\n\n  # no\n  3\ny: v # kept\n;z = 1\n"))
	if len(f.problems) != 0 || f.sections["a"]["x"].Text != "1\n2\n\n3" || f.sections["a"]["y"].Text != "v # kept" || len(f.sections["a"]) != 2 {
		t.Errorf("%+v", f.sections)
	}
}

func TestInterpolation(t *testing.T) {
	c, err := load(tree(map[string]string{
		"/b.conf":  "[DEFAULT]\nd = dd\n[s]\nx = one\npct = 100%%\nname = %(__name__)s/%(d)s\n[o]\nq = 7\n",
		"/b.local": "[s]\nx = %(known/x)s two %(o/q)s %(default/d)s\nloop = %(loop)s\nbad = 5%\nmiss = %(nope)s\n",
	}), "/b")
	if err != nil {
		t.Fatal(err)
	}
	for opt, want := range map[string]string{"x": "one two 7 dd", "pct": "100%", "name": "s/dd"} {
		if v, _, err := c.get("s", opt, nil); err != nil || v.Text != want {
			t.Errorf("%s: %q %v", opt, v.Text, err)
		}
	}
	for _, opt := range []string{"loop", "bad", "miss"} {
		if _, _, err := c.get("s", opt, nil); err == nil {
			t.Errorf("%s: no error", opt)
		}
	}
}

func TestKnownFailregex(t *testing.T) {
	c, err := Load(base(map[string]string{"/jail.local": "[sshd]\nfailregex = %(known/failregex)s\n            ^extra from <HOST>$\n"}), Base)
	if err != nil {
		t.Fatal(err)
	}
	j := jail(t, c, "sshd")
	for _, msg := range []string{"extra from 192.0.2.7", "Failed password for root from 192.0.2.7 port 1 ssh2"} {
		if m, ok := j.Match("Nov 20 12:00:00 h sshd[1]: " + msg); !ok || m.Host != "192.0.2.7" {
			t.Errorf("%q: %+v %v %v %v", msg, m, ok, j.Problems, j.Filter.Problems)
		}
	}
}

func TestInitSection(t *testing.T) {
	f, err := LoadFilter(base(map[string]string{"/filter.d/i.conf": "[Definition]\nfailregex = ^<what> from <HOST>$\n[Init]\nwhat = bad\njournalmatch = _SYSTEMD_UNIT=x.service\nmaxlines = 2\n"}),
		Base+"/filter.d/i.conf", map[string]string{"what": "worse"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.MatchText("worse from 192.0.2.7"); !ok {
		t.Errorf("%v", f.Problems)
	}
	if d := cmp.Diff([]string{"_SYSTEMD_UNIT=x.service"}, f.JournalMatch); d != "" || f.MaxLines != 2 || len(f.Problems) != 1 {
		t.Errorf("%s %+v", d, f.Problems)
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[string]int{
		"600": 600, "10m": 600, "1h": 3600, "1d": 86400, "1d12h": 129600, "1h 30m": 5400, "-1": -1, "1w": 604800, "60*10": 600,
		"1 month": 2629800, "1.5h": 5400, "3600 #1 heure": 3600, "86400 # 24": 86400, "(1h+30m)*2": 10800, "1hour - 30min": 1800,
	} {
		if got, err := Seconds(in); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "#x", "abc", "3600;x", "1/0", "((((((((((((((((((((((((1", "1)", "h", "__import__('os')"} {
		if got, err := Seconds(in); err == nil {
			t.Errorf("%q: %d", in, got)
		}
	}
}

func TestSecondsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, h, m := rapid.IntRange(0, 99).Draw(t, "d"), rapid.IntRange(0, 99).Draw(t, "h"), rapid.IntRange(0, 99).Draw(t, "m")
		got, err := Seconds(fmt.Sprintf("%dd %dh%dmin", d, h, m))
		if want := d*86400 + h*3600 + m*60; err != nil || got != want {
			t.Fatalf("%d %v, want %d", got, err, want)
		}
	})
}

func TestAddressTag(t *testing.T) {
	p, err := compilePattern("^" + hostTags("<HOST>") + "$")
	if err != nil {
		t.Fatal(err)
	}
	if p.linear == nil {
		t.Error("<HOST> alone needs the backtracking engine")
	}
	for _, a := range []string{"192.0.2.7", "::1", "2001:db8::", "2001:db8::1", "fe80::1:2", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.7", "[2001:db8::1]", "host.example.org"} {
		if g, ok := p.find(a); !ok || failureHost(g) == "" {
			t.Errorf("%s: %v %v", a, g, ok)
		}
	}
}

func TestBacktrackingIsBounded(t *testing.T) {
	f := &Filter{MaxLines: 1}
	f.set(map[string]Value{"failregex": {Text: `^(?!x)(a+)+$ from <HOST>`}})
	if !f.Usable() {
		t.Fatal(f.Problems)
	}
	if _, ok := f.MatchText(strings.Repeat("a", 40000) + "!"); ok {
		t.Error("matched")
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("[sshd]\nenabled = true\nfilter = x[a=1][b='2']\nfailregex = <a<b>>\n", "[Definition]\nfailregex = ^%(a)s <HOST>\na = <b>\nb = <a>\n", "x from 192.0.2.1")
	f.Add("[a]\n[a]\n=\n%", "[INCLUDES]\nbefore = x.conf\nafter = x.conf\n[Definition]\nfailregex = (?P<host>a)(?P=host)(?(host)b|c)[]\\]{,3}\\Z", "\x00")
	f.Fuzz(func(t *testing.T, jails, filter, line string) {
		c, err := Load(base(map[string]string{"/jail.local": jails, "/filter.d/x.conf": filter}), Base)
		if err != nil {
			return
		}
		for _, j := range c.Jails {
			j.Match(line)
			j.Starts()
		}
		if flt, err := LoadFilter(base(map[string]string{"/filter.d/x.conf": filter}), Base+"/filter.d/x.conf", nil, true); err == nil {
			flt.Match(line)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add(`^<F-USER>\S+|.*?</F-USER> from <HOST>(?(cond_user): |(?! from ).)$`, "root from 192.0.2.1")
	f.Add(`[[^]\](?P<a>x)(?P=a){,2}\Z`, "xx")
	f.Fuzz(func(t *testing.T, re, line string) {
		if p, err := compilePattern(hostTags(re)); err == nil {
			p.find(line)
		}
		if n, err := Seconds(re); err == nil && n < -1<<40 {
			t.Fatal(n)
		}
	})
}
