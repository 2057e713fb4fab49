package filewalk

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte("f 4755 0 0 /usr/bin/su\x00d 1777 1000 100 /a b\n c\x00"))
	want := []File{{'f', 0o4755, 0, 0, "/usr/bin/su"}, {'d', 0o1777, 1000, 100, "/a b\n c"}}
	if err != nil || !cmp.Equal(want, got) {
		t.Error(err, cmp.Diff(want, got))
	}
	for _, bad := range []string{"f 4755 0 0 /usr/bin/su", "f 4755 0 /x\x00", "f 9 0 0 /x\x00", "f 1 -1 0 /x\x00", "ff 1 0 0 /x\x00", "f 1 0 0 \x00"} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("f 4755 0 0 /usr/bin/su\x00"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Parse(b)
		if err == nil && len(b) > 0 && len(list) == 0 {
			t.Fatal("bytes without a record")
		}
	})
}
