package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/castellan-project/castellan/internal/posture"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// render writes a report and fails the test when that fails.
func render(t testing.TB, format string, r *posture.Report, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares a text with testdata/name; -update rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", file, d)
	}
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		file, format string
		report       *posture.Report
		o            Options
	}{
		{"sample.txt", "text", sample(), Options{}},
		{"sample-verbose.txt", "text", sample(), Options{Verbose: true}},
		{"sample-all.txt", "text", sample(), Options{ShowAll: true}},
		{"sample-color.txt", "text", sample(), Options{Color: true}},
		{"sample-narrow.txt", "text", sample(), Options{Verbose: true, ShowAll: true, Width: 40}},
		{"fleet.txt", "text", fleet(), Options{}},
		{"fleet.json", "json", fleet(), Options{}},
		{"fleet.sarif", "sarif", fleet(), Options{}},
		{"fleet.junit.xml", "junit", fleet(), Options{}},
		{"fleet.oscal.json", "oscal", fleet(), Options{}},
		{"empty.txt", "text", &posture.Report{}, Options{}},
	} {
		t.Run(c.file, func(t *testing.T) { golden(t, c.file, render(t, c.format, c.report, c.o)) })
	}
}

func TestWriteUnknownFormat(t *testing.T) {
	var b bytes.Buffer
	err := Write(&b, "pdf", sample(), Options{})
	if err == nil || !strings.Contains(err.Error(), `"pdf"`) || !strings.Contains(err.Error(), "sarif") {
		t.Errorf("the error does not say what there is: %v", err)
	}
	if b.Len() > 0 {
		t.Errorf("something was written: %q", b.String())
	}
}
