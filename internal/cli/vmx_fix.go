package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/vmx"
)

// vmxFixFlags say what vmx fix repairs.
type vmxFixFlags struct {
	planFlags
	yes, running bool
}

func (a *app) vmxFixCommand() *cobra.Command {
	f := &vmxFixFlags{}
	cmd := &cobra.Command{
		Use:   "fix FILE|DIRECTORY...",
		Short: "Repair VMware guests, and be able to take it back",
		Long: `Fix judges each .vmx file, shows what would repair it, asks, and writes the file in one step. Order, spacing, comments, line
endings and encoding of what is not changed stay. What was before is kept in the state directory: castellan revert gives the
file its old bytes back. Every file is a transaction of its own, and one that cannot be repaired does not stop the others.

The file of a machine that runs (a lock, NAME.vmx.lck, lies beside it) is left alone: its hypervisor holds what it has read
and writes the file anew. A setting takes effect when its machine is powered off and on, not when the guest restarts.

Exit codes: 0 repaired, or nothing to do; 2 wrong usage; 3 a file could not be read or written; 4 refused: a machine runs,
or another change waits; 5 some files were repaired and others were not.`,
		Example: `  castellan vmx fix web.vmx
  castellan vmx fix --profile vmx-explicit --yes /vmfs/volumes/datastore1
  castellan vmx fix web.vmx --control VMX-06 --control VMX-14`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.vmxFix(cmd.Context(), f, args) },
	}
	fl := cmd.Flags()
	addRuleFlags(cmd, &f.rules)
	fl.Lookup("state").Usage = "`directory` of castellan's own state, where what was before is kept"
	fl.StringSliceVar(&f.controls, "control", nil, "repair these controls only (`ids`), also when the profile has them not")
	fl.StringArrayVar(&f.params, "param", nil, "give a control a parameter: `ID.name=value`; repeatable")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	fl.BoolVar(&f.running, "running", false, "change the file of a machine although it seems to run")
	fl.BoolVar(&f.json, "json", false, "print what was done as JSON")
	fl.BoolVar(&f.full, "full", false, "show long differences whole")
	return cmd
}

// fixed is what became of one file.
type fixed struct {
	File string `json:"file"`
	// Status is fixed, nothing (it needs no repair that castellan makes), refused or failed.
	Status      string   `json:"status"`
	Transaction string   `json:"transaction,omitempty"`
	Controls    []string `json:"controls,omitempty"`
	// Left are controls that fail and were not repaired, with why.
	Left  []change.Omission `json:"left,omitempty"`
	Error string            `json:"error,omitempty"`

	err  error
	code int
}

// vmxFix repairs one file after the other.
func (a *app) vmxFix(ctx context.Context, f *vmxFixFlags, args []string) error {
	for _, name := range args {
		if st, err := os.Stat(name); err == nil && !st.IsDir() && !isVMX(name) {
			return usage("%s is no .vmx file; castellan plan and castellan apply repair hosts", name)
		}
	}
	if !f.yes && !a.asksOn() {
		return usage("fix asks before it changes anything, and there is no terminal to ask on; --yes repairs without asking")
	}
	if err := f.prepare(""); err != nil {
		return err
	}
	files, err := findVMX(ctx, args)
	if err != nil {
		return err
	}
	// Ctrl-C stops between two files: each is whole.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make([]fixed, 0, len(files))
	for _, name := range files {
		if ctx.Err() != nil {
			break
		}
		x := fixed{File: name}
		if x.err = a.vmxFixOne(ctx, f, name, &x); x.err != nil {
			x.Status, x.code, x.Error = "failed", fixCode(x.err), x.err.Error()
			if x.code == ExitRefused {
				x.Status = "refused"
			}
		}
		a.toldFixed(f, x)
		done = append(done, x)
	}
	if f.json {
		b, err := json.MarshalIndent(struct {
			Version  string  `json:"version"`
			Machines []fixed `json:"machines"`
		}{"1", done}, "", "  ")
		if err == nil {
			_, err = a.out.Write(append(b, '\n'))
		}
		if err != nil {
			return exit(ExitTarget, fmt.Errorf("cannot print what was done: %w", err))
		}
	}
	return fixResult(done, len(files))
}

func fixCode(err error) int {
	var e *exitError
	if errors.As(changeExit(err), &e) {
		return e.code
	}
	return ExitTarget
}

// fixResult turns what became of the files into the exit code.
func fixResult(done []fixed, all int) error {
	var errs []error
	codes := []int{}
	for _, x := range done {
		if x.err != nil {
			errs, codes = append(errs, x.err), append(codes, x.code)
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	switch {
	case len(done) < all:
		return exit(ExitPartial, errors.Join(append(errs, fmt.Errorf("interrupted: %d of %s were looked at", len(done), countOf(all, "file")))...))
	case len(errs) == 0:
		return nil
	case len(errs) == all && len(codes) == 1:
		return exit(codes[0], errors.Join(errs...))
	}
	return exit(ExitPartial, errors.Join(errs...))
}

// vmxFixOne repairs one file; what it could not do is the error, and nothing of it was done then.
func (a *app) vmxFixOne(ctx context.Context, f *vmxFixFlags, name string, x *fixed) error {
	// A link is repaired where it leads: the directory that is opened is that of the file itself.
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot open the virtual machine: %w", err))
	}
	if err := repairable(real, name, f.running); err != nil {
		return err
	}
	flags := f.planFlags
	flags.machine = real
	flags.machineRuns = f.running
	p, closer, err := a.planner(ctx, filepath.Dir(real), &f.operatorFlags)
	if err != nil {
		return err
	}
	defer closer() //nolint:errcheck // every change was waited for
	made, err := flags.make(p)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	x.Left = made.plan.Omitted
	if len(made.plan.Windows) == 0 {
		x.Status = "nothing"
		return nil
	}
	x.Controls = made.plan.Windows[0].Controls
	a.showFix(f, name, made)
	if err := a.agree("Repair "+harmless(name)+"?", f.yes); err != nil {
		return err
	}
	e, err := a.engine(p, nil, f.stateDir, nil)
	if err != nil {
		return err
	}
	if err := unfinished(e, p.Host, f.stateDir); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	by := a.actor(a.connection())
	end := a.steady()
	t, err := e.Apply(p, made.plan, change.ApplyOptions{By: by})
	end()
	if err != nil {
		return fmt.Errorf("%s: %w", name, changeExit(err))
	}
	// Nothing is left to be waited for: the file of a machine that is off cuts nobody off, so it is confirmed at once. Taking it back
	// stays possible for ever.
	if t, err = e.Confirm(t.ID, by, change.ConfirmOptions{}); err != nil {
		return fmt.Errorf("%s: %w", name, changeExit(err))
	}
	x.Status, x.Transaction = "fixed", t.ID
	return nil
}

// repairable says why a file must not be changed, before anything is planned.
func repairable(real, name string, running bool) error {
	if !running && exists(real+".lck") {
		return exit(ExitRefused, fmt.Errorf("%s is in use: %s.lck lies beside it; power the machine off first, or give --running when the lock was left behind",
			name, filepath.Base(real)))
	}
	file, err := readVMX(real)
	if err != nil {
		return exit(ExitTarget, err)
	}
	if file.Encrypted() {
		return exit(ExitTarget, fmt.Errorf("%s belongs to an encrypted virtual machine; change it with vSphere or Workstation", name))
	}
	var bad []string
	for _, p := range file.Problems() {
		if p.Severity == vmx.Error {
			bad = append(bad, name+":"+p.Error())
		}
	}
	if len(bad) == 0 {
		return nil
	}
	text := ""
	for _, s := range bad {
		text += "\n  " + harmless(s)
	}
	return exit(ExitTarget, fmt.Errorf("%s has to be mended by hand first, because VMware cannot read it:%s", name, text))
}

// showFix shows what will be done to one file.
func (a *app) showFix(f *vmxFixFlags, name string, made *madePlan) {
	p := &planPage{color: a.color(a.err), full: f.full, made: made, told: map[string]bool{}}
	p.line("%s", p.strong(harmless(name)))
	for n, s := range made.plan.Windows[0].Steps {
		s.Path = name
		p.step(n+1, s)
	}
	p.line("")
	a.err.Write(p.buf.Bytes()) //nolint:errcheck // what cannot be shown is asked for all the same
}

// toldFixed says what became of one file; errors are told at the end.
func (a *app) toldFixed(f *vmxFixFlags, x fixed) {
	if f.json || x.err != nil {
		return
	}
	if x.Status == "nothing" {
		fmt.Fprintf(a.out, "%s: nothing to repair%s\n", harmless(x.File), leftWords(x.Left))
		return
	}
	fmt.Fprintf(a.out, "%s: %s repaired%s\n  in effect when the machine is powered off and on; to take it back: castellan revert %s%s\n",
		harmless(x.File), countOf(len(x.Controls), "control"), leftWords(x.Left), x.Transaction, stateArg(f.stateDir))
}

// leftWords says how many controls stay as they are.
func leftWords(left []change.Omission) string {
	persons := 0
	for _, o := range left {
		if o.Code == "manual" {
			persons++
		}
	}
	var parts []string
	if persons > 0 {
		parts = append(parts, fmt.Sprintf("%d for a person", persons))
	}
	if n := len(left) - persons; n > 0 {
		parts = append(parts, fmt.Sprintf("%d left out", n))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
