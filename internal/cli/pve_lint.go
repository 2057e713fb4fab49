package cli

import (
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/lint"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
)

// lintFlags are those of the command lint.
type lintFlags struct {
	migrate bool
	codes   bool
	failOn  string
}

// lintJSON is the answer as JSON; docs/060-firewall.md describes it.
type lintJSON struct {
	lint.Report
	Migration []migrationJSON `json:"migration,omitempty"`
}

type migrationJSON struct {
	Node string   `json:"node"`
	From string   `json:"from"`
	To   string   `json:"to"`
	Ends int      `json:"ends"`
	Cut  []string `json:"cut,omitempty"`
	// Refused are the lines for which proxmox-firewall loads nothing; Unknown the guests whose rules could not be read.
	Refused []string   `json:"refused,omitempty"`
	Unknown []string   `json:"unknown,omitempty"`
	Err     string     `json:"error,omitempty"`
	Flip    []flipJSON `json:"flips"`
}

func (a *app) pveLintCommand(e *estateFlags) *cobra.Command {
	f := &lintFlags{}
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Firewall rules that do not do what they seem to, and what would change with nftables",
		Long: `Looks at cluster.fw, the host.fw of all nodes and the files of all guests: lines that a firewall skips or refuses, names that do not
exist, rules that never decide, switches that are off, rules that would lock you out. For each finding it says what pve-firewall (iptables) and
proxmox-firewall (nftables) make of the line:

  fail-open     more gets through than the line says       none        the line does what it says
  fail-closed   less gets through than the line says       no-effect   the line has no effect on packets
  node-abort    the rules of the node are not updated any more, and none are loaded at boot

  castellan pve lint
  castellan pve lint --migrate      also: which packets would be treated differently by the other firewall, node by node
  castellan pve lint --codes        what the codes mean

Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage, 3 the files could not be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit := lint.Severity(strings.ToLower(f.failOn))
			if limit.Rank() < 0 && f.failOn != "none" {
				return usage("--fail-on %s: severities are critical, high, medium, low, info, none", f.failOn)
			}
			if f.codes {
				return a.printCodes(e.json)
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				opts := filter.Options{Now: o.desc.Now}
				answer := lintJSON{Report: lint.Check(c, lint.Options{Now: o.desc.Now})}
				if f.migrate {
					answer.Migration = migrations(c, opts)
				}
				if err := a.printLint(e.json, &answer); err != nil {
					return err
				}
				return lintExit(&answer, limit, f.failOn == "none")
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.migrate, "migrate", false, "say what would change for whom with the other firewall")
	fl.BoolVar(&f.codes, "codes", false, "list the codes of findings and end")
	fl.StringVar(&f.failOn, "fail-on", "high", "lowest `severity` that exits with 1: critical, high, medium, low, info, none")
	return cmd
}

func lintExit(answer *lintJSON, limit lint.Severity, never bool) error {
	if len(answer.Unread) > 0 && len(answer.Findings) == 0 {
		return exit(ExitTarget, fmt.Errorf("cannot read %s", strings.Join(answer.Unread, "; ")))
	}
	for _, x := range answer.Findings {
		if !never && x.Severity.Rank() <= limit.Rank() {
			return exit(ExitFindings, nil)
		}
	}
	return nil
}

func (a *app) printCodes(asJSON bool) error {
	if asJSON {
		return a.printJSON(lint.Codes())
	}
	for _, c := range lint.Codes() {
		fmt.Fprintf(a.out, "%s\n", c.Name)
		a.indented(4, c.Text)
	}
	return nil
}

// migrations compares, for each node, the firewall that it uses with the other one.
func migrations(c *inventory.Cluster, o filter.Options) []migrationJSON {
	names := map[int]*reach.Names{}
	named := func(vmid int) *reach.Names {
		if names[vmid] == nil {
			names[vmid] = reach.NewNames(reach.Named(c, vmid))
		}
		return names[vmid]
	}
	out := []migrationJSON{}
	for _, n := range c.Nodes {
		from := filter.DefaultBackend(c, n.Name)
		to := filter.NFTables
		if from == filter.NFTables {
			to = filter.IPTables
		}
		m := migrationJSON{Node: n.Name, From: string(from), To: string(to), Flip: []flipJSON{}}
		before, err := filter.New(c, n.Name, from, o)
		if err == nil {
			var after *filter.Network
			if after, err = filter.New(c, n.Name, to, o); err == nil {
				d := reach.Compare(c, before, after, named)
				m.Ends, m.Cut, m.Unknown = d.Compared, d.Cut, d.Unknown
				for _, r := range append(before.Refused, after.Refused...) {
					m.Refused = append(m.Refused, fmt.Sprintf("%s:%d (%s)", path.Base(r.Path), r.Line, r.Text))
				}
				for i := range d.Flips {
					m.Flip = append(m.Flip, flipOf(&d.Flips[i]))
				}
			}
		}
		if err != nil {
			m.Err = err.Error()
		}
		out = append(out, m)
	}
	return out
}
