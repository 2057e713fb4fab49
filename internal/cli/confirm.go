package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/session"
)

type confirmFlags struct {
	operatorFlags
	state string
	json  bool
}

func (a *app) confirmCommand() *cobra.Command {
	f := &confirmFlags{}
	cmd := &cobra.Command{
		Use:   "confirm [TRANSACTION]",
		Short: "Keep what was applied: it shows that you still get in",
		Long: `Confirm keeps a transaction, the newest that waits for it unless one is named. On a host that runs it must come over a
connection that was opened after the change: SSH, or a new shell of the web interface of Proxmox VE. At the machine's own
console, and in a shell from outside of a container, a code has to be typed instead. A shell in tmux, screen or mosh, or
over a shared connection of ssh (ControlMaster), shows nothing and is refused.

Exit codes: 0 confirmed, 2 wrong usage, 3 it could not be confirmed, 4 refused.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.confirm(cmd.Context(), f, first(args)) },
	}
	addStateFlag(cmd, &f.state)
	addVSphereFlags(cmd.Flags(), &f.vsphere)
	cmd.Flags().BoolVar(&f.json, "json", false, "print the transaction as JSON")
	return cmd
}

// first is the first of at most one argument.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// chosen finds a transaction in the record: by its id, or the newest that fits.
func (a *app) chosen(state, id string, fits func(change.Transaction) bool, none string) (*change.Transaction, error) {
	e, err := a.engine(nil, nil, state, nil)
	if err != nil {
		return nil, err
	}
	list, damaged, err := e.Transactions()
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	if id == "" {
		for _, t := range slices.Backward(list) {
			if fits(t) {
				return &t, nil
			}
		}
		if len(damaged) > 0 {
			return nil, exit(ExitRefused, &change.DamageError{Damage: damaged[0]})
		}
		return nil, exit(ExitRefused, errors.New(none+"; castellan history lists the transactions"))
	}
	for _, t := range list {
		if t.ID == id {
			return &t, nil
		}
	}
	for _, d := range damaged {
		if d.ID == id {
			return nil, exit(ExitRefused, &change.DamageError{Damage: d})
		}
	}
	return nil, usage("there is no transaction %s in %s; castellan history lists them", harmless(id), state)
}

// reopened opens the host of a transaction again, with its engine.
func (a *app) reopened(ctx context.Context, t change.Transaction, state, doing string, vs *vsphereFlags) (*change.Engine, func() error, error) {
	p, closer, err := a.planner(ctx, targetOf(t.Host), &operatorFlags{begun: true, vsphere: *vs})
	if err != nil {
		return nil, nil, err
	}
	if t.Host.Kind == "ssh" {
		p.Host.Kind, p.Host.Target = t.Host.Kind, t.Host.Target
	}
	err = needRoot(p, doing)
	var e *change.Engine
	if err == nil {
		// What was applied can be taken back in a rescue system too, where no systemd holds a deadline.
		k, none := a.keeper(p, state)
		if none != nil {
			fmt.Fprintf(a.err, "castellan: %v\n", none)
			k = nil
		}
		e, err = a.engine(p, k, state, nil)
	}
	if err != nil {
		closer() //nolint:errcheck // it was only read
		return nil, nil, err
	}
	return e, closer, nil
}

// disarmed tells of a timer that could not be removed and takes it for no error: the transaction has ended as it should.
func (a *app) disarmed(err error) error {
	var d *change.DisarmError
	if !errors.As(err, &d) {
		return err
	}
	fmt.Fprintf(a.err, "castellan: %v\n", d)
	return nil
}

func (a *app) confirm(ctx context.Context, f *confirmFlags, id string) error {
	t, err := a.chosen(f.state, id, func(t change.Transaction) bool { return t.State == change.AwaitingConfirm }, "no transaction awaits confirmation")
	if err != nil {
		return err
	}
	e, closer, err := a.reopened(ctx, *t, f.state, "confirm", &f.vsphere)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // every change was waited for
	conn := a.connection()
	var o change.ConfirmOptions
	if t.Host.Kind != "dir" && t.State == change.AwaitingConfirm && t.HeldFor == nil {
		if o.Connection, err = a.proof(conn, *t); err != nil {
			return err
		}
	}
	end := a.steady()
	defer end()
	done, err := e.Confirm(t.ID, a.actor(conn), o)
	if err = a.disarmed(err); err != nil {
		return changeExit(err)
	}
	if f.json {
		return a.printTransactions([]change.Transaction{*done}, nil)
	}
	fmt.Fprintf(a.out, "confirmed %s: it stays\n", done.ID)
	if done.Place < done.Windows {
		fmt.Fprintf(a.out, "next: castellan apply PLAN%s again, for window %d of %d\n", stateArg(f.state), done.Place+1, done.Windows)
	} else {
		fmt.Fprintf(a.out, "to take it back later: castellan revert %s%s\n", done.ID, stateArg(f.state))
	}
	return nil
}

// proof shows that somebody still gets in: by a new connection, or by a code typed where no change can cut anybody off.
func (a *app) proof(conn session.Connection, t change.Transaction) (change.Connection, error) {
	fresh, why := session.New(conn, t)
	if fresh {
		from := ""
		if conn.Address != "" {
			from = " from " + conn.Address
		}
		return change.Connection{New: true, Why: fmt.Sprintf("over a connection (%s%s) opened after the change", conn.Kind, from)}, nil
	}
	code, _ := conn.ByCode()
	if !code || !a.asksOn() {
		if code {
			why = "at a console a code has to be typed, and the standard input is no terminal"
		}
		return change.Connection{Why: why}, nil
	}
	want, err := session.Code(rand.Reader)
	if err != nil {
		return change.Connection{}, exit(ExitTarget, err)
	}
	fmt.Fprintf(a.err, "This is no new connection over the network. If you have another way in should SSH be closed,\ntype %s within %s: ", want, session.CodeTime)
	typed, err := a.readLine(session.CodeTime)
	if err != nil {
		return change.Connection{}, exit(ExitRefused, err)
	}
	if strings.ToUpper(strings.TrimSpace(typed)) != want {
		return change.Connection{}, exit(ExitRefused, errors.New("that is not the code; nothing was confirmed"))
	}
	return change.Connection{New: true, Why: fmt.Sprintf("by a code typed on %s (%s)", conn.TTY, conn.Kind)}, nil
}
