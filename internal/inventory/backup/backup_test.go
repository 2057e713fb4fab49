package backup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/backup"
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// estate is a small cluster: two nodes, guests on both, a backup server and local directories.
func estate(files map[string]string) *host.Memory {
	m := &host.Memory{Files: map[string][]byte{}, Answers: map[string][]byte{}, Errs: map[string]error{}, Dirs: []string{"/etc/pve/nodes/pve1", "/etc/pve/nodes/pve2"}}
	base := map[string]string{
		"/etc/hostname":                            "pve1\n",
		"/etc/pve/corosync.conf":                   "totem {\n cluster_name: c\n}\nnodelist {\n node {\n  name: pve1\n }\n node {\n  name: pve2\n }\n}\n",
		"/etc/pve/storage.cfg":                     "dir: local\n\tpath /var/lib/vz\n\tcontent backup,iso\n\npbs: pbs\n\tserver 192.0.2.50\n\tdatastore d\n\tencryption-key aa\n\nlvmthin: lvm\n\tvgname v\n\tthinpool t\n\ncifs: off\n\tserver s\n\tshare x\n\tcontent backup\n\tdisable\n\nnfs: isos\n\tserver s\n\texport /e\n\tcontent iso\n\ndir: two\n\tpath /srv\n\tcontent backup\n\tnodes pve2\n",
		"/etc/pve/user.cfg":                        "pool:p:c:100,200:\npool:p/q:c:101:\n",
		"/etc/pve/nodes/pve1/qemu-server/100.conf": "name: a\nscsi0: lvm:vm-100-disk-0\n",
		"/etc/pve/nodes/pve1/qemu-server/101.conf": "name: b\nscsi0: lvm:vm-101-disk-0\nscsi1: lvm:vm-101-disk-1,backup=0\nefidisk0: lvm:vm-101-disk-2\nide2: none,media=cdrom\n",
		"/etc/pve/nodes/pve2/lxc/200.conf":         "hostname: d\nrootfs: lvm:vm-200-disk-0\nmp0: lvm:vm-200-disk-1,mp=/data\nmp1: /srv/x,mp=/x\nmp2: lvm:vm-200-disk-2,mp=/y,backup=1\n",
		"/etc/pve/nodes/pve2/qemu-server/102.conf": "name: t\ntemplate: 1\nscsi0: lvm:base-102-disk-0\n",
	}
	for name, text := range base {
		m.Files[name] = []byte(text)
	}
	for name, text := range files {
		if rest, ok := strings.CutPrefix(name, "answer "); ok {
			m.Answers[rest] = []byte(text)
			continue
		}
		m.Files[name] = []byte(text)
	}
	return m
}

func assess(t *testing.T, m *host.Memory) *backup.Report {
	t.Helper()
	c, err := inventory.Read(m, 0)
	if err != nil {
		t.Fatal(err)
	}
	return backup.Assess(c, m, now())
}

// TestSelection follows get_included_guests of pve-manager, and what vzdump does with the storage.
func TestSelection(t *testing.T) {
	all := "100 covered, 101 partial, 102 covered, 200 partial"
	for _, tc := range []struct{ name, jobs, want string }{
		{"nothing", "", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"all", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage pbs\n", all},
		{"all without some", "vzdump: j\n\tschedule 01:00\n\tall 1\n\texclude 100,102\n\tstorage pbs\n", "100 uncovered, 101 partial, 102 uncovered, 200 partial"},
		{"exclude implies all", "vzdump: j\n\tschedule 01:00\n\texclude 100\n\tstorage pbs\n", "100 uncovered, 101 partial, 102 covered, 200 partial"},
		{"vmid before all", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tvmid 100\n\tstorage pbs\n", "100 covered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"pool before vmid, direct members only", "vzdump: j\n\tschedule 01:00\n\tpool p\n\tvmid 101\n\tstorage pbs\n", "100 covered, 101 uncovered, 102 uncovered, 200 partial"},
		{"nested pool", "vzdump: j\n\tschedule 01:00\n\tpool p/q\n\tstorage pbs\n", "100 uncovered, 101 partial, 102 uncovered, 200 uncovered"},
		{"node", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tnode pve2\n\tstorage pbs\n", "100 uncovered, 101 uncovered, 102 covered, 200 partial"},
		{"disabled", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tenabled 0\n\tstorage pbs\n", "100 disabled, 101 disabled, 102 disabled, 200 disabled"},
		{"no schedule", "vzdump: j\n\tall 1\n\tstorage pbs\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"no selector", "vzdump: j\n\tschedule 01:00\n\tstorage pbs\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"bad id fails the job", "vzdump: j\n\tschedule 01:00\n\tvmid 100,x\n\tstorage pbs\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"no such storage", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage gone\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"disabled storage", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage off\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"storage for something else", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage isos\n", "100 uncovered, 101 uncovered, 102 uncovered, 200 uncovered"},
		{"storage of one node", "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage two\n", "100 uncovered, 101 uncovered, 102 covered, 200 partial"},
		{"storage by default", "vzdump: j\n\tschedule 01:00\n\tall 1\n", all},
		{"of PVE 7", "vzdump: j\n\tdow sat,sun\n\tstarttime 01:00\n\tall 1\n", all},
	} {
		rep := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": tc.jobs}))
		var got []string
		for _, g := range rep.Guests {
			got = append(got, fmt.Sprintf("%d %s", g.ID, g.Status))
		}
		if d := cmp.Diff(tc.want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

func TestCron(t *testing.T) {
	rep := assess(t, estate(map[string]string{"/etc/pve/vzdump.cron": "PATH=\"/bin\"\n0 1 * * 6           root vzdump 100 --quiet 1 --storage pbs\n0 1 * * * root #vzdump 101 --storage pbs\n@daily root vzdump --all\n"}))
	one, _ := rep.Guest(100)
	two, _ := rep.Guest(101)
	if one.Status != backup.Covered || one.RPOHours != 168 || two.Status != backup.Disabled || !two.PVESays {
		t.Errorf("%+v\n%+v", one, two)
	}
}

func TestVolumes(t *testing.T) {
	rep := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage pbs\n"}))
	vm, _ := rep.Guest(101)
	ct, _ := rep.Guest(200)
	if d := cmp.Diff([]backup.Volume{{Key: "scsi1", Volume: "lvm:vm-101-disk-1", Why: "backup=0"}}, vm.LeftOut); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]backup.Volume{{Key: "mp0", Volume: "lvm:vm-200-disk-1", Why: "no backup=1"}, {Key: "mp1", Volume: "/srv/x", Why: "a directory of the node"}}, ct.LeftOut); d != "" {
		t.Error(d)
	}
}

func content(items ...string) string { return "[" + strings.Join(items, ",") + "]" }

func item(storage string, id int, at time.Time, more string) string {
	return fmt.Sprintf(`{"volid":"%s:backup/vm/%d/x","content":"backup","ctime":%d,"vmid":%d%s}`, storage, id, at.Unix(), id, more)
}

func TestAge(t *testing.T) {
	job := "vzdump: j\n\tschedule 01:00\n\tvmid 100,101\n\tstorage pbs\n"
	old, fresh := now().Add(-12*24*time.Hour), now().Add(-11*time.Hour)
	m := estate(map[string]string{"/etc/pve/jobs.cfg": job,
		"answer pvesh-nodes-pve1-storage-pbs-content": content(item("pbs", 100, old, `,"encrypted":"aa","verification":{"state":"ok"}`), item("pbs", 100, fresh, `,"verification":{"state":"failed"}`),
			item("pbs", 101, fresh, ""), item("pbs", 555, old, ""), `{"content":"iso"}`, `7`, `{"content":"backup","vmid":"x"}`),
	})
	rep := assess(t, m)
	a, _ := rep.Guest(100)
	if !a.Stale || !a.LastKnown || a.AgeHours != 288 || a.AllowedHours != 36 || a.Failed != 1 || !a.Last.Encrypted || !a.Bad() {
		t.Errorf("%+v", a)
	}
	b, _ := rep.Guest(101)
	if b.Stale || b.AgeHours != 11 || b.Last.Encrypted {
		t.Errorf("%+v", b)
	}
	if d := cmp.Diff([]backup.Orphan{{ID: 555, Storage: "pbs", Count: 1, Last: old}}, rep.Orphans); d != "" {
		t.Error(d)
	}
	// Without an answer the age is not known, and nothing is called stale.
	c, _ := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": job})).Guest(100)
	if c.Stale || c.LastKnown || c.Last != nil {
		t.Errorf("%+v", c)
	}
	// A storage that is empty says that there is no backup.
	d, _ := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": job, "answer pvesh-nodes-pve2-storage-pbs-content": "[]"})).Guest(100)
	if !d.Stale || !d.LastKnown {
		t.Errorf("%+v", d)
	}
}

func TestDumpDirectory(t *testing.T) {
	m := estate(map[string]string{"/etc/pve/jobs.cfg": "vzdump: j\n\tschedule 01:00\n\tall 1\n\tstorage local\n",
		"/var/lib/vz/dump/vzdump-qemu-100-2026_11_20-01_00_01.vma.zst": "", "/var/lib/vz/dump/vzdump-qemu-100-2026_11_20-01_00_01.log": "",
		"/var/lib/vz/dump/vzdump-qemu-101-2026_11_20-01_00_01.vma.dat": "", "/var/lib/vz/dump/vzdump-lxc-200-2026_11_20-01_00_01.tar.zst": ""})
	rep := assess(t, m)
	a, _ := rep.Guest(100)
	if a.Last == nil || a.AgeHours != 11 || a.Stale || !a.SameHost {
		t.Errorf("%+v", a)
	}
	b, _ := rep.Guest(101)
	if b.Last != nil || !b.Stale {
		t.Errorf("a file that is being written counts: %+v", b)
	}
	// "local" of the other node could not be read; what lies on this one is a backup all the same.
	c, _ := rep.Guest(200)
	if c.Last == nil || c.Stale {
		t.Errorf("%+v", c)
	}
}

func TestSameHost(t *testing.T) {
	job := "vzdump: j\n\tschedule 01:00\n\tvmid 100\n\tstorage "
	for place, want := range map[string]bool{"local": true, "pbs": false} {
		g, _ := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": job + place + "\n"})).Guest(100)
		if g.SameHost != want {
			t.Errorf("%s: %+v", place, g)
		}
	}
	for node, want := range map[string]bool{"pve1": true, "pve2": false} {
		rep := assess(t, estate(map[string]string{"/etc/pve/jobs.cfg": job + "pbs\n", "/etc/pve/nodes/" + node + "/qemu-server/300.conf": "name: x\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nipconfig0: ip=192.0.2.50/24\n"}))
		g, _ := rep.Guest(100)
		if g.SameHost != want || !slices.ContainsFunc(rep.Problems, func(p backup.Problem) bool { return p.Code == "server-in-cluster" }) {
			t.Errorf("the backup server as a guest on %s: %+v %+v", node, g, rep.Problems)
		}
	}
}

// A backup server is found by any address that the node knows for its name, however the address is written.
func TestServerByName(t *testing.T) {
	rep := assess(t, estate(map[string]string{
		"/etc/pve/storage.cfg": "pbs: pbs\n\tserver Backup.example.org\n\tdatastore d\n",
		"/etc/hosts":           "2001:DB8:0::50 backup.example.org\n192.0.2.60 backup.example.org backup\n",
		"/etc/pve/nodes/pve1/qemu-server/300.conf": "name: x\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nipconfig0: ip6=2001:db8::0050/64\n",
	}))
	if !slices.ContainsFunc(rep.Problems, func(p backup.Problem) bool { return p.Code == "server-in-cluster" }) {
		t.Errorf("%+v", rep.Problems)
	}
}

func TestUnread(t *testing.T) {
	for _, name := range []string{"/etc/pve/jobs.cfg", "/etc/pve/storage.cfg", "/etc/pve/user.cfg"} {
		m := estate(map[string]string{"/etc/pve/jobs.cfg": "vzdump: j\n\tschedule 01:00\n\tpool p\n\tstorage pbs\n"})
		delete(m.Files, name)
		m.Errs[name] = host.ErrTooLarge
		g, _ := assess(t, m).Guest(100)
		if g.Status != backup.Unknown {
			t.Errorf("without %s: %s", name, g.Status)
		}
	}
}

// TestCovered: whatever the jobs are, a guest is covered only by a job that is on, and PVE's report is never stricter.
func TestCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for i := range rapid.IntRange(0, 5).Draw(t, "jobs") {
			fmt.Fprintf(&text, "vzdump: j%d\n\tschedule %s\n", i, rapid.SampledFrom([]string{"01:00", "never", "sat 1:00"}).Draw(t, "schedule"))
			for _, line := range rapid.SliceOf(rapid.SampledFrom([]string{"all 1", "vmid 100,200", "pool p", "exclude 101", "enabled 0", "node pve1", "storage pbs", "storage off", "storage two"})).Draw(t, "lines") {
				fmt.Fprintf(&text, "\t%s\n", line)
			}
			text.WriteString("\n")
		}
		m := estate(map[string]string{"/etc/pve/jobs.cfg": text.String()})
		c, err := inventory.Read(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		rep := backup.Assess(c, m, now())
		for _, g := range rep.Guests {
			saved := g.Status == backup.Covered || g.Status == backup.Partial
			if saved != (len(g.Jobs) > 0) || saved != (len(g.Places) > 0) || saved && !g.PVESays {
				t.Fatalf("%+v", g)
			}
			if g.Status == backup.Disabled && (len(g.DisabledJobs) == 0 || !g.PVESays) {
				t.Fatalf("%+v", g)
			}
		}
	})
}

func FuzzContent(f *testing.F) {
	f.Add([]byte(`[{"content":"backup","vmid":100,"ctime":1}]`), []byte("vzdump: j\n\tall 1\n\tschedule 1:00\n"))
	f.Add([]byte(`{"data":[{"content":"backup","vmid":"100","ctime":"99","encrypted":1}]}`), []byte("\x00"))
	f.Add([]byte(`{"data":null}`), []byte("vzdump: j\n\texclude 5\n\tdumpdir /x\n"))
	f.Fuzz(func(t *testing.T, answer, jobs []byte) {
		m := estate(map[string]string{"/etc/pve/jobs.cfg": string(jobs), "answer pvesh-nodes-pve1-storage-pbs-content": string(answer)})
		c, err := inventory.Read(m, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range backup.Assess(c, m, now()).Guests {
			if g.Stale && g.AllowedHours == 0 {
				t.Fatal("stale without a schedule")
			}
		}
	})
}
