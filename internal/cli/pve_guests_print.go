package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/castellan-project/castellan/internal/inventory/exposure"
)

// explainGuests prints everything about each guest.
func (a *app) explainGuests(s *exposure.Survey, now time.Time) {
	for i := range s.Guests {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.explainGuest(&s.Guests[i], now)
	}
	if len(s.Guests) > 1 {
		a.tellSurvey(s)
	} else if s.StateError != "" {
		fmt.Fprintf(a.err, "the state of the guest is not known: %s\n", safe(s.StateError))
	}
}

func (a *app) explainGuest(g *exposure.Report, now time.Time) {
	head := kindWord(g.Kind) + " " + strconv.Itoa(g.ID)
	if g.Name != "" {
		head += " " + safe(g.Name)
	}
	fmt.Fprintf(a.out, "%s on %s: %s\n%s\n", head, safe(g.Node), stateSentence(g), safe(g.File))
	if g.Error != "" {
		fmt.Fprintf(a.out, "  cannot be read: %s\n", safe(g.Error))
		return
	}
	a.exposureTable("Gives away", g.Exposures)
	if !slices.ContainsFunc(g.Exposures, func(x exposure.Exposure) bool { return x.Severity != exposure.Info }) {
		fmt.Fprintf(a.out, "  nothing that matters\n")
	}
	a.exposureTable("Ends with the next start (not in force yet)", g.Pending.Gone)
	a.exposureTable("Begins with the next start", g.Pending.Coming)
	a.life(g, now)
	if len(g.Problems) > 0 {
		fmt.Fprintf(a.out, "\nLines that Proxmox VE does not accept\n")
		t := &table{}
		for _, p := range g.Problems {
			t.add("  line "+strconv.Itoa(p.Line), p.Text+" ("+string(p.Effect)+")")
		}
		t.print(a.out, a.columns())
	}
}

func stateSentence(g *exposure.Report) string {
	if g.State.Status == "" {
		return "state not known"
	}
	text := safe(g.State.Status)
	if g.State.Uptime > 0 {
		text += " for " + strconv.FormatInt(g.State.Uptime/86400, 10) + " days"
	}
	if g.State.QEMU != "" {
		text += ", QEMU " + safe(g.State.QEMU)
	}
	return text
}

func (a *app) exposureTable(title string, list []exposure.Exposure) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(a.out, "\n%s\n", title)
	t := &table{}
	for _, x := range list {
		where := ""
		if x.Line > 0 {
			where = " (line " + strconv.Itoa(x.Line) + ")"
		}
		t.add("  "+string(x.Severity), string(x.Channel), x.Words()+where)
	}
	t.print(a.out, a.columns())
}

// life prints where a guest comes from and who wants it.
func (a *app) life(g *exposure.Report, now time.Time) {
	l := &g.Life
	fmt.Fprintf(a.out, "\nLife\n")
	t := &table{}
	t.add("  owner", orUnknown(l.Owner))
	t.add("  purpose", orUnknown(l.Purpose))
	t.add("  expires", orUnknown(l.Expires))
	if len(g.Tags) > 0 {
		t.add("  tags", strings.Join(g.Tags, ", "))
	}
	switch {
	case l.Template:
		t.add("  template", "yes")
	case len(l.From) > 0:
		var ids []string
		for _, id := range l.From {
			ids = append(ids, strconv.Itoa(id))
		}
		t.add("  made from", "template "+strings.Join(ids, ", "))
	default:
		t.add("  made from", "not known: no linked clone")
	}
	if !l.Created.IsZero() {
		made := l.Created.Format(time.DateOnly)
		if l.QEMU != "" {
			made += " with QEMU " + l.QEMU
		}
		t.add("  made", made)
	}
	if l.Snapshots > 0 {
		text := strconv.Itoa(l.Snapshots)
		if !l.Oldest.IsZero() {
			text += fmt.Sprintf(", the oldest of %s (%d days)", l.Oldest.Format(time.DateOnly), int(now.Sub(l.Oldest)/(24*time.Hour)))
		}
		if l.Memory > 0 {
			text += fmt.Sprintf(", %d with memory", l.Memory)
		}
		t.add("  snapshots", text)
	}
	if len(l.Unused) > 0 {
		t.add("  unused disks", strings.Join(l.Unused, ", "))
	}
	if l.Lock != "" {
		t.add("  lock", l.Lock)
	}
	if g.Machine != "" {
		t.add("  machine", "pinned to QEMU "+g.Machine)
	}
	if g.Waiting {
		t.add("  pending", "changes wait for the next start")
	}
	t.print(a.out, a.columns())
}

func orUnknown(s string) string {
	if s == "" {
		return "nobody says"
	}
	return s
}

// pad cuts or fills text to a width in characters.
func pad(s string, width int) string {
	s = cut(s, width)
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// cut shortens text to a width in characters, with two dots at the end.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(width-2, 0)]) + ".."
}

// cutColored cuts a line that holds one coloured mark: what the terminal does not show is not counted.
func cutColored(s string, width int) string {
	const end = "\x1b[0m"
	i := strings.Index(s, "\x1b[")
	j := strings.Index(s, end)
	if i < 0 || j < 0 {
		return cut(safe(s), width)
	}
	j += len(end)
	shown := utf8.RuneCountInString(s[:i]) + 1
	return safe(s[:i]) + s[i:j] + strings.TrimRight(cut(safe(s[j:]), max(width-shown, 1)), " ")
}
