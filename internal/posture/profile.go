package posture

import (
	"fmt"
	"slices"
	"strings"
)

// Profile selects controls and adjusts them.
type Profile struct {
	Name        string `yaml:"name" json:"name"`
	Title       string `yaml:"title" json:"title"`
	Description string `yaml:"description" json:"description,omitempty"`
	// Extends names the profile whose selection and adjustments this one starts from.
	Extends string `yaml:"extends" json:"extends,omitempty"`
	// Select adds controls: one is in when any rule matches it.
	Select   []Selection               `yaml:"select" json:"select,omitempty"`
	Disable  []string                  `yaml:"disable" json:"disable,omitempty"`
	Params   map[string]map[string]any `yaml:"params" json:"params,omitempty"`
	Severity map[string]Severity       `yaml:"severity" json:"severity,omitempty"`
	// Later lists ids that the profile asks for and that no control has yet; they are only documentation.
	Later []string `yaml:"later" json:"later,omitempty"`

	file   source
	parent *Profile
}

// Selection is one rule; all that it states must hold.
type Selection struct {
	Level int    `yaml:"level" json:"level,omitempty"` // controls up to this level
	Doc   string `yaml:"doc" json:"doc,omitempty"`     // controls with a reference to this document
	ID    string `yaml:"id" json:"id,omitempty"`       // this control
	Group string `yaml:"group" json:"group,omitempty"` // controls of this group
}

func (s Selection) matches(c *Control) bool {
	if s == (Selection{}) {
		return false
	}
	return (s.Level == 0 || c.Level <= s.Level) && (s.ID == "" || c.ID == s.ID) &&
		(s.Group == "" || c.Group == s.Group) &&
		(s.Doc == "" || slices.ContainsFunc(c.Refs, func(r Ref) bool { return r.Doc == s.Doc }))
}

// maxExtends bounds the chain of profiles that extend each other.
const maxExtends = 8

// LoadProfile reads the named profile and those that it extends through open, which returns a profile's file name
// and content.
func LoadProfile(name string, open func(name string) (string, []byte, error)) (*Profile, error) {
	var first, last *Profile
	seen := []string{}
	for name != "" {
		if slices.Contains(seen, name) || len(seen) >= maxExtends {
			return nil, &SourceError{File: last.file.file, Text: fmt.Sprintf("the profile extends itself: %s", strings.Join(append(seen, name), " → ")),
				Hint: "remove one extends"}
		}
		seen = append(seen, name)
		file, src, err := open(name)
		if err != nil {
			return nil, err
		}
		p := &Profile{}
		if err := decodeStrict(file, src, p); err != nil {
			return nil, err
		}
		p.file = source{file: file, src: src}
		for _, params := range p.Params {
			normalise(params)
		}
		if p.Name == "" {
			return nil, &SourceError{File: file, Line: 1, Column: 1, Text: "the profile has no name", Hint: "name: my-profile"}
		}
		if first == nil {
			first = p
		} else {
			last.parent = p
		}
		last, name = p, p.Extends
	}
	return first, nil
}

// Apply returns the controls of the profile, adjusted. Ids that no control has are errors, as are parameters that a
// control does not declare.
func (p *Profile) Apply(all []Control) ([]Control, error) {
	byID := map[string]*Control{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	in := map[string]bool{}
	out := map[string]Control{}
	if err := p.apply(byID, in, out); err != nil {
		return nil, err
	}
	var cs []Control
	for id, ok := range in {
		if ok {
			cs = append(cs, adjusted(*byID[id], out))
		}
	}
	SortControls(cs)
	return cs, nil
}

func adjusted(c Control, out map[string]Control) Control {
	if o, ok := out[c.ID]; ok {
		return o
	}
	return c
}

func (p *Profile) apply(byID map[string]*Control, in map[string]bool, out map[string]Control) error {
	if p.parent != nil {
		if err := p.parent.apply(byID, in, out); err != nil {
			return err
		}
	}
	if err := p.known(byID); err != nil {
		return err
	}
	for id, c := range byID {
		if slices.ContainsFunc(p.Select, func(s Selection) bool { return s.matches(c) }) {
			in[id] = true
		}
	}
	for _, id := range p.Disable {
		in[id] = false
	}
	for id, params := range p.Params {
		c := adjusted(*byID[id], out)
		c.Params = mergeParams(c.Params, params)
		if c.Cluster != nil {
			v := *c.Cluster
			v.Params = mergeParams(v.Params, params)
			c.Cluster = &v
		}
		out[id] = c
	}
	for id, s := range p.Severity {
		c := adjusted(*byID[id], out)
		c.Severity = s
		out[id] = c
	}
	return nil
}

// known checks that everything that the profile names exists.
func (p *Profile) known(byID map[string]*Control) error {
	hint := "castellan controls list shows the ids"
	missing := func(where, id string) error {
		return p.file.at(where, nil, fmt.Sprintf("there is no control %q", id), hint)
	}
	for i, s := range p.Select {
		if s.ID != "" && byID[s.ID] == nil {
			return missing(fmt.Sprintf("$.select[%d].id", i), s.ID)
		}
		if s == (Selection{}) {
			return p.file.at(fmt.Sprintf("$.select[%d]", i), nil, "this selection says nothing", "level, doc, id or group")
		}
	}
	for i, id := range p.Disable {
		if byID[id] == nil {
			return missing(fmt.Sprintf("$.disable[%d]", i), id)
		}
	}
	for _, id := range sortedKeys(p.Params) {
		if byID[id] == nil {
			return missing("$.params."+id, id)
		}
		for _, k := range sortedKeys(p.Params[id]) {
			if _, ok := byID[id].Params[k]; !ok {
				return p.file.at("$.params."+id+"."+k, nil, fmt.Sprintf("%s has no parameter %q", id, k),
					"it has "+strings.Join(sortedKeys(byID[id].Params), ", "))
			}
		}
	}
	for _, id := range sortedKeys(p.Severity) {
		if byID[id] == nil {
			return missing("$.severity."+id, id)
		}
		if p.Severity[id].Rank() < 0 {
			return p.file.at("$.severity."+id, nil, fmt.Sprintf("the severity %q is not known", p.Severity[id]), "critical, high, medium, low or info")
		}
	}
	return nil
}
