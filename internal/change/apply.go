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

// ApplyOptions say how a plan is applied.
type ApplyOptions struct {
	// By is who applies it.
	By Actor
	// Why is a reason in the operator's words, for the record.
	Why string
	// Within is the time to confirm, MinWithin to MaxWithin; a directory waits for ever and ignores it.
	Within time.Duration
	// Override applies although a guard refused; what it refused is recorded.
	Override bool
}

// Apply makes the first window of a plan in which something is left to do. The planner is one for the same machine; it drafts
// the plan again and judges again.
//
// When Apply returns a transaction without an error, it awaits confirmation: on a host that runs, the keeper takes it back at its
// deadline. A [RefusedError], [StaleError] or [PlanError] means that nothing was changed; [ErrNothingLeft] that nothing had
// to be. A [StepError] comes with the transaction, which was taken back.
func (e *Engine) Apply(p *Planner, plan *Plan, o ApplyOptions) (*Transaction, error) {
	if err := e.admit(p, plan, o); err != nil {
		return nil, err
	}
	release, err := e.lock(o.By, "apply")
	if err != nil {
		return nil, err
	}
	defer release()
	if err := e.idle(); err != nil {
		return nil, err
	}
	confirmed, err := e.Confirmed(plan)
	if err != nil {
		return nil, err
	}
	d, place, err := p.Redraft(plan, confirmed...)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, ErrNothingLeft
	}
	refused := refusals(d.Window.Verdicts)
	if len(refused) > 0 && !o.Override {
		return nil, &RefusedError{Reason: "not everybody would get in after the window " + d.Window.Name, Details: refused,
			Hint: "add what is missing and plan again"}
	}
	w, err := e.open(plan, d, place, o)
	if err != nil {
		return nil, err
	}
	w.state.Transaction.Override, w.state.Transaction.Why = refused, oneLine(o.Why, maxWhy)
	if err := w.prepare(d); err != nil {
		w.discard()
		return nil, &RecordError{err}
	}
	return w.apply(d, o)
}

// admit refuses what needs no look at the host.
func (e *Engine) admit(p *Planner, plan *Plan, o ApplyOptions) error {
	here := e.o.Host
	switch {
	case e.o.Machine == nil || here.Kind == "":
		return errors.New("the engine was given no host to work on")
	case !sameHost(here, p.Host):
		return fmt.Errorf("the planner is for %s and the engine for %s", p.Host.words(), here.words())
	case !sameHost(plan.Host, here):
		return &PlanError{fmt.Sprintf("the plan was made for %s, and this is %s: make a plan for this host", plan.Host.words(), here.words())}
	case !here.live():
		return nil
	case o.Within <= 0:
		return &RefusedError{Reason: "a deadline of zero leaves no time to confirm: the host would take everything back at once",
			Hint: fmt.Sprintf("give %s to %s", words(MinWithin), words(MaxWithin))}
	case o.Within < MinWithin || o.Within > MaxWithin:
		return &RefusedError{Reason: fmt.Sprintf("%s to confirm is not between %s and %s", words(o.Within), words(MinWithin), words(MaxWithin))}
	case !p.Target.Root:
		return &RefusedError{Reason: "changing a host needs root", Hint: "run castellan with sudo"}
	case e.o.Keeper == nil:
		return &RefusedError{Reason: "nothing on this host would take the change back at the deadline: it has no systemd that runs"}
	}
	return nil
}

// words says a duration without the zero parts that Duration.String prints.
func words(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// idle refuses while another transaction of this host is unfinished, and clears away what was killed before it began.
func (e *Engine) idle() error {
	states, err := e.ours()
	if err != nil {
		return err
	}
	for _, s := range states {
		t := s.Transaction
		switch {
		case !s.Prepared:
			if err := e.discard(t.ID); err != nil {
				return err
			}
		case t.HeldFor != nil && t.State.Open():
			if err := e.stillHeld(&s); err != nil {
				return err
			}
		case t.State == AwaitingConfirm:
			return &RefusedError{Reason: fmt.Sprintf("the transaction %s awaits confirmation", t.ID),
				Hint: fmt.Sprintf("castellan confirm %s keeps it, castellan revert %s takes it back", t.ID, t.ID)}
		case t.State.Open():
			return &RefusedError{Reason: fmt.Sprintf("the transaction %s was interrupted while it was %s", t.ID, t.State),
				Hint: fmt.Sprintf("castellan revert %s takes it back", t.ID)}
		}
	}
	return nil
}

// refusals are the verdicts that admit not, one line each.
func refusals(verdicts []Verdict) []string {
	var out []string
	for _, v := range verdicts {
		if v.Admitted {
			continue
		}
		s := v.Guard + ": "
		if v.Operator != "" {
			s += v.Operator + ": "
		}
		s += v.Reason
		if v.Add != "" {
			s += " (" + v.Add + ")"
		}
		out = append(out, s)
	}
	return out
}

// work is a transaction that is being made or taken back.
type work struct {
	*Engine
	undo  undoDoc
	state stateDoc
	live  bool
	// node is the name of this host in its cluster, and until when a second node waits, when one does.
	node  string
	until time.Time
}

func (w *work) t() *Transaction { return &w.state.Transaction }

// note adds a line to the story.
func (w *work) note(by *Actor, format string, args ...any) {
	if len(w.t().Events) < maxEvents {
		w.t().Events = append(w.t().Events, Event{At: w.o.Now().UTC(), Text: fmt.Sprintf(format, args...), By: by})
	}
}

// save writes where the transaction stands.
func (w *work) save() error {
	w.state.Seq++
	b, err := seal("state", w.state)
	if err != nil {
		return err
	}
	return w.write(path.Join(w.dir(w.t().ID), "state.json"), b)
}

// open begins a transaction in memory.
func (e *Engine) open(plan *Plan, d *Drafted, place int, o ApplyOptions) (*work, error) {
	id, err := e.newID(d.Window.Name)
	if err != nil {
		return nil, err
	}
	if len(d.Window.Steps) > maxSteps {
		return nil, &PlanError{fmt.Sprintf("the window has %d steps; at most %d can be journalled: apply fewer controls at once", len(d.Window.Steps), maxSteps)}
	}
	now := e.o.Now().UTC()
	boot, ticks := e.o.Stamp()
	w := &work{Engine: e, live: e.o.Host.live()}
	w.undo = undoDoc{ID: id, Plan: plan.Digest, Window: d.Window.Name, Host: e.o.Host, By: o.By, Began: now}
	w.state.Transaction = Transaction{ID: id, State: Applying, Plan: plan.Digest, Window: d.Window.Name, Place: place + 1, Windows: len(plan.Windows),
		Host: e.o.Host, By: o.By, Controls: d.Window.Controls, Began: now, BootID: boot, Ticks: ticks, Events: []Event{}}
	if w.live {
		w.t().Deadline = now.Add(o.Within + patience(d.Window.Steps))
	}
	size := 0
	for _, s := range d.Window.Steps {
		u := undoStep{Step: s}
		u.Diff = ""
		if s.Path != "" {
			old, err := newRecord(s.Path, d.Before[s.Path])
			if err != nil {
				return nil, &PlanError{err.Error()}
			}
			now, err := newRecord(s.Path, d.After[s.Path])
			if err != nil {
				return nil, &PlanError{err.Error()}
			}
			u.Old, u.New = &old, &now
			size += old.Size
			w.t().Paths = append(w.t().Paths, s.Path)
		}
		w.undo.Steps = append(w.undo.Steps, u)
	}
	if size > maxBefore {
		return nil, &PlanError{fmt.Sprintf("the files before come to %d MiB; at most %d can be journalled: apply fewer controls at once", size>>20, maxBefore>>20)}
	}
	slices.Sort(w.t().Paths)
	return w, w.packagesBefore()
}

// patience is what packages and generators may take before the time to confirm begins to run out.
func patience(steps []Step) time.Duration {
	var d time.Duration
	for _, s := range steps {
		if s.Action != nil && (s.Action.Verb == Install || s.Action.Verb == Purge || s.Action.Verb == Refresh) {
			d += s.Action.timeout()
		}
	}
	return min(d, time.Hour)
}

// prepare writes everything that taking back needs, so that a full disk is found before anything is changed.
func (w *work) prepare(d *Drafted) error {
	w.note(&w.undo.By, "apply of window %s began", w.undo.Window)
	if err := w.keepRecord(d); err != nil {
		return err
	}
	w.state.Prepared = true
	return w.save()
}

// keepRecord writes the record of a transaction that is not prepared yet.
func (w *work) keepRecord(d *Drafted) error {
	undo, err := seal("undo", w.undo)
	if err != nil {
		return err
	}
	w.state.Undo = sum(undo)
	dir := w.dir(w.undo.ID)
	if err := w.mkdir(dir); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	if err := w.mkdir(path.Join(dir, "blobs")); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, s := range w.undo.Steps {
		if s.Old == nil || s.Old.Sum == "" || seen[s.Old.Sum] {
			continue
		}
		seen[s.Old.Sum] = true
		if err := w.write(path.Join(dir, "blobs", s.Old.Sum), d.Before[s.Path].Content); err != nil {
			return err
		}
	}
	return w.write(path.Join(dir, "undo.json"), undo)
}

// discard removes the record of a transaction that changed nothing, as far as it can; what is left is known by its state.
func (w *work) discard() { _ = w.Engine.discard(w.undo.ID) }

func (e *Engine) discard(id string) error {
	dir := e.dir(id)
	absent := host.Node{Type: host.Absent}
	for _, pattern := range []string{"/blobs/*", "/*"} {
		found, err := e.o.Store.List(host.Quote(dir) + pattern)
		if err != nil && !host.NotExist(err) {
			return fmt.Errorf("cannot clear away %s: %w", dir, err)
		}
		for _, f := range found {
			if path.Base(f.Path) == "state.json" {
				continue // it goes last
			}
			if err := e.o.Store.Put(f.Path, absent); err != nil {
				return fmt.Errorf("cannot clear away %s: %w", dir, err)
			}
		}
	}
	if err := e.o.Store.Put(path.Join(dir, "state.json"), absent); err != nil {
		return fmt.Errorf("cannot clear away %s: %w", dir, err)
	}
	return e.o.Store.Put(dir, absent)
}

// apply makes the steps of a prepared transaction.
func (w *work) apply(d *Drafted, o ApplyOptions) (*Transaction, error) {
	w.handOver(d)
	if w.live {
		// The host looks after the time to confirm whether somebody is still at work, and waits while he is: should this process
		// die, what is half done does not stay for as long as a generator may take.
		if err := w.o.Keeper.Arm(*w.t(), w.o.Now().Add(o.Within)); err != nil {
			return w.giveUp("setting the deadline", err)
		}
	}
	for i, s := range w.undo.Steps {
		w.o.Progress(i+1, len(w.undo.Steps), s.words())
		if err := w.step(i, d.After[s.Path]); err != nil {
			return w.giveUp(s.words(), err)
		}
	}
	now := w.o.Now().UTC()
	if w.live && now.After(w.t().Deadline) {
		return w.giveUp("the last step", errLate)
	}
	before := *w.t()
	w.t().State, w.t().Applied = AwaitingConfirm, now
	w.t().BootID, w.t().Ticks = w.o.Stamp()
	if w.live {
		w.t().Deadline = w.confirmBy(now, o.Within)
	}
	w.note(nil, "every step was made; it awaits confirmation")
	if err := w.save(); err != nil {
		*w.t() = before
		return w.giveUp("noting that every step was made", err)
	}
	if w.live {
		if err := w.o.Keeper.Arm(*w.t(), w.t().Deadline); err != nil {
			return w.giveUp("setting the deadline", err)
		}
	}
	return w.t(), nil
}

// errLate is why a step is not begun any more.
var errLate = errors.New("the deadline passed before everything was done")

// words says a step.
func (s Step) words() string {
	if s.Path == "" {
		return s.What
	}
	return s.What + ": " + s.Path
}

// step makes one step.
func (w *work) step(i int, after host.Node) error {
	if w.live && w.o.Now().After(w.t().Deadline) {
		return errLate
	}
	s := w.undo.Steps[i]
	if s.Path == "" {
		if err := w.begin(i); err != nil {
			return err
		}
		return w.act(i)
	}
	if after.Type == host.Regular {
		if err := checkCandidate(w.o.Machine, s.Step, after.Content); err != nil {
			return err
		}
	}
	if s.Trial != "" && w.live && after.Type == host.Regular {
		return w.trial(i, after)
	}
	return w.exchange(s.Path, *s.Old, after, func() error { return w.begin(i) })
}

// scratch is where candidates are checked: it is emptied by every start of the host.
const scratch = "/run/castellan-candidate"

// begin notes that a step may have been made from now on.
func (w *work) begin(i int) error {
	w.state.Step = i + 1
	if err := w.save(); err != nil {
		w.state.Step = i
		return fmt.Errorf("cannot journal the step: %w", err)
	}
	return nil
}

// holds refuses when a path is not as recorded.
func (w *work) holds(name string, r record) error {
	now, err := w.o.Machine.Look(name)
	if err != nil {
		return err
	}
	if !same(name, r, now, w.live) {
		return fmt.Errorf("%s was changed by somebody else meanwhile", name)
	}
	return nil
}

// trial puts a file on trial, and then for good. No lock is held while it is tried.
func (w *work) trial(i int, after host.Node) error {
	s := w.undo.Steps[i]
	trial, ok := w.o.Trials[s.Trial]
	if !ok {
		return fmt.Errorf("there is no trial %q", s.Trial)
	}
	content, err := trial.Content(after.Content, w.o.Now())
	if err != nil {
		return fmt.Errorf("cannot put %s on trial: %w", s.Path, err)
	}
	n := after
	n.Content = content
	r, err := newRecord(s.Path, n)
	if err != nil {
		return err
	}
	err = w.exchange(s.Path, *s.Old, n, func() error {
		if w.state.Trials == nil {
			w.state.Trials = map[int]record{}
		}
		w.state.Trials[i] = r
		err := w.renewLease(i)
		if err == nil {
			err = w.begin(i)
		}
		if err != nil {
			delete(w.state.Trials, i)
		}
		return err
	})
	if err != nil {
		return err
	}
	w.o.Sleep(trial.Hold())
	if err := trial.Alive(w.o.Machine, w.undo.By); err != nil {
		return fmt.Errorf("the trial of %s failed: %w", s.Path, err)
	}
	return w.exchange(s.Path, r, after, func() error { return nil })
}

// giveUp takes everything back after a failure.
func (w *work) giveUp(doing string, err error) (*Transaction, error) {
	failure := &StepError{ID: w.t().ID, Step: doing, Err: err}
	w.note(nil, "%s failed: %v", doing, err)
	failure.Taken = w.takeBack(takeBack{auto: true, reason: doing + " failed"})
	return w.t(), failure
}
