package collect

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/inventory/filter"
	"github.com/castellan-project/castellan/internal/inventory/filter/lint"
	"github.com/castellan-project/castellan/internal/posture"
)

// faults are what castellan pve lint finds, seen from the programs that the nodes concerned use.
func (v *fwView) faults() posture.Fact[[]posture.FirewallFault] {
	for _, n := range sortedNames(v.backends) {
		if b := v.backends[n]; !b.IsKnown() {
			return posture.Unknown[[]posture.FirewallFault](b.Problem, b.Source)
		}
	}
	compiled := map[string]*filter.Network{}
	for k, n := range v.networks {
		if n.err == nil && k.backend == filter.DefaultBackend(v.cl, k.node) {
			compiled[k.node] = n.net
		}
	}
	report := lint.Check(v.cl, lint.Options{Now: v.c.Now, Networks: compiled})
	if len(report.Unread) > 0 {
		return posture.Unknown[[]posture.FirewallFault](posture.Problemf("unavailable", "cannot read %s", strings.Join(report.Unread, ", ")), report.Unread[0])
	}
	out := []posture.FirewallFault{}
	for _, f := range report.Findings {
		name := path.Base(f.File)
		if strings.HasSuffix(f.File, "/host.fw") {
			name = path.Base(path.Dir(f.File)) + "/" + name
		}
		where := name
		if f.Line > 0 {
			where += ":" + strconv.Itoa(f.Line)
		}
		fault := posture.FirewallFault{Code: f.Code, Severity: string(f.Severity), Where: where, Owner: f.Owner, Guest: f.VMID, Text: f.Text,
			IPTables: string(f.Effect.IPTables), NFTables: string(f.Effect.NFTables), Name: where + " " + f.Text}
		fault.Effect = v.worst(f)
		out = append(out, fault)
	}
	return posture.Known(out, posture.Configured, "/etc/pve/firewall")
}

// worst is the worst outcome among the programs that read the file of a finding.
func (v *fwView) worst(f lint.Finding) string {
	outcomes := []lint.Outcome{lint.None, lint.NoEffect, lint.FailClosed, lint.FailOpen, lint.NodeAbort}
	worst := 0
	for _, b := range v.readers(f) {
		o := f.Effect.IPTables
		if b == string(filter.NFTables) {
			o = f.Effect.NFTables
		}
		worst = max(worst, slices.Index(outcomes, o))
	}
	return string(outcomes[worst])
}

// readers are the programs that read the file of a finding: those of the guest's node, of the node, or of all nodes.
func (v *fwView) readers(f lint.Finding) []string {
	if f.VMID != 0 {
		if g, ok := v.cl.Guest(f.VMID); ok {
			return v.backends[g.Node].Value
		}
	}
	if b, ok := v.backends[f.Owner]; ok {
		return b.Value
	}
	var all []string
	for _, n := range sortedNames(v.backends) {
		all = append(all, v.backends[n].Value...)
	}
	return all
}
