package rbac

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// vector is one configuration of the conformance data with the answers of pve-access-control 9.1.1.
type vector struct {
	Cfg     string `json:"cfg"`
	Rewrite string `json:"rewrite"`
	NWarn   int    `json:"nwarn"`
	Q       []struct {
		ID    string          `json:"id"`
		Path  string          `json:"path"`
		Roles json.RawMessage `json:"roles"`
		Privs json.RawMessage `json:"privs"`
	} `json:"q"`
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	f, err := os.Open("../../pve/usercfg/testdata/vectors.jsonl.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var all []vector
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var v vector
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			tb.Fatal(err)
		}
		all = append(all, v)
	}
	if err := sc.Err(); err != nil || len(all) != 300 {
		tb.Fatalf("%d configurations, %v", len(all), err)
	}
	return all
}

// want is the answer of PVE as a list; root@pam's are words.
func want(tb testing.TB, raw json.RawMessage) []string {
	var list []string
	switch {
	case bytes.Equal(raw, []byte(`"Administrator"`)):
		return []string{"Administrator"}
	case bytes.Equal(raw, []byte(`"ALL"`)):
		return usercfg.Privileges(9)
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		tb.Fatal(err)
	}
	if list == nil {
		list = []string{}
	}
	return list
}

// TestConformance compares all answers, warnings and rewritten files with those of PVE's own code.
func TestConformance(t *testing.T) {
	queries := 0
	for i, v := range vectors(t) {
		cfg, problems := usercfg.Parse([]byte(v.Cfg), 9)
		if len(problems) != v.NWarn {
			t.Errorf("configuration %d: %d warnings, PVE gives %d: %v", i, len(problems), v.NWarn, problems)
		}
		if diff := cmp.Diff(v.Rewrite, string(cfg.Write())); diff != "" {
			t.Errorf("configuration %d is not written as PVE does (-PVE +ours):\n%s", i, diff)
		}
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range v.Q {
			queries++
			if roles := e.Roles(q.ID, q.Path); !slices.Equal(roles, want(t, q.Roles)) {
				t.Errorf("configuration %d: roles of %s at %s are %v, PVE says %s", i, q.ID, q.Path, roles, q.Roles)
			}
			if privs := e.Permissions(q.ID, q.Path).Set.Names(); !slices.Equal(privs, want(t, q.Privs)) {
				t.Errorf("configuration %d: privileges of %s at %s are %v, PVE says %s", i, q.ID, q.Path, privs, q.Privs)
			}
		}
	}
	if queries != 13500 {
		t.Errorf("%d queries", queries)
	}
}

// BenchmarkConformance answers all 13,500 queries, reading the configurations included; the budget is 0.5 s.
func BenchmarkConformance(b *testing.B) {
	all := vectors(b)
	for b.Loop() {
		start := time.Now()
		for _, v := range all {
			cfg, _ := usercfg.Parse([]byte(v.Cfg), 9)
			e, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			for _, q := range v.Q {
				e.Roles(q.ID, q.Path)
				e.Permissions(q.ID, q.Path).Set.Names()
			}
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			b.Errorf("%v for 13,500 queries", d)
		}
	}
}
