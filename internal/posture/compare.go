package posture

import (
	"slices"
	"strings"
)

// ClusterReport compares the judgements of the nodes of one cluster (control CLU-02): what is secured on one node and
// not on another is an open door into all of them.
type ClusterReport struct {
	// Name is totem.cluster_name.
	Name string `json:"name"`
	// Targets are the targets that are nodes of this cluster, in the order in which they were scanned.
	Targets []string `json:"targets"`
	// Deviations are the controls whose result is not the same on all of them, worst first.
	Deviations []Deviation `json:"deviations"`
}

// Deviation is one control with different results on the nodes of a cluster.
type Deviation struct {
	Control  string       `json:"control"`
	Title    string       `json:"title"`
	Severity Severity     `json:"severity"`
	Results  []NodeResult `json:"results"`
}

// NodeResult is the status of a control on one target.
type NodeResult struct {
	Target string `json:"target"`
	Status Status `json:"status"`
}

// Comparison gathers the judgements of a scan for the comparison of nodes. It keeps a status for each control and
// target, not the findings. The zero Comparison is ready.
type Comparison struct {
	clusters []*comparedCluster
	// guests by a key that is the same whichever node of their cluster told of them.
	guests map[string]openGuest
}

type comparedCluster struct {
	key, name string
	targets   []string
	controls  map[string]*Deviation
}

// Add takes the judgement of a target. One that is no member of a cluster, or could not be read, is left out.
func (c *Comparison) Add(r TargetReport) {
	for _, g := range r.guests {
		if c.guests == nil {
			c.guests = map[string]openGuest{}
		}
		c.guests[g.key] = g
	}
	if r.ClusterName == "" || r.Error != "" || r.Kind == "pve" {
		return
	}
	key := r.ClusterName + "\x00" + strings.Join(r.Members, "\x00")
	i := slices.IndexFunc(c.clusters, func(x *comparedCluster) bool { return x.key == key })
	if i < 0 {
		i = len(c.clusters)
		c.clusters = append(c.clusters, &comparedCluster{key: key, name: r.ClusterName, controls: map[string]*Deviation{}})
	}
	k := c.clusters[i]
	k.targets = append(k.targets, r.Target)
	for _, f := range r.Findings {
		d := k.controls[f.Control]
		if d == nil {
			d = &Deviation{Control: f.Control, Title: f.Title, Severity: f.Severity}
			k.controls[f.Control] = d
		}
		d.Results = append(d.Results, NodeResult{r.Target, f.Status})
	}
}

// Clusters returns the clusters of which at least two nodes were judged, in the order in which they were met.
func (c *Comparison) Clusters() []ClusterReport {
	var out []ClusterReport
	for _, k := range c.clusters {
		if len(k.targets) < 2 {
			continue
		}
		r := ClusterReport{Name: k.name, Targets: k.targets, Deviations: []Deviation{}}
		for _, d := range k.controls {
			if slices.ContainsFunc(d.Results, func(n NodeResult) bool { return n.Status != d.Results[0].Status }) {
				r.Deviations = append(r.Deviations, *d)
			}
		}
		slices.SortFunc(r.Deviations, func(a, b Deviation) int {
			if d := a.Severity.Rank() - b.Severity.Rank(); d != 0 {
				return d
			}
			return strings.Compare(a.Control, b.Control)
		})
		out = append(out, r)
	}
	return out
}
