package exposure_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/exposure"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

func section(t testing.TB, kind inventory.GuestKind, text string) *guestcfg.Section {
	t.Helper()
	c, _ := guestcfg.Parse(string(kind), []byte(text))
	return &c.Current
}

// kinds are the kinds of exposure of a text, sorted, without those that a bare guest has.
func kinds(t testing.TB, kind inventory.GuestKind, text string) []string {
	t.Helper()
	base := "cpu: x86-64-v2-AES\n"
	if kind == inventory.LXC {
		base = "unprivileged: 1\n"
		if strings.Contains(text, "unprivileged") {
			base = ""
		}
	} else if strings.Contains(text, "cpu:") {
		base = ""
	}
	got := []string{}
	for _, e := range exposure.NewJudge(nil).Of(kind, section(t, kind, base+text)) {
		got = append(got, e.Kind)
	}
	slices.Sort(got)
	return slices.Compact(got)
}

func TestMachine(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                   {},
		"args: -no-reboot":                   {"args"},
		"args: -fda x":                       {"args", "floppy"},
		"args: -drive file=x,if=floppy":      {"args", "floppy"},
		"args: -device isa-fdc,id=f":         {"args", "floppy"},
		"args: -vnc 0.0.0.0:1":               {"args", "vnc"},
		"args: -vnc 127.0.0.1:1":             {"args"},
		"args: -vnc unix:/run/x":             {"args"},
		"args: -monitor tcp:0.0.0.0:4444":    {"args", "monitor"},
		"args: -virtfs local,path=/srv":      {"args", "host_dir"},
		"args: -device vfio-pci,host=1":      {"args", "pci_raw"},
		"args: -device 'ivshmem-plain,id=x'": {"args", "shared_memory"},
		"hookscript: local:snippets/x.pl":    {"hookscript"},
		"ivshmem: size=32":                   {"shared_memory"},
		"hostpci0: 0000:01:00.0":             {"pci_raw"},
		"hostpci0: host=0000:01:00.0;1":      {"pci_raw"},
		"hostpci0: mapping=gpu,pcie=1":       {"pci_mapped"},
		"usb0: host=1-4":                     {"usb_host"},
		"usb0: spice,usb3=1":                 {"usb_spice"},
		"usb0: mapping=stick":                {"usb_mapped"},
		"serial0: socket":                    {"serial"},
		"serial1: /dev/ttyS0":                {"serial_host"},
		"serial4: socket":                    {}, // there are four
		"parallel0: /dev/parport0":           {"parallel"},
		"virtiofs0: export":                  {"host_dir"},
		"audio0: device=AC97":                {"audio"},
		"vga: std,clipboard=vnc":             {"clipboard"},
		"vga: qxl2":                          {"clipboard"},
		"vga: virtio":                        {},
		"vga: cirrus":                        {"legacy"},
		"machine: isapc":                     {"legacy"},
		"spice_enhancements: foldersharing=1,videostreaming=all": {"spice_folders", "spice_video"},
		"spice_enhancements: foldersharing=0,videostreaming=off": {},
		"ide2: local:iso/x.iso,media=cdrom":                      {"cdrom"},
		"ide2: none,media=cdrom":                                 {},
		"ide2: cdrom,media=cdrom":                                {"cdrom_host"},
		"ide2: l:vm-100-cloudinit,media=cdrom":                   {},
		"scsi0: /dev/sdb":                                        {"raw_disk"},
		"scsi0: l:vm-100-disk-0,cache=unsafe":                    {"unsafe_cache"},
		"cipassword: x":                                          {"cloudinit_password"},
		"cicustom: user=local:snippets/u.yaml":                   {"cloudinit_custom"},
		"agent: 1":                                               {"agent"},
		"agent: enabled=1,type=isa":                              {"agent"},
		"agent: 0":                                               {},
		"kvm: 0":                                                 {"no_kvm"},
		"kvm: 1":                                                 {},
		"net0: virtio":                                           {"user_nic"},
		"net0: virtio,bridge=vmbr0":                              {"unfiltered"},
		"net0: ne2k_pci,bridge=vmbr0,firewall=1":                 {"legacy"},
		"net0: virtio,bridge=vmbr0,firewall=1":                   {},
		"[before]\nargs: -vnc 0.0.0.0:1":                         {},
		"[PENDING]\nargs: -vnc 0.0.0.0:1":                        {},
	} {
		if d := cmp.Diff(want, kinds(t, inventory.QEMU, text+"\n")); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestContainer(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                 {},
		"unprivileged: 0":                  {"privileged"},
		"unprivileged: 1":                  {},
		"unprivileged: maybe":              {},
		"# unprivileged":                   {"privileged"},
		"features: nesting=1":              {"nesting"},
		"features: nesting=0,keyctl=1":     {"keyctl"},
		"features: mount=nfs;cifs,fuse=1":  {"fuse", "mount"},
		"features: mknod=1,force_rw_sys=1": {"force_rw_sys", "mknod"},
		"dev0: /dev/fuse,mode=0666":        {"device"},
		"mp0: /srv,mp=/srv":                {"host_dir"},
		"mp0: /srv,mp=/srv,ro=1":           {"host_dir_ro"},
		"mp0: l:subvol-1-disk-1,mp=/srv":   {},
		"mp0: l:subvol-1-disk-1,mp=/srv,idmap=passthrough": {"idmap_passthrough"},
		"mp0: /dev/sdb1,mp=/srv":                           {"raw_disk"},
		"cmode: shell":                                     {"shell_console"},
		"env: A=b":                                         {"environment"},
		"lxc.environment: A=b":                             {"environment"},
		"lxc.apparmor.profile = unconfined":                {"apparmor"},
		"lxc.apparmor.profile: generated":                  {},
		"lxc.apparmor.raw: mount,":                         {"apparmor"},
		"lxc.cap.drop:":                                    {"capabilities"},
		"lxc.cap.drop: sys_admin":                          {},
		"lxc.cap.keep: sys_admin":                          {"capabilities"},
		"lxc.seccomp.profile:":                             {"seccomp"},
		"lxc.idmap: u 0 0 65536":                           {"idmap"},
		"lxc.idmap: u 0 100000 65536":                      {},
		"lxc.cgroup2.devices.allow: c 10:200 rwm":          {"cgroup_devices"},
		"lxc.cgroup2.memory.max: 1G":                       {},
		"lxc.mount.auto: sys:rw cgroup:mixed":              {"mount_auto"},
		"lxc.mount.auto: sys:ro":                           {},
		"lxc.mount.entry: /dev/kmsg dev/kmsg none bind":    {"host_dir"},
		"lxc.mount.entry: /srv srv none bind,ro 0 0":       {"host_dir_ro"},
		"lxc.mount.entry: tmpfs tmp tmpfs defaults":        {},
		"lxc.hook.start: /root/x":                          {"host_code"},
		"lxc.include: /root/x":                             {"host_code"},
		"lxc.net.0.type: phys\nlxc.net.0.link: eth0":       {"raw_net"},
		"lxc.prlimit.nofile: 1024":                         {},
		"hookscript: local:snippets/x":                     {"hookscript"},
		"[s1]\nlxc.apparmor.profile: unconfined":           {},
		"[pve:pending]\nfeatures: nesting=1":               {},
		"[special:x]\nfeatures: nesting=1":                 {"nesting"}, // no section of a container
		"net0: name=eth0,bridge=vmbr0,firewall=1":          {},
		"net0: name=eth0,bridge=vmbr0":                     {"unfiltered"},
		"net0: name=eth0":                                  {},
	} {
		if d := cmp.Diff(want, kinds(t, inventory.LXC, text+"\n")); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestCPU(t *testing.T) {
	j := exposure.NewJudge(exposure.ParseModels([]byte("cpu-model: mine\n\tflags +spec-ctrl;+ssbd\n\treported-model Haswell\n\ncpu-model: bare\n\tphys-bits 40\n")))
	for _, tc := range []struct{ text, typ, missing string }{
		{"", "kvm64", "spec-ctrl or ibpb ssbd or virt-ssbd aes"},
		{"cpu: kvm64,flags=+spec-ctrl;+ssbd;+aes", "kvm64", ""},
		{"cpu: qemu64", "qemu64", "spec-ctrl or ibpb ssbd or virt-ssbd aes"},
		{"cpu: host", "host", ""},
		{"cpu: x86-64-v2-AES", "x86-64-v2-AES", ""},
		{"cpu: x86-64-v3", "x86-64-v3", ""},
		{"cpu: x86-64-v2", "x86-64-v2", "spec-ctrl or ibpb ssbd or virt-ssbd aes"},
		{"cpu: Haswell-noTSX", "Haswell-noTSX", "spec-ctrl ssbd"},
		{"cpu: Haswell-noTSX-IBRS,flags=+ssbd", "Haswell-noTSX-IBRS", ""},
		{"cpu: cputype=Skylake-Server-IBRS", "Skylake-Server-IBRS", "ssbd"},
		{"cpu: Cascadelake-Server-noTSX", "Cascadelake-Server-noTSX", ""},
		{"cpu: EPYC", "EPYC", "ibpb virt-ssbd"},
		{"cpu: EPYC-IBPB,flags=+virt-ssbd", "EPYC-IBPB", ""},
		{"cpu: EPYC-Rome", "EPYC-Rome", "virt-ssbd"},
		{"cpu: EPYC-Milan", "EPYC-Milan", ""},
		{"cpu: Opteron_G5", "Opteron_G5", "ibpb virt-ssbd"},
		{"cpu: custom-mine", "custom-mine", ""},
		{"cpu: custom-bare", "custom-bare", "spec-ctrl or ibpb ssbd or virt-ssbd aes"},
		{"cpu: custom-other", "custom-other", ""},
	} {
		cpu := j.CPUOf(section(t, inventory.QEMU, tc.text+"\n"))
		if got := strings.Join(cpu.Missing, " "); cpu.Type != tc.typ || got != tc.missing {
			t.Errorf("%q: %s lacks %q, want %s and %q", tc.text, cpu.Type, got, tc.typ, tc.missing)
		}
		if cpu.Vendor == "" != (tc.typ == "custom-other") {
			t.Errorf("%q: vendor %q", tc.text, cpu.Vendor)
		}
	}
	for text, want := range map[string]bool{"": false, "cpu: host": true, "cpu: host,flags=-nested-virt": false, "cpu: x86-64-v2-AES,flags=+nested-virt": true, "cpu: max": true} {
		if got := j.CPUOf(section(t, inventory.QEMU, text+"\n")).Nested; got != want {
			t.Errorf("%q: nested %v", text, got)
		}
	}
}

func TestFirmwareAndMachine(t *testing.T) {
	for text, want := range map[string]exposure.FirmwareState{
		"":                                    {},
		"bios: ovmf\nefidisk0: l:vm-1-disk-0": {OVMF: true, Certificates: "2011"},
		"bios: ovmf\nefidisk0: l:vm-1-disk-0,efitype=4m,pre-enrolled-keys=1,ms-cert=2023k":         {OVMF: true, SecureBoot: true, Certificates: "2023k"},
		"efidisk0: l:vm-1-disk-0,efitype=4m,pre-enrolled-keys=1\ntpmstate0: l:vm-1-disk-1,size=4M": {Certificates: "2011", TPM: "v1.2"},
		"tpmstate0: l:vm-1-disk-1,version=v2.0":                                                    {TPM: "v2.0"},
	} {
		if got := exposure.FirmwareOf(section(t, inventory.QEMU, text+"\n")); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for text, want := range map[string]exposure.Machine{
		"":                                       {Type: "i440fx"},
		"machine: q35":                           {Type: "q35"},
		"machine: pc-q35-9.2+pve1":               {Type: "q35", Version: "9.2"},
		"machine: pc-i440fx-8.1":                 {Type: "i440fx", Version: "8.1"},
		"machine: type=pc-q35-8.0,viommu=virtio": {Type: "q35", Version: "8.0"},
	} {
		if got := exposure.MachineOf(section(t, inventory.QEMU, text+"\n")); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	if a := exposure.AgentOf(section(t, inventory.QEMU, "agent: 1,guest-fsfreeze=0\n")); !a.Enabled || a.Freeze {
		t.Errorf("%+v", a)
	}
}

// TestPending holds that hardening that waits is found, and what gets worse.
func TestPending(t *testing.T) {
	c, _ := guestcfg.Parse("qemu", []byte("cpu: host\nserial0: socket\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n\n[PENDING]\ndelete: serial0\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\nagent: 1\n"))
	change := exposure.NewJudge(nil).Pending(inventory.QEMU, c)
	names := func(all []exposure.Exposure) (out []string) {
		for _, e := range all {
			out = append(out, e.Kind)
		}
		return out
	}
	if d := cmp.Diff([]string{"serial", "unfiltered"}, names(change.Gone)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"agent"}, names(change.Coming)); d != "" {
		t.Error(d)
	}
}

func TestSecretsStayInside(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"args: -object secret,id=s,data=" + secret, "args: -vnc :1,password=" + secret, "args: -x pass='" + secret + "'", "cipassword: " + secret,
		"args: -device isa-applesmc,osk=\"" + secret + "\"", "env: TOKEN=" + secret, "lxc.environment: TOKEN=" + secret, "cicustom: user=local:snippets/u.yaml",
	} {
		for _, kind := range []inventory.GuestKind{inventory.QEMU, inventory.LXC} {
			for _, e := range exposure.NewJudge(nil).Of(kind, section(t, kind, text+"\n")) {
				if strings.Contains(e.Text, secret) {
					t.Errorf("%s: %q tells the secret", kind, e.Text)
				}
			}
		}
	}
}

func TestLife(t *testing.T) {
	c, _ := guestcfg.Parse("qemu", []byte("#**Owner**%3A alice\n#- Purpose%3A shop\n#Password%3A hunter2\ntags: owner-bob;exp-2027-01-31\nmeta: creation-qemu=9.2.0,ctime=1756684800\n"+
		"scsi0: l:base-9000-disk-0/vm-100-disk-0\nunused0: l:vm-100-disk-5\nlock: backup\n\n[s1]\nsnaptime: 1700000000\nvmstate: l:vm-100-state-s1\n[s2]\nsnaptime: 1600000000\nsnapstate: prepare\n"))
	got := exposure.LifeOf(inventory.QEMU, c)
	want := exposure.Life{Owner: "alice", Purpose: "shop", Expires: "2027-01-31", ExpiresAt: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), From: []int{9000}, LineageKnown: true,
		Created: time.Unix(1756684800, 0).UTC(), QEMU: "9.2.0", Unused: []string{"l:vm-100-disk-5"}, Lock: "backup", Snapshots: 2, Oldest: time.Unix(1600000000, 0).UTC(), Memory: 1, Unfinished: 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPlatform(t *testing.T) {
	for text, want := range map[string]string{
		"hostname: docker1": "docker (name)", "tags: web;k3s": "k3s (tag k3s)", "features: nesting=1,keyctl=1": "docker (nesting with keyctl)", "features: nesting=1": "",
	} {
		c, _ := guestcfg.Parse("lxc", []byte(text+"\n"))
		if got := exposure.PlatformOf(c); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{{"8.1.5", "10.1.2", true}, {"10.1.2", "10.1.2", false}, {"10.1", "10.1.1", true}, {"", "1", true}, {"10.2", "10.1.9", false}} {
		if exposure.Older(tc.a, tc.b) != tc.want {
			t.Errorf("Older(%s, %s) is %v", tc.a, tc.b, !tc.want)
		}
	}
}

// TestHostile holds that a configuration of megabytes costs in proportion to its size and does not flood a report.
func TestHostile(t *testing.T) {
	j := exposure.NewJudge(nil)
	for name, text := range map[string]string{
		"mounts": strings.Repeat("lxc.mount.entry: /a b none bind\n", 50_000), "arguments": "args: " + strings.Repeat("-fda x ", 300_000),
		"quotes": "args: " + strings.Repeat("'\"\\", 300_000), "tags": "tags: " + strings.Repeat("a;b;", 200_000) + "\n", "notes": strings.Repeat("#owner%3A a\n", 100_000),
		"bases": "scsi0: l:" + strings.Repeat("base-1-a/", 50_000) + "x\n", "different bases": "scsi0: l:" + manyBases(50_000) + "x\n", "flags": "cpu: host,flags=" + strings.Repeat("+a;", 300_000),
		"pending": strings.Repeat("usb0: host=1\n", 20_000) + "[PENDING]\n" + strings.Repeat("usb1: host=2\n", 20_000), "cards": strings.Repeat("net1: virtio\n", 50_000),
	} {
		for _, kind := range []inventory.GuestKind{inventory.QEMU, inventory.LXC} {
			hosttest.Hostile(t, name+" of "+string(kind), len(text), func() {
				c, _ := guestcfg.Parse(string(kind), []byte(text))
				found := j.Of(kind, &c.Current)
				j.Pending(kind, c)
				exposure.LifeOf(kind, c)
				exposure.PlatformOf(c)
				if len(found) > 500 {
					t.Errorf("%s of %s: %d exposures", name, kind, len(found))
				}
			})
		}
	}
}

func manyBases(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("base-" + strconv.Itoa(i+1) + "-a/")
	}
	return b.String()
}

// TestKinds holds that every exposure has a kind of the list, with channel and severity, and words of one line.
func TestKinds(t *testing.T) {
	known := map[string]bool{}
	for _, k := range exposure.Kinds() {
		if known[k] {
			t.Errorf("%s is there twice", k)
		}
		known[k] = true
	}
	j := exposure.NewJudge(nil)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{"args: -vnc :1", "hostpci0: 1", "usb0: spice", "mp0: /srv,mp=/srv", "lxc.idmap: u 0 0 1", "features: nesting=1", "cpu: host"}),
			rapid.StringMatching(`(args|usb0|hostpci1|cpu|vga|dev0|mp1|lxc\.hook\.start|lxc\.mount\.entry|machine|agent|ide2): [ -~\x00-\x1fé]{0,300}`)), 0, 8).Draw(t, "lines")
		kind := rapid.SampledFrom([]inventory.GuestKind{inventory.QEMU, inventory.LXC}).Draw(t, "kind")
		c, _ := guestcfg.Parse(string(kind), []byte(strings.Join(lines, "\n")))
		last := 5
		for _, e := range j.Of(kind, &c.Current) {
			if !known[e.Kind] || e.Channel == "" || e.Severity.Rank() < 0 || e.Severity.Rank() > last {
				t.Fatalf("%+v", e)
			}
			last = e.Severity.Rank()
			if strings.ContainsAny(e.Words(), "\n\r\x00\x1b") || len(e.Text) > 170 {
				t.Fatalf("%q is not one line", e.Words())
			}
		}
	})
}
