package change

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// Hold keeps what another node of the cluster changes: it makes a transaction of this host's own out of the document that the
// other node sent, and arms the keeper. [Engine.Recover] takes the files back at the deadline, unless the other node has ended
// it until then. A [RefusedError] means that this node holds nothing.
func (e *Engine) Hold(document []byte, by Actor) (*Transaction, error) {
	doc, err := readShare(document)
	if err != nil {
		return nil, &PlanError{"what should be held cannot be used: " + err.Error()}
	}
	switch {
	case e.o.Machine == nil || !e.o.Host.live() || e.o.Host.Kind == "":
		return nil, errors.New("only a host that runs can hold a deadline")
	case e.o.Keeper == nil:
		return nil, &RefusedError{Reason: "nothing on this host would keep the deadline: it has no systemd that runs"}
	}
	release, err := e.lock(by, "hold")
	if err != nil {
		return nil, err
	}
	defer release()
	if err := e.idle(); err != nil {
		return nil, err
	}
	w, d, err := e.openHeld(doc)
	if err != nil {
		return nil, err
	}
	if err := w.keepRecord(d); err != nil {
		w.discard()
		return nil, &RecordError{err}
	}
	if err := w.o.Keeper.Arm(*w.t(), w.t().Deadline); err != nil {
		w.discard()
		return nil, err
	}
	// A transaction of which this was not written is none: it is cleared away.
	w.state.Prepared, w.t().State, w.state.Step = true, AwaitingConfirm, len(w.undo.Steps)
	w.note(&by, "held for %s, which has it as %s", doc.Node, doc.ID)
	if err := w.save(); err != nil {
		w.discard()
		return nil, errors.Join(&RecordError{err}, w.o.Keeper.Disarm(*w.t()))
	}
	return w.t(), nil
}

// openHeld begins a held transaction in memory, and sees that this node has the same files as the other one.
func (e *Engine) openHeld(doc *shareDoc) (*work, *Drafted, error) {
	id, err := e.newID(doc.Window)
	if err != nil {
		return nil, nil, err
	}
	now := e.o.Now().UTC()
	boot, ticks := e.o.Stamp()
	w := &work{Engine: e, live: true}
	w.undo = undoDoc{ID: id, Plan: doc.Plan, Window: doc.Window, Host: e.o.Host, By: doc.By, Began: now}
	w.state.Transaction = Transaction{ID: id, State: Applying, Plan: doc.Plan, Window: doc.Window, Place: 1, Windows: 1, Host: e.o.Host, By: doc.By,
		Why: oneLine(doc.Why, maxWhy), Controls: slices.Clone(doc.Controls), Began: now, Applied: now, Deadline: now.Add(time.Duration(doc.Seconds) * time.Second),
		BootID: boot, Ticks: ticks, Events: []Event{}, HeldFor: &HeldFor{doc.Node, doc.ID}, Lease: leaseName(doc.Node, doc.ID)}
	open, err := e.leaseOpen(*w.t())
	if err != nil {
		return nil, nil, err
	}
	if !open {
		return nil, nil, &RefusedError{Reason: fmt.Sprintf("%s on %s is not open, as far as this node sees", doc.ID, doc.Node)}
	}
	d := &Drafted{Before: map[string]host.Node{}}
	for _, s := range doc.Steps {
		if err := e.plainPath(s.Path); err != nil {
			return nil, nil, err
		}
		if err := w.holds(s.Path, s.Old); err != nil {
			return nil, nil, &RefusedError{Reason: s.Path + " is another one on this node"}
		}
		d.Before[s.Path] = s.Old.node(doc.Blobs[s.Old.Sum])
		w.undo.Steps = append(w.undo.Steps, undoStep{Step: Step{Controls: doc.Controls, Path: s.Path, What: s.What}, Old: &s.Old, New: &s.New})
		w.t().Paths = append(w.t().Paths, s.Path)
	}
	slices.Sort(w.t().Paths)
	return w, d, nil
}

// plainPath refuses a path that leads through a link out of where it seems to be.
func (e *Engine) plainPath(name string) error {
	for dir := path.Dir(name); dir != clusterDir; dir = path.Dir(dir) {
		n, err := e.o.Machine.Look(dir)
		if err != nil {
			return err
		}
		if n.Type != host.Dir && n.Type != host.Absent {
			return &RefusedError{Reason: fmt.Sprintf("%s is no directory, so %s is not held", dir, name)}
		}
	}
	return nil
}

// heldOverdue says why a held transaction has to be looked at.
func (e *Engine) heldOverdue(t Transaction) string {
	if open, err := e.leaseOpen(t); err != nil || !open {
		return "it is open no more" // an error is told by whoever looks next
	}
	// A restart of this node is no reason: the other one may be well and confirm it.
	boot, ticks := e.o.Stamp()
	within := t.Deadline.Sub(t.Applied)
	if !e.o.Now().Before(t.Deadline) || boot == t.BootID && t.waited(ticks) || boot != t.BootID && float64(ticks) >= within.Seconds()*ticksPerSecond {
		return t.HeldFor.Node + " neither confirmed it nor took it back"
	}
	return ""
}

// endedElsewhere ends a held transaction of which the lease is gone, and touches nothing. It reports whether it did.
func (e *Engine) endedElsewhere(s *stateDoc) (*Transaction, bool, error) {
	if s.Transaction.HeldFor == nil {
		return nil, false, nil
	}
	open, err := e.leaseOpen(s.Transaction)
	if err != nil || open {
		return nil, false, err
	}
	w, err := e.resume(s)
	if err != nil {
		return nil, false, err
	}
	w.t().State, w.t().Ended = Committed, e.o.Now().UTC()
	for i := range w.undo.Steps {
		is, _, err := w.standing(i)
		if err != nil {
			return nil, false, err
		}
		if is == isBefore {
			w.t().State = Reverted
		}
	}
	w.note(nil, "%s has ended it: nothing was touched here", w.t().HeldFor.Node)
	door := w.closeDoor()
	if err := w.save(); err != nil {
		return w.t(), true, errors.Join(err, door)
	}
	return w.t(), true, errors.Join(door, w.disarm())
}

// stillHeld refuses what has to wait for the node for which a transaction is held.
func (e *Engine) stillHeld(s *stateDoc) error {
	t, ended, err := e.endedElsewhere(s)
	var left *DisarmError
	if ended && (err == nil || errors.As(err, &left)) {
		s.Transaction = *t
		return nil
	}
	if err != nil {
		return err
	}
	of := s.Transaction.HeldFor
	return &RefusedError{Reason: fmt.Sprintf("the transaction %s is held for %s, where it is not confirmed yet", s.Transaction.ID, of.Node),
		Hint: fmt.Sprintf("on %s: castellan confirm %s keeps it, castellan revert %s takes it back", of.Node, of.ID, of.ID)}
}

// Here reports whether it is this host that decides on a transaction: one that was held for another node ends with that.
func (t Transaction) Here() bool { return t.HeldFor == nil || t.State.Open() }

// adoptTrials takes what the other node has on trial for its own.
func (w *work) adoptTrials() error {
	if w.t().HeldFor == nil {
		return nil
	}
	b, err := w.o.Machine.ReadFile(w.t().Lease)
	if err != nil {
		return err
	}
	doc := leaseDoc{}
	if err := unseal("lease", b, &doc); err != nil {
		return nil // it is there: that is what counts
	}
	w.state.Trials = map[int]record{}
	for i, s := range w.undo.Steps {
		r := record{Type: "file", Sum: doc.Trials[s.Path]}
		if r.Sum != "" && r.valid() && strings.Trim(r.Sum, "0123456789abcdef") == "" {
			w.state.Trials[i] = r
		}
	}
	return nil
}
