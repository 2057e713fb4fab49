package report

import (
	"strings"
	"time"

	oscal "github.com/defenseunicorns/go-oscal/src/types/oscal-1-1-3"

	"github.com/castellan-project/castellan/internal/posture"
)

// observation records what was seen for one control, whatever came of it.
func (x oscalDoc) observation(t posture.TargetReport, f posture.Finding) oscal.Observation {
	method := "TEST"
	if f.Code == posture.CodeAttested || statusOf(f) == posture.Manual {
		method = "INTERVIEW" // a person's word, given or awaited
	}
	o := oscal.Observation{
		UUID:        x.id("observation", t.Target, f.Control),
		Title:       nonEmpty(oneLine(f.Control+" "+f.Title), "control"),
		Description: nonEmpty(reasonOf(f), "none"),
		Methods:     []string{method},
		Types:       &[]string{"control-objective"},
		Origins:     x.origins(),
		Collected:   x.moment(t),
		Subjects:    &[]oscal.SubjectReference{{SubjectUuid: x.hostID(t), Type: "inventory-item"}},
		Props:       &[]oscal.Property{x.prop("status", string(statusOf(f))), x.prop("reason-code", f.Code)},
	}
	var evidence []oscal.RelevantEvidence
	for _, e := range f.Evidence {
		evidence = append(evidence, oscal.RelevantEvidence{
			Description: nonEmpty(oneLine(evidenceLine(e)), "none"),
			Props: &[]oscal.Property{
				x.prop("fact", e.Path), x.prop("origin", e.Origin), x.prop("source", e.Source),
			},
		})
	}
	o.RelevantEvidence = listOrNil(evidence)
	return o
}

// finding says whether the control's objective is satisfied. OSCAL knows satisfied and not-satisfied only: what is
// unknown or waits for a person is not satisfied, for the reason "other".
func (x oscalDoc) finding(t posture.TargetReport, f posture.Finding) oscal.Finding {
	state, reason := "not-satisfied", "other"
	switch {
	case statusOf(f) == posture.Pass:
		state, reason = "satisfied", "pass"
	case failing(f):
		reason = "fail"
	}
	id := oscalToken(f.Control)
	out := oscal.Finding{
		UUID:        x.id("finding", t.Target, f.Control),
		Title:       nonEmpty(oneLine(f.Title), id),
		Description: nonEmpty(reasonOf(f), "none"),
		Target: oscal.FindingTarget{
			Type: "objective-id", TargetId: id,
			Status: oscal.ObjectiveStatus{State: state, Reason: reason, Remarks: statusWord(statusOf(f))},
		},
		Origins:             x.origins(),
		RelatedObservations: &[]oscal.RelatedObservation{{ObservationUuid: x.id("observation", t.Target, f.Control)}},
		Props:               &[]oscal.Property{x.prop("severity", string(f.Severity))},
		Remarks:             strings.Join(refTexts(f), "\n\n"),
	}
	if failing(f) {
		out.RelatedRisks = &[]oscal.AssociatedRisk{{RiskUuid: x.id("risk", t.Target, f.Control)}}
	}
	return out
}

// risk is what a failing control means, and what would end it. A waiver is OSCAL's approved deviation, with the
// waiver's last day as deadline.
func (x oscalDoc) risk(t posture.TargetReport, f posture.Finding) oscal.Risk {
	r := oscal.Risk{
		UUID:        x.id("risk", t.Target, f.Control),
		Title:       nonEmpty(oneLine(f.Title), oscalToken(f.Control)),
		Description: nonEmpty(reasonOf(f), "none"),
		Statement:   nonEmpty(block(f.Rationale), "See the control "+oscalToken(f.Control)+"."),
		Status:      "open",
		Origins:     x.origins(),
		Characterizations: &[]oscal.Characterization{{
			Origin: x.origin(),
			Facets: []oscal.Facet{{Name: "severity", System: oscalNamespace, Value: nonEmpty(oneLine(string(f.Severity)), "none")}},
		}},
		RelatedObservations: &[]oscal.RelatedObservation{{ObservationUuid: x.id("observation", t.Target, f.Control)}},
	}
	if statusOf(f) == posture.Waived {
		r.Status = "deviation-approved"
	}
	if w := f.Waiver; w != nil {
		r.Props = &[]oscal.Property{x.prop("waiver-approver", w.Approver), x.prop("waiver-reason", w.Reason)}
		if end, err := time.Parse(time.DateOnly, w.Expires.String()); err == nil {
			r.Deadline = &end
		}
	}
	if fixes := fixesOf(f); len(fixes) > 0 {
		res := oscal.Response{
			UUID:        x.id("response", t.Target, f.Control),
			Lifecycle:   "recommendation",
			Title:       "Fix",
			Description: strings.Join(fixes, "\n\n"),
			Props:       &[]oscal.Property{x.prop("lockout", f.Lockout)},
		}
		r.Remediations = &[]oscal.Response{res}
	}
	return r
}
