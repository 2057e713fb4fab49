package posture

// SysctlFacts holds the facts of the subject sysctl: kernel parameters as they run and as a boot will set them.
type SysctlFacts struct {
	// Keys holds every parameter that the catalogue asks for and every one that a sysctl.d file sets by name, under
	// its dotted name.
	Keys map[string]SysctlKey `json:"keys"`
	// Interfaces are the network interfaces, those of guests (tap, veth, fwbr ...) left out, with what the kernel does on them, "all" and the interface's own
	// value taken together. Known on a running host only: an image has no interfaces.
	Interfaces Fact[[]SysctlInterface] `json:"interfaces"`
	// Ignored lists assignments in /etc/sysctl.conf that nothing applies, as "key=value (/etc/sysctl.conf:12)":
	// systemd reads only sysctl.d, and Debian 13 no longer has the link /etc/sysctl.d/99-sysctl.conf.
	Ignored Fact[[]string] `json:"ignored"`
	// Problems are lines of sysctl.d files that systemd-sysctl skips, as "file:line: why".
	Problems Fact[[]string] `json:"problems"`
	// IPv6 is false when the kernel was started, or will start, without IPv6 (ipv6.disable=1).
	IPv6 Fact[bool] `json:"ipv6"`
	// BridgeFirewall says which firewall of PVE filters bridged packets: "iptables" (needs bridge-nf-call), "nftables"
	// (does not) or "off".
	BridgeFirewall Fact[string] `json:"bridge_firewall"`
	// BridgeCalls is true when bridged packets are handed to iptables or ip6tables; false too when br_netfilter is not there.
	BridgeCalls Fact[bool] `json:"bridge_calls"`
	// Core says what happens when a program crashes.
	Core SysctlCore `json:"core"`
	// UnprivilegedContainers are the VMIDs of LXC containers on this node that run in a user namespace, by their present
	// configuration (snapshots do not count).
	UnprivilegedContainers Fact[[]string] `json:"unprivileged_containers"`
}

// SysctlKey is one kernel parameter.
type SysctlKey struct {
	// Running is the value in the kernel now; of a target that is not live, what a boot would give.
	Running Fact[string] `json:"running"`
	// Persisted is the value that the next boot brings: by file, by the kernel command line, else the kernel's default.
	Persisted Fact[string] `json:"persisted"`
	// Set is true when a file or the kernel command line sets the key.
	Set bool `json:"set"`
	// Missing is true when the running kernel has no such parameter.
	Missing bool `json:"missing"`
	// Summary says both values in words: "runs 1, but a reboot brings 0 (/etc/sysctl.d/x.conf:3)".
	Summary string `json:"summary"`
}

// SysctlInterface is a network interface with the values that are in effect on it, combined as the kernel does
// (include/linux/inetdevice.h: IN_DEV_*; net/ipv6/ndisc.c and route.c).
type SysctlInterface struct {
	Name string `json:"name"`
	// Bridge is true for a bridge.
	Bridge bool `json:"bridge"`
	// RPFilter is the greater of all and the interface's own value: 0 off, 1 strict, 2 loose.
	RPFilter Fact[int] `json:"rp_filter"`
	// SendRedirects, SecureRedirects and ProxyARP are on when all or the interface's own value is.
	SendRedirects   Fact[bool] `json:"send_redirects"`
	SecureRedirects Fact[bool] `json:"secure_redirects"`
	ProxyARP        Fact[bool] `json:"proxy_arp"`
	// AcceptRedirects: where the interface forwards, all and its own value must be on; else either.
	AcceptRedirects Fact[bool] `json:"accept_redirects"`
	// AcceptRedirects6 and AcceptRA are the interface's own values, for IPv6 does not ask "all"; false where IPv6 is
	// switched off, and router advertisements are only accepted with the value 2 where the interface forwards.
	AcceptRedirects6 Fact[bool] `json:"accept_redirects6"`
	AcceptRA         Fact[bool] `json:"accept_ra"`
}

// SysctlCore says what happens to memory images of crashed programs.
type SysctlCore struct {
	// HardLimit is the hard limit of the size of core files for everybody but root by pam_limits, as written ("0",
	// "unlimited"); "unlimited" when no line sets it.
	HardLimit Fact[string] `json:"hard_limit"`
	// Exceptions are lines that give an account or group another limit than 0, as "domain value (file:line)".
	Exceptions Fact[[]string] `json:"exceptions"`
	// Collector is true when systemd-coredump is installed, which stores core files whatever the limits say.
	Collector Fact[bool] `json:"collector"`
	// Storage is Storage= of coredump.conf: none, external (the default) or journal.
	Storage Fact[string] `json:"storage"`
}
