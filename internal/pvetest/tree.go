package pvetest

import (
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve"
)

// tree is what the files say, read once. Its readers are deliberately plain: they are a second opinion on files that are in
// order, beside the parsers of internal/pve, and lose what PVE's API would not tell either.
type tree struct {
	r       host.Reader
	nodes   []string
	cluster string
	guests  []*guest
	blocks  []block // corosync.conf
}

// guest is one configuration file.
type guest struct {
	id       int
	kind     string // qemu, lxc
	node     string
	sections []section // the first is the current configuration
}

type section struct {
	name string
	keys []pve.Property
}

func readTree(r host.Reader) (*tree, error) {
	t := &tree{r: r}
	if _, err := r.Stat("/etc/pve"); err != nil {
		return nil, err
	}
	t.blocks = corosyncBlocks(string(t.raw("/etc/pve/corosync.conf")))
	for _, b := range t.blocks {
		switch b.name {
		case "nodelist/node":
			t.nodes = append(t.nodes, b.keys["name"])
		case "totem":
			t.cluster = b.keys["cluster_name"]
		}
	}
	found, err := r.List("/etc/pve/nodes/*/*/*.conf")
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		parts := strings.Split(f.Path, "/")
		id, err := strconv.Atoi(strings.TrimSuffix(parts[6], ".conf"))
		kind := map[string]string{"qemu-server": "qemu", "lxc": "lxc"}[parts[5]]
		if err != nil || kind == "" {
			continue
		}
		t.guests = append(t.guests, &guest{id: id, kind: kind, node: parts[4], sections: guestSections(string(t.raw(f.Path)))})
	}
	dirs, err := r.List("/etc/pve/nodes/*")
	if err != nil {
		return nil, err
	}
	if len(t.blocks) == 0 {
		for _, d := range dirs {
			t.nodes = append(t.nodes, path.Base(d.Path))
		}
	}
	slices.Sort(t.nodes)
	if len(t.nodes) == 0 {
		return nil, errors.New("there is no node below /etc/pve/nodes")
	}
	slices.SortFunc(t.guests, func(a, b *guest) int { return a.id - b.id })
	return t, nil
}

// raw is a file, empty when it is not there.
func (t *tree) raw(name string) []byte {
	b, err := t.r.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}

func (t *tree) sections(name string) []pve.Section {
	s, _ := pve.ParseSections(t.raw(name))
	return s
}

// recorded is an answer that the tree holds as recorded, nil without one.
func (t *tree) recorded(resource string) any {
	b, err := inventory.API(t.r, resource)
	if err != nil {
		return nil
	}
	var v any
	if json.Unmarshal(b, &v) != nil {
		return nil
	}
	return v
}

func (t *tree) guest(id string) *guest {
	for _, g := range t.guests {
		if strconv.Itoa(g.id) == id {
			return g
		}
	}
	return nil
}

func (g *guest) get(key string) string {
	for _, k := range g.sections[0].keys {
		if k.Key == key {
			return k.Value
		}
	}
	return ""
}

// guestSections splits a guest's configuration. Lines with # are the description.
func guestSections(text string) []section {
	out := []section{{}}
	var note []string
	flush := func() {
		if len(note) > 0 {
			s := &out[len(out)-1]
			s.keys = append(s.keys, pve.Property{Key: "description", Value: pve.DecodeText(strings.Join(note, "\n")) + "\n"})
			note = nil
		}
	}
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimRight(l, " \t\r")
		name, isSection := strings.CutPrefix(l, "[")
		switch {
		case strings.HasPrefix(l, "#"):
			note = append(note, l[1:])
		case isSection:
			flush()
			out = append(out, section{name: strings.TrimSuffix(name, "]")})
		default:
			k, v, ok := strings.Cut(l, ":")
			if eq := strings.IndexByte(l, '='); strings.HasPrefix(l, "lxc.") && eq >= 0 && (!ok || eq < len(k)) {
				k, v, ok = l[:eq], l[eq+1:], true
			}
			if k = strings.TrimSpace(k); ok && k != "" && !strings.ContainsAny(k, " \t") {
				s := &out[len(out)-1]
				s.keys = append(s.keys, pve.Property{Key: k, Value: strings.TrimSpace(v)})
			}
		}
	}
	flush()
	return out
}

// block is one block of corosync.conf with the path of its names: "nodelist/node".
type block struct {
	name string
	keys map[string]string
}

func corosyncBlocks(text string) []block {
	var out []block
	var stack []int
	var names []string
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimSpace(l)
		if name, ok := strings.CutSuffix(l, "{"); ok {
			names = append(names, strings.TrimSpace(name))
			out = append(out, block{name: strings.Join(names, "/"), keys: map[string]string{}})
			stack = append(stack, len(out)-1)
			continue
		}
		if len(stack) == 0 {
			continue
		}
		if l == "}" {
			stack, names = stack[:len(stack)-1], names[:len(names)-1]
			continue
		}
		if k, v, ok := strings.Cut(l, ":"); ok {
			out[stack[len(stack)-1]].keys[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return out
}

// number gives digits as a number, as Perl does with what it counted with, and everything else as text.
func number(s string) any {
	if n, err := strconv.ParseInt(s, 10, 53); err == nil && strconv.FormatInt(n, 10) == s {
		return n
	}
	return s
}

// value is a setting in JSON. Texts that people write stay texts even when they are digits.
func value(key, s string) any {
	switch key {
	case "comment", "description", "name", "hostname", "tags", "nodes", "node", "id", "alias", "cidr", "vmid", "exclude", "server", "username", "sha", "cipassword":
		return s
	}
	return number(s)
}
