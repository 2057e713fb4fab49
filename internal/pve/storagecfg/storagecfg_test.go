package storagecfg_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

const sample = `dir: local
	path /var/lib/vz
	content iso,backup
	nodes pve1

PBS: store
	server 192.0.2.50
	datastore main
	username backup@pbs!pve
	encryption-key aa:bb
	master-pubkey 1
	prune-backups keep-last=3,keep-daily=7
	nodes pve2,pve1

nfs: nas
	server 192.0.2.60
	export /e
	options vers=4.2,sec=krb5p
	content-dirs backup=saved/here
	content backup,images

dir: shared
	path /srv
	shared 1

zfspool: zz
	pool rpool/data
	maxfiles 3
`

func TestParse(t *testing.T) {
	c, problems := storagecfg.Parse([]byte(sample))
	if len(problems) != 1 || problems[0].Line != 28 {
		t.Errorf("%v", problems)
	}
	local, _ := c.Storage("local")
	if len(local.Nodes) != 0 || !local.On("pve9") || local.Shared || local.DumpDir() != "/var/lib/vz/dump" || local.RetentionSet || !local.Retention.KeepsAll() {
		t.Errorf("%+v", local)
	}
	pbs, _ := c.Storage("store")
	if !pbs.Shared || !pbs.Encrypted() || !pbs.Token() || !pbs.MasterPubkey || pbs.Port != 8007 || pbs.Retention.Daily != 7 || !pbs.Holds("backup") || pbs.On("pve3") || pbs.DumpDir() != "" {
		t.Errorf("%+v", pbs)
	}
	nas, _ := c.Storage("nas")
	if nas.Path != "/mnt/pve/nas" || nas.DumpDir() != "/mnt/pve/nas/saved/here" || len(nas.Options) != 2 {
		t.Errorf("%+v", nas)
	}
	shared, _ := c.Storage("shared")
	if !shared.Shared || !cmp.Equal(shared.Content, []string{"images", "rootdir"}) || shared.ContentSet {
		t.Errorf("%+v", shared)
	}
}

// TestLenience holds what PVE makes of lines that are not right.
func TestLenience(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		// content is that of the storage "xx", "(none)" when there is no such storage
		content  string
		problems []string
	}{
		{"unknown type", "xfs: xx\n\tpath /x\n", "(none)", []string{`1: sections of the type "xfs" are not known; all of xx is ignored (skipped)`}},
		{"unknown content", "dir: xx\n\tpath /x\n\tcontent backup,floppy\n", "backup", []string{`3: a storage of the type dir cannot hold "floppy" (skipped)`}},
		{"nothing", "dir: xx\n\tpath /x\n\tcontent none\n", "", nil},
		{"nothing where that is not possible", "esxi: xx\n\tserver s\n\tusername u\n\tcontent none\n", "import", []string{`4: a storage of the type esxi cannot hold "none" (skipped)`, `4: a storage of the type esxi has to hold something; the default counts (skipped)`}},
		{"twice", "dir: xx\n\tpath /x\n\tcontent iso\n\ndir: xx\n\tpath /y\n\tcontent backup\n", "backup", []string{`1: xx is defined again in line 5, which counts (skipped)`}},
		{"bad retention", "dir: xx\n\tpath /x\n\tprune-backups keep-all=1,keep-last=2\n", "images,rootdir", []string{"3: xx: keep-all cannot be set together with other options (skipped)"}},
		{"a name that is none", "dir: 9x\n\tpath /x\n", "(none)", []string{`1: dir "9x": no name for a storage, all of it is ignored (skipped)`}},
		{"local that is not local", "nfs: local\n\tserver s\n\texport /e\n", "(none)", []string{`1: the storage "local" is always the directory /var/lib/vz; what stands here is ignored (skipped)`}},
	} {
		id := "xx"
		if strings.HasPrefix(tc.name, "a name") {
			id = "9x"
		}
		c, problems := storagecfg.Parse([]byte(tc.text))
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if d := cmp.Diff(tc.problems, got); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
		content := "(none)"
		if s, ok := c.Storage(id); ok {
			content = strings.Join(s.Content, ",")
		}
		if content != tc.content {
			t.Errorf("%s: holds %q, want %q", tc.name, content, tc.content)
		}
		if l, ok := c.Storage("local"); !ok || l.Type != "dir" || l.Path != "/var/lib/vz" {
			t.Errorf("%s: local is %+v", tc.name, l)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("dir: local\n\tpath /x\n"))
	f.Add([]byte("dir:\n\x00\n pbs: y\n\t\n" + strings.Repeat("k ", 1000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problems := storagecfg.Parse(b)
		if s, ok := c.Storage("local"); !ok || s.Path != "/var/lib/vz" {
			t.Fatal("no storage local")
		}
		seen := map[string]bool{}
		for _, s := range c.Storages {
			if seen[s.ID] {
				t.Fatal("a storage is there twice")
			}
			seen[s.ID] = true
		}
		for _, p := range problems {
			if p.Effect == pve.Aborted {
				t.Fatal("storage.cfg is never refused as a whole")
			}
		}
	})
}
