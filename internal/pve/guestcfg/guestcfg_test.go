package guestcfg_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

const web = `#Web shop%3A production
#owner%3A alice
agent: 1
boot: order=scsi0;net0
bios: ovmf
cipassword: $5$abcd
cores: 4
efidisk0: local-zfs:vm-100-disk-1,efitype=4m,pre-enrolled-keys=1,size=1M
ide2: local:iso/debian-13.iso,media=cdrom,size=700M
ide3: local-zfs:vm-100-cloudinit,media=cdrom
ipconfig0: ip=192.0.2.10/24,gw=192.0.2.1
kvm: maybe
memory: 4096
name: web
net0: virtio=bc:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20
net1: model=e1000,macaddr=BC:24:11:00:00:02,bridge=vmbr1,trunks=10;20-30
net2: rtl8139
scsi0: local-zfs:base-9000-disk-0/vm-100-disk-0,size=32G
scsi1: /dev/disk/by-id/x,backup=0,cache=unsafe
tags: prod;Web,prod
onboot: 1
unused0: local-zfs:vm-100-disk-7

[PENDING]
delete: usb0,!net2
onboot: 0
net1: virtio=BC:24:11:00:00:02,bridge=vmbr1,firewall=1

[special:cloudinit]
anything: goes here

[before-update]
#notes of then
args: -vnc 0.0.0.0:1
snaptime: 1760000000
vmstate: local-zfs:vm-100-state-before-update
parent: first

[x]
args: -lost

[first]
snaptime: 1750000000
snapstate: prepare
`

func TestMachine(t *testing.T) {
	c, problems := guestcfg.Parse("qemu", []byte(web))
	if got, want := c.Current.Description, "Web shop: production\nowner: alice"; got != want {
		t.Errorf("description is %q", got)
	}
	if v, ok := c.Get("kvm"); ok {
		t.Errorf("kvm: maybe is refused in a virtual machine, and is %q", v)
	}
	if c.Value("args") != "" {
		t.Error("a setting of a snapshot is taken for a current one")
	}
	if !c.On("onboot") || c.Line("onboot") != 21 {
		t.Errorf("onboot is %v in line %d", c.On("onboot"), c.Line("onboot"))
	}
	next := c.Next()
	if next.On("onboot") || len(next.NICs()) != 2 {
		t.Errorf("after a restart onboot is %v and there are %d cards", next.On("onboot"), len(next.NICs()))
	}
	if d := cmp.Diff([]string{"usb0", "net2"}, c.Pending.Deletes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"prod", "web"}, c.Tags()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{9000}, c.Current.Templates()); d != "" {
		t.Error(d)
	}
	type snapshot struct {
		Name, Parent, VMState, State string
		Time                         time.Time
	}
	var snapshots []snapshot
	for _, s := range c.Snapshots {
		snapshots = append(snapshots, snapshot{s.Name, s.Parent, s.VMState, s.State, s.Time})
	}
	want := []snapshot{
		{"before-update", "first", "local-zfs:vm-100-state-before-update", "", time.Unix(1760000000, 0).UTC()},
		{"first", "", "", "prepare", time.Unix(1750000000, 0).UTC()},
	}
	if d := cmp.Diff(want, snapshots); d != "" {
		t.Error(d)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	if d := cmp.Diff([]string{`12: kvm: not a boolean (1 or 0) (skipped)`, `39: the section "[x]" is not known; its settings are ignored (skipped)`}, got); d != "" {
		t.Error(d)
	}
}

func TestNICs(t *testing.T) {
	c, _ := guestcfg.Parse("qemu", []byte(web))
	want := []guestcfg.NIC{
		{Key: "net0", Line: 15, Model: "virtio", MAC: "BC:24:11:00:00:01", Bridge: "vmbr0", Tag: 20, Firewall: true, IP: "192.0.2.10/24", Gateway: "192.0.2.1"},
		{Key: "net1", Index: 1, Line: 16, Model: "e1000", MAC: "BC:24:11:00:00:02", Bridge: "vmbr1", Trunks: []guestcfg.VLANs{{First: 10, Last: 10}, {First: 20, Last: 30}}},
		{Key: "net2", Index: 2, Line: 17, Model: "rtl8139", UserMode: true},
	}
	if d := cmp.Diff(want, c.NICs()); d != "" {
		t.Error(d)
	}
	c, _ = guestcfg.Parse("lxc", []byte("net0: name=eth0,bridge=vmbr0,hwaddr=bc:24:11:aa:00:01,ip=dhcp,ip6=auto,rate=1.5,link_down=1,host-managed=1\nnet1: name=eth1\n"))
	want = []guestcfg.NIC{
		{Key: "net0", Line: 1, Name: "eth0", Type: "veth", MAC: "BC:24:11:AA:00:01", Bridge: "vmbr0", IP: "dhcp", IP6: "auto", Rate: 1.5, LinkDown: true, HostManaged: true},
		{Key: "net1", Index: 1, Line: 2, Name: "eth1", Type: "veth"},
	}
	if d := cmp.Diff(want, c.NICs()); d != "" {
		t.Error(d)
	}
}

func TestVolumes(t *testing.T) {
	ignore := cmpopts.IgnoreFields(guestcfg.Volume{}, "Options", "Line")
	c, _ := guestcfg.Parse("qemu", []byte(web+"\n"))
	want := []guestcfg.Volume{
		{Key: "ide2", Storage: "local", Name: "iso/debian-13.iso", Size: 700 << 20, CDROM: true, Replicate: true},
		{Key: "ide3", Storage: "local-zfs", Name: "vm-100-cloudinit", CDROM: true, Cloudinit: true, Replicate: true},
		{Key: "scsi0", Storage: "local-zfs", Name: "base-9000-disk-0/vm-100-disk-0", Size: 32 << 30, Backup: true, Replicate: true},
		{Key: "scsi1", Path: "/dev/disk/by-id/x", Device: true, Cache: "unsafe", Replicate: true},
		{Key: "efidisk0", Storage: "local-zfs", Name: "vm-100-disk-1", Size: 1 << 20, EFI: true, Backup: true, Replicate: true},
		{Key: "unused0", Storage: "local-zfs", Name: "vm-100-disk-7", Unused: true, Replicate: true},
	}
	if d := cmp.Diff(want, c.Volumes(), ignore); d != "" {
		t.Error(d)
	}
	c, _ = guestcfg.Parse("qemu", []byte("cdrom: none,media=cdrom\nefidisk0: a:vm-1-disk-0\ntpmstate0: a:vm-1-disk-1\nvirtio0: volume=b:vm-1-disk-9\nscsi8: bare.qcow2\nscsi9: /srv/x.img\nvirtio3: a:x,media=cdrom\n"))
	want = []guestcfg.Volume{
		{Key: "ide2", CDROM: true, Replicate: true},
		{Key: "virtio0", Storage: "b", Name: "vm-1-disk-9", Backup: true, Replicate: true},
		{Key: "efidisk0", Storage: "a", Name: "vm-1-disk-0", EFI: true, Replicate: true},
		{Key: "tpmstate0", Storage: "a", Name: "vm-1-disk-1", TPM: true, Backup: true, Replicate: true},
	}
	if d := cmp.Diff(want, c.Volumes(), ignore); d != "" {
		t.Error(d)
	}
	c, _ = guestcfg.Parse("lxc", []byte("rootfs: zfs:basevol-9-disk-0/subvol-200-disk-0,size=8G\nmp0: zfs:subvol-200-disk-1,mp=/srv,backup=1,replicate=0\n"+
		"mp1: zfs:subvol-200-disk-2,mp=/cache\nmp2: /mnt/data,mp=/data,ro=1,backup=1,shared=1\nmp3: /dev/sdb1,mp=/x\nunused0: zfs:subvol-200-disk-9\n"))
	want = []guestcfg.Volume{
		{Key: "rootfs", Storage: "zfs", Name: "basevol-9-disk-0/subvol-200-disk-0", Size: 8 << 30, Mount: "/", Backup: true, Replicate: true},
		{Key: "mp0", Storage: "zfs", Name: "subvol-200-disk-1", Mount: "/srv", Backup: true},
		{Key: "mp1", Storage: "zfs", Name: "subvol-200-disk-2", Mount: "/cache", Replicate: true},
		{Key: "mp2", Path: "/mnt/data", Mount: "/data", Bind: true, ReadOnly: true, Shared: true, Replicate: true},
		{Key: "mp3", Path: "/dev/sdb1", Mount: "/x", Device: true, Replicate: true},
		{Key: "unused0", Storage: "zfs", Name: "subvol-200-disk-9", Unused: true, Replicate: true},
	}
	if d := cmp.Diff(want, c.Volumes(), ignore); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{9}, c.Current.Templates()); d != "" {
		t.Error(d)
	}
}

// TestLenience holds what PVE makes of lines that are not right, which differs between the kinds.
func TestLenience(t *testing.T) {
	for _, tc := range []struct {
		name, kind, text string
		// key and want are a current setting; "(unset)" when it has to be absent
		key, want string
		problems  []string
	}{
		{"last wins", "qemu", "cores: 1\ncores: 2\n", "cores", "2", []string{"1: cores is set again in line 2, which counts (skipped)"}},
		{"refused does not win", "qemu", "cores: 2\ncores: x\n", "cores", "2", []string{"2: cores: not an integer (skipped)"}},
		{"kept in a container", "lxc", "cores: 2\ncores: x\n", "cores", "x", []string{"2: cores: not an integer; PVE keeps it (warned)", "1: cores is set again in line 2, which counts (skipped)"}},
		{"unknown key", "qemu", "floppy: a\n", "floppy", "(unset)", []string{"1: floppy: PVE knows no such setting (skipped)"}},
		{"delete outside of pending", "qemu", "delete: net0\n", "delete", "(unset)", []string{"1: delete is for the pending section only (skipped)"}},
		{"indented", "qemu", " cores: 2\n", "cores", "(unset)", []string{`1: not a line "key: value": " cores:" (skipped)`}},
		{"carriage returns", "qemu", "cores: 2\r\n", "cores", "2", nil},
		{"no blank needed", "qemu", "cores:2\n", "cores", "2", nil},
		{"no value", "qemu", "cores:\n", "cores", "(unset)", []string{`1: not a line "key: value": "cores:" (skipped)`}},
		{"number too high", "qemu", "scsi31: a:b\n", "scsi31", "(unset)", []string{"1: scsi31: PVE knows no such setting (skipped)"}},
		{"card without model", "qemu", "net0: bridge=vmbr0\n", "net0", "(unset)", []string{"1: net0: the card has no model (skipped)"}},
		{"card with a misspelt property", "qemu", "net0: virtio,bridge=vmbr0,firewal=1\n", "net0", "(unset)", []string{"1: net0: network cards have no property firewal (skipped)"}},
		{"bare name", "qemu", "scsi0: x.qcow2\n", "scsi0", "(unset)", []string{`1: scsi0: not a volume "storage:name": x.qcow2 (skipped)`}},
		{"alias of the second drive", "qemu", "cdrom: local:iso/x.iso\n", "ide2", "local:iso/x.iso", nil},
		{"property twice", "qemu", "agent: 1,type=virtio,type=isa\n", "agent", "(unset)", []string{"1: agent: the property type is set twice (skipped)"}},
		{"unknown section of a machine", "qemu", "[special:other]\ncores: 2\n", "cores", "(unset)", []string{`1: the section "[special:other]" is not known; its settings are ignored (skipped)`}},
		{"unknown section of a container", "lxc", "[special:other]\ncores: 2\n", "cores", "2", []string{`1: "[special:other]" begins no section; the lines after it count for the section before (skipped)`}},
		{"pending of the other kind", "lxc", "[PENDING]\nunprivileged: 1\n", "unprivileged", "(unset)", nil},
		{"pending of containers", "lxc", "unprivileged: 0\n[PVE:Pending]\nunprivileged: 1\n", "unprivileged", "0", nil},
		{"snapshot state anywhere", "qemu", "cores: 2\nname snapstate: delete\n", "cores", "2", nil},
		{"comments anywhere", "lxc", "cores: 2\n#later\n", "cores", "2", nil},
		{"blank value", "lxc", "unprivileged:  \n", "unprivileged", " ", []string{"1: unprivileged: not a boolean (1 or 0); PVE keeps it (warned)"}},
		{"section twice", "qemu", "[aa]\ncores: 1\n[aa]\ncores: 2\n", "cores", "(unset)", []string{"3: the section snapshot aa is there twice; the last counts (warned)"}},
		{"raw key of a machine", "qemu", "lxc.cap.drop: \n", "lxc.cap.drop", "(unset)", []string{`1: not a line "key: value": "lxc.cap.drop:" (skipped)`}},
		{"raw key that PVE makes", "lxc", "lxc.rootfs.path: /\n", "lxc.rootfs.path", "(unset)", []string{"1: lxc.rootfs.path: PVE makes it from rootfs (skipped)"}},
		{"raw key unknown", "lxc", "lxc.mount.x: /\n", "lxc.mount.x", "(unset)", []string{"1: lxc.mount.x: PVE hands no such setting to LXC (skipped)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, problems := guestcfg.Parse(tc.kind, []byte(tc.text))
			got, ok := c.Get(tc.key)
			if !ok {
				got = "(unset)"
			}
			if got != tc.want {
				t.Errorf("%s is %q, want %q", tc.key, got, tc.want)
			}
			var texts []string
			for _, p := range problems {
				texts = append(texts, p.String())
			}
			if d := cmp.Diff(tc.problems, texts); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRaw(t *testing.T) {
	c, problems := guestcfg.Parse("lxc", []byte("lxc.apparmor.profile: unconfined\nlxc.cap.drop =\nlxc.idmap = u 0 0 65536\nlxc.idmap: g 0 0 65536\nlxc.cgroup2.devices.allow: a\nlxc.net.0.type= veth\n[snap1]\nlxc.cap.keep: all\n"))
	if len(problems) != 0 {
		t.Error(problems)
	}
	var got []string
	for _, e := range c.Current.Entries {
		got = append(got, fmt.Sprintf("%d %s=%s", e.Line, e.Key, e.Value))
	}
	want := []string{"1 lxc.apparmor.profile=unconfined", "2 lxc.cap.drop=", "3 lxc.idmap=u 0 0 65536", "4 lxc.idmap=g 0 0 65536", "5 lxc.cgroup2.devices.allow=a", "6 lxc.net.0.type=veth"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := len(c.Current.Raw("lxc.idmap")); n != 2 {
		t.Errorf("%d mappings of ids", n)
	}
	if len(c.Current.Raw("lxc.cap.keep")) != 0 || len(c.Snapshots[0].Raw("lxc.cap.keep")) != 1 {
		t.Error("a raw setting of a snapshot does not stay there")
	}
}

// TestTruth holds Perl's truth of a container's setting that is no boolean.
func TestTruth(t *testing.T) {
	for text, want := range map[string]bool{"": false, "unprivileged: 0\n": false, "unprivileged: off\n": false, "unprivileged: 1\n": true, "unprivileged: maybe\n": true, "unprivileged: Yes\n": true} {
		c, _ := guestcfg.Parse("lxc", []byte(text))
		if c.On("unprivileged") != want {
			t.Errorf("%q is %v", text, !want)
		}
	}
}

func TestSecret(t *testing.T) {
	for key, want := range map[string]bool{"cipassword": true, "env": true, "lxc.environment": true, "lxc.environment.runtime": true, "ciuser": false, "args": false} {
		if guestcfg.Secret(key) != want {
			t.Errorf("Secret(%q) is %v", key, !want)
		}
	}
}

// TestHostile holds that large files cost in proportion to their size, and their problems are bounded.
func TestHostile(t *testing.T) {
	for name, b := range map[string]string{
		"lines":      strings.Repeat("a\n", 500_000),
		"keys":       strings.Repeat("cores: 1\n", 100_000),
		"cards":      strings.Repeat("net0: virtio,bridge=a\n", 50_000),
		"raw":        strings.Repeat("lxc.mount.entry: a\n", 50_000),
		"sections":   strings.Repeat("[aa]\n", 200_000),
		"line":       "args: " + strings.Repeat("x", 10<<20),
		"properties": "scsi0: " + strings.Repeat("a=b,", 250_000),
		"trunks":     "net0: virtio,trunks=" + strings.Repeat("1;", 500_000),
		"nul":        strings.Repeat("\x00", 1<<20),
		"notes":      strings.Repeat("#%41\n", 200_000),
		"cloudinit":  "scsi0: a:" + strings.Repeat("vm-", 300_000),
	} {
		for _, kind := range []string{"qemu", "lxc"} {
			hosttest.Hostile(t, name+" of "+kind, len(b), func() {
				c, problems := guestcfg.Parse(kind, []byte(b))
				use(c)
				if len(problems) > 1001 {
					t.Errorf("%s of %s: %d problems", name, kind, len(problems))
				}
			})
		}
	}
}

func use(c *guestcfg.Config) {
	c.NICs()
	c.Volumes()
	c.Tags()
	next := c.Next()
	next.NICs()
	next.Volumes()
	next.Templates()
	for i := range c.Snapshots {
		c.Snapshots[i].Volumes()
	}
}

// line makes lines like those that a person or PVE writes.
func line(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "#notes", "[PENDING]", "[pve:pending]", "[snap1]", "[special:cloudinit]", "[x]", "cores: 2", "net0: virtio=00:00:00:00:00:01,bridge=vmbr0",
			"scsi0: local:vm-1-disk-0,size=1G", "rootfs: local:subvol-1-disk-0", "mp0: /srv,mp=/srv", "delete: net0,cores", "lxc.cap.drop: sys_admin", "unprivileged: 1", "snaptime: 17", "tags: a;b"}),
		rapid.StringMatching(`[a-z]{1,6}[0-9]{0,2}: ?[ -~]{0,20}`),
		rapid.String(),
	).Draw(t, "line")
}

// TestLossless holds that the file is given back byte for byte, that every line is either an entry, a header, a comment,
// blank or a problem, and that an entry says the line it came from.
func TestLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.Custom(line), 0, 20).Draw(t, "lines"), "\n")
		kind := rapid.SampledFrom([]string{"qemu", "lxc"}).Draw(t, "kind")
		c, problems := guestcfg.Parse(kind, []byte(text))
		if string(c.Bytes()) != text {
			t.Fatal("the bytes are not those that were read")
		}
		lines := strings.Split(text, "\n")
		sections := []guestcfg.Section{c.Current, c.Pending}
		sections = append(sections, c.Special...)
		for _, s := range c.Snapshots {
			sections = append(sections, s.Section)
		}
		for _, s := range sections {
			for i, e := range s.Entries {
				if e.Line < 1 || e.Line > len(lines) || (e.Key != "ide2" && !strings.HasPrefix(lines[e.Line-1], e.Key)) {
					t.Fatalf("%+v does not stand in its line", e)
				}
				if i > 0 && s.Entries[i-1].Line >= e.Line {
					t.Fatal("the order is lost")
				}
			}
		}
		for _, p := range problems {
			if p.Line < 0 || p.Line > len(lines) {
				t.Fatalf("%v is outside of the file", p)
			}
		}
	})
}

// TestNext holds that pending settings win and pending deletes take away, and nothing else changes.
func TestNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := []string{"cores", "sockets", "memory", "onboot", "tablet"}
		draw := func(name string) map[string]string {
			return rapid.MapOf(rapid.SampledFrom(keys), rapid.SampledFrom([]string{"0", "1"})).Draw(t, name)
		}
		current, pending := draw("current"), draw("pending")
		gone := rapid.SliceOfDistinct(rapid.SampledFrom(keys), rapid.ID[string]).Draw(t, "deletes")
		var b bytes.Buffer
		write := func(m map[string]string) {
			for _, k := range keys {
				if v, ok := m[k]; ok {
					fmt.Fprintf(&b, "%s: %s\n", k, v)
				}
			}
		}
		write(current)
		b.WriteString("[PENDING]\n")
		write(pending)
		if len(gone) > 0 {
			fmt.Fprintf(&b, "delete: %s\n", strings.Join(gone, ","))
		}
		c, problems := guestcfg.Parse("qemu", b.Bytes())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		want := map[string]string{}
		for k, v := range current {
			want[k] = v
		}
		for _, k := range gone {
			delete(want, k)
		}
		for k, v := range pending {
			want[k] = v
		}
		next := c.Next()
		for _, k := range keys {
			v, ok := next.Get(k)
			if w, has := want[k]; has != ok || v != w {
				t.Fatalf("%s is %q (%v), want %q (%v) in\n%s", k, v, ok, w, has, b.String())
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{web, "rootfs: a:b\nlxc.idmap: u 0 0 1\n[pve:pending]\ndelete: a\n", "\x00\n[", "[aa]\n[aa]", "cdrom: x", "#%", "a:", "snapstate: prepare"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, machine bool) {
		kind := guestcfg.LXC
		if machine {
			kind = guestcfg.QEMU
		}
		c, problems := guestcfg.Parse(kind, []byte(text))
		use(c)
		if string(c.Bytes()) != text {
			t.Fatal("lossy")
		}
		for _, p := range problems {
			if p.Effect == pve.Aborted {
				t.Fatal("PVE refuses no guest as a whole")
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(web)
	b.ReportAllocs()
	for b.Loop() {
		guestcfg.Parse("qemu", text)
	}
}
