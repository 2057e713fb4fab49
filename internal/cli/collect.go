package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/posture/bundle"
)

func (a *app) collectCommand() *cobra.Command {
	var t targetFlags
	var output string
	var redact bool
	cmd := &cobra.Command{
		Use:   "collect [TARGET] -o FILE.facts.zst",
		Short: "Save the facts of a host in a bundle, to be judged or compared later",
		Long: `Collect reads one target and saves what it observed. The bundle can be scanned like a host, kept, and compared with
castellan diff. Secrets never enter it: no key, hash, password or token. With --redact, names and addresses of hosts
and people are replaced too, the same name by the same replacement.`,
		Example: `  castellan collect -o pve1.facts.zst
  castellan collect ssh://root@pve1 --redact -o pve1.facts.zst`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usage("collect needs -o FILE.facts.zst")
			}
			name := "local"
			if len(args) == 1 {
				name = args[0]
			}
			return a.collect(cmd.Context(), name, &t, output, redact)
		},
	}
	addTargetFlags(cmd, &t)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the bundle to write, FILE.facts.zst")
	cmd.Flags().BoolVar(&redact, "redact", false, "replace names and addresses of hosts and people")
	return cmd
}

func (a *app) collect(ctx context.Context, name string, t *targetFlags, output string, redact bool) error {
	facts, err := a.facts(ctx, name, t)
	if err != nil {
		return exit(ExitTarget, err)
	}
	if redact {
		facts = bundle.Redact(facts)
	}
	var b bytes.Buffer
	if err := bundle.Write(&b, facts); err != nil {
		return exit(ExitTarget, err)
	}
	if err := a.writeFile(output, b.Bytes()); err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the bundle: %w", err))
	}
	if !strings.HasSuffix(output, ".facts.zst") {
		fmt.Fprintln(a.err, "note: bundles are usually named *.facts.zst")
	}
	fmt.Fprintf(a.err, "next: castellan scan %s\n", output)
	if err := partialError(facts.Target.Unread); err != nil {
		return exit(ExitPartial, err)
	}
	return nil
}
