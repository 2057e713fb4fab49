package exposure

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/guestcfg"
)

// machine finds the exposures of a virtual machine (settings: qemu-server src/PVE/QemuServer.pm and the modules below).
func (c *scan) machine() {
	s := c.s
	c.arguments()
	if v, ok := s.Get("hookscript"); ok {
		c.add("hookscript", "hookscript", s.LineOf("hookscript"), v+" runs as root on the node")
	}
	if v, ok := s.Get("ivshmem"); ok {
		c.add("shared_memory", "ivshmem", s.LineOf("ivshmem"), v)
	}
	c.pci()
	c.usb()
	for _, e := range s.Numbered("serial") {
		if strings.HasPrefix(e.Value, "/") {
			c.add("serial_host", e.Key, e.Line, e.Value)
		} else {
			c.add("serial", e.Key, e.Line, e.Value)
		}
	}
	for _, e := range s.Numbered("parallel") {
		c.add("parallel", e.Key, e.Line, e.Value)
	}
	for _, e := range s.Numbered("virtiofs") {
		c.add("host_dir", e.Key, e.Line, "the directory "+pve.ParseProperties(e.Value, "dirid").Value("dirid")+" of the node")
	}
	if ps, line := c.properties("audio0", ""); line > 0 {
		c.add("audio", "audio0", line, "sound device "+ps.Value("device"))
	}
	c.display()
	c.disks()
	c.cloudinit()
	if a := AgentOf(s); a.Enabled {
		c.add("agent", "agent", s.LineOf("agent"), "enabled")
	}
	c.processor()
	if m := MachineOf(s); m.Type == "isapc" {
		c.add("legacy", "machine", s.LineOf("machine"), "machine isapc, without PCI")
	}
}

func (c *scan) pci() {
	for _, e := range c.s.Numbered("hostpci") {
		ps := pve.ParseProperties(e.Value, "host")
		if m := ps.Value("mapping"); m != "" {
			c.add("pci_mapped", e.Key, e.Line, "mapping "+m)
			continue
		}
		c.add("pci_raw", e.Key, e.Line, "device "+ps.Value("host"))
	}
}

func (c *scan) usb() {
	for _, e := range c.s.Numbered("usb") {
		ps := pve.ParseProperties(e.Value, "host")
		switch {
		case ps.Value("mapping") != "":
			c.add("usb_mapped", e.Key, e.Line, "mapping "+ps.Value("mapping"))
		case strings.EqualFold(ps.Value("host"), "spice"):
			c.add("usb_spice", e.Key, e.Line, "USB devices of whoever opens the console")
		default:
			c.add("usb_host", e.Key, e.Line, "device "+ps.Value("host"))
		}
	}
}

// display finds what the console shares with the computer of whoever looks at it. A QXL display starts the SPICE
// server, whose agent shares the clipboard.
func (c *scan) display() {
	vga, line := c.properties("vga", "type")
	switch {
	case vga.Value("clipboard") == "vnc":
		c.add("clipboard", "vga", line, "clipboard shared over VNC")
	case strings.HasPrefix(vga.Value("type"), "qxl"):
		c.add("clipboard", "vga", line, "SPICE display, whose agent shares the clipboard")
	}
	if vga.Value("type") == "cirrus" {
		c.add("legacy", "vga", line, "display cirrus")
	}
	spice, line := c.properties("spice_enhancements", "")
	if spice.On("foldersharing") {
		c.add("spice_folders", "spice_enhancements", line, "folders of whoever opens the console")
	}
	if v := spice.Value("videostreaming"); v != "" && v != "off" {
		c.add("spice_video", "spice_enhancements", line, "video streaming "+v)
	}
}

func (c *scan) disks() {
	for _, v := range c.s.Volumes() {
		switch {
		case v.CDROM && v.Path != "":
			c.add("cdrom_host", v.Key, v.Line, "the node's own drive")
		case (v.CDROM || strings.HasPrefix(v.Name, "iso/")) && v.Storage != "" && !v.Cloudinit && !v.Unused:
			c.add("cdrom", v.Key, v.Line, v.ID())
		case v.Device:
			c.add("raw_disk", v.Key, v.Line, v.Path)
		}
		if v.Cache == "unsafe" {
			c.add("unsafe_cache", v.Key, v.Line, v.ID()+" ignores flushes")
		}
	}
}

func (c *scan) cloudinit() {
	if _, ok := c.s.Get("cipassword"); ok {
		c.add("cloudinit_password", "cipassword", c.s.LineOf("cipassword"), "the password of cloud-init stands in the configuration")
	}
	if v, ok := c.s.Get("cicustom"); ok {
		c.add("cloudinit_custom", "cicustom", c.s.LineOf("cicustom"), v)
	}
}

func (c *scan) processor() {
	s := c.s
	if v, ok := s.Get("kvm"); ok && !s.On("kvm") {
		c.add("no_kvm", "kvm", s.LineOf("kvm"), "kvm: "+v+", emulated without the processor's isolation")
	}
	cpu := c.judge.CPUOf(s)
	if len(cpu.Missing) > 0 {
		c.add("cpu_mitigations", "cpu", s.LineOf("cpu"), cpu.Type+" lacks "+strings.Join(cpu.Missing, ", "))
	}
	if cpu.Nested {
		c.add("nested", "cpu", s.LineOf("cpu"), "virtualization inside the guest ("+cpu.Type+")")
	}
}

// AgentState is what is set about the QEMU guest agent.
type AgentState struct {
	// Enabled is false when nothing is set. Freeze is true when backups freeze file systems through it.
	Enabled, Freeze bool
}

// AgentOf reads the agent of a virtual machine (qemu-server src/PVE/QemuServer/Agent.pm: off, freezing on).
func AgentOf(s *guestcfg.Section) AgentState {
	ps := s.Properties("agent", "enabled")
	a := AgentState{Enabled: ps.On("enabled"), Freeze: true}
	for _, key := range []string{"freeze-fs", "freeze-fs-on-backup", "guest-fsfreeze"} {
		if on, ok := pve.Bool(ps.Value(key)); ok {
			a.Freeze = on
		}
	}
	a.Freeze = a.Freeze && a.Enabled
	return a
}

// Machine is the emulated board.
type Machine struct {
	// Type is i440fx, q35, virt, isapc or as written; Version is the QEMU version that it is pinned to ("8.1"), empty
	// when it follows the installed QEMU.
	Type, Version string
}

// MachineOf reads the machine type: "q35", "pc", "pc-q35-9.2+pve1", "pc-i440fx-8.1". Nothing means i440fx.
func MachineOf(s *guestcfg.Section) Machine {
	text := s.Properties("machine", "type").Value("type")
	m := Machine{Type: text}
	switch {
	case text == "" || text == "pc":
		m.Type = "i440fx"
	case strings.HasPrefix(text, "pc-q35-"):
		m.Type, m.Version = "q35", text[len("pc-q35-"):]
	case strings.HasPrefix(text, "pc-i440fx-"):
		m.Type, m.Version = "i440fx", text[len("pc-i440fx-"):]
	case strings.HasPrefix(text, "virt-"):
		m.Type, m.Version = "virt", text[len("virt-"):]
	}
	m.Version, _, _ = strings.Cut(m.Version, "+")
	m.Version = strings.TrimSuffix(m.Version, ".pxe")
	return m
}

// FirmwareState is how a virtual machine starts.
type FirmwareState struct {
	OVMF bool
	// SecureBoot is true with OVMF, an EFI disk of 4 MB and the keys of Microsoft and the distributions in it.
	SecureBoot bool
	// Certificates is 2011 or 2023k, the Microsoft certificates that the EFI disk is marked with; "" without an EFI disk.
	Certificates string
	// TPM is the version of the virtual TPM, "" for none.
	TPM string
}

// FirmwareOf reads firmware and TPM. Left out: SeaBIOS, efitype 2m, pre-enrolled-keys 0, ms-cert 2011, TPM v1.2
// (qemu-server src/PVE/QemuServer/{Drive,OVMF}.pm).
func FirmwareOf(s *guestcfg.Section) FirmwareState {
	f := FirmwareState{OVMF: s.Value("bios") == "ovmf"}
	if _, ok := s.Get("efidisk0"); ok {
		ps := s.Properties("efidisk0", "file")
		f.SecureBoot = f.OVMF && ps.Value("efitype") == "4m" && ps.On("pre-enrolled-keys")
		f.Certificates = ps.Value("ms-cert")
		if f.Certificates == "" {
			f.Certificates = "2011"
		}
	}
	if _, ok := s.Get("tpmstate0"); ok {
		if f.TPM = s.Properties("tpmstate0", "file").Value("version"); f.TPM == "" {
			f.TPM = "v1.2"
		}
	}
	return f
}
