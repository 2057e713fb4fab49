package smbios

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHardwareSecurity(t *testing.T) {
	s, rest, err := Parse([]byte{24, 5, 0x20, 0x01, 0b00_10_01_11, 0, 0})
	if err != nil || len(rest) != 0 || s.Handle != 0x0120 {
		t.Fatal(s, rest, err)
	}
	got, err := HardwareSecurity(s)
	want := Security{PowerOnPassword: Disabled, KeyboardPassword: NotImplemented, AdministratorPassword: Enabled, FrontPanelReset: Undetermined}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if got.AdministratorPassword.String() != "enabled" || got.FrontPanelReset.String() != "unknown" {
		t.Error(got)
	}
}

func TestTable(t *testing.T) {
	b := []byte("\x01\x06\x01\x00\x01\x02Maker\x00Model\x00\x00" + "\x18\x05\x02\x00\x04\x00\x00" + "\x7f\x04\x03\x00\x00\x00" + "garbage")
	list, err := Table(b)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	if d := cmp.Diff([]string{"Maker", "Model"}, list[0].Strings); d != "" {
		t.Error(d)
	}
}

func TestBroken(t *testing.T) {
	for _, b := range []string{"", "\x18", "\x18\x03\x00\x00", "\x18\xff\x00\x00\x00", "\x18\x05\x00\x00\x00abc"} {
		if _, _, err := Parse([]byte(b)); !errors.Is(err, ErrShort) {
			t.Errorf("Parse(%q) = %v", b, err)
		}
	}
	if _, err := HardwareSecurity(Structure{Type: 24, Data: make([]byte, 4)}); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	if _, err := HardwareSecurity(Structure{Type: 1, Data: make([]byte, 9)}); err == nil {
		t.Error("type 1 is no hardware security")
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("\x18\x05\x02\x00\x04\x00\x00\x7f\x04\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Table(b)
		for _, s := range list {
			if len(s.Data) < 4 {
				t.Fatal("a structure without its header")
			}
			_, _ = HardwareSecurity(s)
		}
	})
}
