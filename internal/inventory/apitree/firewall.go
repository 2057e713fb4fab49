package apitree

import (
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve/client"
)

// fwParts say what a level of the firewall has besides options and rules.
type fwParts struct{ aliases, ipsets, groups bool }

// fwFile writes the firewall file of one level, nil when nothing is set there.
func (t *Tree) fwFile(at string, parts fwParts) ([]byte, error) {
	var b strings.Builder
	o, err := t.object(at + "/options")
	if err != nil {
		return nil, err
	}
	delete(o, "digest")
	if len(o) > 0 {
		b.WriteString("[OPTIONS]\n\n")
		for _, k := range o.Keys() {
			if o.Has(k) {
				b.WriteString(word(k) + ": " + line(o.Text(k)) + "\n")
			}
		}
		b.WriteString("\n")
	}
	if parts.aliases {
		if err := t.fwAliases(&b, at); err != nil {
			return nil, err
		}
	}
	if parts.ipsets {
		if err := t.fwIPSets(&b, at); err != nil {
			return nil, err
		}
	}
	rules, err := t.objects(at + "/rules")
	if err != nil {
		return nil, err
	}
	if len(rules) > 0 {
		b.WriteString("[RULES]\n\n")
		putRules(&b, rules)
	}
	if parts.groups {
		if err := t.fwGroups(&b, at); err != nil {
			return nil, err
		}
	}
	return bytesOf(&b), nil
}

func (t *Tree) fwAliases(b *strings.Builder, at string) error {
	list, err := t.objects(at + "/aliases")
	if err != nil || len(list) == 0 {
		return err
	}
	b.WriteString("[ALIASES]\n\n")
	for _, a := range list {
		b.WriteString(word(a.Text("name")) + " " + word(a.Text("cidr")) + comment(a) + "\n")
	}
	b.WriteString("\n")
	return nil
}

func (t *Tree) fwIPSets(b *strings.Builder, at string) error {
	list, err := t.objects(at + "/ipset")
	if err != nil {
		return err
	}
	for _, s := range list {
		name := s.Text("name")
		entries, err := t.objects(at + "/ipset/" + url.PathEscape(name))
		if err != nil {
			return err
		}
		b.WriteString("[IPSET " + word(name) + "]" + comment(s) + "\n\n")
		for _, e := range entries {
			if e.On("nomatch") {
				b.WriteString("!")
			}
			b.WriteString(word(e.Text("cidr")) + comment(e) + "\n")
		}
		b.WriteString("\n")
	}
	return nil
}

func (t *Tree) fwGroups(b *strings.Builder, at string) error {
	list, err := t.objects(at + "/groups")
	if err != nil {
		return err
	}
	for _, g := range list {
		name := g.Text("group")
		rules, err := t.objects(at + "/groups/" + url.PathEscape(name))
		if err != nil {
			return err
		}
		b.WriteString("[group " + word(name) + "]" + comment(g) + "\n\n")
		putRules(b, rules)
	}
	return nil
}

// comment is the end of a line with a comment, "" without one.
func comment(o client.Object) string {
	if c := strings.TrimSpace(line(o.Text("comment"))); c != "" {
		return " # " + c
	}
	return ""
}

// ruleFlags are the parts of a rule in the order in which PVE writes them ($format_rules).
func ruleFlags() [][2]string {
	return [][2]string{{"-i", "iface"}, {"-source", "source"}, {"-dest", "dest"}, {"-p", "proto"}, {"-dport", "dport"}, {"-sport", "sport"},
		{"-log", "log"}, {"-icmp-type", "icmp-type"}}
}

func putRules(b *strings.Builder, rules []client.Object) {
	rules = slices.Clone(rules)
	slices.SortStableFunc(rules, func(x, y client.Object) int {
		p, _ := x.Int("pos")
		q, _ := y.Int("pos")
		return int(p - q)
	})
	for _, r := range rules {
		if !r.On("enable") {
			b.WriteString("|")
		}
		action := word(r.Text("action"))
		if m := word(r.Text("macro")); m != "" {
			action = m + "(" + action + ")"
		}
		b.WriteString(strings.ToUpper(word(r.Text("type"))) + " " + action)
		for _, f := range ruleFlags() {
			if v := word(r.Text(f[1])); v != "" {
				b.WriteString(" " + f[0] + " " + v)
			}
		}
		b.WriteString(comment(r) + "\n")
	}
	b.WriteString("\n")
}
