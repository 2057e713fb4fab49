package collect

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
)

// matches evaluates the tests that strange made for one id, as find would.
func matches(args []string, id int) bool {
	hit, all := false, true
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-o":
			hit, all = hit || all && i > 0, true
		case "(", ")":
		default:
			n, _ := strconv.Atoi(args[i+1][1:])
			if args[i+1][0] == '+' {
				all = all && id > n
			} else {
				all = all && id < n
			}
			i++
		}
	}
	return hit || all
}

func TestStrangeIsTheComplementOfOwned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := map[int]string{}
		for _, id := range rapid.SliceOfN(rapid.IntRange(0, 300), 0, 30).Draw(t, "ids") {
			names[id] = "x"
		}
		r := ownedIDs(&Context{Host: noFiles{}}, names, "/etc/subuid")
		args := strange("-uid", r)
		id := rapid.OneOf(rapid.IntRange(0, 302), rapid.IntRange(61000, 66000)).Draw(t, "id")
		if got, want := matches(args, id), !owned(id, r); got != want {
			t.Fatalf("id %d with %v: find says %v, want %v: %q", id, r, got, want, args)
		}
	})
}

// noFiles is a host without files.
type noFiles struct{}

func (noFiles) ReadFile(p string) ([]byte, error)       { return nil, notCopied(p) }
func (noFiles) Stat(p string) (host.File, error)        { return host.File{}, notCopied(p) }
func (noFiles) List(string) ([]host.File, error)        { return nil, nil }
func (noFiles) Run(c host.Command) (host.Output, error) { return host.Output{}, notCopied(c.Name) }

func TestInventoryOfARunningHost(t *testing.T) {
	files := map[string]string{
		".castellan/meta": "live yes\n", "etc/passwd": "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n", "etc/group": "root:x:0:\nann:x:1000:\n",
		"etc/subuid": "root:100000:65536\n", "etc/subgid": "root:100000:65536\n",
		".castellan/run/file-walk": "f 4755 0 0 /usr/bin/su\x00d 777 0 0 /srv/open\x00f 644 1000 1000 /home/ann/x\x00f 644 1234 0 /old\x00f 644 100033 100033 /ct\x00f 600 61300 61300 /var/lib/private/x\x00",
	}
	f := collectTree(t, Files(), files).Files
	if d := cmp.Diff([][]string{{"/usr/bin/su"}, {"/srv/open"}, {"/old"}}, [][]string{f.SetID.Value, f.WorldWritable.Value, f.Unowned.Value}); d != "" {
		t.Error(d)
	}
	for _, broken := range []string{"f 4755 0 0 /usr/bin/su", "d 777 0 0 /srv/open\x00"} {
		files[".castellan/run/file-walk"] = broken
		if f := collectTree(t, Files(), files).Files; f.SetID.IsKnown() || f.Unowned.IsKnown() {
			t.Errorf("%q was taken for an inventory", broken)
		}
	}
}

func TestMounts(t *testing.T) {
	f := collectTree(t, Files(), map[string]string{
		".castellan/meta": "live yes\n", "etc/fstab": "tmpfs /tmp tmpfs defaults,nosuid 0 0\n",
		"proc/1/mounts": "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,nodev,nosuid 0 0\n",
	}).Files.Mounts.Value
	tmp, shm := f["/tmp"], f["/dev/shm"]
	if !tmp.Mounted.Value || !slices.Equal(tmp.Options.Value, []string{"nodev", "nosuid", "rw"}) || !slices.Equal(tmp.Persistent.Value, []string{"nosuid"}) {
		t.Errorf("running and persistent options are two things: %+v", tmp)
	}
	if shm.Mounted.Value || !slices.Equal(shm.Persistent.Value, []string{"nodev", "nosuid"}) {
		t.Errorf("systemd's own mount of /dev/shm: %+v", shm)
	}
	f = collectTree(t, Files(), map[string]string{"etc/hostname": "x\n"}).Files.Mounts.Value
	if f["/tmp"].Mounted.IsKnown() || f["/tmp"].Persistent.IsKnown() {
		t.Error("a copy without fstab says nothing about /tmp")
	}
}

func TestModesOfACopyWithoutOwners(t *testing.T) {
	f := collectTree(t, Files(), map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/bash\n", "var/lib/dpkg/status": installedDpkg}).Files.Modes.Value
	if m := f["/etc/passwd"]; m.Mode.Value != "0644" || m.Owner.Value != "root" || m.GroupWrite.Value {
		t.Errorf("%+v", m)
	}
	if m := f["/etc/shadow"]; m.Exists.Value || !m.Exists.IsKnown() || m.Mode.IsKnown() {
		t.Errorf("%+v", m)
	}
}
