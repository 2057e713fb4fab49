package change

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/castellan-project/castellan/internal/host"
)

// record lists the files of the only transaction.
func (r *rig) record() []string {
	r.t.Helper()
	var files []string
	for _, p := range []string{"*", "blobs/*"} {
		found, err := filepath.Glob(r.state + "/transactions/*/" + p)
		if err != nil {
			r.t.Fatal(err)
		}
		files = append(files, slices.DeleteFunc(found, func(f string) bool { return filepath.Base(f) == "blobs" })...)
	}
	return files
}

// TestDamage cuts, flips and removes every file of a record: nothing is touched, everything is kept, and what is known is said.
func TestDamage(t *testing.T) {
	for _, live := range []bool{false, true} {
		r := newRig(t, live, fewSteps)
		x := r.mustApply()
		after := r.tree()
		files := r.record()
		if len(files) != 4 { // state, undo, two contents
			t.Fatal(files)
		}
		for _, f := range files {
			whole, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for name, broken := range damages(whole) {
				if broken == nil {
					err = os.Remove(f)
				} else {
					err = os.WriteFile(f, broken, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				_, err := r.engine().Revert(x.ID, me(), RevertOptions{})
				var damage *DamageError
				if !errors.As(err, &damage) || damage.File != f || damage.ID != x.ID {
					t.Errorf("%s %s: %v", f, name, err)
				} else if damage.Plan != x.Plan || !slices.Contains(damage.Paths, "/etc/b.conf") {
					t.Errorf("%s %s: of what is known it says %+v", f, name, damage.Damage)
				}
				r.is(after, name)
				r.now = r.now.Add(time.Hour)
				if _, err := r.engine().Recover(me(), RecoverOptions{}); live && !errors.As(err, &damage) {
					t.Errorf("%s %s: recover: %v", f, name, err)
				}
				r.now = r.now.Add(-time.Hour)
				r.is(after, name)
				if strings.HasSuffix(f, "state.json") {
					_, found, err := r.engine().Transactions()
					if err != nil || len(found) != 1 {
						t.Errorf("%s %s: %+v, %v", f, name, found, err)
					}
					if _, err := r.engine().Confirm("", me(), newConnection()); !errors.As(err, &damage) {
						t.Errorf("%s %s: confirm: %v", f, name, err)
					}
				}
				if got := len(r.record()); got < len(files)-1 || broken != nil && got != len(files) {
					t.Errorf("%s %s: %d files are left", f, name, got)
				}
				if err := os.WriteFile(f, whole, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		// A leftover of a killed process is no damage.
		for _, f := range files {
			if err := os.WriteFile(host.Leftover(f), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if x, err := r.engine().Revert("", me(), RevertOptions{}); err != nil || x.State != Reverted {
			t.Errorf("%+v, %v", x, err)
		}
	}
}

// damages gives broken versions of a file; nil is none at all.
func damages(whole []byte) map[string][]byte {
	flip := func(i int) []byte {
		b := slices.Clone(whole)
		b[i] ^= 0x10
		return b
	}
	return map[string][]byte{
		"missing": nil, "empty": {}, "cut in half": whole[:len(whole)/2], "cut by one byte": whole[:len(whole)-1],
		"flipped at the end": flip(len(whole) - 1), "flipped in front": flip(0), "flipped in the middle": flip(len(whole) / 2), "longer": append(slices.Clone(whole), '\n'),
	}
}

// TestPrivate proves that nobody but the owner reads the record.
func TestPrivate(t *testing.T) {
	r := newRig(t, false, fewSteps)
	r.mustApply()
	err := filepath.WalkDir(r.state, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(name)
		if err == nil && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewID(t *testing.T) {
	r := newRig(t, true, fewSteps)
	var ids []string
	for i := range 12 {
		if i == 11 {
			r.now = r.now.Add(-time.Hour) // the clock is set back
		}
		x := r.mustApply()
		ids = append(ids, x.ID)
		if _, err := r.engine().Revert("", me(), RevertOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != "20261121-074900-host" || ids[1] != "20261121-074900-host-2" || ids[11] != "20261121-074900-host-12" {
		t.Error(ids)
	}
	all, _, err := r.engine().Transactions()
	for i, x := range all {
		if x.ID != ids[i] {
			t.Errorf("number %d is %s, want %s", i, x.ID, ids[i])
		}
	}
	if len(all) != 12 || err != nil {
		t.Errorf("%d, %v", len(all), err)
	}
}

// BenchmarkTransactions lists 5,000 of them.
func BenchmarkTransactions(b *testing.B) {
	r := newRig(b, false, fewSteps)
	x := r.mustApply()
	s, err := r.engine().readState(x.ID)
	if err != nil {
		b.Fatal(err)
	}
	e := r.engine()
	for i := range 5000 {
		s.Transaction.ID = r.now.Add(time.Duration(i)*time.Second).Format("20060102-150405") + "-host"
		doc, err := seal("state", s)
		if err != nil {
			b.Fatal(err)
		}
		dir := e.dir(s.Transaction.ID)
		for _, err := range []error{os.MkdirAll(dir, 0o700), os.WriteFile(dir+"/state.json", doc, 0o600)} {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if all, damaged, err := e.Transactions(); len(all) < 5000 || len(damaged) > 0 || err != nil {
			b.Fatal(len(all), damaged, err)
		}
	}
}

// TestHandEdits applies plans at random, edits at random, and takes back: what somebody else wrote is never overwritten, and
// everything else is as before.
func TestHandEdits(t *testing.T) {
	names := []string{"/etc/a.conf", "/etc/b.conf", "/etc/c.conf", "/etc/sub/keep", "/etc/sub/new", "/etc/n/e/w"}
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.MapOfN(rapid.SampledFrom(names), rapid.SampledFrom([]string{"one\n", "two\n", "remove"}), 1, 6).Draw(rt, "steps")
		r := newRig(t, false, func(d *Draft) error {
			for _, name := range sorted(steps) {
				var err error
				if steps[name] == "remove" {
					err = d.Remove(name)
				} else {
					err = d.Write(name, []byte(steps[name]), 0o640)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		defer os.RemoveAll(filepath.Dir(r.root))
		before := r.tree()
		p, e := r.open()
		plan, err := p.Plan([]Change{{Control: "TST-01", Kind: "test"}}, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if len(plan.Windows) == 0 {
			return
		}
		if _, err := e.Apply(p, plan, ApplyOptions{}); err != nil {
			rt.Fatal(err)
		}
		edits := rapid.MapOfN(rapid.SampledFrom(names[:5]), rapid.SampledFrom([]string{"by hand\n", "remove"}), 0, 3).Draw(rt, "edits")
		for _, name := range sorted(edits) {
			if edits[name] == "remove" {
				_ = os.Remove(r.root + name)
			} else {
				r.write(name[1:], edits[name], 0o644)
			}
		}
		hand := r.tree()
		x, err := r.engine().Revert("", me(), RevertOptions{})
		if err != nil {
			if !isRefused(err, "somebody else") {
				rt.Fatal(err)
			}
			r.is(hand, "after the refusal")
			if x, err = r.engine().Revert("", me(), RevertOptions{SkipConflicts: true}); err != nil {
				rt.Fatal(err)
			}
		}
		if x.State != Reverted {
			rt.Fatalf("%+v", x)
		}
		end := r.tree()
		for _, name := range names {
			switch _, edited := edits[name]; {
			case !edited && end[name] != before[name]:
				rt.Errorf("%s was %q and is %q", name, before[name], end[name])
			case edited && end[name] != hand[name] && end[name] != before[name]:
				rt.Errorf("%s is neither as edited nor as before: %q", name, end[name])
			case edits[name] == "by hand\n" && end[name] != hand[name]:
				rt.Errorf("the edit of %s was overwritten: %q", name, end[name])
			}
		}
	})
}

func FuzzDocuments(f *testing.F) {
	r := newRig(f, true, manySteps)
	x := r.mustApply()
	for _, name := range []string{"state.json", "undo.json"} {
		b, err := os.ReadFile(filepath.Join(r.state, "transactions", x.ID, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		_, body, _ := strings.Cut(string(b), "\n")
		f.Add([]byte(body), false)
	}
	f.Add([]byte("\x00\xff\n{}"), true)
	f.Add([]byte(`{"seq":-1,"step":99999999999}`), false)
	f.Add([]byte(strings.Repeat("[", 100_000)), false)
	e := r.engine()
	dir := e.dir(x.ID)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		for _, kind := range []string{"state", "undo"} {
			doc := b
			if !sealed {
				// With a right checksum the reader itself is tried.
				doc = fmt.Appendf(nil, `{"castellan":%q,"version":1,"sha256":%q}`+"\n%s", kind, sum(b), b)
			}
			whole, err := os.ReadFile(dir + "/" + kind + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/"+kind+".json", doc, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := e.readState(x.ID)
			if err == nil {
				if kind == "undo" {
					s.Undo = sum(doc)
				}
				if u, err := e.readUndo(s); err == nil && (u.ID != x.ID || len(u.Steps) < s.Step) {
					t.Errorf("%+v", u)
				}
			}
			if err := os.WriteFile(dir+"/"+kind+".json", whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}
