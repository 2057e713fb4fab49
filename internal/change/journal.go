package change

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
)

// The record of a transaction is a directory STATE/transactions/ID of
//
//	state.json   where it stands; small, replaced at every step
//	undo.json    what is needed to take it back; written before the first change and never again
//	blobs/SUM    the contents before, each under its own SHA-256
//
// state.json is written first, marked as not prepared, and again once the rest is on the disk: a directory that is not
// prepared belongs to an apply that was killed before it changed anything. Both documents have a first line with their own
// checksum. Files of another name, .NAME.castellan-new, are left by killed processes and mean nothing.

// Bounds of a record, far above what any plan comes to.
const (
	maxSteps  = 10_000
	maxBefore = 256 << 20 // bytes of all contents before
	maxEvents = 1_000
)

// undoDoc is undo.json.
type undoDoc struct {
	ID     string     `json:"id"`
	Plan   string     `json:"plan"`
	Window string     `json:"window"`
	Host   Host       `json:"host"`
	By     Actor      `json:"by"`
	Began  time.Time  `json:"began"`
	Steps  []undoStep `json:"steps"`
	// Packages are the installed packages (name:architecture) with their versions, when a step installs or removes some.
	Packages map[string]string `json:"packages,omitempty"`
}

// undoStep is a step with what was there before and what is put. Diffs are not kept.
type undoStep struct {
	Step
	Old *record `json:"old,omitempty"`
	New *record `json:"new,omitempty"`
}

// stateDoc is state.json.
type stateDoc struct {
	// Seq counts the times that it was written.
	Seq int `json:"seq"`
	// Prepared is set once undo.json and the blobs are on the disk; nothing is changed before.
	Prepared bool `json:"prepared"`
	// Undo is the SHA-256 of undo.json.
	Undo string `json:"undo"`
	// Step is how many steps were begun: the last of them may be made or not.
	Step int `json:"step"`
	// Trials are what was put on trial, by the index of the step.
	Trials map[int]record `json:"trials,omitempty"`
	// Packages are the changes of package steps that ended, by the index of the step.
	Packages    map[int]packageChange `json:"packages,omitempty"`
	Transaction Transaction           `json:"transaction"`
}

// heading is the first line of a document: what it is and the SHA-256 of everything after that line.
type heading struct {
	Castellan string `json:"castellan"`
	Version   int    `json:"version"`
	Sum       string `json:"sha256"`
}

const journalVersion = 1

// seal makes a document of a value.
func seal(kind string, value any) ([]byte, error) {
	body, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return nil, fmt.Errorf("cannot write the %s document: %w", kind, err)
	}
	body = append(body, '\n')
	head, err := json.Marshal(heading{kind, journalVersion, sum(body)})
	if err != nil {
		return nil, fmt.Errorf("cannot write the %s document: %w", kind, err)
	}
	return slices.Concat(head, []byte("\n"), body), nil
}

// unseal reads a document; an error says what is wrong with it.
func unseal(kind string, b []byte, into any) error {
	first, body, found := bytes.Cut(b, []byte("\n"))
	if !found || len(first) > 4<<10 {
		return errors.New("it is cut short or no document of castellan")
	}
	var head heading
	if err := strict(first, &head); err != nil || head.Castellan != kind {
		return errors.New("its first line is damaged")
	}
	if head.Version != journalVersion {
		return fmt.Errorf("it has version %d and this castellan reads version %d", head.Version, journalVersion)
	}
	if sum(body) != head.Sum {
		return errors.New("its checksum is wrong: it was cut short or changed")
	}
	if err := strict(body, into); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	return nil
}

func strict(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("something follows it")
	}
	return nil
}

// idForm is DATE-TIME-WINDOW, with a number when there were several within a second.
var idForm = regexp.MustCompile(`^\d{8}-\d{6}-[a-z]{1,16}(?:-\d{1,4})?$`)

func validID(id string) bool { return idForm.MatchString(id) }

// compareIDs orders ids by time, those of one second by number.
func compareIDs(a, b string) int {
	at, an := splitID(a)
	bt, bn := splitID(b)
	return cmp.Or(cmp.Compare(at, bt), cmp.Compare(an, bn), cmp.Compare(a, b))
}

func splitID(id string) (string, int) {
	parts := strings.Split(id, "-")
	if len(parts) < 4 {
		return strings.Join(parts[:min(2, len(parts))], "-"), 1
	}
	n, _ := strconv.Atoi(parts[3]) // idForm admits digits only
	return parts[0] + "-" + parts[1], n
}

// newID gives the id of a transaction that begins now. Ids grow with time even when the clock was set back.
func (e *Engine) newID(window string) (string, error) {
	ids, err := e.ids()
	if err != nil {
		return "", err
	}
	stamp, n := e.o.Now().UTC().Format("20060102-150405"), 1
	if len(ids) > 0 {
		if last, k := splitID(ids[len(ids)-1]); last >= stamp {
			stamp, n = last, k+1
		}
	}
	id := stamp + "-" + window
	if n > 1 {
		id += "-" + strconv.Itoa(n)
	}
	if !validID(id) {
		return "", fmt.Errorf("cannot name a transaction %q: is the clock right?", id)
	}
	return id, nil
}

func (e *Engine) dir(id string) string { return path.Join(e.o.State, "transactions", id) }

// write puts a private file of the record.
func (e *Engine) write(name string, content []byte) error {
	return e.o.Store.Put(name, host.Node{Type: host.Regular, Mode: 0o600, UID: -1, GID: -1, Content: content})
}

// errNeverBegan says that a directory of the record holds no transaction.
var errNeverBegan = errors.New("there is no such transaction")

// readState reads where a transaction stands.
func (e *Engine) readState(id string) (*stateDoc, error) {
	name := path.Join(e.dir(id), "state.json")
	b, err := e.o.Store.ReadFile(name)
	switch {
	case host.NotExist(err):
		undo, uerr := e.o.Store.Look(path.Join(e.dir(id), "undo.json"))
		if uerr == nil && undo.Type == host.Absent {
			return nil, errNeverBegan
		}
		return nil, e.damaged(id, name, "it is missing")
	case err != nil && !host.Denied(err):
		return nil, e.damaged(id, name, err.Error())
	case err != nil:
		return nil, err
	}
	s := &stateDoc{}
	if err := unseal("state", b, s); err != nil {
		return nil, e.damaged(id, name, err.Error())
	}
	if reason := s.wrong(id); reason != "" {
		return nil, e.damaged(id, name, reason)
	}
	return s, nil
}

// wrong says what in a state cannot be.
func (s *stateDoc) wrong(id string) string {
	t := s.Transaction
	switch {
	case t.ID != id:
		return fmt.Sprintf("it is that of transaction %.40q", t.ID)
	case !slices.Contains([]State{Applying, AwaitingConfirm, Committed, Reverting, Reverted, Failed}, t.State):
		return fmt.Sprintf("there is no state %.40q", string(t.State))
	case s.Step < 0 || s.Step > maxSteps || s.Seq < 1 || t.Place < 1 || t.Place > t.Windows:
		return "a number in it cannot be"
	case !s.Prepared && (s.Step > 0 || t.State != Applying):
		return "it says that steps were made before they could be taken back"
	}
	for i, r := range s.Trials {
		if i < 0 || i >= s.Step || !r.valid() {
			return "a trial in it cannot be"
		}
	}
	return ""
}

// readUndo reads what takes a transaction back, and checks it against the state.
func (e *Engine) readUndo(s *stateDoc) (*undoDoc, error) {
	id := s.Transaction.ID
	name := path.Join(e.dir(id), "undo.json")
	b, err := e.kept(id, name)
	if err != nil {
		return nil, err
	}
	u := &undoDoc{}
	if err := unseal("undo", b, u); err != nil {
		return nil, e.damaged(id, name, err.Error())
	}
	switch {
	case sum(b) != s.Undo:
		return nil, e.damaged(id, name, "it is not the one that state.json was written with")
	case u.ID != id || len(u.Steps) < s.Step || len(u.Steps) > maxSteps:
		return nil, e.damaged(id, name, "it is that of another transaction")
	}
	for _, step := range u.Steps {
		if !step.whole() {
			return nil, e.damaged(id, name, "a step in it cannot be")
		}
	}
	return u, nil
}

// whole reports whether a step can be taken back: it is a path with what was there, or an action of the lists.
func (s undoStep) whole() bool {
	if s.Path == "" {
		return s.Action != nil && s.Action.Valid() == nil
	}
	return strings.HasPrefix(s.Path, "/") && path.Clean(s.Path) == s.Path && s.Path != "/" && s.Old != nil && s.New != nil && s.Old.valid() && s.New.valid()
}

// blob reads a content before and checks it against its name.
func (e *Engine) blob(id, sha string) ([]byte, error) {
	name := path.Join(e.dir(id), "blobs", sha)
	b, err := e.kept(id, name)
	if err == nil && sum(b) != sha {
		return nil, e.damaged(id, name, "its checksum is wrong: it was cut short or changed")
	}
	return b, err
}

// kept reads a file that belongs to a record. When it is missing or cannot be read, the record is damaged; when nobody may look, it
// is not.
func (e *Engine) kept(id, name string) ([]byte, error) {
	b, err := e.o.Store.ReadFile(name)
	switch {
	case host.NotExist(err):
		return nil, e.damaged(id, name, "it is missing")
	case err != nil && !host.Denied(err):
		return nil, e.damaged(id, name, err.Error())
	}
	return b, err
}

// remains finds, in what is left of a document, the plan, the path of a step, and the paths of a list, which stand on lines of
// their own.
var remains = regexp.MustCompile(`(?m)(?:"(plan|path)": |^ *)"((?:[^"\\\x00-\x1f]|\\.)+)",?$`)

// damaged makes the error of a damaged record, with what can still be read of it.
func (e *Engine) damaged(id, file, reason string) *DamageError {
	d := Damage{ID: id, File: file, Reason: reason}
	for _, name := range []string{"undo.json", "state.json"} {
		b, err := e.o.Store.ReadFile(path.Join(e.dir(id), name))
		if err != nil {
			continue
		}
		for _, m := range remains.FindAllSubmatch(b, maxSteps) {
			var s string
			if json.Unmarshal(slices.Concat([]byte(`"`), m[2], []byte(`"`)), &s) != nil {
				continue
			}
			switch {
			case string(m[1]) == "plan" && d.Plan == "" && len(s) == 64:
				d.Plan = s
			case string(m[1]) != "plan" && strings.HasPrefix(s, "/"):
				d.Paths = with(d.Paths, s)
			}
		}
	}
	return &DamageError{d}
}
