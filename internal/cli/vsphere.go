package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/collect"
	"github.com/castellan-project/castellan/internal/vmx"
	"github.com/castellan-project/castellan/internal/vsphere"
)

// Names of the environment variables that a vsphere:// target takes its credentials from.
const (
	envVSpherePassword   = "CASTELLAN_VSPHERE_PASSWORD"
	envVSphereThumbprint = "CASTELLAN_VSPHERE_THUMBPRINT"
)

// vsphereFlags say how vSphere is reached.
type vsphereFlags struct {
	passwordFile, thumbprint string
	timeout                  time.Duration
}

func addVSphereFlags(fl *pflag.FlagSet, f *vsphereFlags) {
	fl.StringVar(&f.passwordFile, "vsphere-password-file", "", "`file` with the password for vsphere:// (default: $"+envVSpherePassword+", else it is asked for)")
	fl.DurationVar(&f.timeout, "vsphere-timeout", machineTimeout, "`time` that one call of vsphere:// may take")
	fl.StringVar(&f.thumbprint, "vsphere-thumbprint", "", "`thumbprint` of the certificate for vsphere:// (default: $"+envVSphereThumbprint+")")
}

func isVSphere(name string) bool { return strings.HasPrefix(name, "vsphere://") }

// vsphereOptions reads a target vsphere://user@host[:port][/machine] and finds the password.
func (a *app) vsphereOptions(name string, f *vsphereFlags) (vsphere.Options, error) {
	base, _ := splitVSphere(name)
	user, address, ok := cutUser(strings.TrimPrefix(base, "vsphere://"))
	if !ok || user == "" || address == "" {
		return vsphere.Options{}, usage("%s is no target: write vsphere://user@vcenter, as vsphere://reader@vsphere.local@vcenter.example.org", redactUser(name))
	}
	if strings.Contains(user, ":") {
		return vsphere.Options{}, usage("%s holds a password; give it with --vsphere-password-file or in $%s", redactUser(name), envVSpherePassword)
	}
	o := vsphere.Options{Host: address, User: user, Thumbprint: f.thumbprint}
	if o.Thumbprint == "" {
		o.Thumbprint = a.env(envVSphereThumbprint)
	}
	var err error
	o.Password, err = a.vspherePassword(user, address, f)
	return o, err
}

// redactUser is a target without what may be a password.
func redactUser(name string) string {
	base, machine := splitVSphere(name)
	if user, address, ok := cutUser(strings.TrimPrefix(base, "vsphere://")); ok {
		user, _, _ = strings.Cut(user, ":")
		base = "vsphere://" + user + "@" + address
	}
	if machine != "" {
		base += "/" + machine
	}
	return base
}

func (a *app) vspherePassword(user, address string, f *vsphereFlags) (string, error) {
	if f.passwordFile != "" {
		b, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return "", usage("cannot read the password: %w", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	if p := a.env(envVSpherePassword); p != "" {
		return p, nil
	}
	in, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usage("there is no password for %s at %s: give it with --vsphere-password-file or in $%s", user, address, envVSpherePassword)
	}
	a.asking.Lock()
	defer a.asking.Unlock()
	fmt.Fprintf(a.err, "password of %s at %s: ", user, address)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.err)
	return string(b), err
}

// machineTimeout bounds one call of the vSphere API unless the user says otherwise.
const machineTimeout = time.Minute

// dialVSphere connects to vSphere.
func (a *app) dialVSphere(ctx context.Context, name string, f *vsphereFlags) (*vsphere.Client, error) {
	o, err := a.vsphereOptions(name, f)
	if err != nil {
		return nil, err
	}
	if o.Timeout = f.timeout; o.Timeout < 0 {
		return nil, usage("--vsphere-timeout %s: give the time that one call may take, as 1m", f.timeout)
	}
	c, err := vsphere.Dial(ctx, o)
	if err != nil {
		return nil, exit(ExitTarget, fmt.Errorf("cannot open %s: %w", redactUser(name), err))
	}
	return c, nil
}

// expandVSphere puts the machines of each vSphere in its place: their facts are read at once, in one pass, and are ready when
// they are judged. What cannot be read is a target with that error.
func (a *app) expandVSphere(ctx context.Context, names []string, t *targetFlags) ([]string, error) {
	var out []string
	for _, name := range names {
		if !isVSphere(name) {
			out = append(out, name)
			continue
		}
		base, only := splitVSphere(name)
		list, about, err := a.readVSphere(ctx, base, only, &t.vsphere)
		var e *exitError
		if errors.As(err, &e) && e.code == ExitUsage {
			return nil, err
		}
		if err != nil {
			out = append(out, base)
			t.ready(base, nil, err)
		}
		if about != "" {
			fmt.Fprintf(a.err, "%s: %s\n", base, about)
		}
		for _, v := range list {
			target := base + "/" + v.Name
			if _, twice := t.prepared[target]; twice {
				target += " (" + v.Ref + ")"
			}
			out = append(out, target)
			if v.Problem != "" {
				t.ready(target, nil, fmt.Errorf("%s: %s", target, v.Problem))
				continue
			}
			t.ready(target, collect.VMX(target, v.Path, vsphereMachine(v), nil, a.now()), nil)
		}
	}
	return out, nil
}

// ready keeps the facts of a target that were read together with others.
func (t *targetFlags) ready(name string, f *posture.Facts, err error) {
	if t.prepared == nil {
		t.prepared = map[string]func() (*posture.Facts, error){}
	}
	t.prepared[name] = func() (*posture.Facts, error) { return f, err }
}

// readVSphere lists the machines; with an error in the middle it returns what it has.
func (a *app) readVSphere(ctx context.Context, name, only string, f *vsphereFlags) ([]vsphere.VM, string, error) {
	c, err := a.dialVSphere(ctx, name, f)
	if err != nil {
		return nil, "", err
	}
	defer c.Close(ctx) //nolint:errcheck // everything was read
	list, err := c.Machines(ctx)
	if err != nil {
		return list, "", fmt.Errorf("%s: the list of machines is not whole: %w", name, err)
	}
	if only != "" {
		if list, err = onlyMachine(list, only); err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		return list, c.About(), nil
	}
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return list, "", fmt.Errorf("%s: the hosts cannot be listed: %w", name, err)
	}
	about := fmt.Sprintf("%s, %s", c.About(), count(len(list), "machine", "machines"))
	if len(hosts) > 0 {
		about += fmt.Sprintf(" on %s (%s)", count(len(hosts), "host", "hosts"), hosts[0].Version)
	}
	return list, about, nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// vsphereMachine puts a machine of vSphere in the form of a .vmx file's.
func vsphereMachine(v vsphere.VM) vmx.Machine {
	m := vmx.Machine{Name: v.Name, Source: "vsphere", Settings: make(map[string]vmx.Setting, len(v.Settings)), Hardware: v.Hardware, GuestOS: v.Guest,
		Firmware: v.Firmware, SecureBoot: v.SecureBoot, Encrypted: v.Encrypted, Logging: v.Logging == nil || *v.Logging, VMotion: v.VMotion, FT: v.FT,
		Running: &v.Running, Since: v.Booted, Changed: v.Changed}
	for k, value := range v.Settings {
		m.Settings[strings.ToLower(k)] = vmx.Setting{Key: k, Value: value}
		if vmx.IsFilter(k) {
			m.Filters = append(m.Filters, vmx.Setting{Key: k, Value: value})
		}
	}
	for _, d := range v.Devices {
		m.Devices = append(m.Devices, vmx.Device{Kind: d.Kind, Name: d.Name, Connected: d.Connected, Backing: d.Backing})
	}
	for _, c := range v.Cards {
		m.Cards = append(m.Cards, vmx.Card{Name: c.Name, Network: c.Network, Connected: c.Connected})
	}
	for _, d := range v.Disks {
		m.Disks = append(m.Disks, vmx.Disk{Name: d.Name, File: d.File, Mode: d.Mode})
	}
	return m
}
