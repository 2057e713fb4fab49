package kinds

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// guest sets settings of the guests in each, by VMID: "protection", "vga.clipboard" for a part of a setting, "net*.firewall" for a part of every card that the
// guest has. An empty value takes the setting or part away, "!unsafe" takes it away when it is unsafe. Only the settings in force are changed, never
// snapshots; what waits for a restart is changed with them where it would undo the change. A guest that PVE has locked is left alone.
func guest(d *change.Draft, c change.Change) error {
	if len(c.Set) == 0 {
		return change.Cannot("the change does not say what to set")
	}
	for _, id := range c.Each {
		if n, err := strconv.Atoi(id); err != nil || n < 1 || strconv.Itoa(n) != id {
			return change.Cannot("%q is no VMID", id)
		}
		if err := guestOne(d, id, c.Set); err != nil {
			return err
		}
	}
	return nil
}

// guestFile finds the configuration of a guest.
func guestFile(d *change.Draft, id string) (name, kind string, err error) {
	for _, k := range []struct{ dir, kind string }{{"qemu-server", guestcfg.QEMU}, {"lxc", guestcfg.LXC}} {
		found, err := d.List(pveDir + "/nodes/*/" + k.dir + "/" + id + ".conf")
		if err != nil {
			return "", "", err
		}
		if len(found) > 1 || len(found) == 1 && name != "" {
			return "", "", change.Cannot("the guest %s is there more than once", id)
		}
		if len(found) == 1 {
			name, kind = found[0].Path, k.kind
		}
	}
	if name == "" {
		return "", "", change.Cannot("there is no guest %s", id)
	}
	return name, kind, nil
}

func guestTitle(kind, id string) string {
	if kind == guestcfg.LXC {
		return "ct " + id
	}
	return "vm " + id
}

func guestOne(d *change.Draft, id string, set map[string]string) error {
	name, kind, err := guestFile(d, id)
	if err != nil {
		return err
	}
	old, _, err := d.Content(name)
	if err != nil {
		return err
	}
	title := guestTitle(kind, id)
	e := &guestEdit{kind: kind, b: old, title: title, later: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if err := pveText(key, set[key]); err != nil {
			return err
		}
		if err := e.apply(key, set[key]); err != nil {
			return err
		}
	}
	if string(e.b) == string(old) {
		return nil
	}
	cfg, before := guestcfg.Parse(kind, old)
	if lock := cfg.Value("lock"); lock != "" {
		return change.Cannot("%s is locked (%s): wait until that has ended, or see why it has not (qm unlock, pct unlock), then plan again", title, lock)
	}
	_, after := guestcfg.Parse(kind, e.b)
	if err := pveAccepted(name, before, after); err != nil {
		return err
	}
	if keys := slices.Sorted(maps.Keys(e.later)); len(keys) > 0 {
		if cfg.On("template") {
			d.Effect("%s is a template: machines that are made of it later get %s", title, strings.Join(keys, ", "))
		} else {
			d.Effect("%s: %s counts from its next start on, when it runs now: shut it down and start it (a reboot from inside is not enough)", title, strings.Join(keys, ", "))
		}
	}
	return pveWrite(d, name, e.b)
}

// guestEdit is the file of one guest while it is changed.
type guestEdit struct {
	kind, title string
	b           []byte
	later       map[string]bool // settings that a running guest takes over at its next start
}

// apply changes one setting, or the part of one, for every key that the pattern names.
func (e *guestEdit) apply(name, value string) error {
	key, part, _ := strings.Cut(name, ".")
	if key == "lxc" {
		key, part = name, ""
		if value != "" {
			return change.Cannot("settings of LXC itself (%s) are only taken away, not set", name)
		}
	}
	cfg, _ := guestcfg.Parse(e.kind, e.b)
	keys := []string{key}
	if strings.Contains(key, "*") {
		keys = matching(cfg.Current, key)
	}
	for _, k := range keys {
		if err := e.one(cfg, k, part, value); err != nil {
			return err
		}
	}
	return nil
}

// matching are the settings in force whose names match a pattern like "net*": the asterisk stands for a number.
func matching(s guestcfg.Section, pattern string) []string {
	prefix := strings.TrimSuffix(pattern, "*")
	var keys []string
	for _, x := range s.Numbered(prefix) {
		keys = append(keys, x.Key)
	}
	return keys
}

func (e *guestEdit) one(cfg *guestcfg.Config, key, part, value string) error {
	have, set := cfg.Get(key)
	if strings.HasPrefix(key, "lxc.") {
		set = len(cfg.Current.Raw(key)) > 0
	}
	next, do := guestWanted(e.kind, have, set, key, part, value)
	if do && key == "vga" && part == "clipboard" && value == "" && strings.HasPrefix(pve.ParseProperties(have, "type").Value("type"), "qxl") {
		// Without clipboard=vnc it is SPICE's agent that shares it (qm(1), VNC clipboard).
		return change.Cannot("%s has a SPICE display, which shares the clipboard whatever the setting says: give it another (qm set ID --vga virtio), or list it in the parameter allowed", e.title)
	}
	if do && part != "" && next == have {
		return change.Cannot("%s: the value of %s cannot be taken apart; mend it first", e.title, key)
	}
	if do {
		e.b = guestcfg.Set(e.kind, e.b, key, next)
		if !plugged(e.kind, key) {
			e.later[key] = true
		}
	}
	// What waits for the next start replaces the setting then.
	if slices.Contains(cfg.Pending.Deletes, key) {
		if value == "" || strings.HasPrefix(value, "!") || part != "" {
			return nil
		}
		return change.Cannot("%s: it waits for the next start that %s goes; start the guest, or take the change back (qm pending, pct pending), then plan again", e.title, key)
	}
	waits, ok := cfg.Pending.Get(key)
	if !ok {
		return nil
	}
	next, do = guestWanted(e.kind, waits, true, key, part, value)
	switch {
	case !do:
	case next == "":
		return change.Cannot("%s: a change of %s waits for the next start and would bring it back; start the guest, or take the change back, then plan again", e.title, key)
	default:
		e.b = guestcfg.SetPending(e.kind, e.b, key, next)
	}
	return nil
}

// guestWanted is what a setting becomes, "" when it goes, and whether that changes it. A part of a setting that is not there is not made.
func guestWanted(kind, have string, set bool, key, part, value string) (string, bool) {
	if part == "" {
		return pveWanted(have, set, value, pve.Same)
	}
	if !set {
		return "", false
	}
	return pvePart(have, part, value, guestDefault(kind, key))
}

// guestDefault is the key of the first part of a setting, which may stand without it (the schemas in qemu-server, PVE/QemuServer.pm and
// below, and pve-container, PVE/LXC/Config.pm).
//
// table: default keys of property strings
func guestDefault(kind, key string) string {
	name := strings.TrimRight(key, "0123456789")
	if kind == guestcfg.LXC {
		switch name {
		case "rootfs", "mp", "unused":
			return "volume"
		case "dev":
			return "path"
		}
		return ""
	}
	switch name {
	case "net":
		return "model"
	case "ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "unused":
		return "file"
	case "cpu":
		return "cputype"
	case "vga", "machine", "amd-sev", "intel-tdx":
		return "type"
	case "agent":
		return "enabled"
	case "memory":
		return "current"
	case "rng":
		return "source"
	case "watchdog":
		return "model"
	case "hostpci", "usb":
		return "host"
	case "virtiofs":
		return "dirid"
	}
	return ""
}

// plugged reports whether PVE reads a setting from the file each time that it needs it, so that a change of the file counts at once also for a
// guest that runs: those that qemu-server never leaves pending (PVE/QemuServer.pm, $fast_plug_option) and what pve-container reads when it
// acts. All others reach a running guest through PVE only, which was not asked to plug them.
//
// table: settings that count at once
func plugged(kind, key string) bool {
	switch key {
	case "name", "onboot", "startup", "description", "protection", "hookscript", "tags", "lock", "vmstatestorage", "hotplug":
		return true
	case "cipassword", "ciuser", "cicustom", "sshkeys":
		return false // the image of cloud-init is made anew at the start
	case "cmode", "console", "tty":
		return kind == guestcfg.LXC && key == "cmode"
	}
	return false
}

// guestFirewall is the file of the firewall of a guest.
func guestFirewall(id string) string { return path.Join(pveDir, "firewall", id+".fw") }
