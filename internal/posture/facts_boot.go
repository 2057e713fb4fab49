package posture

// Boot holds the facts of the subject boot: what starts the kernel, who may interfere, and what the firmware says.
type Boot struct {
	// Firmware is uefi or bios.
	Firmware Fact[string] `json:"firmware"`
	// Loader is the boot loader in use: grub or systemd-boot.
	Loader Fact[string] `json:"loader"`
	// ProxmoxTool is true when proxmox-boot-tool keeps the EFI system partitions up to date.
	ProxmoxTool Fact[bool] `json:"proxmox_tool"`
	GRUB        BootGRUB   `json:"grub"`
	// Editor is true when systemd-boot lets anybody at the console edit the kernel command line.
	Editor Fact[bool] `json:"editor"`

	// SecureBoot is true when the firmware checks signatures of what it starts.
	SecureBoot Fact[bool] `json:"secure_boot"`
	// SetupMode is true when keys can be enrolled without authentication.
	SetupMode Fact[bool] `json:"setup_mode"`
	// Entries are the boot entries of the firmware that stand in its boot order, in that order.
	Entries Fact[[]BootEntry] `json:"entries"`

	// AdminPassword and PowerOnPassword are the firmware's word (SMBIOS type 24) on whether its setup, and starting
	// the machine, ask for a password. Unknown when the firmware does not tell.
	AdminPassword   Fact[bool] `json:"admin_password"`
	PowerOnPassword Fact[bool] `json:"power_on_password"`
	// BMC is true when the firmware describes a management controller (SMBIOS type 38), or its device is there.
	BMC Fact[bool] `json:"bmc"`
	// TPM is the version of the trusted platform module: 1.2, 2.0 or none.
	TPM Fact[string] `json:"tpm"`

	// RootEncryption says what the root file system lies on: luks2, luks1, plain-crypt (dm-crypt without a header), zfs
	// or none.
	RootEncryption Fact[string] `json:"root_encryption"`
	// CryptDevices are open dm-crypt devices as "name (LUKS2)"; of a target that is not live, those of crypttab.
	CryptDevices Fact[[]string] `json:"crypt_devices"`

	// CtrlAltDel says what the key combination does: masked (nothing) or the unit that it starts.
	CtrlAltDel Fact[string] `json:"ctrl_alt_del"`
	// CtrlAltDelBurst is CtrlAltDelBurstAction= of systemd: what seven presses in two seconds do (default reboot-force).
	CtrlAltDelBurst Fact[string] `json:"ctrl_alt_del_burst"`
	// RootPassword is set, locked or empty: sulogin asks for it in the rescue and emergency shell.
	RootPassword Fact[string] `json:"root_password"`
	// ForcedShells are units and kernel arguments that open the rescue or emergency shell without a password.
	ForcedShells Fact[[]string] `json:"forced_shells"`
}

// BootGRUB is the state of GRUB.
type BootGRUB struct {
	// Superusers are the names in the variable superusers of the effective grub.cfg.
	Superusers Fact[[]string] `json:"superusers"`
	// Hashed are users with a PBKDF2 hash, Plain those with a password in plain text, as "name (file:line)"; of Plain
	// also those that scripts of /etc/grub.d would bring.
	Hashed Fact[[]string] `json:"hashed"`
	Plain  Fact[[]string] `json:"plain"`
	// HashedNames are the names of Hashed without their place.
	HashedNames Fact[[]string] `json:"hashed_names"`
	// InPackagedScript are places where a password stands in a script that belongs to the package grub-common, which
	// an update replaces.
	InPackagedScript Fact[[]string] `json:"in_packaged_script"`
	// Entries are the menu entries and submenus.
	Entries Fact[[]BootMenuEntry] `json:"entries"`
	// Mode is the mode of grub.cfg as chmod writes it ("0600"), Owner its owner and group as numbers ("0:0").
	Mode  Fact[string] `json:"mode"`
	Owner Fact[string] `json:"owner"`
}

// BootMenuEntry is an entry or submenu of GRUB's menu.
type BootMenuEntry struct {
	Title string `json:"title"`
	// Default is true for the entry that starts when nobody interferes, and for the submenu that holds it.
	Default      bool `json:"default"`
	Submenu      bool `json:"submenu"`
	Unrestricted bool `json:"unrestricted"`
	Recovery     bool `json:"recovery"`
	// Nested is true for an entry inside a submenu.
	Nested bool     `json:"nested"`
	Users  []string `json:"users"`
}

// BootEntry is a boot entry of the firmware.
type BootEntry struct {
	Number string `json:"number"` // "0001"
	Name   string `json:"name"`
	// Kind is disk, usb, network, cdrom, floppy, shell, firmware or other.
	Kind string `json:"kind"`
	// Active is true when the firmware tries the entry.
	Active bool   `json:"active"`
	File   string `json:"file"`
}
