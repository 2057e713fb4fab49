package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/topology"
	"github.com/castellan-project/castellan/internal/inventory/topology/draw"
)

// mapFlags are the choices of `pve map`.
type mapFlags struct {
	output   string
	formats  []string
	findings bool
	group    int
	vmware   vmwareFlags
}

func (a *app) pveMapCommand(e *estateFlags) *cobra.Command {
	f := &mapFlags{}
	cmd := &cobra.Command{
		Use:   "map",
		Short: "Draw the network: zones, cards, bridges, VLANs, guests, and what makes it hard to draw",
		Long: `Draws the network of the cluster as an SVG picture (light and dark) or describes it as JSON. Without -o it prints a summary: which
networks there are, what runs over them, and what makes the whole complex.

  castellan pve map -o map.svg
  castellan pve map -o map.svg --format svg,json
  castellan pve map -o - --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(e); err != nil {
				return err
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				g := topology.Build(c, topology.Options{Firewall: cardStates(c, o.desc.Now)})
				if err := a.addVMware(cmd.Context(), g, &f.vmware); err != nil {
					return err
				}
				return a.showMap(g, e, f)
			})
		},
	}
	fl := cmd.Flags()
	addVMwareFlags(fl, &f.vmware)
	fl.StringVarP(&f.output, "output", "o", "", "`file` to write; - is standard output")
	fl.StringSliceVar(&f.formats, "format", nil, "svg, json or both (default: by the ending of -o, else svg)")
	fl.BoolVar(&f.findings, "findings", true, "mark findings in the picture; the summary lists them")
	fl.IntVar(&f.group, "group-above", 60, "draw guests with the same node, networks and firewall state as one box when there are more than this `number`")
	return cmd
}

func (f *mapFlags) check(e *estateFlags) error {
	for _, format := range f.formats {
		if format != "svg" && format != "json" {
			return usage("--format %s: a map is drawn as svg or json", format)
		}
	}
	switch {
	case f.group < 1:
		return usage("--group-above takes a number from 1")
	case len(f.formats) > 0 && f.output == "":
		return usage("--format needs -o FILE, or -o - for standard output")
	case f.output == "-" && len(f.formats) > 1:
		return usage("standard output takes one format: give -o FILE for both")
	case len(f.formats) == 0 && (e.json || filepath.Ext(f.output) == ".json"):
		f.formats = []string{"json"}
	case len(f.formats) == 0:
		f.formats = []string{"svg"}
	}
	return nil
}

// cardStates asks the firewall of each node which of its cards it filters. A node whose firewall cannot be read leaves its cards unknown.
func cardStates(c *inventory.Cluster, now time.Time) map[topology.CardID]topology.Firewall {
	states := map[topology.CardID]topology.Firewall{}
	for _, n := range c.Nodes {
		net, err := filter.New(c, n.Name, filter.DefaultBackend(c, n.Name), filter.Options{Now: now})
		if err != nil {
			continue
		}
		for _, nic := range net.NICs() {
			f := topology.Firewall{State: topology.Filtered}
			if nic.Missing != "" {
				f = topology.Firewall{State: topology.Unfiltered, Missing: strings.Replace(string(nic.Missing), "VMID", fmt.Sprint(nic.VMID), 1)}
				if nic.MissingWhy != "" {
					f.Missing += ": " + nic.MissingWhy
				}
			}
			states[topology.CardID{Guest: nic.VMID, Key: fmt.Sprintf("net%d", nic.Net)}] = f
		}
	}
	return states
}

func (a *app) showMap(g *topology.Graph, e *estateFlags, f *mapFlags) error {
	if f.output == "" {
		if e.json {
			return a.printJSON(g)
		}
		a.printMap(g)
		return nil
	}
	for _, format := range f.formats {
		name := f.output
		if name == "-" {
			name = ""
		} else if len(f.formats) > 1 {
			name = strings.TrimSuffix(name, filepath.Ext(name)) + "." + format
		}
		s, err := a.openSink(name)
		if err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot write the map: %w", err))
		}
		if format == "json" {
			enc := json.NewEncoder(s)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			err = enc.Encode(g)
		} else {
			l := draw.Arrange(g, draw.Options{GroupAbove: f.group, NoFindings: !f.findings})
			err = l.WriteSVG(s)
			if l.Groups > 0 {
				fmt.Fprintf(a.err, "%d of %d guests are drawn together, boxes: %d (same node, networks and firewall state)\n", l.Grouped, len(g.Guests), l.Groups)
			}
		}
		if err := errors.Join(err, s.close(err == nil)); err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot write the map: %w", err))
		}
	}
	return nil
}

// nodesOf counts the nodes, and names the hypervisor that stands beside them.
func nodesOf(g *topology.Graph) string {
	text := fmt.Sprintf("%d nodes", g.Members())
	if slices.ContainsFunc(g.Nodes, func(n topology.Node) bool { return n.Foreign }) {
		text += " and " + topology.VMware
	}
	return text
}

// printMap is the map for a terminal: networks with their zones and uses, then what makes it complex.
func (a *app) printMap(g *topology.Graph) {
	guests := len(g.Guests)
	fmt.Fprintf(a.out, "%s, %d networks, %d guests; complexity: %s (%d points)\n\n", nodesOf(g), len(g.Networks), guests, g.Complexity.Class, g.Complexity.Points)
	t := &table{}
	for i := range g.Networks {
		n := &g.Networks[i]
		var zones, roles []string
		for _, z := range n.Zones {
			zones = append(zones, string(z.Name))
		}
		for _, u := range n.Uses {
			if s := strings.TrimSpace(string(u.Role) + " " + u.Detail); !slices.Contains(roles, s) {
				roles = append(roles, s)
			}
		}
		what := fmt.Sprintf("%d guests", n.Guests)
		if n.Guests == 1 {
			what = "1 guest"
		}
		if len(roles) > 0 {
			what += "; " + strings.Join(roles, ", ")
		}
		if len(n.Subnets) > 0 {
			what += "; " + strings.Join(n.Subnets, " ")
		}
		t.add("  "+n.Title(), strings.Join(zones, "+"), what)
	}
	t.print(a.out, a.columns())
	if len(g.Complexity.Costs) > 0 {
		fmt.Fprintf(a.out, "\nWhat makes it complex\n")
		t = &table{}
		for _, c := range g.Complexity.Costs {
			t.add(fmt.Sprintf("  %3d", c.Points), fmt.Sprintf("%s (%d): %s", c.What, c.Count, strings.Join(c.Examples, "; ")))
		}
		t.print(a.out, a.columns())
	}
	if len(g.Findings) > 0 {
		fmt.Fprintf(a.out, "\nFindings\n")
		t = &table{}
		for _, f := range together(g.Findings) {
			t.add("  "+f.Control, f.Text)
		}
		t.print(a.out, a.columns())
	}
	for _, u := range g.Unknown {
		fmt.Fprintf(a.out, "not known: %s\n", safe(u))
	}
	fmt.Fprintf(a.out, "\nNext: castellan pve map -o map.svg draws it\n")
}

// together makes one finding of cards that are not filtered for the same reason, because one line of a file may open every card of a node.
func together(all []topology.Finding) []topology.Finding {
	type key struct{ control, why string }
	cards := map[key][]string{}
	of := func(f *topology.Finding) (key, bool) {
		_, why, ok := strings.Cut(f.Text, " is not filtered: ")
		return key{f.Control, why}, ok && f.Kind == "unfiltered"
	}
	for i := range all {
		if k, ok := of(&all[i]); ok {
			cards[k] = append(cards[k], fmt.Sprintf("%d %s", all[i].Guest, all[i].Card))
		}
	}
	var out []topology.Finding
	for i := range all {
		f := all[i]
		k, ok := of(&f)
		switch list := cards[k]; {
		case !ok || len(list) == 1:
			out = append(out, f)
		case len(list) > 1:
			names := strings.Join(list[:min(len(list), 10)], ", ")
			if more := len(list) - 10; more > 0 {
				names += fmt.Sprintf(" and %d more", more)
			}
			f.Text = fmt.Sprintf("%d cards are not filtered: %s: %s", len(list), k.why, names)
			out = append(out, f)
			delete(cards, k) // said once
		}
	}
	return out
}
