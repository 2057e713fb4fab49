package change

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// PlanVersion is the version of the plan's format. Fields may be added within a version.
const PlanVersion = "1"

// Plan is what is to be done to one host, for a person to read and for apply to hold to. It carries changes, not contents:
// apply drafts them again on the host and refuses when the steps differ from those that were read.
type Plan struct {
	Version string `json:"version"`
	Tool    string `json:"tool"`
	// Created is when it was made. It is not part of the digest.
	Created time.Time `json:"created"`
	Host    Host      `json:"host"`
	// Changes are what the steps were drafted from, in the order of drafting.
	Changes []Change `json:"changes"`
	Windows []Window `json:"windows"`
	// Omitted are controls that fail and that this plan does not repair, with why.
	Omitted []Omission `json:"omitted,omitempty"`
	// Digest is the SHA-256 of everything else, in hex.
	Digest string `json:"digest"`
}

// Host says which host a plan is for.
type Host struct {
	// Target is the target as the user named it, without secrets; of a directory the absolute path.
	Target   string `json:"target"`
	Kind     string `json:"kind"`
	Hostname string `json:"hostname,omitempty"`
	// MachineID is /etc/machine-id, hashed: the id itself is confidential (machine-id(5)).
	MachineID string `json:"machine_id,omitempty"`
}

// Window is a part of a plan that is applied and confirmed by itself.
type Window struct {
	// Name is packages, host, ssh, firewall, or all for a directory.
	Name  string `json:"name"`
	Steps []Step `json:"steps"`
	// Controls are those that it serves, sorted.
	Controls []string `json:"controls"`
	// Lockout is the gravest class of its changes: none, boot, session, cluster.
	Lockout string `json:"lockout"`
	// Effects are side effects in words; Reboots are what takes effect at the next start only.
	Effects []string `json:"effects,omitempty"`
	Reboots []string `json:"reboots,omitempty"`
	// Verdicts tell whether each operator would still get in.
	Verdicts []Verdict `json:"verdicts,omitempty"`
}

// Omission is a failing control that the plan leaves as it is.
type Omission struct {
	Control string `json:"control"`
	// Object is that of the change, empty for the host itself.
	Object string `json:"object,omitempty"`
	Title  string `json:"title,omitempty"`
	// Code is manual, needs, cannot, later, or nothing: its changes hold already.
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Manual are the instructions for a person.
	Manual string `json:"manual,omitempty"`
}

// Operator is somebody who must still get in after a change.
type Operator struct {
	// User is the login name; Address the address that he comes from, or a prefix of which every address must get in.
	User    string `json:"user"`
	Address string `json:"address,omitempty"`
	// Port is the local port of his connection, 22 when not known.
	Port int `json:"port,omitempty"`
	// Local is the address of the host that he connected to, when known.
	Local string `json:"local,omitempty"`
	// Key is the fingerprint (SHA256:...) of the key that authenticated him, when known; Method how he authenticated.
	Key    string `json:"key,omitempty"`
	Method string `json:"method,omitempty"`
	// Session is set for the operator of the present session.
	Session bool `json:"session,omitempty"`
}

// Words names the operator.
func (o Operator) Words() string {
	if o.Address == "" {
		return o.User
	}
	return o.User + "@" + o.Address
}

// Verdict is the answer of a guard for one operator. The zero Verdict refuses.
type Verdict struct {
	// Guard is sshd, firewall, pveproxy, accounts or second-path.
	Guard    string `json:"guard"`
	Operator string `json:"operator,omitempty"`
	Admitted bool   `json:"admitted"`
	// Reason says why, and of a refusal which step or file; Add says what to add so that he gets in.
	Reason string `json:"reason"`
	Add    string `json:"add,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Case is what a guard judges: a host before and after a window.
type Case struct {
	Before, After host.Reader
	Target        host.Description
	Window        string
	Changes       []Change
	Paths         []string // the paths that change, without links
	Operators     []Operator
	Now           time.Time
}

// A Guard answers whether the operators still get in after a window. What it cannot tell is no admission.
type Guard interface {
	Judge(c Case) []Verdict
}

// Planner makes plans for one machine.
type Planner struct {
	Machine   host.Machine
	Target    host.Description
	Host      Host
	Kinds     map[string]Kind
	Guards    []Guard
	Operators []Operator
	// Titles are those of the controls by id, for what the plan says it leaves out.
	Titles map[string]string
	Tool   string
	Now    time.Time
}

// Plan drafts the changes and orders the steps. Controls of which one change cannot be made are omitted whole.
func (p *Planner) Plan(changes []Change, omitted []Omission) (*Plan, error) {
	windows, left, omissions, err := p.draft(changes)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Version: PlanVersion, Tool: p.Tool, Created: p.Now.UTC().Truncate(time.Second), Host: p.Host, Changes: left, Windows: []Window{},
		Omitted: append(slices.Clone(omitted), omissions...)}
	for _, w := range windows {
		steps, err := w.draft.steps()
		if err != nil {
			return nil, err
		}
		if len(steps) > 0 {
			plan.Windows = append(plan.Windows, p.window(w, steps))
		}
	}
	plan.Omitted = append(plan.Omitted, idle(left, plan.Windows)...)
	for i, o := range plan.Omitted {
		if o.Title == "" {
			plan.Omitted[i].Title = p.Titles[o.Control]
		}
	}
	slices.SortStableFunc(plan.Omitted, func(a, b Omission) int {
		return cmp.Or(cmp.Compare(a.Control, b.Control), cmp.Compare(a.Object, b.Object))
	})
	plan.Digest, err = plan.digest()
	return plan, err
}

// After shows the host as it will be once changes are made, as far as they can be. Commands still answer for the host as it is.
func (p *Planner) After(changes []Change) (host.Reader, error) {
	windows, _, _, err := p.draft(changes)
	if err != nil {
		return nil, err
	}
	return windows[len(windows)-1].draft, nil
}

func (p *Planner) window(w drafted, steps []Step) Window {
	out := Window{Name: w.name, Steps: steps, Lockout: gravest(w.changes), Effects: w.draft.effects, Reboots: w.draft.reboots, Controls: []string{}}
	var paths []string
	for _, s := range steps {
		for _, c := range s.Controls {
			out.Controls = with(out.Controls, c)
		}
		if s.Path != "" {
			paths = append(paths, s.Path)
		}
	}
	c := Case{Before: w.draft.below, After: w.draft.Overlay, Target: p.Target, Window: w.name, Changes: w.changes, Paths: paths,
		Operators: p.Operators, Now: p.Now}
	for _, g := range p.Guards {
		out.Verdicts = append(out.Verdicts, g.Judge(c)...)
	}
	return out
}

// Drafted is a window of a plan together with what is put at each path: what [Engine] performs.
type Drafted struct {
	Window Window
	// Before and After are the nodes by path.
	Before, After map[string]host.Node
}

// Redraft drafts the changes of a plan again and returns the first window in which something is left to do, together with
// its place among the plan's windows. It refuses with what has changed when the steps are not those of the plan. A nil
// result says that everything holds already.
//
// A window of which this plan was confirmed before (see [Engine.Confirmed]) is done when only steps are left of which the host
// keeps no trace, such as a restart: they would be left for ever.
func (p *Planner) Redraft(plan *Plan, confirmed ...string) (*Drafted, int, error) {
	windows, _, omissions, err := p.draft(plan.Changes)
	if err != nil {
		return nil, 0, err
	}
	if len(omissions) > 0 {
		return nil, 0, &StaleError{Reasons: []string{omissions[0].Control + " can no longer be made: " + omissions[0].Reason}}
	}
	for _, w := range windows {
		steps, err := w.draft.steps()
		if err != nil {
			return nil, 0, err
		}
		if len(steps) == 0 || slices.Contains(confirmed, w.name) && !slices.ContainsFunc(steps, Step.lasts) {
			continue
		}
		i := slices.IndexFunc(plan.Windows, func(x Window) bool { return x.Name == w.name })
		if i < 0 {
			return nil, 0, &StaleError{Reasons: []string{"the window " + w.name + " had nothing to do when the plan was made"}}
		}
		if reasons := differences(plan.Windows[i].Steps, steps); len(reasons) > 0 {
			return nil, i, &StaleError{Reasons: reasons}
		}
		d := &Drafted{Window: p.window(w, steps), Before: map[string]host.Node{}, After: map[string]host.Node{}}
		for _, s := range steps {
			if s.Path == "" {
				continue
			}
			if d.Before[s.Path], err = w.draft.before(s.Path); err != nil {
				return nil, i, err
			}
			if d.Before[s.Path].Digest() != s.Before { // since it was compared; the guards take their time
				return nil, i, &StaleError{Reasons: []string{s.Path + " was changed"}}
			}
			d.After[s.Path], _ = w.draft.Node(s.Path)
		}
		return d, i, nil
	}
	return nil, len(plan.Windows), nil
}

// StaleError says what changed on the host since a plan was made.
type StaleError struct{ Reasons []string }

func (e *StaleError) Error() string {
	return "the host is not as it was when the plan was made: " + strings.Join(e.Reasons, "; ")
}

// differences says how the steps that would be done now differ from those of the plan.
func differences(planned, now []Step) []string {
	key := func(s Step) string {
		if s.Path != "" {
			return s.Path
		}
		return s.Action.Words()
	}
	var out, left []string
	for _, s := range planned {
		i := slices.IndexFunc(now, func(x Step) bool { return key(x) == key(s) })
		switch {
		case i < 0:
			out = append(out, key(s)+" needs no change any more")
		case now[i].Before != s.Before:
			out = append(out, key(s)+" was changed")
		case !sameStep(now[i], s):
			out = append(out, key(s)+" would now be changed in another way")
		default:
			left = append(left, key(s)+" is still to be done")
		}
	}
	for _, s := range now {
		if !slices.ContainsFunc(planned, func(x Step) bool { return key(x) == key(s) }) {
			out = append(out, key(s)+" needs a change now")
		}
	}
	if len(out) == 0 {
		return nil
	}
	return append(left, out...)
}

func sameStep(a, b Step) bool {
	x, errx := json.Marshal(a)
	y, erry := json.Marshal(b)
	return errx == nil && erry == nil && bytes.Equal(x, y)
}

// digest identifies everything in the plan but the time of its making.
func (p *Plan) digest() (string, error) {
	c := *p
	c.Digest, c.Created = "", time.Time{}
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("cannot write the plan: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// ReadPlan reads a plan file and checks that nobody edited it.
func ReadPlan(b []byte) (*Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	p := &Plan{}
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("this is no plan of castellan: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("this is no plan of castellan: something follows its end")
	}
	if p.Version != PlanVersion {
		return nil, fmt.Errorf("the plan has version %q; this castellan reads version %s: make the plan again", p.Version, PlanVersion)
	}
	digest, err := p.digest()
	if err != nil {
		return nil, err
	}
	if digest != p.Digest {
		return nil, fmt.Errorf("the plan was edited after it was made: its digest is %.12s, its content gives %.12s; make the plan again", p.Digest, digest)
	}
	return p, nil
}
