package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
)

type planFlags struct {
	rules
	operatorFlags
	sshFlags
	controls, params            []string
	changes, findings, severity string
	output                      string
	// machine is the .vmx file that is planned for, empty for hosts.
	machine string
	// machineRuns lets it be changed although it seems to run.
	machineRuns         bool
	json, full, console bool
}

func (a *app) planCommand() *cobra.Command {
	f := &planFlags{}
	cmd := &cobra.Command{
		Use:   "plan [TARGET]",
		Short: "Say exactly what would repair a host, and whether you would still get in",
		Long: `Plan judges a target, works out what would repair the controls that fail, and shows it: the difference of every
file, what is restarted, what it cuts, what needs a person, and whether each administrator still gets in afterwards.
Nothing is changed. With -o the plan is written to a file that castellan apply takes.

A target is local (the default), a directory that holds a root file system or parts of one, or ssh://user@host: then
this program is put there, makes the plan, and is removed.

Exit codes: 0 a plan was made, also when there is nothing to do; 2 wrong usage; 3 the target could not be read; 4 the
plan was made, and apply will refuse it because somebody would be locked out.`,
		Example: `  castellan plan -o plan.json
  castellan plan --control SSH-02 --control SSH-06
  castellan plan --admin alice@192.0.2.0/24 --param WEB-02.admin_networks=192.0.2.0/24 -o plan.json
  castellan plan ./rootfs --changes desired.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			target := "local"
			if len(args) > 0 {
				target = args[0]
			}
			return a.plan(cmd.Context(), f, target)
		},
	}
	fl := cmd.Flags()
	addRuleFlags(cmd, &f.rules)
	addOperatorFlags(cmd, &f.operatorFlags)
	addSSHFlags(cmd, &f.sshFlags)
	fl.StringSliceVar(&f.controls, "control", nil, "repair these controls only (`ids`), also when the profile has them not")
	fl.StringArrayVar(&f.params, "param", nil, "give a control a parameter: `ID.name=value`; repeatable")
	fl.StringVar(&f.changes, "changes", "", "`file` with changes that you want, in the words of a control's remediation")
	fl.StringVar(&f.findings, "findings", "", "repair what fails in this `bundle` and still fails on the target")
	fl.StringVar(&f.severity, "severity", "", "repair controls of this `severity` or worse: critical, high, medium, low, info")
	fl.StringVarP(&f.output, "output", "o", "", "write the plan to `FILE`, for castellan apply")
	fl.BoolVar(&f.json, "json", false, "print the plan as JSON")
	fl.BoolVar(&f.full, "full", false, "show long differences whole")
	fl.BoolVar(&f.console, "i-will-be-at-the-console", false, "a verdict that refuses does not count: you have another way in")
	return cmd
}

// plan makes a plan and shows it.
func (a *app) plan(ctx context.Context, f *planFlags, target string) error {
	if err := f.prepare(target); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(target, "ssh://"):
		return a.planRemote(ctx, target, f)
	case isVSphere(target):
		return a.planVSphere(ctx, target, f)
	case strings.HasPrefix(target, "pve://"):
		return exit(ExitTarget, fmt.Errorf("%s is the API of a cluster, which is only read; make the plan on a node of it", target))
	}
	if f.machine != "" {
		target = filepath.Dir(f.machine)
	}
	p, closer, err := a.planner(ctx, target, &f.operatorFlags)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // it was only read
	made, err := f.make(p)
	if err != nil {
		return err
	}
	return a.deliver(f, made)
}

// prepare checks the flags and loads what they name.
func (f *planFlags) prepare(target string) error {
	if f.severity != "" && posture.Severity(f.severity).Rank() < 0 {
		return usage("--severity %s: there is no such severity; critical, high, medium, low or info", f.severity)
	}
	if err := f.operatorFlags.check(); err != nil {
		return err
	}
	if st, err := os.Stat(target); err == nil && st.Mode().IsRegular() && isVMX(target) {
		f.machine = target
	} else if err == nil && st.Mode().IsRegular() && target != "local" {
		return usage("%s is a file, and a plan is made on a host; to repair what fails in a bundle: castellan plan --findings %s [TARGET]", target, target)
	}
	if f.output != "" {
		if err := replaceable(f.output); err != nil {
			return err
		}
	}
	if err := f.load(); err != nil {
		return err
	}
	for i, id := range f.controls {
		id = strings.ToUpper(strings.TrimSpace(id))
		if !hasControl(f.all, id) {
			return usage("--control %s: there is no such control%s", id, likeControls(id, f.all))
		}
		f.controls[i] = id
	}
	for _, p := range f.params {
		if err := f.setParam(p); err != nil {
			return usage("--param %s: %w", p, err)
		}
	}
	return nil
}

// replaceable reports why a file must not be overwritten: it is there, and is no plan.
func replaceable(name string) error {
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return nil //nolint:nilerr // what cannot be written is told when it is written
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot look at %s before it is replaced: %w", name, err))
	}
	var p struct {
		Digest  string             `json:"digest"`
		Windows *[]json.RawMessage `json:"windows"`
	}
	if json.Unmarshal(b, &p) != nil || p.Digest == "" || p.Windows == nil {
		return usage("%s exists and is no plan; it is not overwritten", name)
	}
	return nil
}

// madePlan is a plan with what a person is told about it.
type madePlan struct {
	plan  *change.Plan
	notes []string
	// titles of the controls by id.
	titles  map[string]string
	profile string
}

// make judges the target and drafts what would repair it.
func (f *planFlags) make(p *change.Planner) (*madePlan, error) {
	facts, err := f.facts(p)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	controls := f.judged()
	judge := posture.NewJudge(f.env, controls, f.waivers, f.attestations)
	findings := judge.Evaluate(facts).Findings
	made := &madePlan{titles: map[string]string{}, profile: f.profile}
	for _, c := range f.all {
		made.titles[c.ID] = c.Title
	}
	want, err := f.wanted(judge, facts, made)
	if err != nil {
		return nil, err
	}
	var changes []change.Change
	var omitted []change.Omission
	if want != nil {
		if changes, omitted, err = f.changesFor(p, judge, facts, findings, *want); err != nil {
			return nil, exit(ExitTarget, err)
		}
		made.notes = append(made.notes, idle(findings, want.Controls)...)
	}
	if f.changes != "" {
		src, err := os.ReadFile(f.changes)
		if err != nil {
			return nil, usage("cannot read the changes: %w", err)
		}
		list, err := posture.ParseDesired(f.changes, src, f.env)
		if err != nil {
			return nil, exit(ExitUsage, err)
		}
		more, not := judge.Desired(facts, list)
		changes, omitted = append(changes, more...), append(omitted, not...)
		for _, d := range list {
			if made.titles[d.Control] == "" {
				made.titles[d.Control] = "wanted by " + f.changes
			}
		}
	}
	p.Titles = made.titles
	if made.plan, err = p.Plan(changes, omitted); err != nil {
		return nil, exit(ExitTarget, err)
	}
	return made, nil
}

// changesFor fills in what repairs the findings. What passes now and would fail after the changes belongs to the same plan: a jail
// that is new needs its list of whom never to ban.
func (f *planFlags) changesFor(p *change.Planner, judge *posture.Judge, facts *posture.Facts, findings []posture.Finding, want posture.Wanted) ([]change.Change, []change.Omission, error) {
	changes, omitted := judge.Changes(facts, findings, want)
	if f.machine != "" {
		placeVMX(changes, "/"+filepath.Base(f.machine), f.machineRuns)
		return changes, omitted, nil
	}
	then, err := p.After(changes)
	if err != nil {
		return nil, nil, err
	}
	after, err := collect.Run(then, p.Target, collect.All())
	if err != nil {
		return nil, nil, err
	}
	var caused, spoiled []posture.Finding
	for _, x := range judge.Evaluate(after).Findings {
		i := slices.IndexFunc(findings, func(y posture.Finding) bool { return y.Control == x.Control })
		if i >= 0 && x.Status == posture.Fail && (findings[i].Status == posture.Pass || findings[i].Status == posture.NotApplicable) {
			caused = append(caused, x)
		}
		if x.Status == posture.Fail && slices.ContainsFunc(changes, func(c change.Change) bool { return c.Control == x.Control }) {
			spoiled = append(spoiled, x)
		}
	}
	if len(caused)+len(spoiled) > 0 {
		changes, omitted = judge.ChangesWith(facts, findings, after, caused, spoiled, want)
	}
	return changes, omitted, nil
}

// facts reads what is judged: the host, or the virtual machine.
func (f *planFlags) facts(p *change.Planner) (*posture.Facts, error) {
	if f.machine != "" {
		return vmxFacts(f.machine, p.Now)
	}
	return collect.Run(p.Machine, p.Target, collect.All())
}

// judged are the controls that are judged: those of the profile, those that were named, and those that have to come first.
func (f *planFlags) judged() []posture.Control {
	controls := slices.Clone(f.chosen)
	add := func(id string) {
		if c, ok := find(f.all, id); ok && !hasControl(controls, id) {
			controls = append(controls, c)
		}
	}
	for _, id := range f.controls {
		add(id)
	}
	for id, first := range posture.Prerequisites() {
		if hasControl(controls, id) {
			for _, x := range first {
				add(x)
			}
		}
	}
	posture.SortControls(controls)
	return controls
}

// wanted says which controls are repaired; nil for none: then only --changes are made.
func (f *planFlags) wanted(judge *posture.Judge, facts *posture.Facts, made *madePlan) (*posture.Wanted, error) {
	w := &posture.Wanted{Controls: f.controls, Worst: posture.Severity(f.severity), Only: []string{}}
	for _, c := range f.chosen {
		w.Only = append(w.Only, c.ID)
	}
	if f.findings == "" {
		if f.changes != "" && len(f.controls) == 0 {
			return nil, nil
		}
		return w, nil
	}
	then, err := bundleFacts(f.findings)
	if err != nil {
		return nil, exit(ExitTarget, err)
	}
	if a, b := then.Target.Hostname, facts.Target.Hostname; a != "" && b != "" && a != b {
		return nil, usage("the bundle %s is of the host %s, and the target is %s; a plan is made from findings of its own host", f.findings, a, b)
	}
	w.Only = []string{}
	for _, x := range judge.Evaluate(then).Findings {
		if x.Status == posture.Fail && (len(f.controls) == 0 || slices.Contains(f.controls, x.Control)) {
			w.Only = append(w.Only, x.Control)
		}
	}
	made.notes = append(made.notes, fmt.Sprintf("%d controls fail in %s", len(w.Only), f.findings))
	w.Controls = nil
	return w, nil
}

// idle says of controls that were chosen by name why nothing is done about them.
func idle(findings []posture.Finding, chosen []string) []string {
	var notes []string
	for _, id := range chosen {
		i := slices.IndexFunc(findings, func(x posture.Finding) bool { return x.Control == id })
		if i < 0 {
			continue
		}
		switch x := findings[i]; x.Status {
		case posture.Pass:
			notes = append(notes, id+" passes already: "+x.Title)
		case posture.NotApplicable:
			notes = append(notes, id+" does not apply: "+x.Reason)
		case posture.Waived:
			notes = append(notes, id+" is "+x.Reason)
		case posture.Manual:
			notes = append(notes, id+" asks a person to "+x.Reason)
		}
	}
	return notes
}

// deliver prints and writes the plan, and turns what the guards say into the exit code.
func (a *app) deliver(f *planFlags, m *madePlan) error {
	b, err := json.MarshalIndent(m.plan, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the plan: %w", err)
	}
	b = append(b, '\n')
	if f.json {
		if _, err := a.out.Write(b); err != nil {
			return exit(ExitTarget, err)
		}
	} else if err := a.showPlan(m, planView{full: f.full, file: f.output}); err != nil {
		return exit(ExitTarget, err)
	}
	if f.output != "" {
		if err := a.writeFile(f.output, b); err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot write the plan: %w", err))
		}
	}
	if n := len(refusals(m.plan)); n > 0 && !f.console {
		return exit(ExitRefused, errors.New("apply will refuse this plan: somebody would be locked out (see above), or it cannot be shown that nobody is"))
	}
	return nil
}

// refusals are the verdicts that refuse, of all windows.
func refusals(p *change.Plan) []change.Verdict {
	var out []change.Verdict
	for _, w := range p.Windows {
		for _, v := range w.Verdicts {
			if !v.Admitted {
				out = append(out, v)
			}
		}
	}
	return out
}
