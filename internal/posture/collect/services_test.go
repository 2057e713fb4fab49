package collect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

const installedDpkg = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n\n"

const socketHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestUnitsOfACopyOfParts(t *testing.T) {
	f := collectTree(t, Services(), map[string]string{
		"etc/systemd/system/multi-user.target.wants/nginx.service": "x",
		"etc/systemd/system/cups.service":                          "",
	}).Services
	u := f.Units.Value
	if n := u["nginx.service"]; n.Enabled.Value != "enabled" || !n.Exists.Value || n.Active.Value != "active" {
		t.Errorf("a link in /etc enables: %+v", n)
	}
	if n := u["cups.service"]; n.Enabled.Value != "masked" || n.Exists.IsKnown() {
		t.Errorf("an empty file masks, and whether the unit exists is not known: %+v", n)
	}
	if n := u["rpcbind.service"]; n.Enabled.IsKnown() || n.Exists.IsKnown() || n.Active.IsKnown() {
		t.Errorf("a copy without /usr says nothing about rpcbind: %+v", n)
	}
	if f.Listeners.IsKnown() || f.Exposed.IsKnown() || f.Postfix.Installed.IsKnown() || f.NFS.V3Needed.IsKnown() || f.Engines.IsKnown() {
		t.Errorf("guessed: %+v", f)
	}
}

func TestUnitsOfARunningHost(t *testing.T) {
	f := collectTree(t, Services(), map[string]string{
		".castellan/meta":                          "now 2026-11-20T12:00:00Z\nlive yes\n",
		".castellan/run/systemd-units":             "postfix.service loaded failed failed Postfix\ncron.service loaded active running cron\n",
		"usr/lib/systemd/system/cron.service":      "[Install]\nWantedBy=multi-user.target\n",
		"usr/lib/systemd/system/rpcbind.service":   "[Install]\nWantedBy=multi-user.target\n",
		"usr/lib/systemd/system/rpc-statd.service": "[Service]\nExecStart=x\n",
	}).Services.Units.Value
	for name, want := range map[string][3]string{
		"cron.service": {"true", "disabled", "active"}, "rpcbind.service": {"true", "disabled", "inactive"}, "rpc-statd.service": {"true", "static", "inactive"},
		"docker.service": {"false", "absent", "inactive"}, "postfix.service": {"false", "absent", "failed"},
	} {
		u := f[name]
		got := [3]string{map[bool]string{true: "true", false: "false"}[u.Exists.Value], u.Enabled.Value, u.Active.Value}
		if got != want || !u.Exists.IsKnown() || !u.Enabled.IsKnown() || !u.Active.IsKnown() {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestListeners(t *testing.T) {
	f := collectTree(t, Services(), map[string]string{
		".castellan/meta": "now 2026-11-20T12:00:00Z\nlive yes\n",
		"proc/net/tcp": socketHeader +
			"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1\n" +
			"   1: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1\n" +
			"   2: 0200000A:0016 0300000A:8000 01 00000000:00000000 00:00000000 00000000     0        0 13 1\n",
		"proc/net/tcp6": socketHeader +
			"   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1\n",
		"proc/net/udp": socketHeader +
			"  10: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15 2\n",
	}).Services
	var names []string
	for _, l := range f.Listeners.Value {
		names = append(names, l.Name)
	}
	// No process shows these sockets and the scan is root's: they belong to the kernel.
	want := []string{"tcp *:22 kernel", "tcp 0.0.0.0:22 kernel", "tcp 127.0.0.1:25 kernel", "udp 0.0.0.0:51820 kernel"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"tcp *:22 kernel", "tcp 0.0.0.0:22 kernel", "udp 0.0.0.0:51820 kernel"}, f.Exposed.Value); d != "" {
		t.Error(d)
	}
}

func TestListenersThatCannotBeRead(t *testing.T) {
	f := collectTree(t, Services(), map[string]string{
		".castellan/meta": "live yes\n", "proc/net/tcp": "   0: nonsense\n", "proc/net/udp": socketHeader,
	}).Services
	if f.Listeners.IsKnown() || f.Exposed.IsKnown() || f.PVEDaemonExposed.IsKnown() || f.ConsoleListeners.IsKnown() {
		t.Errorf("a broken table was taken for an empty one: %+v", f.Listeners)
	}
}

func TestSocketsOfOtherUsersAreUnknown(t *testing.T) {
	owners := ownerTable{err: posture.Problemf("permission", "no")}
	process, unit := owners.of(7)
	if process.IsKnown() || unit.IsKnown() {
		t.Error("without root's rights a socket without a process is not the kernel's")
	}
}

func TestNFSVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		storage, fstab, mounts string
		live, v3               bool
	}{
		"none":                  {"dir: local\n\tpath /var/lib/vz\n", "", "", false, false},
		"version 4":             {"nfs: a\n\tserver x\n\toptions vers=4.2,soft\n", "", "", false, false},
		"version 3":             {"nfs: a\n\tserver x\n\toptions vers=3\n", "", "", false, true},
		"no version":            {"nfs: a\n\tserver x\n", "", "", false, true},
		"no version, 4 mounted": {"nfs: a\n\tserver x\n", "", "x:/e /mnt/pve/a nfs4 rw,vers=4.2 0 0\n", true, false},
		"disabled":              {"nfs: a\n\tserver x\n\tdisable\ndir: b\n\toptions vers=3\n", "", "", false, false},
		"fstab":                 {"", "nas:/e /mnt nfs nfsvers=3 0 0\n", "", false, true},
		"mounted by hand":       {"", "", "nas:/e /mnt nfs rw,vers=3 0 0\n", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			meta := "now 2026-11-20T12:00:00Z\n"
			if tt.live {
				meta += "live yes\n"
			}
			f := collectTree(t, Services(), map[string]string{".castellan/meta": meta, "var/lib/dpkg/status": installedDpkg,
				svcStorageCfg[1:]: tt.storage, svcFstab[1:]: tt.fstab, svcMounts[1:]: tt.mounts}).Services.NFS
			if !f.V3Needed.IsKnown() || f.V3Needed.Value != tt.v3 {
				t.Errorf("v3 needed: %+v from %+v", f.V3Needed, f.Storages.Value)
			}
		})
	}
}

func TestLogStamp(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"2025-12-31T23:00:00.5+01:00 pve1 x": "2025-12-31T22:00:00Z",
		"Dec 31 23:00:00 pve1 x":             "2025-12-31T23:00:00Z",
		"Jan  1 01:02:03 pve1 x":             "2026-01-01T01:02:03Z",
	} {
		got, ok := logStamp(line, now)
		if !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, want %s", line, got, want)
		}
	}
	if got, ok := logStamp("0000-01-01T00:00:00+02:00 x", now); ok {
		t.Error("JSON has no year -1", got)
	}
	if got, ok := unixStamp([]byte("999999999999.5 x\n")); ok {
		t.Error("JSON has no year 33658", got)
	}
	if got, ok := logStamp("nonsense", now); ok {
		t.Error(got)
	}
}

func TestMailReaches(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"root only":         {map[string]string{"etc/aliases": "postmaster: root\n"}, false},
		"alias":             {map[string]string{"etc/aliases": "root: ann\n"}, true},
		"forward to PVE":    {map[string]string{"root/.forward": "|/usr/bin/proxmox-mail-forward\n"}, false},
		"address of root":   {map[string]string{"etc/pve/user.cfg": "user:root@pam:1:0:::ops@example.org:::\n"}, true},
		"gotify":            {map[string]string{"etc/pve/notifications.cfg": "gotify: phone\n\tserver https://x\n\nmatcher: m\n\ttarget phone\n"}, true},
		"disabled target":   {map[string]string{"etc/pve/notifications.cfg": "gotify: phone\n\tserver https://x\n\tdisable 1\n"}, false},
		"mail to root only": {map[string]string{"etc/pve/notifications.cfg": "sendmail: mail-to-root\n\tmailto-user root@pam\n"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tt.files["var/lib/dpkg/status"] = installedDpkg
			f := collectTree(t, Services(), tt.files).Services.Mail
			if !f.Reaches.IsKnown() || f.Reaches.Value != tt.want {
				t.Errorf("%+v from %+v", f.Reaches, f)
			}
		})
	}
}

func TestChannels(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		spice      []string
		vnc        bool
	}{
		{"snapshots do not count", "vga: type=qxl,memory=32\nusb0: spice,usb3=1\naudio0: device=AC97,driver=spice\nargs: -vnc 127.0.0.1:1\n[snap]\nargs: -vnc :77\n",
			[]string{"audio0 device=AC97,driver=spice", "usb0 spice,usb3=1", "vga type=qxl,memory=32"}, false},
		{"comments do not count", "vga: std\n#vga: qxl\nargs: -cpu host -vnc :77\n", nil, true},
		{"the last of a key counts", "vga: qxl\nargs: -spice port=5900\nvga: std\nargs: -vnc none\n", nil, false},
		{"nor does what waits for a restart", "vga: std\n[PENDING]\nvga: qxl\n", nil, false},
		{"keys that PVE does not know", "usb99: spice\nusbs: spice\nvga : qxl\n", nil, false},
		{"raw arguments", "args: -spice port=5900\n", []string{"args -spice"}, false},
	} {
		if spice, vnc := channels([]byte(tt.text)); vnc != tt.vnc || !slices.Equal(spice, tt.spice) {
			t.Errorf("%s: %q %v", tt.name, spice, vnc)
		}
	}
}

func FuzzServiceFiles(f *testing.F) {
	f.Add([]byte("nfs: a\n\tserver x\n\tdisable\n"))
	f.Add([]byte("vga: qxl\nargs: -vnc\n[x]\n"))
	f.Add([]byte("gotify: a\n\tdisable 1\n:\n"))
	f.Add([]byte("x (enforce)\n (complain)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range storageNFS(b) {
			if !strings.HasPrefix(s.Source, svcStorageCfg) {
				t.Fatalf("%+v", s)
			}
		}
		channels(b)
		notificationTargets(b)
		appArmorModes(b)
		switchesOffAppArmor(b)
		unixStamp(b)
		logStamp(string(b), time.Unix(0, 0))
	})
}
