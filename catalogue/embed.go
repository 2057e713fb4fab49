// Package catalogue holds the controls and profiles as data: one YAML file a control, by subject, and profiles/.
// CONTRIBUTING.md describes the format, internal/posture reads it. There is no logic here and nothing is executed
// from here: a control can compare facts, it cannot run anything.
package catalogue

import "embed"

// FS holds <group>/<ID>.yaml and profiles/<name>.yaml.
//
//go:embed */*.yaml
var FS embed.FS
