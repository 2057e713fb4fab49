package posture

// GuestFacts holds the facts of the subject guests: virtual machines and containers of the whole cluster. Values are
// those of the section in force, with PVE's defaults; snapshots and pending changes never count as current.
type GuestFacts struct {
	// Summary counts them: "virtual machines 16, containers 7, of them templates 2, nodes 3".
	Summary Fact[string] `json:"summary"`
	// QEMU and LXC are all guests, by VMID.
	QEMU Fact[[]VM]        `json:"qemu"`
	LXC  Fact[[]Container] `json:"lxc"`
	// Lives are where all guests of both kinds come from and who wants them, by VMID.
	Lives Fact[[]GuestLife] `json:"lives"`
	// Templates are those of them that are templates.
	Templates Fact[[]GuestTemplate] `json:"templates"`
	// Exposures are what guests give away beyond their own disks and memory, by kind; every kind of
	// internal/inventory/exposure is a key. Templates are among them.
	Exposures Fact[map[string][]GuestExposure] `json:"exposures"`
	// Waiting are exposures of running guests, or of guests that may run, which end with the next start: hardening that is
	// not active yet.
	Waiting Fact[[]GuestExposure] `json:"waiting"`
	// Rejected are lines of configurations that PVE ignores, as "vm 100 web: text (file:line)".
	Rejected Fact[[]string] `json:"rejected"`
	// Segments are networks with the guests on them, by name ("vmbr0", "vmbr0 VLAN 20"), Hosts are nodes.
	Segments Fact[[]GuestGroup] `json:"segments"`
	Hosts    Fact[[]GuestGroup] `json:"hosts"`
	// Zones are the levels of trust that tags of guests name ("zone-dmz", "trust-high"). Unknown when no guest has one.
	Zones Fact[[]string] `json:"zones"`
	// Orphans are volumes of storages that no configuration names, as "storage:volume (5 GiB)", as far as the API told.
	// OrphansAsked is true when it told about every storage that guests use, else unknown.
	Orphans      []string   `json:"orphans"`
	OrphansAsked Fact[bool] `json:"orphans_asked"`
	// TemplatesClean would say that templates hold no host keys, machine-id or passwords. It is never known: disks of guests
	// are not read.
	TemplatesClean Fact[bool] `json:"templates_clean"`
	// KSM is true when this node merges equal memory of different guests; on a copy, when a start would.
	KSM Fact[bool] `json:"ksm"`
	// NestedKVM is true when KVM of this node offers virtualization to guests.
	NestedKVM Fact[bool] `json:"nested_kvm"`
}

// VM is a virtual machine.
type VM struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Title string `json:"title"` // "vm 100 web"
	Node  string `json:"node"`
	// Source is the file of the configuration.
	Source string `json:"source"`
	// Here is true when the guest is on the node that was read.
	Here bool     `json:"here"`
	Tags []string `json:"tags"`
	// Template is true for a template, which never runs.
	Template bool `json:"template"`

	// Memory is in MiB. Cores are 0 when there is no limit.
	Memory int `json:"memory"`
	Cores  int `json:"cores"`
	// CPULimit is in processors, 0 for none.
	CPULimit float64    `json:"cpulimit"`
	NICs     []GuestNIC `json:"nics"`

	// Created is the age in days, unknown when the configuration does not say; Dated is false then.
	Created Fact[int] `json:"created"`
	Dated   bool      `json:"dated"`
	OSType  string    `json:"ostype"`
	// Args are raw arguments of QEMU, secrets left out.
	Args string `json:"args"`
	// Agent is true when the QEMU guest agent is enabled, Freeze when backups freeze file systems through it.
	Agent  bool `json:"agent"`
	Freeze bool `json:"freeze"`
	// CPU is the model (kvm64 when nothing is set), CPUDefault true when nothing is set; CPUFlags are switched on.
	// CPUMissing are the flags against flaws of processors that are not there; CPUBare is true for a generic model without any.
	CPU        string   `json:"cpu"`
	CPUDefault bool     `json:"cpu_default"`
	CPUVendor  string   `json:"cpu_vendor"` // intel, amd, generic, host, or empty for a model that is not known
	CPUFlags   []string `json:"cpu_flags"`
	CPUMissing []string `json:"cpu_missing"`
	// CPUKnown is unknown for a model that is not known, else true.
	CPUKnown Fact[bool] `json:"cpu_known"`
	CPUBare  bool       `json:"cpu_bare"`
	Nested   bool       `json:"nested"`
	KVM      bool       `json:"kvm"`
	// Machine is i440fx, q35, virt or as written; MachineVersion the QEMU version that it is pinned to, or empty.
	Machine        string `json:"machine"`
	MachineVersion string `json:"machine_version"`
	// OVMF is UEFI firmware; SecureBoot needs the keys in the EFI disk; Certificates is 2011, 2023 ..., empty without an EFI disk.
	OVMF         bool   `json:"ovmf"`
	SecureBoot   bool   `json:"secure_boot"`
	Certificates string `json:"certificates"`
	TPM          string `json:"tpm"` // v1.2, v2.0, empty for none
	VGA          string `json:"vga"`
	Tablet       bool   `json:"tablet"`
	// AllowKSM is false when the memory of the guest is kept out of merging.
	AllowKSM bool `json:"allow_ksm"`
	VMGenID  bool `json:"vmgenid"`
	// Confidential is sev, sev-es, sev-snp, tdx or empty; Debuggable is true when its memory may be read for debugging.
	Confidential string `json:"confidential"`
	Debuggable   bool   `json:"debuggable"`
	// UnlimitedDisks are disks without a limit of operations or bytes per second.
	UnlimitedDisks []string `json:"unlimited_disks"`
	// RunningQEMU is the version that the machine runs, empty when it does not run or nobody tells; Outdated is whether its
	// node has a newer one. Only the API tells.
	RunningQEMU string     `json:"running_qemu"`
	Outdated    Fact[bool] `json:"outdated"`
	// CloudInit is true when there is a cloud-init drive, CIPassword when a password is set for it, CIUser the user.
	CloudInit  bool   `json:"cloudinit"`
	CIPassword bool   `json:"cipassword"`
	CIUser     string `json:"ciuser"`
}

// Container is an LXC container.
type Container struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Title string `json:"title"` // "ct 200 db"
	Node  string `json:"node"`
	// Source is the file of the configuration.
	Source string `json:"source"`
	// Here is true when the guest is on the node that was read.
	Here bool     `json:"here"`
	Tags []string `json:"tags"`
	// Template is true for a template, which never runs.
	Template bool `json:"template"`

	// Memory is in MiB. Cores are 0 when there is no limit.
	Memory int `json:"memory"`
	Cores  int `json:"cores"`
	// CPULimit is in processors, 0 for none.
	CPULimit float64    `json:"cpulimit"`
	NICs     []GuestNIC `json:"nics"`

	Unprivileged bool     `json:"unprivileged"`
	Features     []string `json:"features"` // nesting, keyctl, fuse, mknod, force_rw_sys, mount=nfs
	// Swap is in MiB. MemorySet and SwapSet are false when the 512 MiB of PVE apply.
	Swap      int    `json:"swap"`
	MemorySet bool   `json:"memory_set"`
	SwapSet   bool   `json:"swap_set"`
	CMode     string `json:"cmode"`
	// Platform names a container platform that seems to run inside, with why: "docker (tag)". Empty without a sign.
	Platform string `json:"platform"`
}

// GuestLife is where a guest comes from and who wants it.
type GuestLife struct {
	ID   int    `json:"id"`
	Kind string `json:"kind"` // qemu, lxc
	// Guest names it: "vm 100 web".
	Guest  string   `json:"guest"`
	Source string   `json:"source"`
	Tags   []string `json:"tags"`

	// Running is what the API or the cluster's own broadcast says.
	Running Fact[bool] `json:"running"`
	// IdleDays counts the days since the last start of a guest that is stopped, 0 for one that runs; as far as the task log
	// reaches back.
	IdleDays Fact[int] `json:"idle_days"`
	// StoppedDays is IdleDays where it is known, else 0.
	StoppedDays int    `json:"stopped_days"`
	Template    bool   `json:"template"`
	OnBoot      bool   `json:"onboot"`
	Protection  bool   `json:"protection"`
	Lock        string `json:"lock"`
	// LockHours counts the hours since the configuration was last written, which is at least the age of its lock; 0 without one.
	LockHours  Fact[int] `json:"lock_hours"`
	HookScript string    `json:"hookscript"`

	// Owner, Purpose and Expires come from notes ("Owner: infra") or tags ("owner-infra"), "" when nothing says so.
	// Expired is true when Expires is a day that has passed.
	Owner   string `json:"owner"`
	Purpose string `json:"purpose"`
	Expires string `json:"expires"`
	Expired bool   `json:"expired"`
	// From are the templates that the guest is a linked clone of. Unknown for what may be a full clone.
	From Fact[[]int] `json:"from"`
	// Lineage is true when From is known.
	Lineage bool `json:"lineage"`
	// Unused are volumes that belong to the guest and are not attached.
	Unused []string `json:"unused"`
	// Snapshots counts them, OldestSnapshot is the age of the oldest in days (0 without any), MemorySnapshots how many keep
	// the guest's memory, and UnfinishedSnapshots were never completed or removed.
	Snapshots           int `json:"snapshots"`
	OldestSnapshot      int `json:"oldest_snapshot"`
	MemorySnapshots     int `json:"memory_snapshots"`
	UnfinishedSnapshots int `json:"unfinished_snapshots"`
	// Pending is true when changes wait for the next start.
	Pending bool `json:"pending"`
	// OSSupported is false for an operating system that its maker has given up. It is never known to be true: which
	// release runs is known inside only.
	OSSupported Fact[bool] `json:"os_supported"`
	OSType      string     `json:"ostype"`
	// Dated is true when Created, the age in days, is known. Secret is true when a password stands in the configuration or
	// cloud-init logs in as root.
	Dated   bool      `json:"dated"`
	Created Fact[int] `json:"created"`
	Secret  bool      `json:"secret"`
}

// GuestTemplate is a template.
type GuestTemplate struct {
	ID    int      `json:"id"`
	Guest string   `json:"guest"`
	Tags  []string `json:"tags"`
}

// GuestNIC is a network card.
type GuestNIC struct {
	Key      string  `json:"key"`
	Bridge   string  `json:"bridge"`
	Tag      int     `json:"tag"`
	Firewall bool    `json:"firewall"`
	Rate     float64 `json:"rate"` // megabytes per second, 0 for no limit
	LinkDown bool    `json:"link_down"`
}

// GuestExposure is one thing that a setting of a guest gives away.
type GuestExposure struct {
	ID       int      `json:"id"`
	Guest    string   `json:"guest"` // "vm 100 web"
	Tags     []string `json:"tags"`
	Template bool     `json:"template"`
	Channel  string   `json:"channel"`
	Severity string   `json:"severity"`
	Key      string   `json:"key"`
	Value    string   `json:"value"`
	// Source is file and line, Words all of it in one line.
	Source string `json:"source"`
	Words  string `json:"words"`
}

// GuestGroup is what shares a network or a node.
type GuestGroup struct {
	Name string `json:"name"`
	// Zones are the levels of trust of its guests, sorted.
	Zones  []string `json:"zones"`
	Guests []string `json:"guests"`
}
