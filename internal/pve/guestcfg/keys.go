package guestcfg

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// form is what PVE checks of a value when it reads the file.
type form byte

const (
	text    form = iota // anything
	boolean             // 1, on, yes, true, 0, off, no, false
	integer             // digits
	decimal             // digits with a fraction
	list                // a property string without a default key
	pairs               // a property string with a default key
	card                // a network card of a virtual machine
	drive               // a disk of a virtual machine
	volume              // storage:name
)

// family is numbered keys, from 0.
type family struct {
	form  form
	count int
}

// qemuKey is a table: the settings of virtual machines (qemu-server src/PVE/QemuServer.pm $confdesc, QemuServer/*.pm).
func qemuKey(name string) (form, bool) {
	switch name {
	case "onboot", "autostart", "reboot", "numa", "keephugepages", "acpi", "kvm", "tdf", "localtime", "freeze", "template", "tablet",
		"protection", "ciupgrade", "allow-ksm":
		return boolean, true
	case "balloon", "shares", "smp", "sockets", "cores", "vcpus", "cpuunits", "migrate_speed", "snaptime":
		return integer, true
	case "cpulimit", "migrate_downtime":
		return decimal, true
	case "lock", "hotplug", "keyboard", "name", "scsihw", "description", "ostype", "boot", "bootdisk", "hugepages", "startdate", "startup", "args",
		"parent", "vmstatestorage", "runningmachine", "runningcpu", "running-nets-host-mtu", "arch", "bios", "vmgenid", "tags", "affinity",
		"citype", "ciuser", "cipassword", "searchdomain", "nameserver", "sshkeys":
		return text, true
	case "memory", "agent", "vga", "watchdog", "cpu", "machine", "rng0", "amd-sev", "intel-tdx", "efidisk0", "tpmstate0":
		return pairs, true
	case "smbios1", "ivshmem", "audio0", "spice_enhancements", "meta", "cicustom":
		return list, true
	case "hookscript", "vmstate":
		return volume, true
	}
	return 0, false
}

// qemuFamily is a table: the numbered settings of virtual machines and how many there are.
func qemuFamily(prefix string) (family, bool) {
	switch prefix {
	case "net":
		return family{card, 32}, true
	case "ipconfig":
		return family{list, 32}, true
	case "ide":
		return family{drive, 4}, true
	case "sata":
		return family{drive, 6}, true
	case "scsi":
		return family{drive, 31}, true
	case "virtio":
		return family{drive, 16}, true
	case "unused":
		return family{pairs, 256}, true
	case "hostpci":
		return family{pairs, 16}, true
	case "usb":
		return family{pairs, 14}, true
	case "serial":
		return family{text, 4}, true
	case "parallel":
		return family{text, 3}, true
	case "numa":
		return family{list, 8}, true
	case "virtiofs":
		return family{pairs, 10}, true
	}
	return family{}, false
}

// lxcKey is a table: the settings of containers (pve-container src/PVE/LXC/Config.pm $confdesc).
func lxcKey(name string) (form, bool) {
	switch name {
	case "onboot", "template", "console", "ipmanagehost", "protection", "unprivileged", "debug":
		return boolean, true
	case "tty", "cores", "cpuunits", "memory", "swap", "snaptime":
		return integer, true
	case "cpulimit":
		return decimal, true
	case "lock", "startup", "arch", "ostype", "hostname", "description", "searchdomain", "nameserver", "timezone", "parent", "cmode",
		"entrypoint", "env", "tags":
		return text, true
	case "features":
		return list, true
	case "rootfs":
		return pairs, true
	case "hookscript":
		return volume, true
	}
	return 0, false
}

// lxcFamily is a table: the numbered settings of containers.
func lxcFamily(prefix string) (family, bool) {
	switch prefix {
	case "net":
		return family{list, 32}, true
	case "mp", "unused", "dev":
		return family{pairs, 256}, true
	}
	return family{}, false
}

// formOf finds the form of a key.
func formOf(kind, key string) (form, bool) {
	named, numbered := qemuKey, qemuFamily
	if kind == LXC {
		named, numbered = lxcKey, lxcFamily
	}
	if f, ok := named(key); ok {
		return f, true
	}
	prefix := strings.TrimRight(key, "0123456789")
	f, ok := numbered(prefix)
	if !ok {
		return 0, false
	}
	n, ok := number(key, prefix)
	return f.form, ok && n < f.count
}

// refuse says what PVE has against a setting, "" when nothing. Of property strings it knows the form and of network
// cards also the names: a virtual machine whose card has a property that PVE does not know has no such card.
func refuse(kind, key, value string) string {
	f, ok := formOf(kind, key)
	if !ok {
		return "PVE knows no such setting"
	}
	if strings.ContainsRune(value, '\r') {
		return "the value contains a carriage return"
	}
	switch f {
	case boolean:
		if _, ok := pve.Bool(value); !ok {
			return "not a boolean (1 or 0)"
		}
	case integer:
		if !digits(value) {
			return "not an integer"
		}
	case decimal:
		whole, fraction, dot := strings.Cut(value, ".")
		if !digits(whole) || (dot && !digits(fraction)) {
			return "not a number"
		}
	case volume:
		if storage, name, ok := strings.Cut(value, ":"); !ok || storage == "" || name == "" {
			return "not a volume \"storage:name\""
		}
	case list, pairs, drive, card:
		return refuseProperties(f, key, value)
	}
	return ""
}

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

// refuseProperties says what is wrong with the form of a property string (pve-common src/PVE/JSONSchema.pm
// parse_property_string).
func refuseProperties(f form, key, value string) string {
	parts := strings.Split(value, ",")
	if len(parts) > maxParts {
		return "too many properties"
	}
	names := make([]string, 0, len(parts))
	for _, part := range parts {
		if strings.Trim(part, space) == "" {
			continue
		}
		name, v, ok := strings.Cut(part, "=")
		switch {
		case !ok && f == list:
			return "a value without a name"
		case !ok:
			name = ""
		case name == "" || v == "":
			return "a property without a name or value: " + clip(beforeValue(part))
		}
		for _, n := range names {
			if n == name {
				return "the property " + clip(name) + " is set twice"
			}
		}
		names = append(names, name)
	}
	switch f {
	case card:
		return refuseCard(parts)
	case drive:
		return refuseDrive(strings.TrimRight(key, "0123456789"), value)
	}
	return ""
}

// maxParts bounds the properties of one setting; a disk has about 50 that can be set.
const maxParts = 100

func refuseCard(parts []string) string {
	model := false
	for _, part := range parts {
		name, v, ok := strings.Cut(part, "=")
		switch {
		case strings.Trim(part, space) == "":
		case !ok:
			if !cardModel(part) {
				return "unknown model " + clip(part)
			}
			model = true
		case cardModel(name):
			model = true
		case name == "model":
			if !cardModel(v) {
				return "unknown model " + clip(v)
			}
			model = true
		case name == "firewall" || name == "link_down":
			if _, ok := pve.Bool(v); !ok {
				return name + " is not a boolean (1 or 0)"
			}
		case name == "tag":
			if n, ok := vlan(v); !ok || n == 0 {
				return "the tag is no VLAN between 1 and 4094"
			}
		case name == "macaddr" || name == "bridge" || name == "queues" || name == "rate" || name == "trunks" || name == "mtu" || name == "host-tunnel":
		default:
			return "network cards have no property " + clip(name)
		}
	}
	if !model {
		return "the card has no model"
	}
	return ""
}

// cardModel is a table: models of network cards (qemu-server src/PVE/QemuServer/Network.pm $nic_model_list).
func cardModel(s string) bool {
	switch s {
	case "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b", "i82559er", "ne2k_isa", "ne2k_pci",
		"pcnet", "rtl8139", "virtio", "vmxnet3":
		return true
	}
	return false
}

// refuseDrive says why PVE finds no disk in the value (QemuServer/Drive.pm parse_drive, QemuServer.pm
// filename_to_volume_id): a name without a storage and a path outside of /dev are none.
func refuseDrive(bus, value string) string {
	ps := driveProperties(value)
	file := ps.Value("file")
	switch {
	case file == "":
		return "no volume is named"
	case bus == "virtio" && ps.Value("media") == "cdrom":
		return "a virtio disk is no CD-ROM drive"
	case file == "none", file == "cdrom", strings.HasPrefix(file, "/dev/") && len(file) > len("/dev/"):
		return ""
	}
	if storage, name, ok := strings.Cut(file, ":"); ok && storage != "" && name != "" {
		return ""
	}
	if strings.HasPrefix(file, "/") {
		return "a path that is no device: " + clip(file)
	}
	return "not a volume \"storage:name\": " + clip(file)
}

// driveProperties splits the value of a drive, in which "volume" is another name of "file", the default key.
func driveProperties(value string) pve.Properties {
	ps := pve.ParseProperties(value, "file")
	for i := range ps {
		if ps[i].Key == "volume" {
			ps[i].Key = "file"
		}
	}
	return ps
}

// rawKey is a table: settings of LXC that may stand in the file (pve-container src/PVE/LXC/Config.pm $valid_lxc_conf_keys and the deprecated ones).
func rawKey(s string) bool {
	switch s {
	case "lxc.apparmor.profile", "lxc.apparmor.allow_incomplete", "lxc.apparmor.allow_nesting", "lxc.apparmor.raw",
		"lxc.selinux.context", "lxc.include", "lxc.arch", "lxc.uts.name", "lxc.signal.halt", "lxc.signal.reboot", "lxc.signal.stop",
		"lxc.init.cmd", "lxc.init.cwd", "lxc.pty.max", "lxc.console.logfile", "lxc.console.path", "lxc.tty.max", "lxc.devtty.dir",
		"lxc.hook.autodev", "lxc.autodev", "lxc.kmsg", "lxc.mount.fstab", "lxc.mount.entry", "lxc.mount.auto", "lxc.rootfs.mount",
		"lxc.cap.drop", "lxc.cap.keep", "lxc.seccomp.profile", "lxc.seccomp.notify.proxy", "lxc.seccomp.notify.cookie", "lxc.idmap",
		"lxc.hook.pre-start", "lxc.hook.pre-mount", "lxc.hook.mount", "lxc.hook.start", "lxc.hook.stop", "lxc.hook.post-stop",
		"lxc.hook.clone", "lxc.hook.destroy", "lxc.hook.version", "lxc.log.level", "lxc.log.file", "lxc.start.auto",
		"lxc.start.delay", "lxc.start.order", "lxc.group", "lxc.environment", "lxc.environment.runtime", "lxc.environment.hooks",
		"lxc.sysctl.fs.mqueue", "lxc.sysctl.kernel.msgmax", "lxc.sysctl.kernel.msgmnb", "lxc.sysctl.kernel.msgmni",
		"lxc.sysctl.kernel.sem", "lxc.sysctl.kernel.shmall", "lxc.sysctl.kernel.shmmax", "lxc.sysctl.kernel.shmmni",
		"lxc.sysctl.kernel.shm_rmid_forced", "lxc.aa_profile", "lxc.aa_allow_incomplete", "lxc.console", "lxc.devttydir",
		"lxc.haltsignal", "lxc.rebootsignal", "lxc.stopsignal", "lxc.id_map", "lxc.init_cmd", "lxc.loglevel", "lxc.logfile",
		"lxc.mount", "lxc.pts", "lxc.se_context", "lxc.seccomp", "lxc.tty", "lxc.utsname", "lxc.network.type", "lxc.network.flags",
		"lxc.network.link", "lxc.network.mtu", "lxc.network.name", "lxc.network.hwaddr", "lxc.network.ipv4",
		"lxc.network.ipv4.gateway", "lxc.network.ipv6", "lxc.network.ipv6.gateway", "lxc.network.script.up",
		"lxc.network.script.down":
		return true
	}
	return false
}

// refuseRaw says what PVE has against an lxc.* setting.
func refuseRaw(key string) string {
	switch key {
	case "lxc.rootfs.path":
		return "PVE makes it from rootfs"
	case "lxc.rootfs.options":
		return "not supported; the options stand in rootfs"
	}
	for _, p := range []string{"lxc.cgroup.", "lxc.cgroup2.", "lxc.prlimit.", "lxc.net.", "lxc.limit."} {
		if strings.HasPrefix(key, p) {
			return ""
		}
	}
	if rawKey(key) {
		return ""
	}
	return "PVE hands no such setting to LXC"
}
