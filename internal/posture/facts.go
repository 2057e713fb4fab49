package posture

import "time"

// FactsVersion is the version of the facts document in bundles. It changes when a field changes its meaning; a new
// field does not change it, because a missing fact is unknown.
const FactsVersion = 1

// Facts is everything that was observed about one host: the snapshot that is judged, saved, compared and drawn.
// Each field is one subject, filled by the collector of the same name and declared in facts_<subject>.go. The JSON
// names are the names that controls use.
type Facts struct {
	Version int    `json:"version"`
	Target  Target `json:"target"`

	OS       OS           `json:"os"`       // os.go: release, PVE version, node and cluster membership
	Kernel   Kernel       `json:"kernel"`   // command line, modules, CPU vulnerabilities, microcode
	Sysctl   SysctlFacts  `json:"sysctl"`   // kernel parameters, running and persisted
	Boot     Boot         `json:"boot"`     // boot loader, Secure Boot, firmware
	Packages PackageFacts `json:"packages"` // dpkg, apt, updates
	SSHD     SSHD         `json:"sshd"`     // effective SSH server configuration per scenario, host keys
	SSHKeys  SSHKeys      `json:"sshkeys"`  // authorized and private keys of accounts
	Services ServiceFacts `json:"services"` // units, listeners, postfix, NFS, time, AppArmor, auditd
	Files    FileFacts    `json:"files"`    // mounts, modes, SUID inventory
	Accounts AccountFacts `json:"accounts"` // users, shadow state, sudo, PAM, login.defs
	Web      WebFacts     `json:"web"`      // pveproxy and certificates
	Bans     BanFacts     `json:"bans"`     // fail2ban and packet filters
	Logs     LogFacts     `json:"logs"`     // journald, rsyslog, forwarding, metrics
	Network  NetworkFacts `json:"network"`  // interfaces, WireGuard, routing needs

	// The subjects of the whole cluster, as far as the node can see it.
	Identity IdentityFacts `json:"identity"` // users, tokens, roles, permissions
	Firewall FirewallFacts `json:"firewall"` // the PVE firewall at all levels
	Topology TopologyFacts `json:"topology"` // networks and what runs over which
	Guests   GuestFacts    `json:"guests"`   // virtual machines and containers
	Backups  BackupFacts   `json:"backups"`  // jobs, storages, coverage
	Cluster  ClusterFacts  `json:"cluster"`  // membership, high availability, Ceph
	Estate   Estate        `json:"estate"`   // the configuration itself, for the questions of castellan pve

	// The subject of a VMware virtual machine, which is a target of its own.
	VMX VMXFacts `json:"vmx,omitzero"`
}

// Target says what was scanned, how and when.
type Target struct {
	// Name is the target as the user wrote it.
	Name string `json:"name"`
	// Kind is local, ssh, dir, pve, vmx.
	Kind string `json:"kind"`
	// Hostname is the host's own name, empty when not known.
	Hostname string `json:"hostname,omitempty"`
	// Live is true for a running machine.
	Live bool `json:"live"`
	// Root is true when the facts were read with the rights of root.
	Root bool `json:"root"`
	// CollectedAt is when, to the second, in UTC.
	CollectedAt time.Time `json:"collected_at"`
	// Faults name collectors that broke off; what they had not read yet is unknown.
	Faults []string `json:"faults,omitempty"`
	// Unread are parts of the target that failed although they should have been readable: the snapshot is not whole.
	Unread []string `json:"unread,omitempty"`
	// Limits are what this way of reading does not show with the rights that it was given.
	Limits []string `json:"limits,omitempty"`
}
