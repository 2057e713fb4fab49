package collect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/debian/efi"
)

const plainGrub = "set default=0\nmenuentry 'A' {\n linux /vmlinuz root=x quiet\n}\n"

func TestBootLoader(t *testing.T) {
	info := efi.Path("LoaderInfo", efi.Loader)[1:]
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"grub only", map[string]string{"boot/grub/grub.cfg": plainGrub, "var/lib/dpkg/status": someDpkg}, "grub"},
		{"systemd-boot only", map[string]string{"boot/efi/loader/loader.conf": ""}, "systemd-boot"},
		{"both, image", map[string]string{"boot/grub/grub.cfg": plainGrub, "boot/efi/loader/loader.conf": ""}, "?"},
		{"grub left over beside proxmox-boot-tool", map[string]string{"boot/grub/grub.cfg": plainGrub, "etc/kernel/proxmox-boot-uuids": "A-B\n"}, "?"},
		{"running systemd-boot", map[string]string{".castellan/meta": liveMeta, "boot/grub/grub.cfg": plainGrub, info: "\x06\x00\x00\x00s\x00y\x00s\x00t\x00e\x00m\x00d\x00-\x00b\x00o\x00o\x00t\x00\x00\x00"}, "systemd-boot"},
		{"running grub", map[string]string{".castellan/meta": liveMeta, "boot/grub/grub.cfg": plainGrub, "sys/firmware/efi/runtime": ""}, "grub"},
		{"running bios", map[string]string{".castellan/meta": liveMeta, "boot/grub/grub.cfg": plainGrub, "sys/firmware/memmap/0": ""}, "grub"},
		{"neither", map[string]string{"var/lib/dpkg/status": someDpkg}, "?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := valueOr(collectTree(t, Boot(), tt.files).Boot.Loader); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What a copy or a container cannot show is unknown, whatever else is there.
func TestBootUnknowns(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"image": {"var/lib/dpkg/status": someDpkg},
		"blind": {".castellan/meta": liveMeta},
	} {
		f := collectTree(t, Boot(), files).Boot
		for fact, known := range map[string]bool{
			"secure_boot": f.SecureBoot.IsKnown(), "setup_mode": f.SetupMode.IsKnown(), "entries": f.Entries.IsKnown(), "admin_password": f.AdminPassword.IsKnown(),
			"bmc": f.BMC.IsKnown(), "tpm": f.TPM.IsKnown(), "editor": f.Editor.IsKnown(), "superusers": f.GRUB.Superusers.IsKnown(), "root_encryption": f.RootEncryption.IsKnown(),
			"root_password": f.RootPassword.IsKnown(), "firmware": f.Firmware.IsKnown(),
		} {
			if known {
				t.Errorf("%s: %s is known", name, fact)
			}
		}
	}
}

func TestGRUBSecretsStayOut(t *testing.T) {
	f := collectTree(t, Boot(), map[string]string{
		"boot/grub/grub.cfg":   "set superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.1.A.B\npassword op hunter2\nsource ${config_directory}/custom.cfg\n" + plainGrub,
		"boot/grub/custom.cfg": "set superusers=\"root adm\"\n", "etc/grub.d/00_header": "echo 'password x y'\n", "etc/grub.d/01_own": "password_pbkdf2 root grub.pbkdf2.x\n",
	}).Boot.GRUB
	if d := cmp.Diff([]string{"root", "adm"}, f.Superusers.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"op (/boot/grub/grub.cfg:3)", "script (/etc/grub.d/00_header:1)"}, f.Plain.Value); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/etc/grub.d/00_header:1"}, f.InPackagedScript.Value); d != "" {
		t.Error(d)
	}
}

func TestRootEncryptionOfWeakestPart(t *testing.T) {
	m := dmTable{
		uuids:  map[string]string{"dm-0": "CRYPT-LUKS2-1-a", "dm-1": "LVM-x", "dm-2": "CRYPT-LUKS1-1-b", "dm-3": "LVM-y", "dm-4": "CRYPT-PLAIN-z"},
		slaves: map[string][]string{"dm-1": {"dm-0"}, "dm-3": {"dm-0", "dm-2"}, "md0": {"sda1", "dm-0"}, "loop": {"loop"}},
	}
	for dev, want := range map[string]string{"dm-0": "luks2", "dm-1": "luks2", "dm-3": "luks1", "md0": "none", "sda1": "none", "dm-4": "plain-crypt", "loop": "none"} {
		if got := m.below(dev, 0); got != want {
			t.Errorf("%s is on %s, want %s", dev, got, want)
		}
	}
}

func FuzzBootFiles(f *testing.F) {
	f.Add(plainGrub, "editor no\n", "\x07\x00\x00\x00\x00\x00")
	f.Fuzz(func(t *testing.T, grubCfg, conf, variable string) {
		b := collectTree(t, Boot(), map[string]string{".castellan/meta": liveMeta, "boot/grub/grub.cfg": grubCfg, "boot/efi/loader/loader.conf": conf,
			efi.Path("BootOrder", efi.Global)[1:]: variable, efi.Path("Boot0000", efi.Global)[1:]: variable, efi.Path("SecureBoot", efi.Global)[1:]: variable,
			"sys/firmware/dmi/entries/24-0/raw": variable, "proc/self/mounts": conf, "etc/shadow": conf}).Boot
		if len(variable) < 5 && (b.SecureBoot.IsKnown() || b.AdminPassword.IsKnown()) {
			t.Fatal("a variable that ends early gave a value")
		}
	})
}
