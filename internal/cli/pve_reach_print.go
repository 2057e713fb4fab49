package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/reach"
	"github.com/castellan-project/castellan/internal/netset"
)

var errNoNodes = errors.New("no node was found below /etc/pve/nodes")

// reachJSON is one answer as JSON; docs/060-firewall.md describes it.
type reachJSON struct {
	To      string    `json:"to"`
	Node    string    `json:"node"`
	Guest   int       `json:"guest,omitempty"`
	NIC     string    `json:"nic,omitempty"`
	Backend string    `json:"backend"`
	Reach   []rowJSON `json:"reach"`
	Refused []rowJSON `json:"refused"`
}

type rowJSON struct {
	Zone    string   `json:"zone"`
	Members []string `json:"members,omitempty"`
	Family  int      `json:"family"`
	Sources []string `json:"sources"`
	Names   []string `json:"names"`
	Dest    []string `json:"dest,omitempty"`
	Service string   `json:"service"`
	// Ports are the source ports, when the rule looks at them.
	Ports   string         `json:"ports,omitempty"`
	Verdict filter.Verdict `json:"verdict"`
	filter.Reason
}

// printReachJSON prints one object, or a list of them when the question has several targets.
func (a *app) printReachJSON(k *asker, jobs []job) error {
	w := bufio.NewWriter(a.out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	sep := "["
	err := k.askAll(jobs, func(x reach.Answer) error {
		if len(jobs) > 1 {
			_, _ = w.WriteString(sep) // an error comes back from Flush
			sep = ","
		}
		return enc.Encode(answerJSON(k.q.flags.to, x))
	})
	if len(jobs) == 0 {
		_, _ = w.WriteString("[]\n")
	}
	if len(jobs) > 1 {
		_, _ = w.WriteString("]\n")
	}
	if flushed := w.Flush(); flushed != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the answer: %w", flushed))
	}
	return err
}

func answerJSON(to string, x reach.Answer) reachJSON {
	j := reachJSON{To: to, Node: x.Node, Backend: string(x.Backend), Reach: []rowJSON{}, Refused: []rowJSON{}}
	if x.To.Kind == filter.GuestNIC {
		j.Guest, j.NIC = x.To.VMID, "net"+strconv.Itoa(x.To.Net)
	}
	for _, r := range x.Rows {
		row := rowJSON{
			Zone: r.Zone, Members: r.Members, Family: r.Family, Sources: r.Sources.Parts(), Names: append([]string{}, r.Shown.Names...),
			Service: reach.ServiceText(r.Service, netset.AnyService()), Ports: sourcePorts(r.Service), Verdict: r.Verdict, Reason: r.Why,
		}
		if r.Dest != nil {
			row.Dest = r.Dest.Parts()
		}
		if r.Verdict == filter.Accept {
			j.Reach = append(j.Reach, row)
		} else {
			j.Refused = append(j.Refused, row)
		}
	}
	return j
}

// sourcePorts are the source ports of services that all have the same and not all of them.
func sourcePorts(s netset.Services) string {
	parts := s.Parts()
	if len(parts) != 1 || parts[0].Whole || parts[0].AnySource || !netset.HasPorts(parts[0].Proto) {
		return ""
	}
	return parts[0].Source.String()
}

func (a *app) printReach(k *asker, jobs []job) error {
	first, q := true, k.q
	err := k.askAll(jobs, func(x reach.Answer) error {
		if !first {
			fmt.Fprintln(a.out)
		}
		first = false
		what := "node " + x.Node
		if x.To.Kind == filter.GuestNIC {
			what = fmt.Sprintf("guest %d net%d on node %s", x.To.VMID, x.To.Net, x.Node)
		}
		if !q.service.IsAny() {
			what = reach.ServiceText(q.service, q.service) + " of " + what
		}
		fmt.Fprintf(a.out, "%s, as %s filters it\n", safe(what), program(x.Backend))
		a.printRows("reached by", q, x.Rows, func(v filter.Verdict) bool { return v == filter.Accept })
		a.printRows("refused", q, x.Rows, func(v filter.Verdict) bool { return v != filter.Accept })
		for _, u := range x.Unknown {
			a.indented(2, safe("not asked from "+u+": its rules could not be read"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		fmt.Fprintln(a.out, "there is no guest with a network card on a bridge")
	}
	fmt.Fprintf(a.out, "\nNext: castellan pve simulate follows one packet; castellan pve lint finds rules that\nnever decide\n")
	return nil
}

func program(b filter.Backend) string {
	if b == filter.NFTables {
		return "proxmox-firewall (nftables)"
	}
	return "pve-firewall (iptables)"
}

// printRows prints the rows of one kind of verdict, by zone.
func (a *app) printRows(title string, q *reachQuestion, rows []reach.Row, wanted func(filter.Verdict) bool) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r reach.Row) bool { return !wanted(r.Verdict) })
	rows, both := bothFamilies(rows)
	fmt.Fprintf(a.out, "\n%s\n", title)
	if len(rows) == 0 {
		fmt.Fprintln(a.out, "  nobody")
	}
	zone := ""
	for i := 0; i < len(rows); i++ {
		r := rows[i]
		if z := zoneText(r); z != zone {
			zone = z
			a.indented(2, safe(z))
		}
		// The policy decides about what is left, which often has no shorter name than that.
		n := 1
		for i+n < len(rows) && r.Rest && rows[i+n].Rest && zoneText(rows[i+n]) == zone && rows[i+n].Family == r.Family {
			n++
		}
		text := rowText(q, r, both[i])
		if n > maxRest {
			text = "IPv" + strconv.Itoa(r.Family) + " everything else"
			i += n - 1
		}
		a.indented(4, safe(text))
		verdict := ""
		if r.Verdict == filter.Reject {
			verdict = "REJECT  "
		}
		a.indented(8, safe(verdict+reasonText(r.Why)))
	}
}

// bothFamilies leaves out the row of IPv6 where it says the same about everyone as the one of IPv4, and says for which rows it did.
func bothFamilies(rows []reach.Row) ([]reach.Row, []bool) {
	same := func(x, y *reach.Row) bool {
		return x.Family == 4 && y.Family == 6 && x.Shown.Everyone && y.Shown.Everyone && x.Dest == nil && y.Dest == nil && x.Why == y.Why &&
			x.Verdict == y.Verdict && zoneText(*x) == zoneText(*y) && x.Service.Equal(y.Service)
	}
	var out []reach.Row
	var both []bool
	for i := range rows {
		j := len(out) - 1
		for j >= 0 && zoneText(out[j]) == zoneText(rows[i]) && !same(&out[j], &rows[i]) {
			j--
		}
		if j >= 0 && same(&out[j], &rows[i]) {
			both[j] = true
			continue
		}
		out, both = append(out, rows[i]), append(both, false)
	}
	return out, both
}

// maxRest is the number of lines up to which what a policy decides about is spelled out.
const maxRest = 2

func (a *app) indented(n int, text string) {
	width := max(a.columns()-n, 30)
	pad := strings.Repeat(" ", n)
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len(line)+1+len(w) > width {
			fmt.Fprintln(a.out, pad+line)
			line, pad = "", strings.Repeat(" ", n+2)
		}
		line = strings.TrimLeft(line+" "+w, " ")
	}
	fmt.Fprintln(a.out, pad+line)
}

// maxMembers is the number of guests or interfaces that a heading names.
const maxMembers = 6

func zoneText(r reach.Row) string {
	if len(r.Members) == 0 {
		return r.Zone
	}
	m := r.Members
	if len(m) > maxMembers {
		return fmt.Sprintf("%s: %s and %d more", r.Zone, strings.Join(m[:maxMembers], ", "), len(m)-maxMembers)
	}
	if r.Zone == reach.ZoneOutside {
		return r.Zone + " through " + strings.Join(m, ", ")
	}
	return r.Zone + ": " + strings.Join(m, ", ")
}

func rowText(q *reachQuestion, r reach.Row, both bool) string {
	who := r.Shown.String()
	all := "everyone (0.0.0.0/0)"
	switch {
	case both:
		all = "everyone (0.0.0.0/0, ::/0)"
	case r.Family == 6:
		all = "everyone (::/0)"
	}
	switch {
	case r.Shown.Everyone:
		who = all
	case r.Shown.Except != nil:
		who = all + " except " + r.Shown.Except.String()
	case r.Family == 6:
		who = "IPv6 " + who
	}
	if r.Dest != nil {
		who += " to " + r.Dest.String()
	}
	if !r.Service.Equal(q.service) {
		return reach.ServiceText(r.Service, q.service) + " from " + who
	}
	return who
}

func reasonText(r filter.Reason) string {
	if r.File == "" {
		return r.Rule
	}
	text := path.Base(r.File)
	if r.Line > 0 {
		text += ":" + strconv.Itoa(r.Line)
	}
	if r.Group != "" {
		text += " [group " + r.Group + "]"
	}
	return text + "  " + r.Rule
}
