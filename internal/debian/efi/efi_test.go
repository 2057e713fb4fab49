package efi

import (
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func ucs2(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func devNode(kind, sub byte, data ...byte) []byte {
	return append([]byte{kind, sub, byte(len(data) + 4), 0}, data...)
}

func variable(attributes uint32, name string, nodes ...[]byte) []byte {
	p := append(slices.Concat(nodes...), 0x7f, 0xff, 4, 0)
	b := binary.LittleEndian.AppendUint32([]byte{7, 0, 0, 0}, attributes)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p)))
	return slices.Concat(b, ucs2(name), p)
}

func TestParseEntry(t *testing.T) {
	pci := devNode(1, 1, 0, 0)
	hd := devNode(4, 1, make([]byte, 38)...)
	for _, tt := range []struct {
		name string
		in   []byte
		want Entry
	}{
		{"proxmox", variable(1, "proxmox", hd, devNode(4, 4, ucs2(`\EFI\proxmox\shimx64.efi`)...)),
			Entry{Description: "proxmox", Active: true, Kind: Disk, File: `\EFI\proxmox\shimx64.efi`}},
		{"pxe", variable(1, "UEFI PXEv4", pci, devNode(3, 11, make([]byte, 33)...), devNode(3, 12)), Entry{Description: "UEFI PXEv4", Active: true, Kind: Network}},
		{"http over usb nic", variable(1, "x", pci, devNode(3, 5, 0, 0), devNode(3, 11), devNode(3, 24)), Entry{Description: "x", Active: true, Kind: Network}},
		{"usb stick, off", variable(0, "USB", pci, devNode(3, 5, 1, 0), hd), Entry{Description: "USB", Kind: USB}},
		{"dvd", variable(1, "DVD", pci, devNode(3, 18), devNode(4, 2)), Entry{Description: "DVD", Active: true, Kind: CDROM}},
		{"sata dvd without media", variable(1, "UEFI QEMU DVD-ROM", pci, devNode(3, 18)), Entry{Description: "UEFI QEMU DVD-ROM", Active: true, Kind: CDROM}},
		{"nvme", variable(1, "SSD", pci, devNode(3, 23)), Entry{Description: "SSD", Active: true, Kind: Disk}},
		{"shell", variable(1, "EFI Internal Shell", devNode(4, 7), devNode(4, 6)), Entry{Description: "EFI Internal Shell", Active: true, Kind: Shell}},
		{"setup", variable(0x109, "UiApp", devNode(4, 7), devNode(4, 6)), Entry{Description: "UiApp", Active: true, App: true, Kind: Firmware}},
		{"bios cd", variable(1, "CD", devNode(5, 1, 3, 0)), Entry{Description: "CD", Active: true, Kind: CDROM}},
		{"bios lan", variable(1, "LAN", devNode(5, 1, 0x80, 0)), Entry{Description: "LAN", Active: true, Kind: Network}},
		{"vendor", variable(1, "?", devNode(1, 4)), Entry{Description: "?", Active: true, Kind: Other}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseEntry(tt.in)
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Error(d, err)
			}
		})
	}
}

func TestOrderAndFlags(t *testing.T) {
	got, err := Order([]byte{7, 0, 0, 0, 1, 0, 0x0a, 0})
	if d := cmp.Diff([]uint16{1, 10}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if on, err := Flag([]byte{6, 0, 0, 0, 1}); !on || err != nil {
		t.Error(on, err)
	}
	if _, err := Flag([]byte{6, 0, 0, 0}); err == nil {
		t.Error("a flag without a byte")
	}
	if s, err := Text(append([]byte{6, 0, 0, 0}, ucs2("systemd-boot 252.30-1~deb12u2")...)); s != "systemd-boot 252.30-1~deb12u2" || err != nil {
		t.Error(s, err)
	}
	if _, err := Order([]byte{7, 0, 0, 0, 1}); err == nil {
		t.Error("half a number")
	}
}

func TestBrokenEntries(t *testing.T) {
	good := variable(1, "proxmox", devNode(4, 1, 0, 0))
	for n := range len(good) {
		if e, err := ParseEntry(good[:n]); err == nil {
			t.Errorf("%d of %d bytes gave %+v", n, len(good), e)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(variable(1, "proxmox", devNode(4, 4, ucs2(`\EFI`)...)))
	f.Add([]byte{7, 0, 0, 0, 1, 0, 0, 0, 255, 255, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseEntry(b); err == nil && e.Kind == "" {
			t.Fatal("an entry without a kind")
		}
		_, _ = Order(b)
		_, _ = Flag(b)
		_, _ = Text(b)
	})
}
