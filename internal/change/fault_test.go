package change

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fault makes the act number k fail, and maybe what follows. The first run counts the acts.
type fault struct {
	name string
	// from answers what happens to act number n when the fault is at k: nil is success.
	from func(n, k int, act string) error
}

// faults are the ways in which a machine stops.
func faults() []fault {
	return []fault{
		{"an error", func(n, k int, _ string) error { return failIf(n == k, unix.EIO) }},
		{"a disk that is full for a moment", func(n, k int, act string) error { return failIf(n == k && grows(act), unix.ENOSPC) }},
		{"a disk that stays full", func(n, k int, act string) error { return failIf(n >= k && grows(act), unix.ENOSPC) }},
		{"a file system that is read-only from there on", func(n, k int, act string) error { return failIf(n >= k && act != "run", unix.EROFS) }},
		// What is dead does nothing more, and cleans nothing up.
		{"kill -9", func(n, k int, _ string) error { return failIf(n >= k, errKilled) }},
	}
}

var errKilled = errors.New("killed")

func failIf(b bool, err error) error {
	if b {
		return err
	}
	return nil
}

// grows reports whether an act needs room on the disk.
func grows(act string) bool {
	switch act {
	case "open", "write", "mkdir", "symlink", "rename", "fsync":
		return true
	}
	return false
}

// inject makes the rig fail, and count gives the number of acts until now.
func (r *rig) inject(f fault, k int) {
	n := 0
	r.fault = func(act, _ string) error {
		n++
		return f.from(n-1, k, act)
	}
}

// count runs f and counts its acts.
func (r *rig) count(f func()) int {
	n := 0
	r.fault = func(string, string) error { n++; return nil }
	f()
	r.fault = nil
	return n
}

// only gives the only transaction, or one without a state when there is none.
func (r *rig) only() Transaction {
	r.t.Helper()
	all, damages, err := r.engine().Transactions()
	if err != nil || len(damages) > 0 || len(all) > 1 {
		r.t.Fatalf("%+v, %+v, %v", all, damages, err)
	}
	if len(all) == 0 {
		return Transaction{}
	}
	return all[0]
}

// settle recovers as the host does, and proves that the tree is whole: the old one, or the new one when the record says so.
func (r *rig) settle(before, after map[string]string, when string) {
	r.t.Helper()
	r.fault = nil
	if _, err := r.engine().Recover(Actor{User: "timer"}, RecoverOptions{}); err != nil {
		r.t.Fatalf("%s: recover: %v", when, err)
	}
	switch x := r.only(); x.State {
	case "", Reverted:
		if !maps.Equal(before, r.tree()) {
			r.is(before, when+", with the state "+string(x.State)+",")
		}
	case AwaitingConfirm, Committed:
		if !maps.Equal(after, r.tree()) {
			r.is(after, when+", with the state "+string(x.State)+",")
		}
	default:
		r.t.Fatalf("%s: the transaction is %+v", when, x)
	}
}

// TestFaultsOfApply lets every act of an apply fail in every way.
func TestFaultsOfApply(t *testing.T) {
	for _, r := range rigs(t, manySteps, lockedSteps) {
		runs, live := 0, r.live
		began := time.Now()
		before, after := r.trees()
		total := r.count(func() { r.mustApply() })
		for _, f := range faults() {
			for k := range total {
				when := fmt.Sprintf("live %v, after %s at act %d of %d of the apply,", live, f.name, k, total)
				r.reset()
				r.inject(f, k)
				x, err := r.apply()
				if err == nil && x.State != AwaitingConfirm {
					t.Fatalf("%s %+v", when, x)
				}
				r.settle(before, after, when)
				if live {
					r.now = r.now.Add(time.Hour)
					r.settle(before, before, when+" and the deadline,")
				}
				runs++
			}
		}
		t.Logf("live %v: %d acts, %d runs in %v", live, total, runs, time.Since(began))
	}
}

// TestFaultsBeforeAnything proves that what stops before the first change leaves no transaction that is in the way.
func TestFaultsBeforeAnything(t *testing.T) {
	r := newRig(t, false, fewSteps)
	before, after := r.trees()
	total := r.count(func() { r.mustApply() })
	for k := range total {
		r.reset()
		r.inject(faults()[4], k)
		_, _ = r.apply()
		r.fault = nil
		if x := r.only(); x.State == "" || x.State == Applying && maps.Equal(before, r.tree()) {
			_, err := r.apply()
			if x := r.only(); err != nil && !isRefused(err, "castellan revert "+x.ID) {
				t.Fatalf("killed at %d: %v", k, err)
			}
		}
		r.settle(before, after, fmt.Sprintf("killed at %d", k))
	}
}

// TestFaultsOfConfirm lets every act of a confirmation fail in every way.
func TestFaultsOfConfirm(t *testing.T) {
	for _, live := range []bool{false, true} {
		r := newRig(t, live, fewSteps)
		before, after := r.trees()
		r.mustApply()
		confirm := func() (*Transaction, error) { return r.engine().Confirm("", me(), newConnection()) }
		total := r.count(func() { _, _ = confirm() })
		for _, f := range faults() {
			for k := range total {
				when := fmt.Sprintf("after %s at act %d of %d of the confirmation,", f.name, k, total)
				r.reset()
				r.mustApply()
				r.inject(f, k)
				x, err := confirm()
				r.settle(before, after, when)
				was := r.only().State
				if err == nil && (x.State != Committed || was != Committed) {
					t.Fatalf("%s it was confirmed and is %s", when, was)
				}
				r.now = r.now.Add(time.Hour)
				r.settle(before, after, when+" and the deadline,")
				if is := r.only().State; live && was == Committed && is != Committed || live && was == AwaitingConfirm && is != Reverted {
					t.Fatalf("%s it was %s and is %s", when, was, is)
				}
			}
		}
	}
}

// TestFaultsOfRevert lets every act of taking back fail in every way.
func TestFaultsOfRevert(t *testing.T) {
	for _, r := range rigs(t, manySteps, lockedSteps) {
		live := r.live
		before, after := r.trees()
		prepare := func() {
			r.reset()
			r.mustApply()
			if _, err := r.engine().Confirm("", me(), newConnection()); err != nil {
				t.Fatal(err)
			}
		}
		prepare()
		total := r.count(func() { _, _ = r.engine().Revert("", me(), RevertOptions{}) })
		for _, f := range faults() {
			for k := range total {
				when := fmt.Sprintf("live %v, after %s at act %d of %d of the revert,", live, f.name, k, total)
				prepare()
				r.inject(f, k)
				x, err := r.engine().Revert("", me(), RevertOptions{})
				r.fault = nil
				if r.only().State == Failed {
					// A service did not want to stop: a person looks, and says it again.
					if _, err := r.engine().Revert("", me(), RevertOptions{}); err != nil {
						t.Fatalf("%s: %v", when, err)
					}
				}
				if err == nil && x.State != Reverted {
					t.Fatalf("%s %+v", when, x)
				}
				r.settle(before, after, when)
			}
		}
	}
}

// TestKilledTwice kills an apply at every act, and then the recovery at every act.
func TestKilledTwice(t *testing.T) {
	for _, r := range rigs(t, fewSteps, fewLockedSteps) {
		began, runs, live := time.Now(), 0, r.live
		before, after := r.trees()
		total := r.count(func() { r.mustApply() })
		kill := faults()[4]
		recovery := func() { _, _ = r.engine().Recover(me(), RecoverOptions{Boot: live}) }
		for k := range total {
			more := 1
			for j := 0; j < more; j++ {
				r.reset()
				r.inject(kill, k)
				_, _ = r.apply()
				r.boot = "boot-2"
				if j == 0 {
					more = r.count(recovery)
				} else {
					r.inject(kill, j-1)
					recovery()
				}
				r.settle(before, after, fmt.Sprintf("live %v, killed at act %d of %d, and at act %d of %d of the recovery,", live, k, total, j-1, more))
				runs++
			}
		}
		t.Logf("live %v: %d runs in %v", live, runs, time.Since(began))
	}
}
