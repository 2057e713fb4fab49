package guestcfg

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Volume is a disk, mount point, CD or device of a guest.
type Volume struct {
	// Key is the setting ("scsi0", "rootfs", "mp0", "unused0") and Line its line.
	Key  string
	Line int
	// Storage and Name are those of a volume "storage:name". Path is that of a device or directory of the node instead.
	Storage, Name, Path string
	// Size is in bytes, 0 when the file does not say.
	Size int64
	// Mount is where a container sees it.
	Mount string

	// CDROM is true for CD-ROM drives; without a medium they have neither volume nor path, and with the node's own drive
	// Path is "cdrom". Cloudinit is true for the drive that PVE makes for cloud-init.
	CDROM, Cloudinit bool
	// EFI and TPM are true for the small volumes with the state of the firmware and of the virtual TPM.
	EFI, TPM bool
	// Bind is true for a directory of the node in a container, Device for a device of the node in a guest.
	Bind, Device bool
	// Unused is true for a volume that belongs to the guest and is not attached to it.
	Unused bool

	// Backup is true when a backup of the guest includes it: disks of virtual machines unless backup=0 (the EFI disk only
	// with OVMF), of containers rootfs, and mount points with backup=1; never CDs, directories, devices of the node in
	// containers, and unused volumes (pve-manager PVE/VZDump.pm, VZDump/QemuServer.pm, pve-container Config.pm).
	Backup bool
	// Replicate is false when replication leaves the volume out.
	Replicate bool
	ReadOnly  bool
	// Shared is true when the file says that every node has the directory.
	Shared bool
	// Cache is the mode of the cache of a virtual machine's disk, "" for the default (none).
	Cache string
	// Options are the properties as they are written.
	Options pve.Properties
}

// ID is "storage:name", or the path, or "" for an empty drive.
func (v *Volume) ID() string {
	if v.Storage != "" {
		return v.Storage + ":" + v.Name
	}
	return v.Path
}

// Volumes returns the volumes that are in force, in a fixed order.
func (c *Config) Volumes() []Volume { return c.Current.Volumes() }

// Volumes returns the volumes of a section in a fixed order.
func (s *Section) Volumes() []Volume {
	var all []Volume
	if s.kind == LXC {
		if e := s.entry("rootfs"); e != nil {
			all = append(all, s.mountPoint(*e))
		}
		for _, family := range []string{"mp", "unused"} {
			for _, e := range s.numbered(family) {
				all = append(all, s.mountPoint(e))
			}
		}
		return all
	}
	for _, bus := range []string{"ide", "sata", "scsi", "virtio"} {
		for _, e := range s.numbered(bus) {
			all = append(all, s.disk(e))
		}
	}
	for _, key := range []string{"efidisk0", "tpmstate0"} {
		if e := s.entry(key); e != nil {
			all = append(all, s.disk(*e))
		}
	}
	for _, e := range s.numbered("unused") {
		all = append(all, s.disk(e))
	}
	return all
}

// mountPoint reads rootfs, mpN and unusedN of a container.
func (s *Section) mountPoint(e Entry) Volume {
	ps := pve.ParseProperties(e.Value, "volume")
	v := Volume{Key: e.Key, Line: e.Line, Options: ps, Mount: ps.Value("mp"), Replicate: true}
	v.Unused = strings.HasPrefix(e.Key, "unused")
	if e.Key == "rootfs" {
		v.Mount = "/"
	}
	v.locate(ps.Value("volume"))
	v.Device = strings.HasPrefix(v.Path, "/dev/")
	v.Bind = v.Path != "" && !v.Device
	v.Backup = !v.Unused && (e.Key == "rootfs" || (v.Path == "" && ps.On("backup")))
	v.flags(ps)
	return v
}

// disk reads a drive of a virtual machine.
func (s *Section) disk(e Entry) Volume {
	ps := driveProperties(e.Value)
	v := Volume{Key: e.Key, Line: e.Line, Options: ps, Cache: ps.Value("cache"), Replicate: true}
	v.Unused = strings.HasPrefix(e.Key, "unused")
	v.EFI, v.TPM = e.Key == "efidisk0", e.Key == "tpmstate0"
	v.CDROM = ps.Value("media") == "cdrom"
	switch file := ps.Value("file"); {
	case file == "none":
	case file == "cdrom":
		v.Path = file
	default:
		v.locate(file)
	}
	v.Device = strings.HasPrefix(v.Path, "/dev/")
	v.Cloudinit = cloudinit(v.Name)
	backup, ok := pve.Bool(ps.Value("backup"))
	v.Backup = !v.Unused && !v.CDROM && (backup || !ok) && (!v.EFI || s.Value("bios") == "ovmf")
	v.flags(ps)
	return v
}

// locate takes "storage:name" or a path apart.
func (v *Volume) locate(file string) {
	storage, name, ok := strings.Cut(file, ":")
	switch {
	case strings.HasPrefix(file, "/"):
		v.Path = file
	case ok:
		v.Storage, v.Name = storage, name
	default:
		v.Name = file // no volume of a storage; PVE refuses it where it checks
	}
}

func (v *Volume) flags(ps pve.Properties) {
	v.ReadOnly, v.Shared = ps.On("ro"), ps.On("shared")
	if on, ok := pve.Bool(ps.Value("replicate")); ok {
		v.Replicate = on
	}
	v.Size = size(ps.Value("size"))
}

// cloudinit reports whether a volume is called cloudinit or vm-ID-cloudinit, with or without the ending of a format
// (QemuServer/Drive.pm drive_is_cloudinit).
func cloudinit(name string) bool {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if base, format, ok := strings.Cut(name, "."); ok {
		switch format {
		case "raw", "cow", "qcow", "qcow2", "qed", "vmdk", "cloop":
			name = base
		}
	}
	if rest, ok := strings.CutPrefix(name, "vm-"); ok {
		id, rest, _ := strings.Cut(rest, "-")
		if !digits(id) {
			return false
		}
		name = rest
	}
	return name == "cloudinit"
}

// size reads "32G" (pve-common src/PVE/JSONSchema.pm parse_size: K, M, G, T by 1024, fractions allowed).
func size(s string) int64 {
	if s == "" {
		return 0
	}
	unit := float64(1)
	switch s[len(s)-1] {
	case 'K':
		unit = 1 << 10
	case 'M':
		unit = 1 << 20
	case 'G':
		unit = 1 << 30
	case 'T':
		unit = 1 << 40
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	for i := range len(s) {
		if !digit(s[i]) && s[i] != '.' {
			return 0
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n*unit >= math.MaxInt64 {
		return 0
	}
	return int64(n * unit)
}

// maxTemplates bounds the templates of one guest; each disk has one.
const maxTemplates = 100

// Templates returns the VMIDs of the templates that the guest is a linked clone of, ascending. Storages that keep clones
// as chains name the base before the volume: "base-9000-disk-0/vm-100-disk-0" (pve-storage, parse_volname); others forget
// where a clone came from.
func (s *Section) Templates() []int {
	var found []int
	for _, v := range s.Volumes() {
		if v.CDROM || v.Unused {
			continue
		}
		parts := strings.Split(v.Name, "/")
		for _, part := range parts[:len(parts)-1] { // the last is the volume itself
			rest, ok := strings.CutPrefix(part, "base-")
			if !ok {
				rest, ok = strings.CutPrefix(part, "basevol-")
			}
			id, _, _ := strings.Cut(rest, "-")
			n, err := strconv.Atoi(id)
			if ok && err == nil && n > 0 && len(found) < maxTemplates && !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return found
}
