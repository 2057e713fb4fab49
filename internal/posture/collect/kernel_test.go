package collect

import (
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewerRelease(t *testing.T) {
	list := []string{"6.8.9-1-pve", "6.1.0-28-amd64", "6.8.12-4-pve", "6.8.12-10-pve", "6.14.0-1-pve", "5.15.0"}
	sort.Slice(list, func(a, b int) bool { return newerRelease(list[a], list[b]) })
	want := []string{"6.14.0-1-pve", "6.8.12-10-pve", "6.8.12-4-pve", "6.8.9-1-pve", "6.1.0-28-amd64", "5.15.0"}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
}

func TestOpenFlaws(t *testing.T) {
	got := openFlaws(map[string]string{
		"a": "Not affected", "b": "Mitigation: PTI; SMT vulnerable", "c": "Vulnerable", "d": "KVM: Vulnerable", "e": "Unknown: No mitigations",
		"old_microcode": "Vulnerable", "f": "KVM: Mitigation: VMX disabled",
	})
	if d := cmp.Diff([]string{"c: Vulnerable", "d: KVM: Vulnerable", "e: Unknown: No mitigations"}, got); d != "" {
		t.Error(d)
	}
}

func TestModuleStates(t *testing.T) {
	files := map[string]string{
		".castellan/meta": liveMeta, "var/lib/dpkg/status": someDpkg, "proc/modules": "tipc 1 0 - Live 0x0\n", "proc/sys/kernel/osrelease": "6.1\n",
		"lib/modules/6.1/modules.dep": "k/udf.ko:\nk/hfs.ko:\nk/tipc.ko:\nk/sctp.ko:\nk/usb-storage.ko:\n", "lib/modules/6.1/modules.builtin": "k/cramfs.ko\n",
		"etc/modprobe.d/x.conf": "install udf /bin/false\ninstall tipc /bin/false\nblacklist sctp\ninstall usb-storage /bin/true\n",
	}
	f := collectTree(t, Kernel(), files).Kernel
	for m, want := range map[string]string{"udf": "blocked", "hfs": "loadable", "tipc": "loaded", "sctp": "blacklisted", "usb_storage": "blocked", "cramfs": "builtin", "jffs2": "absent"} {
		if got := valueOr(f.ModuleStates[m].State); got != want {
			t.Errorf("%s is %s, want %s", m, got, want)
		}
	}
	delete(files, "proc/modules")
	if f := collectTree(t, Kernel(), files).Kernel; f.ModuleStates["udf"].State.IsKnown() {
		t.Error("what is loaded is not known, so the state is not")
	}
}

func TestPersistedArgs(t *testing.T) {
	f := collectTree(t, Kernel(), map[string]string{
		"boot/grub/grub.cfg": plainGrub + "menuentry 'R (recovery mode)' {\n linux /vmlinuz single nosmep\n}\n",
		"etc/default/grub":   "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash\"\n", "etc/default/grub.d/x.cfg": "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX mitigations=off\"\n",
		"etc/kernel/cmdline": "root=ZFS=rpool boot=zfs\n",
	}).Kernel
	want := []string{"root=x", "quiet", "mitigations=off", "splash", "root=ZFS=rpool", "boot=zfs"}
	if d := cmp.Diff(want, f.CmdlinePersisted.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, f.Cmdline.Value); d != "" {
		t.Error("of an image the next start counts:", d)
	}
}

func TestFirmwareSource(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		want          bool
	}{
		"list":           {"etc/apt/sources.list", "deb http://d/ bookworm main non-free-firmware\n", true},
		"commented":      {"etc/apt/sources.list", "# deb http://d/ bookworm non-free-firmware\n", false},
		"source package": {"etc/apt/sources.list", "deb-src http://d/ bookworm non-free-firmware\n", false},
		"deb822":         {"etc/apt/sources.list.d/d.sources", "Types: deb\nComponents: main non-free-firmware\n", true},
		"disabled":       {"etc/apt/sources.list.d/d.sources", "Types: deb\nEnabled: no\nComponents: main non-free-firmware\n\nTypes: deb\nComponents: main\n", false},
		"other name":     {"etc/apt/sources.list.d/d.bak", "Components: non-free-firmware\n", false},
	} {
		f := collectTree(t, Kernel(), map[string]string{tt.file: tt.content}).Kernel.MicrocodeSource
		if !f.IsKnown() || f.Value != tt.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := collectTree(t, Kernel(), map[string]string{"etc/hostname": "x"}).Kernel.MicrocodeSource; f.IsKnown() {
		t.Error("no sources at all say nothing")
	}
}

func TestNeededModules(t *testing.T) {
	f := collectTree(t, Kernel(), map[string]string{
		"var/lib/dpkg/status": nodeDpkg, "etc/hostname": "pve1\n", "etc/pve/nodes/pve1/lxc/101.conf": "arch: amd64\n",
		"etc/pve/storage.cfg": "dir: local\n\tpath /x\n\nnfs: nas\n\tserver a\n", "etc/modprobe.d/x.conf": "install fuse /bin/false\ninstall ceph /bin/false\ninstall nfs /bin/true\n",
	}).Kernel
	want := []string{"fuse (/etc/pve is a FUSE file system; /etc/modprobe.d/x.conf:1)", "nfs (the storage nas uses it; /etc/modprobe.d/x.conf:3)"}
	if d := cmp.Diff(want, f.NeededBlocked.Value); d != "" {
		t.Error(d)
	}
}

func FuzzKernelFiles(f *testing.F) {
	f.Add("options a b=c\n", "processor: 0\nvendor_id: GenuineIntel\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		k := collectTree(t, Kernel(), map[string]string{".castellan/meta": liveMeta, "etc/modprobe.d/a.conf": a, "proc/cpuinfo": b, "proc/modules": a,
			"sys/kernel/security/lockdown": b, "etc/apt/sources.list.d/x.sources": a, "etc/default/grub": b, "etc/kernel/cmdline": a}).Kernel
		if k.Lockdown.IsKnown() && k.Lockdown.Value == "" && b == "" {
			t.Fatal("an empty file named a mode")
		}
	})
}
