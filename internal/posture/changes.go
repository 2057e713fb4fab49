package posture

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/expr"
)

// Changes turns findings into what the plan shall do: for each failing control among those of the judge, its remediation with
// parameters, facts and lists filled in; or why nothing is done about it. chosen are ids of controls that shall be repaired; empty
// means all that fail. A control that was chosen and does not fail is no omission: there is nothing to do.
func (j *Judge) Changes(f *Facts, findings []Finding, chosen []string) ([]change.Change, []change.Omission) {
	e := &evaluation{judge: j, facts: f, vars: j.env.Bind(f, f.Target.CollectedAt)}
	member, err := f.OS.Cluster.Get()
	inside := err == nil && member.(bool)
	var changes []change.Change
	var omitted []change.Omission
	for _, x := range findings {
		if len(chosen) > 0 && !slices.Contains(chosen, x.Control) {
			continue
		}
		i := slices.IndexFunc(j.controls, func(c Control) bool { return c.ID == x.Control })
		if i < 0 || x.Status != Fail && (x.Status != StatusUnknown || len(chosen) == 0) {
			continue
		}
		c := j.controls[i]
		if inside {
			c = c.ForCluster()
		}
		list, o := e.changes(c, x)
		if o != nil {
			o.Control, o.Title = x.Control, x.Title
			omitted = append(omitted, *o)
			continue
		}
		changes = append(changes, list...)
	}
	return changes, omitted
}

// changes fills in the remediation of one control.
func (e *evaluation) changes(c Control, x Finding) ([]change.Change, *change.Omission) {
	switch {
	case x.Status == StatusUnknown:
		return nil, &change.Omission{Code: "cannot", Reason: "whether it is needed is not known: " + x.Reason}
	case len(c.Remediation) == 0:
		return nil, &change.Omission{Code: "manual", Reason: "a person has to do this", Manual: oneLine(c.Manual)}
	}
	vars := e.vars.With(c.Params)
	if c.Needs != "" {
		truth, err := e.truth(c.Needs, vars, expr.True)
		if truth != expr.True {
			reason := "what it needs does not hold: " + oneLine(c.Needs)
			if err != nil && truth == expr.Unknown {
				reason = "whether what it needs holds is not known: " + err.Error()
			}
			return nil, &change.Omission{Code: "needs", Reason: reason, Manual: oneLine(c.Manual)}
		}
	}
	var out []change.Change
	for _, r := range c.Remediation {
		ch, err := e.change(c, r, vars)
		if err != nil {
			return nil, &change.Omission{Code: "cannot", Reason: err.Error()}
		}
		out = append(out, ch)
	}
	return out, nil
}

// change fills in one remediation. A fact that is not known, or a parameter that is empty where a value belongs, is an error:
// nothing is written with a hole in it.
func (e *evaluation) change(c Control, r Remediation, vars *expr.Vars) (change.Change, error) {
	var bad error
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(m string) string {
			v, err := e.placeholder(c, m[1:len(m)-1], vars)
			if err != nil {
				bad = errors.Join(bad, err)
				return m
			}
			return v
		})
	}
	out := change.Change{Control: c.ID, Kind: r.Kind, Text: fill(r.Text), Lockout: c.Lockout, Match: fill(r.Match), Section: r.Section,
		Path: fill(r.Path), Content: fill(r.Content), Mode: r.Mode, Owner: r.Owner, Ensure: r.Ensure, Separator: r.Separator, Unit: r.Unit,
		State: r.State, Install: r.Install, Purge: r.Purge, Block: r.Block, Options: fill(r.Options), Suite: fill(r.Suite),
		Components: fill(r.Components), URIs: fill(r.URIs), SignedBy: r.SignedBy, Name: fill(r.Name)}
	if r.Set != nil {
		out.Set = make(map[string]string, len(r.Set))
		for k, v := range r.Set {
			out.Set[k] = fill(v)
		}
	}
	if bad != nil {
		return change.Change{}, bad
	}
	if r.Each != "" {
		list, err := e.list(r.Each, vars)
		if err != nil {
			return change.Change{}, fmt.Errorf("what it would be done for is not known: %w", err)
		}
		out.Each = list
	}
	return out, nil
}

func (e *evaluation) list(text string, vars *expr.Vars) ([]string, error) {
	prg, err := e.judge.programs.get(text, expr.Strings)
	if err != nil {
		return nil, err
	}
	list, err := prg.Strings(vars)
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(append([]string{}, list...)), nil
}

// placeholder gives the value of {params.x}, {cluster} or the path of a fact. {cluster} stays: the kinds know the nodes.
func (e *evaluation) placeholder(c Control, name string, vars *expr.Vars) (string, error) {
	if k, ok := strings.CutPrefix(name, "params."); ok {
		v, ok := c.Params[k]
		if !ok {
			return "", fmt.Errorf("the parameter %s is not set", k)
		}
		return parameter(v), nil
	}
	if name == "cluster" {
		return "{cluster}", nil
	}
	p, err := e.judge.path(name)
	if err != nil {
		return "", err
	}
	o := vars.Look(p)
	if o.Err != nil {
		return "", o.Err
	}
	// What a host says of itself is put into files: it must be one short word or line, whole.
	if o.Value != oneLine(o.Value) || len(o.Value) > 200 || strings.HasSuffix(o.Value, "…") {
		return "", fmt.Errorf("%s is not a value that can be written into a file", name)
	}
	return o.Value, nil
}

// parameter writes a parameter as configuration files want it.
func parameter(v any) string {
	if list, ok := v.([]any); ok {
		words := make([]string, len(list))
		for i, x := range list {
			words[i] = parameter(x)
		}
		return strings.Join(words, ",")
	}
	return fmt.Sprint(v)
}
