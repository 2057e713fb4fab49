package statuscfg

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte("# metrics\ninfluxdb: home\n\tserver 10.0.0.5\n\tport 8089\n\ninfluxdb: cloud\n\tserver i.example\n\tinfluxdbproto https\n\ttoken s3cret\ngraphite: old\n\tdisable 1\nopentelemetry: o\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Server{
		{"influxdb", "home", 2, map[string]string{"server": "10.0.0.5", "port": "8089"}},
		{"influxdb", "cloud", 6, map[string]string{"server": "i.example", "influxdbproto": "https"}},
		{"graphite", "old", 10, map[string]string{"disable": "1"}},
		{"opentelemetry", "o", 12, map[string]string{}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for i, protocol := range []string{"udp", "https", "udp", "https"} {
		if got[i].Protocol() != protocol || got[i].Disabled() != (i == 2) {
			t.Errorf("%s: %s, %v", got[i].Name, got[i].Protocol(), got[i].Disabled())
		}
	}
	for _, bad := range []string{"\tserver x\n", "nonsense\n", "influxdb:\n"} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("influxdb: a\n\tserver b\n\ttoken c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Parse(b)
		for _, s := range list {
			_ = s.Protocol()
			if _, ok := s.Options["token"]; ok {
				t.Fatal("a token was kept")
			}
		}
	})
}
