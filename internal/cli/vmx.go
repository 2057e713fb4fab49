package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// maxVMX bounds how many virtual machines one directory may hold.
const maxVMX = 100_000

func (a *app) vmxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vmx",
		Short: "Judge and repair the boundary of VMware guests, in their .vmx files",
		Long: `Vmx looks at the configuration files of VMware virtual machines: which channels are open between guest and hypervisor.

  castellan vmx scan web.vmx                       judge one machine
  castellan vmx scan /vmfs/volumes/datastore1      judge every machine below a directory
  castellan vmx fix web.vmx                        repair it; castellan revert takes that back

Where a setting is absent, ESXi 7 and later are safe for most of them. The profile vmx-explicit wants every setting written
down, as older benchmarks do, and vmx-legacy judges what only old hosts, Workstation and Fusion have.`,
	}
	cmd.AddCommand(a.vmxScanCommand(), a.vmxFixCommand())
	return cmd
}

func (a *app) vmxScanCommand() *cobra.Command {
	cmd := a.scanCommand()
	cmd.Use = "scan FILE|DIRECTORY..."
	cmd.Short = "Judge VMware guests"
	cmd.Long = `Scan judges the .vmx files that are named, and those below directories that are named. It is castellan scan for VMware
guests: the same findings, reports and exit codes.`
	cmd.Example = `  castellan vmx scan web.vmx
  castellan vmx scan --profile vmx-explicit ./datastore --json`
	cmd.Args = cobra.MinimumNArgs(1)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range args {
			if st, err := os.Stat(name); err == nil && !st.IsDir() && !isVMX(name) {
				return usage("%s is no .vmx file; castellan scan judges other targets", name)
			}
		}
		files, err := findVMX(cmd.Context(), args)
		if err != nil {
			return err
		}
		return run(cmd, files)
	}
	return cmd
}

// findVMX names the .vmx files below directories, sorted; other names stay as they are. Links are not followed: datastores
// link their volumes by name and by number.
func findVMX(ctx context.Context, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil || !st.IsDir() {
			out = append(out, name)
			continue
		}
		found, err := vmxBelow(ctx, name)
		if err != nil {
			return nil, exit(ExitTarget, err)
		}
		if len(found) == 0 {
			return nil, exit(ExitTarget, fmt.Errorf("there is no .vmx file below %s", name))
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func vmxBelow(ctx context.Context, dir string) ([]string, error) {
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != filepath.Clean(dir) {
		dir = real
	}
	var found []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("cannot look for virtual machines: %w", err)
		case d.Type().IsRegular() && isVMX(name):
			if found = append(found, name); len(found) > maxVMX {
				return fmt.Errorf("below %s there are more than %d virtual machines; name parts of it", dir, maxVMX)
			}
		}
		return nil
	})
	return found, err
}

// expandVMX puts the .vmx files of a directory in its place when the directory is no host: it holds no etc, and such files.
func expandVMX(ctx context.Context, names []string) []string {
	var out []string
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil || !st.IsDir() || exists(filepath.Join(name, "etc")) || exists(filepath.Join(name, "proc")) || name == "local" {
			out = append(out, name)
			continue
		}
		found, err := vmxBelow(ctx, name)
		if err != nil || len(found) == 0 {
			out = append(out, name) // it is read as a host, and what is wrong with it is told there
			continue
		}
		out = append(out, found...)
	}
	return out
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
