package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
)

// planRemote lets a host make the plan itself, so that it is drafted, and judged by the guards, where it will be applied.
func (a *app) planRemote(ctx context.Context, target string, f *planFlags) error {
	e, err := a.sendEnvoy(ctx, target, f.stateDir, &f.sshFlags)
	if err != nil {
		return err
	}
	defer e.leave()
	args, err := f.remoteArgs(e, target)
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot send what the plan needs to %s: %w", target, err))
	}
	out, code, err := e.run(args...)
	if err != nil {
		return exit(ExitTarget, err)
	}
	if code != ExitOK && code != ExitRefused {
		return exit(code, fmt.Errorf("%s made no plan", target))
	}
	plan, err := change.ReadPlan(out)
	if err != nil {
		return exit(ExitTarget, fmt.Errorf("%s answered with something else: %w", target, err))
	}
	made := &madePlan{plan: plan, titles: map[string]string{}, profile: f.profile}
	for _, c := range f.all {
		made.titles[c.ID] = c.Title
	}
	return a.deliver(f, made)
}

// remoteArgs are the arguments with which the host makes the plan; files that they name are sent there.
func (f *planFlags) remoteArgs(e *envoy, target string) ([]string, error) {
	args := []string{"plan", "local", "--json", "--as", target, "--state", e.state}
	for _, x := range []struct {
		flag, value string
		send        func(string) (string, error)
	}{
		{"--profile", f.profile, e.sendProfile}, {"--waivers", f.waiversFile, e.send}, {"--changes", f.changes, e.send},
		{"--findings", f.findings, e.send}, {"--controls", f.controlsDir, e.sendTree},
		{"--severity", f.severity, nil},
	} {
		if x.value == "" {
			continue
		}
		value := x.value
		if x.send != nil {
			var err error
			if value, err = x.send(x.value); err != nil {
				return nil, err
			}
		}
		args = append(args, x.flag, value)
	}
	for _, id := range f.controls {
		args = append(args, "--control", id)
	}
	for _, p := range f.params {
		args = append(args, "--param", p)
	}
	for _, s := range f.admins {
		args = append(args, "--admin", s)
	}
	if f.console {
		args = append(args, "--i-will-be-at-the-console")
	}
	return args, nil
}

// sendProfile sends a profile that is a file; ours are known there.
func (e *envoy) sendProfile(name string) (string, error) {
	if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() || !strings.ContainsAny(name, "/.") {
		return name, nil //nolint:nilerr // it is the name of a profile of ours, or unknown there as here
	}
	return e.send(name)
}
