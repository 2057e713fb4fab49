package collect

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func dump(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

const banJailConf = "[DEFAULT]\nbantime = 10m\nfindtime = 10m\nmaxretry = 5\nfilter = %(__name__)s\nbanaction = iptables-multiport\naction = %(banaction)s[name=x]\n"

// banFiles is a node with fail2ban, in Debian's layout.
func banFiles(jails string) map[string]string {
	return map[string]string{
		"etc/fail2ban/jail.conf": banJailConf, "etc/fail2ban/jail.local": jails, "etc/fail2ban/action.d/iptables-multiport.conf": "",
		"etc/fail2ban/filter.d/sshd.conf": "[Definition]\nfailregex = sshd\\[\\d+\\]: Failed password for .* from <HOST> port \\d+ ssh2$\n",
		"var/lib/dpkg/status": "Package: fail2ban\nStatus: install ok installed\nConffiles:\n /etc/fail2ban/jail.conf " + md5sum(banJailConf) +
			"\nVersion: 1.0.2-2\n\nPackage: python3-systemd\nStatus: install ok installed\nVersion: 1\n",
		"var/log/x": "", "etc/hostname": "h\n",
	}
}

func md5sum(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestBansJails(t *testing.T) {
	f := collectTree(t, Bans(), banFiles("[sshd]\nenabled = true\nbackend = systemd\nbantime = -1\nignoreip = 127.0.0.1/8, 10.0.0.5 admin.example.org 2001:db8::1/32\n"+
		"[a]\nenabled = true\nfilter = sshd\nlogpath = /var/log/none\n\t/var/log/x\nmaxretry = 2\n")).Bans
	if len(f.Jails.Value) != 2 {
		t.Fatalf("%+v", f.Jails)
	}
	j := f.Jails.Value[0]
	if !j.Starts || !j.Journal || !j.SourceExists.Value || j.BanTime != -1 || j.ActionBackend != "iptables" || !j.Matches["ssh-password"] || j.Matches["web-ipv4"] {
		t.Errorf("%+v", j)
	}
	if d := cmp.Diff([]string{"127.0.0.0/8", "10.0.0.5/32", "2001:db8::/32"}, j.IgnoreNetworks); d != "" {
		t.Error(d)
	}
	k := f.Jails.Value[1]
	if !k.SourceExists.Value || k.LogPaths[0].Exists || !k.LogPaths[1].Exists {
		t.Errorf("%+v", k)
	}
	s := f.SSH.Value
	if !s.Works.Value || s.MaxRetry != 5 || s.BanTime != 600 || s.FindTime != 600 || len(s.Jails) != 2 || s.RecentLines != 0 {
		t.Errorf("%+v", s)
	}
	if f.Web.Value.Works.Value || !f.Web.Value.Works.IsKnown() || len(f.Web.Value.Jails) != 0 || len(f.Web.Value.Missed) != 3 {
		t.Errorf("%+v", f.Web.Value)
	}
	if !f.Persistent.Value || !f.JournalModule.Value || !f.Fail2ban.Value || len(f.Misplaced.Value) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestBansForEver(t *testing.T) {
	f := collectTree(t, Bans(), banFiles("[sshd]\nenabled = true\nbackend = systemd\nbantime = -1\n")).Bans
	if f.SSH.Value.BanTime < 1<<30 {
		t.Errorf("a ban for ever lasts %d s", f.SSH.Value.BanTime)
	}
}

func TestBansLive(t *testing.T) {
	files := with(banFiles("[sshd]\nenabled = true\nbackend = systemd\n"),
		".castellan/meta", "now 2026-11-20T12:00:00Z\nlive yes\n",
		".castellan/run/ban-units", "Id=castellan.service\nActiveState=inactive\n\nId=fail2ban.service\nActiveState=active\n",
		".castellan/run/fail2ban-status", "Status\n|- Number of jail:\t2\n`- Jail list:\tsshd, other\n",
		".castellan/run/nft-tables", "table inet f2b-table\n",
		".castellan/run/journal-ssh-failures", "Nov 19 01:02:03 h sshd[7]: Failed password for root from 192.0.2.1 port 1 ssh2\n"+
			"Nov 19 01:02:04 h sshd[7]: Failed password for root from 2001:db8::1 port 1 ssh2\nNov 19 01:02:05 h sshd[7]: Failed password for x\n-- Boot --\n")
	f := collectTree(t, Bans(), files).Bans
	if d := cmp.Diff([]string{"fail2ban"}, f.Engines.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"sshd", "other"}, f.RunningJails.Value); d != "" {
		t.Error(d)
	}
	if s := f.SSH.Value; s.RecentLines != 3 || s.RecentMatched != 2 || !s.Works.Value {
		t.Errorf("%+v", s)
	}
	if f.Shared.Value || !f.Shared.IsKnown() {
		t.Errorf("%+v", f.Shared)
	}
	if strings.Contains(dump(f), "Failed password") {
		t.Error("log lines are among the facts")
	}
	f = collectTree(t, Bans(), with(files, ".castellan/run/ban-units.rc", "1", ".castellan/run/fail2ban-status.rc", "255", ".castellan/run/nft-tables.rc", "1")).Bans
	if f.Engines.IsKnown() || f.RunningJails.IsKnown() || f.Shared.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
}

func TestBansUnknownAndAbsent(t *testing.T) {
	f := collectTree(t, Bans(), map[string]string{"etc/hostname": "h\n"}).Bans
	if f.Fail2ban.IsKnown() || f.Jails.IsKnown() || f.SSH.IsKnown() || f.JournalModule.IsKnown() || f.Tools.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
	f = collectTree(t, Bans(), map[string]string{"var/lib/dpkg/status": "Package: dpkg\nStatus: install ok installed\n"}).Bans
	if f.Fail2ban.Value || !f.Fail2ban.IsKnown() || !f.Jails.IsKnown() || len(f.Jails.Value) != 0 || f.SSH.Value.Works.Value || !f.SSH.Value.Works.IsKnown() {
		t.Errorf("%+v", f)
	}
	files := banFiles("[sshd]\nenabled = true\nlogpath = /var/log/auth.log\n")
	delete(files, "var/log/x")
	f = collectTree(t, Bans(), files).Bans
	if f.Jails.Value[0].SourceExists.IsKnown() || f.SSH.Value.Works.IsKnown() || f.RunningJails.IsKnown() {
		t.Errorf("guessed: %+v", f.Jails.Value[0])
	}
}

func TestBansMisplaced(t *testing.T) {
	f := collectTree(t, Bans(), with(banFiles(""), "etc/fail2ban/jail.conf", banJailConf+"[x]\n", "etc/fail2ban/jain.local", "")).Bans
	if len(f.Misplaced.Value) != 2 || !strings.Contains(dump(f.Misplaced), "jain.local") || !strings.Contains(dump(f.Misplaced), "differs from the package") {
		t.Errorf("%v", f.Misplaced.Value)
	}
}

func TestSSHProgram(t *testing.T) {
	for version, want := range map[string]string{"1:9.2p1-2+deb12u7": "sshd", "1:9.8p1-3": "sshd-session", "1:10.0p1-7": "sshd-session", "1:8.4p1": "sshd", "1:9.7p1": "sshd"} {
		status := "Package: openssh-server\nStatus: install ok installed\nVersion: " + version + "\n"
		if got := sshProgram(nil, []byte(status)); got != want {
			t.Errorf("%s: %s", version, got)
		}
	}
	if got := sshProgram([]byte("VERSION_ID=\"13\"\n"), nil); got != "sshd-session" {
		t.Error(got)
	}
}

func TestFirewallBackend(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"none":     {},
		"iptables": {"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 1\n"},
		"nftables": {"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 1\n", "etc/pve/nodes/h/host.fw": "[OPTIONS]\nnftables: 1 # on\n"},
	} {
		all := banFiles("")
		for k, v := range files {
			all[k] = v
		}
		f := collectTree(t, Bans(), all).Bans
		if f.FirewallBackend.Value != want || !f.FirewallBackend.IsKnown() {
			t.Errorf("%s: %+v", want, f.FirewallBackend)
		}
	}
}
