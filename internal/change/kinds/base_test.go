package kinds

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// edit is one case of a kind that edits files: what the paths hold afterwards, or why the change cannot be made.
type edit struct {
	name   string
	files  map[string]string
	change change.Change
	want   map[string]string
	cannot string
}

// run drafts each case, and a second time on its own result, where nothing may change.
func runEdits(t *testing.T, cases []edit) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, false, tc.files)
			b.planner.Target.Now = b.planner.Now
			d := b.draft(t)
			err := b.planner.Kinds[tc.change.Kind].Draft(d, tc.change)
			if tc.cannot != "" {
				if err == nil || !strings.Contains(err.Error(), tc.cannot) {
					t.Fatalf("gives %v, want an error with %q", err, tc.cannot)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tc.want {
				got, _, err := d.Content(name)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != want {
					t.Errorf("%s is\n%q, want\n%q", name, got, want)
				}
			}
			if len(tc.want) == 0 && len(d.Changed()) > 0 {
				t.Errorf("changes %v", d.Changed())
			}
			before := len(d.Changed())
			held := contents(t, d)
			if err := b.planner.Kinds[tc.change.Kind].Draft(d, tc.change); err != nil {
				t.Fatalf("a second time: %v", err)
			}
			if len(d.Changed()) != before || contents(t, d) != held {
				t.Error("a second draft changes something")
			}
		})
	}
}

// draft begins a draft of the bench's host.
func (b *bench) draft(t testing.TB) *change.Draft {
	t.Helper()
	d, err := change.NewDraft(b.planner.Machine, b.planner.Target)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// contents joins everything that a draft replaces.
func contents(t testing.TB, d *change.Draft) string {
	t.Helper()
	var s strings.Builder
	for _, p := range d.Changed() {
		n, _ := d.Node(p)
		s.WriteString(p + "\x00" + n.Digest() + "\x00")
	}
	return s.String()
}

func TestSettingsFiles(t *testing.T) {
	runEdits(t, []edit{
		{
			name:   "login.defs keeps comments, blanks and stricter values",
			files:  map[string]string{"etc/login.defs": "# Ageing\nPASS_MAX_DAYS\t99999\nPASS_MIN_DAYS   7\n\nUMASK\t022\n"},
			change: change.Change{Kind: "login_defs", Set: map[string]string{"PASS_MAX_DAYS": "365", "PASS_MIN_DAYS": "1", "PASS_WARN_AGE": "7"}},
			want:   map[string]string{loginDefsFile: "# Ageing\nPASS_MAX_DAYS\t365\nPASS_MIN_DAYS   7\n\nUMASK\t022\nPASS_WARN_AGE\t7\n"},
		},
		{
			name:   "login.defs of Windows",
			files:  map[string]string{"etc/login.defs": "ENCRYPT_METHOD MD5\r\nUID_MIN 1000\r\n"},
			change: change.Change{Kind: "login_defs", Set: map[string]string{"ENCRYPT_METHOD": "YESCRYPT"}},
			want:   map[string]string{loginDefsFile: "ENCRYPT_METHOD\tYESCRYPT\r\nUID_MIN 1000\r\n"},
		},
		{
			name:   "a value with a line break",
			change: change.Change{Kind: "login_defs", Set: map[string]string{"UMASK": "022\nUID_MIN 0"}},
			cannot: "line break",
		},
		{
			name:   "useradd",
			files:  map[string]string{"etc/default/useradd": "# INACTIVE=-1\nSHELL=/bin/sh\n"},
			change: change.Change{Kind: "line", Path: "/etc/default/useradd", Separator: "=", Set: map[string]string{"INACTIVE": "45"}},
			want:   map[string]string{"/etc/default/useradd": "# INACTIVE=-1\nSHELL=/bin/sh\nINACTIVE=45\n"},
		},
		{
			name:   "useradd that is stricter",
			files:  map[string]string{"etc/default/useradd": "INACTIVE=30\n"},
			change: change.Change{Kind: "line", Path: "/etc/default/useradd", Separator: "=", Set: map[string]string{"INACTIVE": "45"}},
		},
		{
			name:   "useradd that never closes",
			files:  map[string]string{"etc/default/useradd": "INACTIVE=-1"},
			change: change.Change{Kind: "line", Path: "/etc/default/useradd", Separator: "=", Set: map[string]string{"INACTIVE": "45"}},
			want:   map[string]string{"/etc/default/useradd": "INACTIVE=45\n"},
		},
		{
			name: "openssl.cnf in its section",
			files: map[string]string{"etc/ssl/openssl.cnf": "[a]\nMinProtocol = TLSv1\n# CipherString = x\n[b]\nCipherString=DEFAULT@SECLEVEL=0\n" +
				"[c]\nMinProtocol = TLSv1.3\nCipherString = DEFAULT@SECLEVEL=3\n"},
			change: change.Change{Kind: "line", Path: openSSLFile, Separator: " = ", Set: map[string]string{"MinProtocol": "TLSv1.2", "CipherString": "DEFAULT:@SECLEVEL=2"}},
			want: map[string]string{openSSLFile: "[a]\nMinProtocol = TLSv1.2\n# CipherString = x\n[b]\nCipherString = DEFAULT:@SECLEVEL=2\n" +
				"[c]\nMinProtocol = TLSv1.3\nCipherString = DEFAULT@SECLEVEL=3\n"},
		},
		{
			name:   "openssl.cnf that says nothing",
			files:  map[string]string{"etc/ssl/openssl.cnf": "[req]\nx = y\n"},
			change: change.Change{Kind: "line", Path: openSSLFile, Set: map[string]string{"MinProtocol": "TLSv1.2"}},
		},
	})
}

func TestHolds(t *testing.T) {
	for _, tc := range []struct {
		key, have, want string
		holds           bool
	}{
		{"deny", "3", "5", true}, {"deny", "6", "5", false}, {"deny", "0", "5", false},
		{"unlock_time", "0", "900", true}, {"unlock_time", "never", "900", true}, {"unlock_time", "600", "900", false}, {"unlock_time", "1200", "900", true},
		{"max_days", "-1", "365", false}, {"max_days", "90", "365", true}, {"inactive_days", "-1", "45", false}, {"inactive_days", "0", "45", true},
		{"minlen", "20", "14", true}, {"minlen", "x", "14", false}, {"dictcheck", "0", "1", false}, {"other", "1", "2", false},
	} {
		if got := holds(tc.key, tc.have, tc.want); got != tc.holds {
			t.Errorf("%s has %s and %s is wanted: %v", tc.key, tc.have, tc.want, got)
		}
	}
}

func TestFile(t *testing.T) {
	b := newBench(t, true, map[string]string{
		"etc/audit/rules.d/50-castellan.rules": "-w /etc/x\n", "etc/profile": "same\n", "usr/bin/systemd-analyze": "", "etc/fstab": "tmpfs /tmp tmpfs defaults 0 0\n",
		"etc/old": "x", "etc/dir/inner": "",
	})
	words := func(c change.Change) string {
		var out []string
		p := b.plan(t, c)
		for _, o := range p.Omitted {
			out = append(out, "omitted "+o.Reason)
		}
		for _, w := range p.Windows {
			for _, s := range w.Steps {
				out = append(out, strings.TrimSpace(s.What+" "+s.Path+" "+s.Candidate))
			}
			for _, r := range w.Reboots {
				out = append(out, "reboot "+r)
			}
		}
		return strings.Join(out, "; ")
	}
	b.planner.Machine = machine{b.planner.Machine.(machine).Tree, map[string]host.Output{"audit-status": {Stdout: []byte("enabled 1\n")}}}
	for _, tc := range []struct {
		name   string
		change change.Change
		want   string
	}{
		{"the same", change.Change{Path: "/etc/profile", Content: "same\n"}, "omitted "},
		{"a unit", change.Change{Path: "/etc/systemd/system/x.service", Content: "[Service]\nExecStart=/bin/true\n"},
			"create /etc/systemd/system/x.service systemd-analyze verify; let systemd read its units again"},
		{"a drop-in of systemd", change.Change{Path: "/etc/systemd/coredump.conf.d/x.conf", Content: "x"}, "create /etc/systemd/coredump.conf.d/x.conf"},
		{"audit rules", change.Change{Path: "/etc/audit/rules.d/50-castellan.rules", Content: "-w /etc/y\n"},
			"write /etc/audit/rules.d/50-castellan.rules; check with augenrules --check; run augenrules --load"},
		{"removal", change.Change{Path: "/etc/old", Ensure: "absent"}, "remove /etc/old"},
		{"removal of a directory", change.Change{Path: "/etc/dir", Ensure: "absent"}, "omitted /etc/dir is a directory"},
		{"a directory as a file", change.Change{Path: "/etc/dir", Content: "x"}, "omitted "},
		{"a path that climbs", change.Change{Path: "/etc/../x", Content: "x"}, "omitted the path"},
		{"a mode that is none", change.Change{Path: "/etc/old", Mode: "rw"}, "omitted the mode"},
		{"a mount that fstab has", change.Change{Path: "/etc/systemd/system/tmp.mount", Content: "[Mount]\nWhere=/tmp\n"}, "omitted "},
	} {
		tc.change.Kind = "file"
		if got := words(tc.change); !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	b.planner.Machine = machine{b.planner.Machine.(machine).Tree, map[string]host.Output{"audit-status": {Stdout: []byte("enabled 2\n")}}}
	got := words(change.Change{Kind: "file", Path: "/etc/audit/rules.d/50-castellan.rules", Content: "-w /etc/y\n"})
	if strings.Contains(got, "--load") || !strings.Contains(got, "reboot the audit rules are locked") {
		t.Errorf("locked audit rules: %q", got)
	}
}

// TestFreshOwner: a new file of an image belongs to its builder, who need not be root, however often it is drafted.
func TestFreshOwner(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/sudoers": "@includedir /etc/sudoers.d\n"})
	d := b.draft(t)
	for range 2 {
		if err := file(d, change.Change{Path: "/etc/profile.d/x.sh", Content: "x\n", Mode: "0600", Owner: "root:root"}); err != nil {
			t.Fatal(err)
		}
		if err := sudoers(d, change.Change{Set: map[string]string{"use_pty": ""}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]uint32{"/etc/profile.d/x.sh": 0o600, sudoersFile: 0o440} {
		if n, _ := d.Node(name); n.UID != -1 || n.Mode != mode {
			t.Errorf("%s: owner %d, mode %o", name, n.UID, n.Mode)
		}
	}
}

// hostile are files that no editor may fall over.
func hostile() []string {
	return []string{"", "\x00", "\xff\xfe\n", "a", "=\n", "\r\n", strings.Repeat("x", 1<<16), "[", "\\\n\\\n", "a=b\\", "#\n# x\r\ny", "auth [success=1 default=ignore", "::::::\n", "\\\n#00000\\\n"}
}

// FuzzEdits edits hostile files with every kind that edits a text: none panics, and a second draft changes nothing.
func FuzzEdits(f *testing.F) {
	for _, s := range hostile() {
		f.Add([]byte(s))
	}
	f.Add([]byte("auth [success=1 default=ignore] pam_unix.so nullok # x\nDefaults use_pty\nTypes: deb\nPASS_MAX_DAYS 9\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		bench := newBench(t, false, map[string]string{
			"etc/login.defs": string(b), "etc/default/useradd": string(b), "etc/ssl/openssl.cnf": string(b), "etc/security/faillock.conf": string(b),
			"etc/pam.d/common-auth": string(b), "etc/pam.d/su": string(b), "etc/sudoers": string(b), "etc/apt/apt.conf.d/99castellan": string(b),
			"etc/apt/sources.list.d/a.sources": string(b), "etc/passwd": string(b), "etc/shadow": string(b), "usr/lib/systemd/system/x.service": string(b),
		})
		for _, c := range fuzzed() {
			d := bench.draft(t)
			if err := bench.planner.Kinds[c.Kind].Draft(d, c); err != nil {
				continue
			}
			held := contents(t, d)
			if err := bench.planner.Kinds[c.Kind].Draft(d, c); err != nil {
				t.Errorf("%s a second time: %v", c.Kind, err)
			} else if contents(t, d) != held {
				t.Errorf("%s: a second draft changes something: %q", c.Kind, b)
			}
		}
	})
}

func fuzzed() []change.Change {
	return []change.Change{
		{Kind: "login_defs", Set: map[string]string{"PASS_MAX_DAYS": "365"}},
		{Kind: "line", Path: "/etc/default/useradd", Separator: "=", Set: map[string]string{"INACTIVE": "45"}},
		{Kind: "line", Path: openSSLFile, Set: map[string]string{"MinProtocol": "TLSv1.2"}},
		{Kind: "faillock", Set: map[string]string{"deny": "5"}},
		{Kind: "pam", Section: "common-auth", Set: map[string]string{"pam_unix.so": "-nullok"}},
		{Kind: "pam", Section: "su", Set: map[string]string{"pam_wheel.so": "auth required pam_wheel.so use_uid"}},
		{Kind: "sudoers", Set: map[string]string{"use_pty": ""}},
		{Kind: "apt", Set: map[string]string{"APT::Periodic::Enable": "1"}},
		{Kind: "aptsource", URIs: "http://archive.example.org/debian", Ensure: "absent"},
		{Kind: "aptsource", URIs: "http://archive.example.org/debian", Suite: "x", Components: "main"},
		{Kind: "account", Each: []string{"ann"}, Set: map[string]string{"locked": "yes", "max_days": "9"}},
		{Kind: "unit", Unit: "x.service", State: "enabled"},
		{Kind: "unit", Unit: "x.service", State: "masked"},
	}
}

// TestUntouchedLines: whatever else stands in a file, it stays byte for byte, in its order.
func TestUntouchedLines(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ending := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "ending")
		others := rapid.SliceOfN(rapid.SampledFrom([]string{"# a comment", "", "UMASK\t022", "   odd   spacing ", "# PASS_MAX_DAYS 5", "TTYGROUP tty\xff"}), 0, 8).Draw(rt, "lines")
		at := rapid.IntRange(0, len(others)).Draw(rt, "at")
		var text, want string
		for i, l := range append(append([]string{}, others...), "") {
			if i == at {
				text += "PASS_MAX_DAYS  99999" + ending
				want += "PASS_MAX_DAYS\t365" + ending
			}
			if i < len(others) {
				text += l + ending
				want += l + ending
			}
		}
		b := newBench(t, false, map[string]string{"etc/login.defs": text})
		d := b.draft(t)
		if err := loginDefs(d, change.Change{Set: map[string]string{"PASS_MAX_DAYS": "365"}}); err != nil {
			rt.Fatal(err)
		}
		got, _, err := d.Content(loginDefsFile)
		if err != nil || string(got) != want {
			rt.Fatalf("%q became %q, want %q: %v", text, got, want, err)
		}
	})
}

// isCannot reports whether an error is one in a user's words.
func isCannot(err error) bool {
	var c *change.CannotError
	return errors.As(err, &c)
}
