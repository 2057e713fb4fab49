// Package efi reads UEFI variables as efivarfs gives them (four bytes of attributes, then the data): boot entries with
// their device paths, the boot order, Secure Boot. UEFI specification 2.10, sections 3.1.3 (load options), 3.3 (global
// variables) and 10.3 (device paths).
package efi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Dir is where efivarfs is mounted.
const Dir = "/sys/firmware/efi/efivars"

// Global is the GUID of the variables that the specification defines.
const Global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// Loader is the GUID of the variables of the Boot Loader Interface, which systemd-boot sets.
const Loader = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// Path is the file of a variable.
func Path(name, guid string) string { return Dir + "/" + name + "-" + guid }

// ErrShort means that a variable ends early.
var ErrShort = errors.New("the EFI variable ends early")

// Data strips the attributes.
func Data(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, ErrShort
	}
	return b[4:], nil
}

// Flag reads a variable of one byte, such as SecureBoot and SetupMode.
func Flag(b []byte) (bool, error) {
	d, err := Data(b)
	if err != nil || len(d) != 1 {
		return false, ErrShort
	}
	return d[0] == 1, nil
}

// Text reads a variable that holds a UCS-2 string, such as LoaderInfo.
func Text(b []byte) (string, error) {
	d, err := Data(b)
	if err != nil {
		return "", err
	}
	s, _, _ := text(d)
	return s, nil
}

// Order reads BootOrder: the numbers of entries, the first tried first.
func Order(b []byte) ([]uint16, error) {
	d, err := Data(b)
	if err != nil || len(d)%2 != 0 {
		return nil, ErrShort
	}
	out := make([]uint16, 0, len(d)/2)
	for i := 0; i+1 < len(d); i += 2 {
		out = append(out, binary.LittleEndian.Uint16(d[i:]))
	}
	return out, nil
}

// Kinds of boot entries.
const (
	Disk     = "disk"     // a disk, partition or file on it
	USB      = "usb"      // a USB device
	Network  = "network"  // PXE, HTTP or other network boot
	CDROM    = "cdrom"    // a CD or DVD drive
	Floppy   = "floppy"   // a floppy drive
	Shell    = "shell"    // the UEFI shell, which can start anything
	Firmware = "firmware" // an application in the firmware, such as its setup
	Other    = "other"    // none of these
)

// Entry is a load option (Boot####).
type Entry struct {
	Description string
	Active      bool // LOAD_OPTION_ACTIVE: it is tried when it stands in BootOrder
	App         bool // its category is application: never started by BootOrder
	Kind        string
	File        string // the file that is loaded, with backslashes; empty for a device
}

// ParseEntry reads a Boot#### variable.
func ParseEntry(b []byte) (Entry, error) {
	d, err := Data(b)
	if err != nil || len(d) < 6 {
		return Entry{}, ErrShort
	}
	attributes, length := binary.LittleEndian.Uint32(d), int(binary.LittleEndian.Uint16(d[4:]))
	e := Entry{Active: attributes&1 != 0, App: attributes>>8&0x1f == 1}
	name, rest, ok := text(d[6:])
	if !ok || len(rest) < length {
		return Entry{}, ErrShort
	}
	e.Description = name
	nodes, err := devicePath(rest[:length])
	if err != nil {
		return Entry{}, err
	}
	e.Kind, e.File = classify(nodes, name)
	return e, nil
}

// text reads UCS-2 up to its NUL; without one ok is false and everything is text.
func text(d []byte) (s string, rest []byte, ok bool) {
	var u []uint16
	for i := 0; i+1 < len(d); i += 2 {
		c := binary.LittleEndian.Uint16(d[i:])
		if c == 0 {
			return string(utf16.Decode(u)), d[i+2:], true
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u)), nil, false
}

type node struct {
	kind, sub byte
	data      []byte
}

func devicePath(b []byte) ([]node, error) {
	var out []node
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, fmt.Errorf("cannot read the device path: %w", ErrShort)
		}
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return nil, fmt.Errorf("cannot read the device path: %w", ErrShort)
		}
		if b[0] == 0x7f {
			break // the end, or the start of an alternative that does not change the kind of device
		}
		out = append(out, node{b[0], b[1], b[4:n]})
		b = b[n:]
	}
	return out, nil
}

// classify says what kind of device a path leads to. Types and subtypes are those of UEFI 2.10 section 10.3:
// 3 messaging (5, 15, 16 USB; 11 MAC, 12 IPv4, 13 IPv6, 24 URI, 28 Wi-Fi; 1 ATAPI, 2 SCSI, 18 SATA, 23 NVMe ...),
// 4 media (1 hard drive, 2 CD-ROM, 4 file, 6 and 7 firmware volumes), 5 BIOS boot specification.
func classify(nodes []node, name string) (kind, file string) {
	has := func(kind byte, subs ...byte) bool {
		return slices.ContainsFunc(nodes, func(n node) bool { return n.kind == kind && slices.Contains(subs, n.sub) })
	}
	for _, n := range nodes {
		if n.kind == 4 && n.sub == 4 {
			s, _, _ := text(n.data)
			file += s
		}
	}
	lower := strings.ToLower(name + " " + file)
	switch {
	case has(3, 11, 12, 13, 24, 28):
		return Network, file
	case has(5, 1):
		return biosKind(nodes), file
	case has(3, 5, 15, 16):
		return USB, file
	case has(4, 2):
		return CDROM, file
	case strings.Contains(lower, "shell"):
		return Shell, file
	case has(4, 6, 7):
		return Firmware, file
	case strings.Contains(lower, "cd-rom") || strings.Contains(lower, "cdrom") || strings.Contains(lower, "dvd"):
		return CDROM, file
	case has(4, 1, 4), has(3, 2, 10, 18, 22, 23, 26, 29):
		return Disk, file
	}
	return Other, file
}

// biosKind reads the device type of a BIOS boot specification node (UEFI 2.10 table 10.56).
func biosKind(nodes []node) string {
	for _, n := range nodes {
		if n.kind != 5 || len(n.data) < 2 {
			continue
		}
		switch binary.LittleEndian.Uint16(n.data) {
		case 1:
			return Floppy
		case 2:
			return Disk
		case 3:
			return CDROM
		case 5:
			return USB
		case 6, 0x80: // 0x80: boot entry vector, in practice the ROM of a network card
			return Network
		}
	}
	return Other
}
