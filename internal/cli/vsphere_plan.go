package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
	"github.com/castellan-project/castellan/internal/vsphere"
)

// planVSphere makes one plan for all machines of a vSphere, or for the one that is named.
func (a *app) planVSphere(ctx context.Context, target string, f *planFlags) error {
	if f.changes != "" || f.findings != "" {
		return usage("--changes and --findings are for hosts; choose what is repaired in %s with --control, --severity or --profile", redactUser(target))
	}
	base, only := splitVSphere(target)
	p, closer, err := a.planner(ctx, base, &f.operatorFlags)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // it was only read
	tree, ok := p.Machine.(*vsphereTree)
	if !ok {
		return exit(ExitTarget, fmt.Errorf("%s was not opened as vSphere", redactUser(target)))
	}
	list, err := onlyMachine(tree.machines(), only)
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("%s: %w", redactUser(target), err))
	}
	made, err := f.makeVSphere(p, base, list)
	if err != nil {
		return err
	}
	if n := len(tree.unread); n > 0 && only == "" {
		made.notes = append(made.notes, fmt.Sprintf("%s left out, because it cannot be read now: %s", countOf(n, "machine"), someOf(tree.unread)))
	}
	return a.deliver(f, made)
}

// splitVSphere parts vsphere://user@host[/machine] into the vSphere and the machine, empty for all of them.
func splitVSphere(target string) (base, only string) {
	authority, only, _ := strings.Cut(strings.TrimPrefix(target, "vsphere://"), "/")
	return "vsphere://" + authority, only
}

// onlyMachine finds a machine by its name, or by name and reference as reports write those whose name is not unique.
func onlyMachine(list []vsphere.VM, only string) ([]vsphere.VM, error) {
	if only == "" {
		return list, nil
	}
	var found []vsphere.VM
	for _, v := range list {
		if v.Name == only || v.Name+" ("+v.Ref+")" == only || v.Ref == only {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no machine %q, or you may not see it", only)
	case 1:
		return found, nil
	}
	var names []string
	for _, v := range found {
		names = append(names, v.Name+" ("+v.Ref+")")
	}
	return nil, fmt.Errorf("%d machines have the name %q; name one of %s", len(found), only, someOf(names))
}

// makeVSphere judges each machine and drafts what would repair them. What cannot be done for one machine is left out for that
// one only.
func (f *planFlags) makeVSphere(p *change.Planner, base string, list []vsphere.VM) (*madePlan, error) {
	judge := posture.NewJudge(f.env, f.judged(), f.waivers, f.attestations)
	made := &madePlan{titles: map[string]string{}, profile: f.profile}
	for _, c := range f.all {
		made.titles[c.ID] = c.Title
	}
	want, err := f.wanted(judge, nil, made)
	if err != nil {
		return nil, err
	}
	var changes []change.Change
	left := omissions{}
	running := 0
	for _, v := range list {
		if v.Running {
			running++
		}
		facts := collect.VMX(base+"/"+v.Name, v.Path, vsphereMachine(v), nil, p.Now)
		findings := judge.Evaluate(facts).Findings
		some, omitted := judge.Changes(facts, findings, *want)
		file := vsphereFile(v)
		placeVMX(some, file, true) // vSphere knows whether a machine runs, and takes settings for its next start
		for i := range some {
			some[i].Object = file
		}
		changes = append(changes, some...)
		left.add(omitted, v.Name)
		if len(list) == 1 {
			made.notes = append(made.notes, idle(findings, want.Controls)...)
		}
	}
	made.notes = append(made.notes, fmt.Sprintf("%s, %d of them running; a setting is in effect once its machine was powered off and on", countOf(len(list), "machine"), running))
	p.Titles = made.titles
	if made.plan, err = p.Plan(changes, left.list(len(list))); err != nil {
		return nil, exit(ExitTarget, err)
	}
	return made, nil
}

// omissions joins what is left out on many machines for the same reason.
type omissions map[change.Omission][]string

func (o omissions) add(list []change.Omission, machine string) {
	for _, x := range list {
		o[x] = append(o[x], machine)
	}
}

func (o omissions) list(all int) []change.Omission {
	out := make([]change.Omission, 0, len(o))
	for x, machines := range o {
		if all > 1 {
			x.Reason += " (" + countOf(len(machines), "machine") + ": " + someOf(machines) + ")"
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b change.Omission) int {
		return strings.Compare(a.Control+a.Code+a.Reason, b.Control+b.Code+b.Reason)
	})
	return out
}

// shownMachines is how many machines a sentence names.
const shownMachines = 3

// someOf names the first of a list, and how many there are beside.
func someOf(names []string) string {
	if n := len(names) - shownMachines; n > 0 {
		return strings.Join(names[:shownMachines], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}

// changedMachines tells what was changed of each machine; of other targets nothing.
func (a *app) changedMachines(target string, w change.Window) {
	if !isVSphere(target) {
		return
	}
	fmt.Fprintf(a.out, "changed %s:\n", countOf(len(w.Steps), "machine"))
	for _, s := range w.Steps {
		fmt.Fprintf(a.out, "  %s  %s\n", harmless(strings.TrimSuffix(strings.TrimPrefix(s.Path, "/"), ".vmx")), strings.Join(s.Controls, ", "))
	}
}
