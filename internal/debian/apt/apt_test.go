package apt

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testdata/conf/dump.txt is the answer of apt-config dump (apt 2.6) to the two files, without empty values.
func TestConfAgreesWithAptConfig(t *testing.T) {
	var c Config
	for _, f := range []string{"testdata/conf/10first", "testdata/conf/20second"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Merge(f, b); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/conf/dump.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, o := range c.All("castellan") {
		if o.Value != "" {
			fmt.Fprintf(&got, "%s %q;\n", o.Name, o.Value)
		}
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Error(d)
	}
}

func TestConfSources(t *testing.T) {
	var c Config
	if err := c.Merge("20auto", []byte("\nAPT::Periodic {\n  Enable \"0\";\n};\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Merge("99x", []byte("apt::periodic::enable \"1\";")); err != nil {
		t.Fatal(err)
	}
	o, ok := c.Find("APT::Periodic::Enable")
	if d := cmp.Diff(Option{"APT::Periodic::Enable", "1", "99x:1"}, o); d != "" || !ok {
		t.Error(d)
	}
	if o, ok := c.Find("APT::Periodic"); ok {
		t.Errorf("a block without a value has one: %v", o)
	}
	if l := c.List("no::such"); l != nil {
		t.Errorf("unexpected %v", l)
	}
}

func TestConfErrors(t *testing.T) {
	for text, want := range map[string]string{
		"A::B \"1\"":               "f:1: the last statement lacks its semicolon",
		"\nA::B a b;":              "f:2: more words stand after the value",
		"A { B \"1\";":             "f:1: a block is not closed",
		"A \"1\";\n};":             "f:2: } without {",
		"A \"un;\n":                "f:1: the quote is not closed",
		"/* x":                     "f:1: the comment is not closed",
		"#clear A B;":              "f:1: #clear needs one argument",
		"{ }":                      "f:1: a name must stand before {",
		strings.Repeat("a { ", 99): "f:1: blocks are nested more than 64 deep",
	} {
		var c Config
		err := c.Merge("f", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
}

func TestNamesThatAptReads(t *testing.T) {
	for name, want := range map[string]bool{
		"20auto-upgrades": true, "99x.conf": true, "50unattended-upgrades.dpkg-old": false, "x.bak": false, "a b": false,
		"10_x": true, "x.conf.disabled": false, ".hidden": false, "no-nag-script": true,
	} {
		if got := IsPart(name); got != want {
			t.Errorf("IsPart(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]string{"a.list": "list", "a.sources": "sources", "a.list.save": "", "a": "", "a~.list": ""} {
		if got, _ := IsSourcePart(name); got != want {
			t.Errorf("IsSourcePart(%q) = %q", name, got)
		}
	}
}

func TestParseList(t *testing.T) {
	got, err := ParseList([]byte(`# See sources.list(5)
deb http://ftp.debian.org/debian bookworm main contrib # inline
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg,/y.gpg trusted=yes] https://x.example/apt ./
# deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise
deb-src	http://ftp.debian.org/debian	bookworm	main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
`))
	if err != nil {
		t.Fatal(err)
	}
	deb := []string{"deb"}
	want := []Source{
		{Types: deb, URI: "http://ftp.debian.org/debian", Suite: "bookworm", Components: []string{"main", "contrib"}, Enabled: true, Syntax: "list", Line: 2},
		{Types: deb, URI: "https://x.example/apt", Suite: "./", Components: []string{}, Enabled: true, Syntax: "list", Line: 3,
			SignedBy: []string{"/usr/share/keyrings/x.gpg", "/y.gpg"}, Trusted: true},
		{Types: deb, URI: "https://enterprise.proxmox.com/debian/pve", Suite: "bookworm", Components: []string{"pve-enterprise"}, Commented: true, Syntax: "list", Line: 4},
		{Types: []string{"deb-src"}, URI: "http://ftp.debian.org/debian", Suite: "bookworm", Components: []string{"main"}, Enabled: true, Syntax: "list", Line: 5},
		{Types: deb, URI: "cdrom:[Debian GNU/Linux 12]/", Suite: "bookworm", Components: []string{"main"}, Enabled: true, Syntax: "list", Line: 6},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"deb http://x": "line 1: ", "\nrpm http://x y": "line 2: ", "deb [a=b http://x y": "line 1: the options are not closed",
	} {
		if _, err := ParseList([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseSources(t *testing.T) {
	got, err := ParseSources([]byte(`# a remark
Types: deb deb-src
URIs: http://ftp.debian.org/debian
Suites: trixie
  trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

types: deb
uris: https://enterprise.proxmox.com/debian/pve
suites: trixie
components: pve-enterprise
enabled: false

Types: deb
URIs: https://x.example/apt
Suites: ./
Allow-Insecure: yes
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
# comment inside
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

#Types: deb
#URIs: http://download.proxmox.com/debian/pve
#Suites: trixie
#Components: pve-test
`))
	if err != nil {
		t.Fatal(err)
	}
	both, deb, key := []string{"deb", "deb-src"}, []string{"deb"}, []string{"/usr/share/keyrings/debian-archive-keyring.gpg"}
	want := []Source{
		{Types: both, URI: "http://ftp.debian.org/debian", Suite: "trixie", Components: []string{"main"}, Enabled: true, SignedBy: key, Syntax: "sources", Line: 2},
		{Types: both, URI: "http://ftp.debian.org/debian", Suite: "trixie-updates", Components: []string{"main"}, Enabled: true, SignedBy: key, Syntax: "sources", Line: 2},
		{Types: deb, URI: "https://enterprise.proxmox.com/debian/pve", Suite: "trixie", Components: []string{"pve-enterprise"}, Syntax: "sources", Line: 9},
		{Types: deb, URI: "https://x.example/apt", Suite: "./", Enabled: true, AllowInsecure: true, SignedBy: []string{EmbeddedKey}, Syntax: "sources", Line: 15},
		{Types: deb, URI: "http://download.proxmox.com/debian/pve", Suite: "trixie", Components: []string{"pve-test"}, Commented: true, Syntax: "sources", Line: 26},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := ParseSources([]byte("Types: deb\nURIs: x:y\n")); err == nil {
		t.Error("a stanza without suites was accepted")
	}
}

func TestParseIndex(t *testing.T) {
	keep := func(n string) bool { return n != "skip" }
	got := ParseIndex("a_Packages", []byte("Package: bash\nVersion: 5.2-1\nDepends: x\n\nPackage: skip\nVersion: 1\nFile: b_Packages\nPackage: curl\nVersion: 8\n"), keep)
	if d := cmp.Diff([]Candidate{{"bash", "5.2-1", "a_Packages"}, {"curl", "8", "b_Packages"}}, got); d != "" {
		t.Error(d)
	}
}

func TestParseIndexName(t *testing.T) {
	for name, want := range map[string]IndexName{
		"security.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages.lz4": {"security.debian.org_debian-security", "bookworm-security", "main", "amd64"},
		"download.proxmox.com_debian_pve_dists_trixie_pve-no-subscription_binary-amd64_Packages":     {"download.proxmox.com_debian_pve", "trixie", "pve-no-subscription", "amd64"},
		"security.debian.org_dists_buster_updates_main_binary-all_Packages":                          {"security.debian.org", "buster/updates", "main", "all"},
		"x.example_apt_._Packages": {Site: "x.example_apt_."},
	} {
		if d := cmp.Diff(want, ParseIndexName(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestPatterns(t *testing.T) {
	vars := map[string]string{"distro_id": "Debian", "distro_codename": "bookworm"}
	security := Release{Origin: "Debian", Label: "Debian-Security", Suite: "stable-security", Codename: "bookworm-security", Component: "main", Site: "security.debian.org"}
	main := Release{Origin: "Debian", Label: "Debian", Suite: "stable", Codename: "bookworm", Component: "main"}
	for _, c := range []struct {
		text           string
		allowed        bool
		security, main bool
	}{
		{"origin=Debian,codename=${distro_codename},label=Debian", false, false, true},
		{"origin=Debian,codename=${distro_codename}-security,label=Debian-Security", false, true, false},
		{"o=Debian,n=bookworm*", false, true, true},
		{"o=*", false, true, true},
		{"site=security.debian.org", false, true, false},
		{"", false, false, false},
		{"${distro_id}:${distro_codename}-security", true, false, false}, // the form of older guides matches nothing on Debian
		{"Debian stable", true, false, true},
		{"Debian:stable-security", true, true, false},
	} {
		parse := ParsePattern
		if c.allowed {
			parse = ParseAllowedOrigin
		}
		p, err := parse(c.text, vars)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if p.Match(security) != c.security || p.Match(main) != c.main {
			t.Errorf("%q matches security: %v, main: %v", c.text, p.Match(security), p.Match(main))
		}
	}
	for _, bad := range []string{"origin", "foo=bar", "o=${nope}"} {
		if _, err := ParsePattern(bad, vars); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := ParseAllowedOrigin("a:b:c", vars); err == nil {
		t.Error("a:b:c was accepted")
	}
}

func TestBool(t *testing.T) {
	for v, want := range map[string]bool{"yes": true, "1": true, "TRUE": true, "0": false, "00": false, "off": false, "with": true, "maybe": true, "": true} {
		if Bool(v, true) != want {
			t.Errorf("Bool(%q)", v)
		}
	}
}

func FuzzConf(f *testing.F) {
	f.Add([]byte("APT { Periodic { Enable \"1\"; }; };\n#clear APT;\nA:: \"x\";"))
	f.Add([]byte("::::;A \x00 {;}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var c Config
		_ = c.Merge("f", b)
		for _, o := range c.All("") {
			c.Find(o.Name)
			c.List(o.Name)
		}
	})
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("deb [trusted=yes] http://x y z\n# deb a b c\n"))
	f.Add([]byte("Types: deb\nURIs: a:b\nSuites: c\n d\nEnabled: no\n\n#Types: deb\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, _ := ParseList(b)
		many, _ := ParseSources(b)
		for _, s := range append(one, many...) {
			if s.URI == "" || s.Suite == "" || len(s.Types) == 0 || s.Enabled && s.Commented {
				t.Fatalf("incomplete source %+v", s)
			}
		}
	})
}

func FuzzIndexAndPatterns(f *testing.F) {
	f.Add([]byte("Package: a\nVersion: 1\nFile: b\n"), "o=Debian,l=*")
	f.Fuzz(func(_ *testing.T, b []byte, s string) {
		ParseIndex("f", b, func(string) bool { return true })
		ParseIndexName(s)
		if p, err := ParsePattern(s, map[string]string{"distro_id": "Debian"}); err == nil {
			p.Match(Release{Origin: s})
		}
		if p, err := ParseAllowedOrigin(s, nil); err == nil {
			p.Match(Release{Origin: s})
		}
	})
}
