package kinds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// outcome says in words what a plan of one change does.
func outcome(t *testing.T, b *bench, c change.Change) string {
	t.Helper()
	var out []string
	p := b.plan(t, c)
	for _, o := range p.Omitted {
		out = append(out, o.Code+": "+o.Reason)
	}
	for _, w := range p.Windows {
		for _, s := range w.Steps {
			out = append(out, strings.TrimSpace(s.What+" "+s.Path))
		}
		for _, e := range w.Effects {
			out = append(out, "effect: "+e)
		}
		for _, r := range w.Reboots {
			out = append(out, "reboot: "+r)
		}
	}
	return strings.Join(out, "; ")
}

// links makes symbolic links in a bench.
func (b *bench) links(t *testing.T, links map[string]string) {
	t.Helper()
	for at, to := range links {
		full := filepath.Join(b.root, at)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, full); err != nil {
			t.Fatal(err)
		}
	}
}

// unitFiles are units as packages of Debian bring them.
func unitFiles() map[string]string {
	const dir = "usr/lib/systemd/system/"
	return map[string]string{
		dir + "rpcbind.service":          "[Unit]\n[Service]\nExecStart=/sbin/rpcbind\n[Install]\nWantedBy=multi-user.target\nAlso=rpcbind.socket\n",
		dir + "rpcbind.socket":           "[Socket]\nListenStream=111\n[Install]\nWantedBy=sockets.target\n",
		dir + "chrony.service":           "[Service]\nExecStart=/usr/sbin/chronyd\n[Install]\nAlias=chronyd.service\nWantedBy=multi-user.target\nRequiredBy=a.target\nUpheldBy=b.target\n",
		dir + "getty@.service":           "[Service]\nExecStart=/sbin/getty\n[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n",
		dir + "odd@.service":             "[Service]\nExecStart=/x\n[Install]\nWantedBy=%i.target\nAlias=%p-%i.service\n",
		dir + "static.service":           "[Service]\nExecStart=/x\n",
		dir + "reboot.target":            "[Unit]\n",
		dir + "wild.service":             "[Service]\nExecStart=/x\n[Install]\nWantedBy=%H.target\n",
		"etc/init.d/legacy":              "#!/bin/sh\n### BEGIN INIT INFO\n# Default-Start: 3 5\n### END INIT INFO\n",
		"etc/init.d/older":               "#!/bin/sh\n",
		"etc/systemd/system/own.service": "[Service]\nExecStart=/x\n",
	}
}

func TestUnitInDirectory(t *testing.T) {
	const etc, lib = "/etc/systemd/system/", "/usr/lib/systemd/system/"
	for _, tc := range []struct {
		name, unit, state string
		links             map[string]string
		want              string
	}{
		{"enable", "rpcbind.socket", "enabled", nil, "make the directory " + etc + "sockets.target.wants; link to " + lib + "rpcbind.socket " + etc + "sockets.target.wants/rpcbind.socket"},
		{"enable with Alias, RequiredBy, UpheldBy", "chrony.service", "enabled", nil,
			"link to " + lib + "chrony.service " + etc + "a.target.requires/chrony.service; link to " + lib + "chrony.service " + etc + "b.target.upholds/chrony.service; " +
				"link to " + lib + "chrony.service " + etc + "chronyd.service; link to " + lib + "chrony.service " + etc + "multi-user.target.wants/chrony.service"},
		{"enable with Also", "rpcbind.service", "enabled", nil, "sockets.target.wants/rpcbind.socket"},
		{"enable an instance", "odd@x.service", "enabled", nil, "link to " + lib + "odd@.service " + etc + "odd-x.service; link to " + lib + "odd@.service " + etc + "x.target.wants/odd@x.service"},
		{"enable a template", "getty@.service", "enabled", nil, etc + "getty.target.wants/getty@tty1.service"},
		{"enable a template without a default", "odd@.service", "enabled", nil, "name an instance of it"},
		{"enabled already", "rpcbind.socket", "enabled", map[string]string{"etc/systemd/system/sockets.target.wants/rpcbind.socket": "/lib/systemd/system/rpcbind.socket"}, ""},
		{"enable what is masked", "rpcbind.socket", "enabled", map[string]string{"etc/systemd/system/rpcbind.socket": "/dev/null"}, "remove " + etc + "rpcbind.socket; link to"},
		{"enable what cannot be", "static.service", "enabled", nil, "has no [Install] section"},
		{"enable what is not there", "absent.service", "enabled", nil, "absent.service is not installed"},
		{"enable under the host's name", "wild.service", "enabled", nil, "%H in it"},
		{"a script", "legacy.service", "enabled", nil, "link to ../init.d/legacy /etc/rc3.d/S01legacy; link to ../init.d/legacy /etc/rc5.d/S01legacy"},
		{"a script that is off", "older.service", "enabled", map[string]string{"etc/rc2.d/K03older": "../init.d/older"}, "remove /etc/rc2.d/K03older; link to ../init.d/older /etc/rc2.d/S03older"},
		{"a script that is on", "older.service", "disabled", map[string]string{"etc/rc2.d/S03older": "../init.d/older"}, "link to ../init.d/older /etc/rc2.d/K03older; remove /etc/rc2.d/S03older"},
		{"disable", "rpcbind.service", "disabled", map[string]string{"etc/systemd/system/multi-user.target.wants/rpcbind.service": "/lib/systemd/system/rpcbind.service",
			"etc/systemd/system/sockets.target.wants/rpcbind.socket": "/lib/systemd/system/rpcbind.socket", "etc/systemd/system/portmap.service": "/lib/systemd/system/rpcbind.service"},
			"remove " + etc + "multi-user.target.wants/rpcbind.service; remove " + etc + "portmap.service; remove " + etc + "sockets.target.wants/rpcbind.socket"},
		{"disable what is disabled", "rpcbind.socket", "disabled", nil, ""},
		{"disable a link that leads nowhere", "gone.service", "disabled", map[string]string{"etc/systemd/system/multi-user.target.wants/gone.service": "/lib/systemd/system/gone.service"},
			"remove " + etc + "multi-user.target.wants/gone.service"},
		{"mask", "rpcbind.socket", "masked", nil, "link to /dev/null " + etc + "rpcbind.socket; effect: NFS version 3"},
		{"masked already", "rpcbind.socket", "masked", map[string]string{"etc/systemd/system/rpcbind.socket": "/dev/null"}, ""},
		{"mask an alias", "ctrl-alt-del.target", "masked", map[string]string{"usr/lib/systemd/system/ctrl-alt-del.target": "reboot.target"}, "link to /dev/null " + etc + "ctrl-alt-del.target"},
		{"mask what is not there", "absent.service", "masked", nil, ""},
		{"mask a unit of the host's own", "own.service", "masked", nil, "is a unit of this host's own"},
		{"mask the way in", "ssh.service", "masked", nil, "a way into this host"},
		{"stop the cluster", "pve-cluster.service", "stopped", nil, "Proxmox VE does not work without it"},
		{"a name that is a path", "../x.service", "masked", nil, "is no name of a unit"},
		{"an option", "--now", "masked", nil, "is no name of a unit"},
		{"restart in a directory", "rpcbind.service", "restarted", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, false, unitFiles())
			b.links(t, tc.links)
			c := change.Change{Kind: "unit", Unit: tc.unit, State: tc.state}
			got := outcome(t, b, c)
			if tc.want == "" && strings.Contains(got, "/etc") || !strings.Contains(got, tc.want) {
				t.Fatalf("%q, want %q", got, tc.want)
			}
			d := b.draft(t)
			if err := unit(d, c); err != nil {
				return
			}
			held := contents(t, d)
			if err := unit(d, c); err != nil || contents(t, d) != held {
				t.Errorf("a second draft changes something: %v", err)
			}
		})
	}
}

func TestUnitOnHost(t *testing.T) {
	inactive := host.Output{Stdout: []byte("ActiveState=inactive\n")}
	for _, tc := range []struct{ unit, state, want string }{
		{"rpcbind.socket", "masked", "link to /dev/null /etc/systemd/system/rpcbind.socket; let systemd read its units again; stop rpcbind.socket"},
		{"rpcbind.socket", "enabled", "let systemd read its units again; effect"},
		{"chrony.service", "enabled", "start chrony.service"},
		{"rpcbind.service", "restarted", "restart rpcbind.service"},
		{"chrony.service", "restarted", ""},
		{"chrony.service", "stopped", ""},
	} {
		b := newBench(t, true, unitFiles())
		m := b.planner.Machine.(machine)
		b.planner.Machine = machine{m.Tree, map[string]host.Output{"unit-state chrony.service": inactive}}
		got := outcome(t, b, change.Change{Kind: "unit", Unit: tc.unit, State: tc.state})
		if !strings.Contains(got+"; effect", tc.want) {
			t.Errorf("%s %s: %q, want %q", tc.unit, tc.state, got, tc.want)
		}
	}
	// What a condition kept from starting is not started again and again; a unit that was never tried, or changes, is tried.
	for _, tc := range []struct {
		said, state string
		starts      bool
	}{
		{"ConditionResult=no\nConditionTimestampMonotonic=26558652334\n", "started", false},
		{"ConditionResult=no\nConditionTimestampMonotonic=0\n", "started", true},
		{"ConditionResult=yes\nConditionTimestampMonotonic=26558652334\n", "started", true},
		{"ConditionResult=no\nConditionTimestampMonotonic=26558652334\n", "enabled", true},
	} {
		b := newBench(t, true, unitFiles())
		m := b.planner.Machine.(machine)
		b.planner.Machine = machine{m.Tree, map[string]host.Output{"unit-state chrony.service": {Stdout: []byte("ActiveState=inactive\n" + tc.said)}}}
		got := outcome(t, b, change.Change{Kind: "unit", Unit: "chrony.service", State: tc.state})
		if starts := strings.Contains(got, "start chrony.service"); starts != tc.starts {
			t.Errorf("chrony.service, %s, of which systemd says %q: %q", tc.state, tc.said, got)
		}
	}
	// Mounted at once, /tmp would hide what running programs keep there.
	files := unitFiles()
	files["etc/systemd/system/tmp.mount"] = "[Mount]\nWhat=tmpfs\nWhere=/tmp\n[Install]\nWantedBy=local-fs.target\n"
	got := outcome(t, newBench(t, true, files), change.Change{Kind: "unit", Unit: "tmp.mount", State: "enabled"})
	if strings.Contains(got, "start tmp.mount") || !strings.Contains(got, "reboot: /tmp is mounted at the next start") {
		t.Errorf("tmp.mount: %q", got)
	}
}

const aptStatus = "Package: dpkg\nStatus: install ok installed\nVersion: 1\n\nPackage: telnet\nStatus: install ok installed\nVersion: 1\n\nPackage: ftp\nStatus: deinstall ok config-files\nVersion: 1\n"

func TestPackage(t *testing.T) {
	offered := host.Output{Stdout: []byte("chrony:\n  Installed: (none)\n  Candidate: 4.3-2\nauditd:\n  Candidate: 1\ntelnet:\n  Candidate: 1\n")}
	answers := func(verb, text string) map[string]host.Output {
		return map[string]host.Output{"package-policy": offered, "package-simulation-" + verb: {Stdout: []byte(text)}}
	}
	for _, tc := range []struct {
		name           string
		install, purge []string
		status         string
		run            map[string]host.Output
		want           string
	}{
		{"installed already", []string{"dpkg"}, nil, aptStatus, nil, ""},
		{"install", []string{"chrony", "auditd"}, nil, aptStatus, answers("install", "Remv systemd-timesyncd [252]\nInst chrony (4.3-2)\nInst auditd (1)\nInst libx (1)\n"),
			"install the packages auditd, chrony; effect: APT also installs or upgrades libx; effect: APT also removes systemd-timesyncd"},
		{"an installation that takes Proxmox VE along", []string{"chrony"}, nil, aptStatus, answers("install", "Remv pve-manager [8]\nRemv proxmox-ve [8]\nInst chrony (4)\n"),
			"would remove proxmox-ve, pve-manager with it"},
		{"no candidate", []string{"intel-microcode"}, nil, aptStatus, answers("install", ""), "component non-free-firmware"},
		{"an unknown package", []string{"nonsense"}, nil, aptStatus, answers("install", ""), "no package source offers nonsense"},
		{"purge", nil, []string{"telnet", "ftp", "cups"}, aptStatus, answers("purge", "Purg telnet [1]\nPurg ftp [1]\n"), "remove the packages ftp, telnet"},
		{"a purge that takes the kernel along", nil, []string{"telnet"}, aptStatus, answers("purge", "Purg telnet [1]\nPurg linux-image-amd64 [6]\n"), "would remove linux-image-amd64"},
		{"a purge of what must stay", nil, []string{"dpkg"}, aptStatus, answers("purge", "Purg dpkg [1]\n"), "would remove dpkg"},
		{"dpkg was interrupted", []string{"chrony"}, nil, aptStatus + "\nPackage: x\nStatus: install ok half-configured\n", answers("install", ""), "dpkg --configure -a"},
		{"APT refuses", []string{"chrony"}, nil, aptStatus, map[string]host.Output{"package-policy": offered, "package-simulation-install": {Code: 100, Stderr: []byte("W: x\nE: Unable to correct problems\n")}},
			"APT refuses to install chrony: Unable to correct problems"},
		{"an option", []string{"-o"}, nil, aptStatus, answers("install", ""), "is no name of a package"},
		{"no database", []string{"chrony"}, nil, "", nil, "what is installed is not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"var/lib/dpkg/status": tc.status}
			if tc.status == "" {
				files = nil
			}
			b := newBench(t, true, files)
			b.planner.Machine = machine{b.planner.Machine.(machine).Tree, tc.run}
			got := outcome(t, b, change.Change{Kind: "package", Install: tc.install, Purge: tc.purge})
			if !strings.Contains(got, tc.want) || tc.want == "" && strings.Contains(got, "install ") {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	b := newBench(t, false, map[string]string{"var/lib/dpkg/status": aptStatus})
	if got := outcome(t, b, change.Change{Kind: "package", Install: []string{"chrony"}}); !strings.Contains(got, "not installed into a directory") {
		t.Errorf("a directory: %q", got)
	}
	b = newBench(t, true, map[string]string{"var/lib/dpkg/status": aptStatus, "var/lib/dpkg/updates/0001": ""})
	if got := outcome(t, b, change.Change{Kind: "package", Install: []string{"chrony"}}); !strings.Contains(got, "dpkg was interrupted") {
		t.Errorf("a journal of dpkg: %q", got)
	}
}

func TestApt(t *testing.T) {
	set := change.Change{Kind: "apt", Set: map[string]string{"APT::Periodic::Enable": "1", "Unattended-Upgrade::Mail": "root", "Unattended-Upgrade::Automatic-Reboot": "false"}}
	const head = "// Settings of castellan. Files that sort after this one win.\n"
	runEdits(t, []edit{
		{"a file of ours", map[string]string{"etc/apt/apt.conf.d/50x": "Unattended-Upgrade::Automatic-Reboot \"true\";\n"}, set,
			map[string]string{aptFile: head + "APT::Periodic::Enable \"1\";\nUnattended-Upgrade::Automatic-Reboot \"false\";\nUnattended-Upgrade::Mail \"root\";\n"}, ""},
		{"what is as good stays", map[string]string{"etc/apt/apt.conf.d/50x": "APT::Periodic { Enable \"7\"; };\nUnattended-Upgrade::Mail \"ops@example.org\";\nUnattended-Upgrade::Automatic-Reboot \"no\";\n"}, set, nil, ""},
		{"our own line", map[string]string{"etc/apt/apt.conf.d/99castellan": "# mine\r\napt::periodic::enable \"0\";\r\nX \"y\";\r\n"}, change.Change{Kind: "apt", Set: map[string]string{"APT::Periodic::Enable": "1"}},
			map[string]string{aptFile: "# mine\r\nAPT::Periodic::Enable \"1\";\r\nX \"y\";\r\n"}, ""},
		{"a later file", map[string]string{"etc/apt/apt.conf.d/99zz": "\nAPT::Periodic::Enable \"0\";\n"}, set, nil, "/etc/apt/apt.conf.d/99zz:2 sets APT::Periodic::Enable"},
		{"apt.conf itself", map[string]string{"etc/apt/apt.conf": "APT::Periodic::Enable \"0\";\n"}, set, nil, "/etc/apt/apt.conf:1"},
		{"a list", map[string]string{"etc/apt/apt.conf.d/50x": "A::B { \"one\"; };\n"}, change.Change{Kind: "apt", Set: map[string]string{"A::B::": "two"}},
			map[string]string{aptFile: head + "A::B:: \"two\";\n"}, ""},
		{"broken already", map[string]string{"etc/apt/apt.conf.d/50x": "A {\n"}, set, nil, "correct that first"},
		{"a name that is more", nil, change.Change{Kind: "apt", Set: map[string]string{"A;B": "1"}}, nil, "is no option"},
	})
}

func TestAptSource(t *testing.T) {
	add := change.Change{Kind: "aptsource", URIs: "http://security.debian.org/debian-security", Suite: "trixie-security", Components: "main contrib", SignedBy: "/usr/share/keyrings/k.gpg"}
	off := change.Change{Kind: "aptsource", URIs: "https://enterprise.example.org/pve", Ensure: "absent"}
	const ours = "/etc/apt/sources.list.d/castellan-trixie-security.sources"
	stanza := func(components string) string {
		return "Types: deb\nURIs: http://security.debian.org/debian-security\nSuites: trixie-security\nComponents: " + components + "\nSigned-By: /usr/share/keyrings/k.gpg\n"
	}
	runEdits(t, []edit{
		{"add", map[string]string{"etc/apt/sources.list": "# deb http://security.debian.org/debian-security trixie-security main contrib\n"}, add, map[string]string{ours: stanza("main contrib")}, ""},
		{"there already", map[string]string{"etc/apt/sources.list": "deb https://security.debian.org/debian-security/ trixie-security main contrib non-free\n"}, add, nil, ""},
		{"one component is missing", map[string]string{"etc/apt/sources.list": "deb http://security.debian.org/debian-security trixie-security main\n"}, add, map[string]string{ours: stanza("contrib")}, ""},
		{"disable lines", map[string]string{"etc/apt/sources.list.d/a.list": "# x\ndeb [arch=amd64] https://enterprise.example.org/pve/ bookworm e\ndeb http://other.example.org/x bookworm e\r\n"}, off,
			map[string]string{"/etc/apt/sources.list.d/a.list": "# x\n# deb [arch=amd64] https://enterprise.example.org/pve/ bookworm e\ndeb http://other.example.org/x bookworm e\r\n"}, ""},
		{"disable a stanza", map[string]string{"etc/apt/sources.list.d/a.sources": "Types: deb\nURIs: https://enterprise.example.org/pve\nSuites: trixie\nComponents: e\nEnabled: yes\n\nTypes: deb\nURIs: http://b.example.org\nSuites: x\n"}, off,
			map[string]string{"/etc/apt/sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: https://enterprise.example.org/pve\nSuites: trixie\nComponents: e\n\nTypes: deb\nURIs: http://b.example.org\nSuites: x\n"}, ""},
		{"a stanza that begins with Enabled", map[string]string{"etc/apt/sources.list.d/a.sources": "Enabled: yes\nTypes: deb\nURIs: https://enterprise.example.org/pve\nSuites: trixie\n"}, off,
			map[string]string{"/etc/apt/sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: https://enterprise.example.org/pve\nSuites: trixie\n"}, ""},
		{"a stanza of two addresses", map[string]string{"etc/apt/sources.list.d/a.sources": "Types: deb\nURIs: https://enterprise.example.org/pve http://b.example.org\nSuites: trixie\nComponents: e\n"}, off, nil, "part them by hand"},
		{"broken already", map[string]string{"etc/apt/sources.list": "nonsense\n"}, add, nil, "correct that first"},
		{"no components", nil, change.Change{Kind: "aptsource", URIs: "http://x.example.org", Suite: "s"}, nil, "needs a suite"},
		{"a file that APT does not read", nil, change.Change{Kind: "aptsource", URIs: "http://x.example.org", Suite: "s", Components: "c", Path: "/etc/apt/x.sources"}, nil, "does not read"},
	})
}
