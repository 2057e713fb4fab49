package lockout

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/sshd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
)

// server is the real sshd of the machine that runs the test, when it has one that answers.
type server struct {
	machine host.Machine
	dir     string
	release sshd.Release
	hostKey string
}

// realServer finds the sshd of the machine.
func realServer(t *testing.T) server {
	t.Helper()
	dir := t.TempDir()
	s := server{machine: host.NewLocal(), dir: filepath.Join(dir, "scratch"), hostKey: filepath.Join(dir, "key")}
	out, err := s.machine.Run(host.Command{Name: "ssh-keygen", Argv: []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.hostKey}})
	if err != nil || out.Code != 0 {
		hosttest.Lacks(t, "against the real sshd: ssh-keygen cannot make a host key: %v %s", err, out.Stderr)
	}
	version, err := s.machine.Run(host.Command{Name: "sshd-version", Argv: []string{"sshd", "-V"}})
	if err != nil {
		hosttest.Lacks(t, "against the real sshd: %v", err)
	}
	text := string(version.Stderr) + string(version.Stdout)
	major, minor := 0, 0
	if i := strings.Index(text, "OpenSSH_"); i < 0 {
		hosttest.Lacks(t, "against the real sshd: no version in %q", text)
	} else if _, err := fmt.Sscanf(text[i:], "OpenSSH_%d.%d", &major, &minor); err != nil {
		hosttest.Lacks(t, "against the real sshd: no version in %q", text)
	}
	s.release = sshd.Release{Major: major, Minor: minor, Update: -1}
	if !s.release.Tested() {
		hosttest.Lacks(t, "against the real sshd: its release is %s", s.release)
	}
	probe := files{sshd.MainFile: "HostKey " + s.hostKey + "\n"}.memory()
	if _, err := Candidate(s.machine, s.dir, probe, nil, connTo("root", "192.0.2.10")); err != nil {
		hosttest.Lacks(t, "against the real sshd: %v", err)
	}
	return s
}

func connTo(user, addr string) sshd.Connection {
	return sshd.Connection{User: user, Groups: []string{user}, KnownUser: true, Host: addr, Address: addr, LocalAddress: "192.0.2.1", LocalPort: 22}
}

func TestCandidateAsksTheRealServer(t *testing.T) {
	s := realServer(t)
	draft := files{
		sshd.MainFile: "HostKey " + s.hostKey + "\ninclude=\"/etc/ssh/sshd_config.d/*.conf\" 'extra.conf' # both\nPermitRootLogin no\n" +
			"Match User root\n Include /opt/x.conf\n",
		"/etc/ssh/sshd_config.d/10.conf": "Include /etc/ssh/deeper\nPort 2222\n",
		"/etc/ssh/deeper":                "PasswordAuthentication no\n",
		"/etc/ssh/extra.conf":            "MaxSessions 7\n",
		"/opt/x.conf":                    "PermitTTY no\n",
	}
	m := draft.memory()
	// What a killed attempt left must not count.
	old := filepath.Join(s.dir, candidateName, "etc/ssh/sshd_config.d")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "00-old.conf"), []byte("PasswordAuthentication yes\nMaxSessions 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := sshd.Load(sshd.MainFile, sshFiles(m), s.release)
	if err != nil || !config.Valid() {
		t.Fatalf("%v %v", err, config.Problems)
	}
	got, err := Candidate(s.machine, s.dir, m, config.Included, connTo("root", "192.0.2.10"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"permitrootlogin": "no", "port": "2222", "passwordauthentication": "no", "maxsessions": "7", "permittty": "no"} {
		if v, _ := one(got, key); v != want {
			t.Errorf("%s is %q, want %q", key, v, want)
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("the scratch directory is not empty: %v %v", left, err)
	}
}

func TestCandidateComplains(t *testing.T) {
	s := realServer(t)
	m := files{sshd.MainFile: "HostKey " + s.hostKey + "\nInclude d.conf\n", "/etc/ssh/d.conf": "\nPermitRootLogin maybe\n"}.memory()
	_, err := Candidate(s.machine, s.dir, m, []string{"/etc/ssh/d.conf"}, connTo("root", "192.0.2.10"))
	if err == nil || !strings.Contains(err.Error(), "/etc/ssh/d.conf line 2") || strings.Contains(err.Error(), s.dir) {
		t.Errorf("want a complaint in the words of the host, got: %v", err)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the scratch directory is left: %v", err)
	}
	for _, user := range []string{"root,addr=1.2.3.4", "a b", "a\nb"} {
		if _, err := Candidate(s.machine, s.dir, m, nil, connTo(user, "192.0.2.10")); err == nil {
			t.Errorf("the user %q is passed on", user)
		}
	}
}

// answering is a machine whose sshd says what the test wants.
type answering struct {
	*host.Tree
	code   int
	stdout string
}

func (a answering) Run(host.Command) (host.Output, error) {
	return host.Output{Code: a.code, Stdout: []byte(a.stdout), Stderr: []byte("bad configuration option")}, nil
}

func TestSSHDSaysOtherwise(t *testing.T) {
	tree, err := host.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	c := caseOf(debian(), drop("PermitRootLogin prohibit-password"), rootByKey())
	no("sshd itself says otherwise").check(t, sshdGuard{Options{answering{Tree: tree, stdout: "permitrootlogin no\n"}, "/scratch"}}.Judge(c))
	no("sshd itself refuses").check(t, sshdGuard{Options{answering{Tree: tree, code: 255}, "/scratch"}}.Judge(c))
	s, err := sshd.Load(sshd.MainFile, sshFiles(c.After), sshd.Release{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.For(connTo("root", "192.0.2.10"))
	if err != nil {
		t.Fatal(err)
	}
	yes("by key").check(t, sshdGuard{Options{answering{Tree: tree, stdout: strings.Join(set.Lines(), "\n")}, "/scratch"}}.Judge(c))
	if f, err := tree.List("/scratch"); err != nil || len(f) > 0 {
		t.Errorf("scratch is left: %v %v", f, err)
	}
}

// TestNeverAdmitsWhomTheServerRefuses generates configurations and compares with the real server: whoever the guard admits
// is refused neither by PermitRootLogin, nor by the lists, nor for want of a method in the words of sshd -T -C.
func TestNeverAdmitsWhomTheServerRefuses(t *testing.T) {
	s := realServer(t)
	osRelease := "VERSION_CODENAME=trixie\n"
	if s.release.Major == 9 {
		osRelease = "VERSION_CODENAME=bookworm\n"
	}
	admitted := 0
	rapid.Check(t, func(t *rapid.T) {
		main := "HostKey " + s.hostKey + "\n" + rapid.SampledFrom([]string{"Include /etc/ssh/sshd_config.d/*.conf\n", "Include sshd_config.d/*.conf\n", ""}).Draw(t, "include")
		changed := files{sshd.MainFile: main + lines(t, "main"), "/etc/ssh/sshd_config.d/10.conf": lines(t, "10"), "/etc/ssh/sshd_config.d/20.conf": lines(t, "20")}
		// The accounts are those that every Debian has: the real server looks groups up in the machine's own files.
		before := debian().with(files{
			"/etc/os-release": osRelease, "/etc/passwd": "root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/bin/bash\n",
			"/etc/group": "root:x:0:\ndaemon:x:1:\n", "/etc/shadow": "root:$y$a$b:20000::::::\ndaemon:$y$a$b:20000::::::\n",
			"/usr/sbin/.ssh/authorized_keys": rsaKey,
		})
		user := rapid.SampledFrom([]string{"root", "daemon"}).Draw(t, "user")
		o := change.Operator{User: user, Address: rapid.SampledFrom([]string{"192.0.2.10", "10.1.2.3", "2001:db8::7"}).Draw(t, "address"), Port: 22, Local: "192.0.2.1"}
		if strings.Contains(o.Address, ":") {
			o.Local = "2001:db8::1"
		}
		if o.Method = rapid.SampledFrom([]string{"", "password", "publickey"}).Draw(t, "method"); o.Method == "publickey" {
			o.Key = map[string]string{"root": edPrint, "daemon": rsaPrint}[user]
		}
		c := caseOf(before, changed, o)
		v := sshdGuard{}.Judge(c)
		if len(v) != 1 || !v[0].Admitted {
			return
		}
		admitted++
		conn := connTo(user, o.Address)
		conn.LocalAddress = o.Local
		var included []string
		if strings.Contains(main, "Include") {
			included = []string{"/etc/ssh/sshd_config.d/10.conf", "/etc/ssh/sshd_config.d/20.conf"}
		}
		said, err := Candidate(s.machine, s.dir, c.After, included, conn)
		if err != nil {
			t.Fatalf("the server refuses what the guard admits: %v", err)
		}
		if why := refusedBy(said, o); why != "" {
			t.Fatalf("admitted (%s), and the server says %s", v[0].Reason, why)
		}
	})
	if admitted == 0 {
		t.Error("nobody was ever admitted: the test compares nothing")
	}
	t.Logf("%d admissions compared", admitted)
}

// lines draws lines of a configuration that decide about logins.
func lines(t *rapid.T, label string) string {
	table := []string{"PermitRootLogin yes", "PermitRootLogin no", "PermitRootLogin prohibit-password", "PermitRootLogin forced-commands-only",
		"AllowUsers root", "AllowUsers daemon root@192.0.2.0/24", "AllowUsers *@10.0.0.0/8", "DenyUsers daemon", "DenyUsers root@10.1.2.3",
		"AllowGroups root", "AllowGroups daemon root", "DenyGroups daemon", "PasswordAuthentication no", "PasswordAuthentication yes", "PubkeyAuthentication no",
		"KbdInteractiveAuthentication no", "UsePAM yes", "UsePAM no", "AuthenticationMethods publickey", "AuthenticationMethods publickey,password any",
		"AuthenticationMethods publickey,password password", "Port 2222", "Port 22", "AddressFamily inet", "RequiredRSASize 3072", "PubkeyAcceptedAlgorithms -ssh-ed25519",
		"Match User root", "Match Address 192.0.2.0/24", "Match Group daemon", "Match LocalPort 22", "Match Address *,!10.0.0.0/8", "Match all", "MaxAuthTries 2"}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(table), 0, 6).Draw(t, label), "\n") + "\n"
}

// refusedBy reads the words of sshd -T by rules of its own: the settings that stand against an operator.
func refusedBy(s sshd.Settings, o change.Operator) string {
	get := func(k string) string { return strings.Join(s[k].Values, " ") }
	inNet := func(text string) bool {
		p, err := netip.ParsePrefix(text)
		a := netip.MustParseAddr(o.Address)
		return text == o.Address || err == nil && p.Contains(a)
	}
	listed := func(key string) bool {
		return slices.ContainsFunc(s[key].Values, func(p string) bool {
			user, from, at := strings.Cut(p, "@")
			return (user == "*" || user == o.User) && (!at || inNet(from))
		})
	}
	switch {
	case listed("denyusers"):
		return "denyusers"
	case get("allowusers") != "" && !listed("allowusers"):
		return "allowusers " + get("allowusers")
	case slices.Contains(s["denygroups"].Values, o.User): // each of these accounts has one group, of its own name
		return "denygroups"
	case get("allowgroups") != "" && !slices.Contains(s["allowgroups"].Values, o.User):
		return "allowgroups " + get("allowgroups")
	case !slices.Contains(s["port"].Values, "22"):
		return "port " + get("port")
	}
	key, word := get("pubkeyauthentication") == "yes", get("passwordauthentication") == "yes" || get("kbdinteractiveauthentication") == "yes" && get("usepam") == "yes"
	if o.User == "root" {
		switch get("permitrootlogin") {
		case "no", "forced-commands-only":
			return "permitrootlogin " + get("permitrootlogin")
		case "without-password", "prohibit-password":
			word = false
		}
	}
	switch {
	case o.Method == "publickey" && !key, o.Method == "password" && !word, !key && !word:
		return fmt.Sprintf("no method: key %t, password %t", key, word)
	case o.Method == "password" && get("authenticationmethods") == "publickey":
		return "authenticationmethods publickey"
	}
	return ""
}

func TestRewrite(t *testing.T) {
	for in, want := range map[string]string{
		"Include /etc/ssh/a.conf":             `Include "/x/etc/ssh/a.conf"`,
		"\tinclude = a.conf b/*.conf # why":   `Include "/x/etc/ssh/a.conf" "/x/etc/ssh/b/*.conf"`,
		`"Include" "/etc/ssh/a b" '/c'`:       `Include "/x/etc/ssh/a b" "/x/c"`,
		"IncludeX a":                          "IncludeX a",
		"# Include a":                         "# Include a",
		"ForceCommand Include a":              "ForceCommand Include a",
		"Port 22\nInclude a\r\nPort 23\r\n":   "Port 22\nInclude \"/x/etc/ssh/a\"\nPort 23\r\n",
		"include":                             "include",
		"Include a#b":                         `Include "/x/etc/ssh/a#b"`,
		"Match User root\n  Include m.conf\n": "Match User root\nInclude \"/x/etc/ssh/m.conf\"\n",
	} {
		if d := cmp.Diff(want, string(rewrite([]byte(in), "/x"))); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"Include a b", "\x00Include \"a", "include=\xff'", strings.Repeat("Include x ", 1000), "a\r\nInclude /y\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := string(rewrite([]byte(s), "/x"))
		if strings.Count(out, "\n") != strings.Count(s, "\n") {
			t.Errorf("lines move: %q became %q", s, out)
		}
	})
}
