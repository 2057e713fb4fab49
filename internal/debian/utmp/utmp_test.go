package utmp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func record(kind uint16, user, line, host string, at int64) []byte {
	r := make([]byte, recordSize)
	binary.LittleEndian.PutUint16(r, kind)
	copy(r[8:40], line)
	copy(r[44:76], user)
	copy(r[76:332], host)
	binary.LittleEndian.PutUint32(r[340:], uint32(at))
	return r
}

func TestParseLogins(t *testing.T) {
	b := append(record(2, "reboot", "~", "6.8", 1), record(userProcess, "ann", "pts/0", "10.0.0.5", 1700000000)...)
	got := ParseLogins(append(b, 1, 2, 3))
	want := []Login{{User: "ann", Line: "pts/0", Host: "10.0.0.5", Time: time.Unix(1700000000, 0).UTC()}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseLastlog(t *testing.T) {
	b := make([]byte, 3*lastlogSize)
	binary.LittleEndian.PutUint32(b[2*lastlogSize:], 1700000000)
	got, err := ParseLastlog(b)
	if err != nil || !cmp.Equal(got, map[int]time.Time{2: time.Unix(1700000000, 0).UTC()}) {
		t.Error(got, err)
	}
	if _, err := ParseLastlog(b[:100]); err == nil {
		t.Error("a file of a wrong size was accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(record(userProcess, "ann", "pts/0", "h", 1))
	f.Add(make([]byte, lastlogSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(ParseLogins(b)); n > len(b)/recordSize {
			t.Fatal("more logins than records", n)
		}
		_, _ = ParseLastlog(b)
	})
}
