package filter_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// archive reads the answers of pve-firewall's own simulator: world/ is shared by all cases.
func archive(t testing.TB) (world map[string][]byte, cases map[string]map[string][]byte) {
	t.Helper()
	f, err := os.Open("testdata/conformance.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	world, cases = map[string][]byte{}, map[string]map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return world, cases
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		top, rest, _ := strings.Cut(path.Clean(h.Name), "/")
		if top == "world" {
			world["/"+rest] = b
			continue
		}
		if cases[top] == nil {
			cases[top] = map[string][]byte{}
		}
		cases[top]["/"+rest] = b
	}
}

func cluster(t testing.TB, files ...map[string][]byte) *inventory.Cluster {
	t.Helper()
	m := &host.Memory{Files: map[string][]byte{}, Dirs: []string{"/etc/pve"}}
	for _, fs := range files {
		for name, b := range fs {
			m.Files[name] = b
		}
	}
	c, err := inventory.Read(m, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(t testing.TB, c *inventory.Cluster, node string, b filter.Backend) *filter.Network {
	t.Helper()
	n, err := filter.New(c, node, b, filter.Options{Now: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestConformance demands the verdict of pve-firewall for every packet.
func TestConformance(t *testing.T) {
	world, cases := archive(t)
	names := make([]string, 0, len(cases))
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	packets := 0
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			n := compile(t, cluster(t, world, cases[name]), "node1", filter.IPTables)
			sc := bufio.NewScanner(bytes.NewReader(cases[name]["/expected.jsonl"]))
			for sc.Scan() {
				var want struct {
					filter.Query
					DPort   json.Number    `json:"dport"`
					Verdict filter.Verdict `json:"verdict"`
				}
				if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
					t.Fatal(err)
				}
				want.Query.DPort = want.DPort.String()
				got, err := n.Simulate(want.Query)
				if err != nil {
					t.Fatal(err)
				}
				if packets++; got.Verdict != want.Verdict {
					t.Errorf("%s: got %s, by %+v", sc.Text(), got.Verdict, got.Trace)
				}
			}
		})
	}
	if packets != 2694 {
		t.Errorf("%d packets were checked, want 2694", packets)
	}
}
