package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory/rbac"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// permissionFlags are the ways to ask.
type permissionFlags struct {
	id, path, queries string
	selfCheck         bool
}

func (a *app) pvePermissionsCommand(e *estateFlags) *cobra.Command {
	f := &permissionFlags{}
	cmd := &cobra.Command{
		Use:   "permissions",
		Short: "The roles and privileges of an identity at a path, exactly as PVE computes them",
		Long: `Computes roles and privileges from user.cfg with the rules of pve-access-control: groups, propagation, pools, NoAccess, tokens with
and without privilege separation. Only user.cfg is read.

  castellan pve permissions                                      all entries of the access control list
  castellan pve permissions --id alice@pve --path /vms/100       one answer, as a line of JSON
  castellan pve permissions --queries questions.jsonl            many: one line {"id": ..., "path": ...} each, "-" is standard input
  castellan pve permissions --self-check                         compare with what the node itself answers

Roles are those of the access control list; privileges count pools and, for tokens with privilege separation, the cut with the user.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.selfCheck && (f.id != "" || f.path != "" || f.queries != ""):
				return usage("--self-check asks about everybody; leave out --id, --path and --queries")
			case f.queries != "" && (f.id != "" || f.path != ""):
				return usage("--queries holds the questions; leave out --id and --path")
			case (f.id == "") != (f.path == ""):
				return usage("one question needs both --id and --path; `castellan pve access ID` tells all that an identity may do")
			}
			return a.withPrincipals(cmd.Context(), e, func(p *principals, o *opened) error {
				switch {
				case f.selfCheck:
					return a.selfCheck(p, o, e)
				case f.id != "":
					return a.answer(p.engine, []question{{f.id, f.path}})
				case f.queries != "":
					qs, err := a.questions(f.queries)
					if err != nil {
						return err
					}
					return a.answer(p.engine, qs)
				}
				return a.entries(p, o, e)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.id, "id", "", "`identity`: user@realm or user@realm!token")
	fl.StringVar(&f.path, "path", "", "`path` of the object: /vms/100, /nodes/pve1, /storage/local")
	fl.StringVar(&f.queries, "queries", "", "`file` of questions, one JSON object with id and path a line")
	fl.BoolVar(&f.selfCheck, "self-check", false, "compare our answers with those of the node (needs a node, ssh:// or pve://)")
	return cmd
}

// question is one line of a file of queries; other keys are ignored.
type question struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

// maxQuestion is the longest line of a file of queries, in bytes.
const maxQuestion = 1 << 20

func (a *app) questions(name string) ([]question, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("cannot read the queries: %w", err)
		}
		defer f.Close()
		in = f
	}
	return parseQuestions(name, in)
}

func parseQuestions(name string, in io.Reader) ([]question, error) {
	var qs []question
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxQuestion)
	n := 0
	for sc.Scan() {
		n++
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		var q struct{ ID, Path *string }
		if err := json.Unmarshal(sc.Bytes(), &q); err != nil || q.ID == nil || q.Path == nil {
			return nil, usage(`%s:%d: a query is a JSON object with texts id and path: {"id": "alice@pve", "path": "/vms/100"}`, name, n)
		}
		qs = append(qs, question{*q.ID, *q.Path})
	}
	if err := sc.Err(); err != nil {
		return nil, usage("%s:%d: cannot read the queries: %w", name, n+1, err)
	}
	return qs, nil
}

func (a *app) answer(e *rbac.Engine, qs []question) error {
	w := bufio.NewWriter(a.out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, q := range qs {
		err := enc.Encode(struct {
			ID    string   `json:"id"`
			Path  string   `json:"path"`
			Roles []string `json:"roles"`
			Privs []string `json:"privs"`
		}{q.ID, q.Path, e.Roles(q.ID, q.Path), e.Permissions(q.ID, q.Path).Set.Names()})
		if err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot write the answers: %w", err))
		}
	}
	if err := w.Flush(); err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the answers: %w", err))
	}
	return nil
}

// entry is one entry of the access control list.
type entry struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	State     rbac.State `json:"state,omitempty"`
	Path      string     `json:"path"`
	Role      string     `json:"role"`
	Propagate bool       `json:"propagate"`
	Line      int        `json:"line"`
}

// entries lists the access control list member by member, and who is in the groups.
func (a *app) entries(p *principals, o *opened, e *estateFlags) error {
	cfg := p.engine.Config()
	list, groups := []entry{}, map[string][]string{}
	for id := range cfg.Groups {
		groups[id] = members(cfg, id)
	}
	for _, path := range cfg.Paths() {
		n := cfg.ACL[path]
		for _, of := range []struct {
			kind    string
			members map[string]usercfg.Grants
		}{{"group", n.Groups}, {"user", n.Users}, {"token", n.Tokens}} {
			for m, grants := range of.members {
				for role, g := range grants {
					x := entry{ID: m, Kind: of.kind, Path: path, Role: role, Propagate: g.Propagate, Line: g.Line}
					if of.kind == "group" {
						x.State = rbac.Enabled
						if cfg.Groups[m] == nil {
							x.State = rbac.Missing
						}
					} else {
						pr, _ := p.engine.Principal(m, o.desc.Now)
						x.State = pr.State
					}
					list = append(list, x)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID), strings.Compare(a.Role, b.Role))
	})
	if e.json {
		return a.printJSON(struct {
			Entries []entry             `json:"entries"`
			Groups  map[string][]string `json:"groups"`
		}{list, groups})
	}
	t := &table{}
	t.add("PATH", "WHO", "ROLE", "")
	for _, x := range list {
		who, notes := x.ID, []string{}
		if x.Kind == "group" {
			who = "@" + x.ID
			notes = append(notes, people(groups[x.ID]))
		}
		if x.State != rbac.Enabled {
			notes = append(notes, string(x.State))
		}
		if !x.Propagate {
			notes = append(notes, "not passed down")
		}
		t.add(x.Path, who, x.Role, strings.Join(notes, "; "))
	}
	t.print(a.out, a.columns())
	a.tellProblems(p)
	fmt.Fprintf(a.out, "\nroot@pam may do everything besides. Next: castellan pve access ID, castellan pve who-can PRIV PATH\n")
	return nil
}

func members(cfg *usercfg.Config, group string) []string {
	list := []string{}
	if g := cfg.Groups[group]; g != nil {
		for m := range g.Members {
			list = append(list, m)
		}
	}
	slices.Sort(list)
	return list
}

func people(list []string) string {
	const most = 4
	switch {
	case len(list) == 0:
		return "nobody"
	case len(list) <= most:
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}
