package mounts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte("# fstab\n/dev/sda1 / ext4 errors=remount-ro 0 1\ntmpfs /tmp/ tmpfs rw,nosuid,nodev\nnas:/x /mnt/a\\040b nfs4 vers=4.2,vers=4.1\n/dev/sdb none swap\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Mount{
		{Source: "/dev/sda1", Path: "/", Type: "ext4", Options: []string{"errors=remount-ro"}, Line: 2},
		{Source: "tmpfs", Path: "/tmp", Type: "tmpfs", Options: []string{"rw", "nosuid", "nodev"}, Line: 3},
		{Source: "nas:/x", Path: "/mnt/a b", Type: "nfs4", Options: []string{"vers=4.2", "vers=4.1"}, Line: 4},
		{Source: "/dev/sdb", Path: "none", Type: "swap", Line: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v, _ := got[2].Value("vers"); v != "4.1" || !got[2].Network() || got[1].Network() || !got[1].Has("nodev") {
		t.Error("wrong answers about options", v)
	}
	if m, ok := At(append(got, Mount{Path: "/tmp", Type: "over"}), "/tmp"); !ok || m.Type != "over" {
		t.Error("the last mount on a path covers the others")
	}
	if _, err := Parse([]byte("a b\n")); err == nil {
		t.Error("a line of two fields was accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("/dev/sda1 / ext4 rw 0 1\n"))
	f.Add([]byte("a \\0 \\04 \\040\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Parse(b)
		for _, m := range list {
			if m.Type == "" || m.Path == "" {
				t.Fatalf("%+v", m)
			}
		}
	})
}
