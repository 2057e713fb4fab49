package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/backup"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

func (a *app) pveBackupsCommand(e *estateFlags) *cobra.Command {
	guest := 0
	cmd := &cobra.Command{
		Use:   "backups",
		Short: "Which guests are saved, which of their volumes, where to, how old the last good backup is",
		Long: `For each guest: the jobs that save it, the storages they write to, the last good backup against the schedule. A guest that only a disabled
job names is not saved, whatever the web interface says; neither is one whose job writes to a storage that is disabled or not there.

  covered    a job saves all of it          disabled    only jobs that are switched off name it
  partial    a job saves part of it         uncovered   no job saves it
  stale      the last good backup is older than the schedule allows, or there is none

What storages hold comes from the API or from directories of this node; where neither can be read, the age is unknown.
On a node each storage is asked with pvesh, which takes about a second.

  castellan pve backups
  castellan pve backups --guest 104
  castellan pve backups --target pve://pve1.example.org:8006 --json

Exit codes: 0 every guest is saved in time, 1 one is uncovered, disabled or stale (templates do not count), 2 wrong usage, 3 the
cluster could not be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("guest") && guest < 1 {
				return usage("--guest %d: a VMID is a number from 1", guest)
			}
			return a.withCluster(cmd.Context(), e, func(c *inventory.Cluster, o *opened) error {
				rep, err := assessBackups(c, o)
				if err != nil {
					return err
				}
				if guest > 0 {
					if err := onlyGuest(rep, guest); err != nil {
						return err
					}
				}
				if e.json {
					err = a.printJSON(rep)
				} else {
					a.printBackups(rep, guest)
				}
				return backupsExit(rep, err)
			})
		},
	}
	cmd.Flags().IntVar(&guest, "guest", 0, "only the guest with this `VMID`")
	return cmd
}

// assessBackups answers from a target, which over SSH is asked in rounds.
func assessBackups(c *inventory.Cluster, o *opened) (*backup.Report, error) {
	rep := backup.Assess(c, o.reader, o.desc.Now)
	b, ok := o.reader.(host.Batcher)
	if !ok {
		return rep, nil
	}
	for range collect.MaxRounds {
		pending, err := b.Flush()
		if err != nil {
			return nil, exit(ExitTarget, err)
		}
		if !pending {
			break
		}
		rep = backup.Assess(c, o.reader, o.desc.Now)
	}
	return rep, nil
}

// onlyGuest leaves in the report what is about one guest.
func onlyGuest(rep *backup.Report, id int) error {
	g, ok := rep.Guest(id)
	if !ok {
		return usage("there is no guest %d in this cluster", id)
	}
	rep.Guests = []backup.Guest{g}
	rep.Jobs = slices.DeleteFunc(rep.Jobs, func(j backup.Job) bool { return !slices.Contains(j.Guests, id) })
	rep.Storages = slices.DeleteFunc(rep.Storages, func(s backup.Storage) bool { return !slices.Contains(g.Places, s.ID) })
	rep.Orphans = []backup.Orphan{}
	rep.Problems = slices.DeleteFunc(rep.Problems, func(p backup.Problem) bool {
		job := slices.ContainsFunc(rep.Jobs, func(j backup.Job) bool { return j.ID == p.Subject })
		return p.Subject != g.Title && p.Subject != fmt.Sprint(id) && !job && !slices.Contains(g.Places, p.Subject)
	})
	return nil
}

func backupsExit(rep *backup.Report, err error) error {
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rep.Guests, func(g backup.Guest) bool { return g.Bad() }) {
		return exit(ExitFindings, nil)
	}
	return nil
}

func (a *app) printBackups(rep *backup.Report, guest int) {
	if len(rep.Guests) == 0 {
		fmt.Fprintln(a.out, "there are no guests")
	}
	rows := [][]string{{"GUEST", "NAME", "STATUS", "LAST GOOD", "AGE OF ALLOWED", "WHERE", "ENCRYPTED"}}
	count := map[string]int{}
	for i := range rep.Guests {
		g := &rep.Guests[i]
		count[statusWord(g)]++
		rows = append(rows, backupRow(g))
	}
	if len(rep.Guests) > 0 {
		a.printGrid(rows)
	}
	a.printBackupNotes(rep)
	if guest == 0 && len(rep.Guests) > 0 {
		var parts []string
		for _, w := range []string{"covered", "partial", "stale", "disabled", "uncovered", "unknown", "template"} {
			if count[w] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", count[w], w))
			}
		}
		fmt.Fprintf(a.out, "\n%d guests: %s\n", len(rep.Guests), strings.Join(parts, ", "))
	}
	if bad := slices.IndexFunc(rep.Guests, func(g backup.Guest) bool { return g.Bad() }); bad >= 0 && guest == 0 {
		fmt.Fprintf(a.out, "Next: castellan pve backups --guest %d\n", rep.Guests[bad].ID)
	} else {
		fmt.Fprintln(a.out, "Next: castellan scan, for retention, keys and notifications")
	}
}

// statusWord is the status of a guest in one word.
func statusWord(g *backup.Guest) string {
	saved := g.Status == backup.Covered || g.Status == backup.Partial
	switch {
	case g.Template && !saved:
		return "template"
	case g.Stale:
		return "stale"
	}
	return string(g.Status)
}

func backupRow(g *backup.Guest) []string {
	last, age, encrypted := "unknown", "-", "no"
	switch {
	case g.Last != nil:
		last, age = g.Last.Time.Format("2006-01-02"), hoursText(g.AgeHours)
	case g.LastKnown:
		last = "none"
	}
	if g.AllowedHours > 0 {
		age += " of " + hoursText(g.AllowedHours)
	}
	if g.Encrypted {
		encrypted = "yes"
	} else if len(g.Places) == 0 {
		encrypted = "-"
	}
	where := strings.Join(g.Places, ",")
	if where == "" {
		where = "-"
	}
	return []string{g.Title, g.Name, statusWord(g), last, age, where, encrypted}
}

// hoursText writes hours as people say them.
func hoursText(h int) string {
	if h < 72 {
		return fmt.Sprintf("%dh", h)
	}
	return fmt.Sprintf("%dd", h/24)
}

// printGrid aligns rows; the last column is not padded.
func (a *app) printGrid(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i := range r {
			r[i] = safe(r[i])
			if i == 1 && len([]rune(r[i])) > 20 {
				r[i] = string([]rune(r[i])[:19]) + "…"
			}
			widths[i] = max(widths[i], len([]rune(r[i])))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(cell)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))+1))
			}
		}
		fmt.Fprintln(a.out, strings.TrimRight(b.String(), " "))
	}
}

// printBackupNotes says why guests are not covered, and what is wrong with jobs and storages.
func (a *app) printBackupNotes(rep *backup.Report) {
	t := &table{}
	for i := range rep.Guests {
		g := &rep.Guests[i]
		if g.Template && len(g.Jobs) == 0 {
			continue
		}
		why := g.Why
		if g.Stale {
			late := "there is no good backup"
			if g.Last != nil {
				late = "the last good backup is " + hoursText(g.AgeHours) + " old, and the schedule allows " + hoursText(g.AllowedHours)
			}
			why = strings.Trim(why+"; "+late, "; ")
		}
		if why != "" {
			t.add("  "+safe(g.Title), safe(why))
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(a.out, "\nGuests:")
		t.print(a.out, a.columns())
	}
	if len(rep.Problems) > 0 {
		fmt.Fprintln(a.out, "\nJobs, storages and backups:")
		p := &table{}
		for _, x := range rep.Problems {
			text := x.Text
			if x.Source != "" && x.Source != x.Subject {
				text += " (" + x.Source + ")"
			}
			p.add("  "+safe(x.Subject), safe(text))
		}
		p.print(a.out, a.columns())
	}
	if len(rep.Unread) > 0 {
		fmt.Fprintln(a.out, "\nNot read, so that the answer is not complete:")
		for _, u := range rep.Unread {
			a.indented(2, safe(u))
		}
	}
}
