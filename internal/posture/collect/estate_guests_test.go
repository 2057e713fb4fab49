package collect_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/host/hosttest"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// guestTree writes files below a directory and opens it as a copy made at a fixed time.
func guestTree(t testing.TB, files map[string]string) *host.Tree {
	t.Helper()
	if _, ok := files[".castellan/meta"]; !ok {
		files[".castellan/meta"] = "now 2026-11-20T12:00:00Z\n"
	}
	return hosttest.Open(t, hosttest.Write(t, files))
}

func guestFacts(t testing.TB, r host.Reader, d host.Description) posture.GuestFacts {
	t.Helper()
	f, err := collect.Run(r, d, []collect.Collector{collect.Estate()})
	if err != nil {
		t.Fatal(err)
	}
	return f.Guests
}

const (
	vmPath = "etc/pve/nodes/%s/qemu-server/%d.conf"
	ctPath = "etc/pve/nodes/%s/lxc/%d.conf"
)

// TestGuestDefaults holds that what a configuration does not say has the value that PVE uses, on every node.
func TestGuestDefaults(t *testing.T) {
	d := guestTree(t, map[string]string{
		"etc/hostname":                        "pve1\n",
		fmt.Sprintf(vmPath, "pve2", 100):      "name: bare\nscsi0: l:vm-100-disk-0\n",
		fmt.Sprintf(ctPath, "pve3", 200):      "hostname: bare\n",
		fmt.Sprintf(vmPath, "pve1", 101):      "name: full\nkvm: 0\ntablet: 0\nagent: 1\nmemory: 4096\ncores: 2\nsockets: 2\nallow-ksm: 0\nnet0: virtio,bridge=vmbr0,firewall=1,rate=10\n",
		fmt.Sprintf(vmPath, "pve1", 102):      "#only notes\n\n[before]\nagent: 1\ncores: 8\nargs: -x\n",
		".castellan/run/pvesh-unrelated.json": "{}",
	})
	f := guestFacts(t, d, d.Describe())
	vms := map[int]posture.VM{}
	for _, v := range f.QEMU.Value {
		vms[v.ID] = v
	}
	bare := vms[100]
	if bare.Title != "vm 100 bare" || bare.Node != "pve2" || bare.Here || !bare.KVM || bare.Agent || bare.CPU != "kvm64" || !bare.CPUDefault || bare.OVMF ||
		bare.Memory != 512 || bare.Cores != 1 || !bare.AllowKSM || !bare.Tablet || bare.Machine != "i440fx" || len(bare.CPUMissing) == 0 {
		t.Errorf("the defaults of a virtual machine are %+v", bare)
	}
	full := vms[101]
	if full.KVM || full.Tablet || !full.Agent || full.Memory != 4096 || full.Cores != 4 || full.AllowKSM || !full.Here || !full.NICs[0].Firewall || full.NICs[0].Rate != 10 {
		t.Errorf("what is set: %+v", full)
	}
	if s := vms[102]; s.Agent || s.Cores != 1 || s.Args != "" {
		t.Errorf("a snapshot counts as current: %+v", s)
	}
	if len(f.LXC.Value) != 1 {
		t.Fatal("no container")
	}
	if c := f.LXC.Value[0]; c.Unprivileged || c.Memory != 512 || c.MemorySet || c.Cores != 0 || c.CMode != "tty" || c.Title != "ct 200 bare" {
		t.Errorf("the defaults of a container are %+v", c)
	}
	if len(f.Lives.Value) != 4 {
		t.Errorf("%d lives", len(f.Lives.Value))
	}
	for _, l := range f.Lives.Value {
		if l.Running.IsKnown() || l.IdleDays.IsKnown() || l.From.IsKnown() {
			t.Errorf("%s: nobody told its state or template", l.Guest)
		}
	}
	if f.OrphansAsked.IsKnown() || f.Zones.IsKnown() || f.TemplatesClean.IsKnown() || f.KSM.IsKnown() {
		t.Error("what nobody told is known")
	}
}

// unreadable refuses one file.
type unreadable struct {
	host.Reader
	path string
}

func (u unreadable) ReadFile(p string) ([]byte, error) {
	if p == u.path {
		return nil, &host.Error{Op: "read", Path: p, Err: fs.ErrPermission}
	}
	return u.Reader.ReadFile(p)
}

// TestGuestUnreadable holds that one configuration that cannot be read makes nothing pass.
func TestGuestUnreadable(t *testing.T) {
	d := guestTree(t, map[string]string{fmt.Sprintf(vmPath, "pve1", 100): "name: a\n", fmt.Sprintf(ctPath, "pve1", 200): "hostname: b\n"})
	f := guestFacts(t, unreadable{d, "/etc/pve/nodes/pve1/lxc/200.conf"}, d.Describe())
	for name, known := range map[string]bool{"qemu": f.QEMU.IsKnown(), "lxc": f.LXC.IsKnown(), "lives": f.Lives.IsKnown(), "exposures": f.Exposures.IsKnown(),
		"waiting": f.Waiting.IsKnown(), "rejected": f.Rejected.IsKnown(), "segments": f.Segments.IsKnown(), "templates": f.Templates.IsKnown(), "orphans": f.OrphansAsked.IsKnown()} {
		if known {
			t.Errorf("%s is known although a configuration could not be read", name)
		}
	}
	if f.LXC.Problem == nil || f.LXC.Problem.Code != "permission" {
		t.Errorf("the problem is %+v", f.LXC.Problem)
	}
}

// TestGuestSecrets holds that no secret of a configuration gets into a fact.
func TestGuestSecrets(t *testing.T) {
	const secret = "hunter2"
	d := guestTree(t, map[string]string{
		fmt.Sprintf(vmPath, "pve1", 100): "#root password%3A " + secret + "\nname: a\ncipassword: " + secret + "\nargs: -object secret,id=s,data=" + secret + " -vnc :1,password=" + secret + "\n" +
			" cipassword: " + secret + "\ncipasswort " + secret[:0] + "\n[before]\ncipassword: " + secret + "\n",
		fmt.Sprintf(ctPath, "pve1", 200): "hostname: b\nenv: TOKEN=" + secret + "\nlxc.environment: A=" + secret + "\n env: " + secret + "\n",
	})
	b, err := json.Marshal(guestFacts(t, d, d.Describe()))
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(b), secret); i >= 0 {
		t.Errorf("a secret is in the facts: ...%s...", b[max(0, i-100):i+20])
	}
}

// TestGuestState holds what the API, the task log and the files tell together.
func TestGuestState(t *testing.T) {
	start := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	d := guestTree(t, map[string]string{
		"etc/hostname":                    "pve1\n",
		fmt.Sprintf(vmPath, "pve1", 100):  "name: off\nscsi0: l:vm-100-disk-0\n",
		fmt.Sprintf(vmPath, "pve1", 101):  "name: never\ntags: zone-dmz\nnet0: virtio,bridge=vmbr0,tag=5\n",
		fmt.Sprintf(vmPath, "pve1", 102):  "name: on\ntags: zone-lan\nnet0: virtio,bridge=vmbr0,tag=5\nserial0: socket\n\n[PENDING]\ndelete: serial0\n",
		fmt.Sprintf(vmPath, "pve2", 103):  "name: elsewhere\nserial0: socket\n\n[PENDING]\ndelete: serial0\n",
		fmt.Sprintf(vmPath, "pve1", 9000): "name: t\ntemplate: 1\ntags: zone-lab\nnet0: virtio,bridge=vmbr0,tag=5\n",
		"var/log/pve/tasks/index": fmt.Sprintf("UPID:pve1:0001:0001:%X:qmstart:100:root@pam: %X OK\nUPID:pve1:0001:0001:%X:vzdump::root@pam: %X OK\n",
			start.Unix(), start.Unix(), start.Unix()-86400, start.Unix()),
		".castellan/run/pvesh-cluster-resources":       `[{"type":"qemu","vmid":100,"status":"stopped"},{"type":"qemu","vmid":101,"status":"stopped"},{"type":"qemu","vmid":102,"status":"running"},{"type":"qemu","vmid":103,"status":"stopped"}]`,
		".castellan/run/pvesh-nodes-pve1-qemu":         `[{"vmid":102,"running-qemu":"9.0.2"}]`,
		".castellan/run/pvesh-nodes-pve1-apt-versions": `[{"Package":"pve-qemu-kvm","OldVersion":"9.0.2-4"}]`,
	})
	f := guestFacts(t, d, d.Describe())
	type life struct {
		Running string
		Idle    int
	}
	got := map[int]life{}
	for _, l := range f.Lives.Value {
		x := life{Running: "?", Idle: -1}
		if l.Running.IsKnown() {
			x.Running = fmt.Sprint(l.Running.Value)
		}
		if l.IdleDays.IsKnown() {
			x.Idle = l.IdleDays.Value
		}
		got[l.ID] = x
	}
	want := map[int]life{100: {"false", 142}, 101: {"false", 143}, 102: {"true", 0}, 103: {"false", -1}, 9000: {"?", -1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(f.Waiting.Value) != 1 || f.Waiting.Value[0].ID != 102 {
		t.Errorf("only the machine that runs waits for a restart: %+v", f.Waiting.Value)
	}
	var zones []string
	for _, s := range f.Segments.Value {
		zones = append(zones, s.Name+" "+strings.Join(s.Zones, " "))
	}
	if d := cmp.Diff([]string{"vmbr0 VLAN 5 zone-dmz zone-lan"}, zones); d != "" {
		t.Error("a template is on no network: " + d)
	}
	for _, v := range f.QEMU.Value {
		if v.ID == 102 && (!v.Outdated.IsKnown() || v.Outdated.Value) {
			t.Errorf("the machine runs what is installed: %+v", v.Outdated)
		}
	}
}

// TestGuestExposureKinds holds that each kind of exposure is a key, so that a control that asks for it is never unknown.
func TestGuestExposureKinds(t *testing.T) {
	d := guestTree(t, map[string]string{"etc/pve/user.cfg": "user:root@pam:1:0:::::\n"})
	f := guestFacts(t, d, d.Describe())
	if !f.Exposures.IsKnown() || len(f.Exposures.Value) < 50 || f.Exposures.Value["args"] == nil {
		t.Errorf("%d kinds", len(f.Exposures.Value))
	}
}

// BenchmarkGuestFacts measures the subject for 1,000 guests. The budget of a whole scan of such a cluster is 1.5 s.
func BenchmarkGuestFacts(b *testing.B) {
	files := map[string]string{"etc/hostname": "pve1\n"}
	for i := range 1000 {
		files[fmt.Sprintf(vmPath, fmt.Sprintf("pve%d", i%10), 1000+i)] = "#Owner%3A a\nagent: 1\ncores: 2\ncpu: x86-64-v2-AES\nmemory: 2048\nname: g\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=10\n" +
			"scsi0: l:vm-1-disk-0,size=8G\nserial0: socket\ntags: prod;zone-lan\nusb0: host=1-4\n\n[PENDING]\ndelete: serial0\n\n[s1]\nsnaptime: 1790000000\nscsi0: l:vm-1-disk-0\n"
	}
	d := guestTree(b, files)
	desc := d.Describe()
	b.ReportAllocs()
	for b.Loop() {
		guestFacts(b, d, desc)
	}
}
