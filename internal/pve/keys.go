package pve

import "slices"

// Sections keeps of a section configuration what PVE::SectionConfig keeps: sections of a type that is known, in each of
// them the settings that its type has, once each. Kinds gives for every type the settings it has; repeated are settings
// that may stand several times (arrays). Of two sections with one name the last counts, as it replaces the first.
func Sections(sections []Section, kinds map[string][]string, repeated ...string) ([]Section, []Problem) {
	var problems []Problem
	kept := make([]Section, 0, len(sections))
	last := make(map[string]int, len(sections)) // ID -> index in sections
	for i, s := range sections {
		if _, ok := kinds[s.Type]; ok && s.ID != "" {
			last[s.ID] = i
		}
	}
	for i, s := range sections {
		keys, ok := kinds[s.Type]
		switch {
		case !ok:
			problems = append(problems, Skipf(s.Line, "sections of the type %q are not known; all of %s is ignored", clip(s.Type), clip(s.ID)))
			continue
		case s.ID == "":
			problems = append(problems, Skipf(s.Line, "a section %s without a name is ignored", s.Type))
			continue
		case last[s.ID] != i:
			problems = append(problems, Skipf(s.Line, "%s is defined again in line %d, which counts", clip(s.ID), sections[last[s.ID]].Line))
			continue
		}
		section, found := knownKeys(s, keys, repeated)
		kept, problems = append(kept, section), append(problems, found...)
	}
	return kept, problems
}

// maxKeyProblems bounds the problems of one section: a hostile file has a million of them.
const maxKeyProblems = 50

func knownKeys(s Section, keys, repeated []string) (Section, []Problem) {
	var problems []Problem
	seen := make(map[string]bool, len(s.Keys))
	var kept []Key
	for _, k := range s.Keys {
		switch {
		case !slices.Contains(keys, k.Name):
			if len(problems) < maxKeyProblems {
				problems = append(problems, Skipf(k.Line, "%s %s has no setting %q", s.Type, clip(s.ID), clip(k.Name)))
			}
			continue
		case seen[k.Name] && !slices.Contains(repeated, k.Name):
			if len(problems) < maxKeyProblems {
				problems = append(problems, Skipf(k.Line, "%s is set twice in %s; the first counts", k.Name, clip(s.ID)))
			}
			continue
		}
		seen[k.Name] = true
		kept = append(kept, k)
	}
	s.Keys = kept
	return s, problems
}
