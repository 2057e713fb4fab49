package kinds

import (
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter/lint"
	"github.com/castellan-project/castellan/internal/pve/firewall"
)

// lists adds aliases, entries of ipsets and rules, or takes them away.
func (w *fwChange) lists() error {
	if w.c.Ensure != "" && w.c.Ensure != "absent" {
		return change.Cannot("ensure is absent or not given")
	}
	files, err := w.files("")
	if err != nil {
		return err
	}
	var changed bool
	report, err := w.linted(files)
	if err != nil {
		return err
	}
	before := faults(report)
	for _, f := range files {
		old, _, err := w.d.Content(f.path)
		if err != nil {
			return err
		}
		if w.c.Section == "group" && f.kind != firewall.ClusterFile {
			return change.Cannot("security groups stand in cluster.fw only")
		}
		if w.c.Section != "rules" && f.kind == firewall.HostFile {
			return change.Cannot("the firewall of a node has rules only; aliases and ipsets stand in cluster.fw")
		}
		b, err := w.edited(f.kind, old)
		if err != nil {
			return err
		}
		if string(b) == string(old) {
			continue
		}
		changed = true
		if err := w.put(f, old, b); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return w.judge(files, before)
}

// linted checks the firewall of the draft as it is when its switches are on: a rule that is broken is broken today, too.
func (w *fwChange) linted(files []fwFile) (lint.Report, error) {
	on := host.NewOverlay(w.d)
	for _, f := range append([]fwFile{{firewall.ClusterFile, clusterFW}}, files...) {
		b, _, err := w.d.Content(f.path)
		if err != nil {
			return lint.Report{}, err
		}
		e := firewall.NewEdit(f.kind, b)
		e.SetOption("enable", "1")
		if err := on.Set(f.path, host.Node{Type: host.Regular, Content: e.Bytes(), Mode: 0o640}); err != nil {
			return lint.Report{}, err
		}
	}
	cl, err := inventory.Read(on, 0)
	if err != nil {
		return lint.Report{}, err
	}
	return lint.Check(cl, lint.Options{}), nil
}

func (w *fwChange) edited(kind firewall.Kind, old []byte) ([]byte, error) {
	e := firewall.NewEdit(kind, old)
	absent := w.c.Ensure == "absent"
	for _, name := range slices.Sorted(maps.Keys(w.c.Set)) {
		value := w.c.Set[name]
		if err := fwName(w.c.Section, name); err != nil {
			return nil, err
		}
		switch w.c.Section {
		case "alias":
			if absent {
				value = ""
			} else if !firewall.ValidCIDR(value) {
				return nil, change.Cannot("the alias %s: %q is no address and no network", name, value)
			}
			e.SetAlias(name, value)
		case "ipset":
			entries := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
			if absent {
				e.RemoveEntries(name, entries)
			} else {
				e.AddEntries(name, entries)
			}
		case "group", "rules":
			group := name
			if w.c.Section == "rules" {
				group = ""
			}
			if absent {
				e.RemoveRules(group, ruleLines(value))
			} else {
				e.AddRules(group, ruleLines(value), group == "" && name == "first")
			}
		}
	}
	return e.Bytes(), nil
}

// fwName checks a name: PVE puts names of ipsets and groups in lower case where they are defined and not where they are used, so that other
// names could not be used (PVE::Firewall, generic_fw_config_parser).
func fwName(section, name string) error {
	if section == "rules" {
		if name != "first" && name != "last" {
			return change.Cannot("rules are added first or last; %q is neither", name)
		}
		return nil
	}
	if section != "alias" && name != strings.ToLower(name) || strings.ContainsAny(name, "[]# \t\r\n") {
		return change.Cannot("%q is no name that PVE finds again; write it in lower case", name)
	}
	return nil
}

// ruleLines are the rules of a text, one a line.
func ruleLines(s string) []string {
	var out []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			out = append(out, l)
		}
	}
	return out
}

// broken are the findings that a draft may not bring: lines that do not do what they say.
func broken() []string {
	return []string{lint.RuleLost, lint.RuleSkipped, lint.LineSkipped, lint.AliasBlanks, lint.EntrySkipped, lint.SectionRepeated, lint.CaseMismatch,
		lint.UnknownName, lint.GroupKillsGuest, lint.NFTRefused, lint.Shadowed}
}

// faults counts the findings of these kinds by file and code: lines move when others are added above them.
func faults(r lint.Report) map[[3]string]int {
	n := map[[3]string]int{}
	for _, f := range r.Findings {
		if slices.Contains(broken(), f.Code) {
			n[[3]string{f.File, f.Code, f.Owner}]++
		}
	}
	return n
}

// judge refuses a draft in which a rule is broken or never decides that was not there, or was not broken, before.
func (w *fwChange) judge(files []fwFile, before map[[3]string]int) error {
	r, err := w.linted(files)
	if err != nil {
		return err
	}
	after := faults(r)
	for i := len(r.Findings) - 1; i >= 0; i-- { // what was added is mostly further down
		f := r.Findings[i]
		key := [3]string{f.File, f.Code, f.Owner}
		if slices.Contains(broken(), f.Code) && after[key] > before[key] {
			return change.Cannot("%s, as it would be: %s", f.File, f.Text)
		}
	}
	return nil
}
