package collect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/vmx"
)

func vmxFacts(t testing.TB, text string) posture.VMXFacts {
	t.Helper()
	f, err := vmx.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return VMX("m", "web.vmx", f.Machine(), f.Problems(), time.Unix(0, 0)).VMX
}

func TestVMX(t *testing.T) {
	x := vmxFacts(t, "Isolation.Tools.COPY.disable = \"false\"\nisolation.tools.paste.disable = \"1\"\nlog.rotateSize = \"many\"\nisolation.tools.dnd.disable => FALSE\n"+
		"isolation.tools.paste.enable = \"FALSE\"\nRemoteDisplay.maxConnections = \"2\"\n")
	if !x.CopyOff.IsKnown() || x.CopyOff.Value || x.CopyOff.Source != "web.vmx:1" || x.CopyOff.Origin != posture.Configured {
		t.Errorf("%+v", x.CopyOff)
	}
	if !x.PasteOff.Value || x.Consoles.Value != 2 {
		t.Errorf("%+v %+v", x.PasteOff, x.Consoles)
	}
	// A line that VMware refuses sets nothing: the default holds, and the line is told.
	if !x.DragOff.Value || x.DragOff.Origin != posture.Default || len(x.Problems.Value) != 1 || !strings.Contains(x.Problems.Value[0], `isolation.tools.dnd.disable = "FALSE"`) {
		t.Errorf("%+v %q", x.DragOff, x.Problems.Value)
	}
	if x.LogSize.IsKnown() || x.LogSize.Problem.Code != "malformed" {
		t.Errorf("%+v", x.LogSize)
	}
	if len(x.Obsolete.Value) != 1 || !strings.Contains(x.Obsolete.Value[0], "isolation.tools.paste.disable") {
		t.Errorf("%q", x.Obsolete.Value)
	}
	if want := []string{"isolation.tools.copy.disable", "isolation.tools.paste.disable", "log.rotatesize", "remotedisplay.maxconnections"}; !slices.Equal(x.Set.Value, want) {
		t.Errorf("%q", x.Set.Value)
	}
}

// Of an encrypted machine nothing is known, and why is said.
func TestEncryptedVMX(t *testing.T) {
	x := vmxFacts(t, "displayName = \"safe\"\nencryption.keySafe = \"...\"\nencryption.data = \"...\"\n")
	if !x.Encrypted.Value || x.Name.Value != "safe" {
		t.Errorf("%+v", x)
	}
	for _, p := range []*posture.Problem{x.CopyOff.Problem, x.Hardware.Problem, x.Firmware.Problem, x.Set.Problem, x.Obsolete.Problem, x.Devices.Problem, x.Disks.Problem, x.LogKeep.Problem, x.PageSalt.Problem} {
		if p == nil || p.Code != "encrypted" {
			t.Errorf("%+v", p)
		}
	}
}

// What is configured is told from what is in effect, where that is known.
func TestPendingVMX(t *testing.T) {
	yes, no := true, false
	at := func(h int) time.Time { return time.Date(2027, 1, 2, h, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		m             vmx.Machine
		known, wanted bool
	}{
		"file":    {vmx.Machine{}, false, false},
		"locked":  {vmx.Machine{Running: &yes}, false, false},
		"off":     {vmx.Machine{Running: &no, Changed: at(3)}, true, false},
		"changed": {vmx.Machine{Running: &yes, Since: at(1), Changed: at(2)}, true, true},
		"same":    {vmx.Machine{Running: &yes, Since: at(2), Changed: at(1)}, true, false},
	} {
		if p := VMX("m", "m", c.m, nil, at(9)).VMX.Pending; p.IsKnown() != c.known || p.Value != c.wanted {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// Whatever a file holds, its facts can be judged: each is known or says why not.
func FuzzVMX(f *testing.F) {
	for _, s := range []string{"", "floppy0.startConnected = \"x\"\nscsi0:0.present=\"true\"\nscsi0:0.deviceType=\"cdrom-raw\"", "encryption.data = \"\"",
		"ethernet0.filter1.name = \"|0A\"\nvirtualHW.version = \"-9\"\nlog.keepOld = \"1e9\"", "a => b\n\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := vmx.Parse([]byte(text))
		if err != nil {
			return
		}
		m := file.Machine()
		x := VMX("m", "f", m, file.Problems(), time.Unix(0, 0)).VMX
		for _, p := range []struct {
			known   bool
			problem *posture.Problem
		}{{x.CopyOff.IsKnown(), x.CopyOff.Problem}, {x.LogSize.IsKnown(), x.LogSize.Problem}, {x.Devices.IsKnown(), x.Devices.Problem}, {x.Set.IsKnown(), x.Set.Problem}} {
			if !p.known && (p.problem == nil || p.problem.Code == "" || p.problem.Code == "not-collected") {
				t.Fatalf("a fact is unknown without a reason: %+v", p.problem)
			}
		}
		for _, d := range m.Devices {
			if d.Kind == "" || d.Name == "" {
				t.Fatalf("%+v", d)
			}
		}
	})
}
