package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/castellan-project/castellan/internal/inventory/exposure"
	"github.com/castellan-project/castellan/internal/inventory/topology"
	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
	"github.com/castellan-project/castellan/internal/vmx"
)

// vmwareFlags say which VMware guests stand beside those of Proxmox VE.
type vmwareFlags struct {
	from    []string
	vsphere vsphereFlags
}

func addVMwareFlags(fl *pflag.FlagSet, f *vmwareFlags) {
	fl.StringArrayVar(&f.from, "vmx", nil, "show VMware guests too: a .vmx `file`, a directory with such files, or vsphere://user@vcenter; repeatable")
	addVSphereFlags(fl, &f.vsphere)
}

// vmwareGuest is a VMware guest as it stands beside those of Proxmox VE.
type vmwareGuest struct {
	Name string `json:"name"`
	// Target is what castellan scan takes to judge it.
	Target string `json:"target"`
	// State is running, off, or empty when nobody knows.
	State    string `json:"state,omitempty"`
	Hardware int    `json:"hardware,omitempty"`
	// Open are the channels between guest and hypervisor that are open; of a guest that is encrypted or could not be read
	// Error says why none is told.
	Open  []string `json:"open"`
	Error string   `json:"error,omitempty"`
}

// guestsOfBoth are the guests of both worlds as JSON.
type guestsOfBoth struct {
	*exposure.Survey
	VMware []vmwareGuest `json:"vmware,omitempty"`
}

// vmwareMachine is one VMware guest that was read, or why it could not be.
type vmwareMachine struct {
	target, source string
	machine        vmx.Machine
	err            error
}

// vmwareMachines reads the VMware guests. One that cannot be read is in the list with its error; a vSphere that cannot be reached, or
// falls silent, is the error, and what was read before comes with it.
func (a *app) vmwareMachines(ctx context.Context, f *vmwareFlags) ([]vmwareMachine, error) {
	var out []vmwareMachine
	var errs []error
	for _, name := range f.from {
		if !isVSphere(name) {
			files, err := findVMX(ctx, []string{name})
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				m, _, err := machineOf(file)
				out = append(out, vmwareMachine{file, file, m, err})
			}
			continue
		}
		base, only := splitVSphere(name)
		list, _, err := a.readVSphere(ctx, base, only, &f.vsphere)
		var e *exitError
		if errors.As(err, &e) && e.code == ExitUsage {
			return nil, err
		}
		if err != nil {
			errs = append(errs, err)
		}
		for _, v := range list {
			x := vmwareMachine{target: base + "/" + v.Name, source: v.Path, machine: vsphereMachine(v)}
			if v.Problem != "" {
				x.err = errors.New(v.Problem)
			}
			out = append(out, x)
		}
	}
	return out, errors.Join(errs...)
}

// vmwareGuests says of each VMware guest which channels are open.
func (a *app) vmwareGuests(ctx context.Context, f *vmwareFlags) ([]vmwareGuest, error) {
	machines, err := a.vmwareMachines(ctx, f)
	out := make([]vmwareGuest, 0, len(machines))
	for _, m := range machines {
		out = append(out, guestOf(m.target, collect.VMX(m.target, m.source, m.machine, nil, a.now()), m.err))
	}
	return out, err
}

// guestOf says of a machine which channels are open.
func guestOf(target string, facts *posture.Facts, err error) vmwareGuest {
	g := vmwareGuest{Name: facts.VMX.Name.Value, Target: target, Open: []string{}}
	if err != nil {
		g.Error = err.Error()
		return g
	}
	x := facts.VMX
	g.Hardware = x.Hardware.Value
	if x.Running.IsKnown() {
		g.State = map[bool]string{true: "running", false: "off"}[x.Running.Value]
	}
	if !x.Set.IsKnown() {
		g.Error = x.Set.Problem.Text
		return g
	}
	g.Open = append(g.Open, posture.OpenChannels(x)...)
	return g
}

// listVMware prints one line for each VMware guest, in the words of the list of Proxmox VE.
func (a *app) listVMware(list []vmwareGuest) {
	if len(list) == 0 {
		return
	}
	tty, width := terminal(a.out)
	if !tty || width <= 0 {
		width = planWidth
	}
	name := len("NAME")
	for _, g := range list {
		name = max(name, min(utf8.RuneCountInString(safe(g.Name)), maxName+wideMore))
	}
	fmt.Fprintf(a.out, "\nVMware guests, with the channels that are open\n")
	fmt.Fprintln(a.out, strings.TrimRight(fmt.Sprintf("%s %-7s %s", pad("NAME", name), "STATE", "GIVES AWAY"), " "))
	for _, g := range list {
		state, gives := g.State, strings.Join(g.Open, ", ")
		if state == "" {
			state = "?"
		}
		if gives == "" {
			gives = "nothing"
		}
		if g.Error != "" {
			gives = "not readable: " + g.Error
			if g.Name == "" {
				g.Name = g.Target
			}
		}
		fmt.Fprintln(a.out, strings.TrimRight(cut(safe(fmt.Sprintf("%s %-7s %s", pad(safe(g.Name), name), state, gives)), width), " "))
	}
	fmt.Fprintf(a.out, "\n%s. In detail: castellan scan -v %s\n", countOf(len(list), "VMware guest"), shellQuoted(list[0].Target))
}

// shellQuoted quotes a word for a shell when it needs it.
func shellQuoted(s string) string {
	if strings.ContainsAny(s, " ()'\"$&;|<>*?[]#~`\\!") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// unreadVMware is the error of guests that could not be read; nil when all could.
func unreadVMware(list []vmwareGuest, err error) error {
	n := 0
	for _, g := range list {
		if g.Error != "" {
			n++
		}
	}
	if n > 0 {
		err = errors.Join(err, fmt.Errorf("%s could not be read; the others are shown", countOf(n, "VMware guest")))
	}
	if err == nil {
		return nil
	}
	return exit(ExitPartial, err)
}

// addVMware puts the VMware guests into the map. What could not be read is told in its list of what is not known.
func (a *app) addVMware(ctx context.Context, g *topology.Graph, f *vmwareFlags) error {
	machines, err := a.vmwareMachines(ctx, f)
	var wrong *exitError
	if errors.As(err, &wrong) {
		return err
	}
	if err != nil {
		g.Unknown = append(g.Unknown, err.Error())
	}
	var list []topology.Foreign
	for _, m := range machines {
		if m.err != nil {
			g.Unknown = append(g.Unknown, m.target+": "+m.err.Error())
			continue
		}
		x := topology.Foreign{Name: m.machine.Name}
		for _, c := range m.machine.Cards {
			x.Cards = append(x.Cards, topology.ForeignCard{Name: c.Name, Network: c.Network, Connected: c.Connected})
		}
		list = append(list, x)
	}
	g.AddVMware(list)
	return nil
}
