package systemd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const installable = "[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\n"

func TestState(t *testing.T) {
	vendorUnit := Entry{Path: "/usr/lib/systemd/system/rpcbind.service", Size: 100}
	tests := []struct {
		name    string
		entries []Entry
		unit    string
		content string
		want    State
	}{
		{"absent", nil, "rpcbind.service", "", State{Name: "rpcbind.service", Enabled: Absent}},
		{"disabled", []Entry{vendorUnit}, "rpcbind.service", installable,
			State{Name: "rpcbind.service", Exists: true, Enabled: Disabled, Path: vendorUnit.Path}},
		{"static", []Entry{vendorUnit}, "rpcbind.service", "[Service]\nExecStart=/x\n",
			State{Name: "rpcbind.service", Exists: true, Enabled: Static, Path: vendorUnit.Path}},
		{"indirect", []Entry{vendorUnit}, "rpcbind.service", "[Install]\nAlso=rpcbind.socket\n",
			State{Name: "rpcbind.service", Exists: true, Enabled: Indirect, Path: vendorUnit.Path}},
		{"static pulled in by the vendor", []Entry{vendorUnit,
			{Path: "/usr/lib/systemd/system/sysinit.target.wants/rpcbind.service", Link: "../rpcbind.service"}},
			"rpcbind.service", "", State{Name: "rpcbind.service", Exists: true, Enabled: Static, Path: vendorUnit.Path, Boots: true}},
		{"enabled", []Entry{vendorUnit,
			{Path: "/etc/systemd/system/multi-user.target.wants/rpcbind.service", Link: "/lib/systemd/system/rpcbind.service"}},
			"rpcbind.service", installable, State{Name: "rpcbind.service", Exists: true, Enabled: Enabled, Path: vendorUnit.Path, Boots: true}},
		{"enabled for this boot", []Entry{vendorUnit,
			{Path: "/run/systemd/system/multi-user.target.wants/rpcbind.service", Link: "/lib/systemd/system/rpcbind.service"}},
			"rpcbind.service", installable, State{Name: "rpcbind.service", Exists: true, Enabled: EnabledRuntime, Path: vendorUnit.Path, Boots: true}},
		{"masked wins over enabled", []Entry{vendorUnit,
			{Path: "/etc/systemd/system/rpcbind.service", Link: "/dev/null"},
			{Path: "/etc/systemd/system/multi-user.target.wants/rpcbind.service", Link: "/lib/systemd/system/rpcbind.service"}},
			"rpcbind.service", "", State{Name: "rpcbind.service", Exists: true, Enabled: Masked, Path: "/etc/systemd/system/rpcbind.service"}},
		{"masked but not installed", []Entry{{Path: "/etc/systemd/system/x.service", Link: "/dev/null"}},
			"x.service", "", State{Name: "x.service", Enabled: Masked, Path: "/etc/systemd/system/x.service"}},
		{"empty file masks", []Entry{vendorUnit, {Path: "/etc/systemd/system/rpcbind.service"}},
			"rpcbind.service", "", State{Name: "rpcbind.service", Exists: true, Enabled: Masked, Path: "/etc/systemd/system/rpcbind.service"}},
		{"masked at run time", []Entry{vendorUnit, {Path: "/run/systemd/system/rpcbind.service", Link: "/dev/null"}},
			"rpcbind.service", "", State{Name: "rpcbind.service", Exists: true, Enabled: MaskedRuntime, Path: "/run/systemd/system/rpcbind.service"}},
		{"alias of the vendor", []Entry{{Path: "/lib/systemd/system/nfs-kernel-server.service", Link: "nfs-server.service"},
			{Path: "/lib/systemd/system/nfs-server.service", Size: 9},
			{Path: "/etc/systemd/system/multi-user.target.wants/nfs-server.service", Link: "/lib/systemd/system/nfs-server.service"}},
			"nfs-kernel-server.service", installable,
			State{Name: "nfs-server.service", Exists: true, Enabled: Enabled, Path: "/lib/systemd/system/nfs-server.service", Boots: true}},
		{"enabled by an alias link", []Entry{{Path: "/lib/systemd/system/ssh.service", Size: 9},
			{Path: "/etc/systemd/system/sshd.service", Link: "/lib/systemd/system/ssh.service"}},
			"ssh.service", installable, State{Name: "ssh.service", Exists: true, Enabled: Enabled, Path: "/lib/systemd/system/ssh.service", Boots: true}},
		{"System V script", []Entry{{Path: "/etc/init.d/foo", Size: 9}, {Path: "/etc/rc3.d/S01foo", Link: "../init.d/foo"}},
			"foo.service", "", State{Name: "foo.service", Exists: true, Enabled: Enabled, Path: "/etc/init.d/foo", Boots: true}},
		{"System V script that is off", []Entry{{Path: "/etc/init.d/foo", Size: 9}, {Path: "/etc/rc3.d/K01foo", Link: "../init.d/foo"}},
			"foo.service", "", State{Name: "foo.service", Exists: true, Enabled: Disabled, Path: "/etc/init.d/foo"}},
		{"instance of a template", []Entry{{Path: "/lib/systemd/system/wg-quick@.service", Size: 9},
			{Path: "/etc/systemd/system/multi-user.target.wants/wg-quick@wg0.service", Link: "/lib/systemd/system/wg-quick@.service"}},
			"wg-quick@wg0.service", installable,
			State{Name: "wg-quick@wg0.service", Exists: true, Enabled: Enabled, Path: "/lib/systemd/system/wg-quick@.service", Boots: true}},
		{"a loop of aliases ends", []Entry{{Path: "/etc/systemd/system/a.service", Link: "b.service"}, {Path: "/etc/systemd/system/b.service", Link: "a.service"}},
			"a.service", "", State{Name: "a.service", Enabled: Absent}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NewTree(tt.entries).State(tt.unit, []byte(tt.content))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseUnit(t *testing.T) {
	u := ParseUnit([]byte("; c\n[Service]\nExecStart=/a \\\n# between\n  b\nExecStartPre=x\nExecStartPre=\nExecStartPre=y\nNoNewPrivileges = yes\nrubbish\n"))
	if got := u.Values("Service", "ExecStart"); !cmp.Equal(got, []string{"/a    b"}) {
		t.Errorf("ExecStart = %q", got)
	}
	if got := u.Values("Service", "ExecStartPre"); !cmp.Equal(got, []string{"y"}) {
		t.Errorf("an empty assignment must reset: %q", got)
	}
	u = u.Merge(ParseUnit([]byte("[Service]\nNoNewPrivileges=no\n")))
	if v, _ := u.Last("Service", "NoNewPrivileges"); v != "no" {
		t.Errorf("the drop-in must win: %q", v)
	}
}

func TestParseListUnits(t *testing.T) {
	got := ParseListUnits([]byte("  ssh.service loaded active running OpenBSD Secure Shell server\n● bad.service not-found inactive dead bad.service\n\nnonsense\n"))
	want := map[string]Active{"ssh.service": {"loaded", "active", "running"}, "bad.service": {"not-found", "inactive", "dead"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnabledNames(t *testing.T) {
	got := NewTree([]Entry{
		{Path: "/etc/systemd/system/multi-user.target.wants/b.service", Link: "x"},
		{Path: "/etc/systemd/system/timers.target.wants/a.timer", Link: "x"},
		{Path: "/usr/lib/systemd/system/sysinit.target.wants/v.service", Link: "x"},
	}).EnabledNames()
	if want := []string{"a.timer", "b.service"}; !cmp.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseUnit(f *testing.F) {
	f.Add([]byte(installable))
	f.Add([]byte("[a]\nb=\\\n\\\n"))
	f.Add([]byte("\x00[=]\n=\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range ParseUnit(b).Settings {
			if s.Key == "" || s.Section == "" || strings.ContainsRune(s.Value, '\n') {
				t.Fatalf("bad setting %+v", s)
			}
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add("a.service", "/etc/systemd/system/a.service", "b.service", "/etc/systemd/system/b.service", "a.service")
	f.Add("a@b.service", "/lib/systemd/system/a@.service", "", "/etc/rc2.d/S01a", "")
	f.Fuzz(func(t *testing.T, name, p1, l1, p2, l2 string) {
		tr := NewTree([]Entry{{Path: p1, Link: l1}, {Path: p2, Link: l2, Size: 1}})
		if s := tr.State(name, nil); s.Enabled == "" {
			t.Fatal("no state")
		}
		tr.File(name)
	})
}
