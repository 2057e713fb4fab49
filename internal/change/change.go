// Package change alters a host and can always take it back. A [Change] says what shall hold; its [Kind] drafts it on a
// [Draft], a picture of the host as it will be; [NewPlan] turns the draft into ordered [Step]s that a person reads, and
// [Engine] makes them, one journalled step after the other, as a [Transaction] that waits for confirmation or is
// taken back.
//
// The room knows steps, order, journal and inverse. What a change of sshd or of the firewall consists of is known by the
// kinds (change/kinds), whether the administrator still gets in afterwards by the guards (change/lockout); package cli
// hands both in. Nothing here decides what ought to be changed: that is posture's.
//
// No step is a command that data spelled out: steps put files and call actions of a closed list ([Verb]).
package change

import (
	"errors"
	"fmt"
)

// Change is one thing that shall hold on a host, as data: a remediation with its parameters and lists filled in. Which
// fields count is the kind's matter; CONTRIBUTING.md lists them.
type Change struct {
	// Control is the id of the control that asks for it.
	Control string `json:"control"`
	// Object is what on the host it is made for, when a control is judged for several: a machine of vSphere. What cannot be made for
	// one object is left out for that one only. Empty for the host itself.
	Object string `json:"object,omitempty"`
	Kind   string `json:"kind"`
	// Text says it in words.
	Text string `json:"text,omitempty"`
	// Lockout is what it may cut: none, session, boot, cluster.
	Lockout string `json:"lockout,omitempty"`

	Set        map[string]string `json:"set,omitempty"`
	Match      string            `json:"match,omitempty"`
	Section    string            `json:"section,omitempty"`
	Path       string            `json:"path,omitempty"`
	Content    string            `json:"content,omitempty"`
	Mode       string            `json:"mode,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Ensure     string            `json:"ensure,omitempty"`
	Separator  string            `json:"separator,omitempty"`
	Unit       string            `json:"unit,omitempty"`
	State      string            `json:"state,omitempty"`
	Install    []string          `json:"install,omitempty"`
	Purge      []string          `json:"purge,omitempty"`
	Block      []string          `json:"block,omitempty"`
	Options    string            `json:"options,omitempty"`
	Suite      string            `json:"suite,omitempty"`
	Components string            `json:"components,omitempty"`
	URIs       string            `json:"uris,omitempty"`
	SignedBy   string            `json:"signed_by,omitempty"`
	Name       string            `json:"name,omitempty"`
	// Each are the ids that the change is made for: accounts, guests, nodes. Nil when the kind has no such list; an empty list is
	// something else, nobody, so it stays in JSON.
	Each []string `json:"each"`
	// After are controls that have to hold first and that the same plan repairs: this is not made without them.
	After []string `json:"after,omitempty"`
}

// A Kind drafts the changes of one kind.
type Kind interface {
	// Draft edits the draft so that the change holds, or returns an error and why: then nothing of the change is kept,
	// and the plan says that it cannot be made. Drafting what holds already changes nothing. It must give the same result
	// for the same host: apply drafts again and compares.
	Draft(d *Draft, c Change) error
}

// KindFunc is a Kind that is one function.
type KindFunc func(d *Draft, c Change) error

// Draft implements [Kind].
func (f KindFunc) Draft(d *Draft, c Change) error { return f(d, c) }

// CannotError says why a change cannot be made here, in a user's words.
type CannotError struct {
	Reason string
	// Later is set when it can be made once the present plan is applied.
	Later bool
}

func (e *CannotError) Error() string { return e.Reason }

// Cannot says that a change cannot be made on this host and why.
func Cannot(format string, args ...any) error {
	return &CannotError{Reason: fmt.Sprintf(format, args...)}
}

// Later says that a change can be made in a later plan, after this one.
func Later(format string, args ...any) error {
	return &CannotError{Reason: fmt.Sprintf(format, args...), Later: true}
}

func isLater(err error) bool {
	var c *CannotError
	return errors.As(err, &c) && c.Later
}
