package kinds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/debian/grub"
)

func grubChange(pairs ...string) change.Change {
	c := sysctlChange(pairs...)
	c.Kind = "grub"
	return c
}

const grubMenu = `set default="0"
### END /etc/grub.d/00_header ###
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
	linux	/boot/vmlinuz-6.1 root=/dev/sda1 ro  quiet mitigations=off
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian, with Linux 6.1 (recovery mode)' $menuentry_id_option 'gnulinux-6.1-recovery' {
		linux	/boot/vmlinuz-6.1 root=/dev/sda1 ro single mitigations=off
	}
}
`

func TestKernelArguments(t *testing.T) {
	runEdits(t, []edit{
		{"added to the usual variable", map[string]string{"etc/default/grub": "# a\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\" # b\nGRUB_CMDLINE_LINUX=\"\"\n"},
			grubChange("cmdline_add", "lockdown=integrity"),
			map[string]string{grubDefaults: "# a\nGRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet lockdown=integrity\" # b\nGRUB_CMDLINE_LINUX=\"\"\n"}, ""},
		{"another value is replaced", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT='quiet lockdown=none'\r\nGRUB_CMDLINE_LINUX=\r\n"},
			grubChange("cmdline_add", "lockdown=integrity"),
			map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT='quiet lockdown=integrity'\r\nGRUB_CMDLINE_LINUX=\r\n"}, ""},
		{"a word without quotes", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=quiet"}, grubChange("cmdline_add", "a=1 b"),
			map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet a=1 b\""}, ""},
		{"no variable yet", map[string]string{"etc/default/grub": "GRUB_DEFAULT=0"}, grubChange("cmdline_add", "a=1"),
			map[string]string{grubDefaults: "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"a=1\"\n"}, ""},
		{"all entries have it already", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX=\"a=1\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"\"\n"}, grubChange("cmdline_add", "a=1"), nil, ""},
		{"the last file counts", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet nopti\"\n",
			"etc/default/grub.d/x.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT console=ttyS0\"\n"}, grubChange("cmdline_add", "a=1", "cmdline_remove", "nopti"),
			map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
				"/etc/default/grub.d/x.cfg": "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT console=ttyS0 a=1\"\n"}, ""},
		{"removed with any value, odd blanks stay", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"ro  quiet pcie_acs_override=a,b  x\"\n", "etc/kernel/cmdline": "root=ZFS=rpool  mitigations=off boot=zfs\n"},
			grubChange("cmdline_remove", "pcie_acs_override mitigations=off"),
			map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT=\"ro  quiet x\"\n", kernelArgs: "root=ZFS=rpool  boot=zfs\n"}, ""},
		{"of a quoted argument nothing is taken", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"dyndbg=\\\"file nopti +p\\\" nopti\"\n"},
			grubChange("cmdline_remove", "nopti"), map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT=\"dyndbg=\\\"file nopti +p\\\"\"\n"}, ""},
		{"a copy: the menu and the entries of systemd-boot", map[string]string{"etc/kernel/cmdline": "ro mitigations=off", "boot/grub/grub.cfg": grubMenu,
			"boot/efi/loader/entries/proxmox-6.1.conf": "title x\noptions  ro mitigations=off\nlinux /vmlinuz\n"}, grubChange("cmdline_remove", "mitigations=off", "cmdline_add", "a=1"),
			map[string]string{kernelArgs: "ro a=1", "/boot/efi/loader/entries/proxmox-6.1.conf": "title x\noptions  ro a=1\nlinux /vmlinuz\n",
				grubCfg: strings.Replace(strings.Replace(grubMenu, "quiet mitigations=off", "quiet a=1", 1), "single mitigations=off", "single", 1)}, ""},
		{"what is removed and added again stays", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"apparmor=0 security=selinux\"\n"},
			grubChange("cmdline_remove", "apparmor=0 security=", "cmdline_add", "apparmor=1 security=apparmor"),
			map[string]string{grubDefaults: "GRUB_CMDLINE_LINUX_DEFAULT=\"apparmor=1 security=apparmor\"\n"}, ""},
		{"a value of several quoted parts", map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"quiet \"nopti\n"}, grubChange("cmdline_remove", "nopti"), nil, "by hand"},
		{"nothing to change it in", map[string]string{"etc/hostname": "x\n"}, grubChange("cmdline_add", "a=1"), nil, "neither"},
		{"a shell's word", map[string]string{"etc/default/grub": "GRUB_DEFAULT=0\n"}, grubChange("cmdline_add", "a=$(reboot)"), nil, "cannot be written"},
		{"an unknown key", map[string]string{"etc/default/grub": "GRUB_DEFAULT=0\n"}, grubChange("colour", "red"), nil, "no setting"},
	})
}

func TestBootEditor(t *testing.T) {
	runEdits(t, []edit{
		{"added", map[string]string{"boot/efi/loader/loader.conf": "timeout 3\r\n#editor no\r\n"}, grubChange("editor", "no"),
			map[string]string{"/boot/efi/loader/loader.conf": "timeout 3\r\n#editor no\r\neditor no\r\n"}, ""},
		{"changed on each partition", map[string]string{"efi/loader/loader.conf": "editor  yes\ntimeout 3", "boot/loader/loader.conf": "editor 0\n"}, grubChange("editor", "no"),
			map[string]string{"/efi/loader/loader.conf": "editor no\ntimeout 3", "/boot/loader/loader.conf": "editor 0\n"}, ""},
		{"not mounted", map[string]string{"etc/hostname": "x\n"}, grubChange("editor", "no"), nil, "not mounted"},
		{"no boolean", map[string]string{"efi/loader/loader.conf": ""}, grubChange("editor", "perhaps"), nil, "yes or no"},
	})
}

const (
	// linuxScript is as much of 10_linux as matters here.
	linuxScript = "#! /bin/sh\nset -e\nCLASS=\"--class gnu-linux\"\n" +
		"echo \"menuentry '$(echo \"$title\" | grub_quote)' ${CLASS} \\$menuentry_id_option 'gnulinux-$version-$type-$boot_device_id' {\"\n" +
		"echo \"menuentry '$(echo \"$os\" | grub_quote)' ${CLASS} \\$menuentry_id_option 'gnulinux-simple-$boot_device_id' {\" | sed \"s/^/$submenu_indentation/\"\n"
	testHash = "grub.pbkdf2.sha512.10000.0A1B2C.3D4E5F"
)

func superuserHost(more map[string]string) map[string]string {
	files := map[string]string{"boot/grub/grub.cfg": grubMenu, "etc/grub.d/10_linux": linuxScript, "etc/default/grub": "GRUB_DEFAULT=0\n",
		"etc/castellan/grub-password": "PBKDF2 hash of your password is " + testHash + "\n", "var/lib/dpkg/diversions": "/usr/bin/a\n/usr/bin/a.real\ndash\n"}
	for k, v := range more {
		files[k] = v
		if v == "" {
			delete(files, k)
		}
	}
	return files
}

func superuserBench(t *testing.T, live bool, more map[string]string) *bench {
	t.Helper()
	b := newBench(t, live, superuserHost(more))
	for name, mode := range map[string]os.FileMode{"etc/castellan/grub-password": 0o600, "etc/grub.d/10_linux": 0o755} {
		if err := os.Chmod(filepath.Join(b.root, name), mode); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return b
}

func TestSuperuser(t *testing.T) {
	c := grubChange("superuser", "root", "password_file", "/etc/castellan/grub-password")
	for _, live := range []bool{false, true} {
		b := superuserBench(t, live, nil)
		d := b.draft(t)
		if err := bootLoader(d, c); err != nil {
			t.Fatal(err)
		}
		read := func(p string) string {
			s, _, err := d.Content(p)
			if err != nil {
				t.Fatal(err)
			}
			return string(s)
		}
		if s := read(grubUserScript); !strings.Contains(s, "set superusers=\"root\"\nexport superusers\npassword_pbkdf2 root "+testHash+"\n") {
			t.Errorf("%s: %s", grubUserScript, s)
		}
		if read(grubLinuxOrig) != linuxScript || strings.Count(read(grubLinux), "--unrestricted") != 1 ||
			!strings.Contains(read(grubLinux), "${CLASS} --unrestricted \\$menuentry_id_option 'gnulinux-simple-") {
			t.Errorf("%s", read(grubLinux))
		}
		if want := "/usr/bin/a\n/usr/bin/a.real\ndash\n/etc/grub.d/10_linux\n/etc/grub.d.orig/10_linux\n:\n"; read(dpkgDiversions) != want {
			t.Errorf("%q", read(dpkgDiversions))
		}
		menu := grub.Parse([]byte(read(grubCfg)))
		e, _ := menu.DefaultEntry()
		if live {
			if read(grubCfg) != grubMenu {
				t.Error("update-grub writes the menu of a running host")
			}
		} else if len(menu.Superusers) != 1 || len(menu.Hashed) != 1 || !menu.Entries[e].Unrestricted || menu.Entries[1].Unrestricted {
			t.Errorf("%+v", menu)
		}
		if n, ok := d.Drafted(grubLinux); !ok || n.Mode != 0o755 {
			t.Errorf("the mode of 10_linux is %o", n.Mode)
		}
		once := draftText(t, d)
		if err := bootLoader(d, c); err != nil || draftText(t, d) != once {
			t.Errorf("a second time: %v", err)
		}
		for _, s := range b.plan(t, c).Windows[0].Steps {
			if strings.Contains(s.Diff, "pbkdf2.sha512") {
				t.Errorf("the plan shows the hash: %s", s.Diff)
			}
		}
	}
}

func TestSuperuserCannot(t *testing.T) {
	for name, tt := range map[string]struct {
		more map[string]string
		want string
	}{
		"no hash":                 {map[string]string{"etc/castellan/grub-password": ""}, "there is no /etc/castellan/grub-password"},
		"no hash in the file":     {map[string]string{"etc/castellan/grub-password": "secret\n"}, "exactly one hash"},
		"too few iterations":      {map[string]string{"etc/castellan/grub-password": "grub.pbkdf2.sha512.10.AA.BB"}, "iterations"},
		"a password elsewhere":    {map[string]string{"etc/grub.d/00_header": "echo password root secret\n"}, "/etc/grub.d/00_header:1"},
		"another default":         {map[string]string{"etc/default/grub": "GRUB_DEFAULT=saved\n"}, "by hand"},
		"no 10_linux":             {map[string]string{"etc/grub.d/10_linux": ""}, "there is no /etc/grub.d/10_linux"},
		"another 10_linux":        {map[string]string{"etc/grub.d/10_linux": "#!/bin/sh\n"}, "not the script"},
		"diverted already":        {map[string]string{"var/lib/dpkg/diversions": "/etc/grub.d/10_linux\n/x\n:\n"}, "diverted already"},
		"damaged diversions":      {map[string]string{"var/lib/dpkg/diversions": "/etc/grub.d/10_linux\n"}, "damaged"},
		"a menu without submenus": {map[string]string{"boot/grub/grub.cfg": strings.Replace(grubMenu, "gnulinux-simple-1", "gnulinux-6.1-advanced-1", 1)}, "by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			d := superuserBench(t, false, tt.more).draft(t)
			err := bootLoader(d, grubChange("superuser", "root", "password_file", "/etc/castellan/grub-password"))
			if !isCannot(err) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	// The description of the copy says the mode, whoever runs the test.
	b := newBench(t, true, superuserHost(map[string]string{".castellan/meta": "now 2026-11-20T12:00:00Z\n0644 0:0 /etc/castellan/grub-password\n"}))
	if err := bootLoader(b.draft(t), grubChange("superuser", "root", "password_file", "/etc/castellan/grub-password")); !isCannot(err) || !strings.Contains(err.Error(), "read by others") {
		t.Error(err)
	}
}

func TestGRUBActions(t *testing.T) {
	b := newBench(t, true, map[string]string{"etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet nopti\"\n", "boot/grub/grub.cfg": grubMenu, "etc/kernel/proxmox-boot-uuids": "A-B\n"})
	w := b.plan(t, grubChange("cmdline_remove", "nopti")).Windows[0]
	var got []string
	for _, s := range w.Steps {
		got = append(got, s.Path+" "+s.What)
	}
	if s := strings.Join(got, ", "); s != "/etc/default/grub write,  run update-grub,  run proxmox-boot-tool refresh" {
		t.Error(s)
	}
	if len(w.Reboots) != 1 || w.Reboots[0] != "the kernel's arguments change at the next start: without nopti" {
		t.Error(w.Reboots)
	}
}

// TestRemoveArgs: only unwanted words go, all others stay in their order.
func TestRemoveArgs(t *testing.T) {
	word := rapid.SampledFrom([]string{"quiet", "nopti", "a=\"x nopti y\"", "ro", "nopti=1"})
	rapid.Check(t, func(rt *rapid.T) {
		blank := rapid.SampledFrom([]string{" ", "  ", "\t"})
		text := ""
		var want []string
		for _, w := range rapid.SliceOfN(word, 0, 6).Draw(rt, "words") {
			text += blank.Draw(rt, "blank") + w
			if w != "nopti" {
				want = append(want, w)
			}
		}
		got := removeArgs(text, func(s string) bool { return s == "nopti" })
		if g, w := grub.Args(got), grub.Args(strings.Join(want, " ")); strings.Join(g, "|") != strings.Join(w, "|") {
			rt.Fatalf("%q became %q", text, got)
		}
		if len(want) == len(grub.Args(text)) && got != text {
			rt.Fatalf("%q became %q without a reason", text, got)
		}
	})
}

func FuzzGRUB(f *testing.F) {
	for _, s := range append(hostile(), grubMenu, "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet nopti\"\n", "GRUB_CMDLINE_LINUX_DEFAULT='a\nb'", "GRUB_CMDLINE_LINUX_DEFAULT=\"a\\\"") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newBench(t, false, map[string]string{"etc/default/grub": string(b), "boot/grub/grub.cfg": string(b), "etc/kernel/cmdline": string(b),
			"efi/loader/loader.conf": string(b), "boot/loader/entries/x.conf": string(b)}).draft(t)
		for _, c := range []change.Change{grubChange("cmdline_remove", "nopti a", "cmdline_add", "b=1"), grubChange("editor", "no")} {
			if err := bootLoader(d, c); err != nil {
				if !isCannot(err) {
					t.Fatal(err)
				}
				continue
			}
			once := draftText(t, d)
			if err := bootLoader(d, c); err != nil || draftText(t, d) != once {
				t.Errorf("a second time: %v", err)
			}
		}
	})
}
