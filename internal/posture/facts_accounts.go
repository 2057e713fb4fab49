package posture

import "time"

// AccountFacts holds the facts of the subject accounts: local users and groups, the state (never the hash) of their
// passwords, sudo, PAM, and the settings of login shells.
type AccountFacts struct {
	Users  Fact[[]Account]      `json:"users"`
	Groups Fact[[]AccountGroup] `json:"groups"`
	// Superusers are the names of all users and groups with the number 0, groups as "group root".
	Superusers Fact[[]string] `json:"superusers"`
	// People are the names of the accounts of human beings that can log in, Admins those of them that sudo lets become root.
	People Fact[[]string] `json:"people"`
	Admins Fact[[]string] `json:"admins"`
	// Root is the account root.
	Root RootAccount `json:"root"`
	// GroupsWithPassword are groups that anybody who knows a password may join.
	GroupsWithPassword Fact[[]string] `json:"groups_with_password"`

	Sudo  SudoFacts  `json:"sudo"`
	PAM   PAMFacts   `json:"pam"`
	Login LoginFacts `json:"login"`
}

// Account is a local user.
type Account struct {
	Name  string `json:"name"`
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	Home  string `json:"home"`
	Shell string `json:"shell"`
	// Person is true for an account of a human being: UID between UID_MIN and UID_MAX of login.defs.
	Person bool `json:"person"`
	// Interactive is true when the shell lets somebody work: not nologin, false, sync, halt or shutdown.
	Interactive bool `json:"interactive"`
	// Shadowed is true when the password is in shadow, as it should.
	Shadowed bool `json:"shadowed"`
	// Groups are the names of all groups the user is in, the primary one first.
	Groups []string `json:"groups"`
	// Password is set, locked, none or empty.
	Password Fact[string] `json:"password"`
	// Scheme is how the password is hashed: yescrypt, sha512, bcrypt, md5, des ...; empty without a hash.
	Scheme Fact[string] `json:"scheme"`
	// LastChange is the day of the last change of the password, the zero time when it is not recorded.
	LastChange Fact[time.Time] `json:"last_change"`
	// MinDays, MaxDays, WarnDays and InactiveDays are the fields of shadow; -1 when they are empty.
	MinDays      Fact[int] `json:"min_days"`
	MaxDays      Fact[int] `json:"max_days"`
	WarnDays     Fact[int] `json:"warn_days"`
	InactiveDays Fact[int] `json:"inactive_days"`
	// Expired is true when the account's own expiry date lies in the past.
	Expired Fact[bool] `json:"expired"`
	// HomeMode is the mode of the home directory of a person in octal, "0750", and HomeOpen true when others than the owner
	// may write to it or others than the owner's group may look into it; unknown when there is none.
	HomeMode Fact[string] `json:"home_mode"`
	HomeOpen Fact[bool]   `json:"home_open"`
	// Keys is true when the account has an authorized_keys file that is not empty.
	Keys Fact[bool] `json:"keys"`
	// CanLogin is true when the account has a working shell, is not expired, and has a password that is set or empty, or
	// an SSH key.
	CanLogin Fact[bool] `json:"can_login"`
	// Admin is true when sudo lets the account run any command as root.
	Admin Fact[bool] `json:"admin"`
	// LastLogin is the last login that lastlog or wtmp records; the zero time when they record none.
	LastLogin Fact[time.Time] `json:"last_login"`
	// Source is the line of passwd.
	Source string `json:"source"`
}

// RootAccount is what matters about root by itself.
type RootAccount struct {
	Password   Fact[string]    `json:"password"`
	Scheme     Fact[string]    `json:"scheme"`
	LastChange Fact[time.Time] `json:"last_change"`
	// Sealed is always unknown: whether the password is strong, kept sealed and changed after use is a matter of attestation.
	Sealed Fact[bool] `json:"sealed"`
}

// AccountGroup is a local group.
type AccountGroup struct {
	Name    string   `json:"name"`
	GID     int      `json:"gid"`
	Members []string `json:"members"` // explicit members, without those whose primary group it is
}

// SudoFacts is the configuration of sudo with includes and aliases resolved.
type SudoFacts struct {
	Installed Fact[bool]       `json:"installed"`
	Rules     Fact[[]SudoRule] `json:"rules"`
	// NoPasswd are the rules that ask for no password, as "/etc/sudoers.d/x:2 ann: ALL".
	NoPasswd Fact[[]string] `json:"nopasswd"`
	// UsePTY is true when commands run in a pseudo-terminal, so that they cannot reach back into the caller's.
	UsePTY Fact[bool] `json:"use_pty"`
	// Logfile is sudo's own log, empty when it only writes to syslog.
	Logfile Fact[string] `json:"logfile"`
	// Syslog is true when sudo logs to syslog, which is its default.
	Syslog Fact[bool] `json:"syslog"`
	// TimestampTimeout is how many minutes a password entered is remembered; -1 for ever.
	TimestampTimeout Fact[int] `json:"timestamp_timeout"`
	// PasswdTimeout is how many minutes sudo waits for a password; 0 for ever.
	PasswdTimeout Fact[int] `json:"passwd_timeout"`
	// Authenticate is false when a Defaults line switches passwords off for everybody.
	Authenticate Fact[bool] `json:"authenticate"`
	// Problems are lines that sudo would refuse; it works for nobody then.
	Problems Fact[[]string] `json:"problems"`
}

// SudoRule is one command granted to a list of users.
type SudoRule struct {
	Users    []string `json:"users"` // "ann", "%sudo", "ALL"
	RunAs    []string `json:"run_as"`
	Command  string   `json:"command"`
	NoPasswd bool     `json:"nopasswd"`
	// Everything is true when any command may be run as root.
	Everything bool   `json:"everything"`
	Source     string `json:"source"`
}

// PAMFacts are the stacks of Linux-PAM with includes resolved, and what follows from them.
type PAMFacts struct {
	// Stacks holds the entries of each service that lets people in, in the order in which they run: common-auth,
	// common-account, common-password, common-session, sshd, login, su, su-l, sudo, proxmox-ve-auth.
	Stacks Fact[map[string][]PAMEntry] `json:"stacks"`
	// NullOK are the entries of pam_unix that accept empty passwords, as "/etc/pam.d/common-auth:17".
	NullOK Fact[[]string] `json:"nullok"`
	// HashMethod is how pam_unix hashes new passwords: its own option, else ENCRYPT_METHOD of login.defs, in lower case.
	HashMethod Fact[string] `json:"hash_method"`
	// SuRestricted is true when pam_wheel binds su: only members of a group may use it.
	SuRestricted Fact[bool] `json:"su_restricted"`
	// SuGroup is the group of pam_wheel; "root" (GID 0) when none is given and there is no group wheel.
	SuGroup Fact[string] `json:"su_group"`
	// MFAServices are the services whose authentication asks a one-time password or security key module.
	MFAServices Fact[[]string] `json:"mfa_services"`

	Faillock FaillockFacts `json:"faillock"`
	Quality  QualityFacts  `json:"quality"`
	// HistoryRemember is how many old passwords pam_pwhistory refuses; 0 when it is not used.
	HistoryRemember Fact[int] `json:"history_remember"`
}

// PAMEntry is one line of a stack.
type PAMEntry struct {
	Type    string   `json:"type"`
	Control string   `json:"control"`
	Module  string   `json:"module"`
	Args    []string `json:"args"`
	Source  string   `json:"source"`
}

// FaillockFacts are the effective settings of pam_faillock: module arguments, then faillock.conf, then defaults.
type FaillockFacts struct {
	// Active is true when common-auth runs it both before (preauth) and after (authfail) the password, so that it counts
	// and refuses.
	Active Fact[bool] `json:"active"`
	Deny   Fact[int]  `json:"deny"`
	// UnlockTime is in seconds; 0 means never by itself.
	UnlockTime Fact[int] `json:"unlock_time"`
	// FailInterval is the window for the count, in seconds.
	FailInterval Fact[int] `json:"fail_interval"`
	// EvenDenyRoot is true when root can be locked too.
	EvenDenyRoot Fact[bool] `json:"even_deny_root"`
	// RootUnlockTime is in seconds; 0 means never by itself.
	RootUnlockTime Fact[int] `json:"root_unlock_time"`
}

// QualityFacts are the effective settings of pam_pwquality: module arguments, then pwquality.conf, then defaults.
type QualityFacts struct {
	// Active is true when common-password asks it and its refusal counts.
	Active    Fact[bool] `json:"active"`
	MinLength Fact[int]  `json:"min_length"`
	MinClass  Fact[int]  `json:"min_class"`
	Retry     Fact[int]  `json:"retry"`
	DictCheck Fact[bool] `json:"dict_check"`
	// EnforceRoot is true when root's own choice is refused too, not only warned about.
	EnforceRoot Fact[bool] `json:"enforce_root"`
}

// LoginFacts are the settings of logins and login shells.
type LoginFacts struct {
	// PassMaxDays, PassMinDays and PassWarnAge are given to new accounts; -1 means no limit.
	PassMaxDays Fact[int] `json:"pass_max_days"`
	PassMinDays Fact[int] `json:"pass_min_days"`
	PassWarnAge Fact[int] `json:"pass_warn_age"`
	// Inactive is how many days after its password expired a new account is locked (useradd's default); -1 never.
	Inactive      Fact[int]    `json:"inactive"`
	EncryptMethod Fact[string] `json:"encrypt_method"` // lower case
	UIDMin        Fact[int]    `json:"uid_min"`
	// Umask is UMASK of login.defs in octal, "022"; pam_umask gives it to sessions, useradd to home directories.
	Umask Fact[string] `json:"umask"`
	// PamUmask is true when pam_umask runs in sessions.
	PamUmask Fact[bool] `json:"pam_umask"`
	// RootUmask and PersonUmask are what login shells of root and of people end up with: profile, profile.d, bash.bashrc
	// and pam_umask, where a statement inside a condition counts for people only.
	RootUmask   Fact[string] `json:"root_umask"`
	PersonUmask Fact[string] `json:"person_umask"`
	// PersonGroupWrite and PersonOther are true when new files of people can be written by their group or touched by others.
	PersonGroupWrite Fact[bool] `json:"person_group_write"`
	PersonOther      Fact[bool] `json:"person_other"`
	// RootRestricted is true when root's umask keeps others from reading (beyond 022), which breaks what PVE creates.
	RootRestricted Fact[bool] `json:"root_restricted"`
	// Timeout is TMOUT in seconds: idle shells end after it; 0 when it is not set.
	Timeout Fact[int] `json:"timeout"`
	// TimeoutReadOnly is true when users cannot change it.
	TimeoutReadOnly Fact[bool] `json:"timeout_read_only"`
	// LastLoginSource says where last logins were read: lastlog, wtmp or none.
	LastLoginSource Fact[string] `json:"last_login_source"`
}
