package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/report"
)

type scanFlags struct {
	rules
	targetFlags
	formats      []string
	output       string
	failOn       string
	verbose, all bool
	quiet, json  bool
}

func (a *app) scanCommand() *cobra.Command {
	f := &scanFlags{}
	cmd := &cobra.Command{
		Use:   "scan [TARGET...]",
		Short: "Judge hosts against the catalogue of controls",
		Long: `Scan reads each target, judges it against the controls of a profile, and prints the findings, worst first.

A target is local (the default), ssh://user@host[:port], pve://host:8006 (the API of a cluster, with a token), a
directory that holds a root file system or a copy of parts of one, a bundle that castellan collect wrote, or a VMware
guest: a .vmx file, a directory that holds such files and no host, or vsphere://user@vcenter for all of its machines. Nothing is changed and nothing is installed
anywhere.

Exit codes: 0 no finding at or above --fail-on, 1 such findings, 2 wrong usage or configuration, 3 no target could
be read, 5 some targets, or parts of one, could not be read.`,
		Example: `  castellan scan
  castellan scan --profile strict -v
  castellan scan ssh://root@pve1 ssh://root@pve2 --format html -o report.html
  castellan scan --targets hosts.txt --format json,sarif -o report`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.scan(cmd.Context(), f, args) },
	}
	fl := cmd.Flags()
	addRuleFlags(cmd, &f.rules)
	addTargetFlags(cmd, &f.targetFlags)
	fl.StringSliceVar(&f.formats, "format", []string{"text"}, "output `formats`: "+strings.Join(report.Formats(), ", ")+"; several need -o")
	fl.BoolVar(&f.json, "json", false, "the same as --format json")
	fl.StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of standard output; with several formats their names are appended")
	fl.StringVar(&f.failOn, "fail-on", "high", "exit with 1 when a control of this `severity` or worse fails: critical, high, medium, low, info, none")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show evidence, fix and references of each finding")
	fl.BoolVar(&f.all, "all", false, "list passing, waived, manual and not applicable controls too")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress display")
	return cmd
}

func addRuleFlags(cmd *cobra.Command, r *rules) {
	fl := cmd.Flags()
	fl.StringVar(&r.profile, "profile", "baseline", "`profile` of controls: "+strings.Join(profileNames(), ", ")+", or a file")
	fl.StringVar(&r.controlsDir, "controls", "", "`directory` with controls of your own, added to ours")
	fl.StringVar(&r.waiversFile, "waivers", "", "`file` with waivers")
	fl.StringVar(&r.stateDir, "state", defaultState, "`directory` of castellan's own state (attestations)")
}

func addTargetFlags(cmd *cobra.Command, t *targetFlags) {
	fl := cmd.Flags()
	fl.StringVar(&t.listFile, "targets", "", "`file` with one target a line, # for comments")
	fl.StringSliceVarP(&t.identities, "identity", "i", nil, "private key `file` for SSH (default: agent, then ~/.ssh/id_*)")
	fl.StringVar(&t.knownHosts, "known-hosts", "", "known_hosts `file` (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	addAPIFlags(fl, &t.api)
	addVSphereFlags(fl, &t.vsphere)
	fl.StringSliceVar(&t.backends, "backend", nil, "judge the PVE firewall as `program` reads it: iptables, nftables or both (default: the one each node has chosen)")
	fl.IntVar(&t.workers, "parallel", max(4, 2*runtime.GOMAXPROCS(0)), "`number` of targets read at the same time")
}

const defaultState = "/var/lib/castellan"

func (f *scanFlags) check() error {
	if f.json {
		f.formats = []string{"json"}
	}
	if f.failOn != "none" && posture.Severity(f.failOn).Rank() < 0 {
		return usage("--fail-on %s: there is no such severity; critical, high, medium, low, info or none", f.failOn)
	}
	for _, x := range f.formats {
		if !slices.Contains(report.Formats(), x) {
			return usage("--format %s: there is no such format; %s", x, strings.Join(report.Formats(), ", "))
		}
	}
	if len(f.formats) > 1 && f.output == "" {
		return usage("several formats need -o NAME, to which .txt, .json and so on are appended")
	}
	return nil
}

func (a *app) scan(ctx context.Context, f *scanFlags, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	names, err := f.names(args)
	if err != nil {
		return err
	}
	names = expandVMX(ctx, names)
	if err := f.load(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if names, err = a.expandVSphere(ctx, names, &f.targetFlags); err != nil {
		return err
	}
	judge := posture.NewJudge(f.env, f.chosen, f.waivers, f.attestations)
	go judge.Prepare(runtime.GOMAXPROCS(0)) // while the first target is read
	rep := &posture.Report{Version: posture.ReportVersion, Tool: "castellan " + Version(), Profile: f.profile,
		CatalogueDigest: posture.Digest(f.chosen), Targets: []posture.TargetReport{}}
	out, err := a.newOutput(f, rep)
	if err != nil {
		return exit(ExitTarget, err)
	}
	t := tally{worst: len(posture.Severities())}
	a.judgeAll(ctx, f, judge, names, func(r posture.TargetReport) {
		t.add(r)
		out.add(r)
	})
	if err := out.close(); err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the report: %w", err))
	}
	return t.result(f.failOn)
}

// judgeAll reads and judges the targets side by side; one that fails does not stop the others.
func (a *app) judgeAll(ctx context.Context, f *scanFlags, judge *posture.Judge, names []string, use func(posture.TargetReport)) {
	progress := a.progress(len(names), f.quiet)
	defer progress.Close()
	inOrder(names, f.workers, func(name string) posture.TargetReport {
		progress.Start(name)
		defer progress.Done(name)
		facts, err := a.facts(ctx, name, &f.targetFlags)
		if err != nil {
			return posture.TargetReport{Target: name, Error: err.Error(), Grade: "-", Findings: []posture.Finding{}}
		}
		r := judge.Evaluate(facts)
		r.Target = name
		return r
	}, use)
}

// tally gathers what decides the exit code.
type tally struct {
	targets, worst int
	errs           []error
	partial        []error // targets that were judged in part
}

func (t *tally) add(r posture.TargetReport) {
	t.targets++
	if r.Error != "" {
		t.errs = append(t.errs, errors.New(r.Error))
	}
	if err := partialError(r.Unread); err != nil {
		t.partial = append(t.partial, fmt.Errorf("%s: %w", r.Target, err))
	}
	for _, f := range r.Findings {
		if f.Status == posture.Fail {
			t.worst = min(t.worst, f.Severity.Rank())
		}
	}
}

// result turns the scan into the exit code.
func (t *tally) result(failOn string) error {
	switch {
	case len(t.errs) == t.targets:
		return exit(ExitTarget, errors.Join(t.errs...))
	case len(t.errs)+len(t.partial) > 0:
		return exit(ExitPartial, errors.Join(append(t.errs, t.partial...)...))
	case failOn != "none" && t.worst <= posture.Severity(failOn).Rank():
		return exit(ExitFindings, nil)
	}
	return nil
}

// discard is a progress display that shows nothing.
type discard struct{}

func (discard) Start(string) {}
func (discard) Done(string)  {}
func (discard) Close()       {}

// display is what shows the progress of a scan.
type display interface {
	Start(target string)
	Done(target string)
	Close()
}
