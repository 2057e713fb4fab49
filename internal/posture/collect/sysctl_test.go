package collect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

const (
	liveMeta  = "now 2026-11-20T12:00:00Z\nlive yes\n"
	someDpkg  = "Package: dpkg\nStatus: install ok installed\nVersion: 1\n\n"
	nodeDpkg  = someDpkg + "Package: pve-manager\nStatus: install ok installed\nVersion: 8.4.1\n\n"
	rpAll     = "net.ipv4.conf.all.rp_filter"
	procRPAll = "proc/sys/net/ipv4/conf/all/rp_filter"
)

func TestSysctlKey(t *testing.T) {
	for _, tt := range []struct {
		name, key          string
		files              map[string]string
		running, persisted string // "?" for unknown
		summary            string
	}{
		{"no file, image", rpAll, map[string]string{"var/lib/dpkg/status": someDpkg}, "0", "0", "gets 0 (default of the kernel) at boot"},
		{"no file, part of a system", rpAll, map[string]string{"etc/hostname": "x\n"}, "?", "?", "gets an unknown value at boot"},
		{"pve-firewall sorts last", rpAll, map[string]string{"etc/sysctl.d/99-x.conf": rpAll + "=1\n", "usr/lib/sysctl.d/pve-firewall.conf": rpAll + " = 2\n"},
			"2", "2", "gets 2 (/usr/lib/sysctl.d/pve-firewall.conf:1) at boot"},
		{"masked by a file of its name", rpAll, map[string]string{"etc/sysctl.d/pve-firewall.conf": "", "usr/lib/sysctl.d/pve-firewall.conf": rpAll + "=2\n", "var/lib/dpkg/status": someDpkg},
			"0", "0", "gets 0 (default of the kernel) at boot"},
		{"runs otherwise", rpAll, map[string]string{".castellan/meta": liveMeta, procRPAll: "1\n", "etc/sysctl.d/x.conf": "\n\n" + rpAll + "=0\n"},
			"1", "0", "runs with 1, but a reboot brings 0 (/etc/sysctl.d/x.conf:3)"},
		{"runs as configured", rpAll, map[string]string{".castellan/meta": liveMeta, procRPAll: "1\n", "etc/sysctl.d/x.conf": rpAll + "=1\n"},
			"1", "1", "runs with 1, and a reboot brings 1 (/etc/sysctl.d/x.conf:1)"},
		{"not in /proc", rpAll, map[string]string{".castellan/meta": liveMeta, "etc/sysctl.d/x.conf": rpAll + "=1\n"},
			"?", "1", "runs with an unknown value, and a reboot brings 1 (/etc/sysctl.d/x.conf:1)"},
		{"kernel command line", rpAll, map[string]string{".castellan/meta": liveMeta, procRPAll: "1\n", "proc/cmdline": "quiet sysctl.net/ipv4/conf/all/rp_filter=1\n"},
			"1", "1", "runs with 1, and a reboot brings 1 (/proc/cmdline)"},
		{"sysctl.conf in vain", rpAll, map[string]string{"etc/sysctl.conf": "# c\n" + rpAll + "=1\n", "var/lib/dpkg/status": someDpkg}, "0", "0",
			"gets 0 (default of the kernel) at boot; /etc/sysctl.conf:2 sets 1 in vain, nothing applies that file"},
		{"forwarding hosts accept no redirects", "net.ipv4.conf.all.accept_redirects", map[string]string{"etc/sysctl.d/x.conf": "net.ipv4.ip_forward=1\n", "var/lib/dpkg/status": someDpkg},
			"0", "0", "gets 0 (default of the kernel while it forwards) at boot"},
		{"default of a kernel that is not known", "kernel.sysrq", map[string]string{"var/lib/dpkg/status": someDpkg}, "?", "?", "gets an unknown value at boot"},
		{"default of the newest kernel", "kernel.perf_event_paranoid", map[string]string{"var/lib/dpkg/status": someDpkg, "boot/vmlinuz-6.1.0-9-amd64": "", "boot/vmlinuz-6.8.12-4-pve": ""},
			"4", "4", "gets 4 (default of the kernel 6.8.12-4-pve) at boot"},
		{"default by the build", "kernel.sysrq", map[string]string{"var/lib/dpkg/status": someDpkg, "boot/vmlinuz-6.8.12-4-pve": "", "boot/config-6.8.12-4-pve": "CONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x01b6\n"},
			"438", "438", "gets 438 (default of the kernel, by its build configuration) at boot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := collectTree(t, Sysctl(), tt.files).Sysctl.Keys[tt.key]
			if got := valueOr(k.Running); got != tt.running {
				t.Errorf("running %s, want %s", got, tt.running)
			}
			if got := valueOr(k.Persisted); got != tt.persisted {
				t.Errorf("persisted %s, want %s", got, tt.persisted)
			}
			if k.Summary != tt.summary {
				t.Errorf("summary %q, want %q", k.Summary, tt.summary)
			}
		})
	}
}

func valueOr(f posture.Fact[string]) string {
	if !f.IsKnown() {
		return "?"
	}
	return f.Value
}

func TestSysctlMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"no such parameter": {map[string]string{".castellan/meta": liveMeta, "proc/sys/kernel/osrelease": "6.12.1\n"}, true},
		"no /proc":          {map[string]string{".castellan/meta": liveMeta}, false},
		"image":             {map[string]string{"proc/sys/kernel/osrelease": "6.12.1\n"}, false},
		"there":             {map[string]string{".castellan/meta": liveMeta, "proc/sys/kernel/osrelease": "6.12.1\n", procRPAll: "1\n"}, false},
	} {
		if got := collectTree(t, Sysctl(), tt.files).Sysctl.Keys[rpAll].Missing; got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSysctlIgnored(t *testing.T) {
	f := collectTree(t, Sysctl(), map[string]string{"etc/sysctl.conf": "kernel.sysrq = 0\n"}).Sysctl
	if d := cmp.Diff([]string{"kernel.sysrq=0 (/etc/sysctl.conf:1)"}, f.Ignored.Value); d != "" {
		t.Error(d)
	}
}

// interfaceTree is a running host with one interface.
func interfaceTree(v4, v6 string) map[string]string {
	files := map[string]string{".castellan/meta": liveMeta}
	for _, n := range []string{"all", "default", "eno1", "tap100i0"} {
		for _, k := range sysctlV4Keys() {
			files["proc/sys/net/ipv4/conf/"+n+"/"+k] = "0\n"
		}
		for _, k := range sysctlV6Keys() {
			files["proc/sys/net/ipv6/conf/"+n+"/"+k] = "0\n"
		}
	}
	for _, set := range strings.Fields(v4) {
		name, value, _ := strings.Cut(set, "=")
		files["proc/sys/net/ipv4/conf/"+name] = value + "\n"
	}
	for _, set := range strings.Fields(v6) {
		name, value, _ := strings.Cut(set, "=")
		files["proc/sys/net/ipv6/conf/"+name] = value + "\n"
	}
	return files
}

func TestSysctlInterfaces(t *testing.T) {
	for _, tt := range []struct {
		name, v4, v6 string
		want         func(i posture.SysctlInterface) bool
	}{
		{"all off", "", "", func(i posture.SysctlInterface) bool {
			return !i.SendRedirects.Value && !i.AcceptRedirects.Value && !i.ProxyARP.Value && !i.AcceptRA.Value && i.RPFilter.Value == 0 && i.RPFilter.IsKnown()
		}},
		{"either sends", "eno1/send_redirects=1", "", func(i posture.SysctlInterface) bool { return i.SendRedirects.Value }},
		{"either accepts when not forwarding", "all/accept_redirects=1", "", func(i posture.SysctlInterface) bool { return i.AcceptRedirects.Value }},
		{"both accept when forwarding", "all/accept_redirects=1 eno1/forwarding=1", "", func(i posture.SysctlInterface) bool { return !i.AcceptRedirects.Value }},
		{"greater filter", "all/rp_filter=1 eno1/rp_filter=2", "", func(i posture.SysctlInterface) bool { return i.RPFilter.Value == 2 }},
		{"own value for advertisements", "", "all/accept_ra=1", func(i posture.SysctlInterface) bool { return !i.AcceptRA.Value }},
		{"advertisements", "", "eno1/accept_ra=1", func(i posture.SysctlInterface) bool { return i.AcceptRA.Value }},
		{"no advertisements when forwarding", "", "eno1/accept_ra=1 eno1/forwarding=1", func(i posture.SysctlInterface) bool { return !i.AcceptRA.Value }},
		{"advertisements in spite of forwarding", "", "eno1/accept_ra=2 eno1/forwarding=1", func(i posture.SysctlInterface) bool { return i.AcceptRA.Value }},
		{"no IPv6", "", "eno1/accept_redirects=1 eno1/accept_ra=1 eno1/disable_ipv6=1", func(i posture.SysctlInterface) bool { return !i.AcceptRA.Value && !i.AcceptRedirects6.Value }},
		{"nonsense", "eno1/proxy_arp=x", "", func(i posture.SysctlInterface) bool { return !i.ProxyARP.IsKnown() && i.SendRedirects.IsKnown() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := collectTree(t, Sysctl(), interfaceTree(tt.v4, tt.v6)).Sysctl.Interfaces
			if len(f.Value) != 1 || f.Value[0].Name != "eno1" || !tt.want(f.Value[0]) {
				t.Errorf("got %+v", f)
			}
		})
	}
	if f := collectTree(t, Sysctl(), map[string]string{".castellan/meta": liveMeta}).Sysctl.Interfaces; f.IsKnown() {
		t.Errorf("no interface at all is no observation: %+v", f)
	}
}

func TestBridgeFirewall(t *testing.T) {
	node := func(more map[string]string) map[string]string {
		files := map[string]string{"var/lib/dpkg/status": nodeDpkg, "etc/hostname": "pve1\n", "etc/pve/nodes/pve1/lrm_status": "{}"}
		for k, v := range more {
			files[k] = v
		}
		return files
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"debian", map[string]string{"var/lib/dpkg/status": someDpkg}, "off"},
		{"no file", node(nil), "off"},
		{"off", node(map[string]string{"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 0\n"}), "off"},
		{"iptables", node(map[string]string{"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 1\n"}), "iptables"},
		{"nftables", node(map[string]string{"etc/pve/firewall/cluster.fw": "[OPTIONS]\nenable: 1\n", "etc/pve/nodes/pve1/host.fw": "[RULES]\nnftables: 0\n[OPTIONS]\nnftables: 1 # new\n"}), "nftables"},
		{"pmxcfs not mounted", map[string]string{"var/lib/dpkg/status": nodeDpkg}, "?"},
		{"unreadable package list", map[string]string{}, "?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := valueOr(collectTree(t, Sysctl(), tt.files).Sysctl.BridgeFirewall); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnprivilegedContainers(t *testing.T) {
	f := collectTree(t, Sysctl(), map[string]string{
		"var/lib/dpkg/status": nodeDpkg, "etc/hostname": "pve1\n",
		"etc/pve/nodes/pve1/lxc/101.conf": "unprivileged: 1\n",
		"etc/pve/nodes/pve1/lxc/102.conf": "arch: amd64\n[snap]\nunprivileged: 1\n",
		"etc/pve/nodes/pve2/lxc/103.conf": "unprivileged: 1\n",
		"etc/pve/nodes/pve1/lxc/104.conf": "unprivileged: 0\nunprivileged: yes\n",
	}).Sysctl
	if d := cmp.Diff([]string{"101", "104"}, f.UnprivilegedContainers.Value); d != "" {
		t.Error(d)
	}
	if f := collectTree(t, Sysctl(), map[string]string{"var/lib/dpkg/status": nodeDpkg}).Sysctl; f.UnprivilegedContainers.IsKnown() {
		t.Error("without /etc/pve nothing is known about containers")
	}
}

func FuzzSysctlFiles(f *testing.F) {
	f.Add("net.ipv4.*=1\n", "kernel.sysrq=1\n", "sysctl.a.b=1")
	f.Fuzz(func(t *testing.T, a, b, cmdline string) {
		s := collectTree(t, Sysctl(), map[string]string{".castellan/meta": liveMeta, "etc/sysctl.d/a.conf": a, "etc/sysctl.conf": b,
			"proc/cmdline": cmdline, "proc/sys/kernel/osrelease": a, "etc/security/limits.conf": b, "etc/pve/firewall/cluster.fw": a}).Sysctl
		if k := s.Keys["net.ipv4.tcp_syncookies"]; k.Running.IsKnown() {
			t.Fatal("a value that /proc does not give is known")
		}
	})
}
