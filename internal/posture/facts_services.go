package posture

import "time"

// ServiceFacts holds the facts of the subject services: what runs, what listens, and how the services that are not SSH
// or the web interface are configured.
type ServiceFacts struct {
	// Units holds every unit that a control of the catalogue names, whether it exists or not, by its full name.
	Units Fact[map[string]ServiceUnit] `json:"units"`
	// EnabledUnits are the names of all units that links below /etc or /run pull in.
	EnabledUnits Fact[[]string] `json:"enabled_units"`
	// Listeners are the sockets that wait for others: TCP sockets that listen, UDP and raw sockets without a peer. Only
	// known on a live host.
	Listeners Fact[[]ServiceListener] `json:"listeners"`

	// Exposed are the names of those Listeners that other hosts can reach.
	Exposed Fact[[]string] `json:"exposed"`

	Postfix   ServicePostfix   `json:"postfix"`
	Mail      ServiceMail      `json:"mail"`
	NFS       ServiceNFS       `json:"nfs"`
	Time      ServiceTime      `json:"time"`
	AppArmor  ServiceAppArmor  `json:"apparmor"`
	Audit     ServiceAudit     `json:"audit"`
	Integrity ServiceIntegrity `json:"integrity"`

	// PVEDaemonAddresses are the addresses on which port 85 is open; off-line the address that pvedaemon is written to use.
	PVEDaemonAddresses Fact[[]string] `json:"pvedaemon_addresses"`
	// PVEDaemonExposed is true when one of them is no loopback address.
	PVEDaemonExposed Fact[bool] `json:"pvedaemon_exposed"`
	// SpiceGuests are the guests of the cluster whose configuration uses SPICE, as "node/100: vga qxl".
	SpiceGuests Fact[[]string] `json:"spice_guests"`
	// SpiceLimited is true when /etc/default/pveproxy, which spiceproxy reads too, admits listed addresses only.
	SpiceLimited Fact[bool] `json:"spice_limited"`
	// VNCGuests are the guests whose raw QEMU arguments open a VNC server on the network, as "node/100".
	VNCGuests Fact[[]string] `json:"vnc_guests"`
	// ConsoleListeners are sockets on ports 5900 to 5999 that other hosts can reach, as "tcp 0.0.0.0:5901 kvm". Off-line: none.
	ConsoleListeners Fact[[]string] `json:"console_listeners"`
	// SDNDHCP is true when a zone of the software-defined network has its DHCP served by dnsmasq.
	SDNDHCP Fact[bool] `json:"sdn_dhcp"`
	// Engines are programs of other platforms found on the host (container engines, orchestrators, other hypervisors), by path.
	Engines Fact[[]string] `json:"engines"`
	// IPv6Disabled is true when the kernel has IPv6 switched off for all interfaces; off-line what sysctl.d and the kernel
	// command line ask for.
	IPv6Disabled Fact[bool] `json:"ipv6_disabled"`
	// OwnUnits are the service units of castellan itself with their [Service] settings.
	OwnUnits Fact[[]ServiceSettings] `json:"own_units"`
}

// ServiceUnit is the state of one systemd unit.
type ServiceUnit struct {
	// Exists is true when a unit file or a System V script is there. It is unknown in copies without /usr/lib/systemd.
	Exists Fact[bool] `json:"exists"`
	// Enabled is the word of `systemctl is-enabled`: enabled, enabled-runtime, disabled, masked, masked-runtime, static,
	// indirect, generated; absent when the unit does not exist. It is resolved from the files.
	Enabled Fact[string] `json:"enabled"`
	// Active is the active state now: active, inactive, failed, activating ...; off-line what a boot would bring.
	Active Fact[string] `json:"active"`
	// LastRun is when a timer last started its service; the zero time when never. Only kept for persistent timers.
	LastRun Fact[time.Time] `json:"last_run"`
}

// ServiceListener is a socket that waits for others.
type ServiceListener struct {
	Protocol string `json:"protocol"` // tcp, udp, raw
	Address  string `json:"address"`  // "0.0.0.0", "::" and "*" (both families) mean every address
	Port     int    `json:"port"`     // for raw sockets the protocol number
	Loopback bool   `json:"loopback"` // only this host itself can reach it
	// Process is the name of the program (comm, at most 15 characters), "kernel" when the socket belongs to none.
	Process Fact[string] `json:"process"`
	// Unit is the systemd unit that the process runs in, empty when it runs in none.
	Unit Fact[string] `json:"unit"`
	// Name is how people write it: "tcp 0.0.0.0:8006 pveproxy".
	Name string `json:"name"`
}

// ServicePostfix is the configuration of Postfix with variables expanded and defaults resolved.
type ServicePostfix struct {
	Installed      Fact[bool]   `json:"installed"`
	InetInterfaces Fact[string] `json:"inet_interfaces"`
	InetProtocols  Fact[string] `json:"inet_protocols"`
	Relayhost      Fact[string] `json:"relayhost"`
	MyNetworks     Fact[string] `json:"mynetworks"` // empty: derived from the host's own addresses
	// LoopbackOnly is true when inet_interfaces names loopback addresses only.
	LoopbackOnly Fact[bool] `json:"loopback_only"`
	// ExposedServices are the entries of master.cf that other hosts can reach.
	ExposedServices Fact[[]string] `json:"exposed_services"`
	// Exposed are the listening sockets of mail ports (25, 465, 587) that other hosts can reach now; off-line what a
	// start would open.
	Exposed Fact[[]string] `json:"exposed"`
}

// ServiceMail says where messages to the administrator go.
type ServiceMail struct {
	// RootRecipients is what root's mail ends at after the aliases: addresses, accounts, commands.
	RootRecipients Fact[[]string] `json:"root_recipients"`
	// AdminAddresses are the mail addresses of root@pam in user.cfg and of the notification targets of the cluster.
	AdminAddresses Fact[[]string] `json:"admin_addresses"`
	// Targets are the notification targets of /etc/pve/notifications.cfg that are enabled, as "gotify: phone".
	Targets Fact[[]string] `json:"targets"`
	// Reaches is true when a message to root leaves for a person: an address outside, a target, or an account other than
	// root.
	Reaches Fact[bool] `json:"reaches"`
	// LastDelivery is the last time that Postfix's log shows a message accepted by another host. Unknown when the log
	// shows none.
	LastDelivery Fact[time.Time] `json:"last_delivery"`
	// Tested is always unknown: whether a test message arrived at a person is a matter of attestation.
	Tested Fact[bool] `json:"tested"`
}

// ServiceNFS says who needs NFS.
type ServiceNFS struct {
	// Storages are the NFS storages of storage.cfg, mounts of fstab and, on a live host, present NFS mounts.
	Storages Fact[[]NFSStorage] `json:"storages"`
	// V3Needed is true when one of them uses NFSv3 or does not say which version it uses.
	V3Needed Fact[bool] `json:"v3_needed"`
	// Exports is what this host's NFS server grants.
	Exports Fact[[]NFSExport] `json:"exports"`
}

// NFSStorage is an NFS file system that this host uses.
type NFSStorage struct {
	Name string `json:"name"` // of the storage, or the mount point
	// Version is as configured or negotiated: "3", "4.2"; empty when the configuration does not say.
	Version string `json:"version"`
	Source  string `json:"source"`
}

// NFSExport is a directory granted to a set of clients.
type NFSExport struct {
	Path         string   `json:"path"`
	Client       string   `json:"client"`
	Options      []string `json:"options"`
	Everyone     bool     `json:"everyone"`
	NoRootSquash bool     `json:"no_root_squash"`
	Writable     bool     `json:"writable"`
	Insecure     bool     `json:"insecure"` // accepts unprivileged source ports
	Source       string   `json:"source"`
}

// ServiceTime is the state of time synchronization.
type ServiceTime struct {
	// Daemons are the time daemons that start at boot or run: chrony, ntpsec, ntp, openntpd, systemd-timesyncd.
	Daemons Fact[[]string] `json:"daemons"`
	// Sources is how many servers the daemon's configuration leads to; a pool counts for up to four.
	Sources Fact[int] `json:"sources"`
	// OffsetMS is the distance of the clock from NTP time in milliseconds; unknown off-line.
	OffsetMS Fact[int] `json:"offset_ms"`
	// Synchronized is the daemon's own word; unknown off-line.
	Synchronized Fact[bool] `json:"synchronized"`
}

// ServiceAppArmor is the state of AppArmor.
type ServiceAppArmor struct {
	// Enabled is the kernel's word; off-line true unless the boot loader's command line switches it off.
	Enabled Fact[bool] `json:"enabled"`
	// Enforced and Complaining are the loaded profiles by mode; off-line the profiles of /etc/apparmor.d that are not
	// disabled, by file name.
	Enforced    Fact[[]string] `json:"enforced"`
	Complaining Fact[[]string] `json:"complaining"`
	// ContainerProfiles is true when the profiles that confine containers (lxc-container-default-cgns and lxc-start) are
	// enforced; off-line when their files are there.
	ContainerProfiles Fact[bool] `json:"container_profiles"`
}

// ServiceAudit is the state of the kernel's audit system.
type ServiceAudit struct {
	// Watches are the paths whose changes the rules in force record; off-line and without root's answer the same as
	// ConfiguredWatches.
	Watches           Fact[[]string] `json:"watches"`
	ConfiguredWatches Fact[[]string] `json:"configured_watches"`
	// Syscalls are the system calls that the rules in force record.
	Syscalls Fact[[]string] `json:"syscalls"`
	// Suppressed is true when a rule keeps everything from being recorded (-a never,task).
	Suppressed Fact[bool] `json:"suppressed"`
	// Immutable is true when the rules lock themselves until the next boot (-e 2).
	Immutable Fact[bool] `json:"immutable"`
}

// ServiceIntegrity says whether something compares the files of the host with a known state.
type ServiceIntegrity struct {
	// Tools are the checkers that run by themselves: castellan, aide, tripwire, samhain, wazuh.
	Tools Fact[[]string] `json:"tools"`
	// Baseline is when the known state was last recorded.
	Baseline Fact[time.Time] `json:"baseline"`
	// LastRun is when the last comparison was made.
	LastRun Fact[time.Time] `json:"last_run"`
}

// ServiceSettings is a unit file with its drop-ins.
type ServiceSettings struct {
	Name string `json:"name"`
	// Settings holds the last value of each key of [Service].
	Settings map[string]string `json:"settings"`
}
