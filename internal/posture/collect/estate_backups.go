package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// backupsFacts fills the subject backups.
func backupsFacts(c *Context, cl *inventory.Cluster) posture.BackupFacts {
	var f posture.BackupFacts
	return f
}
