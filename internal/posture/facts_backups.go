package posture

// BackupFacts holds the facts of the subject backups: backup jobs, storages and what they cover, as vzdump goes about it and not
// as PVE's own report counts. A list of notes holds what is known to be so; whether it is complete, a fact of its own says.
type BackupFacts struct {
	// Guests is the number of guests that are no templates.
	Guests Fact[int] `json:"guests"`
	// CoverageKnown is true when jobs, pools, storages and all guests could be read: then Uncovered, Partial and SameHost are complete.
	CoverageKnown Fact[bool] `json:"coverage_known"`
	// Uncovered are guests that no job saves that is on and can write, templates left out.
	Uncovered Fact[[]EstateNote] `json:"uncovered"`
	// Partial are guests of which volumes are left out.
	Partial Fact[[]EstateNote] `json:"partial"`
	// SameHost are guests whose backups are all lost together with their disks.
	SameHost Fact[[]EstateNote] `json:"same_host"`
	// AgesKnown is true when what the storages hold could be listed for every guest that is saved: then Late is complete.
	AgesKnown Fact[bool] `json:"ages_known"`
	// Late are guests that are saved and whose last good backup is older than their schedule allows, or missing.
	Late Fact[[]EstateNote] `json:"late"`
	// Orphans are backups of guests that no longer exist, as far as storages could be listed (ContentKnown).
	Orphans      Fact[[]EstateNote] `json:"orphans"`
	ContentKnown Fact[bool]         `json:"content_known"`

	// Jobs are the backup jobs of jobs.cfg and vzdump.cron.
	Jobs Fact[[]BackupJob] `json:"jobs"`
	// JobFaults are jobs that do not do what they seem to, and lines of their files that PVE does not accept.
	JobFaults Fact[[]EstateNote] `json:"job_faults"`
	// Storages are all storages of the cluster.
	Storages Fact[[]BackupStorage] `json:"storages"`
	// Scripts are programs that run as root around backups.
	Scripts Fact[[]BackupScript] `json:"scripts"`

	// ErrorTargets are where a backup that fails is reported, as "target: address"; LocalTargets those of them whose mail stays
	// on the node.
	ErrorTargets Fact[[]string] `json:"error_targets"`
	LocalTargets Fact[[]string] `json:"local_targets"`
	// Unreported are jobs of which a failure reaches nobody outside of the node.
	Unreported Fact[[]string] `json:"unreported"`
	// PlainTargets are notification targets that are told in clear text.
	PlainTargets Fact[[]string] `json:"plain_targets"`

	// HostTasks are timers and cron jobs of this node that save /etc or /etc/pve; OpenHostTasks are those of their files that hold
	// credentials and can be read by everybody.
	HostTasks     Fact[[]string] `json:"host_tasks"`
	OpenHostTasks Fact[[]string] `json:"open_host_tasks"`
	// OpenDumps are backups below /var/lib/vz/dump of this node that other users than root can read, at most 20.
	OpenDumps Fact[[]string] `json:"open_dumps"`

	// KeyOffline, ServerRole, ServerJobs and HostElsewhere are never known: whether keys are kept off the cluster, what the account may do
	// at the backup server, whether prune, verify and garbage collection run there, and whether another machine saves the node's
	// configuration. A control that names one of them passes only by attestation.
	KeyOffline    Fact[bool] `json:"key_offline"`
	ServerRole    Fact[bool] `json:"server_role"`
	ServerJobs    Fact[bool] `json:"server_jobs"`
	HostElsewhere Fact[bool] `json:"host_elsewhere"`
}

// EstateNote is something about one guest, job, node or storage.
type EstateNote struct {
	// ID is the VMID, 0 when it is about no guest.
	ID   int    `json:"id"`
	Name string `json:"name"` // "vm 104", a job, a storage
	Text string `json:"text"` // "vm 104: no job names it"
}

// BackupJob is one backup job.
type BackupJob struct {
	ID       string `json:"id"`
	Enabled  bool   `json:"enabled"`
	Schedule string `json:"schedule"`
	// Place is the storage or directory that it writes to, Type the type of the storage, "" for a directory.
	Place string `json:"place"`
	Type  string `json:"type"`
	// KeepsAll is true when neither job nor storage limit what is kept.
	KeepsAll bool `json:"keeps_all"`
	// Prunes is true when the node removes old backups: its account needs the right to.
	Prunes bool   `json:"prunes"`
	Guests int    `json:"guests"`
	Source string `json:"source"`
}

// BackupStorage is one storage.
type BackupStorage struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Disabled bool   `json:"disabled"`
	Shared   bool   `json:"shared"`
	// Backup is true when it may hold backups, Snippets when it may hold scripts that run as root, Used when a job that is on writes to it.
	Backup   bool   `json:"backup"`
	Snippets bool   `json:"snippets"`
	Used     bool   `json:"used"`
	Server   string `json:"server"`
	// Encrypted is true when backups are encrypted before they leave the node (pbs). KeyFile is true when the key is there, MasterKey when a
	// copy of it, encrypted with a master key, goes with each backup.
	Encrypted bool       `json:"encrypted"`
	KeyFile   Fact[bool] `json:"key_file"`
	MasterKey bool       `json:"master_key"`
	// Username logs in; Token is true when it is an API token, Root when it belongs to root@pam.
	Username    string `json:"username"`
	Token       bool   `json:"token"`
	Root        bool   `json:"root"`
	Fingerprint bool   `json:"fingerprint"`
	// Prunes is true when prune-backups of the storage removes backups.
	Prunes bool `json:"prunes"`
	// Sealed is true when traffic of a share is encrypted: cifs with seal, nfs with sec=krb5p or xprtsec=tls.
	Sealed bool `json:"sealed"`
	// SkipsCertificate is true when the certificate of the server is not looked at.
	SkipsCertificate bool `json:"skips_certificate"`
	// Read is true when its backups could be listed; then Backups, Verified, Failed and Plain count them.
	Read     bool `json:"read"`
	Backups  int  `json:"backups"`
	Verified int  `json:"verified"`
	Failed   int  `json:"failed"`
	Plain    int  `json:"plain"`
	// OnGuest is the guest of this cluster that the server runs in, empty for none.
	OnGuest string `json:"on_guest"`
	Source  string `json:"source"`
}

// BackupScript is a program that vzdump runs as root.
type BackupScript struct {
	Path   string `json:"path"`
	Source string `json:"source"` // "jobs.cfg:12"
	// Safe is true when the file is root's and nobody else can write it or its directory.
	Safe Fact[bool] `json:"safe"`
}
