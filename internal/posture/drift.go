package posture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// Drift is what changed between two snapshots, of one host at two times or of two hosts.
type Drift struct {
	A string `json:"a"`
	B string `json:"b"`
	// Failing are the controls that fail in B and did not in A; Fixed the ones that failed and pass; Unknown the
	// ones that were known and are not; Other the rest whose status changed.
	Failing []FindingChange `json:"failing"`
	Fixed   []FindingChange `json:"fixed"`
	Unknown []FindingChange `json:"unknown"`
	Other   []FindingChange `json:"other"`
	Facts   []FactChange    `json:"facts"`
}

// FindingChange is a control whose status changed.
type FindingChange struct {
	Control  string   `json:"control"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Before   Status   `json:"before"`
	After    Status   `json:"after"`
	Reason   string   `json:"reason"`
}

// FactChange is a fact whose value or problem changed; an empty side means that it was not there. Elements of lists
// are compared as sets.
type FactChange struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Empty reports whether nothing changed.
func (d Drift) Empty() bool {
	return len(d.Failing)+len(d.Fixed)+len(d.Unknown)+len(d.Other)+len(d.Facts) == 0
}

// Compare finds the drift from a to b, judged by the same controls.
func Compare(a, b *Facts, ra, rb TargetReport) (Drift, error) {
	d := Drift{A: a.Target.Name, B: b.Target.Name, Failing: []FindingChange{}, Fixed: []FindingChange{},
		Unknown: []FindingChange{}, Other: []FindingChange{}, Facts: []FactChange{}}
	before := map[string]Finding{}
	for _, f := range ra.Findings {
		before[f.Control] = f
	}
	for _, f := range rb.Findings {
		old := before[f.Control]
		if old.Status == f.Status {
			continue
		}
		c := FindingChange{Control: f.Control, Severity: f.Severity, Title: f.Title, Before: old.Status, After: f.Status, Reason: f.Reason}
		switch {
		case f.Status == Fail:
			d.Failing = append(d.Failing, c)
		case f.Status == StatusUnknown:
			d.Unknown = append(d.Unknown, c)
		case old.Status == Fail && f.Status == Pass:
			d.Fixed = append(d.Fixed, c)
		default:
			d.Other = append(d.Other, c)
		}
	}
	fa, err := flatten(a)
	if err != nil {
		return d, err
	}
	fb, err := flatten(b)
	if err != nil {
		return d, err
	}
	for path, v := range fa {
		if fb[path] != v {
			d.Facts = append(d.Facts, FactChange{Path: path, Before: v, After: fb[path]})
		}
	}
	for path, v := range fb {
		if _, ok := fa[path]; !ok {
			d.Facts = append(d.Facts, FactChange{Path: path, After: v})
		}
	}
	sort.Slice(d.Facts, func(i, j int) bool { return d.Facts[i].Path < d.Facts[j].Path })
	return d, nil
}

// flatten writes facts as path -> value. What only says how and when it was collected is left out.
func flatten(f *Facts) (map[string]string, error) {
	g := *f
	g.Target = Target{}
	g.Estate = Estate{Files: map[string]string{}, Dirs: f.Estate.Dirs, Unread: f.Estate.Unread}
	for name, text := range f.Estate.Files {
		// Which file changed is told here; what that means, the facts made of it tell.
		sum := sha256.Sum256([]byte(text))
		g.Estate.Files[name] = "sha256 " + hex.EncodeToString(sum[:6])
	}
	b, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("cannot compare the facts: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("cannot compare the facts: %w", err)
	}
	out := map[string]string{}
	flattenInto(out, "", doc)
	delete(out, "target")
	return out, nil
}

func flattenInto(out map[string]string, path string, x any) {
	switch x := x.(type) {
	case map[string]any:
		if v, ok := factValue(x); ok {
			flattenInto(out, path, v)
			return
		}
		for k, v := range x {
			p := path + "." + k
			if strings.ContainsAny(k, ".[] /") {
				p = fmt.Sprintf("%s[%q]", path, k)
			}
			flattenInto(out, strings.TrimPrefix(p, "."), v)
		}
	case []any:
		for _, v := range x {
			b, err := json.Marshal(v)
			if err != nil {
				continue
			}
			s := strings.Trim(string(b), `"`)
			out[fmt.Sprintf("%s[%s]", path, s)] = s
		}
	default:
		out[path] = fmt.Sprint(x)
	}
}

// factValue recognizes an encoded Fact and gives its value, or its problem in words.
func factValue(m map[string]any) (any, bool) {
	_, hasOrigin := m["origin"]
	problem, hasProblem := m["problem"].(map[string]any)
	switch {
	case hasProblem:
		return fmt.Sprintf("unknown: %v", problem["text"]), true
	case hasOrigin:
		if v, ok := m["value"]; ok {
			return v, true
		}
		return "", true
	}
	return nil, false
}
