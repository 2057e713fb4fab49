// Package catalogue holds the controls and profiles as data: one YAML file a control, by subject, and profiles/.
// CONTRIBUTING.md describes the format, internal/posture reads it. There is no logic here and nothing is executed
// from here: a control can compare facts, it cannot run anything.
//
// The binary carries the controls as index.json, which `make generate` writes from the YAML files after checking each
// of them, because reading it takes a tenth of the time. A test fails when the two differ.
package catalogue

import "embed"

// Index is the controls in the form that posture.ReadIndex reads.
//
//go:embed index.json
var Index []byte

// Profiles holds profiles/<name>.yaml.
//
//go:embed profiles/*.yaml
var Profiles embed.FS
