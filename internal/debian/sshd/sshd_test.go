package sshd_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/debian/sshd"
)

const deb12, deb13 = "1:9.2p1-2+deb12u10", "1:10.0p1-7+deb13u4"

func release(t testing.TB, v string) sshd.Release {
	t.Helper()
	r, err := sshd.ParsePackageVersion(v)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t testing.TB, version string, files map[string]string) *sshd.Config {
	t.Helper()
	c, err := sshd.Load(sshd.MainFile, memory(files), release(t, version))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rootFrom(addr string) sshd.Connection {
	return sshd.Connection{User: "root", Groups: []string{"root"}, KnownUser: true, Host: addr, Address: addr,
		LocalAddress: "10.0.0.2", LocalPort: 22}
}

func TestSourcesNameTheLineThatDecides(t *testing.T) {
	c := load(t, deb12, map[string]string{
		"/etc/ssh/sshd_config": "# head\nInclude /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\nMaxAuthTries 4\nAcceptEnv LANG\n" +
			"Match Address 10.0.0.0/24\n\tPermitRootLogin prohibit-password\n",
		"/etc/ssh/sshd_config.d/50-x.conf": "PermitRootLogin no\nAcceptEnv LC_*\n",
	})
	s, err := c.For(rootFrom("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"permitrootlogin": {"no", "/etc/ssh/sshd_config.d/50-x.conf:1"},
		"maxauthtries":    {"4", "/etc/ssh/sshd_config:4"},
		"acceptenv":       {"LC_*", "/etc/ssh/sshd_config.d/50-x.conf:2, /etc/ssh/sshd_config:5"},
		"strictmodes":     {"yes", ""},
	}
	for key, w := range want {
		if got := [2]string{s[key].Values[0], s[key].Source}; got != w {
			t.Errorf("%s from elsewhere is %q, want %q", key, got, w)
		}
	}
	s, err = c.For(rootFrom("10.0.0.7"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s["permitrootlogin"], (sshd.Setting{Values: []string{"without-password"}, Source: "/etc/ssh/sshd_config:7"}); !cmp.Equal(got, want) {
		t.Errorf("from the cluster: %+v, want %+v", got, want)
	}
}

func TestProblemsNameFileAndLine(t *testing.T) {
	for _, tt := range []struct{ name, config, want string }{
		{"misspelt keyword of a guide", "PermitEmptyPassword no\n", "/etc/ssh/sshd_config:1: unknown keyword PermitEmptyPassword"},
		{"global keyword in a block", "Match User x\nPort 22\n", "/etc/ssh/sshd_config:2: Port is not allowed within a Match block"},
		{"host bits", "\nMatch Address 10.0.0.1/8\n", "/etc/ssh/sshd_config:2: Match: inconsistent mask length in 10.0.0.1/8"},
		{"value", "PermitRootLogin maybe\n", `/etc/ssh/sshd_config:1: PermitRootLogin: unsupported option "maybe"`},
		{"loop", "Include /etc/ssh/sshd_config\n", "/etc/ssh/sshd_config:1: too many recursive configuration includes"},
		{"Exec is not for servers", "Match Exec /bin/true\n", "/etc/ssh/sshd_config:1: Match: unsupported Match attribute exec"},
		{"methods", "PubkeyAuthentication no\nAuthenticationMethods publickey\n",
			"/etc/ssh/sshd_config: AuthenticationMethods cannot be satisfied by enabled authentication methods"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := load(t, deb13, map[string]string{"/etc/ssh/sshd_config": tt.config})
			if c.Valid() {
				t.Fatal("accepted")
			}
			if got := c.Problems[0].String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, err := c.For(rootFrom("10.0.0.7")); err == nil {
				t.Error("a refused configuration was evaluated")
			}
		})
	}
}

func TestUnreadableIncludeIsNoVerdict(t *testing.T) {
	files := memory(map[string]string{"/etc/ssh/sshd_config": "Include /etc/ssh/secret.conf\n"})
	read := files.Read
	files.Read = func(p string) ([]byte, error) {
		if p == "/etc/ssh/secret.conf" {
			return nil, fs.ErrPermission
		}
		return read(p)
	}
	if _, err := sshd.Load(sshd.MainFile, files, sshd.Release{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v, want one of permission", err)
	}
}

func TestObsoleteDirectives(t *testing.T) {
	c := load(t, deb12, map[string]string{"/etc/ssh/sshd_config": "Protocol 2\nChallengeResponseAuthentication no\nUsePrivilegeSeparation yes\n" +
		"GSSAPIUseSessionCredCache yes\nPort 22\n"})
	var got []string
	for _, d := range c.Directives {
		got = append(got, d.Source()+" "+d.Keyword+" "+d.Obsolete)
	}
	want := []string{
		"/etc/ssh/sshd_config:1 Protocol ignored",
		"/etc/ssh/sshd_config:2 ChallengeResponseAuthentication now called kbdinteractiveauthentication",
		"/etc/ssh/sshd_config:3 UsePrivilegeSeparation deprecated",
		"/etc/ssh/sshd_config:4 GSSAPIUseSessionCredCache unsupported",
		"/etc/ssh/sshd_config:5 Port ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAdmits(t *testing.T) {
	for _, tt := range []struct {
		config, addr string
		groups       []string
		want         string
	}{
		{"", "192.0.2.1", nil, ""},
		{"AllowUsers root@10.0.0.0/8 alice", "10.1.1.1", nil, ""},
		{"AllowUsers root@10.0.0.0/8 alice", "192.0.2.1", nil, "allowusers"},
		{"DenyUsers root", "10.1.1.1", nil, "denyusers"},
		{"AllowGroups ssh-* root", "10.1.1.1", []string{"root"}, ""},
		{"AllowGroups ssh-*", "10.1.1.1", []string{"root"}, "allowgroups"},
		{"DenyGroups sudo\nAllowGroups root", "10.1.1.1", []string{"root", "sudo"}, "denygroups"},
		{"Match Address *,!10.0.0.0/8\nRefuseConnection yes", "192.0.2.1", nil, "refuseconnection"},
		{"Match Address *,!10.0.0.0/8\nRefuseConnection yes", "10.0.0.1", nil, ""},
	} {
		c := load(t, deb13, map[string]string{"/etc/ssh/sshd_config": tt.config + "\n"})
		conn := rootFrom(tt.addr)
		conn.Groups = tt.groups
		s, err := c.For(conn)
		if err != nil {
			t.Errorf("%q: %v", tt.config, err)
			continue
		}
		if ok, because := c.Admits(s, conn); because != tt.want || ok != (tt.want == "") {
			t.Errorf("%q from %s: %v %q, want %q", tt.config, tt.addr, ok, because, tt.want)
		}
	}
}

func TestDefaultsFollowDebiansUpdates(t *testing.T) {
	for version, want := range map[string]string{
		"1:9.2p1-2+deb12u3":  "sntrup761x25519-sha512@openssh.com",
		"1:9.2p1-2+deb12u10": "sntrup761x25519-sha512",
		"1:10.0p1-7+deb13u1": "mlkem768x25519-sha256",
	} {
		c := load(t, version, map[string]string{"/etc/ssh/sshd_config": ""})
		s, err := c.For(rootFrom("10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(s["kexalgorithms"].Values[0], ","); first != want {
			t.Errorf("%s offers %s first, want %s", version, first, want)
		}
	}
}

func TestManyIncludesEndInAnError(t *testing.T) {
	files := map[string]string{"/etc/ssh/sshd_config": strings.Repeat("Include /etc/ssh/l1\n", 60)}
	for i := 1; i < 6; i++ {
		files[fmt.Sprintf("/etc/ssh/l%d", i)] = strings.Repeat(fmt.Sprintf("Include /etc/ssh/l%d\n", i+1), 60)
	}
	files["/etc/ssh/l6"] = "PermitRootLogin no\n"
	if _, err := sshd.Load(sshd.MainFile, memory(files), sshd.Release{}); err == nil {
		t.Error("60^6 includes were read")
	}
}

func TestParsePackageVersion(t *testing.T) {
	want := sshd.Release{Major: 10, Minor: 0, Banner: "OpenSSH_10.0p2 Debian-7+deb13u4", Update: 4}
	if d := cmp.Diff(want, release(t, deb13)); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "x", "9", "1:9", "99999999999999999999.1p1"} {
		if r, err := sshd.ParsePackageVersion(bad); err == nil {
			t.Errorf("%q gives %+v, want an error", bad, r)
		}
	}
}

// TestFirstValueWins: prepending a line that sets a single-valued keyword always decides the global value.
func TestFirstValueWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := []string{"PermitRootLogin", "PasswordAuthentication", "X11Forwarding", "AllowTcpForwarding", "PermitTTY"}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		value := rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "value")
		var b strings.Builder
		for _, k := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 8).Draw(t, "rest") {
			fmt.Fprintf(&b, "%s %s\n", k, rapid.SampledFrom([]string{"yes", "no"}).Draw(t, k))
		}
		c, err := sshd.Load(sshd.MainFile, memory(map[string]string{sshd.MainFile: key + " " + value + "\n" + b.String()}), sshd.Release{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.For(rootFrom("10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s[strings.ToLower(key)]; got.Values[0] != value || got.Source != sshd.MainFile+":1" {
			t.Fatalf("%s is %v, want %s of line 1", key, got, value)
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"Include sshd_config.d/*.conf\nPermitRootLogin yes\nMatch Address 10.0.0.0/8\n X11Forwarding no\n",
		"Match User \"a b\" Group=x\nAllowUsers a@10.0.0.0/8\nCiphers -*cbc\n", "Port = 22\x00\nPort 23\n", "Match all\nInclude /etc/ssh/sshd_config\n",
		"RekeyLimit 1.5G 1h30m\nIPQoS 0x10\nMaxStartups 1:2:3\nPerSourcePenalties crash:1m\n", "ListenAddress [::1]:22\nSubsystem a \"b c\" 'd'\n",
		"PermitOpen a:1 [::]:*\nSetEnv A=\"x\\\" y\"\nAuthenticationMethods publickey,password:pam\n", "\xff\xfe\"", strings.Repeat("x", 3000),
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, modern bool) {
		rel := release(t, deb12)
		if modern {
			rel = release(t, deb13)
		}
		c, err := sshd.Load(sshd.MainFile, memory(map[string]string{sshd.MainFile: text, "/etc/ssh/sshd_config.d/a.conf": text}), rel)
		if err != nil {
			return
		}
		s, err := c.For(rootFrom("10.1.2.3"))
		if err != nil {
			return
		}
		c.Admits(s, rootFrom("10.1.2.3"))
		for key, v := range s {
			if len(v.Values) == 0 && v.Err == nil {
				t.Errorf("%s has neither a value nor an error", key)
			}
		}
	})
}

func TestHugeAndBinaryInputStaysCheap(t *testing.T) {
	for name, text := range map[string]string{
		"10 MB line":     "Banner " + strings.Repeat("a", 10<<20) + "\n",
		"10 MB of stars": "Match User " + strings.Repeat("*", 10<<20) + "\n",
		"NUL":            strings.Repeat("\x00", 1<<20),
		"not UTF-8":      "Banner /\xff\xfe\n",
		"many words":     "AcceptEnv" + strings.Repeat(" A", 1<<20) + "\n",
	} {
		c := load(t, deb13, map[string]string{sshd.MainFile: text})
		if _, err := c.For(rootFrom("10.0.0.1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
