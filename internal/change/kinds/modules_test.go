package kinds

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/mounts"
)

func TestModules(t *testing.T) {
	block := func(m ...string) change.Change { return change.Change{Control: "TST-01", Kind: "modprobe", Block: m} }
	options := func(o string) change.Change {
		return change.Change{Control: "TST-01", Kind: "modprobe", Options: o}
	}
	only := block("udf", "sctp")
	only.Each = []string{"sctp"}
	none := block("udf")
	none.Each = []string{}
	dashed := block("usb-storage")
	dashed.Each = []string{"usb_storage"}
	runEdits(t, []edit{
		{"blocked", map[string]string{"etc/hostname": "x\n"}, block("udf", "usb-storage"),
			map[string]string{modprobeFile: "install udf /bin/false\nblacklist udf\ninstall usb-storage /bin/false\nblacklist usb-storage\n"}, ""},
		{"a blacklist alone is not enough", map[string]string{"etc/modprobe.d/castellan.conf": "# a\r\nblacklist udf\r\n"}, block("udf"),
			map[string]string{modprobeFile: "# a\r\nblacklist udf\r\ninstall udf /bin/false\r\n"}, ""},
		{"blocked elsewhere", map[string]string{"etc/modprobe.d/x.conf": "install usb_storage /bin/true\nblacklist usb-storage"}, block("usb-storage"), nil, ""},
		{"those that fail only", map[string]string{"etc/hostname": "x\n"}, only, map[string]string{modprobeFile: "install sctp /bin/false\nblacklist sctp\n"}, ""},
		{"none that fails", map[string]string{"etc/hostname": "x\n"}, none, nil, ""},
		{"dashes are underscores", map[string]string{"etc/hostname": "x\n"}, dashed, map[string]string{modprobeFile: "install usb-storage /bin/false\nblacklist usb-storage\n"}, ""},
		{"another install line", map[string]string{"etc/modprobe.d/a.conf": "install udf /sbin/modprobe --ignore-install udf\n"}, block("udf"), nil, "/etc/modprobe.d/a.conf:1"},
		{"in use", map[string]string{"proc/modules": "usb_storage 81920 1 uas, Live 0x0\n"}, block("usb-storage"), nil, "in use (by uas)"},
		{"no name", map[string]string{"etc/hostname": "x\n"}, block("a b"), nil, "not the name"},
		{"options", map[string]string{"etc/hostname": "x\n"}, options("kvm nested=0 x"), map[string]string{modprobeFile: "options kvm nested=0 x\n"}, ""},
		{"other options are rewritten", map[string]string{"etc/modprobe.d/vfio.conf": "# a\noptions vfio_iommu_type1 x=1 \\\n  allow_unsafe_interrupts=1\n"},
			options("vfio_iommu_type1 allow_unsafe_interrupts=0"), map[string]string{"/etc/modprobe.d/vfio.conf": "# a\noptions vfio_iommu_type1 x=1 \\\n  allow_unsafe_interrupts=0\n", modprobeFile: ""}, ""},
		{"a shell's word", map[string]string{"etc/hostname": "x\n"}, options("kvm a=$(x)"), nil, "not an option"},
	})
	b := newBench(t, true, map[string]string{"proc/modules": "udf 1 0 - Live 0x0\n", "usr/sbin/update-initramfs": ""})
	w := b.plan(t, block("udf")).Windows[0]
	if len(w.Reboots) != 1 || !strings.Contains(w.Reboots[0], "udf is loaded") || len(w.Steps) != 2 {
		t.Errorf("%+v", w)
	}
	w = b.plan(t, block("usb-storage")).Windows[0]
	if s := w.Steps[len(w.Steps)-1]; s.Action == nil || s.Action.Object != "update-initramfs -u" {
		t.Errorf("%+v", w.Steps)
	}
}

func TestLimits(t *testing.T) {
	c := change.Change{Control: "TST-01", Kind: "limits", Set: map[string]string{"* hard core": "0"}}
	bad := change.Change{Control: "TST-01", Kind: "limits", Set: map[string]string{"* core": "0"}}
	const line = "* hard core 0\n"
	runEdits(t, []edit{
		{"a file of ours", map[string]string{"etc/security/limits.conf": "#* hard core 0\n"}, c, map[string]string{limitsFile: line}, ""},
		{"held already", map[string]string{"etc/security/limits.conf": "*\thard\tcore\t0 # x\n"}, c, nil, ""},
		{"limits.conf comes before", map[string]string{"etc/security/limits.conf": "* hard core 100\n"}, c, map[string]string{limitsFile: line}, ""},
		{"a later file is corrected", map[string]string{"etc/security/limits.d/x.conf": "# a\r\n  *   hard\tcore\t unlimited   # why\r\nroot - nofile 9"},
			c, map[string]string{"/etc/security/limits.d/x.conf": "# a\r\n  *   hard\tcore\t 0   # why\r\nroot - nofile 9", limitsFile: ""}, ""},
		{"an earlier file is not", map[string]string{"etc/security/limits.d/a.conf": "* hard core 5\n"}, c, map[string]string{limitsFile: line, "/etc/security/limits.d/a.conf": "* hard core 5\n"}, ""},
		{"our own line", map[string]string{"etc/security/limits.d/castellan.conf": "* hard core 7\n"}, c, map[string]string{limitsFile: line}, ""},
		{"a later line for both kinds", map[string]string{"etc/security/limits.d/x.conf": "* - core 5\n"}, c, nil, "contradict"},
		{"an exception", map[string]string{"etc/security/limits.conf": "@dev hard core unlimited\n"}, c, nil, "/etc/security/limits.conf:1 gives @dev"},
		{"no line of limits.conf", map[string]string{"etc/hostname": "x\n"}, bad, nil, "no line"},
	})
}

func TestMount(t *testing.T) {
	c := func(path, options string) change.Change {
		return change.Change{Control: "TST-01", Kind: "mount", Path: path, Options: options}
	}
	const table = "# <fs>\r\nUUID=a\t/\text4  errors=remount-ro 0 1\r\n/dev/sdb1  /var/tmp\text4\tdefaults,suid   0 2 # mine\r\ntmpfs /tmp tmpfs"
	const unit = "[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=mode=1777,nosuid\n"
	runEdits(t, []edit{
		{"options of a line", map[string]string{"etc/fstab": table}, c("/var/tmp", "nodev,nosuid"),
			map[string]string{fstab: strings.Replace(table, "defaults,suid", "defaults,nodev,nosuid", 1)}, ""},
		{"a line without options", map[string]string{"etc/fstab": table}, c("/tmp", "nodev"), map[string]string{fstab: table + " nodev"}, ""},
		{"held already", map[string]string{"etc/fstab": "a /b ext4 nodev,nosuid 0 0\n"}, c("/b", "nosuid,nodev"), nil, ""},
		{"a unit of a package gets a drop-in", map[string]string{"usr/lib/systemd/system/tmp.mount": unit}, c("/tmp", "nodev,nosuid"),
			map[string]string{"/etc/systemd/system/tmp.mount.d/castellan.conf": "# Written by castellan.\n[Mount]\nOptions=mode=1777,nosuid,nodev\n"}, ""},
		{"systemd mounts /dev/shm well enough", map[string]string{"etc/fstab": ""}, c("/dev/shm", "nosuid,nodev"), nil, ""},
		{"but not noexec", map[string]string{"etc/fstab": "# a"}, c("/dev/shm", "noexec"), map[string]string{fstab: "# a\ntmpfs /dev/shm tmpfs nosuid,nodev,noexec 0 0\n"}, ""},
		{"no file system of its own", map[string]string{"etc/fstab": ""}, c("/var/tmp", "nodev"), nil, "no file system of its own"},
		{"a broken table", map[string]string{"etc/fstab": "x\n"}, c("/var/tmp", "nodev"), nil, "correct that line"},
		{"a bad option", map[string]string{"etc/fstab": ""}, c("/tmp", "nodev 0 0\nx"), nil, "not an option"},
		{"the root", map[string]string{"etc/fstab": ""}, c("/", "nodev"), nil, "no mount point"},
	})
	b := newBench(t, true, map[string]string{"etc/fstab": "tmpfs /tmp tmpfs nosuid 0 0\n", "proc/1/mounts": "tmpfs /tmp tmpfs rw,nosuid,size=1g 0 0\n"})
	w := b.plan(t, c("/tmp", "nodev,nosuid,size=2g")).Windows[0]
	last := w.Steps[len(w.Steps)-1].Action
	if last == nil || *last != (change.Action{Verb: change.Remount, Object: "/tmp", Argument: "nodev,size=2g", Was: "dev,size=1g"}) {
		t.Errorf("%+v", last)
	}
}

// TestMountProperty: of a table only the options of the one line change.
func TestMountProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		others := rapid.SliceOfN(rapid.SampledFrom([]string{"# a", "", "a  /x\text4 defaults 0 0", "\tb /y xfs"}), 0, 5).Draw(rt, "others")
		at := rapid.IntRange(0, len(others)).Draw(rt, "at")
		have := strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"defaults", "suid", "nodev", "noexec", "size=1g"}), 1, 4, rapid.ID[string]).Draw(rt, "have"), ",")
		text := strings.Join(append(append(append([]string{}, others[:at]...), "t /tmp  tmpfs\t"+have+" 0 0"), others[at:]...), "\n")
		d := newBench(t, false, map[string]string{"etc/fstab": text}).draft(t)
		c := change.Change{Kind: "mount", Path: "/tmp", Options: "nosuid,nodev,size=2g"}
		if err := mountOptions(d, c); err != nil {
			rt.Fatal(err)
		}
		got, _, err := d.Content(fstab)
		if err != nil {
			rt.Fatal(err)
		}
		lines := strings.Split(string(got), "\n")
		if strings.Join(append(lines[:at:at], lines[at+1:]...), "\n") != strings.Join(others, "\n") {
			rt.Fatalf("%q became %q", text, got)
		}
		table, err := mounts.Parse([]byte(lines[at]))
		if err != nil || len(table) != 1 || !table[0].Has("nosuid") || !table[0].Has("nodev") || !table[0].Has("size=2g") || table[0].Has("suid") || table[0].Has("size=1g") {
			rt.Fatalf("%q %v", lines[at], err)
		}
	})
}

func FuzzModulesLimitsMounts(f *testing.F) {
	for _, s := range append(hostile(), "install udf \\\n/bin/false\n", "* hard core 5 # x\n", "a /tmp tmpfs suid 0 0\n", "options kvm nested=1\n", "* - core unlimited\r\n") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bench := newBench(t, false, map[string]string{"etc/modprobe.d/a.conf": string(b), "etc/modprobe.d/z.conf": string(b), "proc/modules": string(b),
			"etc/security/limits.conf": string(b), "etc/security/limits.d/x.conf": string(b), "etc/fstab": string(b), "etc/systemd/system/tmp.mount": string(b)})
		for _, c := range []change.Change{{Kind: "modprobe", Block: []string{"udf"}}, {Kind: "modprobe", Options: "kvm nested=0"},
			{Kind: "limits", Set: map[string]string{"* hard core": "0"}}, {Kind: "mount", Path: "/tmp", Options: "nosuid,nodev"}} {
			d := bench.draft(t)
			if err := bench.planner.Kinds[c.Kind].Draft(d, c); err != nil {
				if !isCannot(err) {
					t.Fatalf("%s: %v", c.Kind, err)
				}
				continue
			}
			once := draftText(t, d)
			if err := bench.planner.Kinds[c.Kind].Draft(d, c); err != nil || draftText(t, d) != once {
				t.Errorf("%s a second time: %v", c.Kind, err)
			}
		}
	})
}
