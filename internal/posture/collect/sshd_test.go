package collect

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	sshTestStatus = "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.2p1-2+deb12u10\n\n"
	sshTestPasswd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n"
	sshTestGroup  = "root:x:0:\nsudo:x:27:ann\nann:x:1000:\nbob:x:1001:\nadmins:x:2000:ann\n"
	sshTestMeta   = "now 2026-11-20T12:00:00Z\n"
	sshTestKey    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)

// sshTree opens a copy with the given files.
func sshTree(t *testing.T, files map[string]string) *host.Tree {
	t.Helper()
	return hosttest.Open(t, hosttest.Write(t, files))
}

func sshCollect(t *testing.T, r host.Reader, d host.Description) *posture.Facts {
	t.Helper()
	f, err := Run(r, d, []Collector{SSHD(), SSHKeys()})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sshFacts(t *testing.T, files map[string]string) *posture.Facts {
	t.Helper()
	tree := sshTree(t, files)
	return sshCollect(t, tree, tree.Describe())
}

// sshBase is a copy of a Debian 12 host with accounts.
func sshBase(config string) map[string]string {
	return map[string]string{
		"etc/ssh/sshd_config": config, "var/lib/dpkg/status": sshTestStatus, "etc/passwd": sshTestPasswd, "etc/group": sshTestGroup,
		".castellan/meta": sshTestMeta,
	}
}

func TestSSHDSourcesAndOrigins(t *testing.T) {
	files := sshBase("Include /etc/ssh/sshd_config.d/*.conf\nMaxAuthTries 5\nMatch Group sudo\n\tX11Forwarding yes\n")
	files["etc/ssh/sshd_config.d/10-x.conf"] = "PermitRootLogin no\n"
	f := sshFacts(t, files).SSHD
	for name, got := range map[string][3]string{
		"root":     {f.RootElsewhere.PermitRootLogin.Value, string(f.RootElsewhere.PermitRootLogin.Origin), f.RootElsewhere.PermitRootLogin.Source},
		"x11":      {f.Admin.X11Forwarding.Value, string(f.Admin.X11Forwarding.Origin), f.Admin.X11Forwarding.Source},
		"x11 root": {f.RootElsewhere.X11Forwarding.Value, string(f.RootElsewhere.X11Forwarding.Origin), f.RootElsewhere.X11Forwarding.Source},
	} {
		want := map[string][3]string{
			"root":     {"no", "configured", "/etc/ssh/sshd_config.d/10-x.conf:1"},
			"x11":      {"yes", "configured", "/etc/ssh/sshd_config:4"},
			"x11 root": {"no", "default", "default of OpenSSH 9.2"},
		}[name]
		if got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if f.Admin.User.Value != "ann" || f.Admin.MaxAuthTries.Value != 5 || f.Version.Value != "9.2p1" || f.Major.Value != 9 {
		t.Errorf("admin %q, tries %d, version %q", f.Admin.User.Value, f.Admin.MaxAuthTries.Value, f.Version.Value)
	}
	if f.RootCluster.PermitRootLogin.IsKnown() {
		t.Error("root from the cluster is known on a host that is in none")
	}
	if !f.DropInsFirst.Value || f.RootLoginDecidedIn.Value != "/etc/ssh/sshd_config.d/10-x.conf" {
		t.Errorf("drop-ins first %v, decided in %s", f.DropInsFirst.Value, f.RootLoginDecidedIn.Value)
	}
}

func TestSSHDBadConfigurationIsUnknownEverywhere(t *testing.T) {
	f := sshFacts(t, sshBase("PermitEmptyPassword no\nPermitRootLogin no\n")).SSHD
	if !f.ConfigValid.IsKnown() || f.ConfigValid.Value {
		t.Errorf("config_valid is %+v, want false", f.ConfigValid)
	}
	if d := cmp.Diff([]string{"permitemptypassword"}, f.UnknownKeywords.Value); d != "" {
		t.Error(d)
	}
	if f.RootElsewhere.PermitRootLogin.IsKnown() || f.Admin.Ciphers.IsKnown() || f.SourceLimit.IsKnown() {
		t.Error("values of a configuration that sshd refuses are known")
	}
}

func TestSSHDUnknownReleaseLeavesDefaultsThatDifferUnknown(t *testing.T) {
	files := sshBase("X11Forwarding no\n")
	delete(files, "var/lib/dpkg/status")
	f := sshFacts(t, files).SSHD
	if f.Admin.Ciphers.IsKnown() || f.Admin.KexAlgorithms.IsKnown() {
		t.Error("the default algorithms are known without the release")
	}
	if !f.Admin.X11Forwarding.IsKnown() || !f.Admin.PermitRootLogin.IsKnown() || f.Version.IsKnown() {
		t.Errorf("x11 %+v, root %+v, version %+v", f.Admin.X11Forwarding, f.Admin.PermitRootLogin, f.Version)
	}
}

func TestSSHDGroupsNeedTheGroupFile(t *testing.T) {
	files := sshBase("AllowGroups admins\n")
	if f := sshFacts(t, files).SSHD; !f.Admin.Admitted.Value || f.RootElsewhere.Admitted.Value || f.RootElsewhere.AdmittedBy.Value != "allowgroups" {
		t.Errorf("admin %+v, root %+v", f.Admin.Admitted, f.RootElsewhere.Admitted)
	}
	delete(files, "etc/group")
	if f := sshFacts(t, files).SSHD; f.Admin.Admitted.IsKnown() {
		t.Errorf("admission is %+v without /etc/group", f.Admin.Admitted)
	}
	files["etc/ssh/sshd_config"] = "Match Group admins\nX11Forwarding no\n"
	if f := sshFacts(t, files).SSHD; f.Admin.X11Forwarding.IsKnown() {
		t.Error("Match Group was decided without /etc/group")
	}
}

func TestSSHDSourceLimit(t *testing.T) {
	for config, want := range map[string]bool{
		"":                                false,
		"AllowUsers ann root\n":           false, // names, no sources
		"AllowUsers ann@10.0.0.0/8\n":     true,
		"AllowUsers *@0.0.0.0/1\n":        false,
		"AllowUsers *@10.0.0.0/8\n":       true,
		"AllowUsers ann@10.0.0.0/8 bob\n": false, // bob from anywhere
		"Match Address *,!10.0.0.0/8\n\tDenyUsers *\n":                                  true,
		"PermitRootLogin no\nMatch User ann,bob Address *,!10.0.0.0/8\n\tDenyUsers *\n": true,
		"Match Address 10.0.0.0/8\n\tX11Forwarding no\n":                                false,
	} {
		got := sshFacts(t, sshBase(config)).SSHD.SourceLimit
		if !got.IsKnown() || got.Value != want {
			t.Errorf("%q: %+v, want %v", config, got, want)
		}
	}
	files := sshBase("")
	files["etc/pve/firewall/cluster.fw"] = "[OPTIONS]\nenable: 1\n"
	if f := sshFacts(t, files).SSHD; f.FirewallLimit.IsKnown() {
		t.Errorf("firewall_limit is %+v while the PVE firewall is on", f.FirewallLimit)
	}
	if f := sshFacts(t, sshBase("")).SSHD; !f.FirewallLimit.IsKnown() || f.FirewallLimit.Value {
		t.Errorf("firewall_limit is %+v without a filter", f.FirewallLimit)
	}
}

func TestSSHDAsksTheRunningServer(t *testing.T) {
	files := sshBase("X11Forwarding no\nPermitRootLogin no\n")
	files[".castellan/meta"] = sshTestMeta + "live yes\n0644 0:0 /run/sshd.pid 2026-11-20T10:00:00Z\n0600 0:0 /etc/ssh/sshd_config 2026-11-20T11:00:00Z\n"
	files[".castellan/run/sshd-test"] = ""
	files[".castellan/run/sshd-t-admin"] = "port 22\nx11forwarding yes\npermitrootlogin no\nallowusers ann\nmaxstartups 5:30:50\n"
	files["run/sshd.pid"] = "7\n"
	files["proc/7/comm"] = "sshd\n"
	f := sshFacts(t, files).SSHD
	if got := f.Admin.X11Forwarding; got.Value != "yes" || got.Origin != posture.Effective || got.Source != "sshd -T" {
		t.Errorf("where files and server differ: %+v, want the server's word", got)
	}
	if got := f.Admin.PermitRootLogin; got.Value != "no" || got.Origin != posture.Effective || got.Source != "/etc/ssh/sshd_config:2" {
		t.Errorf("where they agree: %+v, want the line of the file", got)
	}
	if f.Admin.MaxStartupsFull.Value != 50 || !cmp.Equal(f.Admin.AllowUsers.Value, []string{"ann"}) {
		t.Errorf("maxstartups %d, allowusers %v", f.Admin.MaxStartupsFull.Value, f.Admin.AllowUsers.Value)
	}
	if !strings.Contains(strings.Join(f.Disagreements.Value, "\n"), `admin: x11forwarding: sshd "yes", files "no"`) {
		t.Errorf("disagreements %q", f.Disagreements.Value)
	}
	if f.RootElsewhere.X11Forwarding.Origin != posture.Configured {
		t.Error("without an answer of the server the files count")
	}
	if !f.Running.Value || f.ConfigLoaded.Value {
		t.Errorf("running %+v, loaded %+v: the file changed after the server read it", f.Running, f.ConfigLoaded)
	}
}

// refusing is a host whose files the present user may not read.
type refusing struct{ host.Reader }

func (refusing) ReadFile(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func (refusing) Stat(name string) (host.File, error) {
	return host.File{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrPermission}
}
func (refusing) List(string) ([]host.File, error)      { return nil, fs.ErrPermission }
func (refusing) Run(host.Command) (host.Output, error) { return host.Output{}, host.ErrUnavailable }

func TestSSHWithoutRightsKnowsNothing(t *testing.T) {
	f := sshCollect(t, refusing{}, host.Description{Live: true, Now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)})
	if f.SSHD.Admin.PermitRootLogin.IsKnown() || f.SSHD.ConfigValid.IsKnown() || f.SSHD.ConfigLoaded.IsKnown() || f.SSHD.SourceLimit.IsKnown() {
		t.Error("facts of the server are known without rights")
	}
	if f.SSHKeys.Authorized.IsKnown() || f.SSHKeys.Private.IsKnown() || f.SSHKeys.AdminPaths.IsKnown() || f.SSHKeys.RootLink.IsKnown() {
		t.Error("facts of keys are known without rights")
	}
	if p := f.SSHKeys.Authorized.Problem; p == nil || p.Code != "permission" {
		t.Errorf("problem is %+v, want permission", p)
	}
}

func TestSSHDKeepsSecretsOfItsFilesOut(t *testing.T) {
	files := sshBase("SetEnv TOKEN=hunter2 A=b\nAcceptEnv LANG\nPasswort hunter2\nMatch User bob\n\tForceCommand /bin/x --key hunter2\n")
	delete(files, "var/lib/dpkg/status")
	f := sshFacts(t, files)
	j, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(j), "hunter2") {
		t.Errorf("the facts hold a secret of sshd_config: %s", j)
	}
	files["etc/ssh/sshd_config"] = "SetEnv TOKEN=hunter2 A=b\n"
	if got := sshFacts(t, files).SSHD.Admin.SetEnv.Value; !cmp.Equal(got, []string{"TOKEN=…", "A=…"}) {
		t.Errorf("setenv is %q, want the names", got)
	}
}

func TestSSHKeysInventory(t *testing.T) {
	const secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAC3NzaC1lZDI1NTE5U0VDUkVUU0VDUkVU"
	files := sshBase("AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n")
	files["etc/hostname"] = "pve1\n"
	files["etc/corosync/corosync.conf"] = "nodelist {\n node {\n name: pve1\n nodeid: 1\n ring0_addr: 10.0.0.1\n }\n}\n"
	files["etc/pve/priv/authorized_keys"] = sshTestKey + " root@pve1\n" + sshTestKey + " root@gone\n"
	files["etc/ssh/keys/ann"] = `from="10.0.0.0/8",no-pty ` + sshTestKey + " ann@desk\nnonsense\n"
	files["home/bob/.ssh/id_ed25519"] = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret + "\n-----END OPENSSH PRIVATE KEY-----\n"
	files["home/bob/.ssh/notes"] = "no key\n"
	files["root/.ssh/config"] = "Ciphers aes256-ctr\n"
	files[".castellan/meta"] = sshTestMeta + "0600 0:0 /home/bob/.ssh/id_ed25519 2026-11-01T00:00:00Z\n0600 0:0 /etc/ssh/keys/ann 2026-11-10T12:00:00Z\n"
	tree := sshTree(t, files)
	if err := os.Symlink("/etc/pve/priv/authorized_keys", filepath.Join(tree.Describe().Name, "root/.ssh/authorized_keys")); err != nil {
		t.Fatal(err)
	}
	all := sshCollect(t, tree, tree.Describe())
	f := all.SSHKeys
	type short struct {
		account, comment, node string
		member                 bool
		from                   string
		age                    int
	}
	var got []short
	for _, k := range f.Authorized.Value {
		s := short{k.Account, k.Comment, k.Node, k.Member, strings.Join(k.From, " "), k.AgeDays}
		if k.Account == "root" {
			s.age = 0 // the time of a file made by this test
		}
		got = append(got, s)
	}
	want := []short{{"root", "root@pve1", "pve1", true, "", 0}, {"root", "root@gone", "gone", false, "", 0}, {"ann", "ann@desk", "", false, "10.0.0.0/8", 10}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(short{})); d != "" {
		t.Errorf("%s\n%+v", d, f.Authorized)
	}
	if d := cmp.Diff([]string{"/etc/ssh/keys/ann:2: the line has no key type that SSH knows"}, f.BadLines.Value); d != "" {
		t.Error(d)
	}
	if f.RootLink.Value != "/etc/pve/priv/authorized_keys" {
		t.Errorf("root's link is %+v", f.RootLink)
	}
	if p := f.Private.Value; len(p) != 1 || p[0].Path != "/home/bob/.ssh/id_ed25519" || p[0].Encrypted || !p[0].OnlyOwner || p[0].Account != "bob" {
		t.Errorf("private keys %+v", f.Private)
	}
	j, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, "U0VDUkVU", sshTestKey[20:]} {
		if strings.Contains(string(j), s) {
			t.Errorf("the facts hold %q", s)
		}
	}
}

func TestSSHKeysAdminPaths(t *testing.T) {
	files := sshBase("AllowUsers ann bob\n")
	files["etc/shadow"] = "root:*:20000:0:99999:7:::\n"
	files["etc/sudoers"] = "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\nbob ALL=(ALL) /usr/bin/apt\n"
	files["home/ann/.ssh/authorized_keys"] = sshTestKey + " ann\n"
	paths := func() []posture.AdminPath {
		f := sshFacts(t, files).SSHKeys.AdminPaths
		if !f.IsKnown() {
			t.Fatalf("admin paths: %+v", f)
		}
		return f.Value
	}
	p := paths()
	if len(p) != 1 || p[0].Account != "ann" || p[0].Via != "sudo" || !p[0].Key.Value || !p[0].Admitted.Value || p[0].LastLogin.IsKnown() {
		t.Errorf("with sudo and no record of logins: %+v", p)
	}
	files["etc/shadow"] = "root:$y$j9T$salt$hash:20000:0:99999:7:::\n"
	if p = paths(); len(p) != 2 || p[1].Via != "su" || p[1].Key.Value {
		t.Errorf("with a password of root: %+v", p)
	}
	files["etc/pam.d/su"] = "auth required pam_wheel.so use_uid group=sudo\n"
	if p = paths(); len(p) != 1 {
		t.Errorf("with su bound to a group: %+v", p)
	}
	files[".castellan/meta"] = sshTestMeta + "live yes\n"
	files[".castellan/run/ssh-accepted"] = "1795161600.123456 pve1 sshd-session[99]: Accepted publickey for ann from 10.0.0.7 port 1 ssh2\n" +
		"1795165200.5 pve1 sshd[1]: Accepted publickey for ann from 10.0.0.7 port 1 ssh2: ED25519 SHA256:x\nnoise\n"
	if p = paths(); !p[0].LastLogin.Value.Equal(time.Unix(1795165200, 0)) || p[0].HoursAgo.Value != 3 {
		t.Errorf("by the journal: %+v", p)
	}
}
