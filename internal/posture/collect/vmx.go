package collect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/vmx"
)

// VMX gives the facts of one VMware virtual machine. problems are those of its file, nil for machines of vSphere; source is the
// file, or where in vSphere it is.
func VMX(name, source string, m vmx.Machine, problems []vmx.Problem, now time.Time) *posture.Facts {
	f := &posture.Facts{Version: posture.FactsVersion, Target: posture.Target{Name: name, Kind: posture.KindVMX, Hostname: m.Name, Root: true,
		CollectedAt: now.UTC().Truncate(time.Second)}}
	c := vmxCollector{m: m, source: source}
	c.fill(&f.VMX, problems)
	return f
}

// vmxCollector resolves what the settings of one machine mean.
type vmxCollector struct {
	m      vmx.Machine
	source string
}

func (c vmxCollector) fill(x *posture.VMXFacts, problems []vmx.Problem) {
	m := c.m
	x.Name, x.Via = c.known(m.Name), c.known(m.Source)
	lines := []string{}
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	x.Problems = posture.Known(lines, posture.Configured, c.source)
	x.Encrypted = posture.Known(m.Encrypted, posture.Configured, c.source)
	x.Running = maybe(m.Running, c.source)
	x.Pending = c.pending()
	if m.Encrypted && m.Source == "file" {
		c.encrypted(x)
		return
	}
	x.Obsolete, x.Set = c.obsolete(), c.set()
	x.Hardware = posture.Known(m.Hardware, posture.Configured, c.source)
	if m.Hardware == 0 {
		x.Hardware = posture.Unknown[int](posture.Problemf("not-found", "the version of the virtual hardware is not told"), c.source)
	}
	x.Firmware, x.SecureBoot = c.known(m.Firmware), posture.Known(m.SecureBoot, posture.Configured, c.source)
	c.channels(x)
	x.SetInfoLimit, x.Consoles = c.number("setinfo_limit"), c.number("consoles")
	x.Logging = posture.Known(m.Logging, posture.Configured, c.source)
	x.LogSize, x.LogKeep = c.number("log_size"), c.number("log_keep")
	_, salted := c.get("salt")
	x.PageSalt = posture.Known(salted, posture.Configured, c.source)
	x.VMotion, x.FT = c.encryption(m.VMotion), c.encryption(m.FT)
	c.lists(x)
}

// encrypted says of everything that lies in the encrypted part of a file why it is not known.
func (c vmxCollector) encrypted(x *posture.VMXFacts) {
	hide(c.source, &x.CopyOff, &x.PasteOff, &x.DragOff, &x.ShrinkOff, &x.WipeOff, &x.GUIOff, &x.SetInfoOff, &x.ConnectOff, &x.EditOff, &x.HostInfoOff, &x.VNCOff,
		&x.Graphics3D, &x.Autolock, &x.FoldersOff, &x.SecureBoot, &x.Logging, &x.PageSalt)
	hide(c.source, &x.Hardware, &x.SetInfoLimit, &x.Consoles, &x.LogSize, &x.LogKeep)
	hide(c.source, &x.Firmware, &x.VMotion, &x.FT)
	hide(c.source, &x.Obsolete, &x.Set, &x.Filters, &x.Legacy)
	hide(c.source, &x.Devices)
	hide(c.source, &x.Disks)
}

func hide[T any](source string, facts ...*posture.Fact[T]) {
	for _, f := range facts {
		*f = posture.Unknown[T](posture.Problemf("encrypted", "the machine is encrypted, and its file does not show its settings; scan it through vSphere"), source)
	}
}

func (c vmxCollector) known(s string) posture.Fact[string] {
	return posture.Known(s, posture.Configured, c.source)
}

func maybe(b *bool, source string) posture.Fact[bool] {
	if b == nil {
		return posture.Unknown[bool](posture.Problemf("unavailable", "a file does not tell whether its machine runs"), source)
	}
	return posture.Known(*b, posture.Effective, source)
}

// pending compares when the configuration changed with when the machine was powered on.
func (c vmxCollector) pending() posture.Fact[bool] {
	m := c.m
	switch {
	case m.Running != nil && !*m.Running:
		return posture.Known(false, posture.Effective, c.source)
	case m.Running == nil || m.Since.IsZero() || m.Changed.IsZero():
		return posture.Unknown[bool](posture.Problemf("unavailable", "when the machine was powered on, or changed, is not known"), c.source)
	}
	return posture.Known(m.Changed.After(m.Since), posture.Effective, c.source)
}

// get looks up a key by the name of its fact.
func (c vmxCollector) get(fact string) (vmx.Setting, bool) {
	s, ok := c.m.Settings[strings.ToLower(vmx.Keys()[fact].Name)]
	return s, ok
}

// place says where a setting stands.
func (c vmxCollector) place(s vmx.Setting) string {
	if s.Line > 0 {
		return fmt.Sprintf("%s:%d", c.source, s.Line)
	}
	return c.source + ", " + s.Key
}

// text gives the value of a key with where it comes from.
func (c vmxCollector) text(fact string) (value string, origin posture.Origin, source string) {
	if s, ok := c.get(fact); ok {
		return s.Value, posture.Configured, c.place(s)
	}
	k := vmx.Keys()[fact]
	return k.Default, posture.Default, "default of ESXi 7 and later for " + k.Name
}

// truth reads a boolean key; want is the value that makes the fact true.
func (c vmxCollector) truth(fact string, want bool) posture.Fact[bool] {
	value, origin, source := c.text(fact)
	b, ok := vmx.Bool(value)
	if !ok {
		return posture.Unknown[bool](posture.Problemf("malformed", "%s is %q, which is neither TRUE nor FALSE", vmx.Keys()[fact].Name, value), source)
	}
	return posture.Known(b == want, origin, source)
}

func (c vmxCollector) number(fact string) posture.Fact[int] {
	value, origin, source := c.text(fact)
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return posture.Unknown[int](posture.Problemf("malformed", "%s is %q, which is no number", vmx.Keys()[fact].Name, value), source)
	}
	return posture.Known(n, origin, source)
}

func (c vmxCollector) channels(x *posture.VMXFacts) {
	x.CopyOff, x.PasteOff, x.DragOff = c.truth("copy_off", true), c.truth("paste_off", true), c.truth("drag_off", true)
	x.ShrinkOff, x.WipeOff = c.truth("shrink_off", true), c.truth("wipe_off", true)
	x.GUIOff, x.SetInfoOff = c.truth("gui_enabled", false), c.truth("setinfo_off", true)
	x.ConnectOff, x.EditOff = c.truth("connect_off", true), c.truth("edit_off", true)
	x.HostInfoOff, x.VNCOff = c.truth("host_info", false), c.truth("vnc", false)
	x.Graphics3D, x.Autolock = c.truth("graphics_3d", true), c.truth("autolock", true)
	x.FoldersOff = c.truth("folders_off", true)
}

// encryption gives how a kind of traffic is encrypted; nothing said means opportunistic, the default since ESXi 6.5.
func (c vmxCollector) encryption(s string) posture.Fact[string] {
	if s == "" {
		return posture.Known("opportunistic", posture.Default, "default of ESXi 6.5 and later")
	}
	return posture.Known(s, posture.Configured, c.source)
}

func (c vmxCollector) obsolete() posture.Fact[[]string] {
	out := []string{}
	for folded, o := range vmx.ObsoleteKeys() {
		if s, ok := c.m.Settings[folded]; ok {
			text := fmt.Sprintf("%s: %s", s.Key, o.Why)
			if o.Today != "" {
				text += "; today " + o.Today
			}
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return posture.Known(out, posture.Configured, c.source)
}

func (c vmxCollector) set() posture.Fact[[]string] {
	out := make([]string, 0, len(vmx.Keys()))
	for _, k := range vmx.Keys() {
		if folded := strings.ToLower(k.Name); c.m.Settings[folded].Key != "" {
			out = append(out, folded)
		}
	}
	slices.Sort(out)
	return posture.Known(out, posture.Configured, c.source)
}

func (c vmxCollector) lists(x *posture.VMXFacts) {
	filters, legacy := []string{}, []string{}
	for _, s := range c.m.Filters {
		filters = append(filters, s.Key+" = "+s.Value)
	}
	for _, name := range vmx.Legacy() {
		if on, _ := vmx.Bool(c.m.Settings[strings.ToLower(name)].Value); !on {
			legacy = append(legacy, name)
		}
	}
	devices, disks := []posture.VMXDevice{}, []posture.VMXDisk{}
	for _, d := range c.m.Devices {
		devices = append(devices, posture.VMXDevice{Kind: d.Kind, Name: d.Name, Connected: d.Connected, Backing: d.Backing})
	}
	for _, d := range c.m.Disks {
		disks = append(disks, posture.VMXDisk{Name: d.Name, Mode: d.Mode})
	}
	x.Filters, x.Legacy = posture.Known(filters, posture.Configured, c.source), posture.Known(legacy, posture.Configured, c.source)
	x.Devices, x.Disks = posture.Known(devices, posture.Configured, c.source), posture.Known(disks, posture.Configured, c.source)
}
