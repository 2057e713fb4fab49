package posture

import (
	"fmt"
	"path"
	"time"

	"github.com/goccy/go-yaml"
)

// Waiver accepts a failing control on some targets until a date. It is shown in every report and left out of the
// score; after its date the control counts again and the report says that the waiver expired.
type Waiver struct {
	Control string `yaml:"control" json:"control"`
	// Target is a pattern (path.Match syntax) on the target's name or host name; empty means every target.
	Target   string `yaml:"target" json:"target,omitempty"`
	Reason   string `yaml:"reason" json:"reason"`
	Approver string `yaml:"approver" json:"approver"`
	// Expires is the last day on which it holds, in UTC.
	Expires Date `yaml:"expires" json:"expires"`
}

// Attestation is a person's word on a control that a machine cannot answer.
type Attestation struct {
	Control string `yaml:"control" json:"control"`
	Target  string `yaml:"target" json:"target,omitempty"`
	By      string `yaml:"by" json:"by"`
	Note    string `yaml:"note" json:"note"`
	// Made is the day of the attestation, Until the last day on which it holds.
	Made  Date `yaml:"made" json:"made"`
	Until Date `yaml:"until" json:"until"`
}

// Date is a day in UTC, written 2026-12-31. The zero Date is before every other.
type Date struct{ t time.Time }

// DayOf returns the day of a moment.
func DayOf(t time.Time) Date { return Date{t.UTC().Truncate(24 * time.Hour)} }

// ParseDate reads a day written as 2026-12-31.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date; write it as 2026-12-31", s)
	}
	return Date{t}, nil
}

func (d Date) String() string {
	if d.t.IsZero() {
		return ""
	}
	return d.t.Format(time.DateOnly)
}

// Holds reports whether the moment is on the day or before it.
func (d Date) Holds(now time.Time) bool { return now.UTC().Before(d.t.AddDate(0, 0, 1)) }

// AddDays returns the day n days later.
func (d Date) AddDays(n int) Date { return Date{d.t.AddDate(0, 0, n)} }

// After reports whether d is a later day than e.
func (d Date) After(e Date) bool { return d.t.After(e.t) }

// IsZero reports whether no day is set.
func (d Date) IsZero() bool { return d.t.IsZero() }

// MarshalText implements encoding.TextMarshaler.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Date) UnmarshalText(b []byte) error {
	x, err := ParseDate(string(b))
	*d = x
	return err
}

// UnmarshalYAML implements yaml.BytesUnmarshaler.
func (d *Date) UnmarshalYAML(b []byte) error {
	var s string
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	return d.UnmarshalText([]byte(s))
}

// MarshalYAML implements yaml.BytesMarshaler.
func (d Date) MarshalYAML() ([]byte, error) { return []byte(d.String()), nil }

// ParseWaivers reads a waivers file: a list. Each needs a control, a reason, an approver and a day of expiry.
func ParseWaivers(file string, src []byte) ([]Waiver, error) {
	var ws []Waiver
	if err := decodeStrict(file, src, &ws); err != nil {
		return nil, err
	}
	s := source{file: file, src: src}
	for i, w := range ws {
		missing := ""
		switch {
		case !controlID.MatchString(w.Control):
			missing = "control"
		case w.Reason == "":
			missing = "reason"
		case w.Approver == "":
			missing = "approver"
		case w.Expires.IsZero():
			missing = "expires"
		}
		if missing != "" {
			return nil, s.at(fmt.Sprintf("$[%d]", i), nil, fmt.Sprintf("waiver %d has no valid %q", i+1, missing),
				"a waiver has control, reason, approver and expires (2026-12-31), and may have target")
		}
		if _, err := path.Match(w.Target, ""); err != nil {
			return nil, s.at(fmt.Sprintf("$[%d].target", i), nil, fmt.Sprintf("%q is not a pattern", w.Target), "use * and ?, as in pve*")
		}
	}
	return ws, nil
}

// ParseAttestations reads the file that castellan attest writes.
func ParseAttestations(file string, src []byte) ([]Attestation, error) {
	var as []Attestation
	if err := decodeStrict(file, src, &as); err != nil {
		return nil, err
	}
	for i, a := range as {
		if !controlID.MatchString(a.Control) || a.By == "" || a.Until.IsZero() {
			return nil, (&source{file: file, src: src}).at(fmt.Sprintf("$[%d]", i), nil,
				fmt.Sprintf("attestation %d lacks control, by or until", i+1), "write it with castellan attest")
		}
	}
	return as, nil
}

// FormatAttestations writes attestations as ParseAttestations reads them.
func FormatAttestations(as []Attestation) ([]byte, error) { return yaml.Marshal(as) }

// covers reports whether a pattern means this target.
func covers(pattern string, t Target) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	for _, name := range []string{t.Name, t.Hostname} {
		if ok, err := path.Match(pattern, name); err == nil && ok && name != "" {
			return true
		}
		if pattern == name && name != "" {
			return true
		}
	}
	return false
}
