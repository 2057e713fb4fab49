package report

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 defines version 5 UUIDs by SHA-1; nothing here relies on its strength.
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	oscal "github.com/defenseunicorns/go-oscal/src/types/oscal-1-1-3"

	"github.com/castellan-project/castellan/internal/posture"
)

// oscalNamespace qualifies the properties that are ours (OSCAL's "ns").
const oscalNamespace = projectURI + "/ns/oscal"

// writeOSCAL writes the report as OSCAL 1.1.3 assessment results (NIST): one result per target; an observation with
// the evidence per control, a finding for each that applies, a risk for each failure, open or accepted by a waiver.
func writeOSCAL(w io.Writer, r *posture.Report, _ Options) error {
	// The identifiers depend on all that the report says, and on nothing else.
	content := sha256.New()
	if err := writeJSON(content, r, Options{}); err != nil {
		return err
	}
	x := oscalDoc{report: r, seed: uuid5(oscalNamespace, string(content.Sum(nil)))}
	l, err := newListWriter(w, oscal.OscalModels{AssessmentResults: x.document()}, "results")
	if err != nil {
		return err
	}
	for _, t := range r.Targets {
		if err := l.add(x.result(t)); err != nil {
			return err
		}
	}
	if len(r.Targets) == 0 {
		if err := l.add(x.emptyResult()); err != nil {
			return err
		}
	}
	return l.close()
}

// oscalDoc is a document under way. Its identifiers are version 5 UUIDs of the report's content and the thing's
// place in it: the same report gives the same identifiers, another report others.
type oscalDoc struct {
	report *posture.Report
	seed   string // the UUID of the content
}

// id is the identifier of a thing, named by the path to it.
func (x oscalDoc) id(path ...string) string {
	return uuid5(x.seed, strings.Join(path, "\x00"))
}

// hostID identifies a target across reports.
func (x oscalDoc) hostID(t posture.TargetReport) string {
	return uuid5(oscalNamespace, "target\x00"+t.Target)
}

// toolID identifies castellan across reports.
func (x oscalDoc) toolID() string { return uuid5(oscalNamespace, "tool\x00"+x.report.Tool) }

// uuid5 makes a name-based UUID (RFC 9562, section 5.5). The name space is the UUID of its own name in the name
// space of URLs.
func uuid5(space, name string) string {
	h := sha1.New() //nolint:gosec // see the import
	h.Write([]byte("\x6b\xa7\xb8\x11\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8" + space + "\x00" + name))
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// document is the document without its results.
func (x oscalDoc) document() *oscal.AssessmentResults {
	plan := x.id("plan")
	version := nonEmpty(toolVersion(x.report), "unknown")
	ar := &oscal.AssessmentResults{
		UUID: x.id("document"),
		Metadata: oscal.Metadata{
			Title:        "castellan scan",
			LastModified: x.last(),
			Version:      version,
			OscalVersion: oscal.Version,
			Props: &[]oscal.Property{
				x.prop("profile", x.report.Profile),
				x.prop("catalogue-digest", x.report.CatalogueDigest),
			},
		},
		ImportAp: oscal.ImportAp{Href: "#" + plan},
		Results:  []oscal.Result{},
		BackMatter: &oscal.BackMatter{Resources: &[]oscal.Resource{{
			UUID:  plan,
			Title: "The assessment plan",
			Description: "The controls of castellan's profile " + nonEmpty(oneLine(x.report.Profile), "(none)") +
				", judged on facts that were read from each target.",
			Citation: &oscal.Citation{Text: projectURI},
		}}},
	}
	return ar
}

// last is the latest moment at which facts were read.
func (x oscalDoc) last() time.Time {
	last := time.Unix(0, 0).UTC()
	for _, t := range x.report.Targets {
		if t.CollectedAt.After(last) {
			last = t.CollectedAt.UTC()
		}
	}
	return last
}

// moment is when the facts of a target were read; OSCAL wants a moment even for one that could not be read.
func (x oscalDoc) moment(t posture.TargetReport) time.Time {
	if t.CollectedAt.IsZero() {
		return x.last()
	}
	return t.CollectedAt.UTC()
}

// emptyResult stands for a scan of nothing: the schema wants a result.
func (x oscalDoc) emptyResult() oscal.Result {
	return oscal.Result{
		UUID: x.id("result"), Title: "No target", Description: "No target was scanned.", Start: x.last(),
		ReviewedControls: reviewed(nil),
	}
}

// reviewed lists the controls that were applied; the schema has no empty list, so none is an empty selection.
func reviewed(fs []posture.Finding) oscal.ReviewedControls {
	var ids []oscal.AssessedControlsSelectControlById
	seen := map[string]bool{}
	for _, f := range fs {
		if id := oscalToken(f.Control); !seen[id] {
			seen[id] = true
			ids = append(ids, oscal.AssessedControlsSelectControlById{ControlId: id})
		}
	}
	sel := oscal.AssessedControls{Description: "No control was applied."}
	if len(ids) > 0 {
		sel = oscal.AssessedControls{IncludeControls: &ids}
	}
	return oscal.ReviewedControls{ControlSelections: []oscal.AssessedControls{sel}}
}

func (x oscalDoc) result(t posture.TargetReport) oscal.Result {
	fs := sortedByControl(t.Findings)
	start := x.moment(t)
	res := oscal.Result{
		UUID:             x.id("result", t.Target),
		Title:            nonEmpty(oneLine(t.Target), "target"),
		Description:      x.describe(t),
		Start:            start,
		End:              &start,
		LocalDefinitions: x.local(t),
		ReviewedControls: reviewed(fs),
		Props: &[]oscal.Property{
			x.prop("score", strconv.Itoa(t.Score)), x.prop("grade", t.Grade),
			x.prop("readable-percent", strconv.Itoa(t.Readable)),
			x.prop("complete", strconv.FormatBool(!incomplete(t))),
		},
	}
	var notes []string
	for _, n := range t.Notices {
		notes = append(notes, oneLine(n))
	}
	res.Remarks = strings.Join(notes, "\n\n")
	var observations []oscal.Observation
	var findings []oscal.Finding
	var risks []oscal.Risk
	for _, f := range fs {
		observations = append(observations, x.observation(t, f))
		if statusOf(f) == posture.NotApplicable {
			continue
		}
		if failing(f) {
			risks = append(risks, x.risk(t, f))
		}
		findings = append(findings, x.finding(t, f))
	}
	res.Observations = listOrNil(observations)
	res.Findings = listOrNil(findings)
	res.Risks = listOrNil(risks)
	return res
}

// listOrNil leaves an empty list out: the schema wants at least one entry in each that is there.
func listOrNil[T any](list []T) *[]T {
	if len(list) == 0 {
		return nil
	}
	return &list
}

// failing reports whether a control fails, accepted by a waiver or not.
func failing(f posture.Finding) bool {
	s := statusOf(f)
	return s == posture.Fail || s == posture.Waived
}

func (x oscalDoc) describe(t posture.TargetReport) string {
	if t.Error != "" {
		return "The target cannot be scanned: " + oneLine(t.Error)
	}
	return fmt.Sprintf("Score %d of 100, grade %s: %d pass, %d fail, %d unknown, %d manual, %d waived, %d not applicable.",
		t.Score, nonEmpty(oneLine(t.Grade), "none"), t.Counts.Pass, t.Counts.Fail, t.Counts.Unknown, t.Counts.Manual,
		t.Counts.Waived, t.Counts.NotApplicable)
}

// local defines what the result speaks of: the host, and the tool that looked.
func (x oscalDoc) local(t posture.TargetReport) *oscal.LocalDefinitions {
	props := []oscal.Property{x.prop("target", t.Target)}
	if h := oneLine(t.Hostname); h != "" {
		props = append(props, oscal.Property{Name: "fqdn", Value: h})
	}
	if os := oneLine(t.OS); os != "" {
		props = append(props, oscal.Property{Name: "os-name", Value: os})
	}
	return &oscal.LocalDefinitions{
		Components: &[]oscal.SystemComponent{{
			UUID: x.toolID(), Type: "software", Title: "castellan",
			Description: "castellan " + nonEmpty(toolVersion(x.report), "(unknown version)"),
			Status:      oscal.SystemComponentStatus{State: "operational"},
		}},
		InventoryItems: &[]oscal.InventoryItem{{
			UUID: x.hostID(t), Description: nonEmpty(oneLine(t.Target), "target"), Props: &props,
		}},
	}
}

// prop is a property of ours; OSCAL knows no empty value.
func (x oscalDoc) prop(name, value string) oscal.Property {
	return oscal.Property{Name: name, Ns: oscalNamespace, Value: nonEmpty(oneLine(value), "none")}
}

func (x oscalDoc) origins() *[]oscal.Origin {
	return &[]oscal.Origin{x.origin()}
}

func (x oscalDoc) origin() oscal.Origin {
	return oscal.Origin{Actors: []oscal.OriginActor{{Type: "tool", ActorUuid: x.toolID()}}}
}

// oscalToken writes an id as OSCAL's token: a letter or underscore, then letters, digits, dots, dashes, underscores.
func oscalToken(id string) string {
	var b strings.Builder
	for i, r := range id {
		letter := unicode.IsLetter(r) || r == '_'
		switch {
		case letter, i > 0 && (unicode.IsNumber(r) || r == '.' || r == '-'):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return nonEmpty(b.String(), "_")
}
