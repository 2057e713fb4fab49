package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
)

// reconnectTimeout bounds one attempt at a new connection.
const reconnectTimeout = 10 * time.Second

// applyRemote lets a host over SSH apply the windows of a plan, and confirms each over a connection that is opened after it. When
// no new connection comes about, nothing is confirmed, and the host takes the window back by itself.
func (a *app) applyRemote(ctx context.Context, plan *change.Plan, f *applyFlags) error {
	name := plan.Host.Target
	for i, w := range plan.Windows {
		a.applySummary(plan, w, i, f)
	}
	if err := a.agree(fmt.Sprintf("Apply %s on %s, confirming each over a new connection?", countOf(len(plan.Windows), "window"), name), f.yes); err != nil {
		return err
	}
	e, err := a.sendEnvoy(ctx, name, f.state, &f.sshFlags)
	if err != nil {
		return err
	}
	defer func() { e.leave() }()
	b, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	file := path.Join(e.dir, "plan.json")
	if err := e.shell.Put(file, 0o600, bytes.NewReader(b)); err != nil {
		return exit(ExitTarget, err)
	}
	for range plan.Windows {
		t, err := e.applyWindow(file, f)
		if err != nil || t == nil {
			return err
		}
		if err := e.confirmAnew(ctx, t, f); err != nil {
			return err
		}
	}
	return nil
}

// applyWindow applies the next window there; nil when nothing is left to do.
func (e *envoy) applyWindow(file string, f *applyFlags) (*change.Transaction, error) {
	args := []string{"apply", file, "--as", e.name, "--yes", "--json", "--state", e.state, "--confirm-within", f.within.String()}
	for _, s := range f.admins {
		args = append(args, "--admin", s)
	}
	if f.why != "" {
		args = append(args, "--why", f.why)
	}
	if f.console {
		args = append(args, "--i-will-be-at-the-console")
	}
	out, code, err := e.run(args...)
	if err != nil {
		return nil, exit(ExitTarget, fmt.Errorf("%w; what %s had changed by then it takes back by itself within %s", err, e.name, shortTime(f.within)))
	}
	if code != ExitOK {
		return nil, exit(code, fmt.Errorf("%s did not apply the plan (see above)", e.name))
	}
	t, err := oneTransaction(out)
	if err != nil {
		return nil, exit(ExitTarget, fmt.Errorf("%s answered with something else: %w", e.name, err))
	}
	if t != nil {
		fmt.Fprintf(e.app.err, "%s: applied %s, window %d of %d; opening a new connection to confirm\n%s", e.name, t.ID, t.Place, t.Windows, secondWords(*t))
	}
	return t, nil
}

// oneTransaction reads what apply, confirm or history print as JSON; nil when they name none.
func oneTransaction(b []byte) (*change.Transaction, error) {
	var doc transactionsJSON
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if len(doc.Transactions) == 0 {
		return nil, nil
	}
	return &doc.Transactions[0], nil
}

// confirmAnew hangs up, connects again, and confirms over the new connection.
func (e *envoy) confirmAnew(ctx context.Context, t *change.Transaction, f *applyFlags) error {
	// What leaves a few seconds for the confirmation itself.
	until := e.app.now().Add(f.within - min(f.within/4, 30*time.Second))
	if err := e.reconnect(ctx, until); err != nil {
		return e.takenBack(ctx, t, fmt.Errorf("no new connection to %s came about: %w", e.name, err))
	}
	_, code, err := e.run("confirm", t.ID, "--json", "--state", e.state)
	if err != nil || code != ExitOK {
		return e.takenBack(ctx, t, errors.Join(err, fmt.Errorf("%s was not confirmed (code %d)", t.ID, code)))
	}
	fmt.Fprintf(e.app.out, "%s: confirmed %s, window %s, over a new connection\n", e.name, t.ID, t.Window)
	return nil
}

// reconnect replaces the connection by a new one; it tries until the given time. A host that is reached and does not let us in
// is not asked again: it would take us for somebody who guesses, and shut us out for longer than the change does.
func (e *envoy) reconnect(ctx context.Context, until time.Time) error {
	e.shell.Close()
	target := e.target
	target.Timeout = reconnectTimeout
	for {
		// A host in the middle of a change may let us in and then not go on: that attempt is given up, too.
		attempt, hangUp := context.WithCancel(ctx)
		timer := time.AfterFunc(2*reconnectTimeout, hangUp)
		s, err := host.DialShell(attempt, target)
		timer.Stop()
		if err == nil && attempt.Err() == nil {
			e.hangUp()
			e.shell, e.hangUp = s, hangUp
			return nil
		}
		hangUp()
		if err == nil {
			s.Close()
			err = fmt.Errorf("%s lets us in and does not go on", e.name)
		}
		var refused *host.LoginError
		if errors.As(err, &refused) || ctx.Err() != nil || e.app.now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// takenBack waits until the host has taken a transaction back, and says how it ended.
func (e *envoy) takenBack(ctx context.Context, t *change.Transaction, why error) error {
	fmt.Fprintf(e.app.err, "castellan: %v\n%s takes %s back at %s; waiting for it\n", why, e.name, t.ID, t.Deadline.Local().Format("15:04:05 MST"))
	// The clock of the host may differ from ours, so the time that is left is counted from now.
	const grace = 3 * time.Second
	until := e.app.now().Add(t.Deadline.Sub(t.Applied) + grace)
	for range 8 {
		select {
		case <-ctx.Done():
			return exit(ExitTarget, fmt.Errorf("%w; interrupted: %s takes it back by itself", why, e.name))
		case <-time.After(until.Sub(e.app.now())):
		}
		until = e.app.now().Add(2 * grace)
		if e.reconnect(ctx, e.app.now()) == nil {
			out, code, err := e.run("history", t.ID, "--json", "--state", e.state)
			now, jerr := oneTransaction(out)
			if err == nil && jerr == nil && code == ExitOK && now != nil && !now.State.Open() {
				return exit(ExitTarget, fmt.Errorf("%w; %s %s", why, e.name, backWords(*now)))
			}
		}
	}
	return exit(ExitTarget, fmt.Errorf("%w; whether %s took it back could not be asked: look there with castellan history %s", why, e.name, t.ID))
}

// backWords says how a transaction ended that was not confirmed.
func backWords(t change.Transaction) string {
	if t.State == change.Reverted {
		return "took everything back"
	}
	return strings.TrimSpace(fmt.Sprintf("is left with the transaction %s in the state %s: %s", t.ID, t.State, strings.Join(t.Conflicts, ", ")))
}
