package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/castellan-project/castellan/internal/posture"
	"github.com/castellan-project/castellan/internal/posture/report"
)

// output takes the judgements of a scan one by one and writes the reports. JSON alone is written as it comes, so that
// memory stays flat over thousands of targets; the other formats need to see all of them first.
type output struct {
	app    *app
	flags  *scanFlags
	rep    *posture.Report
	stream *report.JSONStream
	file   *sink
	err    error
	// comparison sees every target, whether it is kept or streamed.
	comparison posture.Comparison
}

func (a *app) newOutput(f *scanFlags, rep *posture.Report) (*output, error) {
	o := &output{app: a, flags: f, rep: rep}
	if len(f.formats) != 1 || f.formats[0] != "json" {
		return o, nil
	}
	var err error
	if o.file, err = a.openSink(f.output); err != nil {
		return nil, fmt.Errorf("cannot write the report: %w", err)
	}
	o.stream, err = report.NewJSONStream(o.file, rep)
	return o, err
}

func (o *output) add(r posture.TargetReport) {
	o.comparison.Add(r)
	if o.stream == nil {
		o.rep.Targets = append(o.rep.Targets, o.slim(r))
		return
	}
	o.err = errors.Join(o.err, o.stream.Target(r))
}

// slim drops what the short text report does not show: over thousands of targets it is most of what a report holds. Remedies stay
// with the first target, because a report of one target suggests to repair it.
func (o *output) slim(r posture.TargetReport) posture.TargetReport {
	if o.flags.verbose || len(o.flags.formats) != 1 || o.flags.formats[0] != "text" {
		return r
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Evidence, f.Refs, f.Obsolete, f.Rationale, f.Manual = nil, nil, nil, "", ""
		if len(o.rep.Targets) > 0 {
			f.Remediation = nil
		}
	}
	return r
}

func (o *output) close() error {
	o.rep.Clusters, o.rep.GuestChannels = o.comparison.Clusters(), o.comparison.Channels()
	if o.stream != nil {
		return errors.Join(o.err, o.stream.Close(o.rep), o.file.close(o.err == nil))
	}
	for _, format := range o.flags.formats {
		name := o.flags.output
		if len(o.flags.formats) > 1 {
			name = strings.TrimSuffix(name, filepath.Ext(name)) + "." + extension(format)
		}
		w, err := o.app.openSink(name)
		if err != nil {
			return err
		}
		err = report.Write(w, format, o.rep, o.options(name))
		if err := errors.Join(err, w.close(err == nil)); err != nil {
			return err
		}
	}
	return nil
}

// maxWidth bounds the width of reports on wide terminals, in columns: longer lines are hard to read.
const maxWidth = 120

func (o *output) options(name string) report.Options {
	opts := report.Options{Verbose: o.flags.verbose, ShowAll: o.flags.all}
	if name == "" {
		opts.Color = o.app.color(o.app.out)
		if tty, width := terminal(o.app.out); tty {
			opts.Width = min(width, maxWidth)
		}
	}
	return opts
}

// sink is standard output, or a file that is replaced as a whole when everything is written.
type sink struct {
	*bufio.Writer
	name    string
	pending *renameio.PendingFile
	device  *os.File
	told    io.Writer
}

// openSink opens the place of a report; an empty name is standard output. Files are readable by their owner only: a
// report tells an attacker where to begin.
func (a *app) openSink(name string) (*sink, error) {
	s := &sink{name: name, told: a.err}
	var err error
	switch st, statErr := os.Stat(name); {
	case name == "":
		s.Writer = bufio.NewWriter(a.out)
	case statErr == nil && !st.Mode().IsRegular():
		if s.device, err = os.OpenFile(name, os.O_WRONLY, 0); err != nil {
			return nil, err
		}
		s.Writer = bufio.NewWriter(s.device)
	default:
		if s.pending, err = renameio.NewPendingFile(name, renameio.WithPermissions(0o600)); err != nil {
			return nil, err
		}
		s.Writer = bufio.NewWriter(s.pending)
	}
	return s, nil
}

// close completes the file, or leaves the old one when the report is not whole.
func (s *sink) close(whole bool) error {
	err := s.Flush()
	switch {
	case s.pending != nil && (!whole || err != nil):
		return errors.Join(err, s.pending.Cleanup())
	case s.pending != nil:
		err = s.pending.CloseAtomicallyReplace()
	case s.device != nil:
		err = errors.Join(err, s.device.Close())
	}
	if err == nil && s.name != "" {
		fmt.Fprintf(s.told, "wrote %s\n", s.name)
	}
	return err
}

// writeFile replaces a file as a whole.
func (a *app) writeFile(name string, b []byte) error {
	s, err := a.openSink(name)
	if err != nil {
		return err
	}
	_, err = s.Write(b)
	return errors.Join(err, s.close(err == nil))
}

func extension(format string) string {
	switch format {
	case "text":
		return "txt"
	case "junit":
		return "xml"
	case "oscal":
		return "oscal.json"
	}
	return format
}
