package systemd

import (
	"bytes"
	"strings"
)

// Active is the running state of a unit as `systemctl list-units` prints it.
type Active struct {
	Load, Active, Sub string
}

// ParseListUnits reads the output of `systemctl list-units --all --plain --no-legend --full`, one unit a line: name,
// load state, active state, sub state, description. Lines of another shape are skipped.
func ParseListUnits(b []byte) map[string]Active {
	out := map[string]Active{}
	for raw := range bytes.Lines(b) {
		f := strings.Fields(strings.TrimLeft(string(raw), " \t●*×"))
		if len(f) < 4 || !strings.Contains(f[0], ".") {
			continue
		}
		out[f[0]] = Active{Load: f[1], Active: f[2], Sub: f[3]}
	}
	return out
}
