package kinds

import (
	"maps"
	"path"
	"slices"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/vmx"
)

// VMXRunning in the Options of a change lets the file of a machine that seems to run be changed.
const VMXRunning = "running"

// vmxKeys sets keys in the .vmx file of a VMware virtual machine; an empty value removes the key. The spelling, spacing and
// encoding of the file stay. The file of a running machine is not changed, because its hypervisor holds it and writes it anew:
// it is recognised by its lock, NAME.vmx.lck, which ESXi and Workstation put beside it.
func vmxKeys(d *change.Draft, c change.Change) error {
	if c.Options != VMXRunning {
		if _, err := host.Lstat(d, c.Path+".lck"); !host.NotExist(err) {
			return change.Cannot("%s is in use: %s.lck lies beside it; power the machine off first", path.Base(c.Path), path.Base(c.Path))
		}
	}
	b, ok, err := d.Content(c.Path)
	if err != nil {
		return err
	}
	if !ok {
		return change.Cannot("there is no %s", c.Path)
	}
	f, err := vmx.Parse(b)
	if err != nil {
		return change.Cannot("%s: %v", c.Path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Set)) {
		if c.Set[key] == "" {
			err = f.Delete(key)
		} else {
			err = f.Set(key, c.Set[key])
		}
		if err != nil {
			return change.Cannot("%s: %v", c.Path, err)
		}
	}
	if err := d.Write(c.Path, f.Sorted(), 0o600); err != nil {
		return err
	}
	if f.Rendered() {
		d.Effect("a setting is in effect once its machine was powered off and on, not at a restart of the guest")
		return nil
	}
	d.Effect("%s takes effect when its machine is powered off and on, not at a restart of the guest", path.Base(c.Path))
	return nil
}
