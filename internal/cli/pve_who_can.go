package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

func (a *app) pveWhoCanCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "who-can PRIV PATH",
		Short: "Who holds a privilege at a path, and through which group, pool, token or role",
		Long: `Names every user and token that holds a privilege at a path, and what gives it. Disabled and expired identities are listed too, marked:
PVE computes permissions for them and only refuses the login.

  castellan pve who-can Permissions.Modify /
  castellan pve who-can VM.Console /vms/100`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("who-can takes a privilege and a path: castellan pve who-can VM.Console /vms/100")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, ok := usercfg.NormalizePath(args[1])
			if !ok {
				return usage("%q is no path; paths look like /, /vms/100, /storage/local, /nodes/pve1, /access/groups/admins", args[1])
			}
			return a.withPrincipals(cmd.Context(), e, func(p *principals, o *opened) error {
				set, priv, err := privilege(args[0], p.engine.Config().Release)
				if err != nil {
					return err
				}
				holders := p.engine.WhoCan(set, path, o.desc.Now)
				if holders == nil {
					holders = []rbac.Holder{}
				}
				if e.json {
					return a.printJSON(struct {
						Privilege string        `json:"privilege"`
						Path      string        `json:"path"`
						Holders   []rbac.Holder `json:"holders"`
					}{priv, path, holders})
				}
				a.printHolders(priv, path, holders)
				a.tellProblems(p)
				return nil
			})
		},
	}
}

func (a *app) printHolders(priv, path string, holders []rbac.Holder) {
	usable := 0
	t := &table{}
	for _, h := range holders {
		state := ""
		if h.State == rbac.Enabled {
			usable++
		} else {
			state = string(h.State) + ": "
		}
		t.add("  "+h.ID, state+strings.Join(h.Chain, "; "))
	}
	fmt.Fprintf(a.out, "%s at %s: %d identities, %d of them usable now\n", priv, path, len(holders), usable)
	t.print(a.out, a.columns())
	fmt.Fprintf(a.out, "\nNext: castellan pve access ID tells what else an identity may do\n")
}
