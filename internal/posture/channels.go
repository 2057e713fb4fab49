package posture

import (
	"maps"
	"slices"
	"strconv"
)

// GuestChannel is one way between guests and their hypervisor, across the guests of both worlds: Proxmox VE and VMware.
type GuestChannel struct {
	// Channel is its name: clipboard, folder-sharing, device-control, devices, passthrough, console, host-info, log, network,
	// shared-memory.
	Channel string       `json:"channel"`
	PVE     ChannelCount `json:"pve"`
	VMware  ChannelCount `json:"vmware"`
}

// ChannelCount says for how many guests of one world a channel is open.
type ChannelCount struct {
	// Guests were looked at, Open are those for which the channel is open, Names the first of them.
	Guests int      `json:"guests"`
	Open   int      `json:"open"`
	Names  []string `json:"names,omitempty"`
	// NotThere is true when the hypervisor has no such channel.
	NotThere bool `json:"not_there,omitempty"`
}

// shownGuests bounds how many guests a channel names.
const shownGuests = 5

// openGuest is a guest with the channels that are open for it.
type openGuest struct {
	world, key, name string
	open             []string
}

// channels lists the channels that are compared, with whether each world has them.
//
// table: the family of channels, see internal/inventory/exposure and internal/vmx
func channels() []struct {
	name        string
	pve, vmware bool
} {
	return []struct {
		name        string
		pve, vmware bool
	}{
		{"clipboard", true, true}, {"folder-sharing", true, true}, {"device-control", true, true}, {"devices", true, true},
		{"passthrough", true, true}, {"console", true, true}, {"host-info", true, true}, {"shared-memory", true, true},
		{"network", true, true}, {"log", false, true},
	}
}

// openGuests tells which channels of the guests of a target are open, as far as the facts are known.
func openGuests(f *Facts) []openGuest {
	if f.Target.Kind == KindVMX {
		if !f.VMX.Set.IsKnown() {
			return nil
		}
		return []openGuest{{"vmware", "vmware\x00" + f.Target.Name, f.VMX.Name.Value, OpenChannels(f.VMX)}}
	}
	if !f.Guests.Exposures.IsKnown() || !f.Guests.Lives.IsKnown() {
		return nil
	}
	cluster := f.OS.ClusterName.Value
	if cluster == "" {
		cluster = f.Target.Name
	}
	byID := map[int]*openGuest{}
	for _, g := range f.Guests.Lives.Value {
		byID[g.ID] = &openGuest{world: "pve", key: "pve\x00" + cluster + "\x00" + strconv.Itoa(g.ID), name: g.Guest}
	}
	for _, list := range f.Guests.Exposures.Value {
		for _, e := range list {
			if g := byID[e.ID]; g != nil && !slices.Contains(g.open, e.Channel) {
				g.open = append(g.open, e.Channel)
			}
		}
	}
	out := make([]openGuest, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out
}

// OpenChannels tells which channels of a VMware guest are open. A setting that cannot be read leaves its channel open.
func OpenChannels(v VMXFacts) []string {
	closed := map[string]bool{
		"clipboard":      on(v.CopyOff) && on(v.PasteOff) && on(v.DragOff),
		"folder-sharing": on(v.FoldersOff),
		"device-control": on(v.ConnectOff) && on(v.EditOff),
		"console":        v.Consoles.IsKnown() && v.Consoles.Value == 1 && on(v.VNCOff),
		"host-info":      on(v.HostInfoOff),
		"shared-memory":  v.PageSalt.IsKnown() && !v.PageSalt.Value,
		"network":        v.Filters.IsKnown() && len(v.Filters.Value) == 0,
		"log":            on(v.Logging) && v.LogSize.IsKnown() && v.LogSize.Value > 0 && v.LogKeep.IsKnown() && v.LogKeep.Value > 0,
		"devices":        v.Devices.IsKnown() && !slices.ContainsFunc(v.Devices.Value, func(d VMXDevice) bool { return d.Kind != "pci" && (d.Kind != "cdrom" || d.Connected) }),
		"passthrough":    v.Devices.IsKnown() && !slices.ContainsFunc(v.Devices.Value, func(d VMXDevice) bool { return d.Kind == "pci" }),
	}
	var open []string
	for _, c := range slices.Sorted(maps.Keys(closed)) {
		if !closed[c] {
			open = append(open, c)
		}
	}
	return open
}

func on(f Fact[bool]) bool { return f.IsKnown() && f.Value }

// Channels compares the guests of both worlds; nil when one world has none.
func (c *Comparison) Channels() []GuestChannel {
	var out []GuestChannel
	for _, ch := range channels() {
		g := GuestChannel{Channel: ch.name, PVE: ChannelCount{NotThere: !ch.pve}, VMware: ChannelCount{NotThere: !ch.vmware}}
		for _, key := range slices.Sorted(maps.Keys(c.guests)) {
			guest := c.guests[key]
			n := &g.PVE
			if guest.world == "vmware" {
				n = &g.VMware
			}
			n.Guests++
			if !n.NotThere && slices.Contains(guest.open, ch.name) {
				if n.Open++; len(n.Names) < shownGuests {
					n.Names = append(n.Names, guest.name)
				}
			}
		}
		if g.PVE.Guests == 0 || g.VMware.Guests == 0 {
			return nil
		}
		out = append(out, g)
	}
	return out
}
