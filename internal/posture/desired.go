package posture

import (
	"errors"
	"fmt"
	"slices"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/expr"
)

// DesiredControl is the control that a desired change is made for when it names none.
const DesiredControl = "DESIRED"

// Desired is one change that an administrator writes down himself: what shall hold, in the words of a control's remediation.
type Desired struct {
	Remediation `yaml:",inline"`
	// Control groups changes that are made together or not at all, and is shown as their reason.
	Control string `yaml:"control"`
	// Lockout says what it may cut: none, session, boot, cluster. Empty is session: what is not known may cut the way in.
	Lockout string `yaml:"lockout"`
}

// MaxDesired bounds a file of desired changes, in bytes.
const MaxDesired = 1 << 20

// ParseDesired reads a YAML list of desired changes strictly; errors are *SourceError.
func ParseDesired(file string, src []byte, env *expr.Env) ([]Desired, error) {
	if len(src) > MaxDesired {
		return nil, &SourceError{File: file, Text: "a file of this size is not read", Hint: "write several files, and a plan for each"}
	}
	var list []Desired
	if err := decodeStrict(file, src, &list); err != nil {
		var e *SourceError
		if errors.As(err, &e) && e.Hint == "" {
			e.Hint = "write a list of changes: - kind: sysctl, and its keys as CONTRIBUTING.md lists them"
		}
		return nil, err
	}
	if len(list) == 0 {
		return nil, &SourceError{File: file, Text: "the file asks for nothing", Hint: "write a list of changes: - kind: sysctl, and its keys"}
	}
	s := source{file: file, src: src}
	for i := range list {
		if err := list[i].check(&s, fmt.Sprintf("$[%d]", i), env); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (d *Desired) check(s *source, at string, env *expr.Env) error {
	if d.Control == "" {
		d.Control = DesiredControl
	}
	if d.Lockout == "" {
		d.Lockout = "session"
	}
	if err := d.Validate(); err != nil {
		where := at + ".kind"
		if d.Kind == "" {
			where = at
		}
		return s.at(where, nil, err.Error(), "CONTRIBUTING.md lists the kinds and their keys")
	}
	if d.Control != DesiredControl && !controlID.MatchString(d.Control) {
		return s.at(at+".control", nil, fmt.Sprintf("the id %q is not of the form SSH-06", d.Control), "letters, a dash, two to four digits; or leave it out")
	}
	if !slices.Contains([]string{"none", "session", "boot", "cluster"}, d.Lockout) {
		return s.at(at+".lockout", nil, fmt.Sprintf("the lock-out class %q is not known", d.Lockout), "none, session, boot or cluster")
	}
	if d.Each == "" {
		return nil
	}
	if _, err := env.Compile(string(d.Each), expr.Strings); err != nil {
		var in *expr.Error
		if errors.As(err, &in) {
			return s.at(at+".each", in, in.Text, "write a list, or an expression over the facts that castellan controls facts lists")
		}
		return s.at(at+".each", nil, err.Error(), "")
	}
	return nil
}

// Desired fills in changes that an administrator wrote down, or says why one cannot be: then nothing of its control is done.
func (j *Judge) Desired(f *Facts, list []Desired) ([]change.Change, []change.Omission) {
	e := &evaluation{judge: j, facts: f, vars: j.env.Bind(f, f.Target.CollectedAt)}
	var changes []change.Change
	var omitted []change.Omission
	for _, d := range list {
		ch, err := e.change(Control{ID: d.Control, Lockout: d.Lockout}, d.Remediation, e.vars)
		if err != nil {
			omitted = append(omitted, change.Omission{Control: d.Control, Title: d.Words(), Code: "cannot", Reason: err.Error()})
			continue
		}
		changes = append(changes, ch)
	}
	changes = slices.DeleteFunc(changes, func(c change.Change) bool {
		return slices.ContainsFunc(omitted, func(o change.Omission) bool { return o.Control == c.Control })
	})
	return changes, omitted
}
