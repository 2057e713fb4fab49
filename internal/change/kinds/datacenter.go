package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve"
	dccfg "github.com/castellan-project/castellan/internal/pve/datacenter"
)

const datacenterFile = pveDir + "/datacenter.cfg"

// datacenterDefaults are the default keys of the settings that are property strings (pve-cluster, PVE/DataCenterConfig.pm).
func datacenterDefaults() map[string]string {
	return map[string]string{"migration": "type", "replication": "type", "user-tag-access": "user-allow"}
}

// datacenter sets options of the datacenter: set holds settings, "migration.type" for a part of one; an empty value takes it away, "!insecure"
// takes it away when it is insecure.
func datacenter(d *change.Draft, c change.Change) error {
	old, _, err := d.Content(datacenterFile)
	if err != nil {
		return err
	}
	_, before := dccfg.Parse(old)
	b := old
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		key, part, _ := strings.Cut(name, ".")
		if !dccfg.Known(key) {
			return change.Cannot("datacenter.cfg has no setting %q", key)
		}
		value := c.Set[name]
		if key == "consent-text" || key == "description" {
			value = pve.EncodeText(value)
		}
		if err := pveText(name, value); err != nil {
			return err
		}
		have, set := dccfg.Raw(b, key)
		if part != "" {
			value, set = pvePart(have, part, value, datacenterDefaults()[key])
		} else {
			value, set = pveWanted(have, set, value, pve.Same)
		}
		if set {
			b = dccfg.Set(b, key, value)
		}
	}
	if string(b) == string(old) {
		return nil
	}
	_, after := dccfg.Parse(b)
	if err := pveAccepted(datacenterFile, before, after); err != nil {
		return err
	}
	if err := pveShared(d, datacenterFile); err != nil {
		return err
	}
	return pveWrite(d, datacenterFile, b)
}

// pvePart gives a part of a property string a value and reports whether that changes it.
func pvePart(have, part, value, defaultKey string) (string, bool) {
	old, set := pve.ParseProperties(have, defaultKey).Get(part)
	value, do := pveWanted(old, set, value, pve.Same)
	if !do {
		return have, false
	}
	return pve.SetProperty(have, part, value, defaultKey), true
}
