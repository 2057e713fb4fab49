package posture

// Kernel holds the facts of the subject kernel.
type Kernel struct {
	// Release is the running kernel (uname -r); of a target that is not live, the newest installed one.
	Release Fact[string] `json:"release"`
	// Installed are the releases in /boot (vmlinuz-*), newest first.
	Installed Fact[[]string] `json:"installed"`
	// Container is true when the target is itself a container: its kernel, firmware and boot loader are those of the host.
	Container Fact[bool] `json:"container"`
	// Virtual is true when the processor says that it is emulated by a hypervisor.
	Virtual Fact[bool] `json:"virtual"`

	// Cmdline are the arguments with which the running kernel was started; of a target that is not live, CmdlinePersisted.
	Cmdline Fact[[]string] `json:"cmdline"`
	// CmdlinePersisted are the arguments that boot entries and their templates hold: the entries of grub.cfg that are
	// not for recovery, /etc/default/grub with grub.d, /etc/kernel/cmdline.
	CmdlinePersisted Fact[[]string] `json:"cmdline_persisted"`

	// Modules are the loaded modules, with underscores.
	Modules Fact[[]string] `json:"modules"`
	// ModuleStates tells of each module that the catalogue asks for how it can get into the kernel, by its name with underscores.
	ModuleStates map[string]KernelModule `json:"module_states"`
	// ModuleOptions are the options that modprobe.d sets, as "module name=value".
	ModuleOptions Fact[[]string] `json:"module_options"`
	// NeededModules are modules that may not be blocked on this host, with the reason.
	NeededModules Fact[map[string]string] `json:"needed_modules"`
	// NeededBlocked are those of NeededModules that modprobe.d blocks, as "module (reason)".
	NeededBlocked Fact[[]string] `json:"needed_blocked"`

	// CPUVendor is GenuineIntel, AuthenticAMD ...; CPUModel the model name.
	CPUVendor Fact[string] `json:"cpu_vendor"`
	CPUModel  Fact[string] `json:"cpu_model"`
	// Vulnerabilities holds the kernel's word on each flaw of the processor, by name of the file in
	// /sys/devices/system/cpu/vulnerabilities.
	Vulnerabilities Fact[map[string]string] `json:"vulnerabilities"`
	// Vulnerable lists those that are open, as "name: word of the kernel".
	Vulnerable Fact[[]string] `json:"vulnerable"`
	// SMT is the kernel's control of hyper-threading: on, off, forceoff, notsupported, notimplemented.
	SMT Fact[string] `json:"smt"`

	// MicrocodeRevision is the revision that the processor runs ("0xf0").
	MicrocodeRevision Fact[string] `json:"microcode_revision"`
	// MicrocodePackage is the package for this processor's vendor, empty for a vendor without one.
	MicrocodePackage Fact[string] `json:"microcode_package"`
	// MicrocodeInstalled is the installed version of that package, empty when it is not installed.
	MicrocodeInstalled Fact[string] `json:"microcode_installed"`
	// MicrocodeSource is true when an enabled package source has the component non-free-firmware, without which the
	// package gets no updates.
	MicrocodeSource Fact[bool] `json:"microcode_source"`
	// MicrocodeOld is true when the kernel (6.15 and later) knows a newer revision than the one that runs.
	MicrocodeOld Fact[bool] `json:"microcode_old"`

	// Lockdown is the mode of the lockdown module: none, integrity, confidentiality.
	Lockdown Fact[string] `json:"lockdown"`
	// IOMMUGroups is how many groups the IOMMU forms; 0 means that none is active.
	IOMMUGroups Fact[int] `json:"iommu_groups"`
	// PassthroughGuests are the VMIDs of this node's guests that get a PCI device.
	PassthroughGuests Fact[[]string] `json:"passthrough_guests"`
}

// KernelModule tells how one module can get into the kernel.
type KernelModule struct {
	// State is builtin (it is part of the kernel and cannot be blocked), loaded (now, whatever is configured),
	// absent (neither the newest nor the running kernel ships it), blocked (an install line does nothing), blacklisted (it can still be
	// loaded by its name) or loadable.
	State Fact[string] `json:"state"`
}
