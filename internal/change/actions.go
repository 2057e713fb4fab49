package change

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// How long the programs of actions may take.
const (
	unitTimeout    = 2 * time.Minute // systemd itself gives up after 90 s (systemd-system.conf(5), DefaultTimeoutStartSec)
	packageTimeout = 20 * time.Minute
	remountTimeout = time.Minute
	plainTimeout   = 30 * time.Second
)

// timeout bounds an action.
func (a Action) timeout() time.Duration {
	d := time.Duration(0)
	switch a.Verb {
	case Check:
		d = checks()[a.Object].timeout
	case Refresh:
		d = refreshes()[a.Object].timeout
	case Install, Purge:
		return packageTimeout
	case Remount:
		return remountTimeout
	case DaemonReload, Reload, Restart, Start, Stop:
		return unitTimeout
	}
	if d == 0 {
		d = plainTimeout
	}
	return d
}

// act performs the action of a step.
func (w *work) act(i int) error {
	a := *w.undo.Steps[i].Action
	if err := a.Valid(); err != nil {
		return err
	}
	if a.Verb == Install || a.Verb == Purge {
		return w.packages(i, a)
	}
	return w.settle(a.command(), a.Object)
}

// command is what performs an action other than of packages.
func (a Action) command() host.Command {
	c := host.Command{Name: "change-" + string(a.Verb), Timeout: a.timeout()}
	switch a.Verb {
	case Check:
		c.Name, c.Argv = "check-"+dashes(a.Object), checks()[a.Object].argv
	case Refresh:
		c.Name, c.Argv = "refresh-"+dashes(a.Object), refreshes()[a.Object].argv
	case Remount:
		c.Argv = []string{"mount", "-o", "remount," + a.Argument, "--", a.Object}
	case DaemonReload:
		c.Argv = []string{"systemctl", "daemon-reload"}
	default:
		c.Argv = []string{"systemctl", string(a.Verb), "--", a.Object}
	}
	return c
}

// dashes turns words into the name of a command.
func dashes(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s)), "-")
}

// run runs a command that has to end with 0.
func (w *work) run(c host.Command) error {
	out, err := w.o.Machine.Run(c)
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return fmt.Errorf("%s ended with %d: %s", strings.Join(c.Argv, " "), out.Code, said(out))
	}
	return nil
}

// maxSaid is how much of what a program says is kept, in bytes.
const maxSaid = 400

// said is what a program said of its failure, without control characters.
func said(out host.Output) string {
	b := out.Stderr
	if len(strings.TrimSpace(string(b))) == 0 {
		b = out.Stdout
	}
	if len(b) > maxSaid {
		b = b[:maxSaid]
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), ""))
	if s = strings.TrimSpace(s); s == "" {
		return "it says nothing"
	}
	return s
}

// inverse is what takes an action back once the files are as before; ok is false when nothing does or need. At the start of
// the host nothing is waited for: the units that are started later read the old files anyway, and waiting for one would be
// waiting for ourselves.
func (a Action) inverse(boot bool) (c host.Command, ok bool) {
	var verb string
	switch a.Verb {
	case DaemonReload, Refresh:
		return a.command(), true
	case Remount:
		if a.Was == "" {
			return c, false
		}
		a.Argument = a.Was
		return a.command(), true
	case Reload:
		verb = "try-reload-or-restart"
	case Restart:
		verb = "try-restart"
	case Start:
		verb = "stop"
	case Stop:
		verb = "start"
	default:
		return c, false
	}
	if a.Verb == Start && a.Was == "active" || a.Verb == Stop && a.Was == "inactive" {
		return c, false
	}
	c = host.Command{Name: "undo-" + string(a.Verb), Argv: []string{"systemctl"}, Timeout: unitTimeout}
	if boot {
		c.Argv = append(c.Argv, "--no-block")
	}
	c.Argv = append(c.Argv, verb, "--", a.Object)
	return c, true
}

// undoActions takes back the actions that were begun: units read again first, then what is generated from files, then the
// units, newest first, and packages last. Everything is tried; the error tells what did not succeed.
func (w *work) undoActions(boot bool) error {
	var first, units []Action
	var packages []int
	for i, s := range w.undo.Steps[:w.state.Step] {
		if s.Action == nil {
			continue
		}
		switch a := *s.Action; a.Verb {
		case DaemonReload:
			first = append([]Action{a}, first...)
		case Refresh, Remount:
			first = append(first, a)
		case Install, Purge:
			packages = append([]int{i}, packages...)
		default:
			units = append([]Action{a}, units...)
		}
	}
	var failed []error
	for _, a := range append(first, units...) {
		c, ok := a.inverse(boot)
		if !ok {
			continue
		}
		if err := w.settle(c, a.Object); err != nil {
			failed = append(failed, fmt.Errorf("cannot undo %q: %w", a.Words(), err))
		}
	}
	for _, i := range packages {
		if err := w.undoPackages(i); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
