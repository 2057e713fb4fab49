package kinds

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

const (
	vm100 = "etc/pve/nodes/pve1/qemu-server/100.conf"
	ct200 = "etc/pve/nodes/pve1/lxc/200.conf"
)

func TestGuest(t *testing.T) {
	for _, tc := range []struct {
		name, file, before, after string
		set                       map[string]string
	}{
		{"a part of every card", vm100, "#a%3A note\nname: a\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nnet1: virtio=BC:24:11:00:00:02,bridge=vmbr1,firewall=0,tag=5\n\n[s1]\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nsnaptime: 1\n",
			"#a%3A note\nname: a\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\nnet1: virtio=BC:24:11:00:00:02,bridge=vmbr1,firewall=1,tag=5\n\n[s1]\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nsnaptime: 1\n",
			map[string]string{"net*.firewall": "1"}},
		{"another spelling of the same", vm100, "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=yes\n", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=yes\n", map[string]string{"net*.firewall": "1"}},
		{"a part goes, and with the last one the setting", vm100, "vga: clipboard=vnc\nname: a\n", "name: a\n", map[string]string{"vga.clipboard": ""}},
		{"a part goes, the default key stays", vm100, "vga: std,clipboard=vnc,memory=32\r\n", "vga: std,memory=32\r\n", map[string]string{"vga.clipboard": ""}},
		{"only what is unsafe goes", vm100, "scsi0: a:vm-1,cache=unsafe,size=1G\nscsi1: a:vm-2,cache=writeback\n", "scsi0: a:vm-1,size=1G\nscsi1: a:vm-2,cache=writeback\n", map[string]string{"scsi*.cache": "!unsafe"}},
		{"a new setting stands between its neighbours", vm100, "#note\nname: a\nscsihw: lsi\n", "#note\nname: a\nprotection: 1\nscsihw: lsi\n", map[string]string{"protection": "1"}},
		{"a file without its last line end", vm100, "name: a", "name: a\nprotection: 1\n", map[string]string{"protection": "1"}},
		{"an empty file with a note", vm100, "#note\n\n[snap]\nname: a\n", "#note\nprotection: 1\n\n[snap]\nname: a\n", map[string]string{"protection": "1"}},
		{"a line that PVE does not read is replaced", vm100, "protection: perhaps\n", "protection: 1\n", map[string]string{"protection": "1"}},
		{"of two lines the last counts", vm100, "onboot: 1\nonboot: 0\n", "onboot: 1\nonboot: 0\n", map[string]string{"onboot": "!1"}},
		{"a container", ct200, "hostname: c\nnet0: name=eth0,bridge=vmbr0,type=veth\n", "hostname: c\nnet0: name=eth0,bridge=vmbr0,type=veth,firewall=1\n", map[string]string{"net*.firewall": "1"}},
		{"settings of LXC go", ct200, "hostname: c\nlxc.cap.drop:\nlxc.apparmor.profile: unconfined\n", "hostname: c\nlxc.cap.drop:\n", map[string]string{"lxc.apparmor.profile": ""}},
		{"what waits for a restart does not undo it", vm100, "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n\n[PENDING]\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr9\n",
			"net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n\n[PENDING]\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr9,firewall=1\n", map[string]string{"net*.firewall": "1"}},
		{"what waits and holds already stays", vm100, "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n\n[PENDING]\ndelete: serial0\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n",
			"net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n\n[PENDING]\ndelete: serial0\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n", map[string]string{"net*.firewall": "1"}},
		{"empty settings of LXC go", ct200, "hostname: c\nlxc.cap.drop:\nlxc.cap.drop: x\n", "hostname: c\n", map[string]string{"lxc.cap.drop": ""}},
		{"a secret goes", vm100, "cipassword: FAKE\nciuser: a\n", "ciuser: a\n", map[string]string{"cipassword": ""}},
	} {
		b := newBench(t, false, map[string]string{tc.file: tc.before})
		id := strings.TrimSuffix(tc.file[strings.LastIndex(tc.file, "/")+1:], ".conf")
		c := change.Change{Kind: "guest", Set: tc.set, Each: []string{id}}
		got := b.after(t, []string{"/" + tc.file}, c, c)["/"+tc.file]
		if got != tc.after {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.after)
		}
	}
}

func TestGuestCannot(t *testing.T) {
	for _, tc := range []struct {
		name, content, id, want string
		set                     map[string]string
	}{
		{"locked", "lock: backup\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n", "100", "is locked (backup)", map[string]string{"net*.firewall": "1"}},
		{"no such guest", "name: a\n", "999", "there is no guest", map[string]string{"protection": "1"}},
		{"not an id", "name: a\n", "../100", "no VMID", map[string]string{"protection": "1"}},
		{"a pattern as an id", "name: a\n", "*", "no VMID", map[string]string{"protection": "1"}},
		{"not a value", "name: a\n", "100", "not a boolean", map[string]string{"protection": "perhaps"}},
		{"not a setting", "name: a\n", "100", "PVE would not accept", map[string]string{"protecton": "1"}},
		{"more lines", "name: a\n", "100", "line break", map[string]string{"name": "a\nargs: -x"}},
		{"it comes back", "kvm: 0\n\n[PENDING]\nkvm: 0\n", "100", "would bring it back", map[string]string{"kvm": ""}},
		{"it goes", "name: a\n\n[PENDING]\ndelete: protection\n", "100", "waits for the next start", map[string]string{"protection": "1"}},
		{"SPICE", "vga: qxl,clipboard=vnc\n", "100", "SPICE display", map[string]string{"vga.clipboard": ""}},
		{"a quote without end", "vga: std,clipboard=vnc,x=\"\n", "100", "cannot be taken apart", map[string]string{"vga.clipboard": ""}},
		{"LXC's own", "hostname: a\n", "200", "only taken away", map[string]string{"lxc.cap.drop": "sys_admin"}},
	} {
		b := newBench(t, false, map[string]string{vm100: tc.content, ct200: tc.content})
		p := b.plan(t, change.Change{Kind: "guest", Set: tc.set, Each: []string{tc.id}})
		if len(p.Omitted) != 1 || !strings.Contains(p.Omitted[0].Reason, tc.want) || len(p.Windows) > 0 {
			t.Errorf("%s: %+v %+v", tc.name, p.Omitted, p.Windows)
		}
	}
}

// The plan says what a guest that runs takes over at its next start only.
func TestGuestEffects(t *testing.T) {
	b := newBench(t, false, map[string]string{vm100: "cpu: kvm64\nname: a\n"})
	p := b.plan(t, change.Change{Kind: "guest", Set: map[string]string{"cpu": "x86-64-v2-AES", "protection": "1"}, Each: []string{"100"}})
	if e := p.Windows[0].Effects; len(e) != 1 || !strings.HasPrefix(e[0], "vm 100: cpu counts from its next start on") {
		t.Errorf("%q", e)
	}
}

// Whatever a file holds: all lines but those of the setting stay byte for byte, drafting twice is drafting once, and PVE has nothing
// more to complain about.
func checkGuestEdit(t interface {
	Fatalf(string, ...any)
}, kind, content, key, value string) {
	once := guestcfg.Set(kind, []byte(content), key, value)
	if twice := guestcfg.Set(kind, once, key, value); string(twice) != string(once) {
		t.Fatalf("%q\n%q\n%q", content, once, twice)
	}
	was, _ := guestcfg.Parse(kind, []byte(content))
	now, _ := guestcfg.Parse(kind, once)
	if got := now.Value(key); got != value {
		t.Fatalf("%s is %q after %q was set in %q: %q", key, got, value, content, once)
	}
	others := func(c *guestcfg.Config) []string {
		var out []string
		for _, s := range append([]guestcfg.Section{c.Current, c.Pending}, c.Special...) {
			for _, e := range s.Entries {
				if s.Name != "" || e.Key != key {
					out = append(out, s.Name+"/"+e.Key+"="+e.Value)
				}
			}
		}
		for _, s := range c.Snapshots {
			for _, e := range s.Entries {
				out = append(out, s.Name+"/"+e.Key+"="+e.Value)
			}
		}
		return append(out, c.Current.Description)
	}
	if a, b := others(was), others(now); !slices.Equal(a, b) {
		t.Fatalf("%q\n%q\n%q", content, a, b)
	}
}

func TestGuestEditProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"#note", "name: a", "onboot: 1", "onboot: x", "protection: 0", "protection: maybe", "scsi0: a:b,size=1G", "", "[PENDING]", "[snap1]",
		"[special:cloudinit]", "[?]", "lxc.cap.drop: x", "description: text", "snapstate: prepare", "delete: onboot", "no line", " protection: 1", "protection: 1\r"})
	rapid.Check(t, func(r *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 12).Draw(r, "lines")
		content := strings.Join(lines, "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(r, "end")
		checkGuestEdit(r, rapid.SampledFrom([]string{guestcfg.QEMU, guestcfg.LXC}).Draw(r, "kind"), content,
			rapid.SampledFrom([]string{"protection", "onboot"}).Draw(r, "key"), rapid.SampledFrom([]string{"1", ""}).Draw(r, "value"))
	})
}

func FuzzGuestEdit(f *testing.F) {
	f.Add("name: a\x00\nprotection: 0\r\n\n[snap]\nprotection: 0")
	f.Add("#\xff\n[PENDING]\nprotection: 1")
	f.Add(strings.Repeat("x", 1<<16) + ": y\n")
	f.Fuzz(func(t *testing.T, content string) {
		for _, kind := range []string{guestcfg.QEMU, guestcfg.LXC} {
			checkGuestEdit(t, kind, content, "protection", "1")
			checkGuestEdit(t, kind, content, "protection", "")
		}
	})
}
