package grub

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const protected = `# generated
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="0"
fi
function load_video {
  insmod all_video
}
set superusers="root,op"
password_pbkdf2 root grub.pbkdf2.sha512.10000.AA.BB
password op secret
menuentry 'Proxmox VE GNU/Linux' --class proxmox --class os --unrestricted $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	if [ x = y ]; then insmod gzio; fi
	linux	/boot/vmlinuz-6.8.12-4-pve root=/dev/mapper/pve-root ro quiet \
		mitigations=off
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'PVE, with Linux 6.8' --users "al bo" $menuentry_id_option 'gnulinux-a' {
		linux /boot/vmlinuz root=x ro
	}
	menuentry 'PVE (recovery mode)' $menuentry_id_option 'gnulinux-r' {
		linux /boot/vmlinuz root=x ro single
	}
}
menuentry "it's memtest; # 'x'" --id=mem {
	linux16 /memtest
}
source $prefix/custom.cfg
`

func TestParse(t *testing.T) {
	c := Parse([]byte(protected))
	want := &Config{
		Superusers: []string{"root", "op"}, SuperusersLine: 10,
		Hashed: []User{{"root", 11}}, Plain: []User{{"op", 12}}, Default: "0", Sources: []string{"$prefix/custom.cfg"},
		Entries: []Entry{
			{Title: "Proxmox VE GNU/Linux", ID: "gnulinux-simple-1", Path: "0", Unrestricted: true, Line: 13,
				Args: []string{"root=/dev/mapper/pve-root", "ro", "quiet", "mitigations=off"}},
			{Title: "Advanced options", ID: "gnulinux-advanced-1", Path: "1", Submenu: true, Line: 19},
			{Title: "PVE, with Linux 6.8", ID: "gnulinux-a", Path: "1>0", Users: []string{"al", "bo"}, Args: []string{"root=x", "ro"}, Line: 20},
			{Title: "PVE (recovery mode)", ID: "gnulinux-r", Path: "1>1", Recovery: true, Args: []string{"root=x", "ro", "single"}, Line: 23},
			{Title: "it's memtest; # 'x'", ID: "mem", Path: "2", Line: 27},
		},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestDefaultEntry(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "": "0", "2": "2", "1": "1", "1>1": "1>1", "gnulinux-advanced-1>gnulinux-r": "1>1", "mem": "2",
		"Advanced options>PVE, with Linux 6.8": "1>0", "9": "0", "1>9": "1>0",
	} {
		c := Parse([]byte(protected))
		c.Default = in
		i, ok := c.DefaultEntry()
		if got := c.Entries[i].Path; got != want || !ok {
			t.Errorf("default %q is entry %s, want %s", in, got, want)
		}
	}
	if _, ok := new(Config).DefaultEntry(); ok {
		t.Error("no entries")
	}
}

func TestPlainValueIsNoHash(t *testing.T) {
	if c := Parse([]byte("password_pbkdf2 root secret\n")); len(c.Hashed) != 0 {
		t.Error("a plain word after password_pbkdf2 is no hash")
	}
}

func TestDefaults(t *testing.T) {
	got := ParseDefaults([]byte("# x\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=''\n"),
		[]byte("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX iommu=pt\"\nexport GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT} splash\"\n"))
	want := map[string]string{CmdlineLinuxDefault: "quiet splash", CmdlineLinux: " iommu=pt"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a", "b=c d", "e"}, Args(" a b=\"c d\"\te\n")); d != "" {
		t.Error(d)
	}
}

func TestPasswordLines(t *testing.T) {
	hashed, plain := PasswordLines([]byte("#!/bin/sh\n# password a b\ncat <<E\nset superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.1.A.B\npassword admin pve\nE\necho \"password op secret\"\necho the password is x\n"))
	if d := cmp.Diff([]int{5}, hashed); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{6, 8}, plain); d != "" {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(protected))
	f.Add([]byte("menuentry {{{{\n}}}\nsubmenu a {\nmenuentry b {\n'\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(b)
		if i, ok := c.DefaultEntry(); ok && i >= len(c.Entries) {
			t.Fatal("default entry out of range")
		}
		ParseDefaults(b, b)
		Args(string(b))
		PasswordLines(b)
	})
}
