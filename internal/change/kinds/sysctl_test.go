package kinds

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
)

func sysctlChange(pairs ...string) change.Change {
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return change.Change{Control: "TST-01", Kind: "sysctl", Set: set}
}

func TestSysctlFiles(t *testing.T) {
	const conffile = "Package: x\nStatus: install ok installed\nConffiles:\n /etc/sysctl.d/80-x.conf 0123456789abcdef0123456789abcdef\n"
	runEdits(t, []edit{
		{"a file of ours", map[string]string{"etc/hostname": "a\n"}, sysctlChange("kernel.sysrq", "176"),
			map[string]string{sysctlFile: "kernel.sysrq = 176\n"}, ""},
		{"what another file sets already stays there", map[string]string{"etc/sysctl.d/10-x.conf": "kernel/sysrq=176\n"}, sysctlChange("kernel.sysrq", "176"), nil, ""},
		{"carriage returns stay", map[string]string{"etc/sysctl.d/60-castellan.conf": "; mine\r\nkernel.sysrq=1\r\n"}, sysctlChange("kernel.sysrq", "0", "kernel.dmesg_restrict", "1"),
			map[string]string{sysctlFile: "; mine\r\nkernel.sysrq = 0\r\nkernel.dmesg_restrict = 1\r\n"}, ""},
		{"a later line of an administrator is rewritten", map[string]string{"etc/sysctl.d/99-local.conf": "# a\n\tkernel.sysrq  =\t1\nvm.swappiness=10"},
			sysctlChange("kernel.sysrq", "0"), map[string]string{"/etc/sysctl.d/99-local.conf": "# a\n\tkernel.sysrq  =\t0\nvm.swappiness=10", sysctlFile: ""}, ""},
		{"a line that ignores failures", map[string]string{"etc/sysctl.d/99-local.conf": "-kernel.sysrq = 1\n"}, sysctlChange("kernel.sysrq", "0"),
			map[string]string{"/etc/sysctl.d/99-local.conf": "-kernel.sysrq = 0\n"}, ""},
		{"a line that excludes the key", map[string]string{"etc/sysctl.d/99-local.conf": "-kernel.sysrq\n"}, sysctlChange("kernel.sysrq", "0"),
			map[string]string{"/etc/sysctl.d/99-local.conf": "kernel.sysrq = 0\n"}, ""},
		{"a file of a package below /usr is outdone", map[string]string{"usr/lib/sysctl.d/pve-firewall.conf": "net.ipv4.conf.all.rp_filter = 2\n"},
			sysctlChange("net.ipv4.conf.all.rp_filter", "1"), map[string]string{sysctlLast: "net.ipv4.conf.all.rp_filter = 1\n"}, ""},
		{"so is a conffile", map[string]string{"etc/sysctl.d/80-x.conf": "kernel.sysrq=1\n", "var/lib/dpkg/status": conffile}, sysctlChange("kernel.sysrq", "0"),
			map[string]string{sysctlLast: "kernel.sysrq = 0\n", "/etc/sysctl.d/80-x.conf": "kernel.sysrq=1\n"}, ""},
		{"an exact line beats a pattern", map[string]string{"usr/lib/sysctl.d/99-x.conf": "net.ipv4.conf.*.log_martians = 0\n"},
			sysctlChange("net.ipv4.conf.all.log_martians", "1"), map[string]string{sysctlFile: "net.ipv4.conf.all.log_martians = 1\n"}, ""},
		{"an earlier file is no matter", map[string]string{"etc/sysctl.d/10-x.conf": "kernel.sysrq=1\n"}, sysctlChange("kernel.sysrq", "0"),
			map[string]string{sysctlFile: "kernel.sysrq = 0\n", "/etc/sysctl.d/10-x.conf": "kernel.sysrq=1\n"}, ""},
		{"a package that is read last", map[string]string{"usr/lib/sysctl.d/zzz.conf": "kernel.sysrq=1\n"}, sysctlChange("kernel.sysrq", "0"), nil, "/usr/lib/sysctl.d/zzz.conf:1"},
		{"a line break", map[string]string{"etc/hostname": "a\n"}, sysctlChange("kernel.sysrq", "0\nx=1\x00"), nil, "cannot be written"},
		{"an interface of a file", map[string]string{"etc/sysctl.d/70-x.conf": "net.ipv4.conf.eno1.send_redirects = 1\n"},
			sysctlChange("net.ipv4.conf.all.send_redirects", "0"), map[string]string{"/etc/sysctl.d/70-x.conf": "net.ipv4.conf.eno1.send_redirects = 0\n",
				sysctlFile: "net.ipv4.conf.all.send_redirects = 0\n"}, ""},
		{"systemd's pattern for strict mode", map[string]string{"usr/lib/sysctl.d/50-default.conf": "-net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.*.rp_filter = 2\n"},
			sysctlChange("net.ipv4.conf.all.rp_filter", "1"), map[string]string{sysctlFile: "net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.*.rp_filter = 1\n"}, ""},
		{"namespaces that another key forbids", map[string]string{"etc/sysctl.d/50-x.conf": "user.max_user_namespaces = 0\n"},
			sysctlChange("kernel.unprivileged_userns_clone", "1"), nil, "/etc/sysctl.d/50-x.conf:1"},
	})
}

func TestSysctlConfOfDebian12(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/sysctl.conf": "#net.ipv4.ip_forward=1\nnet.ipv4.ip_forward=1\n",
		"var/lib/dpkg/status": "Package: procps\nConffiles:\n /etc/sysctl.conf 0123\n /etc/sysctl.d/x 0123\n"})
	d := b.draft(t)
	if err := d.Mkdir("/etc/sysctl.d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Symlink("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf"); err != nil {
		t.Fatal(err)
	}
	if err := sysctls(d, sysctlChange("net.ipv4.ip_forward", "0")); err != nil {
		t.Fatal(err)
	}
	got, _, err := d.Content("/etc/sysctl.conf")
	if err != nil || string(got) != "#net.ipv4.ip_forward=1\nnet.ipv4.ip_forward=0\n" {
		t.Errorf("%q %v", got, err)
	}
}

func TestSysctlRunning(t *testing.T) {
	const v4 = "proc/sys/net/ipv4/conf/"
	files := map[string]string{v4 + "all/send_redirects": "1\n", v4 + "eno1/send_redirects": "1\n", v4 + "tap100i0/send_redirects": "1\n",
		v4 + "default/send_redirects": "1\n", v4 + "all/proxy_arp": "1\n", v4 + "eno1/proxy_arp": "1\n", v4 + "vmbr0/proxy_arp": "1\n",
		"sys/class/net/vmbr0/bridge/x": "", v4 + "all/rp_filter": "0\n", v4 + "eno1/rp_filter": "2\n", v4 + "vmbr0/rp_filter": "0\n",
		"proc/sys/kernel/kexec_load_disabled": "0\n", "proc/sys/net/ipv4/tcp_rmem": "1\t2\t3\n"}
	b := newBench(t, true, files)
	d := b.draft(t)
	if err := sysctls(d, sysctlChange("net.ipv4.conf.all.send_redirects", "0", "net.ipv4.conf.all.proxy_arp", "0", "net.ipv4.conf.all.rp_filter", "1",
		"kernel.kexec_load_disabled", "1", "net.ipv4.tcp_rmem", "4 5 6")); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{v4 + "all/send_redirects": "0\n", v4 + "eno1/send_redirects": "0\n", v4 + "tap100i0/send_redirects": "1\n",
		v4 + "default/send_redirects": "1\n", v4 + "all/proxy_arp": "0\n", v4 + "eno1/proxy_arp": "1\n", v4 + "vmbr0/proxy_arp": "0\n",
		v4 + "all/rp_filter": "1\n", v4 + "eno1/rp_filter": "1\n", v4 + "vmbr0/rp_filter": "0\n",
		// A running kernel does not take this one back, so it waits for the start.
		"proc/sys/kernel/kexec_load_disabled": "0\n", "proc/sys/net/ipv4/tcp_rmem": "4\t5\t6\n"}
	got := map[string]string{}
	for p := range want {
		c, _, err := d.Content("/" + p)
		if err != nil {
			t.Fatal(err)
		}
		got[p] = string(c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p := b.plan(t, sysctlChange("kernel.kexec_load_disabled", "1")); len(p.Windows[0].Reboots) != 1 {
		t.Errorf("%+v", p.Windows)
	}
}

// TestSysctlProperty: whatever the files say, afterwards the value is the wanted one or the change was refused, and a second draft
// changes nothing.
func TestSysctlProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"# c", "", "kernel.sysrq=1", "-kernel.sysrq", "kernel/sysrq = 0", "kernel.* = 3", "-kernel.sysrq=2", "x", "kernel.sysrq = 176\r"})
	name := rapid.SampledFrom([]string{"etc/sysctl.d/10-a.conf", "etc/sysctl.d/60-castellan.conf", "etc/sysctl.d/90-b.conf", "usr/lib/sysctl.d/90-c.conf", "run/sysctl.d/zz-castellan.conf"})
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{}
		for range rapid.IntRange(0, 3).Draw(rt, "files") {
			files[name.Draw(rt, "name")] = strings.Join(rapid.SliceOfN(line, 0, 5).Draw(rt, "lines"), "\n")
		}
		d := newBench(t, false, files).draft(t)
		c := sysctlChange("kernel.sysrq", "0")
		if err := sysctls(d, c); err != nil {
			if !isCannot(err) {
				rt.Fatal(err)
			}
			return
		}
		set, err := sysctlSet(d)
		if a, ok := set.Lookup("kernel.sysrq"); err != nil || !ok || a.Value != "0" {
			rt.Fatalf("%+v %v", a, err)
		}
		once := draftText(rt, d)
		if err := sysctls(d, c); err != nil || draftText(rt, d) != once {
			rt.Fatalf("a second time: %v", err)
		}
	})
}

func FuzzSysctl(f *testing.F) {
	for _, s := range append(hostile(), "kernel.sysrq=1\n", "-kernel.sysrq", "kernel.sysrq = 1\r\n\r\n", "*=1\n") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newBench(t, false, map[string]string{"etc/sysctl.d/99-x.conf": string(b)}).draft(t)
		err := sysctls(d, sysctlChange("kernel.sysrq", "0"))
		if err != nil {
			if !isCannot(err) {
				t.Fatal(err)
			}
			return
		}
		once := draftText(t, d)
		if err := sysctls(d, sysctlChange("kernel.sysrq", "0")); err != nil || draftText(t, d) != once {
			t.Errorf("a second time: %v", err)
		}
	})
}
