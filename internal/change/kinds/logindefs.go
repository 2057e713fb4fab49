package kinds

import (
	"maps"
	"slices"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/conffile"
	"github.com/castellan-project/castellan/internal/debian/logindefs"
)

const loginDefsFile = "/etc/login.defs"

// loginDefs sets keys of login.defs. A stricter value stays. The file is read by whatever makes accounts and sets passwords,
// each time anew: nothing has to be started again.
func loginDefs(d *change.Draft, c change.Change) error {
	changed, err := rewrite(d, loginDefsFile, 0o644, func(b []byte) ([]byte, error) {
		have := logindefs.Parse(b)
		doc := conffile.Parse(b, conffile.Dialect{Separator: "\t", Split: " \t"})
		for _, key := range slices.Sorted(maps.Keys(c.Set)) {
			if err := plain(key, c.Set[key]); err != nil {
				return nil, err
			}
			if v, ok := have[key]; !ok || !holds(key, v.Text, c.Set[key]) {
				doc.Set("", key, c.Set[key])
			}
		}
		return doc.Bytes(), nil
	})
	if err == nil && changed {
		d.Effect("what /etc/login.defs says counts for accounts and passwords that are made from now on")
	}
	return err
}
