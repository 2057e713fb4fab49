// Package report writes the findings of a scan: as text for a terminal, as JSON for programs, as SARIF, JUnit and
// OSCAL for the tools that read those, and as one HTML file for people.
//
// It prints what posture judged and judges nothing itself. Every writer is a pure function of the report and the
// [Options]: no clock, no randomness, no map order. The same report gives the same bytes.
//
// Whatever stands in a finding may have been written by whoever controls the host that was scanned. Each format
// therefore makes every string harmless for the program that will show it: see clean.go.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// DefaultWidth is the width of text reports, in terminal cells, when Options do not say another.
const DefaultWidth = 80

// MinWidth is the narrowest text report, in terminal cells. Below it no column would be left for the reasons.
const MinWidth = 40

// Options say how a report is written. The zero value is a plain text report of 80 columns. Formats other than text
// take no notice of them: they are complete by nature.
type Options struct {
	// Color allows ANSI colours. Whoever calls has looked at the terminal and at NO_COLOR.
	Color bool
	// Width is the number of terminal cells that no line exceeds; 0 means DefaultWidth, less than MinWidth means
	// MinWidth.
	Width int
	// Verbose adds to each finding its evidence with sources, the fix and the references.
	Verbose bool
	// ShowAll lists passing, waived, manual and not applicable controls too.
	ShowAll bool
}

// format is one way to write a report.
type format struct {
	name  string
	write func(w io.Writer, r *posture.Report, o Options) error
}

func formats() []format {
	return []format{
		{"text", writeText},
		{"json", writeJSON},
		{"sarif", writeSARIF},
		{"junit", writeJUnit},
		{"oscal", writeOSCAL},
		{"html", writeHTML},
	}
}

// Formats lists the names that Write takes, in the order in which help should show them.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// Write writes the report in one of the Formats. The report is not changed. A format that does not exist is an error
// that lists those that do, before anything is written.
func Write(w io.Writer, name string, r *posture.Report, o Options) error {
	for _, f := range formats() {
		if f.name != name {
			continue
		}
		if err := f.write(w, r, o); err != nil {
			return fmt.Errorf("cannot write the %s report: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("cannot write a report as %q: the formats are %s", name, strings.Join(Formats(), ", "))
}
