package cli

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/lint"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

// flipJSON is packets that one firewall accepts and the other refuses.
type flipJSON struct {
	// Change is "opens" or "closes".
	Change    string      `json:"change"`
	Direction string      `json:"direction"` // in, out
	Machines  []string    `json:"machines"`
	Family    int         `json:"family"`
	Sources   []string    `json:"sources"`
	Names     []string    `json:"names"`
	Dest      []string    `json:"dest,omitempty"`
	Service   string      `json:"service"`
	Before    decidedJSON `json:"before"`
	After     decidedJSON `json:"after"`
	who       string
}

type decidedJSON struct {
	Verdict filter.Verdict `json:"verdict"`
	filter.Reason
}

func flipOf(f *reach.Flip) flipJSON {
	j := flipJSON{
		Change: "closes", Direction: "in", Machines: f.Machines, Family: f.Family, Sources: f.Sources.Parts(), Names: append([]string{}, f.Sources.Names...),
		Service: reach.ServiceText(f.Service, netset.AnyService()), Before: decidedJSON{f.VerdictBefore, f.Before}, After: decidedJSON{f.VerdictAfter, f.After},
	}
	if f.Opens {
		j.Change = "opens"
	}
	if f.Out {
		j.Direction = "out"
	}
	if j.who = "from " + f.Sources.String(); f.Dest != nil {
		j.Dest = f.Dest.Parts()
		j.who += " to " + f.Dest.String()
	}
	return j
}

// maxInfos is the number of findings of severity info that the text shows: rules that could be taken out are many and harmless.
const maxInfos = 20

func (a *app) printLint(asJSON bool, answer *lintJSON) error {
	if asJSON {
		return a.printJSON(answer)
	}
	counts := map[lint.Severity]int{}
	var last lint.Severity
	for i := range answer.Findings {
		f := &answer.Findings[i]
		counts[f.Severity]++
		if f.Severity != last {
			if last != "" {
				fmt.Fprintln(a.out)
			}
			last = f.Severity
			fmt.Fprintln(a.out, a.severityText(f.Severity))
		}
		if f.Severity == lint.Info && counts[lint.Info] > maxInfos {
			continue
		}
		a.printFinding(f)
	}
	if n := counts[lint.Info] - maxInfos; n > 0 {
		fmt.Fprintf(a.out, "  and %d more; --json has all\n", n)
	}
	if len(answer.Findings) == 0 {
		fmt.Fprintln(a.out, "No line does other than it seems to.")
	}
	for _, b := range answer.Bounded {
		a.indented(0, safe("not looked at: "+b))
	}
	for _, u := range answer.Unread {
		a.indented(0, safe("not read: "+u))
	}
	for _, m := range answer.Migration {
		a.printMigration(m)
	}
	if len(answer.Findings) > 0 {
		var parts []string
		for _, s := range []lint.Severity{lint.Critical, lint.High, lint.Medium, lint.Low, lint.Info} {
			if counts[s] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
			}
		}
		fmt.Fprintf(a.out, "\n%d findings: %s\n", len(answer.Findings), strings.Join(parts, ", "))
	}
	if answer.Migration == nil {
		fmt.Fprintln(a.out, "Next: castellan pve lint --migrate says what would change with the other firewall")
	}
	return nil
}

// severityText is the heading of a severity, in the colours of the reports.
func (a *app) severityText(s lint.Severity) string {
	code := map[lint.Severity]string{lint.Critical: "1;31", lint.High: "31", lint.Medium: "33"}[s]
	if code == "" || !a.color(a.out) {
		return strings.ToUpper(string(s))
	}
	return "\x1b[" + code + "m" + strings.ToUpper(string(s)) + "\x1b[0m"
}

func (a *app) printFinding(f *lint.Finding) {
	place := path.Base(f.File)
	if strings.HasSuffix(f.File, "host.fw") {
		place = path.Join(path.Base(path.Dir(f.File)), place)
	}
	if f.Line > 0 {
		place += ":" + strconv.Itoa(f.Line)
		if f.Column > 0 {
			place += ":" + strconv.Itoa(f.Column)
		}
	}
	a.indented(2, safe(place+"  "+f.Code+"  "+effectText(f.Effect)))
	a.indented(6, safe(f.Text))
	if f.Hint != "" {
		a.indented(6, safe("-> "+f.Hint))
	}
}

// effectText names the outcomes, once when they are the same.
func effectText(e lint.Effect) string {
	switch {
	case e == lint.Effect{IPTables: lint.None, NFTables: lint.None}:
		return ""
	case e.IPTables == e.NFTables:
		return string(e.IPTables)
	case e.IPTables == lint.None:
		return "nftables: " + string(e.NFTables)
	case e.NFTables == lint.None:
		return "iptables: " + string(e.IPTables)
	}
	return "iptables: " + string(e.IPTables) + ", nftables: " + string(e.NFTables)
}

// maxFlips is the number of changes that the text shows for one node; JSON has all.
const maxFlips = 80

func (a *app) printMigration(m migrationJSON) {
	fmt.Fprintf(a.out, "\n%s: from %s to %s\n", safe(m.Node), program(filter.Backend(m.From)), program(filter.Backend(m.To)))
	if m.Err != "" {
		a.indented(2, safe("not compared: "+m.Err))
		return
	}
	for _, r := range m.Refused {
		a.indented(2, safe("proxmox-firewall refuses "+r+"; until that is mended, nothing is loaded after a boot and everything is accepted"))
	}
	if len(m.Flip) == 0 && len(m.Cut)+len(m.Unknown) == 0 {
		a.indented(2, fmt.Sprintf("no packet to or from any of its %d ends is treated differently", m.Ends))
	}
	heading := ""
	for i, f := range m.Flip {
		if i == maxFlips {
			a.indented(2, fmt.Sprintf("and %d more; --json has all", len(m.Flip)-i))
			break
		}
		if h := flipHeading(f); h != heading {
			heading = h
			a.indented(2, safe(h))
		}
		family := ""
		if f.Family == 6 {
			family = "IPv6 "
		}
		a.indented(4, safe(family+f.Service+" "+f.who))
		a.indented(8, safe("now "+string(f.Before.Verdict)+": "+reasonText(f.Before.Reason)))
	}
	for _, c := range m.Cut {
		a.indented(2, safe("too many rules to compare: "+c))
	}
	for _, u := range m.Unknown {
		a.indented(2, safe("not compared, its rules could not be read: "+u))
	}
}

// flipHeading says what happens to which machines, and by what.
func flipHeading(f flipJSON) string {
	who := strings.Join(f.Machines, ", ")
	if len(f.Machines) > maxMembers {
		who = fmt.Sprintf("%s and %d more", strings.Join(f.Machines[:maxMembers], ", "), len(f.Machines)-maxMembers)
	}
	direction := "to"
	if f.Direction == "out" {
		direction = "from"
	}
	after := f.After.Reason
	if len(f.Machines) > 1 && after.Line == 0 {
		after.File = ""
	}
	return fmt.Sprintf("%s %s %s, then %s: %s", f.Change, direction, who, f.After.Verdict, reasonText(after))
}
