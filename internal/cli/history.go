package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
)

func (a *app) historyCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history [TRANSACTION]",
		Short: "List what was applied, confirmed and taken back, or tell the story of one",
		Long: `History lists the transactions in the state directory, newest first: who made them, when, from where, and where they stand.
With the id of one it tells its whole story. It changes nothing.

Exit codes: 0 fine, 2 wrong usage, 3 the record cannot be read, or is damaged: what is known of it is told.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.history(state, first(args), asJSON) },
	}
	addStateFlag(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) history(state, id string, asJSON bool) error {
	e, err := a.engine(nil, nil, state, nil)
	if err != nil {
		return err
	}
	list, damaged, err := e.Transactions()
	if err != nil {
		return exit(ExitTarget, err)
	}
	if id != "" {
		t, err := a.chosen(state, id, nil, "")
		if err != nil {
			return err
		}
		list, damaged = []change.Transaction{*t}, nil
	}
	switch {
	case asJSON:
		err = a.printTransactions(list, damaged)
	case id != "":
		a.story(list[0], state)
	default:
		err = a.transactionTable(list, state)
	}
	if err != nil || len(damaged) == 0 {
		return err
	}
	lines := make([]string, len(damaged))
	for i, d := range damaged {
		lines[i] = harmless((&change.DamageError{Damage: d}).Error())
	}
	return exit(ExitTarget, fmt.Errorf("%s", strings.Join(lines, "\n")))
}

func (a *app) transactionTable(list []change.Transaction, state string) error {
	if len(list) == 0 {
		fmt.Fprintf(a.out, "nothing was applied: %s holds no transaction\n", state)
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "TRANSACTION\tAPPLIED\tSTATE\tCONTROLS\tBY\tWHY")
	for i := len(list) - 1; i >= 0; i-- {
		t := list[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", t.ID, t.Began.Local().Format("2006-01-02 15:04"), stateWords(t.State), len(t.Controls), harmless(actorWords(t.By)),
			harmless(whyWords(t)))
	}
	if err := w.Flush(); err != nil {
		return exit(ExitTarget, err)
	}
	fmt.Fprintf(a.out, "\nmore: castellan history %s%s\n", list[len(list)-1].ID, stateArg(state))
	return nil
}

// shownWhy is how much of a reason a line of the list shows, in characters.
const shownWhy = 24

// whyWords says why something was done: the reason that was given, else the controls that ask for it.
func whyWords(t change.Transaction) string {
	s := t.Why
	if t.HeldFor != nil {
		s = "held for " + t.HeldFor.Node
	}
	if s == "" {
		s = strings.Join(t.Controls, ", ")
	}
	if r := []rune(s); len(r) > shownWhy {
		s = string(r[:shownWhy-1]) + "…"
	}
	return s
}

// story tells everything of one transaction.
func (a *app) story(t change.Transaction, state string) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "%-10s %s\n", name, harmless(fmt.Sprintf(format, args...)))
	}
	at := func(m time.Time) string { return m.Local().Format("2006-01-02 15:04:05 MST") }
	row(t.ID, "%s", stateWords(t.State))
	row("host", "%s %s", t.Host.Target, t.Host.Hostname)
	row("window", "%s, %d of %d of the plan %.12s", t.Window, t.Place, t.Windows, t.Plan)
	if t.HeldFor != nil {
		row("held for", "%s, which has it as %s", t.HeldFor.Node, t.HeldFor.ID)
	}
	if t.Second != "" {
		row("also held", "on %s", t.Second)
	}
	if t.Alone != "" {
		row("alone", "%s", t.Alone)
	}
	row("by", "%s", actorWords(t.By))
	if t.Why != "" {
		row("why", "%s", t.Why)
	}
	if t.By.Key != "" {
		row("key", "%s", t.By.Key)
	}
	row("began", "%s", at(t.Began))
	if t.State == change.AwaitingConfirm && !t.Deadline.IsZero() {
		row("deadline", "%s", at(t.Deadline))
	}
	fmt.Fprint(a.out, wrap(strings.Join(t.Controls, ", "), "  "), "\n")
	section := func(title string, items []string) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(a.out, "\n%s\n", title)
		for _, s := range items {
			fmt.Fprintf(a.out, "  %s\n", harmless(s))
		}
	}
	section("Paths", t.Paths)
	section("Applied although", t.Override)
	section("Left alone, because somebody else changed it", t.Conflicts)
	section("As it was put until the next start", t.Restart)
	fmt.Fprintln(a.out, "\nStory")
	for _, e := range t.Events {
		who := ""
		if e.By != nil {
			who = " (" + actorWords(*e.By) + ")"
		}
		fmt.Fprintf(a.out, "  %s  %s\n", at(e.At), harmless(e.Text+who))
	}
	more := stateArg(state)
	switch {
	case !t.Here():
	case t.HeldFor != nil:
		fmt.Fprintf(a.out, "\nto keep it: castellan confirm %s on %s; to take it back: castellan revert %s%s\n", t.HeldFor.ID, harmless(t.HeldFor.Node), t.ID, more)
	case t.State == change.AwaitingConfirm:
		fmt.Fprintf(a.out, "\nto keep it: castellan confirm %s%s; to take it back: castellan revert %s%s\n", t.ID, more, t.ID, more)
	case t.State == change.Reverted:
	default:
		fmt.Fprintf(a.out, "\nto take it back: castellan revert %s%s\n", t.ID, more)
	}
}

// stateWords says where a transaction stands.
func stateWords(s change.State) string {
	switch s {
	case change.Applying:
		return "being applied, or interrupted"
	case change.AwaitingConfirm:
		return "awaits confirmation"
	case change.Committed:
		return "confirmed"
	case change.Reverting:
		return "being taken back, or interrupted"
	case change.Reverted:
		return "taken back"
	case change.Failed:
		return "taken back in part"
	}
	return harmless(string(s))
}

// actorWords says who acted.
func actorWords(x change.Actor) string {
	s := x.User
	if x.Login != "" && x.Login != x.User {
		s = x.Login + " as " + x.User
	}
	switch {
	case x.From != "":
		s += " from " + x.From
	case x.Session == "none" || x.Session == "":
	default:
		s += ", " + x.Session
	}
	return s
}
