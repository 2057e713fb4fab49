package sdncfg

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

func parsePrefix(s string) (string, bool) {
	p, err := netip.ParsePrefix(s)
	return p.String(), err == nil
}

// running compares the files with what was applied. Without .running-config nothing was: everything is new.
func (p *parser) running(c *Config) {
	applied := map[string]map[string]map[string]any{}
	if b, ok := p.files[".running-config"]; ok && len(bytes.TrimSpace(b)) > 0 {
		var problem string
		applied, c.Version, problem = parseRunning(b)
		c.Applied = problem == ""
		if problem != "" {
			p.problems = append(p.problems, pve.Abortf(0, ".running-config: %s", problem))
			return // nothing can be said about what waits
		}
	}
	for _, k := range kinds() {
		have := map[string]bool{}
		for i := range p.sections[k.file] {
			s := &p.sections[k.file][i]
			have[s.ID] = true
			old, ok := applied[k.kind][s.ID]
			if !ok {
				c.Pending = append(c.Pending, Pending{Kind: k.kind, ID: s.ID, State: "new"})
				continue
			}
			if keys := differ(s, old); len(keys) > 0 {
				c.Pending = append(c.Pending, Pending{Kind: k.kind, ID: s.ID, State: "changed", Keys: keys})
			}
		}
		for id := range applied[k.kind] {
			if !have[id] {
				c.Pending = append(c.Pending, Pending{Kind: k.kind, ID: id, State: "deleted"})
			}
		}
	}
	slices.SortFunc(c.Pending, func(a, b Pending) int {
		if d := strings.Compare(a.Kind, b.Kind); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// parseRunning reads {"version": 4, "zones": {"ids": {"z1": {...}}}, ...}; parts of another shape are left out.
func parseRunning(b []byte) (map[string]map[string]map[string]any, int, string) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var top map[string]any
	if err := d.Decode(&top); err != nil {
		return nil, 0, "no JSON object"
	}
	out := map[string]map[string]map[string]any{}
	for _, k := range kinds() {
		kind, _ := top[k.kind].(map[string]any)
		ids, _ := kind["ids"].(map[string]any)
		objects := map[string]map[string]any{}
		for id, v := range ids {
			o, _ := v.(map[string]any)
			objects[id] = o
		}
		out[k.kind] = objects
	}
	version := 0
	if n, ok := top["version"].(json.Number); ok {
		if v, err := n.Int64(); err == nil {
			version = int(v)
		}
	}
	return out, version, ""
}

// differ lists the keys of a section that were applied with another value. PVE keeps lists in the running configuration as
// objects or arrays, and the type of a section as a key; "digest" belongs to the file.
func differ(s *pve.Section, old map[string]any) []string {
	now := map[string]string{}
	for _, k := range s.Keys {
		if _, ok := now[k.Name]; !ok {
			now[k.Name] = canonical(anyOf(s.All(k.Name)))
		}
	}
	var keys []string
	for k, v := range now {
		if was, ok := old[k]; !ok || canonical(was) != v {
			keys = append(keys, k)
		}
	}
	for k := range old {
		if _, ok := now[k]; !ok && k != "type" && k != "digest" && k != "id" && canonical(old[k]) != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func anyOf(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// canonical writes a value so that equal ones are equal: the elements of lists sorted, numbers as texts.
func canonical(v any) string {
	var parts []string
	collect(v, &parts, 0)
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func collect(v any, parts *[]string, depth int) {
	if depth > 4 {
		return
	}
	switch v := v.(type) {
	case string:
		*parts = append(*parts, pve.List(v)...)
	case json.Number:
		*parts = append(*parts, v.String())
	case bool:
		*parts = append(*parts, map[bool]string{true: "1", false: "0"}[v])
	case []any:
		for _, e := range v {
			collect(e, parts, depth+1)
		}
	case map[string]any:
		for k, e := range v {
			if e == nil || e == json.Number("1") || e == true {
				*parts = append(*parts, k) // a set: {"pve1": 1}
				continue
			}
			var sub []string
			collect(e, &sub, depth+1)
			for _, s := range sub {
				*parts = append(*parts, k+"="+s)
			}
		}
	}
}
