package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory/rbac"
)

func (a *app) pveAccessCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "access ID",
		Short: "What an identity may do, in plain words, and where from",
		Long: `Tells in plain words what a user or token may do on the cluster, where, through which entries, and which of it leads further than it
looks (marked with an exclamation mark).

  castellan pve access alice@pve
  castellan pve access 'automation@pve!terraform'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("access takes one identity: castellan pve access alice@pve")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPrincipals(cmd.Context(), e, func(p *principals, o *opened) error {
				access, known := p.engine.Access(args[0], o.desc.Now)
				if !known {
					return usage("nothing in user.cfg names %q; did you mean %s?", args[0], nearest(args[0], p.engine.Principals()))
				}
				if e.json {
					return a.printJSON(access)
				}
				a.printAccess(access)
				a.tellProblems(p)
				return nil
			})
		},
	}
}

func (a *app) printAccess(x rbac.Access) {
	head := x.Kind + " " + x.ID + ", " + string(x.State)
	if x.Kind == "token" {
		head += ", of " + x.Owner
		if !x.Separated {
			head += ", no privilege separation"
		}
	}
	if len(x.Groups) > 0 {
		head += ", in " + strings.Join(x.Groups, ", ")
	}
	fmt.Fprintln(a.out, safe(head))
	if len(x.Abilities) == 0 && len(x.Paths) == 0 {
		fmt.Fprintln(a.out, "\nIt may do nothing.")
		return
	}
	fmt.Fprintln(a.out, "\nIt can")
	t := &table{}
	for _, y := range x.Abilities {
		mark, text := " ", y.Text+": "+rbac.Where(y.Paths)
		if y.Escalates {
			mark = "!"
			text += " (" + y.Note + ")"
		}
		t.add(mark, text)
	}
	t.print(a.out, a.columns())
	fmt.Fprintln(a.out, "\nbecause of")
	a.printReasons(x.Paths)
	if x.State != rbac.Enabled {
		fmt.Fprintf(a.out, "\nIt cannot be used at present (%s); the permissions count again as soon as it can.\n", x.State)
	}
	fmt.Fprintf(a.out, "\n! leads further than it looks. Next: castellan pve who-can PRIV PATH tells who else can\n")
}

// printReasons prints the paths with what gives the permissions there, those with the same reason together.
func (a *app) printReasons(paths []rbac.PathAccess) {
	var order []string
	of := map[string][]string{}
	for _, y := range paths {
		from := strings.Join(y.From, "; ")
		if len(y.Privs) == 0 {
			from = strings.TrimSuffix("nothing is allowed: "+from, ": ")
		}
		if of[from] == nil {
			order = append(order, from)
		}
		of[from] = append(of[from], y.Path)
	}
	for _, from := range order {
		fmt.Fprintln(a.out, "  "+rbac.Where(of[from]))
		for _, l := range fold(safe(from), a.columns()-4) {
			fmt.Fprintln(a.out, "    "+l)
		}
	}
}
