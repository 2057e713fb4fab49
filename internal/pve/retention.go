package pve

import (
	"errors"
	"strconv"
)

// Retention says which backups are kept (the property string prune-backups; pve-storage, PVE/Storage/Plugin.pm,
// validate_prune_backups). The zero Retention keeps all of them, which is what PVE does when nothing is set.
type Retention struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
}

// KeepsAll reports whether backups are never removed.
func (r Retention) KeepsAll() bool { return r == Retention{} }

var errKeepAll = errors.New("keep-all cannot be set together with other options")

// ParseRetention reads prune-backups. A value that PVE refuses is an error; then PVE does as if it were not there.
func ParseRetention(s string) (Retention, error) {
	var r Retention
	fields := map[string]*int{"keep-last": &r.Last, "keep-hourly": &r.Hourly, "keep-daily": &r.Daily,
		"keep-weekly": &r.Weekly, "keep-monthly": &r.Monthly, "keep-yearly": &r.Yearly}
	all := false
	for _, p := range ParseProperties(s, "") {
		if p.Key == "keep-all" {
			all, _ = Bool(p.Value)
			continue
		}
		f := fields[p.Key]
		if f == nil {
			return Retention{}, errors.New("prune-backups has no property " + strconv.Quote(clip(p.Key)))
		}
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 0 {
			return Retention{}, errors.New(p.Key + " is not a number of backups: " + strconv.Quote(clip(p.Value)))
		}
		*f = n
	}
	if all && !r.KeepsAll() {
		return Retention{}, errKeepAll
	}
	return r, nil
}
