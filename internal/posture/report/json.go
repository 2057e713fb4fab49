package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// writeJSON writes the report as the document that programs read: its keys are a contract (docs/reports.md).
// Findings are in the order of their ids, targets in the order in which they were given, lists are never null.
func writeJSON(w io.Writer, r *posture.Report, _ Options) error {
	s, err := NewJSONStream(w, r)
	if err != nil {
		return err
	}
	for _, t := range r.Targets {
		if err := s.Target(t); err != nil {
			return err
		}
	}
	return s.Close(r)
}

// JSONStream writes the JSON report of a scan target by target, for scans of so many targets that they should not be
// held in memory together. It writes the same bytes as Write does with the format json.
type JSONStream struct{ list *listWriter }

// NewJSONStream begins a report: with everything that r says but its targets, which follow one by one.
func NewJSONStream(w io.Writer, r *posture.Report) (*JSONStream, error) {
	head := *r
	head.Targets, head.Clusters, head.GuestChannels = []posture.TargetReport{}, nil, nil
	l, err := newListWriter(w, head, "targets")
	if err != nil {
		return nil, err
	}
	return &JSONStream{l}, nil
}

// Target writes the judgement of one more target.
func (s *JSONStream) Target(t posture.TargetReport) error {
	t.Findings = sortedByControl(t.Findings)
	if t.Findings == nil {
		t.Findings = []posture.Finding{}
	}
	for i := range t.Findings {
		f := &t.Findings[i]
		if f.Evidence == nil {
			f.Evidence = []posture.Evidence{}
		}
		if f.Remediation == nil {
			f.Remediation = []posture.Advice{}
		}
	}
	return s.list.add(t)
}

// Close ends the document with what compares the targets of r. Without it the document is not complete.
func (s *JSONStream) Close(r *posture.Report) error {
	outer := strings.TrimSuffix(s.list.indent, "  ")
	after := s.list.after
	s.list.after = ""
	for _, part := range []struct {
		name string
		n    int
		list any
	}{{"clusters", len(r.Clusters), r.Clusters}, {"guest_channels", len(r.GuestChannels), r.GuestChannels}} {
		if part.n == 0 {
			continue
		}
		text, err := indentedJSON(part.list, outer)
		if err != nil {
			return err
		}
		s.list.after += ",\n" + outer + `"` + part.name + `": ` + string(text)
	}
	s.list.after += after
	return s.list.close()
}

// listWriter writes a JSON document in which one list is long, element by element.
type listWriter struct {
	w      io.Writer
	indent string // of the list's elements
	after  string // what follows the list
	n      int
}

// newListWriter writes what stands before the list: doc is the document with an empty list under the key. The key
// must be on a line of its own for the first time there.
func newListWriter(w io.Writer, doc any, key string) (*listWriter, error) {
	text, err := indentedJSON(doc, "")
	if err != nil {
		return nil, err
	}
	before, after, ok := strings.Cut(string(text), `"`+key+`": []`)
	if !ok {
		return nil, errors.New("the document has no empty list " + key)
	}
	line := before[strings.LastIndexByte(before, '\n')+1:]
	l := &listWriter{w: w, indent: line + "  ", after: after}
	_, err = io.WriteString(w, before+`"`+key+`": [`)
	return l, err
}

func (l *listWriter) add(element any) error {
	text, err := indentedJSON(element, l.indent)
	if err != nil {
		return err
	}
	sep := "\n"
	if l.n > 0 {
		sep = ",\n"
	}
	l.n++
	if _, err := io.WriteString(l.w, sep+l.indent); err != nil {
		return err
	}
	_, err = l.w.Write(text)
	return err
}

func (l *listWriter) close() error {
	end := "]"
	if l.n > 0 {
		end = "\n" + strings.TrimSuffix(l.indent, "  ") + "]"
	}
	_, err := io.WriteString(l.w, end+l.after+"\n")
	return err
}

// indentedJSON writes a value as indented JSON without a line end, and without the escapes for HTML that would make
// paths and regular expressions hard to read. All lines but the first begin with the prefix.
func indentedJSON(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escapeHidden(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
