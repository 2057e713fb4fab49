package vmx

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMachine(t *testing.T) {
	f, err := Parse([]byte(`.encoding = "UTF-8"
displayName = "web"
virtualHW.version = "21"
guestOS = "debian12-64"
firmware = "efi"
uefi.secureBoot.enabled = "TRUE"
floppy0.present = "FALSE"
sata0:0.present = "TRUE"
sata0:0.deviceType = "cdrom-image"
sata0:0.fileName = "/iso/debian.iso"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "web.vmdk"
scsi0:0.mode = "Independent-nonpersistent"
scsi0:1.present = "FALSE"
SERIAL0.present = "true"
serial0.fileType = "network"
serial0.startConnected = "FALSE"
usb_xhci.present = "TRUE"
pciPassthru0.present = "TRUE"
ethernet0.filter0.name = "dvfilter-x"
logging = "FALSE"
migrate.encryptionMode = "required"
ftcpt.ftEncryptionMode = "ftEncryptionOpportunistic"
`))
	if err != nil || len(f.Problems()) > 0 {
		t.Fatal(err, f.Problems())
	}
	m := f.Machine()
	m.Settings = nil
	want := Machine{Name: "web", Source: "file", Hardware: 21, GuestOS: "debian12-64", Firmware: "efi", SecureBoot: true, VMotion: "required", FT: "opportunistic",
		Devices: []Device{{Kind: "serial", Name: "SERIAL0", Backing: "network", Line: 15}, {Kind: "pci", Name: "pciPassthru0", Connected: true, Line: 19},
			{Kind: "cdrom", Name: "sata0:0", Connected: true, Backing: "/iso/debian.iso", Line: 8}, {Kind: "usb", Name: "usb_xhci", Connected: true, Line: 18}},
		Disks:   []Disk{{Name: "scsi0:0", File: "web.vmdk", Mode: "independent-nonpersistent", Line: 11}},
		Filters: []Setting{{"ethernet0.filter0.name", "dvfilter-x", 20}}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
	empty, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := empty.Machine(); !m.Logging || m.Firmware != "bios" || len(m.Devices) != 1 || m.Devices[0].Name != "floppy0" {
		t.Errorf("%+v", m)
	}
}
