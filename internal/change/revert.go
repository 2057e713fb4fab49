package change

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/castellan-project/castellan/internal/host"
)

// RevertOptions say how a transaction is taken back.
type RevertOptions struct {
	// SkipConflicts leaves the paths that somebody else changed since as they are, and those that cannot be put back.
	SkipConflicts bool
	// Auto is set when nobody is there to decide: everything is taken back but the conflicts, and the transaction ends as failed
	// when there are any.
	Auto bool
	// Reason says why, for the record.
	Reason string
}

// Revert takes a transaction back, newest step first: every path that is still as it was put gets back what it held before, and
// the actions are undone. With "" it is the newest that can be taken back. A path that somebody else changed since is a
// conflict; without SkipConflicts or Auto a [RefusedError] lists them, and nothing is changed. When an error other than that is
// returned the transaction may be taken back in part; reverting again goes on where it stopped.
func (e *Engine) Revert(id string, by Actor, o RevertOptions) (*Transaction, error) {
	release, err := e.lock(by, "revert")
	if err != nil {
		return nil, err
	}
	defer release()
	s, err := e.find(id, func(t Transaction) bool {
		return t.State.Open() || t.Here() && (t.State == Committed || t.State == Failed)
	}, "there is nothing to take back")
	if err != nil {
		return nil, err
	}
	if s.Transaction.State == Reverted {
		return nil, &RefusedError{Reason: fmt.Sprintf("the transaction %s was taken back already", s.Transaction.ID)}
	}
	if of := s.Transaction.HeldFor; !s.Transaction.Here() {
		return nil, &RefusedError{Reason: fmt.Sprintf("the transaction %s was only held here, for %s", s.Transaction.ID, of.Node),
			Hint: fmt.Sprintf("on %s: castellan revert %s", of.Node, of.ID)}
	}
	if !s.Prepared {
		s.Transaction.State = Reverted
		return &s.Transaction, e.discard(s.Transaction.ID)
	}
	if !o.Auto {
		if err := e.later(s); err != nil {
			return nil, err
		}
	}
	return e.revert(s, takeBack{by: &by, auto: o.Auto, skip: o.SkipConflicts, reason: o.Reason})
}

func (e *Engine) revert(s *stateDoc, b takeBack) (*Transaction, error) {
	if t, ended, err := e.endedElsewhere(s); ended || err != nil {
		return t, err
	}
	w, err := e.resume(s)
	if err == nil {
		err = w.adoptTrials()
	}
	if err != nil {
		return nil, err
	}
	err = w.takeBack(b)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil, err
	}
	return w.t(), err
}

// resume takes up a transaction from its record.
func (e *Engine) resume(s *stateDoc) (*work, error) {
	u, err := e.readUndo(s)
	if err != nil {
		return nil, err
	}
	return &work{Engine: e, undo: *u, state: *s, live: s.Transaction.Host.live()}, nil
}

// later refuses while another transaction is unfinished, or a later one that stands touches the same paths: what it found there
// would come back without its own change.
func (e *Engine) later(s *stateDoc) error {
	states, err := e.ours()
	if err != nil {
		return err
	}
	mine := s.Transaction
	var over []string
	for _, x := range states {
		t := x.Transaction
		switch {
		case t.ID == mine.ID || !x.Prepared || !t.Here():
		case t.State.Open() && !mine.State.Open():
			return &RefusedError{Reason: fmt.Sprintf("the transaction %s is %s", t.ID, t.State),
				Hint: fmt.Sprintf("castellan confirm %s or castellan revert %s first", t.ID, t.ID)}
		case compareIDs(t.ID, mine.ID) < 0 || t.State == Reverted:
		default:
			if shared := common(mine.Paths, t.Paths); len(shared) > 0 {
				over = append(over, fmt.Sprintf("%s also changed %s", t.ID, list(shared, 5)))
			}
		}
	}
	if len(over) == 0 {
		return nil
	}
	newest := over[len(over)-1]
	return &RefusedError{Reason: "later transactions stand on what " + mine.ID + " changed", Details: over,
		Hint: "castellan revert " + newest[:slices.Index([]byte(newest), ' ')] + " first"}
}

// common are the words of both sorted lists.
func common(a, b []string) []string {
	var out []string
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); found {
			out = append(out, s)
		}
	}
	return out
}

// takeBack says how.
type takeBack struct {
	by         *Actor
	auto, skip bool
	boot       bool
	reason     string
}

// takeBack takes back what was made so far.
func (w *work) takeBack(b takeBack) error {
	todo, conflicts, failed := w.compare()
	if len(failed) > 0 && !b.auto && !b.skip {
		return errors.Join(failed...)
	}
	var err error
	if len(conflicts) > 0 && !b.auto && !b.skip {
		return &RefusedError{Reason: fmt.Sprintf("somebody else changed since what %s had put", w.t().ID), Details: words2(conflicts),
			Hint: "castellan revert " + w.t().ID + " --skip-conflicts leaves these as they are and takes back the rest"}
	}
	// Every content is at hand before the first one is put back: of a damaged record nothing is used.
	contents := map[string][]byte{}
	for _, i := range todo {
		if old := w.undo.Steps[i].Old; old.Sum != "" {
			if contents[old.Sum], err = w.blob(w.t().ID, old.Sum); err != nil {
				return err
			}
		}
	}
	was := w.t().State
	w.t().State = Reverting
	w.t().Conflicts, w.t().Restart = nil, nil
	text := "taking it back"
	if b.reason != "" {
		text += ": " + b.reason
	}
	w.note(b.by, "%s", text)
	unsaved := w.save()
	if unsaved != nil && !b.auto && was != Applying && was != Reverting {
		w.t().State = was
		return fmt.Errorf("nothing was taken back, because it cannot be journalled: %w", unsaved)
	}
	// What nobody waits for any more is taken back all the same; the record says that it has to be, and the next run finds it done.
	late, unput := w.putBack(b, todo, contents)
	conflicts, failed = append(conflicts, late...), append(failed, unput...)
	if err := w.sweepScratch(); err != nil {
		failed = append(failed, err)
	}
	for _, c := range conflicts {
		w.t().Conflicts = append(w.t().Conflicts, c.path)
		w.note(nil, "%s was left alone: %s; what it held before is %s", c.path, c.now, w.kept(c.step))
	}
	if len(failed) > 0 && !b.skip {
		w.openDoor(b, todo)
		// The rest of the host gets its old state all the same.
		failed = append(failed, w.undoActions(b.boot))
		return fmt.Errorf("not everything could be put back: %w; castellan revert %s goes on", errors.Join(append(failed, unsaved)...), w.t().ID)
	}
	for _, err := range failed {
		w.note(nil, "%v", err)
	}
	return w.finish(b, errors.Join(w.undoActions(b.boot), w.closeDoor()), len(failed) > 0)
}

// finish ends a transaction that was taken back as far as possible.
func (w *work) finish(b takeBack, actions error, failed bool) error {
	if err := w.endLease(); err != nil {
		return fmt.Errorf("%s was taken back, and the other nodes cannot be told: %w; castellan revert %s tries again", w.t().ID, err, w.t().ID)
	}
	w.t().State, w.t().Ended = Reverted, w.o.Now().UTC()
	text := "the host is as before"
	switch {
	case actions != nil:
		w.t().State = Failed
		text = actions.Error()
	case failed || len(w.t().Conflicts) > 0 && b.auto:
		w.t().State = Failed
		text = "what could be taken back was"
	case len(w.t().Conflicts) > 0:
		text = "taken back, but for what somebody else changed"
	case len(w.t().Restart) > 0:
		text = "the host is as before once it is started again: the kernel keeps " + list(w.t().Restart, 20) + " until then"
	}
	w.note(nil, "%s", text)
	if err := w.save(); err != nil {
		return fmt.Errorf("%s was taken back, and this cannot be noted: %w; castellan revert %s tries again", w.t().ID, err, w.t().ID)
	}
	w.tellSecond(b.boot)
	if err := w.disarm(); err != nil {
		return err
	}
	if w.t().State == Failed {
		return &LeftError{ID: w.t().ID, Conflicts: w.t().Conflicts, Err: actions}
	}
	return nil
}

// LeftError says that a transaction was taken back, but that something is left for a person to look at.
type LeftError struct {
	ID        string
	Conflicts []string
	Err       error
}

func (e *LeftError) Error() string {
	s := e.ID + " was taken back, but a person has to look at the rest"
	if len(e.Conflicts) > 0 {
		s += ": left alone were " + list(e.Conflicts, 20)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives what could not be undone.
func (e *LeftError) Unwrap() error { return e.Err }

// conflict is a path that is neither as before nor as it was put.
type conflict struct {
	path, now string
	step      int
}

func words2(conflicts []conflict) []string {
	var out []string
	for _, c := range conflicts {
		out = append(out, c.path+" is now "+c.now)
	}
	return out
}

// kept says where the content before lies.
func (w *work) kept(step int) string {
	old := w.undo.Steps[step].Old
	if old.Sum == "" {
		return map[string]string{"absent": "nothing", "link": "a link to " + old.Link}[old.Type]
	}
	return path.Join(w.dir(w.t().ID), "blobs", old.Sum)
}

// compare looks at every path that may have been put, newest first: those to put back, those that are not ours any more, and
// what kept it from looking.
func (w *work) compare() (todo []int, conflicts []conflict, failed []error) {
	for i := w.state.Step - 1; i >= 0; i-- {
		s := w.undo.Steps[i]
		if s.Path == "" {
			continue
		}
		is, now, err := w.standing(i)
		switch {
		case err != nil:
			failed = append(failed, err)
		case is == isBefore:
			if err := w.sweep(s); err != nil {
				failed = append(failed, err)
			}
		case is == isPut:
			todo = append(todo, i)
		default:
			conflicts = append(conflicts, conflict{s.Path, describe(now, *s.New), i})
		}
	}
	return todo, conflicts, failed
}

// sweep removes what a killed process left beside a path.
func (w *work) sweep(s undoStep) error { return w.clear(host.Leftover(s.Path)) }

// sweepScratch removes the copies of candidates that a killed process left behind: all of them first, then their directory.
func (w *work) sweepScratch() error {
	var names []string
	for _, s := range w.undo.Steps[:min(w.state.Step+1, len(w.undo.Steps))] {
		if s.Candidate != "" {
			copied := path.Join(scratch, path.Base(s.Path))
			names = append(names, host.Leftover(copied), copied)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return w.clear(append(names, host.Leftover(scratch), scratch)...)
}

// clear removes what is castellan's own.
func (w *work) clear(names ...string) error {
	for _, name := range names {
		n, err := w.o.Machine.Look(name)
		if err != nil {
			return err
		}
		if n.Type == host.Absent {
			continue
		}
		if err := w.o.Machine.Put(name, host.Node{Type: host.Absent}); err != nil {
			return err
		}
	}
	return nil
}

// describe says what a path is now, without its content.
func describe(now host.Node, put record) string {
	switch typeName(now.Type) {
	case "absent":
		return "missing"
	case "link":
		return "a link to " + now.Link
	case "dir":
		return fmt.Sprintf("a directory of mode %04o and owner %d:%d", now.Mode, now.UID, now.GID)
	case "file":
		if put.Sum == sum(now.Content) {
			return fmt.Sprintf("of mode %04o and owner %d:%d", now.Mode, now.UID, now.GID)
		}
		return "of another content"
	}
	return "something else than a file"
}

// putBack puts back what paths held before, as many as it can. Late are those that somebody else changed meanwhile.
func (w *work) putBack(b takeBack, todo []int, contents map[string][]byte) (late []conflict, failed []error) {
	patience := foreignWait // for all of them together
	if b.auto {
		patience = deadlineWait
	}
	for _, i := range todo {
		s := w.undo.Steps[i]
		c, err := w.restore(i, s.Old.node(contents[s.Old.Sum]), &patience)
		switch {
		case c != nil && (b.auto || b.skip):
			late = append(late, *c)
		case c != nil:
			failed = append(failed, fmt.Errorf("somebody else changed %s meanwhile: it is now %s", c.path, c.now))
		case err == nil:
		case s.New.Type == "dir" && s.Old.Type == "absent" && errors.Is(err, unix.ENOTEMPTY):
			w.note(nil, "the directory %s was left: somebody else keeps something in it", s.Path)
		case w.live && knob(s.Path) && (host.Denied(err) || errors.Is(err, unix.EINVAL)):
			// Some settings of the kernel go one way only (kernel.kexec_load_disabled, kernel.unprivileged_bpf_disabled).
			w.t().Restart = with(w.t().Restart, s.Path)
		default:
			failed = append(failed, err)
		}
	}
	return late, failed
}
