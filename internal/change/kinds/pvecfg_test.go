package kinds

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	dccfg "github.com/castellan-project/castellan/internal/pve/datacenter"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

func TestDatacenter(t *testing.T) {
	for _, tc := range []struct {
		name, before, after string
		set                 map[string]string
	}{
		{"a text is encoded", "keyboard: en-us\n", "keyboard: en-us\nconsent-text: Authorized%3A nobody%0Aelse\n", map[string]string{"consent-text": "Authorized: nobody\nelse"}},
		{"a file is made", "", "keyboard: de\n", map[string]string{"keyboard": "de"}},
		{"the network stays", "# c\nmigration: insecure,network=192.0.2.0/24\nhttp_proxy: http://a:FAKE@192.0.2.1:3128", "# c\nmigration: network=192.0.2.0/24\nhttp_proxy: http://a:FAKE@192.0.2.1:3128", map[string]string{"migration.type": "!insecure"}},
		{"written out", "migration: type=insecure,network=192.0.2.0/24\r\n", "migration: network=192.0.2.0/24\r\n", map[string]string{"migration.type": "!insecure"}},
		{"nothing is left", "migration: insecure\nkeyboard: de\n", "keyboard: de\n", map[string]string{"migration.type": "!insecure", "migration_unsecure": "!1"}},
		{"the older key", "migration_unsecure: 1\n", "", map[string]string{"migration.type": "!insecure", "migration_unsecure": "!1"}},
		{"a part is set", "", "migration: secure\n", map[string]string{"migration.type": "secure"}},
		{"it holds", "migration: secure\n", "migration: secure\n", map[string]string{"migration.type": "secure", "replication.type": "!insecure"}},
	} {
		files := map[string]string{"etc/pve/nodes/a/host.fw": ""}
		if tc.before != "" {
			files["etc/pve/datacenter.cfg"] = tc.before
		}
		b := newBench(t, false, files)
		c := change.Change{Kind: "datacenter", Set: tc.set}
		if got := b.after(t, []string{datacenterFile}, c, c)[datacenterFile]; got != tc.after {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.after)
		}
	}
	b := newBench(t, false, map[string]string{"etc/pve/datacenter.cfg": "keyboard: de\n"})
	for set, want := range map[string]string{"no_such": "no setting", "migration": "no value"} {
		p := b.plan(t, change.Change{Kind: "datacenter", Set: map[string]string{set: "x=y"}})
		if len(p.Omitted) != 1 || !strings.Contains(p.Omitted[0].Reason, want) {
			t.Errorf("%s: %+v", set, p.Omitted)
		}
	}
}

// The password of the proxy is in no plan.
func TestDatacenterSecret(t *testing.T) {
	b := newBench(t, false, map[string]string{"etc/pve/datacenter.cfg": "http_proxy: http://a:FAKE@192.0.2.1:3128\nmigration: insecure\n"})
	p := b.plan(t, change.Change{Kind: "datacenter", Set: map[string]string{"migration.type": "!insecure"}})
	if d := p.Windows[0].Steps[0].Diff; strings.Contains(d, "FAKE") || !strings.Contains(d, "-migration: insecure") {
		t.Error(d)
	}
}

const storages = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n\n# the second\ncifs: archive\n    server 192.0.2.9\n    share a\n    disable\n\npbs: bb\n\tserver 192.0.2.8\n\tdatastore d\n\tprune-backups keep-last=3,keep-daily=7"

func TestStorage(t *testing.T) {
	for _, tc := range []struct {
		name, id, before, after string
		set                     map[string]string
	}{
		{"a setting is added", "archive", "    disable\n", "    disable\n    options seal\n", map[string]string{"options": "seal"}},
		{"a value is replaced", "local", "\tcontent iso,backup\n", "\tcontent iso\n", map[string]string{"content": "iso"}},
		{"a bare word goes", "archive", "    disable\n", "", map[string]string{"disable": ""}},
		{"a bare word is there", "archive", "", "", map[string]string{"disable": "1"}},
		{"two parts", "bb", "keep-last=3,keep-daily=7", "keep-last=5,keep-daily=7,keep-weekly=4\n", map[string]string{"prune-backups.keep-last": "5", "prune-backups.keep-weekly": "4"}},
		{"at the end of the file", "bb", "keep-daily=7", "keep-daily=7\n\tnodes a\n", map[string]string{"nodes": "a"}},
	} {
		b := newBench(t, false, map[string]string{"etc/pve/storage.cfg": storages})
		c := change.Change{Kind: "storage", Set: tc.set, Each: []string{tc.id}}
		got := b.after(t, []string{storageFile}, c, c)[storageFile]
		if want := strings.Replace(storages, tc.before, tc.after, 1); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, want)
		}
	}
	b := newBench(t, false, map[string]string{"etc/pve/storage.cfg": storages})
	for _, tc := range []struct{ id, key, value, want string }{
		{"nas", "nodes", "a", "no storage"}, {"local", "datastore", "x", "no setting"}, {"local", "content", "x", "would not accept"}, {"local", "nodes", "a\n\tb", "line break"}} {
		p := b.plan(t, change.Change{Kind: "storage", Each: []string{tc.id}, Set: map[string]string{tc.key: tc.value}})
		if len(p.Omitted) != 1 || !strings.Contains(p.Omitted[0].Reason, tc.want) {
			t.Errorf("%+v: %+v", tc, p.Omitted)
		}
	}
}

// checkCfgEdit edits both files, whatever they hold: a second time changes nothing, and the lines that are not meant stay.
func checkCfgEdit(t interface {
	Fatalf(string, ...any)
}, content string) {
	once := dccfg.Set([]byte(content), "keyboard", "de")
	if twice := dccfg.Set(once, "keyboard", "de"); string(twice) != string(once) {
		t.Fatalf("%q\n%q\n%q", content, once, twice)
	}
	if v, _ := dccfg.Raw(once, "keyboard"); v != "de" {
		t.Fatalf("%q\n%q", content, once)
	}
	if gone := dccfg.Set(once, "keyboard", ""); len(gone) > len(content)+1 {
		t.Fatalf("%q\n%q", content, gone)
	}
	for _, value := range []string{"iso", ""} {
		once, ok := storagecfg.Set([]byte(content), "local", "content", value)
		if !ok {
			return
		}
		twice, _ := storagecfg.Set(once, "local", "content", value)
		if string(twice) != string(once) {
			t.Fatalf("%q\n%q\n%q", content, once, twice)
		}
		a, _ := storagecfg.Parse([]byte(content))
		b, _ := storagecfg.Parse(once)
		if len(a.Storages) != len(b.Storages) {
			t.Fatalf("%q\n%q", content, once)
		}
		for i := range a.Storages {
			x, y := a.Storages[i], b.Storages[i]
			if x.ID != "local" && len(x.Section.Keys) != len(y.Section.Keys) {
				t.Fatalf("%s changed: %q\n%q", x.ID, content, once)
			}
		}
		if s, _ := b.Storage("local"); s.Section.Value("content") != value {
			t.Fatalf("%q: %q\n%q", value, content, once)
		}
	}
}

func TestCfgEditProperty(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "# c", "\t# c", "dir: local", "nfs: nas", "\tcontent iso", "\tcontent", " content backup", "\tpath /a", "\tkrbd 0", "content x", "keyboard: x", "keyboard:", " keyboard: y",
		"keyboard: de\r", "http_proxy: x", "dir: local", "\r"})
	rapid.Check(t, func(r *rapid.T) {
		checkCfgEdit(r, strings.Join(rapid.SliceOfN(line, 0, 12).Draw(r, "lines"), "\n")+rapid.SampledFrom([]string{"", "\n"}).Draw(r, "end"))
	})
}

func FuzzCfgEdit(f *testing.F) {
	f.Add(storages)
	f.Add("keyboard: \x00\xff\r\n#\nkeyboard")
	f.Fuzz(func(t *testing.T, content string) { checkCfgEdit(t, content) })
}
