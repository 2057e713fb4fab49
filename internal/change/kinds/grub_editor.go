package kinds

import (
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	"github.com/castellan-project/castellan/internal/debian/sdboot"
)

// loaderConfs are where the EFI system partition, and on it loader.conf of systemd-boot, may be mounted.
func loaderConfs() []string {
	return []string{"/boot/efi/loader/loader.conf", "/efi/loader/loader.conf", "/boot/loader/loader.conf"}
}

// editor switches the editor of systemd-boot's menu on or off, on every EFI system partition that is mounted.
func (b *boot) editor(value string) error {
	if value != "yes" && value != "no" {
		return change.Cannot("editor is yes or no, not %q", value)
	}
	found := 0
	for _, name := range loaderConfs() {
		old, there, err := b.Content(name)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		found++
		if c := sdboot.Parse(old); c.Editor == (value == "yes") && c.EditorLine > 0 {
			continue
		}
		doc := conffile.Parse(old, conffile.Dialect{Separator: " ", Split: " \t"})
		doc.Set("", "editor", value)
		if err := b.put(name, string(doc.Bytes()), false); err != nil {
			return err
		}
		now, _, err := b.Content(name)
		if err != nil {
			return err
		}
		if sdboot.Parse(now).Editor != (value == "yes") {
			return change.Cannot("%s keeps its editor as it is; change the line editor by hand", name)
		}
	}
	if found == 0 {
		return change.Cannot("no %s is there: the EFI system partition is not mounted (proxmox-boot-tool mounts it only while it writes); mount it on /boot/efi first, "+
			"or change the file on each partition by hand", strings.Join(loaderConfs(), ", "))
	}
	b.Effect("the boot menu of systemd-boot shows its editor: %s, from the next start", value)
	return nil
}
