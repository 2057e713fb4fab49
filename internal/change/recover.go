package change

import (
	"errors"
	"fmt"
	"time"
)

// RecoverOptions say when a host recovers.
type RecoverOptions struct {
	// Boot is set at the start of the host: services are not waited for.
	Boot bool
}

// How long a recovery waits for another castellan that is at work, an apply that takes back what it made for example.
const (
	lockTries = 300
	lockPause = time.Second
)

// Recover takes back what nobody will confirm any more: transactions whose deadline has passed, those that were applied before
// the host was started again, and those whose process died. The timer of a deadline and the start of the host call it. It
// returns the transactions that it took back, and an error for those that it could not.
func (e *Engine) Recover(by Actor, o RecoverOptions) ([]Transaction, error) {
	if e.o.Machine == nil || e.o.Host.Kind == "" {
		return nil, errors.New("the engine was given no host to work on")
	}
	release, err := e.lockPatiently(by)
	if err != nil {
		return nil, err
	}
	defer release()
	states, damages, err := e.states()
	if err != nil {
		return nil, err
	}
	var out []Transaction
	var failed []error
	for _, d := range damages {
		failed = append(failed, &DamageError{d})
	}
	// The newest first: what it found is what an earlier one left.
	for i := len(states) - 1; i >= 0; i-- {
		s := states[i]
		reason := e.overdue(s.Transaction)
		if reason == "" || !sameHost(s.Transaction.Host, e.o.Host) {
			continue
		}
		if !s.Prepared {
			if err := e.discard(s.Transaction.ID); err != nil {
				failed = append(failed, err)
			}
			continue
		}
		t, err := e.revert(&s, takeBack{by: &by, auto: true, boot: o.Boot, reason: reason})
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.Transaction.ID, err))
		}
		if t != nil {
			out = append(out, *t)
		}
	}
	return out, errors.Join(failed...)
}

// overdue says why a transaction has to be taken back, if it has. The lock is held: nobody is working on it.
func (e *Engine) overdue(t Transaction) string {
	switch {
	case t.State == Applying:
		return "its apply was interrupted"
	case t.State == Reverting:
		return "taking it back was interrupted"
	case t.State != AwaitingConfirm || !t.Host.live():
		return ""
	case t.HeldFor != nil:
		return e.heldOverdue(t)
	}
	boot, ticks := e.o.Stamp()
	if boot != t.BootID {
		return "the host was started again before it was confirmed"
	}
	if !e.o.Now().Before(t.Deadline) || t.waited(ticks) {
		return "it was not confirmed by " + t.Deadline.Format(time.RFC3339)
	}
	return ""
}

// ticksPerSecond is USER_HZ, the unit of Ticks: 100 on every architecture of Debian.
const ticksPerSecond = 100

// waited reports whether the time to confirm is over on the clock of the kernel, which nobody sets: that of the wall may have
// been set back since.
func (t Transaction) waited(ticks uint64) bool {
	within := t.Deadline.Sub(t.Applied)
	return ticks > t.Ticks && within > 0 && !t.Applied.IsZero() && float64(ticks-t.Ticks) >= within.Seconds()*ticksPerSecond
}

func (e *Engine) lockPatiently(by Actor) (func(), error) {
	for try := 0; ; try++ {
		release, err := e.lock(by, "recover")
		var refused *RefusedError
		if !errors.As(err, &refused) || try == lockTries {
			return release, err
		}
		e.o.Sleep(lockPause)
	}
}
