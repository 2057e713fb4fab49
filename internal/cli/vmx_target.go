package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/kinds"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
	"github.com/castellan-project/castellan/internal/vmx"
)

// isVMX reports whether a file is the configuration of a VMware virtual machine, by its name.
func isVMX(name string) bool { return strings.EqualFold(filepath.Ext(name), ".vmx") }

// readVMX reads a .vmx file.
func readVMX(name string) (*vmx.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open the virtual machine: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, vmx.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	file, err := vmx.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s is no .vmx file: %w", name, err)
	}
	return file, nil
}

// vmxFacts gives the facts of the virtual machine that a file configures.
func vmxFacts(name string, now time.Time) (*posture.Facts, error) {
	m, problems, err := machineOf(name)
	if err != nil {
		return nil, err
	}
	return collect.VMX(name, filepath.Base(name), m, problems, now), nil
}

// machineOf describes the virtual machine that a file configures. That it runs is known by its lock; that it does not, by nothing.
func machineOf(name string) (vmx.Machine, []vmx.Problem, error) {
	file, err := readVMX(name)
	if err != nil {
		return vmx.Machine{}, nil, err
	}
	m := file.Machine()
	if exists(name + ".lck") {
		running := true
		m.Running = &running
	}
	return m, file.Problems(), nil
}

// placeVMX says to the changes of a virtual machine which file they are made in, by its path on the target, and whether that
// file may be changed although its machine seems to run.
func placeVMX(changes []change.Change, file string, running bool) {
	for i := range changes {
		if changes[i].Kind == "vmx" {
			changes[i].Path = file
			if running {
				changes[i].Options = kinds.VMXRunning
			}
		}
	}
}
