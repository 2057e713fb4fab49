package collect

import (
	"path"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/journald"
	"github.com/castellan-project/castellan/internal/debian/mounts"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	blockNames  = "/sys/devices/virtual/block/*/dm/name"
	blockUUIDs  = "/sys/devices/virtual/block/*/dm/uuid"
	blockSlaves = "/sys/devices/virtual/block/*/slaves/*"
	crypttab    = "/etc/crypttab"
	fstab       = "/etc/fstab"
	procMounts  = "/proc/self/mounts"
	cadTarget   = "/etc/systemd/system/ctrl-alt-del.target"
	cadVendor   = "/usr/lib/systemd/system/ctrl-alt-del.target"
	shadowFile  = "/etc/shadow"
)

func bootDiskNeeds() []host.Need {
	return append(reads(blockNames, blockUUIDs, crypttab, fstab, procMounts), lists(blockNames, blockUUIDs, blockSlaves)...)
}

// zfsEncryption asks ZFS for the encryption of a dataset.
func zfsEncryption(dataset string) host.Command {
	return host.Command{Name: "zfs-get-encryption", Argv: []string{"zfs", "get", "-H", "-o", "value", "encryption", dataset}}
}

func bootDisks(c *Context, f *posture.Boot) {
	if !c.Live {
		f.RootEncryption, f.CryptDevices = configuredEncryption(c)
		return
	}
	b, err := c.Host.ReadFile(procMounts)
	var table []mounts.Mount
	if err == nil {
		table, err = mounts.Parse(b)
	}
	if err != nil {
		f.RootEncryption, f.CryptDevices = posture.Unknown[string](err, procMounts), posture.Unknown[[]string](err, procMounts)
		return
	}
	m, err := readDM(c)
	if err != nil {
		f.RootEncryption, f.CryptDevices = posture.Unknown[string](err, blockUUIDs), posture.Unknown[[]string](err, blockUUIDs)
		return
	}
	f.CryptDevices = posture.Known(m.crypt(), posture.Effective, blockUUIDs)
	root, ok := mounts.At(table, "/")
	if !ok {
		f.RootEncryption = posture.Unknown[string](posture.Problemf("not-found", "%s has no root file system", procMounts), procMounts)
		return
	}
	f.RootEncryption = rootEncryption(c, root, m)
}

func rootEncryption(c *Context, root mounts.Mount, m dmTable) posture.Fact[string] {
	if root.Type == "zfs" {
		out, err := c.Host.Run(zfsEncryption(root.Source))
		if err != nil {
			return posture.Unknown[string](err, "zfs get encryption")
		}
		value := strings.TrimSpace(string(out.Stdout))
		switch {
		case out.Code != 0 || value == "" || value == "-":
			return posture.Unknown[string](posture.Problemf("error", "zfs get encryption %s gave no answer", root.Source), "zfs get encryption")
		case value == "off":
			return posture.Known("none", posture.Effective, "zfs get encryption "+root.Source)
		}
		return posture.Known("zfs", posture.Effective, "zfs get encryption "+root.Source)
	}
	name, ok := strings.CutPrefix(root.Source, "/dev/")
	if !ok || name == "root" {
		return posture.Unknown[string](posture.Problemf("unavailable", "the root file system is on %q, whose disks cannot be followed", root.Source), procMounts)
	}
	if mapped, ok := strings.CutPrefix(name, "mapper/"); ok {
		if name, ok = m.byName(mapped); !ok {
			return posture.Unknown[string](posture.Problemf("not-found", "device mapper does not list %s", mapped), blockNames)
		}
	}
	return posture.Known(m.below(name, 0), posture.Effective, blockUUIDs)
}

// dmTable holds the block devices that the kernel builds of others.
type dmTable struct {
	names, uuids map[string]string   // by kernel name: dm-0
	slaves       map[string][]string // what a device lies on
}

func readDM(c *Context) (dmTable, error) {
	t := dmTable{names: map[string]string{}, uuids: map[string]string{}, slaves: map[string][]string{}}
	for pattern, into := range map[string]map[string]string{blockNames: t.names, blockUUIDs: t.uuids} {
		paths, contents, err := readAll(c, pattern)
		if err != nil {
			return t, err
		}
		for i, p := range paths {
			into[path.Base(path.Dir(path.Dir(p)))] = strings.TrimSpace(string(contents[i]))
		}
	}
	list, err := c.Host.List(blockSlaves)
	if err != nil {
		return t, err
	}
	for _, i := range list {
		dev := path.Base(path.Dir(path.Dir(i.Path)))
		t.slaves[dev] = append(t.slaves[dev], path.Base(i.Path))
	}
	return t, nil
}

func (t dmTable) byName(name string) (string, bool) {
	for dev, n := range t.names {
		if n == name {
			return dev, true
		}
	}
	return "", false
}

// cryptKind reads the uuid of a device: cryptsetup writes CRYPT-LUKS2-<uuid>-<name>, CRYPT-LUKS1-..., CRYPT-PLAIN-...
func cryptKind(uuid string) string {
	rest, ok := strings.CutPrefix(uuid, "CRYPT-")
	if !ok {
		return ""
	}
	kind, _, _ := strings.Cut(rest, "-")
	switch kind {
	case "LUKS2":
		return "luks2"
	case "LUKS1":
		return "luks1"
	}
	return "plain-crypt"
}

// below says how a device is encrypted: by itself or by everything that it lies on, of which the weakest counts.
func (t dmTable) below(dev string, depth int) string {
	if k := cryptKind(t.uuids[dev]); k != "" {
		return k
	}
	if len(t.slaves[dev]) == 0 || depth > 16 {
		return "none"
	}
	strength := []string{"none", "plain-crypt", "luks1", "luks2"}
	weakest := len(strength) - 1
	for _, s := range t.slaves[dev] {
		weakest = min(weakest, slices.Index(strength, t.below(s, depth+1)))
	}
	return strength[weakest]
}

func (t dmTable) crypt() []string {
	out := []string{}
	for dev, uuid := range t.uuids {
		if k := cryptKind(uuid); k != "" {
			out = append(out, t.names[dev]+" ("+k+")")
		}
	}
	slices.Sort(out)
	return out
}

// configuredEncryption judges an image: a root on dm-crypt needs an entry in crypttab for the initramfs, but the kind of
// header is in the device only.
func configuredEncryption(c *Context) (posture.Fact[string], posture.Fact[[]string]) {
	b, err := c.Host.ReadFile(crypttab)
	if err != nil && !absent(c, err) {
		return posture.Unknown[string](err, crypttab), posture.Unknown[[]string](err, crypttab)
	}
	names := []string{}
	for _, l := range host.Lines(b) {
		w := strings.Fields(l)
		if len(w) > 1 && !strings.HasPrefix(w[0], "#") {
			names = append(names, w[0])
		}
	}
	devices := posture.Known(names, posture.Configured, crypttab)
	unknown := posture.Unknown[string](posture.Problemf("unavailable", "how the disks are encrypted is seen on the running host only"), crypttab)
	b, err = c.Host.ReadFile(fstab)
	if err != nil {
		return posture.Unknown[string](err, fstab), devices
	}
	table, err := mounts.Parse(b)
	if err != nil {
		return posture.Unknown[string](malformed(err), fstab), devices
	}
	root, ok := mounts.At(table, "/")
	if !ok || root.Type == "zfs" || len(names) > 0 {
		return unknown, devices
	}
	return posture.Known("none", posture.Configured, crypttab), devices
}

func bootShellNeeds() []host.Need {
	return append(append(lists(cadTarget, cadVendor, shellDropins), reads(shellDropins)...),
		append(lists(journald.Patterns("system.conf")...), reads(journald.Patterns("system.conf")...)...)...)
}

// shellDropins are drop-ins of the units that open a shell for repair.
const shellDropins = "/etc/systemd/system/*.service.d/*.conf"

func bootShells(c *Context, f *posture.Boot) {
	f.CtrlAltDel = ctrlAltDel(c)
	var facts posture.LogFacts
	conf, err := (&logState{c: c, facts: &facts}).systemdConf("system.conf", "Manager")
	if err != nil {
		f.CtrlAltDelBurst = posture.Unknown[string](err, "system.conf")
	} else if s, ok := conf.Get("CtrlAltDelBurstAction"); ok {
		f.CtrlAltDelBurst = posture.Known(s.Value, posture.Configured, s.Source)
	} else {
		f.CtrlAltDelBurst = posture.Known("reboot-force", posture.Default, "default of systemd")
	}
	f.RootPassword = rootPassword(c)
	f.ForcedShells = forcedShells(c)
}

// ctrlAltDel says what systemd starts for the keys: its own link leads to reboot.target, one of /etc to something else.
func ctrlAltDel(c *Context) posture.Fact[string] {
	for _, p := range []string{cadTarget, cadVendor} {
		list, err := c.Host.List(p)
		if err != nil {
			return posture.Unknown[string](err, p)
		}
		if len(list) == 0 {
			continue
		}
		origin := posture.Configured
		if p == cadVendor {
			origin = posture.Default
		}
		switch {
		case list[0].Link == "/dev/null" || list[0].Type == host.Regular && list[0].Size == 0:
			return posture.Known("masked", origin, p)
		case list[0].Link != "":
			return posture.Known(path.Base(list[0].Link), origin, p)
		}
		return posture.Known("ctrl-alt-del.target", origin, p)
	}
	if !wholeSystem(c) {
		return posture.Unknown[string](notCopied(cadTarget), cadTarget)
	}
	return posture.Known("reboot.target", posture.Default, "default of systemd")
}

func rootPassword(c *Context) posture.Fact[string] {
	b, err := c.Host.ReadFile(shadowFile)
	if err != nil {
		return posture.Unknown[string](err, shadowFile)
	}
	list, err := passwd.ParseShadow(b)
	if err != nil {
		return posture.Unknown[string](malformed(err), shadowFile)
	}
	for _, s := range list {
		if s.Name != "root" {
			continue
		}
		state := "locked"
		switch s.State {
		case passwd.Set:
			state = "set"
		case passwd.Empty:
			state = "empty"
		}
		return posture.Known(state, posture.Effective, source(shadowFile, s.Line))
	}
	return posture.Unknown[string](posture.Problemf("not-found", "%s has no entry for root", shadowFile), shadowFile)
}

// forcedShells finds what opens the rescue or emergency shell without a password: SYSTEMD_SULOGIN_FORCE=1 for their
// units (systemd-sulogin-shell), and the kernel argument systemd.debug_shell, which opens one on tty9.
func forcedShells(c *Context) posture.Fact[[]string] {
	paths, contents, err := readAll(c, shellDropins)
	if err != nil {
		return posture.Unknown[[]string](err, shellDropins)
	}
	out := []string{}
	for i, p := range paths {
		unit := strings.TrimSuffix(path.Base(path.Dir(p)), ".d")
		if unit != "rescue.service" && unit != "emergency.service" {
			continue
		}
		for n, l := range host.Lines(contents[i]) {
			l = strings.TrimSpace(l)
			if strings.HasPrefix(l, "Environment=") && strings.Contains(l, "SYSTEMD_SULOGIN_FORCE=1") || strings.HasPrefix(l, "ExecStart=") && strings.Contains(l, "--force") {
				out = append(out, source(p, n+1))
			}
		}
	}
	list, err := c.Host.List("/etc/systemd/system/*.wants/debug-shell.service")
	if err != nil {
		return posture.Unknown[[]string](err, "debug-shell.service")
	}
	for _, i := range list {
		out = append(out, i.Path)
	}
	args, where, err := persistedArgs(c)
	if err == nil {
		for _, a := range args {
			if name, value, _ := strings.Cut(a, "="); name == "systemd.debug_shell" && value != "0" && value != "no" || a == "SYSTEMD_SULOGIN_FORCE=1" {
				out = append(out, a+" ("+where+")")
			}
		}
	}
	return posture.Known(out, posture.Configured, shellDropins)
}
