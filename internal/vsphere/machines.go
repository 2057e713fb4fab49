package vsphere

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// VM is a virtual machine as the API describes it.
type VM struct {
	// Ref is its managed object id ("vm-42"), Name its name, Path its .vmx file ("[datastore1] web/web.vmx").
	Ref, Name, Path string
	// Version identifies the state of the configuration: a change that was planned on another one is refused.
	Version string
	// Settings are the advanced settings by their spelling.
	Settings map[string]string
	Hardware int
	Guest    string
	// Firmware is bios or efi.
	Firmware   string
	SecureBoot bool
	Encrypted  bool
	Template   bool
	// Logging is nil when the API does not tell.
	Logging *bool
	// VMotion is disabled, opportunistic or required; FT the same for fault tolerance.
	VMotion, FT string
	Devices     []Device
	Disks       []Disk
	Cards       []Card
	Running     bool
	// Booted is when it was powered on, zero when it is off; Changed when its configuration was last changed.
	Booted, Changed time.Time
	// Problem is why its configuration could not be read; everything else but Ref and Name is empty then.
	Problem string
}

// Device is a virtual device: Kind is floppy, cdrom, parallel, serial, usb, sound or pci.
type Device struct {
	Kind, Name, Backing string
	Connected           bool
}

// Disk is a virtual disk with its mode.
type Disk struct{ Name, File, Mode string }

// Card is a network card; Network is the name of its port group, or the key of one that is distributed.
type Card struct {
	Name, Network string
	Connected     bool
}

// HostSystem is an ESXi host.
type HostSystem struct{ Name, Version string }

// properties are what is asked of every machine, in one pass.
func properties() []string {
	return []string{"name", "config", "runtime.powerState", "runtime.bootTime"}
}

// Machines lists all virtual machines that the user may see, in one pass of the property collector, by name. A machine whose
// configuration cannot be read (it is being made, or its host is gone) has a Problem. On an error in the middle it returns what
// it has together with the error.
func (c *Client) Machines(ctx context.Context) ([]VM, error) {
	found, err := each[mo.VirtualMachine](ctx, c, "VirtualMachine", properties())
	out := make([]VM, 0, len(found))
	for _, m := range found {
		out = append(out, machine(m))
	}
	slices.SortFunc(out, func(a, b VM) int { return strings.Compare(a.Name+"\x00"+a.Ref, b.Name+"\x00"+b.Ref) })
	return out, err
}

// Hosts lists the ESXi hosts.
func (c *Client) Hosts(ctx context.Context) ([]HostSystem, error) {
	found, err := each[mo.HostSystem](ctx, c, "HostSystem", []string{"name", "config.product"})
	out := make([]HostSystem, 0, len(found))
	for _, h := range found {
		x := HostSystem{Name: h.Name}
		if h.Config != nil {
			x.Version = h.Config.Product.FullName
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b HostSystem) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// pageSize is how many objects one answer holds: a vCenter that falls silent loses a page, not the list.
const pageSize = 100

// each reads all objects of a kind in one pass of the property collector, page by page. On an error it returns what it has.
func each[T any](ctx context.Context, c *Client, kind string, props []string) ([]T, error) {
	v, err := c.view(ctx, kind)
	if err != nil {
		return nil, explain(c.host, err)
	}
	defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }() // the session ends soon, and the view with it
	skip := true
	spec := types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: v.Reference(), Skip: &skip,
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: v.Reference().Type, Path: "view"}}}},
		PropSet: []types.PropertySpec{{Type: kind, PathSet: props}},
	}
	collector := c.vim.ServiceContent.PropertyCollector
	var out []T
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		var result *types.RetrieveResult
		err := c.call(ctx, func(ctx context.Context) error {
			if token != "" {
				res, err := methods.ContinueRetrievePropertiesEx(ctx, c.vim, &types.ContinueRetrievePropertiesEx{This: collector, Token: token})
				if err == nil {
					result = &res.Returnval
				}
				return err
			}
			res, err := methods.RetrievePropertiesEx(ctx, c.vim, &types.RetrievePropertiesEx{This: collector,
				SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: pageSize}})
			if err == nil {
				result = res.Returnval
			}
			return err
		})
		if err != nil || result == nil { // no result at all means that there is no such object
			return out, err
		}
		var some []T
		if err := mo.LoadObjectContent(result.Objects, &some); err != nil {
			return out, explain(c.host, err)
		}
		out, token = append(out, some...), result.Token
	}
	return out, nil
}

func (c *Client) view(ctx context.Context, kind string) (*view.ContainerView, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return view.NewManager(c.vim).CreateContainerView(ctx, c.vim.ServiceContent.RootFolder, []string{kind}, true)
}

// call makes one call with the time that one may take.
func (c *Client) call(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := do(ctx); err != nil {
		return explain(c.host, err)
	}
	return nil
}

func machine(m mo.VirtualMachine) VM {
	v := VM{Ref: m.Self.Value, Name: m.Name, Running: m.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn}
	if m.Runtime.BootTime != nil && v.Running {
		v.Booted = m.Runtime.BootTime.UTC()
	}
	cfg := m.Config
	if cfg == nil {
		v.Problem = "its configuration is not available now"
		return v
	}
	v.Path, v.Version, v.Changed, v.Guest, v.Template = cfg.Files.VmPathName, cfg.ChangeVersion, cfg.Modified.UTC(), cfg.GuestId, cfg.Template
	v.Hardware, _ = strconv.Atoi(strings.TrimPrefix(cfg.Version, "vmx-"))
	v.Firmware = cfg.Firmware
	if b := cfg.BootOptions; b != nil && b.EfiSecureBootEnabled != nil {
		v.SecureBoot = *b.EfiSecureBootEnabled && cfg.Firmware == "efi"
	}
	v.Encrypted = cfg.KeyId != nil
	v.Logging = cfg.Flags.EnableLogging
	v.VMotion = cfg.MigrateEncryption
	v.FT = strings.ToLower(strings.TrimPrefix(cfg.FtEncryptionMode, "ftEncryption"))
	v.Settings = map[string]string{}
	for _, o := range cfg.ExtraConfig {
		if x := o.GetOptionValue(); x != nil {
			v.Settings[x.Key] = fmt.Sprint(x.Value)
		}
	}
	devices := object.VirtualDeviceList(cfg.Hardware.Device)
	for _, d := range devices {
		v.device(devices.Name(d), d)
	}
	return v
}

func (v *VM) device(name string, d types.BaseVirtualDevice) {
	if disk, ok := d.(*types.VirtualDisk); ok {
		v.Disks = append(v.Disks, diskOf(name, disk))
		return
	}
	if card, ok := d.(types.BaseVirtualEthernetCard); ok {
		v.Cards = append(v.Cards, cardOf(name, card))
		return
	}
	var kind string
	switch d.(type) {
	case *types.VirtualFloppy:
		kind = "floppy"
	case *types.VirtualCdrom:
		kind = "cdrom"
	case *types.VirtualParallelPort:
		kind = "parallel"
	case *types.VirtualSerialPort:
		kind = "serial"
	case *types.VirtualUSBController, *types.VirtualUSBXHCIController, *types.VirtualUSB:
		kind = "usb"
	case *types.VirtualHdAudioCard, *types.VirtualEnsoniq1371, *types.VirtualSoundBlaster16:
		kind = "sound"
	case *types.VirtualPCIPassthrough:
		kind = "pci"
	default:
		return
	}
	x := Device{Kind: kind, Name: name, Connected: true}
	base := d.GetVirtualDevice()
	if base.Connectable != nil {
		x.Connected = base.Connectable.Connected || base.Connectable.StartConnected
	}
	if info, ok := base.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		x.Backing = info.GetVirtualDeviceFileBackingInfo().FileName
	}
	v.Devices = append(v.Devices, x)
}

func cardOf(name string, d types.BaseVirtualEthernetCard) Card {
	base := &d.GetVirtualEthernetCard().VirtualDevice
	c := Card{Name: name, Connected: base.Connectable == nil || base.Connectable.Connected || base.Connectable.StartConnected}
	switch b := base.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		c.Network = b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		c.Network = b.Port.PortgroupKey
	}
	return c
}

func diskOf(name string, d *types.VirtualDisk) Disk {
	out := Disk{Name: name, Mode: "persistent"}
	switch b := d.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		out.File, out.Mode = b.FileName, b.DiskMode
	case *types.VirtualDiskSparseVer2BackingInfo:
		out.File, out.Mode = b.FileName, b.DiskMode
	case *types.VirtualDiskSeSparseBackingInfo:
		out.File, out.Mode = b.FileName, b.DiskMode
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		out.File, out.Mode = b.FileName, b.DiskMode
	}
	out.Mode = strings.ReplaceAll(strings.ToLower(out.Mode), "_", "-") // independent_nonpersistent, as files spell it with a dash
	return out
}

// Change is what is changed of a virtual machine. Settings with an empty value are removed; the key's spelling on the machine is
// kept. The typed fields change nothing when empty or nil.
type Change struct {
	Settings    map[string]string
	VMotion, FT string
	Logging     *bool
}

// ErrStale means that a machine was changed by somebody since it was read.
var ErrStale = errors.New("the machine was changed since it was read")

// ErrDenied means that the user may read and not change.
var ErrDenied = errors.New("the user may not change virtual machines (VirtualMachine.Config.AdvancedConfig is needed)")

// Reconfigure changes one machine and waits for the task. The change is refused when the machine is not at v.Version any more:
// we look, and the API checks again.
func (c *Client) Reconfigure(ctx context.Context, v VM, ch Change) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: v.Ref}
	vm := object.NewVirtualMachine(c.vim, ref)
	var now mo.VirtualMachine
	if err := vm.Properties(ctx, ref, []string{"config.changeVersion"}, &now); err != nil {
		return fmt.Errorf("%s: %w", v.Name, explain(c.host, err))
	}
	if now.Config == nil || now.Config.ChangeVersion != v.Version {
		return fmt.Errorf("%s: %w", v.Name, ErrStale)
	}
	t, err := vm.Reconfigure(ctx, spec(v, ch))
	if err == nil {
		err = t.Wait(ctx)
	}
	switch name := fault(err); {
	case err == nil:
		return nil
	case name == "ConcurrentAccess":
		return fmt.Errorf("%s: %w", v.Name, ErrStale)
	case name == "NoPermission", name == "NotAuthenticated":
		return fmt.Errorf("%s: %w", v.Name, ErrDenied)
	case name != "":
		return fmt.Errorf("%s refuses to change %s: %s", c.host, v.Name, name)
	}
	return fmt.Errorf("cannot change %s: %w", v.Name, explain(c.host, err))
}

// fault is the name of the fault of a call or task.
func fault(err error) string {
	if err == nil {
		return ""
	}
	var te task.Error
	if errors.As(err, &te) && te.LocalizedMethodFault != nil {
		name := fmt.Sprintf("%T", te.Fault())
		return name[strings.LastIndexByte(name, '.')+1:]
	}
	if soap.IsSoapFault(err) {
		return faultName(err)
	}
	return ""
}

// spec writes a change as the API wants it.
func spec(v VM, ch Change) types.VirtualMachineConfigSpec {
	s := types.VirtualMachineConfigSpec{ChangeVersion: v.Version, MigrateEncryption: ch.VMotion}
	if ch.FT != "" {
		s.FtEncryptionMode = "ftEncryption" + strings.ToUpper(ch.FT[:1]) + ch.FT[1:]
	}
	if ch.Logging != nil {
		s.Flags = &types.VirtualMachineFlagInfo{EnableLogging: ch.Logging}
	}
	keys := make([]string, 0, len(ch.Settings))
	for k := range ch.Settings {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		s.ExtraConfig = append(s.ExtraConfig, &types.OptionValue{Key: v.spelling(k), Value: ch.Settings[k]})
	}
	return s
}

// spelling is how a key is spelled on the machine; keys are compared without regard to case, and a second spelling would be a
// second key.
func (v VM) spelling(key string) string {
	for k := range v.Settings {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return key
}

// Machine reads one virtual machine again.
func (c *Client) Machine(ctx context.Context, ref string) (VM, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r := types.ManagedObjectReference{Type: "VirtualMachine", Value: ref}
	var m mo.VirtualMachine
	if err := object.NewVirtualMachine(c.vim, r).Properties(ctx, r, properties(), &m); err != nil {
		return VM{}, explain(c.host, err)
	}
	v := machine(m)
	if v.Problem != "" {
		return v, errors.New(v.Problem)
	}
	return v, nil
}
