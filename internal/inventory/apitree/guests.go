package apitree

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/client"
)

// guest is where a guest is.
type guest struct {
	id   int64
	kind string // qemu, lxc
	node string
}

// at is the resource of a guest.
func (g guest) at() string {
	return "/nodes/" + url.PathEscape(g.node) + "/" + g.kind + "/" + strconv.FormatInt(g.id, 10)
}

// file is its configuration file.
func (g guest) file() string {
	sub := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[g.kind]
	return dir + "/nodes/" + g.node + "/" + sub + "/" + strconv.FormatInt(g.id, 10) + ".conf"
}

// readGuests lists all guests. The list is cut to what the caller may see.
func (t *Tree) readGuests() {
	list, err := t.objects("/cluster/resources?type=vm")
	if err == nil {
		err = t.whole("/cluster/resources", "/vms", "VM.Audit")
	}
	t.guestsErr = err
	for _, o := range list {
		id, ok := o.Int("vmid")
		g := guest{id: id, kind: o.Text("type"), node: o.Text("node")}
		if !ok || id < 1 || g.kind != "qemu" && g.kind != "lxc" || !plainName(g.node) {
			err := shapeError("/cluster/resources", "entry of a guest")
			t.fault(err)
			t.guestsErr = err
			continue
		}
		t.guests = append(t.guests, g)
	}
	slices.SortFunc(t.guests, func(a, b guest) int { return int(a.id - b.id) })
}

func (t *Tree) guestFiles() []file {
	var files []file
	for _, g := range t.guests {
		files = append(files, file{g.file(), func() ([]byte, error) { return t.guestConf(g) }},
			file{dir + "/firewall/" + strconv.FormatInt(g.id, 10) + ".fw", func() ([]byte, error) {
				return t.fwFile(g.at()+"/firewall", fwParts{aliases: true, ipsets: true})
			}})
	}
	return files
}

// guestConf writes the configuration: what is in force, what waits for the next start, and the snapshots.
func (t *Tree) guestConf(g guest) ([]byte, error) {
	list, err := t.objects(g.at() + "/pending")
	if err != nil {
		return nil, err
	}
	current, waiting, deleted := client.Object{}, client.Object{}, []string{}
	for _, o := range list {
		key := o.Text("key")
		if o.Has("value") {
			current[key] = o["value"]
		}
		if o.Has("pending") {
			waiting[key] = o["pending"]
		}
		if n, ok := o.Int("delete"); ok && n > 0 {
			deleted = append(deleted, key)
		}
	}
	if g.kind == "lxc" {
		// Raw settings are a list, which /pending leaves out.
		conf, err := t.object(g.at() + "/config?current=1")
		if err != nil {
			return nil, err
		}
		current["lxc"] = conf["lxc"]
	}
	var b strings.Builder
	putSettings(&b, current)
	if len(waiting)+len(deleted) > 0 {
		b.WriteString("\n[" + map[string]string{"qemu": "PENDING", "lxc": "pve:pending"}[g.kind] + "]\n")
		putSettings(&b, waiting)
		if len(deleted) > 0 {
			slices.Sort(deleted)
			b.WriteString("delete: " + word(strings.Join(deleted, ",")) + "\n")
		}
	}
	if err := t.snapshots(&b, g); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

func (t *Tree) snapshots(b *strings.Builder, g guest) error {
	list, err := t.objects(g.at() + "/snapshot")
	if err != nil {
		return err
	}
	for _, s := range list {
		name := s.Text("name")
		if name == "current" {
			continue
		}
		o, err := t.object(g.at() + "/snapshot/" + url.PathEscape(name) + "/config")
		if err != nil {
			return err
		}
		b.WriteString("\n[" + word(name) + "]\n")
		putSettings(b, o)
	}
	return nil
}

// putSettings writes "key: value" lines; the description becomes comment lines as PVE writes them.
func putSettings(b *strings.Builder, o client.Object) {
	if d := strings.TrimRight(o.Text("description"), "\n"); d != "" {
		for l := range strings.SplitSeq(d, "\n") {
			b.WriteString("#" + pve.EncodeText(l) + "\n")
		}
	}
	for _, k := range o.Keys() {
		if k == "digest" || k == "description" || k == "lxc" || !o.Has(k) || word(k) != k {
			continue
		}
		b.WriteString(k + ": " + line(o.Text(k)) + "\n")
	}
	var raw [][]string
	if o.Has("lxc") && json.Unmarshal(o["lxc"], &raw) == nil {
		for _, kv := range raw {
			if len(kv) == 2 {
				b.WriteString(word(kv[0]) + ": " + line(kv[1]) + "\n")
			}
		}
	}
}
