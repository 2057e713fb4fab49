package change

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNothingLeft means that everything in a plan holds already: there is nothing to apply.
var ErrNothingLeft = errors.New("everything in the plan holds already: there is nothing to apply")

// RefusedError says that a guard refused: somebody would be locked out, another transaction waits, a path was changed by
// somebody else. Nothing was changed.
type RefusedError struct {
	Reason string
	// Details are one line each: the paths in conflict, the operators who would not get in.
	Details []string
	// Hint says how to go on, usually a command.
	Hint string
}

func (e *RefusedError) Error() string {
	s := e.Reason
	if len(e.Details) > 0 {
		s += ": " + strings.Join(e.Details, "; ")
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// RecordError says that the record of transactions cannot be kept (a full disk, a state directory that nobody can write), so
// nothing was changed.
type RecordError struct{ Err error }

func (e *RecordError) Error() string {
	return "what taking a change back needs cannot be kept, so nothing was changed: " + e.Err.Error()
}

// Unwrap gives the reason.
func (e *RecordError) Unwrap() error { return e.Err }

// PlanError says that a plan is none for this host.
type PlanError struct{ Reason string }

func (e *PlanError) Error() string { return e.Reason }

// StepError says at which step an apply failed. Taken is nil when everything was taken back, else what kept it.
type StepError struct {
	ID    string
	Step  string // what was being done, in words
	Err   error
	Taken error
}

func (e *StepError) Error() string {
	s := fmt.Sprintf("%s failed: %v; ", e.Step, e.Err)
	if e.Taken == nil {
		return s + "everything was taken back"
	}
	return s + fmt.Sprintf("taking it back is not complete: %v; see castellan history %s", e.Taken, e.ID)
}

// Unwrap gives what made the step fail and what kept it from being taken back.
func (e *StepError) Unwrap() []error { return []error{e.Err, e.Taken} }

// Damage is what is wrong with the record of a transaction, and what is known of it all the same.
type Damage struct {
	ID string `json:"id"`
	// File is the damaged file, Reason what is wrong with it.
	File   string `json:"file"`
	Reason string `json:"reason"`
	// Plan is the digest of the plan and Paths are the paths of the transaction, as far as they can be read still.
	Plan  string   `json:"plan,omitempty"`
	Paths []string `json:"paths,omitempty"`
}

// DamageError refuses to act on a damaged record. Every file of it is kept.
type DamageError struct{ Damage }

func (e *DamageError) Error() string {
	s := fmt.Sprintf("the record of transaction %s is damaged: %s: %s", e.ID, e.File, e.Reason)
	if e.Plan != "" {
		s += fmt.Sprintf("; its plan is %.12s", e.Plan)
	}
	if len(e.Paths) > 0 {
		s += "; it concerns " + list(e.Paths, 20)
	}
	return s + "; every file of the record was kept; move " + e.dir() + " to another place to go on without it"
}

// dir is the directory of the record.
func (d Damage) dir() string {
	if i := strings.LastIndex(d.File, "/"+d.ID+"/"); i >= 0 {
		return d.File[:i+len(d.ID)+1]
	}
	return d.File
}

// list says at most n of some words.
func list(words []string, n int) string {
	if len(words) <= n {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:n], ", "), len(words)-n)
}
