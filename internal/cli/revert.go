package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

type revertFlags struct {
	state           string
	yes, json, skip bool
	// recover takes back what nobody will confirm any more; boot says that the host is starting. The units call them.
	recover, boot bool
	vsphere       vsphereFlags
}

func (a *app) revertCommand() *cobra.Command {
	f := &revertFlags{}
	cmd := &cobra.Command{
		Use:   "revert [TRANSACTION]",
		Short: "Take back what was applied",
		Long: `Revert gives every path of a transaction what it held before, byte for byte and mode for mode, and undoes what was done
beside: the newest transaction, unless one is named. A path that somebody else changed since is a conflict: it is shown,
and nothing is taken back unless --skip-conflicts leaves those paths as they are. Reverting again goes on where it stopped.

Exit codes: 0 taken back, 2 wrong usage, 3 it could not be taken back whole, 4 refused: a conflict, or a later
transaction that stands on it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.recover {
				return a.recover(cmd.Context(), f)
			}
			return a.revert(cmd.Context(), f, first(args))
		},
	}
	fl := cmd.Flags()
	addStateFlag(cmd, &f.state)
	addVSphereFlags(fl, &f.vsphere)
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	fl.BoolVar(&f.skip, "skip-conflicts", false, "leave alone what somebody else changed since, and take back the rest")
	fl.BoolVar(&f.json, "json", false, "print the transaction as JSON")
	fl.BoolVar(&f.recover, "recover", false, "take back what nobody will confirm any more")
	fl.BoolVar(&f.boot, "boot", false, "the host is starting")
	for _, name := range []string{"recover", "boot"} {
		if err := fl.MarkHidden(name); err != nil {
			panic(err) // the flag was declared two lines above
		}
	}
	return cmd
}

func (a *app) revert(ctx context.Context, f *revertFlags, id string) error {
	if !f.yes && !a.asksOn() {
		return usage("revert asks before it changes anything, and there is no terminal to ask on; --yes reverts without asking")
	}
	t, err := a.chosen(f.state, id, func(t change.Transaction) bool {
		return t.State.Open() || t.Here() && (t.State == change.Committed || t.State == change.Failed)
	}, "there is nothing to take back")
	if err != nil {
		return err
	}
	e, closer, err := a.reopened(ctx, *t, f.state, "revert", &f.vsphere)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // every change was waited for
	fmt.Fprintf(a.err, "%s of %s: window %s, %s, %s, by %s\n", t.ID, harmless(t.Host.Target), t.Window, countOf(len(t.Controls), "control"),
		stateWords(t.State), actorWords(t.By))
	if err := a.agree("Take it back?", f.yes); err != nil {
		return err
	}
	end := a.steady()
	defer end()
	done, err := e.Revert(t.ID, a.actor(a.connection()), change.RevertOptions{SkipConflicts: f.skip})
	err = a.disarmed(err)
	if f.json && done != nil {
		err = errors.Join(err, a.printTransactions([]change.Transaction{*done}, nil))
	}
	if err != nil {
		return changeExit(err)
	}
	if f.json {
		return nil
	}
	fmt.Fprintf(a.out, "reverted %s: %s\n", done.ID, lastEvent(*done))
	for _, p := range done.Conflicts {
		fmt.Fprintf(a.out, "  left alone: %s\n", harmless(p))
	}
	for _, p := range done.Restart {
		fmt.Fprintf(a.out, "  until the next start as it was put: %s\n", harmless(p))
	}
	return nil
}

// lastEvent is how the story of a transaction ends.
func lastEvent(t change.Transaction) string {
	if len(t.Events) == 0 {
		return "it had changed nothing"
	}
	return harmless(t.Events[len(t.Events)-1].Text)
}

// recover is what the host itself calls, at a deadline and when it starts.
func (a *app) recover(ctx context.Context, f *revertFlags) error {
	e, closer, err := a.reopened(ctx, change.Transaction{Host: change.Host{Kind: "local"}}, f.state, "revert", &f.vsphere)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // every change was waited for
	end := a.steady()
	defer end()
	by := a.actor(a.connection())
	by.Session = "deadline"
	if f.boot {
		by.Session = "start of the host"
	}
	done, err := e.Recover(by, change.RecoverOptions{Boot: f.boot})
	for _, t := range done {
		fmt.Fprintf(a.err, "%s of window %s: %s\n", t.ID, t.Window, lastEvent(t))
	}
	if err == nil && len(done) == 0 {
		fmt.Fprintln(a.err, "nothing has to be taken back")
	}
	if err != nil {
		return changeExit(err)
	}
	return a.forgotten(e, f.state)
}

// forgotten removes units that a killed process left although nothing waits for them any more.
func (a *app) forgotten(e *change.Engine, state string) error {
	// Nobody may apply meanwhile: an apply arms its deadline with the lock in its hands.
	state, err := filepath.Abs(state)
	if err != nil {
		return usage("--state: %w", err)
	}
	release, err := host.Lock(filepath.Join(state, "lock"), "clearing up after a deadline")
	if errors.Is(err, host.ErrLocked) {
		return nil // whoever is at work cares for the units himself
	}
	if err != nil {
		return exit(ExitTarget, err)
	}
	defer release()
	list, damaged, err := e.Transactions()
	if err != nil || len(damaged) > 0 || slices.ContainsFunc(list, func(t change.Transaction) bool { return t.Host.Kind != "dir" && t.State.Open() }) {
		return changeExit(err)
	}
	l := host.NewLocal()
	k, err := a.keeper(&change.Planner{Machine: l, Target: l.Describe()}, state)
	if err != nil {
		return err
	}
	return changeExit(k.Disarm(change.Transaction{ID: "of the past"}))
}
