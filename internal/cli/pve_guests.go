package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/exposure"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

// guestFlags choose what pve guests shows.
type guestFlags struct {
	guest   int
	verbose bool
	orphans bool
	vmware  vmwareFlags
}

func (a *app) pveGuestsCommand(e *estateFlags) *cobra.Command {
	f := &guestFlags{}
	cmd := &cobra.Command{
		Use:   "guests",
		Short: "Virtual machines and containers: what they give away beyond their own disks, who wants them, what waits for a restart",
		Long: `pve guests lists every guest of the cluster with what it gives away: devices and directories of the node, channels to the
console, code that the node runs for it, weakened isolation; and with its life: owner, template, snapshots, disks left over,
changes that wait for a restart, an old QEMU. Only the section in force counts, never a snapshot.

VMware guests of the same estate stand below, with --vmx, in the words of the same channels.

On a node the state of guests costs a second or two of the API; the contents of storages, where disks left over lie, are asked
with --orphans.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("guest") && f.guest < 1 {
				return usage("--guest %d: a VMID is a number from 100 on", f.guest)
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				return a.guests(cmd.Context(), e, f, c, o)
			})
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.guest, "guest", 0, "show the guest with this `VMID` in detail")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show every guest in detail")
	addVMwareFlags(fl, &f.vmware)
	fl.BoolVar(&f.orphans, "orphans", false, "ask a node for the contents of its storages too (a second or more each)")
	return cmd
}

func (a *app) guests(ctx context.Context, e *estateFlags, f *guestFlags, c *inventory.Cluster, o *opened) error {
	cheap := o.desc.Kind != "local" && o.desc.Kind != "ssh"
	s, err := survey(o.reader, c, exposure.Options{Orphans: f.orphans || cheap})
	if err != nil {
		return exit(ExitTarget, err)
	}
	if f.guest != 0 {
		s.Guests = slices.DeleteFunc(s.Guests, func(r exposure.Report) bool { return r.ID != f.guest })
		if len(s.Guests) == 0 {
			return usage("there is no guest %d; castellan pve guests lists them", f.guest)
		}
	}
	vmware, unread := a.vmwareGuests(ctx, &f.vmware)
	var wrong *exitError
	if errors.As(unread, &wrong) {
		return unread
	}
	switch {
	case e.json:
		err = a.printJSON(guestsOfBoth{s, vmware})
	case f.guest != 0 || f.verbose:
		a.explainGuests(s, o.desc.Now)
	default:
		a.listGuests(s, o.desc.Now)
	}
	if !e.json && f.guest == 0 {
		a.listVMware(vmware)
	}
	if err == nil {
		err = unreadVMware(vmware, unread)
	}
	if err == nil && s.Partial() {
		return exit(ExitPartial, fmt.Errorf("some configurations could not be read; the others are shown"))
	}
	return err
}

// survey asks a target in rounds until nothing is pending.
func survey(r host.Reader, c *inventory.Cluster, o exposure.Options) (*exposure.Survey, error) {
	b, ok := r.(host.Batcher)
	s := exposure.Read(r, c, o)
	for range collect.MaxRounds {
		if !ok {
			break
		}
		pending, err := b.Flush()
		if err != nil {
			return nil, err
		}
		if !pending {
			break
		}
		s = exposure.Read(r, c, o)
	}
	return s, nil
}

// Widths of the columns of the list, in characters; node and name are as wide as they need to be up to these.
const (
	maxNode     = 8
	maxName     = 14
	maxExposure = 24
	wideColumns = 100 // from here on names and exposures get more room
	wideMore    = 10
)

// listGuests prints one line for each guest, at most as wide as the terminal.
func (a *app) listGuests(s *exposure.Survey, now time.Time) {
	if len(s.Guests) == 0 {
		fmt.Fprintln(a.out, "there are no guests")
		a.tellSurvey(s)
		return
	}
	tty, width := terminal(a.out)
	if !tty || width <= 0 {
		width = 80
	}
	node, name, exposed := 4, 4, len("GIVES AWAY")
	more := 0
	if width >= wideColumns {
		more = wideMore
	}
	for i := range s.Guests {
		g := &s.Guests[i]
		node = max(node, min(utf8.RuneCountInString(g.Node), maxNode))
		name = max(name, min(utf8.RuneCountInString(g.Name), maxName+more))
		exposed = max(exposed, min(utf8.RuneCountInString(exposureWords(g)), maxExposure+more))
	}
	line := func(id, kind, n, nm, state, mark, exp, life string) string {
		return fmt.Sprintf("%5s %-2s %s %s %-7s %s%s %s", id, kind, pad(n, node), pad(nm, name), cut(state, 7), mark, pad(exp, exposed), life)
	}
	fmt.Fprintln(a.out, strings.TrimRight(line("ID", "", "NODE", "NAME", "STATE", "  ", "GIVES AWAY", "LIFE"), " "))
	for i := range s.Guests {
		g := &s.Guests[i]
		text := line(strconv.Itoa(g.ID), kindWord(g.Kind), safe(g.Node), safe(g.Name), stateWord(g), a.mark(g.Worst()), exposureWords(g), strings.Join(g.Remarks(now), ", "))
		if g.Error != "" {
			text = line(strconv.Itoa(g.ID), kindWord(g.Kind), safe(g.Node), "", "", "? ", "not readable", g.Error)
		}
		if a.color(a.out) {
			fmt.Fprintln(a.out, cutColored(text, width))
			continue
		}
		fmt.Fprintln(a.out, strings.TrimRight(cut(safe(text), width), " "))
	}
	a.tellSurvey(s)
	worst := s.Guests[0].ID
	for i, r := 0, -1; i < len(s.Guests); i++ {
		if x := s.Guests[i].Worst().Rank(); x > r {
			worst, r = s.Guests[i].ID, x
		}
	}
	fmt.Fprintf(a.out, "\n%d guests; * critical or high, + medium, - low. In detail: castellan pve guests --guest %d\n", len(s.Guests), worst)
}

// exposureWords is what the list says of a guest: the kinds of its worst severity, then how many more there are.
func exposureWords(g *exposure.Report) string {
	if g.Error != "" {
		return "not readable"
	}
	worst := g.Worst()
	if worst == "" || worst == exposure.Info {
		return "nothing"
	}
	var kinds []string
	more := 0
	for _, x := range g.Exposures {
		word := strings.ReplaceAll(x.Kind, "_", " ")
		switch {
		case x.Severity == exposure.Info || slices.Contains(kinds, word):
		case x.Severity == worst && len(strings.Join(kinds, ", "))+len(word) < maxExposure-len(", +10") || len(kinds) == 0:
			kinds = append(kinds, word)
		default:
			more++
		}
	}
	text := strings.Join(kinds, ", ")
	if more > 0 {
		text += fmt.Sprintf(" +%d", more)
	}
	return text
}

func kindWord(k inventory.GuestKind) string {
	if k == inventory.LXC {
		return "ct"
	}
	return "vm"
}

func stateWord(g *exposure.Report) string {
	if g.State.Status == "" {
		return "?"
	}
	return safe(g.State.Status)
}

// mark is one character for a severity and a blank.
func (a *app) mark(s exposure.Severity) string {
	sign, colour := " ", ""
	switch s {
	case exposure.Critical:
		sign, colour = "*", "1;31"
	case exposure.High:
		sign, colour = "*", "31"
	case exposure.Medium:
		sign, colour = "+", "33"
	case exposure.Low:
		sign, colour = "-", "36"
	}
	if colour != "" && a.color(a.out) {
		return "\x1b[" + colour + "m" + sign + "\x1b[0m "
	}
	return sign + " "
}

// tellSurvey says what is not known, and the disks of nobody.
func (a *app) tellSurvey(s *exposure.Survey) {
	if len(s.Orphans) > 0 {
		fmt.Fprintf(a.out, "\nDisks that no guest has in its configuration:\n")
		for _, o := range s.Orphans {
			fmt.Fprintf(a.out, "  %s, %d GiB\n", safe(o.Volume), o.Size>>30)
		}
	}
	if s.StateError != "" {
		fmt.Fprintf(a.err, "the state of the guests is not known: %s\n", safe(s.StateError))
	}
	if s.ListError != "" {
		fmt.Fprintf(a.err, "the list of guests may not be complete: %s\n", safe(s.ListError))
	}
	if len(s.OrphansUnknown) > 0 {
		fmt.Fprintf(a.err, "not asked for disks left over: %s\n", safe(strings.Join(s.OrphansUnknown, ", ")))
	}
}
