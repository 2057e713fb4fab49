//go:build lab

package fail2ban

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is what fail2ban's own test suite says about a line.
type sample struct {
	Match bool   `json:"match"`
	Host  string `json:"host"`
}

// TestSamples runs fail2ban's own log samples, which are not part of this source (their licence is the GPL), with the
// filters of the same package. Filters that remember earlier lines (multi-line identifiers) miss some lines here, and
// exotic time stamps are not found; the share of lines judged alike must stay at 94 in 100, and no line may match that
// should not (but in the aggressive mode of sshd, where the connection's earlier lines decide).
func TestSamples(t *testing.T) {
	for _, root := range bases(t) {
		t.Run(filepath.Base(root), func(t *testing.T) {
			samples(t, root+Base, root+"/usr/lib/python3/dist-packages/fail2ban/tests/files/logs")
		})
	}
}

func samples(t *testing.T, conf, logs string) {
	files, _ := filepath.Glob(logs + "/*")
	same, all := 0, 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		s, n := runSamples(t, disk(conf), filepath.Base(f), string(b))
		same, all = same+s, all+n
	}
	t.Logf("%d of %d lines judged alike", same, all)
	if all < 500 || same*100 < all*94 {
		t.Errorf("%d of %d lines judged alike", same, all)
	}
}

func runSamples(t *testing.T, src Source, name, text string) (same, all int) {
	opts := []map[string]string{{}}
	var want *sample
	for _, l := range strings.Split(text, "\n") {
		if s, ok := strings.CutPrefix(l, "# filterOptions:"); ok {
			opts = sampleOptions(s)
			continue
		}
		if s, ok := strings.CutPrefix(l, "# failJSON:"); ok {
			want = &sample{}
			if json.Unmarshal([]byte(s), want) != nil {
				want = nil
			}
			continue
		}
		if l == "" || l[0] == '#' || want == nil {
			continue
		}
		for _, o := range opts {
			if o["test.condition"] != "" || o["test.filter"] != "" {
				continue
			}
			f, err := LoadFilter(src, Base+"/filter.d/"+name+".conf", o, o["logtype"] == "journal")
			if err != nil || f.MaxLines > 1 {
				continue
			}
			m, ok := f.Match(l)
			all++
			if ok == want.Match && (!ok || want.Host == "" || m.Host == strings.ToLower(want.Host) || m.Host == want.Host) {
				same++
			} else if ok && !want.Match && o["mode"] != "aggressive" {
				t.Errorf("%s %v: matches and should not: %s", name, o, l)
			} else {
				t.Logf("%s %v: want %+v, got %+v %v: %s", name, o, *want, m, ok, l)
			}
		}
		want = nil
	}
	return same, all
}

func sampleOptions(s string) []map[string]string {
	var list []map[string]any
	if json.Unmarshal([]byte(s), &list) != nil {
		var one map[string]any
		if json.Unmarshal([]byte(s), &one) != nil {
			return nil
		}
		list = append(list, one)
	}
	var out []map[string]string
	for _, o := range list {
		m := map[string]string{}
		for k, v := range o {
			if s, ok := v.(string); ok {
				m[k] = s
			}
		}
		out = append(out, m)
	}
	return out
}
