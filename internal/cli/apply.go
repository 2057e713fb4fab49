package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
)

type applyFlags struct {
	operatorFlags
	sshFlags
	within    time.Duration
	why       string
	state     string
	yes, json bool
	console   bool
}

func (a *app) applyCommand() *cobra.Command {
	f := &applyFlags{}
	cmd := &cobra.Command{
		Use:   "apply PLAN...",
		Short: "Make what a plan says, and take it back unless you confirm",
		Long: `Apply makes the next window of a plan: first everything that taking it back needs is written to the state directory,
then the steps are made one by one, and when one fails all are taken back. It refuses a plan that was edited, that is for
another host, or that does not fit any more, and one after which somebody would not get in.

A plan for ssh://user@host is applied by the host itself: this program is put there for the time, and confirms each window over
a new connection; without one the host takes the window back. Plans of several hosts are applied one after the other, and
the first that is not confirmed ends it.

A host that runs then takes everything back by itself at the deadline, also after a restart, unless you confirm from a
connection that you opened after the change. A directory has no deadline: it waits for confirm or revert.

Exit codes: 0 it was made and awaits confirmation, or nothing was left to do; 2 wrong usage, or the plan cannot be read or
was edited; 3 it could not be made, and was taken back; 4 refused; 5 some plans were not begun.`,
		Example: `  castellan plan -o plan.json && castellan apply plan.json
  castellan apply plan.json --confirm-within 5m --admin alice@192.0.2.0/24`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.apply(cmd.Context(), f, args) },
	}
	fl := cmd.Flags()
	addOperatorFlags(cmd, &f.operatorFlags)
	addSSHFlags(cmd, &f.sshFlags)
	addStateFlag(cmd, &f.state)
	fl.DurationVar(&f.within, "confirm-within", 10*time.Minute, "`time` to confirm before the host takes everything back, 30s to 24h")
	fl.StringVar(&f.why, "why", "", "a `reason` for the record: a ticket, a sentence")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	fl.BoolVar(&f.json, "json", false, "print the transactions as JSON")
	fl.BoolVar(&f.console, "i-will-be-at-the-console", false, "apply although somebody would not get in; it is recorded")
	return cmd
}

// apply makes one plan after the other and stops at the first that waits for its confirmation on a host that runs.
func (a *app) apply(ctx context.Context, f *applyFlags, files []string) error {
	plans := make([]*change.Plan, len(files))
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return usage("cannot read the plan: %w", err)
		}
		if plans[i], err = change.ReadPlan(b); err != nil {
			return exit(ExitUsage, fmt.Errorf("%s: %w", file, err))
		}
	}
	if f.within <= 0 {
		return exit(ExitRefused, fmt.Errorf("--confirm-within %s leaves no time to confirm: the host would take everything back at once; give 30s to 24h", f.within))
	}
	if !f.yes && !a.asksOn() {
		return usage("apply asks before it changes anything, and there is no terminal to ask on; --yes applies without asking")
	}
	if err := f.check(); err != nil {
		return err
	}
	var made []change.Transaction
	for i, plan := range plans {
		if plan.Host.Kind == "ssh" && f.as == "" {
			if err := a.applyRemote(ctx, plan, f); err != nil {
				return left(err, files[i+1:])
			}
			continue
		}
		t, err := a.applyHere(ctx, plan, f, files[i])
		if t != nil {
			made = append(made, *t)
		}
		if err == nil && t != nil && t.Host.Kind != "dir" && i+1 < len(plans) {
			err = exit(ExitPartial, fmt.Errorf("%s has to be confirmed first", t.ID))
		}
		if err != nil {
			if f.json {
				err = errors.Join(a.printTransactions(made, nil), err)
			}
			return left(err, files[i+1:])
		}
	}
	if f.json {
		return a.printTransactions(made, nil)
	}
	return nil
}

// left says which plans were not begun.
func left(err error, files []string) error {
	var e *exitError
	if len(files) == 0 || !errors.As(err, &e) {
		return err
	}
	return exit(e.code, fmt.Errorf("%w; not begun: %s", err, strings.Join(files, ", ")))
}

// targetOf is how a host of a plan or transaction is opened here: a directory by its path, and everything else is this machine.
func targetOf(h change.Host) string {
	if h.Kind == "dir" {
		return h.Target
	}
	return "local"
}

// applyHere applies a plan to a directory or to this machine.
func (a *app) applyHere(ctx context.Context, plan *change.Plan, f *applyFlags, file string) (*change.Transaction, error) {
	p, closer, err := a.planner(ctx, targetOf(plan.Host), &f.operatorFlags)
	if err != nil {
		return nil, err
	}
	defer closer() //nolint:errcheck // every change was waited for
	if err := otherHost(plan.Host, p.Host); err != nil {
		return nil, exit(ExitRefused, err)
	}
	if err := needRoot(p, "apply"); err != nil {
		return nil, err
	}
	k, err := a.keeper(p, f.state)
	if err != nil {
		return nil, err
	}
	show, clear := a.stepProgress()
	e, err := a.engine(p, k, f.state, show)
	if err != nil {
		return nil, err
	}
	if err := unfinished(e, p.Host, f.state); err != nil {
		return nil, err
	}
	confirmed, err := e.Confirmed(plan)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	drafted, place, err := p.Redraft(plan, confirmed...)
	if err != nil {
		return nil, changeExit(err)
	}
	if drafted == nil {
		fmt.Fprintln(a.err, change.ErrNothingLeft)
		return nil, nil
	}
	refused := slices.ContainsFunc(drafted.Window.Verdicts, func(v change.Verdict) bool { return !v.Admitted })
	a.applySummary(plan, drafted.Window, place, f)
	if refused && !f.console {
		return nil, exit(ExitRefused, errors.New("somebody would be locked out, or it cannot be shown that nobody is (see above); nothing was changed. "+
			"Add what is missing and make the plan again, or give --i-will-be-at-the-console when you have another way in"))
	}
	if err := a.agree("Apply this window?", f.yes); err != nil {
		return nil, err
	}
	by := a.actor(a.connection())
	end := a.steady()
	t, err := e.Apply(p, plan, change.ApplyOptions{By: by, Why: f.why, Within: f.within, Override: f.console})
	clear()
	stop := end()
	if errors.Is(err, change.ErrNothingLeft) {
		fmt.Fprintln(a.err, err)
		return nil, nil
	}
	if err != nil {
		return t, changeExit(err)
	}
	if stop {
		if t, err = e.Revert(t.ID, by, change.RevertOptions{Reason: "apply was interrupted"}); err == nil {
			err = exit(ExitTarget, fmt.Errorf("interrupted; %s was taken back", t.ID))
		}
		return t, changeExit(err)
	}
	if !f.json {
		a.applied(*t, plan, place, f, file)
	}
	return t, nil
}

// unfinished refuses early, before a plan that was applied and waits looks like one with nothing left to do. The engine asks again.
func unfinished(e *change.Engine, here change.Host, state string) error {
	list, _, err := e.Transactions()
	if err != nil {
		return exit(ExitTarget, err)
	}
	for _, t := range list {
		same := t.Host.Kind == here.Kind && t.Host.Target == here.Target || here.Kind != "dir" && here.MachineID != "" && t.Host.MachineID == here.MachineID
		if same && t.State.Open() && t.HeldFor == nil { // what is held the engine looks at first
			return exit(ExitRefused, fmt.Errorf("the transaction %s of this host is unfinished (%s); castellan confirm %s%s or castellan revert %s%s first",
				t.ID, stateWords(t.State), t.ID, stateArg(state), t.ID, stateArg(state)))
		}
	}
	return nil
}

// stateArg is how a command names the state directory; nothing for the usual one.
func stateArg(state string) string {
	if state == defaultState {
		return ""
	}
	return " --state " + state
}

// otherHost says why a plan is none for this host: it was made for another one, or another tree lies in the directory now.
func otherHost(plan, here change.Host) error {
	name := func(h change.Host) string {
		if h.Hostname != "" && h.Hostname != h.Target {
			return h.Target + " (" + h.Hostname + ")"
		}
		return h.Target
	}
	if (plan.Kind == "dir") == (here.Kind == "dir") && plan.MachineID == here.MachineID && plan.Hostname == here.Hostname {
		return nil
	}
	if here.Kind != "dir" && plan.Kind != "dir" && plan.MachineID != "" && plan.MachineID == here.MachineID {
		return nil // the same machine under another name; copies of images share their ids
	}
	return fmt.Errorf("the plan was made for the host %s, and this is another one, %s: make a plan for this host", name(plan), name(here))
}

// applySummary shows what is about to be done.
func (a *app) applySummary(plan *change.Plan, w change.Window, place int, f *applyFlags) {
	p := &planPage{color: a.color(a.err), made: &madePlan{plan: plan}}
	p.line("%s", p.strong(fmt.Sprintf("Window %d of %d on %s: %s", place+1, len(plan.Windows), harmless(plan.Host.Target), windowWords(w.Name))))
	p.line("%s repaired by %s; %s", countOf(len(w.Controls), "control"), countOf(len(w.Steps), "step"), lockoutWords(w.Lockout))
	for i, s := range w.Steps {
		what := s.What
		if s.Path != "" {
			what = stepWords(s)
		}
		p.line("  %2d  %s", i+1, harmless(what))
	}
	p.verdicts(w.Verdicts)
	p.list("Side effects", w.Effects)
	p.list("At the next start only", w.Reboots)
	p.line("")
	if plan.Host.Kind == "dir" {
		p.line("No deadline: it waits for castellan confirm or castellan revert.")
	} else {
		p.line("Unless you confirm within %s, the host takes everything back.", shortTime(f.within))
	}
	a.err.Write(p.buf.Bytes()) //nolint:errcheck // a summary that cannot be shown stops nothing that was asked for
}

// applied says what was done and what comes next.
func (a *app) applied(t change.Transaction, plan *change.Plan, place int, f *applyFlags, file string) {
	fmt.Fprintf(a.out, "applied %s: window %s, %s\n", t.ID, t.Window, countOf(len(plan.Windows[place].Steps), "step"))
	a.changedMachines(t.Host.Target, plan.Windows[place])
	state := stateArg(f.state)
	if t.Host.Kind == "dir" {
		fmt.Fprintf(a.out, "next: castellan confirm %s%s\n  or: castellan revert %s%s\n", t.ID, state, t.ID, state)
	} else {
		fmt.Fprintf(a.out, "\nThe host takes it back at %s, in %s, unless you confirm.\nLeave this session open and confirm from a NEW connection:\n\n  %s%s\n\n",
			t.Deadline.Local().Format("15:04:05 MST"), shortTime(t.Deadline.Sub(a.now())), a.confirmLine(t), state)
		fmt.Fprint(a.out, secondWords(t))
	}
	if place+1 < len(plan.Windows) {
		fmt.Fprintf(a.out, "then: castellan apply %s%s for the next window, %s\n", file, state, windowWords(plan.Windows[place+1].Name))
	}
}

// confirmLine is how a transaction is confirmed from the operator's own machine.
func (a *app) confirmLine(t change.Transaction) string {
	program := "castellan"
	// A login shell finds programs in these directories only (login.defs(5), ENV_SUPATH).
	if exe, err := os.Executable(); err == nil && !slices.Contains([]string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}, filepath.Dir(exe)) {
		program = exe
	}
	login, sudo := a.connection().User, "sudo "
	if login == "" || login == "root" {
		login, sudo = "root", ""
	}
	name := t.Host.Hostname
	if target, ok := strings.CutPrefix(t.Host.Target, "ssh://"); ok {
		name = target
		if i := strings.LastIndexByte(name, '@'); i >= 0 {
			login, name = name[:i], name[i+1:]
		}
	}
	if name == "" {
		name = "HOST"
	}
	return fmt.Sprintf("ssh %s@%s %s%s confirm %s", login, name, sudo, program, t.ID)
}

// shortTime says a duration to the second, without zero parts.
func shortTime(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// stepProgress shows the step that is being made in one line of a terminal; elsewhere it shows nothing. The second result
// erases the line.
func (a *app) stepProgress() (show func(n, of int, words string), clear func()) {
	tty, width := terminal(a.err)
	if !tty || a.env("TERM") == "dumb" {
		return func(int, int, string) {}, func() {}
	}
	if width <= 0 {
		width = planWidth
	}
	return func(n, of int, words string) {
			line := []rune(fmt.Sprintf("step %d of %d: %s", n, of, harmless(words)))
			fmt.Fprintf(a.err, "\r\x1b[K%s", string(line[:min(len(line), width-1)]))
		}, func() {
			fmt.Fprint(a.err, "\r\x1b[K")
		}
}
