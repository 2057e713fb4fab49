package posture

// BackupFacts holds the facts of the subject backups: backup jobs, storages and what they cover.
type BackupFacts struct{}
