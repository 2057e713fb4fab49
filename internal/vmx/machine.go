package vmx

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Machine is a virtual machine as its configuration describes it, from a file or from the API of vSphere: what controls look
// at. A file gives one with [File.Machine].
type Machine struct {
	Name string
	// Source is "file" or "vsphere".
	Source string
	// Settings are the keys that are set, by their folded name. Of a machine of vSphere they are its advanced settings.
	Settings map[string]Setting
	// Hardware is the version of the virtual hardware, 0 when not known.
	Hardware int
	GuestOS  string
	// Firmware is bios or efi; SecureBoot is on only with efi.
	Firmware   string
	SecureBoot bool
	Encrypted  bool
	// Logging is whether the machine writes a log (vmware.log).
	Logging bool
	// VMotion is disabled, opportunistic or required; FT the same for the traffic of fault tolerance. Empty when not said.
	VMotion, FT string
	Devices     []Device
	Disks       []Disk
	Cards       []Card
	// Filters are the network filters (dvFilter) by card: "ethernet0.filter1.name" and its value.
	Filters []Setting
	// Running is whether it runs, nil when that is not known; Since when it was powered on.
	Running *bool
	Since   time.Time
	// Changed is when its configuration was last changed, zero when not known.
	Changed time.Time
}

// Device is a virtual device that a machine has.
type Device struct {
	// Kind is floppy, cdrom, parallel, serial, usb, sound, pci.
	Kind string `json:"kind"`
	Name string `json:"name"` // as the configuration calls it: floppy0, sata0:0
	// Connected is whether it is connected when the machine starts.
	Connected bool `json:"connected"`
	// Backing is what stands behind it: a file, a device of the host, the client.
	Backing string `json:"backing,omitempty"`
	// Line is where it stands in a file, 0 when it is there because nothing says otherwise.
	Line int `json:"line,omitempty"`
}

// Disk is a virtual disk.
type Disk struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	// Mode is persistent, nonpersistent, independent-persistent, independent-nonpersistent and the like.
	Mode string `json:"mode"`
	Line int    `json:"line,omitempty"`
}

// Card is a network card. Network is the port group that it is in, or the kind of its connection where there are no port
// groups (nat, bridged, hostonly of Workstation); empty when the configuration does not say.
type Card struct {
	Name, Network string
	Connected     bool
}

// The names of devices in a file (libvirt's src/vmx/vmx.c, its head comment).
var (
	plainDevice = regexp.MustCompile(`(?i)^(floppy|serial|parallel|pciPassthru)(\d+)\.present$`)
	cardDevice  = regexp.MustCompile(`(?i)^(ethernet\d+)\.present$`)
	slotDevice  = regexp.MustCompile(`(?i)^((?:ide|sata|scsi|nvme)\d+:\d+)\.present$`)
	filterKey   = regexp.MustCompile(`(?i)^ethernet\d+\.filter\d+\.name$`)
)

// IsFilter reports whether a key names a network filter of a card.
func IsFilter(key string) bool { return filterKey.MatchString(key) }

// Machine describes what the file configures. Defaults are resolved as VMware resolves them: an absent floppy0.present and an
// absent startConnected mean TRUE, every other absent .present FALSE.
func (f *File) Machine() Machine {
	m := Machine{Source: "file", Settings: make(map[string]Setting, len(f.byKey)), Firmware: "bios", Logging: true, Encrypted: f.Encrypted()}
	for _, s := range f.Settings() {
		m.Settings[strings.ToLower(s.Key)] = s
	}
	m.Name, m.GuestOS = m.value("displayName"), m.value("guestOS")
	m.Hardware, _ = strconv.Atoi(m.value("virtualHW.version"))
	if s := m.value("firmware"); s != "" {
		m.Firmware = strings.ToLower(s)
	}
	m.SecureBoot = m.Firmware == "efi" && m.truth("uefi.secureBoot.enabled", false)
	m.Logging = m.truth("logging", true)
	m.VMotion = strings.ToLower(m.value("migrate.encryptionMode"))
	m.FT = strings.ToLower(strings.TrimPrefix(m.value("ftcpt.ftEncryptionMode"), "ftEncryption"))
	m.devices(f.Settings())
	return m
}

func (m *Machine) value(key string) string { return m.Settings[strings.ToLower(key)].Value }

// truth reads a boolean; one that cannot be read counts as what is worse for the caller's default being wrong: the default.
func (m *Machine) truth(key string, absent bool) bool {
	if v, ok := Bool(m.value(key)); ok {
		return v
	}
	return absent
}

func (m *Machine) devices(settings []Setting) {
	if _, said := m.Settings["floppy0.present"]; !said {
		m.Devices = append(m.Devices, Device{Kind: "floppy", Name: "floppy0", Connected: m.truth("floppy0.startConnected", true)})
	}
	for _, s := range settings {
		if filterKey.MatchString(s.Key) {
			m.Filters = append(m.Filters, s)
		}
		present, _ := Bool(s.Value)
		if !present {
			continue
		}
		if g := plainDevice.FindStringSubmatch(s.Key); g != nil {
			kind := strings.ToLower(g[1])
			if kind == "pcipassthru" {
				kind = "pci"
			}
			m.device(kind, strings.TrimSuffix(s.Key, s.Key[len(g[1])+len(g[2]):]), s.Line)
		}
		if g := cardDevice.FindStringSubmatch(s.Key); g != nil {
			c := Card{Name: g[1], Network: m.value(g[1] + ".networkName"), Connected: m.truth(g[1]+".startConnected", true)}
			if c.Network == "" {
				c.Network = m.value(g[1] + ".connectionType")
			}
			m.Cards = append(m.Cards, c)
		}
		if g := slotDevice.FindStringSubmatch(s.Key); g != nil {
			m.slot(g[1], s.Line)
		}
		switch strings.ToLower(s.Key) {
		case "usb.present", "ehci.present", "usb_xhci.present":
			m.device("usb", strings.TrimSuffix(strings.ToLower(s.Key), ".present"), s.Line)
		case "sound.present":
			m.device("sound", "sound", s.Line)
		}
	}
	slices.SortFunc(m.Devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Cards, func(a, b Card) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Disks, func(a, b Disk) int { return strings.Compare(a.Name, b.Name) })
}

func (m *Machine) device(kind, name string, line int) {
	backing := m.value(name + ".fileName")
	if t := m.value(name + ".fileType"); t != "" {
		backing = strings.TrimSpace(t + " " + backing)
	}
	m.Devices = append(m.Devices, Device{Kind: kind, Name: name, Connected: m.truth(name+".startConnected", true), Backing: backing, Line: line})
}

// slot is a disk or a CD drive at a controller.
func (m *Machine) slot(name string, line int) {
	if t := strings.ToLower(m.value(name + ".deviceType")); strings.Contains(t, "cdrom") {
		m.device("cdrom", name, line)
		return
	}
	mode := strings.ToLower(m.value(name + ".mode"))
	if mode == "" {
		mode = "persistent"
	}
	m.Disks = append(m.Disks, Disk{Name: name, File: m.value(name + ".fileName"), Mode: mode, Line: line})
}
