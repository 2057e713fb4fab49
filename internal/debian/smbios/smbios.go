// Package smbios reads structures of the SMBIOS tables (DMTF DSP0134 3.7): raw entries as the kernel exports them in
// /sys/firmware/dmi/entries/<type>-<instance>/raw and the whole table of /sys/firmware/dmi/tables/DMI.
package smbios

import (
	"bytes"
	"errors"
	"fmt"
)

// Types of structures that we ask for (DSP0134 table 3).
const (
	TypeHardwareSecurity = 24 // 7.25
	TypeIPMI             = 38 // 7.39: a BMC
	TypeTPM              = 43 // 7.44
)

// Structure is one entry of the table.
type Structure struct {
	Type   byte
	Handle uint16
	// Data is the formatted area with its four-byte header.
	Data []byte
	// Strings are the strings that follow it, the first at index 0.
	Strings []string
}

// ErrShort means that a structure ends early.
var ErrShort = errors.New("the SMBIOS structure is shorter than it says")

// Parse reads one structure and returns what follows it.
func Parse(b []byte) (Structure, []byte, error) {
	if len(b) < 4 || b[1] < 4 || int(b[1]) > len(b) {
		return Structure{}, nil, ErrShort
	}
	s := Structure{Type: b[0], Handle: uint16(b[2]) | uint16(b[3])<<8, Data: b[:b[1]]}
	rest := b[b[1]:]
	if len(rest) == 0 {
		return s, nil, nil // a raw entry without its strings
	}
	end := bytes.Index(rest, []byte{0, 0})
	if end < 0 {
		return Structure{}, nil, ErrShort
	}
	for _, str := range bytes.Split(rest[:end], []byte{0}) {
		if len(str) > 0 {
			s.Strings = append(s.Strings, string(bytes.ToValidUTF8(str, []byte("?"))))
		}
	}
	return s, rest[end+2:], nil
}

// Table reads a whole table, up to its end marker (type 127).
func Table(b []byte) ([]Structure, error) {
	var out []Structure
	for len(b) > 0 {
		s, rest, err := Parse(b)
		if err != nil {
			return out, fmt.Errorf("cannot read structure %d: %w", len(out)+1, err)
		}
		out = append(out, s)
		if s.Type == 127 {
			break
		}
		b = rest
	}
	return out, nil
}

// Status is the state of a password or switch in the hardware security structure.
type Status byte

// The states of DSP0134 7.25.1.
const (
	Disabled Status = iota
	Enabled
	NotImplemented
	Undetermined
)

func (s Status) String() string {
	return [...]string{"disabled", "enabled", "not implemented", "unknown"}[s&3]
}

// Security is the hardware security structure: what the firmware says about its own passwords.
type Security struct {
	PowerOnPassword, KeyboardPassword, AdministratorPassword, FrontPanelReset Status
}

// HardwareSecurity decodes a structure of type 24.
func HardwareSecurity(s Structure) (Security, error) {
	if s.Type != TypeHardwareSecurity {
		return Security{}, fmt.Errorf("cannot decode hardware security: the structure has type %d, not 24", s.Type)
	}
	if len(s.Data) < 5 {
		return Security{}, ErrShort
	}
	v := s.Data[4]
	return Security{PowerOnPassword: Status(v >> 6), KeyboardPassword: Status(v >> 4 & 3),
		AdministratorPassword: Status(v >> 2 & 3), FrontPanelReset: Status(v & 3)}, nil
}
