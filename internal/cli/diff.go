package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/posture"
)

func (a *app) diffCommand() *cobra.Command {
	r := &rules{}
	var t targetFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show what changed between two bundles: facts, and findings that fail now, are fixed, or became unknown",
		Long: `Diff judges two bundles (or any two targets) by the same controls and shows the difference: first the findings that newly
fail, are fixed or became unknown, then the facts that changed.

Exit codes: 0 nothing changed, 1 something changed, 2 wrong usage, 3 a bundle could not be read.`,
		Example: "  castellan diff monday.facts.zst friday.facts.zst",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.load(); err != nil {
				return err
			}
			return a.diff(cmd.Context(), r, &t, args, asJSON)
		},
	}
	addRuleFlags(cmd, r)
	addTargetFlags(cmd, &t)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) diff(ctx context.Context, r *rules, t *targetFlags, names []string, asJSON bool) error {
	var facts [2]*posture.Facts
	for i, n := range names {
		var err error
		if facts[i], err = a.facts(ctx, n, t); err != nil {
			return exit(ExitTarget, err)
		}
	}
	judge := posture.NewJudge(r.env, r.chosen, r.waivers, r.attestations)
	d, err := posture.Compare(facts[0], facts[1], judge.Evaluate(facts[0]), judge.Evaluate(facts[1]))
	if err != nil {
		return exit(ExitTarget, err)
	}
	if asJSON {
		if err := a.printJSON(d); err != nil {
			return exit(ExitTarget, err)
		}
	} else {
		a.printDrift(d)
	}
	if d.Empty() {
		return nil
	}
	return exit(ExitFindings, nil)
}

func (a *app) printDrift(d posture.Drift) {
	if d.Empty() {
		fmt.Fprintln(a.out, "nothing changed")
		return
	}
	for _, part := range []struct {
		title string
		list  []posture.FindingChange
	}{{"newly failing", d.Failing}, {"became unknown", d.Unknown}, {"fixed", d.Fixed}, {"changed otherwise", d.Other}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(a.out, "%s (%d)\n", part.title, len(part.list))
		for _, c := range part.list {
			fmt.Fprintf(a.out, "  %-8s %-8s %s -> %s\n", c.Control, c.Severity, c.Before, c.After)
			fmt.Fprintln(a.out, wrap(c.Reason, "           "))
		}
	}
	if len(d.Facts) > 0 {
		fmt.Fprintf(a.out, "facts (%d)\n", len(d.Facts))
	}
	for _, c := range d.Facts {
		fmt.Fprintf(a.out, "  %s\n    - %s\n    + %s\n", c.Path, short(c.Before), short(c.After))
	}
}

// short keeps a value of a fact within one line of 80 columns.
func short(s string) string {
	if s == "" {
		return "(absent)"
	}
	r := []rune(s)
	if len(r) > 74 {
		return string(r[:73]) + "…"
	}
	return s
}
