package posture

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGuestsOfBothWorlds(t *testing.T) {
	yes := func(b bool) Fact[bool] { return Known(b, Configured, "x") }
	pve := &Facts{Target: Target{Name: "node", Kind: "dir"}}
	pve.OS.ClusterName = Known("c1", Configured, "x")
	pve.Guests.Lives = Known([]GuestLife{{ID: 100, Guest: "vm 100 web"}, {ID: 101, Guest: "ct 101 db"}}, Configured, "x")
	pve.Guests.Exposures = Known(map[string][]GuestExposure{"clipboard": {{ID: 100, Channel: "clipboard"}}, "spice": {{ID: 100, Channel: "clipboard"}, {ID: 999, Channel: "log"}}}, Configured, "x")
	vmware := &Facts{Target: Target{Name: "a.vmx", Kind: KindVMX}}
	vmware.VMX = VMXFacts{Name: Known("a", Configured, "x"), Set: Known([]string{}, Configured, "x"), CopyOff: yes(true), PasteOff: yes(true), DragOff: yes(true),
		Logging: yes(true), LogSize: Known(1, Configured, "x"), LogKeep: Known(1, Configured, "x")}
	var c Comparison
	add := func(f *Facts) { c.Add(TargetReport{guests: openGuests(f)}) }
	add(pve)
	if c.Channels() != nil {
		t.Error("guests of one world were compared")
	}
	add(pve) // another node of the same cluster
	add(vmware)
	got := map[string]GuestChannel{}
	for _, x := range c.Channels() {
		got[x.Channel] = x
	}
	for name, want := range map[string]GuestChannel{
		"clipboard": {Channel: "clipboard", PVE: ChannelCount{Guests: 2, Open: 1, Names: []string{"vm 100 web"}}, VMware: ChannelCount{Guests: 1}},
		// What could not be read counts as open.
		"host-info": {Channel: "host-info", PVE: ChannelCount{Guests: 2}, VMware: ChannelCount{Guests: 1, Open: 1, Names: []string{"a"}}},
		"log":       {Channel: "log", PVE: ChannelCount{Guests: 2, NotThere: true}, VMware: ChannelCount{Guests: 1}},
	} {
		if d := cmp.Diff(want, got[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
