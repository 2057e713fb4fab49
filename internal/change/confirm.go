package change

import (
	"fmt"
	"time"
)

// Connection is what package session found out about the connection over which a confirmation comes.
type Connection struct {
	// New is set when it was opened after the change was made; Why says how that is known, or what is against it.
	New bool
	Why string
}

// ConfirmOptions say over which connection a confirmation comes. On a directory it does not count.
type ConfirmOptions struct{ Connection Connection }

// Confirm keeps a transaction: nothing takes it back any more but [Engine.Revert]. With "" it is the newest that awaits
// confirmation. A [RefusedError] means that it was not confirmed, and why.
func (e *Engine) Confirm(id string, by Actor, o ConfirmOptions) (*Transaction, error) {
	release, err := e.lock(by, "confirm")
	if err != nil {
		return nil, err
	}
	defer release()
	s, err := e.find(id, func(t Transaction) bool { return t.State == AwaitingConfirm }, "no transaction awaits confirmation")
	if err != nil {
		return nil, err
	}
	if err := e.confirmable(s.Transaction, o); err != nil {
		return nil, err
	}
	w := &work{Engine: e, state: *s, live: s.Transaction.Host.live()}
	if err := w.release(); err != nil {
		return nil, err
	}
	w.t().State, w.t().Ended = Committed, e.o.Now().UTC()
	text := "confirmed"
	if w.live {
		text += ": " + o.Connection.Why
	}
	w.note(&by, "%s", text)
	if err := w.save(); err != nil {
		return nil, fmt.Errorf("cannot confirm %s: %w", s.Transaction.ID, err)
	}
	w.tellSecond(false)
	return w.t(), w.disarm()
}

// disarm lets the keeper forget a transaction that has ended. What it calls does nothing to one that has ended, so that a
// failure is told and harms nobody.
func (w *work) disarm() error {
	if !w.live || w.o.Keeper == nil {
		return nil
	}
	if err := w.o.Keeper.Disarm(*w.t()); err != nil {
		return &DisarmError{w.t().ID, w.t().State, err}
	}
	return nil
}

// DisarmError says that a transaction has ended as it should, but that the timer of its deadline could not be removed. The
// timer will find nothing to do.
type DisarmError struct {
	ID    string
	State State
	Err   error
}

func (e *DisarmError) Error() string {
	return fmt.Sprintf("the transaction %s is %s; its timer could not be removed (%v), and will find nothing to do", e.ID, e.State, e.Err)
}

// Unwrap gives what kept the timer from being removed.
func (e *DisarmError) Unwrap() error { return e.Err }

func (e *Engine) confirmable(t Transaction, o ConfirmOptions) error {
	if of := t.HeldFor; of != nil {
		return &RefusedError{Reason: fmt.Sprintf("the transaction %s is only held here, for %s: confirm it on %s", t.ID, of.Node, of.Node),
			Hint: fmt.Sprintf("ssh root@%s castellan confirm %s", of.Node, of.ID)}
	}
	switch t.State {
	case AwaitingConfirm:
	case Committed:
		return &RefusedError{Reason: fmt.Sprintf("the transaction %s was confirmed already, at %s", t.ID, t.Ended.Format(time.RFC3339))}
	case Applying:
		return &RefusedError{Reason: fmt.Sprintf("the transaction %s is not made whole: its apply was interrupted", t.ID),
			Hint: "castellan revert " + t.ID + " takes it back"}
	default:
		return &RefusedError{Reason: fmt.Sprintf("the transaction %s is %s: it cannot be confirmed any more", t.ID, t.State), Hint: "make a new plan"}
	}
	if !t.Host.live() {
		return nil
	}
	if boot, _ := e.o.Stamp(); boot != t.BootID {
		return &RefusedError{Reason: fmt.Sprintf("the host was started again since %s was applied, so it takes the change back", t.ID),
			Hint: "make a new plan"}
	}
	if e.o.Now().After(t.Deadline) {
		return &RefusedError{Reason: fmt.Sprintf("the deadline of %s passed at %s, and the host takes the change back", t.ID, t.Deadline.Format(time.RFC3339)),
			Hint: "make a new plan"}
	}
	if !o.Connection.New {
		why := o.Connection.Why
		if why == "" {
			why = "nothing shows that this connection was opened after the change"
		}
		return &RefusedError{Reason: "only a connection that was opened after the change can confirm it: " + why,
			Hint: "log in again beside this session, and confirm there"}
	}
	return nil
}
