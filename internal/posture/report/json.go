package report

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/castellan-project/castellan/internal/posture"
)

// writeJSON writes the report as the document that programs read: its keys are a contract (docs/reports.md). Findings are in the order of their
// ids, targets in the order in which they were given, lists are never null.
func writeJSON(w io.Writer, r *posture.Report, _ Options) error {
	doc := *r
	doc.Targets = make([]posture.TargetReport, len(r.Targets))
	for i, t := range r.Targets {
		t.Findings = sortedByControl(t.Findings)
		if t.Findings == nil {
			t.Findings = []posture.Finding{}
		}
		for j := range t.Findings {
			f := &t.Findings[j]
			if f.Evidence == nil {
				f.Evidence = []posture.Evidence{}
			}
			if f.Remediation == nil {
				f.Remediation = []posture.Advice{}
			}
		}
		doc.Targets[i] = t
	}
	return encodeJSON(w, doc)
}

// encodeJSON writes a value as indented JSON with a line end, without the escapes for HTML that would make paths and
// regular expressions hard to read.
func encodeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeHidden(b.Bytes()))
	return err
}
