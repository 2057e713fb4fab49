package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/deputy"
	"github.com/castellan-project/castellan/internal/host"
)

// second are the other nodes of the cluster that this machine belongs to, if it does.
func (a *app) second(p *change.Planner) change.Second {
	if p.Target.Kind != "local" {
		return nil
	}
	return deputy.New(deputy.Options{Reader: p.Machine, Binary: ownProgram, State: defaultState,
		Dial: func(ctx context.Context, t host.SSHTarget) (deputy.Remote, error) {
			s, err := host.DialShell(ctx, t)
			if err != nil {
				return nil, err
			}
			return s, nil
		}})
}

// holdCommand is what another node of the cluster calls over SSH.
func (a *app) holdCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:    "hold",
		Hidden: true,
		Short:  "Hold the deadline of what another node of the cluster changes",
		Long: `Hold reads from the standard input what another node of the cluster is about to change below /etc/pve. Should that node die, this
one takes it back. castellan apply calls it on another node.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.hold(cmd.Context(), state) },
	}
	addStateFlag(cmd, &state)
	return cmd
}

func (a *app) hold(ctx context.Context, state string) error {
	if a.asksOn() {
		return usage("castellan apply on another node of the cluster calls this; it is of no use by hand")
	}
	document, err := io.ReadAll(io.LimitReader(a.in, change.MaxShare+1))
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot read what should be held: %w", err))
	}
	e, closer, err := a.reopened(ctx, change.Transaction{Host: change.Host{Kind: "local"}}, state, "hold", &vsphereFlags{})
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // every change was waited for
	end := a.steady()
	defer end()
	t, err := e.Hold(document, a.actor(a.connection()))
	if err != nil {
		return changeExit(err)
	}
	fmt.Fprintf(a.out, "%s holds %s of %s\n", t.ID, t.HeldFor.ID, t.HeldFor.Node)
	return nil
}

// secondWords says who else holds the deadline of an applied transaction; nothing when nobody could.
func secondWords(t change.Transaction) string {
	switch {
	case t.Second != "":
		return fmt.Sprintf("Should this node die, %s takes back the files of the cluster.\n", harmless(t.Second))
	case t.Alone != "":
		return fmt.Sprintf("Only this node watches, although the files of the cluster count on all nodes:\n%s", wrap(harmless(t.Alone), "  "))
	}
	return ""
}
