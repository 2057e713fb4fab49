package pvetest

import (
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// fwFile is a firewall file in the shape in which the API tells it.
type fwFile struct {
	options object
	aliases []any
	rules   []any
	ipsets  []fwList
	groups  []fwList
}

// fwList is an ipset or a security group.
type fwList struct {
	name, comment string
	items         []any
}

// parseFW reads a firewall file. Lines that PVE does not understand are lost, as they are in its API.
func parseFW(text string) *fwFile {
	f := &fwFile{options: object{}}
	current := func(object) {}
	kind := ""
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		if l[0] == '[' {
			kind, current = f.header(l)
			continue
		}
		switch kind {
		case "options":
			if k, v, ok := strings.Cut(l, ":"); ok {
				f.options[strings.ToLower(strings.TrimSpace(k))] = number(strings.TrimSpace(v))
			}
		case "aliases":
			body, comment := cutComment(l)
			if w := strings.Fields(body); len(w) == 2 {
				f.aliases = append(f.aliases, commented(object{"name": w[0], "cidr": w[1]}, comment))
			}
		case "ipset":
			body, comment := cutComment(l)
			cidr, no := strings.CutPrefix(body, "!")
			o := commented(object{"cidr": strings.TrimSpace(cidr)}, comment)
			if no {
				o["nomatch"] = 1
			}
			current(o)
		case "rules", "group":
			if o := fwRule(l); o != nil {
				current(o)
			}
		}
	}
	return f
}

// header reads "[IPSET name] # comment" and returns the kind of section and where its lines go.
func (f *fwFile) header(l string) (string, func(object)) {
	inner, rest, _ := strings.Cut(l[1:], "]")
	_, comment := cutComment(rest)
	w := strings.Fields(inner)
	if len(w) == 0 {
		return "", nil
	}
	kind := strings.ToLower(w[0])
	add := func(to *[]any) func(object) {
		return func(o object) {
			o["pos"] = len(*to)
			*to = append(*to, o)
		}
	}
	switch {
	case kind == "rules" && len(w) == 1:
		return kind, add(&f.rules)
	case kind == "group" && len(w) == 2:
		f.groups = append(f.groups, fwList{name: strings.ToLower(w[1]), comment: comment})
		return kind, func(o object) { add(&f.groups[len(f.groups)-1].items)(o) }
	case kind == "ipset" && len(w) == 2:
		f.ipsets = append(f.ipsets, fwList{name: strings.ToLower(w[1]), comment: comment})
		return kind, func(o object) {
			to := &f.ipsets[len(f.ipsets)-1].items
			*to = append(*to, o)
		}
	}
	return kind, func(object) {}
}

func cutComment(l string) (body, comment string) {
	body, comment, _ = strings.Cut(l, "#")
	return strings.TrimSpace(body), strings.TrimSpace(comment)
}

func commented(o object, comment string) object {
	if comment != "" {
		o["comment"] = comment
	}
	return o
}

// fwRule reads "|IN SSH(ACCEPT) -i net0 -source 10.0.0.0/8 # comment"; nil when PVE would not understand it.
func fwRule(l string) object {
	body, comment := cutComment(l)
	o := commented(object{"enable": 1}, comment)
	if rest, off := strings.CutPrefix(body, "|"); off {
		body = strings.TrimSpace(rest)
		o["enable"] = 0
	}
	w := strings.Split(body, " ")
	if len(w) < 2 {
		return nil
	}
	o["type"] = strings.ToLower(w[0])
	action := w[1]
	if macro, inner, ok := strings.Cut(action, "("); ok {
		o["macro"] = macro
		action = strings.TrimSuffix(inner, ")")
	}
	o["action"] = action
	names := map[string]string{"i": "iface", "p": "proto", "proto": "proto", "source": "source", "dest": "dest", "dport": "dport", "sport": "sport",
		"log": "log", "icmp-type": "icmp-type"}
	for i := 2; i+1 < len(w); i += 2 {
		key, ok := names[strings.TrimLeft(w[i], "-")]
		if !ok || !strings.HasPrefix(w[i], "-") || w[i+1] == "" {
			return nil
		}
		o[key] = w[i+1]
	}
	if len(w)%2 != 0 {
		return nil
	}
	return o
}

// fw reads a firewall file of the tree.
func (t *tree) fw(name string) *fwFile { return parseFW(string(t.raw(name))) }

func (f *fwFile) list(of []fwList, name string) ([]any, bool) {
	for _, l := range of {
		if l.name == name {
			return orEmpty(l.items), true
		}
	}
	return nil, false
}

func listed(of []fwList, key string) []any {
	out := []any{}
	for _, l := range of {
		out = append(out, commented(object{key: l.name, "digest": digest}, l.comment))
	}
	return out
}

// digest stands for the checksum that PVE puts beside a configuration.
const digest = "0000000000000000000000000000000000000000"

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

// flat turns a section into an object; keys that may be repeated become lists.
func flat(s *pve.Section, repeated ...string) object {
	o := object{}
	for _, k := range s.Keys {
		isList := false
		for _, r := range repeated {
			isList = isList || r == k.Name
		}
		if isList {
			old, _ := o[k.Name].([]any)
			o[k.Name] = append(old, k.Value)
		} else if _, ok := o[k.Name]; !ok {
			o[k.Name] = value(k.Name, k.Value)
		}
	}
	return o
}
