package posture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/castellan-project/castellan/internal/expr"
)

// Judge evaluates facts against a set of controls. It is made once and serves any number of targets, at the same
// time: compiled checks are shared.
type Judge struct {
	env          *expr.Env
	controls     []Control
	waivers      []Waiver
	attestations []Attestation
	programs     programs
	paths        sync.Map // text -> expr.Path
}

// NewJudge returns a judge for the controls of a profile.
func NewJudge(env *expr.Env, controls []Control, waivers []Waiver, attestations []Attestation) *Judge {
	controls = slices.Clone(controls)
	for i := range controls {
		// Texts are folded once, so that the findings of thousands of hosts share them.
		c := &controls[i]
		c.Rationale, c.Manual = oneLine(c.Rationale), oneLine(c.Manual)
		if c.Cluster != nil {
			v := *c.Cluster
			v.Rationale, v.Manual = oneLine(v.Rationale), oneLine(v.Manual)
			c.Cluster = &v
		}
	}
	return &Judge{env: env, controls: controls, waivers: waivers, attestations: attestations,
		programs: programs{env: env, byText: map[string]*compiled{}}}
}

// Prepare compiles what every target needs, on several processors.
func (j *Judge) Prepare(workers int) {
	texts := make(chan string)
	var wg sync.WaitGroup
	for range max(workers, 1) {
		wg.Go(func() {
			for t := range texts {
				_, _ = j.programs.get(t, expr.Bool) // an error is met again, and told, by the control that uses it
			}
		})
	}
	for _, c := range j.controls {
		for _, t := range []string{c.Check, c.Applies} {
			if t != "" {
				texts <- t
			}
		}
	}
	close(texts)
	wg.Wait()
}

// path parses the path of a fact once.
func (j *Judge) path(text string) (expr.Path, error) {
	if p, ok := j.paths.Load(text); ok {
		return p.(expr.Path), nil
	}
	p, err := j.env.ParsePath(text)
	if err == nil {
		j.paths.Store(text, p)
	}
	return p, err
}

// programs compiles each expression once.
type programs struct {
	env    *expr.Env
	mu     sync.Mutex
	byText map[string]*compiled
}

type compiled struct {
	once sync.Once
	prg  *expr.Program
	err  error
}

func (p *programs) get(text string, kind expr.Kind) (*expr.Program, error) {
	key := string(rune('0'+kind)) + text
	p.mu.Lock()
	c, ok := p.byText[key]
	if !ok {
		c = &compiled{}
		p.byText[key] = c
	}
	p.mu.Unlock()
	c.once.Do(func() { c.prg, c.err = p.env.Compile(text, kind) })
	return c.prg, c.err
}

// Evaluate judges one host. The findings come in the order of the controls.
func (j *Judge) Evaluate(f *Facts) TargetReport {
	e := &evaluation{judge: j, facts: f, vars: j.env.Bind(f, f.Target.CollectedAt)}
	n := 0 // a virtual machine has a tenth of the controls of a host, and its findings are kept
	for _, c := range j.controls {
		if judges(f.Target.Kind, c.Group) {
			n++
		}
	}
	findings := make([]Finding, 0, n)
	for _, c := range j.controls {
		if judges(f.Target.Kind, c.Group) {
			findings = append(findings, e.judgeOne(c))
		}
	}
	r := TargetReport{Target: f.Target.Name, Kind: f.Target.Kind, Hostname: f.Target.Hostname, CollectedAt: f.Target.CollectedAt,
		OS: osWords(f.OS), Cluster: f.OS.Cluster.IsKnown() && f.OS.Cluster.Value, Findings: findings, Counts: Count(findings)}
	r.ClusterName, r.Members = f.OS.ClusterName.Value, members(f.OS)
	r.Score, r.Grade = Score(findings)
	r.Readable = readable(r.Counts)
	r.Unread = f.Target.Unread
	r.Notices = notices(f, findings, r)
	r.guests = openGuests(f)
	return r
}

func members(o OS) []string {
	var names []string
	for _, n := range o.Nodes.Value {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

func osWords(o OS) string {
	var s []string
	if o.PVEVersion.IsKnown() && o.PVEVersion.Value != "" {
		s = append(s, "Proxmox VE "+o.PVEVersion.Value)
	}
	if o.ID.IsKnown() {
		s = append(s, strings.TrimSpace(o.ID.Value+" "+o.Version.Value))
	}
	return strings.Join(s, ", ")
}

// readable is the share of controls, among those that a machine can answer and that apply, with a known result.
func readable(c Counts) int {
	known := c.Pass + c.Fail + c.Waived
	if known+c.Unknown == 0 {
		return 0
	}
	return 100 * known / (known + c.Unknown)
}

// littleReadable is the share below which a report says on top that it proves little.
const littleReadable = 75

func notices(f *Facts, fs []Finding, r TargetReport) []string {
	n := slices.Clone(f.Target.Faults)
	if f.Target.Kind == KindAPI {
		n = append(n, "only the cluster is judged: the API does not show the hosts; scan each node with ssh:// or on the node itself for the rest")
	}
	if len(f.Target.Unread) > 0 {
		n = append(n, fmt.Sprintf("partial: %s", more(f.Target.Unread)))
	}
	if len(f.Target.Limits) > 0 {
		n = append(n, more(f.Target.Limits))
	}
	if r.Readable < littleReadable {
		n = append(n, fmt.Sprintf("only %d %% of the controls could be judged; the score says little", r.Readable))
	}
	needRoot, expired := 0, 0
	for _, x := range fs {
		if x.NeedsRoot {
			needRoot++
		}
		if x.Code == CodeExpired {
			expired++
		}
	}
	if needRoot > 0 && f.Target.Kind == KindAPI {
		n = append(n, plural(needRoot, "finding needs", "findings need")+" more privileges than the API token has")
	} else if needRoot > 0 {
		n = append(n, plural(needRoot, "finding needs", "findings need")+" the rights of root; scan again as root")
	}
	if f.Target.Kind == KindVMX {
		n = append(n, vmxNotice(f.VMX))
	} else if !f.Target.Live {
		n = append(n, "this is a copy, not a running host: running values are what a boot would give")
	}
	if expired > 0 {
		n = append(n, plural(expired, "waiver has", "waivers have")+" expired")
	}
	return n
}

// vmxNotice tells what is configured from what is in effect: settings take effect at a power on (DISA VMCH-80, fix texts).
func vmxNotice(x VMXFacts) string {
	switch {
	case on(x.Pending):
		return "the machine was changed after it was powered on: what is judged here is in effect only when it is powered off and on"
	case x.Pending.IsKnown() && on(x.Running):
		return "the machine was not changed since it was powered on: what is judged here is in effect"
	case x.Running.IsKnown() && !x.Running.Value:
		return "the machine is off: what is judged here is in effect when it is powered on"
	}
	return "settings take effect when the machine is powered off and on, not at a restart of the guest"
}

// more is the first of a list and how many there are beside it.
func more(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return fmt.Sprintf("%s (and %d more)", list[0], len(list)-1)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// evaluation is the judging of one target.
type evaluation struct {
	judge *Judge
	facts *Facts
	vars  *expr.Vars
}

// judgeOne chooses the variant for clusters and judges. When it is not known whether the host is in a cluster, both
// variants have to agree.
func (e *evaluation) judgeOne(c Control) Finding {
	if c.Cluster == nil {
		return e.finish(c, e.judge1(c))
	}
	member, err := e.facts.OS.Cluster.Get()
	if err == nil {
		if member.(bool) {
			c = c.ForCluster()
		}
		return e.finish(c, e.judge1(c))
	}
	alone, inside := e.judge1(c), e.judge1(c.ForCluster())
	if alone.Status == inside.Status {
		return e.finish(c, alone)
	}
	alone.Status, alone.Code = StatusUnknown, CodeUnreadable
	alone.Reason = "whether this host is in a cluster is not known: " + err.Error()
	alone.NeedsRoot = needsRoot(err)
	return e.finish(c, alone)
}

// judge1 gives status, code and reason, and the evidence.
func (e *evaluation) judge1(c Control) Finding {
	f := Finding{Control: c.ID, Severity: c.Severity, Title: c.Title, Lockout: c.Lockout, Refs: c.Refs, Obsolete: c.Obsolete,
		Manual: c.Manual, Rationale: c.Rationale, Group: c.Group, Level: c.Level,
		Evidence: []Evidence{}, Remediation: []Advice{}}
	vars := e.vars.With(c.Params)
	truth, err := e.truth(c.Applies, vars, expr.True)
	if truth == expr.False {
		f.Status, f.Code, f.Reason = NotApplicable, CodeNotApplies, c.NotApplicable
		if f.Reason == "" {
			f.Reason = "does not apply to this host"
		}
		return f
	}
	if truth == expr.True {
		truth, err = e.truth(c.Check, vars, expr.Unknown)
	}
	f.Evidence = e.evidence(c, vars)
	switch {
	case truth == expr.True:
		f.Status, f.Code, f.Reason = Pass, CodePassed, c.Title
	case truth == expr.False:
		f.Status, f.Code, f.Reason = Fail, CodeFailed, e.text(c, c.Fail, vars)
		f.Remediation = e.advice(c, vars)
	case c.Attest != nil:
		e.attested(c, &f)
	default:
		f.Status, f.Code, f.Reason = StatusUnknown, CodeUnreadable, err.Error()
		f.NeedsRoot = needsRoot(err) && !e.facts.Target.Root
	}
	return f
}

func needsRoot(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code == "permission"
}

// truth evaluates an expression; an empty one gives the value that its absence means.
func (e *evaluation) truth(text string, vars *expr.Vars, absent expr.Truth) (expr.Truth, error) {
	if text == "" {
		return absent, errors.New("a machine cannot answer this control")
	}
	prg, err := e.judge.programs.get(text, expr.Bool)
	if err != nil {
		return expr.Unknown, err
	}
	return prg.Truth(vars)
}

// attested answers a control by a person's word.
func (e *evaluation) attested(c Control, f *Finding) {
	f.Status, f.Code = Manual, CodeAttestNeeded
	f.Reason = "look and attest: " + c.Title
	for _, a := range e.judge.attestations {
		if a.Control != c.ID || !covers(a.Target, e.facts.Target) {
			continue
		}
		limit := a.Made.AddDays(c.Attest.Days)
		until := a.Until
		if until.After(limit) {
			until = limit
		}
		if !until.Holds(e.facts.Target.CollectedAt) {
			f.Code, f.Reason = CodeAttestOld, fmt.Sprintf("the attestation by %s ended on %s", a.By, until)
			continue
		}
		f.Status, f.Code = Pass, CodeAttested
		f.Reason = fmt.Sprintf("attested by %s until %s", a.By, until)
		f.Evidence = append(f.Evidence, Evidence{Path: "attestation", Value: a.Note, Origin: "attested", Source: a.By + ", " + a.Made.String()})
		return
	}
}

// finish applies waivers.
func (e *evaluation) finish(c Control, f Finding) Finding {
	if f.Status == Pass || f.Status == NotApplicable {
		return f
	}
	for _, w := range e.judge.waivers {
		if w.Control != c.ID || !covers(w.Target, e.facts.Target) {
			continue
		}
		f.Waiver = &w
		if w.Expires.Holds(e.facts.Target.CollectedAt) {
			f.Status, f.Code = Waived, CodeWaived
			f.Reason = fmt.Sprintf("waived by %s until %s: %s", w.Approver, w.Expires, w.Reason)
			return f
		}
		f.Code = CodeExpired
	}
	if f.Code == CodeExpired {
		f.Reason = fmt.Sprintf("the waiver by %s expired on %s: %s", f.Waiver.Approver, f.Waiver.Expires, f.Reason)
	}
	return f
}

func (e *evaluation) evidence(c Control, vars *expr.Vars) []Evidence {
	out := make([]Evidence, 0, len(c.Evidence))
	for _, text := range c.Evidence {
		p, err := e.judge.path(text)
		if err != nil {
			continue // the control was validated when it was loaded
		}
		o := vars.Look(p)
		ev := Evidence{Path: text, Value: o.Value, Origin: o.Origin, Source: o.Source}
		if o.Err != nil {
			ev.Problem = oneLine(o.Err.Error())
		}
		out = append(out, ev)
	}
	return out
}

// text fills the {paths} of a fail text.
func (e *evaluation) text(c Control, text string, vars *expr.Vars) string {
	return oneLine(placeholder.ReplaceAllStringFunc(text, func(m string) string {
		name := m[1 : len(m)-1]
		if name == "offenders" {
			return e.offenders(c, vars)
		}
		if k, ok := strings.CutPrefix(name, "params."); ok {
			return expr.Words(c.Params[k])
		}
		p, err := e.judge.path(name)
		if err != nil {
			return m
		}
		o := vars.Look(p)
		if o.Err != nil {
			return "unknown"
		}
		return o.Value
	}))
}

// shownOffenders bounds how many offenders a reason names.
const shownOffenders = 5

func (e *evaluation) offenders(c Control, vars *expr.Vars) string {
	if c.Offenders == "" {
		return "none"
	}
	prg, err := e.judge.programs.get(c.Offenders, expr.Strings)
	if err != nil {
		return "unknown"
	}
	list, err := prg.Strings(vars)
	if err != nil {
		return "unknown"
	}
	if len(list) == 0 {
		return "none"
	}
	if more := len(list) - shownOffenders; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:shownOffenders], ", "), more)
	}
	return strings.Join(list, ", ")
}

// advice says the steps of the remediation, with their parameters and facts filled in.
func (e *evaluation) advice(c Control, vars *expr.Vars) []Advice {
	out := make([]Advice, 0, len(c.Remediation))
	for _, r := range c.Remediation {
		words := placeholder.ReplaceAllStringFunc(r.Words(), func(m string) string {
			name := m[1 : len(m)-1]
			if k, ok := strings.CutPrefix(name, "params."); ok {
				if v, ok := c.Params[k]; ok {
					return expr.Words(v)
				}
				return m
			}
			if name == "cluster" {
				return "the addresses of the cluster's nodes"
			}
			p, err := e.judge.path(name)
			if err != nil {
				return m
			}
			if o := vars.Look(p); o.Err == nil {
				return o.Value
			}
			return m
		})
		out = append(out, Advice{Kind: r.Kind, Text: oneLine(words)})
	}
	return out
}

// oneLine folds white space and control characters, so that nothing from a host can break a line of a report.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' }), " ")
}
