package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/rbac"
)

// granted is what GET /access/permissions answers: path, privilege, and 1 when it propagates, else 0.
type granted map[string]map[string]json.Number

// difference is one place where the node and castellan disagree.
type difference struct {
	ID    string   `json:"id"`
	Path  string   `json:"path"`
	Node  []string `json:"node"`
	Ours  []string `json:"castellan"`
	Error string   `json:"error,omitempty"`
}

// selfCheck asks the node for the permissions of every identity, at every path where they may differ, and compares. It needs Sys.Audit
// on /access.
func (a *app) selfCheck(p *principals, o *opened, e *estateFlags) error {
	if !o.desc.Live && o.desc.Kind != "pve" {
		return usage("--self-check needs a node that answers: this machine, ssh:// or pve://; %s is a copy", e.name())
	}
	diffs := []difference{}
	ids := slices.DeleteFunc(p.engine.Principals(), func(id string) bool {
		pr, _ := p.engine.Principal(id, o.desc.Now)
		return pr.State == rbac.Missing // PVE refuses to answer for users that do not exist
	})
	if b, ok := o.reader.(host.Batcher); ok { // all questions in one round
		var needs []host.Need
		for _, id := range ids {
			needs = append(needs, host.Need{Run: inventory.APICommand(permissionsOf(id))})
		}
		b.Prefetch(needs)
		if _, err := b.Flush(); err != nil {
			return exit(ExitTarget, err)
		}
	}
	asked, failed := len(ids), 0
	for _, id := range ids {
		var node granted
		if err := apiAnswer(o.reader, permissionsOf(id), &node); err != nil {
			failed++
			diffs = append(diffs, difference{ID: id, Error: err.Error(), Node: []string{}, Ours: []string{}})
			continue
		}
		diffs = append(diffs, compareGranted(p.engine, id, node)...)
	}
	if e.json {
		if err := a.printJSON(struct {
			Asked       int          `json:"identities"`
			Differences []difference `json:"differences"`
		}{asked, diffs}); err != nil {
			return err
		}
	} else {
		for _, d := range diffs {
			if d.Error != "" {
				fmt.Fprintf(a.out, "%s: not compared: %s\n", safe(d.ID), safe(d.Error))
				continue
			}
			fmt.Fprintf(a.out, "%s at %s:\n  only the node says:   %s\n  only castellan says:  %s\n", safe(d.ID), safe(d.Path), strings.Join(d.Node, " "), strings.Join(d.Ours, " "))
		}
		fmt.Fprintf(a.out, "%d identities compared with the node, %d differences\n", asked-failed, len(diffs)-failed)
	}
	switch {
	case failed == asked && asked > 0:
		return exit(ExitTarget, fmt.Errorf("the node answers none of the questions"))
	case failed > 0:
		return exit(ExitPartial, nil)
	case len(diffs) > 0:
		return exit(ExitFindings, nil)
	}
	return nil
}

// permissionsOf is the question for all permissions of an identity.
func permissionsOf(id string) string { return "/access/permissions?userid=" + url.QueryEscape(id) }

// compareGranted compares at all paths that either side names. A flag that differs is shown as PRIV(propagates).
func compareGranted(e *rbac.Engine, id string, node granted) []difference {
	paths := map[string]bool{}
	for path := range node {
		paths[path] = true
	}
	for path := range e.Config().ACL {
		paths[path] = true
	}
	var diffs []difference
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		perms := e.Permissions(id, path)
		ours, theirs := map[string]bool{}, map[string]bool{}
		down := map[string]bool{}
		for _, n := range perms.Propagate.Names() {
			down[n] = true
		}
		for _, n := range perms.Set.Names() {
			ours[flagged(n, down[n])] = true
		}
		for n, flag := range node[path] {
			theirs[flagged(n, flag.String() != "0" && flag.String() != "")] = true
		}
		only := func(a, b map[string]bool) []string {
			list := []string{}
			for n := range a {
				if !b[n] {
					list = append(list, n)
				}
			}
			slices.Sort(list)
			return list
		}
		d := difference{ID: id, Path: path, Node: only(theirs, ours), Ours: only(ours, theirs)}
		if len(d.Node)+len(d.Ours) > 0 {
			diffs = append(diffs, d)
		}
	}
	return diffs
}

func flagged(priv string, propagates bool) string {
	if propagates {
		return priv + "(passed-down)"
	}
	return priv
}
