package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
)

const storageFile = pveDir + "/storage.cfg"

// storage sets settings of the storages in each: values as in storage.cfg, "prune-backups.keep-last" for a part of one, "1" for a bare word, an empty
// value to take a setting away. Passwords and keys stand elsewhere and are not set here (pvesm(1)).
func storage(d *change.Draft, c change.Change) error {
	old, _, err := d.Content(storageFile)
	if err != nil {
		return err
	}
	cfg, before := storagecfg.Parse(old)
	b := old
	for _, id := range c.Each {
		s, ok := cfg.Storage(id)
		if !ok || s.Line == 0 {
			return change.Cannot("storage.cfg has no storage %q", id)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Set)) {
			key, part, _ := strings.Cut(name, ".")
			if !storagecfg.Has(s.Type, key) {
				return change.Cannot("a storage of the type %s has no setting %q", s.Type, key)
			}
			if err := pveText(name, c.Set[name]); err != nil {
				return err
			}
			have, set := s.Section.Get(key)
			value, do := pveWanted(have, set, c.Set[name], pve.Same)
			if part != "" {
				value, do = pvePart(have, part, c.Set[name], "")
			}
			if do {
				b, _ = storagecfg.Set(b, id, key, value)
				cfg, _ = storagecfg.Parse(b)
				s, _ = cfg.Storage(id)
			}
		}
	}
	if string(b) == string(old) {
		return nil
	}
	_, after := storagecfg.Parse(b)
	if err := pveAccepted(storageFile, before, after); err != nil {
		return err
	}
	d.Effect("storage.cfg: what is mounted stays as it is; a changed mount option counts when the storage is mounted again")
	if err := pveShared(d, storageFile); err != nil {
		return err
	}
	return pveWrite(d, storageFile, b)
}
