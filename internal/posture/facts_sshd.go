package posture

import "time"

// SSHD holds the facts of the subject sshd: what the SSH server is, what it would do for three kinds of login, and its
// files. Values of keywords are those that `sshd -T -C user=...,host=...,addr=...` prints.
type SSHD struct {
	// Installed is true when the package openssh-server is installed or, in a copy without dpkg's status, when its
	// configuration exists.
	Installed Fact[bool] `json:"installed"`
	// Running is true when the server runs; in a copy: when it starts at boot.
	Running Fact[bool] `json:"running"`
	// Package is the version of Debian's package, "1:9.2p1-2+deb12u10"; Version is OpenSSH's own, "9.2p1".
	Package Fact[string] `json:"package"`
	Version Fact[string] `json:"version"`
	Major   Fact[int]    `json:"major"`
	Minor   Fact[int]    `json:"minor"`

	// ConfigValid is true when sshd accepts its configuration; when not, it will not start again.
	ConfigValid Fact[bool] `json:"config_valid"`
	// ConfigProblems are sshd's objections, as "file:line: text"; empty when there are none.
	ConfigProblems Fact[[]string] `json:"config_problems"`
	// ConfigLoaded is true when the running server has read its files since they last changed; in a copy: always,
	// because a boot reads them.
	ConfigLoaded Fact[bool] `json:"config_loaded"`
	// ConfigChanged is when a file or drop-in directory of the configuration last changed, LoadedAt when the running
	// server last read them (start or reload).
	ConfigChanged Fact[time.Time] `json:"config_changed"`
	LoadedAt      Fact[time.Time] `json:"loaded_at"`

	// Directives are all lines of the configuration in the order in which sshd reads them.
	Directives Fact[[]SSHDirective] `json:"directives"`
	// Obsolete are keywords without effect today or with a new name, as "file:line: Keyword: what".
	Obsolete Fact[[]string] `json:"obsolete"`
	// UnknownKeywords are words that sshd does not know, in lower case; it refuses to start with one.
	UnknownKeywords Fact[[]string] `json:"unknown_keywords"`
	// Matches are the criteria of all Match blocks, in order.
	Matches Fact[[]string] `json:"matches"`

	// Files are the main file, what it includes, and the drop-in directory.
	Files Fact[[]SSHDFile] `json:"files"`
	// DropIns are the included files of /etc/ssh/sshd_config.d in the order in which they are read.
	DropIns Fact[[]string] `json:"dropins"`
	// DropInsFirst is true when the main file includes sshd_config.d before it sets anything, so that drop-ins win.
	DropInsFirst Fact[bool] `json:"dropins_first"`
	// RootLoginDecidedIn is the file that decides PermitRootLogin outside of Match blocks, or "default".
	RootLoginDecidedIn Fact[string] `json:"root_login_decided_in"`
	// MainRootLogin is the value of the first PermitRootLogin line of the main file, empty when it has none. The value
	// "yes" is what joining a PVE cluster writes there (pve-cluster, PVE/Cluster/Setup.pm).
	MainRootLogin Fact[string] `json:"main_root_login"`

	// Admin is a person's login from outside the cluster: the first account with UID from 1000, a shell and membership
	// in the group sudo, or an account named admin when there is none.
	Admin SSHDScenario `json:"admin"`
	// RootCluster is root from another node of the cluster; unknown on a host that is in none.
	RootCluster SSHDScenario `json:"root_cluster"`
	// RootElsewhere is root from an address that belongs to nobody (192.0.2.1, RFC 5737).
	RootElsewhere SSHDScenario `json:"root_elsewhere"`
	// Disagreements are keywords for which sshd -T and our own evaluator give different values; sshd's count.
	Disagreements Fact[[]string] `json:"disagreements"`

	// HostKeys are the keys by which the server proves itself.
	HostKeys Fact[[]SSHHostKey] `json:"host_keys"`
	// BannerText is what the server shows before login; empty without a banner.
	BannerText Fact[string] `json:"banner_text"`
	// SFTPCommand is the program of the subsystem sftp, empty without one; SFTPExists tells whether it is there.
	SFTPCommand Fact[string] `json:"sftp_command"`
	SFTPExists  Fact[bool]   `json:"sftp_exists"`
	// FirewallLimit is whether a packet filter limits who reaches the server: false when none is set up, and unknown when
	// one is (the PVE firewall, nftables, iptables, ufw, TCP wrappers), because its rules are judged elsewhere.
	FirewallLimit Fact[bool] `json:"firewall_limit"`
	// SourceLimit is true when sshd itself refuses every account with a shell from addresses that belong to nobody, by a
	// rule about addresses: AllowUsers or DenyUsers with user@network, or a Match Address block.
	SourceLimit Fact[bool] `json:"source_limit"`
	// CertificateAuthority is true when certificates of a CA are accepted (TrustedUserCAKeys names a file that exists).
	CertificateAuthority Fact[bool] `json:"certificate_authority"`
	// BastionMFA is always unknown: whether people come through a bastion that asks for a second factor is a matter of
	// attestation.
	BastionMFA Fact[bool] `json:"bastion_mfa"`
}

// SSHDirective is a line of the configuration.
type SSHDirective struct {
	Keyword string `json:"keyword"`         // as written
	Name    string `json:"name"`            // as sshd -T prints it; empty for an unknown word
	Value   string `json:"value"`           // without the values of variables and the arguments of commands, which may be secret
	Match   string `json:"match,omitempty"` // criteria of the block that it stands in
	Source  string `json:"source"`
}

// SSHDFile is a file of the configuration.
type SSHDFile struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`  // "0600"
	Owner string `json:"owner"` // "0:0", user and group
	// OnlyRoot is true when the file belongs to root and nobody else may read or write it (for the directory: write).
	OnlyRoot bool `json:"only_root"`
	// RootWrites is true when nobody but root may change it.
	RootWrites bool      `json:"root_writes"`
	Modified   time.Time `json:"modified"`
}

// SSHHostKey is a host key that the server uses and that exists.
type SSHHostKey struct {
	Path        string `json:"path"`
	Type        string `json:"type"` // "ssh-ed25519"; empty when the public key cannot be read
	Bits        int    `json:"bits"` // 0 when not known
	Fingerprint string `json:"fingerprint"`
	Mode        string `json:"mode"`
	Owner       string `json:"owner"`
	// OnlyRoot is true when the private key belongs to root and nobody else may read or write it.
	OnlyRoot bool      `json:"only_root"`
	Modified time.Time `json:"modified"`
	AgeDays  int       `json:"age_days"`
}

// SSHDScenario is what sshd would do with one login. Fields are named as sshd -T prints them; numbers are ints, times
// are in seconds, lists are lists, all else is text ("yes", "no", "without-password" ...). A keyword that the
// release does not have is empty.
type SSHDScenario struct {
	// User, Address and Groups say whose login from where is meant.
	User    Fact[string]   `json:"user"`
	Address Fact[string]   `json:"address"`
	Groups  Fact[[]string] `json:"groups"`
	// Admitted is true when the lists of users and groups let the login try at all; AdmittedBy names the keyword
	// that stands against it.
	Admitted   Fact[bool]   `json:"admitted"`
	AdmittedBy Fact[string] `json:"admitted_by"`

	Port                            Fact[[]string] `json:"port"`
	AddressFamily                   Fact[string]   `json:"addressfamily"`
	ListenAddress                   Fact[[]string] `json:"listenaddress"`
	UsePAM                          Fact[string]   `json:"usepam"`
	LoginGraceTime                  Fact[int]      `json:"logingracetime"`
	MaxAuthTries                    Fact[int]      `json:"maxauthtries"`
	MaxSessions                     Fact[int]      `json:"maxsessions"`
	ClientAliveInterval             Fact[int]      `json:"clientaliveinterval"`
	ClientAliveCountMax             Fact[int]      `json:"clientalivecountmax"`
	RequiredRSASize                 Fact[int]      `json:"requiredrsasize"`
	PermitRootLogin                 Fact[string]   `json:"permitrootlogin"`
	IgnoreRhosts                    Fact[string]   `json:"ignorerhosts"`
	IgnoreUserKnownHosts            Fact[string]   `json:"ignoreuserknownhosts"`
	HostbasedAuthentication         Fact[string]   `json:"hostbasedauthentication"`
	PubkeyAuthentication            Fact[string]   `json:"pubkeyauthentication"`
	KerberosAuthentication          Fact[string]   `json:"kerberosauthentication"`
	GSSAPIAuthentication            Fact[string]   `json:"gssapiauthentication"`
	GSSAPIKeyExchange               Fact[string]   `json:"gssapikeyexchange"`
	PasswordAuthentication          Fact[string]   `json:"passwordauthentication"`
	KbdInteractiveAuthentication    Fact[string]   `json:"kbdinteractiveauthentication"`
	PrintMotd                       Fact[string]   `json:"printmotd"`
	PrintLastLog                    Fact[string]   `json:"printlastlog"`
	X11Forwarding                   Fact[string]   `json:"x11forwarding"`
	X11UseLocalhost                 Fact[string]   `json:"x11uselocalhost"`
	PermitTTY                       Fact[string]   `json:"permittty"`
	PermitUserRC                    Fact[string]   `json:"permituserrc"`
	StrictModes                     Fact[string]   `json:"strictmodes"`
	TCPKeepAlive                    Fact[string]   `json:"tcpkeepalive"`
	PermitEmptyPasswords            Fact[string]   `json:"permitemptypasswords"`
	Compression                     Fact[string]   `json:"compression"`
	GatewayPorts                    Fact[string]   `json:"gatewayports"`
	UseDNS                          Fact[string]   `json:"usedns"`
	AllowTcpForwarding              Fact[string]   `json:"allowtcpforwarding"`
	AllowAgentForwarding            Fact[string]   `json:"allowagentforwarding"`
	DisableForwarding               Fact[string]   `json:"disableforwarding"`
	AllowStreamLocalForwarding      Fact[string]   `json:"allowstreamlocalforwarding"`
	PermitTunnel                    Fact[string]   `json:"permittunnel"`
	RefuseConnection                Fact[string]   `json:"refuseconnection"`
	DebianBanner                    Fact[string]   `json:"debianbanner"`
	PidFile                         Fact[string]   `json:"pidfile"`
	Ciphers                         Fact[[]string] `json:"ciphers"`
	MACs                            Fact[[]string] `json:"macs"`
	KexAlgorithms                   Fact[[]string] `json:"kexalgorithms"`
	HostKeyAlgorithms               Fact[[]string] `json:"hostkeyalgorithms"`
	PubkeyAcceptedAlgorithms        Fact[[]string] `json:"pubkeyacceptedalgorithms"`
	CASignatureAlgorithms           Fact[[]string] `json:"casignaturealgorithms"`
	Banner                          Fact[string]   `json:"banner"`
	ForceCommand                    Fact[string]   `json:"forcecommand"` // without arguments
	ChrootDirectory                 Fact[string]   `json:"chrootdirectory"`
	TrustedUserCAKeys               Fact[string]   `json:"trustedusercakeys"`
	RevokedKeys                     Fact[string]   `json:"revokedkeys"`
	AuthorizedPrincipalsFile        Fact[string]   `json:"authorizedprincipalsfile"`
	AuthorizedKeysCommand           Fact[string]   `json:"authorizedkeyscommand"`
	VersionAddendum                 Fact[string]   `json:"versionaddendum"`
	LogLevel                        Fact[string]   `json:"loglevel"`
	SyslogFacility                  Fact[string]   `json:"syslogfacility"`
	AuthorizedKeysFile              Fact[[]string] `json:"authorizedkeysfile"`
	HostKey                         Fact[[]string] `json:"hostkey"`
	AllowUsers                      Fact[[]string] `json:"allowusers"`
	DenyUsers                       Fact[[]string] `json:"denyusers"`
	AllowGroups                     Fact[[]string] `json:"allowgroups"`
	DenyGroups                      Fact[[]string] `json:"denygroups"`
	AcceptEnv                       Fact[[]string] `json:"acceptenv"`
	SetEnv                          Fact[[]string] `json:"setenv"` // without values
	AuthenticationMethods           Fact[[]string] `json:"authenticationmethods"`
	Subsystem                       Fact[[]string] `json:"subsystem"`
	MaxStartups                     Fact[string]   `json:"maxstartups"`
	PerSourceMaxStartups            Fact[string]   `json:"persourcemaxstartups"`
	PerSourceNetBlockSize           Fact[string]   `json:"persourcenetblocksize"`
	PerSourcePenalties              Fact[string]   `json:"persourcepenalties"`
	PerSourcePenaltyExemptList      Fact[[]string] `json:"persourcepenaltyexemptlist"`
	RekeyLimit                      Fact[string]   `json:"rekeylimit"`
	PermitOpen                      Fact[[]string] `json:"permitopen"`
	PermitListen                    Fact[[]string] `json:"permitlisten"`
	PermitUserEnvironment           Fact[string]   `json:"permituserenvironment"`
	AuthorizedKeysCommandUser       Fact[string]   `json:"authorizedkeyscommanduser"`
	HostbasedUsesNameFromPacketOnly Fact[string]   `json:"hostbasedusesnamefrompacketonly"`
	HostbasedAcceptedAlgorithms     Fact[[]string] `json:"hostbasedacceptedalgorithms"`

	// MaxStartupsStart, MaxStartupsRate and MaxStartupsFull are the parts of MaxStartups (start:rate:full).
	MaxStartupsStart Fact[int] `json:"maxstartups_start"`
	MaxStartupsRate  Fact[int] `json:"maxstartups_rate"`
	MaxStartupsFull  Fact[int] `json:"maxstartups_full"`
}
