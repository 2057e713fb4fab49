// Package jobscfg reads jobs.cfg and vzdump.cron, the backup jobs of a cluster.
package jobscfg

import "github.com/castellan-project/castellan/internal/pve"

// ParseCron reads vzdump.cron, the older form of backup jobs.
func ParseCron(b []byte) (*Config, []pve.Problem) { return &Config{}, nil }

// Config is what the file says.
type Config struct{}

// Parse reads the file as PVE does.
func Parse(b []byte) (*Config, []pve.Problem) { return &Config{}, nil }
