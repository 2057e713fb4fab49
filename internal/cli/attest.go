package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/posture"
)

func attestationsFile(stateDir string) string { return filepath.Join(stateDir, "attestations.yaml") }

func (a *app) attestCommand() *cobra.Command {
	var by, note, until, target, state string
	cmd := &cobra.Command{
		Use:   "attest CONTROL --by NAME --note TEXT --until DATE",
		Short: "Record that a person checked what a machine cannot",
		Long: `Attest records a person's word on a control that cannot be read from a machine: a locked rack, a firmware password,
an envelope in a safe. Until the date the control passes with the attestation as evidence; afterwards it is open again.
An attestation never hides what a machine sees: a control that fails stays failing.`,
		Example: `  castellan attest BOOT-14 --by "R. Ito" --note "rack 7 locked, log checked" --until 2027-05-01`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			x := posture.Attestation{Control: args[0], Target: target, By: by, Note: note, Made: posture.DayOf(a.now())}
			if by == "" || note == "" || until == "" {
				return usage("attest needs --by, --note and --until; an attestation without them proves nothing")
			}
			var err error
			if x.Until, err = posture.ParseDate(until); err != nil {
				return usage("--until: %w", err)
			}
			return a.attest(x, state)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&by, "by", "", "`name` of the person who looked")
	fl.StringVar(&note, "note", "", "what was seen, in words")
	fl.StringVar(&until, "until", "", "last `day` on which it holds, 2027-05-01")
	fl.StringVar(&target, "target", "", "`pattern` of target or host names it holds for (default: this host's name)")
	fl.StringVar(&state, "state", defaultState, "`directory` of castellan's own state")
	return cmd
}

func (a *app) attest(x posture.Attestation, state string) error {
	all, err := builtinControls()
	if err != nil {
		return exit(ExitUsage, err)
	}
	c, ok := find(all, x.Control)
	switch {
	case !ok:
		return usage("there is no control %s; castellan controls list shows them", x.Control)
	case c.Attest == nil:
		return usage("%s is read from the machine and takes no attestation; to accept it as it is, write a waiver", x.Control)
	case !x.Until.Holds(a.now()):
		return usage("--until %s is in the past", x.Until)
	}
	if limit := x.Made.AddDays(c.Attest.Days); x.Until.After(limit) {
		return usage("--until %s is too far: an attestation of %s holds %d days, to %s at most", x.Until, x.Control, c.Attest.Days, limit)
	}
	if x.Target == "" {
		if x.Target, err = os.Hostname(); err != nil {
			return usage("the name of this host is not known; give --target: %w", err)
		}
	}
	file := attestationsFile(state)
	if err := addAttestation(file, x); err != nil {
		return exit(ExitTarget, err)
	}
	fmt.Fprintf(a.out, "%s attested for %s by %s until %s (%s)\n", x.Control, x.Target, x.By, x.Until, file)
	return nil
}

// addAttestation replaces an attestation of the same control and target by the same person.
func addAttestation(file string, x posture.Attestation) error {
	var list []posture.Attestation
	src, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("cannot read the attestations: %w", err)
	default:
		if list, err = posture.ParseAttestations(file, src); err != nil {
			return err
		}
	}
	kept := list[:0]
	for _, old := range list {
		if old.Control != x.Control || old.Target != x.Target || old.By != x.By {
			kept = append(kept, old)
		}
	}
	b, err := posture.FormatAttestations(append(kept, x))
	if err != nil {
		return fmt.Errorf("cannot write the attestation: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot make the state directory: %w", err)
	}
	if err := renameio.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("cannot write the attestation: %w", err)
	}
	return nil
}

func find(cs []posture.Control, id string) (posture.Control, bool) {
	for _, c := range cs {
		if c.ID == id {
			return c, true
		}
	}
	return posture.Control{}, false
}
