// Package catalogue holds the controls and profiles as data: one YAML file a control, by subject, and profiles/.
// CONTRIBUTING.md describes the format, internal/posture reads it. There is no logic here and nothing is executed
// from here: a control can compare facts, it cannot run anything.
//
// The binary carries the controls as index.json and their compiled expressions as checks.bin, which `make generate`
// writes from the YAML files after checking each of them, because reading those takes a tenth of the time. A test fails
// when they differ.
package catalogue

import "embed"

// Index is the controls in the form that posture.ReadIndex reads.
//
//go:embed index.json
var Index []byte

// Checks is the compiled expressions of the controls, for expr.Env.Preload.
//
//go:embed checks.bin
var Checks []byte

// Profiles holds profiles/<name>.yaml.
//
//go:embed profiles/*.yaml
var Profiles embed.FS
