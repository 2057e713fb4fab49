package kinds

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/sshd"
)

// The main files as the packages ship them, comments left out.
const (
	sshdMain12 = "# This is the sshd server system-wide configuration file.\n\nInclude /etc/ssh/sshd_config.d/*.conf\n\nKbdInteractiveAuthentication no\nUsePAM yes\n" +
		"X11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n"
	sshdMain13 = "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\n" +
		"AcceptEnv LANG LC_* COLORTERM NO_COLOR\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
	sshdMainPVE = "PermitRootLogin yes\n" + sshdMain12
)

func dpkgWith(version string) string {
	return "Package: openssh-server\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: amd64\n"
}

const (
	status12 = "1:9.2p1-2+deb12u7"
	status13 = "1:10.0p1-7"
)

const sshTwoNodes = "totem {\n  version: 2\n}\nnodelist {\n  node {\n    name: pve1\n    nodeid: 1\n    ring0_addr: 10.1.0.1\n    ring1_addr: 10.2.0.1\n  }\n" +
	"  node {\n    name: pve2\n    nodeid: 2\n    ring0_addr: pve2\n  }\n}\n"

func sshdHost(main, version string, more map[string]string) map[string]string {
	files := map[string]string{"etc/ssh/sshd_config": main, "var/lib/dpkg/status": dpkgWith(version), "etc/hostname": "pve1\n",
		"etc/hosts":  "127.0.0.1 localhost\n10.1.0.1 pve1\n10.1.0.2 pve2.example pve2\n",
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n", "etc/group": "root:x:0:\nann:x:1000:\nsudo:x:27:ann\nops:x:1001:ann\n"}
	for k, v := range more {
		files[k] = v
	}
	return files
}

func sshdChange(match string, pairs ...string) change.Change {
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return change.Change{Control: "TST-01", Kind: "sshd", Match: match, Set: set}
}

func TestSSHD(t *testing.T) {
	const head = dropInHead
	for _, tt := range []struct {
		name    string
		files   map[string]string
		changes []change.Change
		want    map[string]string // by path, only those named
	}{
		{"a new drop-in", sshdHost(sshdMain12, status12, nil), []change.Change{sshdChange("", "X11Forwarding", "no", "MaxAuthTries", "4")},
			map[string]string{sshdFile: head + "MaxAuthTries 4\nX11Forwarding no\n", sshd.MainFile: sshdMain12}},
		{"an existing one keeps its other lines", sshdHost(sshdMain12, status12, map[string]string{
			"etc/ssh/sshd_config.d/00-castellan.conf": "# mine\r\n\tMaxAuthTries = 6\r\nPrintMotd no\r\n\r\n# for ann\r\nMatch User ann\r\n  X11Forwarding yes"}),
			[]change.Change{sshdChange("", "MaxAuthTries", "4", "StrictModes", "yes")},
			map[string]string{sshdFile: "# mine\r\nMaxAuthTries 4\r\nPrintMotd no\r\nStrictModes yes\r\n\r\n# for ann\r\nMatch User ann\r\n  X11Forwarding yes\r\n"}},
		{"the Include is missing", sshdHost("UsePAM yes\nX11Forwarding yes\n", status12, nil), []change.Change{sshdChange("", "X11Forwarding", "no")},
			map[string]string{sshd.MainFile: "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nX11Forwarding yes\n"}},
		{"the Include is late: only our file moves", sshdHost("X11Forwarding yes\r\nInclude /etc/ssh/sshd_config.d/*.conf\r\n", status12,
			map[string]string{"etc/ssh/sshd_config.d/50-x.conf": "X11Forwarding yes\nPrintMotd yes\n"}), []change.Change{sshdChange("", "X11Forwarding", "no")},
			map[string]string{sshd.MainFile: "Include " + sshdFile + "\r\nX11Forwarding yes\r\nInclude /etc/ssh/sshd_config.d/*.conf\r\n"}},
		{"PVE wrote above the Include", sshdHost(sshdMainPVE, status13, nil), []change.Change{sshdChange("", "PermitRootLogin", "no")},
			map[string]string{sshd.MainFile: "Include /etc/ssh/sshd_config.d/00-castellan.conf\n" + sshdMainPVE}},
		{"another drop-in sorts before", sshdHost(sshdMain12, status12, map[string]string{"etc/ssh/sshd_config.d/00-aaa.conf": "X11Forwarding yes\n"}),
			[]change.Change{sshdChange("", "X11Forwarding", "no")},
			map[string]string{sshdFirst: head + "X11Forwarding no\n", sshdFile: "", sshdDir + "/00-aaa.conf": "X11Forwarding yes\n"}},
		{"the last MaxStartups counts", sshdHost(sshdMain12+"  MaxStartups\t100 # many\n", status12, nil), []change.Change{sshdChange("", "MaxStartups", "10:30:60")},
			map[string]string{sshd.MainFile: sshdMain12 + "  MaxStartups\t10:30:60\n", sshdFile: head + "MaxStartups 10:30:60\n"}},
		{"names are taken away", sshdHost(sshdMain13, status13, map[string]string{"etc/ssh/sshd_config.d/10-x.conf": "AcceptEnv FOO\n"}),
			[]change.Change{sshdChange("", "AcceptEnv", "LANG,LC_*")},
			map[string]string{sshd.MainFile: strings.Replace(sshdMain13, " COLORTERM NO_COLOR", "", 1), sshdDir + "/10-x.conf": "# AcceptEnv FOO\n"}},
		{"a keyword of a newer release is left out", sshdHost(sshdMain12, status12, nil), []change.Change{sshdChange("", "PerSourcePenalties", "yes", "MaxSessions", "10")},
			map[string]string{sshdFile: head + "MaxSessions 10\n"}},
		{"and written where it is known", sshdHost(sshdMain13, status13, nil), []change.Change{sshdChange("", "PerSourcePenalties", "yes")},
			map[string]string{sshdFile: head + "PerSourcePenalties yes\n"}},
		{"the subsystem is changed in place", sshdHost(sshdMain12, status12, nil), []change.Change{sshdChange("", "Subsystem", "sftp internal-sftp")},
			map[string]string{sshd.MainFile: strings.Replace(sshdMain12, "sftp\t/usr/lib/openssh/sftp-server", "sftp internal-sftp", 1), sshdFile: ""}},
		{"nodes keep their login", sshdHost(sshdMain12, status12, map[string]string{"etc/corosync/corosync.conf": sshTwoNodes,
			"etc/pve/.members": `{"nodename":"pve1","version":4,"cluster":{"name":"lab","version":2,"nodes":2,"quorate":1},"nodelist":{"pve1":{"id":1,"online":1,"ip":"10.3.0.1"},"pve2":{"id":2,"online":1,"ip":"10.3.0.2"}}}`}),
			[]change.Change{sshdChange("Address {cluster}", "PermitRootLogin", "prohibit-password"), sshdChange("", "PermitRootLogin", "no")},
			map[string]string{sshdFile: head + "PermitRootLogin no\n\n" + nodesMark + "\nMatch Address 10.1.0.1,10.1.0.2,10.2.0.1,10.3.0.1,10.3.0.2\n    PermitRootLogin prohibit-password\n"}},
		{"a node was added", sshdHost(sshdMain12, status12, map[string]string{"etc/corosync/corosync.conf": sshTwoNodes,
			"etc/ssh/sshd_config.d/00-castellan.conf": "PermitRootLogin no\n" + nodesMark + "\nMatch Address 10.1.0.1\n    PermitRootLogin prohibit-password\n"}),
			[]change.Change{sshdChange("Address {cluster}", "PermitRootLogin", "prohibit-password")},
			map[string]string{sshdFile: "PermitRootLogin no\n" + nodesMark + "\nMatch Address 10.1.0.1,10.1.0.2,10.2.0.1\n    PermitRootLogin prohibit-password\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, false, tt.files)
			var paths []string
			for p := range tt.want {
				paths = append(paths, p)
			}
			got := b.after(t, paths, tt.changes...)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if again := b.after(t, paths, append(tt.changes, tt.changes...)...); cmp.Diff(got, again) != "" {
				t.Error("drafting twice differs:\n" + cmp.Diff(got, again))
			}
		})
	}
}

func TestSSHDCannot(t *testing.T) {
	cluster := map[string]string{"etc/corosync/corosync.conf": sshTwoNodes}
	for _, tt := range []struct {
		name  string
		files map[string]string
		c     change.Change
		want  string
	}{
		{"no server", map[string]string{"etc/hostname": "x\n"}, sshdChange("", "UsePAM", "yes"), "no SSH server"},
		{"a broken file", sshdHost("Bogus yes\n", status12, nil), sshdChange("", "UsePAM", "yes"), "/etc/ssh/sshd_config:1"},
		{"a bad value", sshdHost(sshdMain12, status12, nil), sshdChange("", "UsePAM", "perhaps"), "would refuse"},
		{"a line break in a value", sshdHost(sshdMain12, status12, nil), sshdChange("", "Banner", "/x\nPermitRootLogin yes"), "cannot be written"},
		{"a port", sshdHost(sshdMain12, status12, nil), sshdChange("", "Port", "22"), "add up"},
		{"a Match block wins", sshdHost(sshdMain12+"Match User root\n  PasswordAuthentication yes\n", status12, nil), sshdChange("", "PasswordAuthentication", "no"),
			`/etc/ssh/sshd_config:12 gives PasswordAuthentication another value for "Match User root"`},
		{"a file before all of ours", sshdHost(sshdMain12, status12, map[string]string{"etc/ssh/sshd_config.d/+.conf": "UsePAM no\n"}), sshdChange("", "UsePAM", "yes"),
			"/etc/ssh/sshd_config.d/+.conf:1"},
		{"nodes would be cut: root", sshdHost(sshdMain12, status12, cluster), sshdChange("", "PermitRootLogin", "no"), "would lose the login by key"},
		{"nodes would be cut: tunnels", sshdHost(sshdMain12, status12, cluster), sshdChange("", "DisableForwarding", "yes"), "would lose tunnels"},
		{"nodes would be cut: groups", sshdHost(sshdMain12, status12, cluster), sshdChange("", "AllowGroups", "ops"), "would lose its place"},
		{"no cluster", sshdHost(sshdMain12, status12, nil), sshdChange("Address {cluster}", "PermitRootLogin", "yes"), "in no cluster"},
		{"an unknown node", sshdHost(sshdMain12, status12, map[string]string{"etc/corosync/corosync.conf": sshTwoNodes, "etc/hosts": ""}),
			sshdChange("Address {cluster}", "PermitRootLogin", "yes"), "node pve2"},
		{"a migration network that is not known", sshdHost(sshdMain12, status12, map[string]string{"etc/corosync/corosync.conf": sshTwoNodes,
			"etc/pve/datacenter.cfg": "migration: type=secure,network=10.9.0.0/24\n"}), sshdChange("Address {cluster}", "PermitRootLogin", "yes"), "10.9.0.0/24"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, false, tt.files)
			d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
			if err != nil {
				t.Fatal(err)
			}
			err = sshdSettings(d, tt.c)
			var cannot *change.CannotError
			if !errors.As(err, &cannot) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestSSHDActions(t *testing.T) {
	b := newBench(t, true, sshdHost(sshdMain12, status12, nil))
	if err := os.Chmod(b.root+"/etc/ssh/sshd_config", 0o600); err != nil {
		t.Fatal(err)
	}
	p := b.plan(t, sshdChange("", "MaxAuthTries", "4"))
	var got []string
	for _, s := range p.Windows[0].Steps {
		got = append(got, s.Path+s.What)
	}
	want := []string{sshdDir + "make the directory", sshdFile + "create", "check with sshd -t", "reload ssh.service"}
	if d := cmp.Diff(want, got); d != "" || p.Windows[0].Name != "ssh" {
		t.Error(p.Windows[0].Name, d)
	}
}

// TestSSHDProperty drafts random settings on random files: twice is once, the configuration stays one that sshd takes, and of the main
// file only whole lines are added or rewritten.
func TestSSHDProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"# c", "", "X11Forwarding yes", "  x11forwarding no", "UsePAM=yes", "MaxStartups 5", "AcceptEnv A B", "Include /etc/ssh/sshd_config.d/*.conf",
		"Match User ann", "  MaxSessions 3", "Match all", "LogLevel DEBUG", "\tPrintMotd yes"})
	pair := rapid.SampledFrom([][2]string{{"X11Forwarding", "no"}, {"MaxStartups", "10:30:60"}, {"AcceptEnv", "A"}, {"LogLevel", "VERBOSE"}, {"MaxSessions", "10"}, {"PrintMotd", "no"}})
	rapid.Check(t, func(rt *rapid.T) {
		text := func(label string) string {
			return strings.Join(rapid.SliceOfN(line, 0, 8).Draw(rt, label), "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(rt, label+" end")
		}
		b := newBench(t, false, sshdHost(text("main"), status12, map[string]string{"etc/ssh/sshd_config.d/" + rapid.SampledFrom([]string{"00-castellan", "50-x", "00-a"}).Draw(rt, "name") + ".conf": text("drop-in")}))
		p := pair.Draw(rt, "pair")
		c := sshdChange("", p[0], p[1])
		d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
		if err != nil {
			rt.Fatal(err)
		}
		if err := sshdSettings(d, c); err != nil {
			var cannot *change.CannotError
			if !errors.As(err, &cannot) {
				rt.Fatal(err)
			}
			return
		}
		once := draftText(rt, d)
		if err := sshdSettings(d, c); err != nil {
			rt.Fatalf("the second time: %v", err)
		}
		if again := draftText(rt, d); again != once {
			rt.Fatalf("twice differs:\n%s", cmp.Diff(once, again))
		}
		conf, err := sshd.Load(sshd.MainFile, sshdReader(d), sshd.Release{Major: 9, Minor: 2})
		if err != nil || !conf.Valid() {
			rt.Fatalf("%v %v", err, conf)
		}
	})
}

// draftText is everything that a draft changes, as text.
func draftText(t interface{ Fatal(...any) }, d *change.Draft) string {
	var b strings.Builder
	for _, p := range d.Changed() {
		n, _ := d.Node(p)
		fmt.Fprintf(&b, "%s %o\n%s\n", p, n.Mode, n.Content)
	}
	return b.String()
}

func FuzzEditDropIn(f *testing.F) {
	for _, s := range []string{"", "X11Forwarding yes\n", "Match all\r\n X11Forwarding yes\r\n", "\x00\n", "# c", nodesMark + "\nMatch Address 10.0.0.1\n", "x11forwarding=\"yes\"", "\xff\xfe"} {
		f.Add(s, "User root Address 10.0.0.2")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, text, match string) {
		if match != "" && (!sshdCriteria.MatchString(match) || strings.TrimSpace(match) != match) {
			return
		}
		set := map[string]string{"X11Forwarding": "no"}
		once := editDropIn(text, match, true, set)
		if again := editDropIn(once, match, true, set); again != once {
			t.Errorf("%q, then %q", once, again)
		}
	})
}

func FuzzSSHD(f *testing.F) {
	for _, s := range append(hostile(), sshdMain12, "MaxStartups\x005\nMaxStartups 9\n", "AcceptEnv \"A\" B # c\r\n", "Match all\nMaxStartups 3", "include \"/etc/ssh/sshd_config.d/*.conf\"\nAcceptEnv=A") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, files := range []map[string]string{sshdHost(string(b), status12, nil),
			sshdHost(sshdMain12, status12, map[string]string{"etc/ssh/sshd_config.d/50-x.conf": string(b), "etc/corosync/corosync.conf": string(b), "etc/hosts": string(b)})} {
			d := newBench(t, false, files).draft(t)
			c := sshdChange("", "MaxStartups", "10:30:60", "AcceptEnv", "A", "X11Forwarding", "no")
			if err := sshdSettings(d, c); err != nil {
				if !isCannot(err) {
					t.Fatal(err)
				}
				continue
			}
			once := draftText(t, d)
			if err := sshdSettings(d, c); err != nil || draftText(t, d) != once {
				t.Errorf("a second time: %v", err)
			}
		}
	})
}
