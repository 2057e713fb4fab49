package report

import (
	"fmt"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// maxDeviations is how many deviations of a cluster are listed without --all.
const maxDeviations = 15

// cluster tells on which nodes of a cluster controls have different results.
func (t *textReport) cluster(c posture.ClusterReport) {
	t.blank()
	t.paragraph(strongSpan("Cluster "+cut(oneLine(c.Name), t.width/3)+": "), clusterHead(c), inkPlain)
	shown := c.Deviations
	if !t.o.ShowAll && len(shown) > maxDeviations {
		shown = shown[:maxDeviations]
	}
	for _, d := range shown {
		t.put(plainSpan("  "+pad(oneLine(d.Control), 8)), plainSpan(oneLine(d.Title)))
		t.paragraph(plainSpan("          "), byStatus(d), inkFaint)
	}
	if n := len(c.Deviations) - len(shown); n > 0 {
		t.put(faintSpan(fmt.Sprintf("  and %d more; --all lists them", n)))
	}
}

// clusterHead says in one sentence how alike the nodes are.
func clusterHead(c posture.ClusterReport) string {
	if len(c.Deviations) == 0 {
		return fmt.Sprintf("on the %d nodes scanned every control has the same result", len(c.Targets))
	}
	return fmt.Sprintf("%s between the %d nodes scanned (CLU-02)", plural(len(c.Deviations), "control differs", "controls differ"), len(c.Targets))
}

// byStatus says "fail on a, b; pass on c".
func byStatus(d posture.Deviation) string {
	var order []posture.Status
	on := map[posture.Status][]string{}
	for _, r := range d.Results {
		if on[r.Status] == nil {
			order = append(order, r.Status)
		}
		on[r.Status] = append(on[r.Status], oneLine(r.Target))
	}
	var parts []string
	for _, s := range order {
		parts = append(parts, string(s)+" on "+strings.Join(on[s], ", "))
	}
	return strings.Join(parts, "; ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
