package collect

import (
	"encoding/json"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

// paperHost is a host of a few files and recorded commands, for fuzzing whole collectors.
type paperHost struct {
	files map[string][]byte
	runs  map[string][]byte
}

func (m paperHost) ReadFile(p string) ([]byte, error) {
	if b, ok := m.files[p]; ok {
		return b, nil
	}
	return nil, notCopied(p)
}

func (m paperHost) Stat(p string) (host.File, error) {
	if b, ok := m.files[p]; ok {
		return host.File{Path: p, Type: host.Regular, Mode: 0o644, Size: int64(len(b))}, nil
	}
	return host.File{}, notCopied(p)
}

func (m paperHost) List(pattern string) ([]host.File, error) {
	var out []host.File
	for p, b := range m.files {
		if ok, _ := path.Match(pattern, p); ok {
			out = append(out, host.File{Path: p, Type: host.Regular, Mode: 0o644, Size: int64(len(b))})
		}
	}
	slices.SortFunc(out, func(a, b host.File) int { return len(a.Path) - len(b.Path) })
	return out, nil
}

func (m paperHost) Run(c host.Command) (host.Output, error) {
	if b, ok := m.runs[c.Name]; ok {
		return host.Output{Stdout: b}, nil
	}
	return host.Output{}, notCopied(c.Name)
}

// collectPaper runs a collector on hostile content: it must neither panic nor make facts that cannot be saved.
func collectPaper(t *testing.T, m paperHost, live bool, col Collector) {
	t.Helper()
	f, err := Run(m, host.Description{Kind: "dir", Live: live, Root: true, Now: time.Unix(1795000000, 0)}, []Collector{col})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(f); err != nil {
		t.Fatalf("the facts cannot be saved: %v", err)
	}
	for _, u := range f.Services.Units.Value {
		if live && u.Exists.IsKnown() && u.Enabled.IsKnown() && u.Enabled.Origin == posture.Effective {
			t.Fatal("enablement is configured, not running")
		}
	}
}

func FuzzAccountsCollector(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\n"), []byte("root:$y$x$y:20000:0:99999:7:::\n"), []byte("root ALL=(ALL) ALL\n"), []byte("auth required pam_unix.so nullok\n"))
	f.Add([]byte("a::0:0::/:\n"), []byte("a::99999999::::-1:9999999:\n"), []byte("Defaults timestamp_timeout=1e300\n"), []byte("@include common-auth\n"))
	f.Fuzz(func(t *testing.T, users, shadow, sudo, pam []byte) {
		files := map[string][]byte{accPasswd: users, accShadow: shadow, accGShadow: shadow, accGroup: users, accSudoers: sudo, "/etc/sudoers.d/x": sudo,
			accLoginDefs: pam, accProfile: sudo, "/etc/profile.d/x.sh": pam, accLastlog: shadow, accWtmp: users, accFaillockConf: sudo, accQualityConf: pam, accUseradd: sudo}
		for _, s := range pamServices() {
			files[accPAMDir+s] = pam
		}
		collectPaper(t, paperHost{files: files}, false, Accounts())
	})
}

func FuzzServicesCollector(f *testing.F) {
	f.Add([]byte("[Install]\nWantedBy=x\n"), []byte("inet_interfaces = all\n"), []byte(socketHeader))
	f.Add([]byte("nfs: a\n\toptions vers=3\n"), []byte("pool x\nroot: y\n"), []byte("9999-12-31T23:59:59-01:00 h postfix/smtp[1]: status=sent\n"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		files := map[string][]byte{"/etc/systemd/system/chrony.service": a, "/etc/systemd/system/x.wants/chrony.service": a, svcStorageCfg: a, svcFstab: b, svcMounts: c,
			svcMainCf: b, svcMasterCf: a, svcAliases: b, svcChronyConf: b, "/etc/chrony/conf.d/x.conf": a, svcExports: a, "/etc/audit/rules.d/x.rules": b,
			"/proc/net/tcp": c, "/proc/net/udp": c, svcMailLog: c, svcNotifications: a, svcUserCfg: a, svcSDNZones: b, "/etc/pve/nodes/n/qemu-server/1.conf": b,
			svcAppArmorParam: []byte("Y\n"), svcAppArmorProfiles: c, svcProxyConf: b, "/etc/sysctl.d/x.conf": a}
		runs := map[string][]byte{svcListUnits: c, "chrony-tracking": c, "mail-delivered": b, "audit-rules": b, "file-walk": c, "timesync-status": b}
		collectPaper(t, paperHost{files, runs}, len(a)%2 == 0, Services())
		collectPaper(t, paperHost{files, runs}, len(a)%2 == 0, Files())
	})
}
