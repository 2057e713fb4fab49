package posture

// LogFacts holds the facts of the subject logs: what the host records, how long it keeps it, and where it sends it.
type LogFacts struct {
	Journald Journald `json:"journald"`
	// Rsyslog is the state of rsyslog.service.
	Rsyslog Fact[WatchedUnit] `json:"rsyslog"`
	// Forwards are the ways by which log messages leave the host, of programs that are configured, running or not.
	Forwards Fact[[]LogForward] `json:"forwards"`
	// Receivers are the ways by which this host takes log messages from others.
	Receivers Fact[[]LogReceiver] `json:"receivers"`
	// Agents are installed agents of log and security platforms.
	Agents Fact[[]LogAgent] `json:"agents"`
	// PVELogs are the log files of Proxmox VE that the journal does not hold, and who follows them.
	PVELogs Fact[[]PVELog] `json:"pve_logs"`
	// Retention says how long this host keeps what.
	Retention Fact[[]LogRetention] `json:"retention"`
	// CollectorDays is how many days the receiver of forwarded logs keeps them: never known from this side.
	CollectorDays Fact[int] `json:"collector_days"`
	// MetricServers are those of /etc/pve/status.cfg, Exporters the installed exporters and monitoring agents.
	MetricServers Fact[[]MetricServer] `json:"metric_servers"`
	Exporters     Fact[[]WatchedUnit]  `json:"exporters"`
	// Tasks says who starts tasks on this node.
	Tasks Fact[TaskOwners] `json:"tasks"`
}

// Journald holds the effective configuration of systemd-journald.
type Journald struct {
	Storage Fact[string] `json:"storage"` // persistent, auto, volatile, none
	// Persistent is true when the journal survives a reboot: storage is persistent, or auto and /var/log/journal exists.
	Persistent Fact[bool] `json:"persistent"`
	// MaxUse is SystemMaxUse in bytes; 0 is the default, a tenth of the file system and at most 4 GiB.
	MaxUse   Fact[int]  `json:"max_use"`
	Compress Fact[bool] `json:"compress"`
	// Seal is the setting; Sealed is true when it is on and a sealing key exists (journalctl --setup-keys).
	Seal   Fact[bool] `json:"seal"`
	Sealed Fact[bool] `json:"sealed"`
	// RetentionDays is MaxRetentionSec in days; 0 means that only the size limits it.
	RetentionDays   Fact[int]  `json:"retention_days"`
	ForwardToSyslog Fact[bool] `json:"forward_to_syslog"`
}

// LogForward is one way by which messages leave the host.
type LogForward struct {
	// ID names it for people: "*.* to 10.0.0.50:514 by udp (/etc/rsyslog.d/90-central.conf:1)".
	ID string `json:"id"`
	// Via is the program: rsyslog, journal-upload, netlogd.
	Via      string `json:"via"`
	Protocol string `json:"protocol"` // udp, tcp, relp, http, https, kafka, tls, dtls
	Target   string `json:"target"`
	Port     string `json:"port"`
	// Encrypted says whether the messages travel encrypted, Verified whether the receiver must prove who it is.
	Encrypted bool `json:"encrypted"`
	Verified  bool `json:"verified"`
	// Local is true when the receiver is this host itself.
	Local bool `json:"local"`
	// All is true when everything is forwarded, not a selection.
	All bool `json:"all"`
	// Active is true when the program runs.
	Active bool   `json:"active"`
	Source string `json:"source"`
}

// LogReceiver is a way by which messages of other hosts come in.
type LogReceiver struct {
	ID   string `json:"id"`   // "imudp *:514 (/etc/rsyslog.conf:17)"
	Type string `json:"type"` // imudp, imtcp, imptcp, imrelp, journal-remote
	// Local is true when only this host itself can reach it.
	Local  bool   `json:"local"`
	Active bool   `json:"active"`
	Source string `json:"source"`
}

// LogAgent is an agent that sends logs or events to a platform.
type LogAgent struct {
	Name    string `json:"name"` // wazuh-agent, filebeat, promtail, alloy ...
	Unit    string `json:"unit"`
	Enabled bool   `json:"enabled"`
	Active  bool   `json:"active"`
	// Healthy is true when it runs and, where that can be seen, its server answered within five minutes.
	Healthy Fact[bool] `json:"healthy"`
	// Encrypted is true when it sends encrypted, false when its configuration names a clear address.
	Encrypted Fact[bool] `json:"encrypted"`
}

// PVELog is a log file and the programs that send it away.
type PVELog struct {
	Path string `json:"path"`
	// FollowedBy names rsyslog or the agents whose configuration names the file; only running ones.
	FollowedBy []string `json:"followed_by"`
}

// LogRetention says how long a log is kept.
type LogRetention struct {
	Log string `json:"log"` // "journal" or a path
	// Days is how long, -1 without limit.
	Days   int    `json:"days"`
	Source string `json:"source"`
}

// MetricServer is an entry of /etc/pve/status.cfg.
type MetricServer struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // influxdb, graphite, opentelemetry
	Server   string `json:"server"`
	Protocol string `json:"protocol"`
	Enabled  bool   `json:"enabled"`
	// Encrypted is true for HTTPS; Private when the address is one of a private network.
	Encrypted bool `json:"encrypted"`
	Private   bool `json:"private"`
}

// TaskOwners counts the tasks in the node's index by who started them.
type TaskOwners struct {
	Total int `json:"total"`
	// Personal are those that somebody asked for; backups, updates and the like run by themselves.
	Personal int `json:"personal"`
	// Root are the personal ones of root@pam itself, API tokens of root included.
	Root int `json:"root"`
	// RootPercent is Root in percent of Personal, rounded up; 0 when there are none.
	RootPercent int `json:"root_percent"`
}
