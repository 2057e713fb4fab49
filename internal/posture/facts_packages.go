package posture

import "time"

// PackageFacts holds the facts of the subject packages: what dpkg has installed, where APT gets it from, what is
// outdated, and whether what runs is what is installed.
type PackageFacts struct {
	// Installed maps the name of each installed package to its version.
	Installed Fact[map[string]string] `json:"installed"`
	// Held are the packages that the administrator keeps from being upgraded.
	Held Fact[[]string] `json:"held"`
	// Broken are the packages whose installation stopped half-way.
	Broken Fact[[]string] `json:"broken"`

	DebianSupport Fact[Support] `json:"debian_support"` // of the Debian release
	PVESupport    Fact[Support] `json:"pve_support"`    // of the Proxmox VE release; not-found where there is none

	// Sources are all repositories that the files of APT name, also disabled ones and those in comments.
	Sources Fact[[]AptSource] `json:"sources"`
	// SourceErrors are entries that APT refuses to read, "file: reason".
	SourceErrors Fact[[]string] `json:"source_errors"`
	// GlobalKeys are key files that vouch for every repository without signed-by and do not come with Debian or
	// Proxmox: /etc/apt/trusted.gpg and others in trusted.gpg.d.
	GlobalKeys Fact[[]string] `json:"global_keys"`
	// InsecureOptions are the options of apt.conf that switch verification off, "option value (file:line)".
	InsecureOptions Fact[[]string] `json:"insecure_options"`

	// ListsUpdated is when the package lists were last refreshed.
	ListsUpdated Fact[time.Time] `json:"lists_updated"`
	// Updates are the installed packages for which the lists have a newer version, held ones included.
	Updates Fact[[]Update] `json:"updates"`
	// SecurityUpdates are those that a security archive offers, "name installed → available"; held ones included.
	SecurityUpdates Fact[[]string] `json:"security_updates"`
	// PVEUpdates are those that a Proxmox repository offers; Proxmox has no security archive of its own.
	PVEUpdates Fact[[]string] `json:"pve_updates"`

	Periodic   Periodic   `json:"periodic"`
	Unattended Unattended `json:"unattended"`
	// AptDaily and AptDailyUpgrade are the timers that refresh lists and start unattended-upgrades.
	AptDaily        Fact[WatchedUnit] `json:"apt_daily"`
	AptDailyUpgrade Fact[WatchedUnit] `json:"apt_daily_upgrade"`

	Upgrades UpgradeHabit `json:"upgrades"`

	// RunningKernel is the release of the running kernel, NewestKernel the newest one in /boot, PinnedKernel the one
	// that proxmox-boot-tool is told to boot (empty when none is).
	RunningKernel Fact[string] `json:"running_kernel"`
	NewestKernel  Fact[string] `json:"newest_kernel"`
	PinnedKernel  Fact[string] `json:"pinned_kernel"`
	// KernelCurrent is true when the running kernel is the pinned or else the newest one, and was built from the
	// package version that is installed.
	KernelCurrent Fact[bool] `json:"kernel_current"`
	// RebootRequired is true when a package asked for a reboot (/run/reboot-required).
	RebootRequired Fact[bool] `json:"reboot_required"`
	// StaleProcesses are processes of the host that run code of replaced files, "name (pid): file".
	StaleProcesses Fact[[]string] `json:"stale_processes"`
	// StaleGuests are virtual machines whose QEMU has been replaced since they started, "101 (pid 4711)".
	StaleGuests Fact[[]string] `json:"stale_guests"`

	// CheckedFiles is how many core programs were compared with the checksums of their packages, ChangedFiles those
	// that differ.
	CheckedFiles Fact[int]      `json:"checked_files"`
	ChangedFiles Fact[[]string] `json:"changed_files"`

	Subscription    Fact[Subscription]    `json:"subscription"`
	Vulnerabilities Fact[Vulnerabilities] `json:"vulnerabilities"`
	// Leftovers are traces of third-party scripts, "path: what it is".
	Leftovers Fact[[]string] `json:"leftovers"`
}

// Support says until when a release gets security updates.
type Support struct {
	// Release is "Debian 12" or "Proxmox VE 8".
	Release string `json:"release"`
	// Announced is false when no end has been announced yet; the times are zero then.
	Announced bool `json:"announced"`
	// End is when regular support ends, LongTermEnd when Debian LTS does (equal to End for Proxmox VE).
	End         time.Time `json:"end"`
	LongTermEnd time.Time `json:"long_term_end"`
}

// AptSource is one repository: a URI and a suite.
type AptSource struct {
	// ID names it for people: "https://enterprise.proxmox.com/debian/pve bookworm (/etc/apt/...:1)".
	ID         string   `json:"id"`
	Source     string   `json:"source"` // file:line
	URI        string   `json:"uri"`    // without user and password
	Suite      string   `json:"suite"`
	Components []string `json:"components"`
	Enabled    bool     `json:"enabled"`
	// Binary is true when packages come from it, false for sources only.
	Binary bool `json:"binary"`
	// Class is debian, debian-security, debian-updates, debian-backports, pve-enterprise, pve-no-subscription,
	// pve-test, ceph-enterprise, ceph-no-subscription, ceph-test, proxmox-other or third-party.
	Class string `json:"class"`
	// Codename is the release that the suite belongs to: "bookworm" for "bookworm-security".
	Codename string `json:"codename"`
	// SignedBy is true when the entry names the key that must have signed it.
	SignedBy bool `json:"signed_by"`
	// Insecure is true when the entry accepts data without a valid signature: trusted, allow-insecure, allow-weak.
	Insecure bool `json:"insecure"`
}

// Update is a newer version of an installed package.
type Update struct {
	Package   string `json:"package"`
	Installed string `json:"installed"`
	Available string `json:"available"`
	// Class is that of the repository, as in AptSource.
	Class string `json:"class"`
	Held  bool   `json:"held"`
}

// Periodic holds the options below APT::Periodic that the apt-daily timers obey.
type Periodic struct {
	// Enable is the main switch (default on).
	Enable Fact[bool] `json:"enable"`
	// UpdateLists and Upgrade are the intervals as written ("1", "always", "12h"), "0" when off (the default).
	UpdateLists Fact[string] `json:"update_lists"`
	Upgrade     Fact[string] `json:"upgrade"`
	// UpdateListsOn and UpgradeOn are true when the main switch and the interval are on.
	UpdateListsOn Fact[bool] `json:"update_lists_on"`
	UpgradeOn     Fact[bool] `json:"upgrade_on"`
}

// Unattended holds the configuration of unattended-upgrades and its last run.
type Unattended struct {
	Installed Fact[bool] `json:"installed"`
	// Origins are the entries of Origins-Pattern and Allowed-Origins with what they match on this release.
	Origins Fact[[]UpgradeOrigin] `json:"origins"`
	// Security is true when some entry matches the Debian security archive of this release.
	Security Fact[bool] `json:"security"`
	// Reboot is Automatic-Reboot (default false).
	Reboot Fact[bool] `json:"reboot"`
	// Mail is true when a report address is set; MailReport is always, only-on-error or on-change (the default).
	Mail       Fact[bool]   `json:"mail"`
	MailReport Fact[string] `json:"mail_report"`
	// LastRun is when the log says that it last started, Errors how many errors that run logged.
	LastRun Fact[time.Time] `json:"last_run"`
	Errors  Fact[int]       `json:"errors"`
}

// UpgradeOrigin is an entry that lets unattended-upgrades install from matching repositories.
type UpgradeOrigin struct {
	Text   string `json:"text"`
	Source string `json:"source"`
	// Matches are the repository classes of this release that it matches: debian, debian-security, debian-updates,
	// debian-backports, pve, ceph; empty when it matches none of them.
	Matches []string `json:"matches"`
}

// WatchedUnit is the state of a systemd unit.
type WatchedUnit struct {
	Name      string `json:"name"`
	Installed bool   `json:"installed"`
	// Enabled is true when boot starts it: linked and not masked.
	Enabled bool `json:"enabled"`
	// Active is whether it runs now; on a copy, whether it would after boot.
	Active bool `json:"active"`
}

// UpgradeHabit counts how packages are upgraded here: plain "upgrade" against "full-upgrade" or "dist-upgrade".
type UpgradeHabit struct {
	Plain Fact[int] `json:"plain"` // in APT's own history
	Full  Fact[int] `json:"full"`
	// ShellPlain and ShellFull count the same in root's shell history.
	ShellPlain Fact[int] `json:"shell_plain"`
	ShellFull  Fact[int] `json:"shell_full"`
	// Scripts are cron jobs that run a plain upgrade, "file:line".
	Scripts Fact[[]string] `json:"scripts"`
}

// Subscription is the state of the Proxmox subscription, never its key.
type Subscription struct {
	// Status is active, new, notfound, invalid, expired, suspended, or none when no key is entered.
	Status string `json:"status"`
	// Level is community, basic, standard or premium; empty without a key.
	Level string `json:"level"`
	// NextDue is the date to which it is paid, as the file says ("2026-12-31").
	NextDue string `json:"next_due"`
}

// Vulnerabilities is what debsecan found on its last daily run.
type Vulnerabilities struct {
	Updated time.Time `json:"updated"`
	// Open is the number of pairs of vulnerability and package, Fixable those with an update available.
	Open    int `json:"open"`
	Fixable int `json:"fixable"`
}
