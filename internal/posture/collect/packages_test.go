package collect

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/debian/apt"
	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

// pkgTree writes files below a directory and collects one subject from it.
func pkgTree(t *testing.T, files map[string]string, c Collector) *posture.Facts {
	t.Helper()
	r := hosttest.Open(t, hosttest.Write(t, files))
	f, err := Run(r, r.Describe(), []Collector{c})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestClassify(t *testing.T) {
	for _, c := range []struct{ uri, suite, components, class, codename string }{
		{"http://ftp.debian.org/debian", "bookworm", "main contrib", "debian", "bookworm"},
		{"http://ftp.at.debian.org/debian/", "trixie-updates", "main", "debian-updates", "trixie"},
		{"https://mirror.example.org/debian", "trixie-backports", "main", "debian-backports", "trixie"},
		{"http://ftp.debian.org/debian-security/", "buster/updates", "main", "debian-security", "buster"},
		{"http://ftp.debian.org/debian-security", "bookworm-security", "main", "debian-security", "bookworm"},
		{"http://ftp.debian.org/debian-security", "oldstable-security", "main", "debian-security", "bookworm"},
		{"https://mirror.example.org/debian-security", "trixie-security", "main", "debian-security", "trixie"},
		{"https://enterprise.proxmox.com/debian/pve", "bookworm", "pve-enterprise", "pve-enterprise", "bookworm"},
		{"http://download.proxmox.com/debian/pve", "trixie", "pve-test", "pve-test", "trixie"},
		{"http://download.proxmox.com/debian", "bullseye", "pvetest", "pve-test", "bullseye"},
		{"http://mirror.example.org/proxmox/debian/pve", "trixie", "pve-no-subscription", "pve-no-subscription", "trixie"},
		{"http://download.proxmox.com/debian/ceph-squid", "trixie", "no-subscription", "ceph-no-subscription", "trixie"},
		{"https://enterprise.proxmox.com/debian/ceph-reef", "bookworm", "enterprise", "ceph-enterprise", "bookworm"},
		{"http://download.proxmox.com/debian/ceph-pacific", "bullseye", "main", "ceph-no-subscription", "bullseye"},
		{"http://download.proxmox.com/debian/pbs-client", "bookworm", "main", "proxmox-other", "bookworm"},
		{"https://pkgs.tailscale.com/stable/debian", "bookworm", "main", "third-party", "bookworm"},
		{"https://download.docker.com/linux/debian", "trixie", "stable", "third-party", "trixie"},
	} {
		class, codename := classify(c.uri, c.suite, strings.Fields(c.components), nil)
		if class != c.class || codename != c.codename {
			t.Errorf("%s %s %s: %s, %s; want %s, %s", c.uri, c.suite, c.components, class, codename, c.class, c.codename)
		}
	}
	class, _ := classify("https://intranet.example/mirror/deb", "trixie", []string{"main"}, []string{"/usr/share/keyrings/debian-archive-keyring.gpg"})
	if class != "debian" {
		t.Errorf("a mirror signed by Debian is %s", class)
	}
}

func TestPending(t *testing.T) {
	const (
		main      = "deb.debian.org_debian_dists_trixie_main_binary-amd64_Packages"
		security  = "security.debian.org_debian-security_dists_trixie-security_main_binary-amd64_Packages"
		foreign   = "deb.debian.org_debian_dists_trixie_main_binary-i386_Packages"
		backports = "deb.debian.org_debian_dists_trixie-backports_main_binary-amd64_Packages.lz4"
		pve       = "download.proxmox.com_debian_pve_dists_trixie_pve-no-subscription_binary-amd64_Packages"
	)
	s := &pkgState{packages: []dpkg.Package{
		{Name: "current", Version: "2", Arch: "amd64"}, {Name: "carried", Version: "1", Arch: "amd64"},
		{Name: "held", Version: "1", Arch: "all", Want: "hold"}, {Name: "foreign", Version: "1", Arch: "amd64"},
		{Name: "backported", Version: "1", Arch: "amd64"}, {Name: "kernel", Version: "1~", Arch: "amd64"},
	}}
	got := s.pending([]apt.Candidate{
		{Package: "current", Version: "2", File: main}, {Package: "current", Version: "1", File: security},
		{Package: "carried", Version: "2", File: security}, {Package: "carried", Version: "3", File: main},
		{Package: "held", Version: "1:0", File: main},
		{Package: "foreign", Version: "9", File: foreign}, {Package: "backported", Version: "9", File: backports},
		{Package: "kernel", Version: "1", File: pve}, {Package: "kernel", Version: "1~~", File: pve},
	})
	want := []posture.Update{
		{Package: "carried", Installed: "1", Available: "3", Class: "debian-security"},
		{Package: "held", Installed: "1", Available: "1:0", Class: "debian", Held: true},
		{Package: "kernel", Installed: "1~", Available: "1", Class: "pve-no-subscription"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUpgradeWords(t *testing.T) {
	for line, want := range map[string]string{
		"apt upgrade": "plain", "apt-get -y upgrade && reboot": "plain", "/usr/bin/apt-get upgrade": "plain", "aptitude safe-upgrade": "plain",
		"apt full-upgrade": "full", "apt-get -o Dpkg::Options=x dist-upgrade": "full", "pveupgrade": "full", "apt list --upgradable": "", "apt install upgrade-tool": "",
		"unattended-upgrade": "", "/usr/bin/unattended-upgrade": "",
	} {
		got := ""
		if plainUpgrade.MatchString(line) {
			got += "plain"
		}
		if fullUpgrade.MatchString(line) {
			got += "full"
		}
		if got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

func TestIntervals(t *testing.T) {
	for s, want := range map[string]bool{"1": true, "0": false, "": false, "always": true, "12h": true, "0d": false, "07": true, "no": false, "1 ": true} {
		if intervalOn(s) != want {
			t.Errorf("interval %q is on: %v", s, !want)
		}
	}
}

func TestStale(t *testing.T) {
	const m = ":7f3a-7f3b r-xp 00000000 fd:01 18 "
	st := parseStale([]byte("/proc/9/maps" + m + "/usr/lib/x/libssl.so.3 (deleted)\n/proc/9/maps" + m + "/usr/lib/x/libssl.so.3 (deleted)\n" +
		"/proc/8/maps" + m + "/usr/lib/y.so (deleted)\n/proc/7/maps" + m + "/usr/bin/qemu-system-x86_64 (deleted)\n" +
		"/proc/6/maps" + m + "/memfd:jit (deleted)\n/proc/8/cgroup\n/proc/9/comm:a: b\nnoise\n/proc/5/maps:none\n"))
	if d := cmp.Diff([]string{"a: b (9): /usr/lib/x/libssl.so.3"}, st.processes()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"7"}, st.qemu); d != "" {
		t.Error(d)
	}
}

func TestDebianBuild(t *testing.T) {
	for version, want := range map[string]string{
		"Linux version 6.1.0-28-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)": "6.1.119-1",
		"Linux version 6.8.12-4-pve (build@proxmox) (gcc (Debian 12.2.0-14) 12.2.0) #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-4 (2024-11-06T15:04Z)":                    "",
		"": "",
	} {
		if got := debianBuild(version); got != want {
			t.Errorf("%q was built from %q", version, got)
		}
	}
}

// What a copy holds of secrets must not get into the facts.
func TestPackagesKeepSecretsOut(t *testing.T) {
	const secret = "hunter2SECRET"
	state, _ := json.Marshal(map[string]string{"status": "active", "key": "pve2p-" + secret, "serverid": secret, "nextduedate": "2027-01-01"})
	f := pkgTree(t, map[string]string{
		"etc/os-release":                    "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n",
		"var/lib/dpkg/status":               "Package: dpkg\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
		"etc/subscription":                  "pve2p-" + secret + "\nsum\n" + base64.StdEncoding.EncodeToString(state) + "\n",
		"etc/apt/sources.list":              "deb https://me:" + secret + "@apt.example.com/x stable main\ndeb https://me:" + secret + "@broken.example\n",
		"etc/apt/sources.list.d/a.sources":  "Types: deb\nURIs: https://me:" + secret + "@apt.example.com/y\nSuites: ./\n",
		"etc/apt/apt.conf.d/99proxy":        "Acquire::http::Proxy \"http://me:" + secret + "@proxy:3128\";\nUnattended-Upgrade::Mail \"" + secret + "@example.com\";\n",
		"root/.bash_history":                "apt upgrade # " + secret + "\nmysql -p" + secret + "\n",
		"var/log/apt/history.log":           "Commandline: apt upgrade -o Acquire::http::Proxy=http://me:" + secret + "@p\n",
		"etc/cron.d/up":                     "* * * * * root TOKEN=" + secret + " apt upgrade\n",
		"etc/apt/auth.conf.d/x.conf":        "machine x login y password " + secret + "\n",
		"etc/apt/apt.conf.d/99zbroken.conf": "A::B x http://me:" + secret + "@y;\n",
	}, Packages()).Packages
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(b), secret); i >= 0 {
		t.Errorf("a secret is in the facts: %s", b[max(0, i-200):min(len(b), i+50)])
	}
	if f.Subscription.Value != (posture.Subscription{Status: "active", Level: "premium", NextDue: "2027-01-01"}) {
		t.Errorf("subscription %+v", f.Subscription)
	}
	if f.Upgrades.ShellPlain.Value != 1 || f.Upgrades.Plain.Value != 1 || len(f.Upgrades.Scripts.Value) != 1 {
		t.Errorf("upgrades %+v", f.Upgrades)
	}
}

// Nothing to read gives unknown facts, not good news.
func TestPackagesOfNothing(t *testing.T) {
	f := pkgTree(t, map[string]string{"etc/hostname": "x\n"}, Packages()).Packages
	for name, known := range map[string]bool{
		"installed": f.Installed.IsKnown(), "updates": f.Updates.IsKnown(), "lists": f.ListsUpdated.IsKnown(),
		"support": f.DebianSupport.IsKnown(), "security": f.Unattended.Security.IsKnown(), "unattended": f.Unattended.Installed.IsKnown(),
		"changed": f.ChangedFiles.IsKnown(), "kernel": f.KernelCurrent.IsKnown(), "stale": f.StaleProcesses.IsKnown(),
		"guests": f.StaleGuests.IsKnown(), "timer": f.AptDaily.IsKnown(), "last run": f.Unattended.LastRun.IsKnown(),
		"vulnerabilities": f.Vulnerabilities.IsKnown(),
	} {
		if known {
			t.Errorf("%s is known although there is nothing", name)
		}
	}
}

// A list that cannot be read makes unknown what depends on it, and only that.
func TestPackagesListsInPart(t *testing.T) {
	const (
		security = "var/lib/apt/lists/security.debian.org_debian-security_dists_trixie-security_main_binary-amd64_Packages"
		main     = "var/lib/apt/lists/deb.debian.org_debian_dists_trixie_main_binary-amd64_Packages"
		pve      = "var/lib/apt/lists/download.proxmox.com_debian_pve_dists_trixie_pve-no-subscription_binary-amd64_Packages"
	)
	installed := "Package: bash\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
	offer := "Package: bash\nVersion: 2\n"
	for name, c := range map[string]struct {
		status             string
		files              []string
		all, security, pve bool // what is known
	}{
		"nothing":            {installed, nil, false, false, true},
		"all":                {installed, []string{security, main}, true, true, true},
		"main compressed":    {installed, []string{security, main + ".lz4"}, false, true, true},
		"security missing":   {installed, []string{main}, true, false, true},
		"PVE without a list": {installed + "\nPackage: pve-manager\nStatus: install ok installed\nVersion: 9\nArchitecture: all\n", []string{security, main}, true, true, false},
		"PVE":                {installed + "\nPackage: pve-manager\nStatus: install ok installed\nVersion: 9\nArchitecture: all\n", []string{security, main, pve}, true, true, true},
	} {
		files := map[string]string{"var/lib/dpkg/status": c.status}
		for _, f := range c.files {
			files[f] = offer
		}
		f := pkgTree(t, files, Packages()).Packages
		if f.Updates.IsKnown() != c.all || f.SecurityUpdates.IsKnown() != c.security || f.PVEUpdates.IsKnown() != c.pve {
			t.Errorf("%s: all %v, security %v, PVE %v", name, f.Updates, f.SecurityUpdates, f.PVEUpdates)
		}
		if c.security && len(f.SecurityUpdates.Value) != 1 {
			t.Errorf("%s: security updates %v", name, f.SecurityUpdates.Value)
		}
	}
}

func TestListsDated(t *testing.T) {
	var f posture.PackageFacts
	pkgTree(t, map[string]string{
		"var/lib/apt/lists/a_InRelease": "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nDate: Fri, 26 Jun 2026 08:12:55 UTC\n",
		"var/lib/apt/lists/b_InRelease": "Origin: Debian\nDate: Sat, 27 Jun 2026 08:12:55 UTC\n",
	}, Collector{Collect: func(c *Context) { (&pkgState{c: c, facts: &f}).listsDated() }})
	want := posture.Known(time.Date(2026, 6, 27, 8, 12, 55, 0, time.UTC), posture.Effective, "/var/lib/apt/lists/b_InRelease")
	if d := cmp.Diff(want, f.ListsUpdated); d != "" {
		t.Error(d)
	}
}

func TestSupportTable(t *testing.T) {
	s, ok := debianSupport("12")
	if !ok || s.End.Format(time.DateTime) != "2026-07-11 23:59:59" || !s.LongTermEnd.After(s.End) {
		t.Errorf("%+v", s)
	}
	if s, ok := pveSupport("9"); !ok || s.Announced {
		t.Errorf("%+v", s)
	}
	if _, ok := pveSupport("10"); ok {
		t.Error("the future is known")
	}
}

// Every question that the collectors ask on a running host is among their needs, so that a remote scan has the answers
// after its first round.
func TestPackagesAndLogsAskForWhatTheyNeed(t *testing.T) {
	for _, c := range []Collector{Packages(), Logs()} {
		r := &askingReader{t: t, needs: c.Needs}
		c.Collect(&Context{Host: r, Facts: &posture.Facts{}, Live: true, Root: true, Now: time.Unix(1782900000, 0)})
		slices.Sort(r.missed)
		if len(r.missed) > 0 {
			t.Errorf("%s asks for what it does not need: %v", c.Name, slices.Compact(r.missed))
		}
	}
}

// askingReader answers every question with "pending" and notes those that no need covers.
type askingReader struct {
	t      *testing.T
	needs  []host.Need
	missed []string
}

func (r *askingReader) covered(kind, what string, same func(n host.Need) bool) error {
	if !slices.ContainsFunc(r.needs, same) {
		r.missed = append(r.missed, kind+" "+what)
	}
	return &host.Error{Op: kind, Path: what, Err: host.ErrPending}
}

func (r *askingReader) ReadFile(p string) ([]byte, error) {
	return nil, r.covered("read", p, func(n host.Need) bool { return n.Read == p })
}

func (r *askingReader) Stat(p string) (host.File, error) {
	return host.File{}, r.covered("stat", p, func(n host.Need) bool { return n.Stat == p })
}

func (r *askingReader) List(p string) ([]host.File, error) {
	return nil, r.covered("list", p, func(n host.Need) bool { return n.List == p })
}

func (r *askingReader) Run(c host.Command) (host.Output, error) {
	return host.Output{}, r.covered("run", c.Name, func(n host.Need) bool { return n.Run.Name == c.Name })
}

func FuzzPackagesParsers(f *testing.F) {
	f.Add([]byte("/proc/1/maps:x r-xp 0 0 0 /usr/a (deleted)\n"))
	f.Add([]byte("VERSION 1\n1782880000\na,b,F\n"))
	f.Add([]byte("2026-06-29 06:31:07,412 INFO Starting unattended upgrades script\n2026-06-29 06:31:07 ERROR x\n"))
	f.Add([]byte("Id=a.timer\nNames=a.timer\nLoadState=loaded\n\nId=b\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		parseStale(b).processes()
		lastUpgradeRun(b)
		parseShow(b)
		debianBuild(string(b))
		_ = subscriptionLevel(string(b))
		classify(string(b), string(b), strings.Fields(string(b)), nil)
		withoutCredentials(string(b))
	})
}
