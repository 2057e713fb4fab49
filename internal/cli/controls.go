package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/posture"
)

func (a *app) controlsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "controls", Short: "List, explain and test the controls of the catalogue"}
	cmd.AddCommand(a.controlsList(), a.controlsShow(), a.controlsTest(), a.controlsFacts())
	return cmd
}

func (a *app) controlsList() *cobra.Command {
	r := &rules{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the controls of a profile",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := r.load(); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(r.chosen)
			}
			group := ""
			for _, c := range r.chosen {
				if c.Group != group {
					group = c.Group
					fmt.Fprintf(a.out, "%s\n", posture.GroupTitle(group))
				}
				fmt.Fprintf(a.out, "  %-8s %-8s %d  %s\n", c.ID, c.Severity, c.Level, c.Title)
			}
			fmt.Fprintf(a.out, "%d controls in profile %s; castellan controls show ID explains one\n", len(r.chosen), r.profile)
			return nil
		},
	}
	addRuleFlags(cmd, r)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) controlsShow() *cobra.Command {
	r := &rules{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Explain one control: why, what is checked, how it is fixed, who asks for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := r.load(); err != nil {
				return err
			}
			c, ok := find(r.all, strings.ToUpper(args[0]))
			if adjusted, in := find(r.chosen, strings.ToUpper(args[0])); in {
				c = adjusted
			}
			if !ok {
				return usage("there is no control %s; castellan controls list shows them", args[0])
			}
			if asJSON {
				return a.printJSON(c)
			}
			a.explain(c)
			return nil
		},
	}
	addRuleFlags(cmd, r)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// explain prints a control for people, in 80 columns.
func (a *app) explain(c posture.Control) {
	section := func(name, text string) {
		if text != "" {
			fmt.Fprintf(a.out, "\n%s\n%s\n", name, wrap(text, "  "))
		}
	}
	fmt.Fprintf(a.out, "%s  %s\nseverity %s, level %d, applying may cut: %s\n", c.ID, c.Title, c.Severity, c.Level, c.Lockout)
	section("Why", c.Rationale)
	section("Applies when", c.Applies)
	section("Check", c.Check)
	if c.Cluster != nil {
		section("In a cluster", strings.TrimSpace(c.Cluster.Rationale+" "+c.Cluster.Check))
	}
	var fixes []string
	for _, r := range c.Remediation {
		fixes = append(fixes, r.Words())
	}
	section("Fix", strings.Join(fixes, "; "))
	section("By hand", c.Manual)
	if len(c.Params) > 0 {
		b, _ := json.Marshal(c.Params)
		section("Parameters", string(b))
	}
	for _, o := range c.Obsolete {
		section("Obsolete advice", o.Form+" → "+o.Current)
	}
	docs := posture.Documents()
	var refs []string
	for _, ref := range c.Refs {
		name := docs[ref.Doc]
		if name == "" {
			name = ref.Doc
		}
		note := ""
		if ref.Verified != nil && !*ref.Verified {
			note = " (clause not verified)"
		}
		refs = append(refs, strings.TrimSpace(name+" "+ref.Clause)+note)
	}
	section("Asked for by", strings.Join(refs, "; "))
}

func (a *app) controlsFacts() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "facts",
		Short: "List the facts that controls can use, with their types",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			env, err := posture.NewEnv()
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(env.Fields())
			}
			for _, f := range env.Fields() {
				fmt.Fprintf(a.out, "%-58s %s\n", f.Path, f.Type)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) controlsTest() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "test DIR",
		Short: "Run the fixtures of the controls in a directory",
		Long: `Test reads the controls below DIR and judges each on its fixtures, DIR/testdata/ID/pass and DIR/testdata/ID/fail (and any
other directory whose name begins with pass, fail, unknown, manual or not-applicable).`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.testControls(args[0], only) },
	}
	cmd.Flags().StringSliceVar(&only, "control", nil, "test only these `ids`")
	return cmd
}

func (a *app) testControls(dir string, only []string) error {
	env, err := posture.NewEnv()
	if err != nil {
		return err
	}
	cs, err := controlsOf(dir, env)
	if err != nil {
		return exit(ExitUsage, err)
	}
	if len(only) > 0 {
		var chosen []posture.Control
		for _, id := range only {
			c, ok := find(cs, id)
			if !ok {
				return usage("there is no control %s in %s", id, dir)
			}
			chosen = append(chosen, c)
		}
		cs = chosen
	}
	bad, ran := 0, 0
	for _, c := range cs {
		results, err := runFixtures(env, c, dir, a.now())
		if err != nil {
			return exit(ExitTarget, err)
		}
		for _, r := range results {
			ran++
			if r.problem != "" {
				bad++
				fmt.Fprintf(a.out, "FAIL %s %s: %s\n", c.ID, r.name, r.problem)
			}
		}
	}
	fmt.Fprintf(a.out, "%d controls, %d fixtures, %d wrong\n", len(cs), ran, bad)
	if bad > 0 {
		return exit(ExitFindings, nil)
	}
	return nil
}

func (a *app) printJSON(x any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}

// wrap folds text into lines of at most planWidth columns, each with the indentation.
func wrap(text, indent string) string {
	var b strings.Builder
	line := indent
	for _, w := range strings.Fields(text) {
		if len(line) > len(indent) && len(line)+1+len(w) > planWidth {
			b.WriteString(line + "\n")
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += w
	}
	b.WriteString(line)
	return b.String()
}
