package kinds

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve"
)

const pveDir = "/etc/pve"

// pveFileLimit is the size that a file of the cluster file system may have (pmxcfs, memdb.h, MEMDB_MAX_FILE_SIZE); a longer
// write answers EFBIG.
const pveFileLimit = 1 << 20

// pveWrite writes a file of the cluster file system. The file system gives modes and owners by path: 0640 root:www-data, below priv 0600.
// A new file is drafted with these, so that what is there afterwards is what was drafted.
func pveWrite(d *change.Draft, name string, content []byte) error {
	if len(content) > pveFileLimit {
		return change.Cannot("%s would have %d bytes, and the cluster file system takes files of up to 1 MiB", name, len(content))
	}
	if err := pveWritable(d); err != nil {
		return err
	}
	mode := uint32(0o640)
	if strings.HasPrefix(name, pveDir+"/priv/") {
		mode = 0o600
	}
	var fresh []string
	for p := name; p != pveDir && p != "/"; p = path.Dir(p) {
		if _, err := d.Stat(p); host.NotExist(err) {
			fresh = append(fresh, p)
		}
	}
	if err := d.Write(name, content, mode); err != nil {
		return err
	}
	if !d.Live() {
		return nil
	}
	for _, p := range fresh {
		if err := d.Attr(p, nil, "root:www-data"); err != nil {
			return err
		}
	}
	return nil
}

// pveWritable says why the cluster file system of a running node cannot be written: it is not mounted, or the node has no quorum, and then
// pmxcfs refuses every write (pvecm(1), quorum).
func pveWritable(d *change.Draft) error {
	if !d.Live() {
		return nil
	}
	b, ok, err := d.Content(pveDir + "/.members")
	if err != nil {
		return err
	}
	if !ok {
		return change.Cannot("the cluster file system is not mounted on /etc/pve: start it with systemctl start pve-cluster, then plan again")
	}
	var members struct {
		Cluster *struct {
			Quorate int `json:"quorate"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(b, &members); err != nil {
		return change.Cannot("whether the node has quorum cannot be told: /etc/pve/.members is not understood")
	}
	if members.Cluster != nil && members.Cluster.Quorate == 0 {
		return change.Cannot("no quorum: /etc/pve is read-only until most nodes see each other (pvecm status)")
	}
	return nil
}

// pveNodes lists the nodes of the cluster.
func pveNodes(d *change.Draft) ([]string, error) {
	found, err := d.List(pveDir + "/nodes/*")
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	var names []string
	for _, f := range found {
		if f.Type == host.Dir {
			names = append(names, path.Base(f.Path))
		}
	}
	return names, nil
}

// pveShared notes that a file counts on all nodes.
func pveShared(d *change.Draft, name string) error {
	nodes, err := pveNodes(d)
	if err == nil && len(nodes) > 1 {
		d.Effect("%s is the file of the whole cluster: the change applies to all %d nodes (%s) at once", name, len(nodes), strings.Join(nodes, ", "))
	}
	return err
}

// pveWanted is what a value of a remediation asks for. A value "!x" asks that the setting is not x: it is taken away when it is.
// It reports whether something has to be done to the value that is there, and gives the new one; "" takes the setting away.
func pveWanted(have string, set bool, value string, same func(a, b string) bool) (string, bool) {
	if not, ok := strings.CutPrefix(value, "!"); ok {
		return "", set && same(have, not)
	}
	if value == "" {
		return "", set
	}
	return value, !set || !same(have, value)
}

// pveAccepted refuses a change that brings a line which PVE does not accept. Lines move, so problems are told apart by their texts.
func pveAccepted(name string, before, after []pve.Problem) error {
	known := map[string]int{}
	for _, p := range before {
		known[p.Text]++
	}
	for _, p := range after {
		if known[p.Text]--; known[p.Text] < 0 {
			return change.Cannot("PVE would not accept what line %d of %s would be: %s", p.Line, name, p.Text)
		}
	}
	return nil
}

// pveText refuses what cannot stand in a line of a configuration file.
func pveText(what, s string) error {
	if strings.ContainsAny(s, "\n\r\x00") {
		return change.Cannot("%s cannot hold a line break", what)
	}
	return nil
}
