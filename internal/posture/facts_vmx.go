package posture

// VMXFacts holds the facts of the subject vmx: the boundary between one VMware virtual machine and its hypervisor, from its
// .vmx file or from vSphere. Of other targets they are unknown.
//
// A setting that is absent has the value that ESXi 7 and later use, with the origin default; Set tells which are written down,
// for schools that want that.
type VMXFacts struct {
	// Name is the name of the machine; Via is file or vsphere.
	Name Fact[string] `json:"name"`
	Via  Fact[string] `json:"via"`
	// Problems are lines that VMware cannot use, as "line:column: what; how it is right".
	Problems Fact[[]string] `json:"problems"`
	// Obsolete are settings that guides still give and that nothing reads today, with what is right.
	Obsolete Fact[[]string] `json:"obsolete"`
	// Set are the names of the settings that are written down, in lower case.
	Set Fact[[]string] `json:"set"`
	// Hardware is the version of the virtual hardware.
	Hardware   Fact[int]    `json:"hardware"`
	Firmware   Fact[string] `json:"firmware"`
	SecureBoot Fact[bool]   `json:"secure_boot"`
	Encrypted  Fact[bool]   `json:"encrypted"`
	Running    Fact[bool]   `json:"running"`
	// Pending is true when the configuration was changed after the machine was powered on: settings take effect at a power
	// on (DISA VMCH-80, fix texts), not at a restart of the guest.
	Pending Fact[bool] `json:"pending"`

	// The channels between guest and hypervisor; true is the safe side of each key.
	CopyOff     Fact[bool] `json:"copy_off"`
	PasteOff    Fact[bool] `json:"paste_off"`
	DragOff     Fact[bool] `json:"drag_off"`
	ShrinkOff   Fact[bool] `json:"shrink_off"`
	WipeOff     Fact[bool] `json:"wipe_off"`
	GUIOff      Fact[bool] `json:"gui_off"`
	SetInfoOff  Fact[bool] `json:"set_info_off"`
	ConnectOff  Fact[bool] `json:"connect_off"`
	EditOff     Fact[bool] `json:"edit_off"`
	HostInfoOff Fact[bool] `json:"host_info_off"`
	VNCOff      Fact[bool] `json:"vnc_off"`
	Graphics3D  Fact[bool] `json:"graphics_3d"`
	Autolock    Fact[bool] `json:"autolock"`
	FoldersOff  Fact[bool] `json:"folders_off"`
	// SetInfoLimit is how much a guest may write into its configuration, in bytes.
	SetInfoLimit Fact[int] `json:"set_info_limit"`
	// Consoles is how many may watch the console at once; -1 is the default of ESXi 8, which means 40.
	Consoles Fact[int] `json:"consoles"`
	// Logging is whether vmware.log is written, LogSize its size in bytes at which a new one begins, LogKeep how many are kept.
	Logging Fact[bool] `json:"logging"`
	LogSize Fact[int]  `json:"log_size"`
	LogKeep Fact[int]  `json:"log_keep"`
	// PageSalt is set when the machine shares memory pages with others of the same salt.
	PageSalt Fact[bool] `json:"page_salt"`
	// VMotion and FT are disabled, opportunistic or required.
	VMotion Fact[string] `json:"vmotion"`
	FT      Fact[string] `json:"ft"`
	// Filters are the network filters by card; Legacy the settings of the old "unexposed features" that are not on.
	Filters Fact[[]string]    `json:"filters"`
	Legacy  Fact[[]string]    `json:"legacy"`
	Devices Fact[[]VMXDevice] `json:"devices"`
	Disks   Fact[[]VMXDisk]   `json:"disks"`
}

// VMXDevice is a virtual device.
type VMXDevice struct {
	// Kind is floppy, cdrom, parallel, serial, usb, sound, pci.
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Backing   string `json:"backing"`
}

// VMXDisk is a virtual disk; Mode is persistent, independent-nonpersistent and the like.
type VMXDisk struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
}
