package kinds

import (
	"maps"
	"slices"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
)

// sysctlFile sorts after the files that Debian ships and before 99-sysctl.conf.
const sysctlFile = "/etc/sysctl.d/60-castellan.conf"

// sysctl sets kernel parameters, in a file of ours and in the running kernel.
func sysctl(d *change.Draft, c change.Change) error {
	old, _, err := d.Content(sysctlFile)
	if err != nil {
		return err
	}
	doc := conffile.Parse(old, conffile.Dialect{Separator: " = ", Split: "=", Comment: "#;"})
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		doc.Set("", key, c.Set[key])
	}
	if err := d.Write(sysctlFile, doc.Bytes(), 0o644); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		if err := d.Sysctl(key, c.Set[key]); err != nil {
			return err
		}
	}
	return nil
}
