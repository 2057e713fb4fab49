package posture

import "time"

// FileFacts holds the facts of the subject files: mounts, modes and owners of files that matter, and an inventory of
// special files.
type FileFacts struct {
	// Mounts are the mount points of interest (/tmp, /var/tmp, /dev/shm, /var/lib/vz, /var, /var/log, /home ...) by path,
	// mounted or not.
	Mounts Fact[map[string]FileMount] `json:"mounts"`
	// Modes are the account and scheduling files and their directories by path, present or not.
	Modes Fact[map[string]FileMode] `json:"modes"`
	// VzdumpTmpdir is where backups keep temporary files (vzdump.conf); empty when it is the backup storage itself or the
	// default.
	VzdumpTmpdir Fact[string] `json:"vzdump_tmpdir"`
	// CronAllowed and AtAllowed are the users in cron.allow and at.allow. With neither allow nor deny file Debian lets
	// everybody use cron and only root use at.
	CronAllowed Fact[[]string] `json:"cron_allowed"`
	AtAllowed   Fact[[]string] `json:"at_allowed"`

	// SetID are the regular files with the set-user-ID or set-group-ID bit, by path, outside of guests.
	SetID Fact[[]string] `json:"set_id"`
	// WorldWritable are files, and directories without the sticky bit, that everybody may write to.
	WorldWritable Fact[[]string] `json:"world_writable"`
	// Unowned are files whose user or group no longer exists.
	Unowned Fact[[]string] `json:"unowned"`

	// USBStorage says what happens when a USB disk is plugged in: blocked, loadable, loaded, built-in.
	USBStorage Fact[string] `json:"usb_storage"`
	// Automounters are services that mount removable media by themselves and start at boot.
	Automounters Fact[[]string] `json:"automounters"`
}

// FileMount is a mount point.
type FileMount struct {
	// Mounted is true when something is mounted exactly there now; off-line when fstab or a mount unit says so.
	Mounted Fact[bool] `json:"mounted"`
	// Options are the options in force; off-line those configured. Known and empty when nothing is mounted there.
	Options Fact[[]string] `json:"options"`
	// Persistent are the options that the next boot will use (fstab, mount unit, default of systemd).
	Persistent Fact[[]string] `json:"persistent"`
	// Type is the file system.
	Type Fact[string] `json:"type"`
}

// FileMode is the mode and owner of one file.
type FileMode struct {
	Exists Fact[bool] `json:"exists"`
	// Mode is the permission bits in octal with set-ID and sticky bits, "0644".
	Mode Fact[string] `json:"mode"`
	// Bits is the same as a number.
	Bits  Fact[int]       `json:"bits"`
	Owner Fact[string]    `json:"owner"` // name, or number when it has none
	Group Fact[string]    `json:"group"`
	Time  Fact[time.Time] `json:"time"`
	// GroupRead, GroupWrite, OtherRead, OtherWrite and OtherExec are single bits.
	GroupRead  Fact[bool] `json:"group_read"`
	GroupWrite Fact[bool] `json:"group_write"`
	OtherRead  Fact[bool] `json:"other_read"`
	OtherWrite Fact[bool] `json:"other_write"`
	OtherExec  Fact[bool] `json:"other_exec"`
}
