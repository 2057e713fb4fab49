package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// tokenReport is one API token.
type tokenReport struct {
	ID        string     `json:"id"`
	Owner     string     `json:"owner"`
	State     rbac.State `json:"state"`
	Separated bool       `json:"privilege_separated"`
	// Expire is the day of expiry, empty for never.
	Expire  string `json:"expire,omitempty"`
	Comment string `json:"comment,omitempty"`
	Line    int    `json:"line"`
	// Reach is what the token can do: the most serious abilities first.
	Reach     []rbac.Ability `json:"reach"`
	Escalates bool           `json:"escalates"`
	Problems  []string       `json:"problems"`
}

func (a *app) pveTokensCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "tokens",
		Short: "API tokens: owner, privilege separation, expiry, what they really reach, and what is wrong with them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPrincipals(cmd.Context(), e, func(p *principals, o *opened) error {
				list := tokenReports(p.engine, o.desc.Now)
				if e.json {
					return a.printJSON(list)
				}
				a.printTokens(list)
				a.tellProblems(p)
				return nil
			})
		},
	}
}

func tokenReports(e *rbac.Engine, now time.Time) []tokenReport {
	list := []tokenReport{}
	for _, id := range e.Principals() {
		t, _, ok := e.Config().Token(id)
		if !ok {
			continue
		}
		access, _ := e.Access(id, now)
		r := tokenReport{ID: id, Owner: t.User, State: access.State, Separated: t.Separated, Comment: t.Comment, Line: t.Line, Reach: access.Abilities}
		if t.Expire != 0 && t.Expire != math.MaxInt64 {
			r.Expire = time.Unix(t.Expire, 0).UTC().Format(time.DateOnly)
		}
		r.Escalates = slices.ContainsFunc(access.Abilities, func(x rbac.Ability) bool { return x.Escalates })
		r.Problems = tokenProblems(e, t, access)
		list = append(list, r)
	}
	return list
}

// tokenProblems says what is wrong with a token, in words.
func tokenProblems(e *rbac.Engine, t *usercfg.Token, access rbac.Access) []string {
	problems := []string{}
	add := func(when bool, text string) {
		if when {
			problems = append(problems, text)
		}
	}
	root := t.User == usercfg.RootUser
	add(root && !t.Separated, "token of root@pam with all of its permissions")
	add(root && t.Separated, "token of root@pam: PVE does not cut it to what its user may")
	add(!root && !t.Separated, "no privilege separation: it may all that "+t.User+" may")
	add(t.Expire == 0, "never expires")
	add(access.State == rbac.Expired, "expired and still there")
	add(access.State == rbac.OwnerUnusable, t.User+" is disabled, expired or missing, so that it cannot be used")
	own := len(e.Entries(t.ID)) > 0
	add(t.Separated && !own, "has no permissions of its own, so that it may nothing")
	add(t.Separated && own && len(access.Paths) == 0, t.User+" lacks the permissions that it was given, so that it may nothing")
	add(!t.Separated && own, "its own entries mean nothing without privilege separation")
	return problems
}

func (a *app) printTokens(list []tokenReport) {
	if len(list) == 0 {
		fmt.Fprintln(a.out, "there are no API tokens")
		return
	}
	for i, r := range list {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		end := "never expires"
		if r.Expire != "" {
			end = "expires " + r.Expire
		}
		sep := "no privilege separation"
		if r.Separated {
			sep = "privilege separation"
		}
		fmt.Fprintln(a.out, safe(r.ID+" ("+string(r.State)+", "+sep+", "+end+")"))
		t := &table{}
		if r.Comment != "" {
			t.add("  comment", r.Comment)
		}
		var reach []string
		for _, x := range r.Reach {
			const most = 3
			if len(reach) == most {
				reach = append(reach, fmt.Sprintf("and %d more: castellan pve access '%s'", len(r.Reach)-most, r.ID))
				break
			}
			reach = append(reach, x.Text+" ("+rbac.Where(x.Paths)+")")
		}
		if len(reach) == 0 {
			reach = []string{"nothing"}
		}
		t.add("  can", strings.Join(reach, "; "))
		for _, x := range r.Problems {
			t.add("  problem", x)
		}
		t.print(a.out, a.columns())
	}
	fmt.Fprintf(a.out, "\nWhen a token was last used PVE does not record. Next: castellan pve access ID\n")
}
