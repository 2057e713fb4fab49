package posture

// BanFacts holds the facts of the subject bans: what stops somebody who guesses passwords, tokens or keys.
type BanFacts struct {
	// Engines are the ban engines that run (on a host that is not live: that a boot would start): fail2ban, crowdsec,
	// sshguard, denyhosts, castellan.
	Engines Fact[[]string] `json:"engines"`
	// Fail2ban is true when fail2ban is installed.
	Fail2ban Fact[bool] `json:"fail2ban"`
	// ConfigProblems are problems of fail2ban's configuration as a whole, as "file:line: what; how it is right";
	// FatalProblems those with which it does not start. Problems of a jail stand at the jail.
	ConfigProblems Fact[[]string] `json:"config_problems"`
	FatalProblems  Fact[[]string] `json:"fatal_problems"`
	// Misplaced are settings at places where an update overwrites them or fail2ban never reads them.
	Misplaced Fact[[]string] `json:"misplaced"`
	// Jails are all jails that are enabled.
	Jails Fact[[]BanJail] `json:"jails"`
	// RunningJails are the jails that fail2ban-client lists; on a host that is not live those that would start.
	RunningJails Fact[[]string] `json:"running_jails"`
	// JournalModule is true when Python's systemd module is installed, without which backend = systemd fails.
	JournalModule Fact[bool] `json:"journal_module"`
	// Database is where bans are kept over a restart of fail2ban, ":memory:" or "None"; PurgeAge for how many seconds
	// the history of an address is remembered after its ban ended.
	Database Fact[string] `json:"database"`
	PurgeAge Fact[int]    `json:"purge_age"`
	// Persistent is true when bans survive a restart. The purge age does not matter for it: bans that last are kept
	// (fail2ban 0.11 and later, server/database.py).
	Persistent Fact[bool] `json:"persistent"`
	// Shared is true when bans reach the other members of the cluster: castellan's own set is there.
	Shared Fact[bool] `json:"shared"`

	// SSH, Web and Token say who watches for guessing at the SSH server, at the login of the web interface and API,
	// and with API tokens and tickets (which only the access log of pveproxy shows with an address).
	SSH   Fact[BanCover] `json:"ssh"`
	Web   Fact[BanCover] `json:"web"`
	Token Fact[BanCover] `json:"token"`

	// FirewallBackend is what PVE's firewall uses on this node: iptables or nftables; none where it is off.
	FirewallBackend Fact[string] `json:"firewall_backend"`
	// Tools are the programs for packet filters that are installed: nft, iptables, ipset.
	Tools Fact[[]string] `json:"tools"`
	// MissingTools are those that the ban actions of enabled jails call and that are not installed.
	MissingTools Fact[[]string] `json:"missing_tools"`
}

// BanJail is an enabled jail of fail2ban with everything resolved.
type BanJail struct {
	Name    string `json:"name"`
	Filter  string `json:"filter"`
	Port    string `json:"port"`
	Backend string `json:"backend"`
	// Journal is true when the jail reads the journal instead of files.
	Journal  bool         `json:"journal"`
	LogPaths []BanLogPath `json:"log_paths"`
	// SourceExists is true when the jail has something to read: the journal, or at least one file. fail2ban as a whole
	// does not start when a jail that reads files finds none. Unknown for a copy without /var/log.
	SourceExists Fact[bool] `json:"source_exists"`
	JournalMatch []string   `json:"journal_match"`
	MaxRetry     int        `json:"max_retry"`
	// FindTime and BanTime are in seconds; a BanTime of -1 is for ever.
	FindTime int `json:"find_time"`
	BanTime  int `json:"ban_time"`
	// Increment is true when repeated bans grow longer.
	Increment bool `json:"increment"`
	// IgnoreIP is the list as written; IgnoreNetworks what of it are addresses and networks, in CIDR notation.
	IgnoreIP       []string `json:"ignore_ip"`
	IgnoreNetworks []string `json:"ignore_networks"`
	// IgnoreSelf is true when the host's own addresses are never banned.
	IgnoreSelf bool     `json:"ignore_self"`
	Actions    []string `json:"actions"`
	// ActionBackend is nftables, iptables, ipset, ufw, firewalld, route or other, for the first action that bans.
	ActionBackend string `json:"action_backend"`
	// Starts is true when fail2ban can start the jail as far as its configuration goes.
	Starts bool `json:"starts"`
	// Matches says for each shape of a log line (see collect/logshapes.go) whether the jail's filter takes it as a
	// failure of the right address.
	Matches map[string]bool `json:"matches"`
	// Forgeable is true when a user name that an attacker chooses makes the filter ban another address.
	Forgeable bool `json:"forgeable"`
	// Problems are those of the jail and of its filter; what keeps it from starting comes first.
	Problems []string `json:"problems"`
	Source   string   `json:"source"`
}

// BanLogPath is a log file or pattern that a jail reads.
type BanLogPath struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
}

// BanCover is what all jails together do about one kind of guessing.
type BanCover struct {
	// Jails are the enabled jails that are meant for it.
	Jails []string `json:"jails"`
	// Works is true when one of them starts, has a log to read and takes every line shape that this host writes.
	Works Fact[bool] `json:"works"`
	// Missed are the line shapes that no jail takes.
	Missed []string `json:"missed"`
	// Forgeable is true when one of the jails bans an address that an attacker chooses.
	Forgeable bool `json:"forgeable"`
	// MaxRetry is the highest, FindTime and BanTime the lowest value among the jails that start, 0 without any; a ban for
	// ever counts as the longest.
	MaxRetry int `json:"max_retry"`
	FindTime int `json:"find_time"`
	BanTime  int `json:"ban_time"`
	// RecentLines is how many real failures of the last days were tried, RecentMatched how many of them a jail takes;
	// both 0 on a host that is not live.
	RecentLines   int `json:"recent_lines"`
	RecentMatched int `json:"recent_matched"`
	// Problems are the problems of the jails, and why one of them cannot work.
	Problems []string `json:"problems"`
}
