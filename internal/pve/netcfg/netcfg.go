// Package netcfg reads /etc/network/interfaces as PVE does.
package netcfg

import "github.com/castellan-project/castellan/internal/pve"

// Config is what the file says.
type Config struct{}

// Parse reads the file as PVE does.
func Parse(b []byte, included map[string][]byte) (*Config, []pve.Problem) { return &Config{}, nil }

// ParseAPI reads what the API answers to GET /nodes/NODE/network.
func ParseAPI(b []byte) (*Config, []pve.Problem) { return &Config{}, nil }
