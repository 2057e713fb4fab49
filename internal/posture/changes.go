package posture

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/expr"
)

// Wanted says which failing controls shall be repaired.
type Wanted struct {
	// Controls are the ids that were chosen by name; empty means all that fail.
	Controls []string
	// Worst is the mildest severity that is repaired; empty means all.
	Worst Severity
	// Only, unless nil, are the controls of the profile; others are judged for what depends on them, and not repaired.
	Only []string
}

func (w Wanted) has(f Finding) bool {
	if len(w.Controls) > 0 {
		return slices.Contains(w.Controls, f.Control)
	}
	return (w.Worst == "" || f.Severity.Rank() <= w.Worst.Rank()) && (w.Only == nil || slices.Contains(w.Only, f.Control))
}

// Prerequisites are controls that have to hold before the remediation of another is made, by the id of that other one. What else has
// to come first is said by the control itself (needs), or watched by the guards.
//
// table: the order of repairs that locks nobody out
func Prerequisites() map[string][]string {
	return map[string][]string{
		// A ban engine that runs before it knows whom never to ban, bans the administrator.
		"BAN-01": {"BAN-07"},
	}
}

// Changes turns findings into what the plan shall do: for each failing control that is wanted, its remediation with parameters, facts
// and lists filled in; or why nothing is done about it. A control that was chosen and does not fail is no omission: there is
// nothing to do.
func (j *Judge) Changes(f *Facts, findings []Finding, want Wanted) ([]change.Change, []change.Omission) {
	changes, omitted := j.fill(f, findings, want)
	return inOrder(changes, omitted, findings)
}

// ChangesWith is Changes with regard to the host as it will be after them. caused are findings that fail only then: what repairs
// them comes with it. spoiled are findings that were to be repaired and fail then all the same: those whose repair may not be made
// any more, because another change took away what it needs, are left out. Everything else is filled in from the host as it is:
// afterwards its lists of what has to be repaired are empty.
func (j *Judge) ChangesWith(f *Facts, findings []Finding, after *Facts, caused, spoiled []Finding, want Wanted) ([]change.Change, []change.Omission) {
	changes, omitted := j.fill(f, findings, want)
	_, gone := j.fill(after, spoiled, want)
	for _, o := range gone {
		if o.Code == "needs" {
			o.Reason = "another change of this plan takes away what it needs: " + o.Reason
			omitted = append(omitted, o)
			changes = slices.DeleteFunc(changes, func(c change.Change) bool { return c.Control == o.Control })
		}
	}
	more, not := j.fill(after, caused, want)
	findings = slices.Clone(findings)
	for _, x := range caused {
		if i := slices.IndexFunc(findings, func(y Finding) bool { return y.Control == x.Control }); i >= 0 {
			findings[i] = x
		}
	}
	return inOrder(append(changes, more...), append(omitted, not...), findings)
}

// fill fills in the remediations of the findings that are wanted.
func (j *Judge) fill(f *Facts, findings []Finding, want Wanted) ([]change.Change, []change.Omission) {
	e := &evaluation{judge: j, facts: f, vars: j.env.Bind(f, f.Target.CollectedAt)}
	member, err := f.OS.Cluster.Get()
	inside := err == nil && member.(bool)
	var changes []change.Change
	var omitted []change.Omission
	for _, x := range findings {
		i := slices.IndexFunc(j.controls, func(c Control) bool { return c.ID == x.Control })
		if i < 0 || !want.has(x) || x.Status != Fail && (x.Status != StatusUnknown || len(want.Controls) == 0) {
			continue
		}
		c := j.controls[i]
		if err == nil && !inside && c.Lockout == "cluster" {
			c.Lockout = "session" // there are no other nodes to be cut off
		}
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

// inOrder puts what has to come first first, and leaves out what would come too early.
func inOrder(changes []change.Change, omitted []change.Omission, findings []Finding) ([]change.Change, []change.Omission) {
	before := Prerequisites()
	var first, out []change.Change
	for _, c := range changes {
		c.After = nil
		missing := ""
		for _, id := range before[c.Control] {
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Control == id })
			switch {
			case slices.ContainsFunc(changes, func(x change.Change) bool { return x.Control == id }):
				c.After = append(c.After, id)
			case i < 0 || findings[i].Status == Fail || findings[i].Status == StatusUnknown || findings[i].Status == Manual:
				missing = id
			}
		}
		switch {
		case missing != "":
			if !slices.ContainsFunc(omitted, func(o change.Omission) bool { return o.Control == c.Control }) {
				omitted = append(omitted, change.Omission{Control: c.Control, Title: title(findings, c.Control), Code: "needs",
					Reason: missing + " comes first, and is not in this plan: " + title(findings, missing)})
			}
		case slices.ContainsFunc(changes, func(x change.Change) bool { return slices.Contains(before[x.Control], c.Control) }):
			first = append(first, c)
		default:
			out = append(out, c)
		}
	}
	return append(first, out...), omitted
}

func title(findings []Finding, id string) string {
	for _, f := range findings {
		if f.Control == id {
			return f.Title
		}
	}
	return "it was not judged"
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
			if missing := emptyParams(c); len(missing) > 0 {
				reason = "it needs a value that only you know: --param " + strings.Join(missing, " --param ")
			}
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

// emptyParams lists the parameters that the needs of a control ask for and that have no value, as the command line takes them.
func emptyParams(c Control) []string {
	var out []string
	for _, m := range paramUse.FindAllStringSubmatch(c.Needs, -1) {
		text := c.ID + "." + m[1] + "=" + strings.ToUpper(m[1])
		if v, ok := c.Params[m[1]]; ok && parameter(v) == "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// factPath is what a fact or a parameter looks like in braces.
var factPath = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// change fills in one remediation. A fact that is not known, or a parameter that is empty where a value belongs, is an error:
// nothing is written with a hole in it.
func (e *evaluation) change(c Control, r Remediation, vars *expr.Vars) (change.Change, error) {
	var bad error
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(m string) string {
			if !factPath.MatchString(m[1:len(m)-1]) && m != "{cluster}" {
				return m // braces of a regular expression or of a program's own
			}
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
		list, err := e.list(string(r.Each), vars)
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
