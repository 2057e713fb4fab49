package apitree

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/client"
)

// shapeError says that a part of an answer is not of the type that it should be.
func shapeError(resource, what string) error {
	return fmt.Errorf("cannot understand the answer of %s: the %s has an unexpected form", resource, what)
}

// plainName reports whether a name from the API can be an element of a path.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && word(s) == s && !strings.ContainsAny(s, "/*?[\\")
}

// readNodes lists the nodes, which are directories.
func (t *Tree) readNodes() {
	list, err := t.objects("/nodes")
	if err != nil {
		t.mem.Errs[dir+"/nodes/*"] = err
		return
	}
	for _, o := range list {
		if n := o.Text("node"); plainName(n) {
			t.nodes = append(t.nodes, n)
			t.mem.Dirs = append(t.mem.Dirs, dir+"/nodes/"+n)
		}
	}
	slices.Sort(t.nodes)
}

func (t *Tree) nodeFiles() []file {
	var files []file
	for _, n := range t.nodes {
		files = append(files, file{dir + "/nodes/" + n + "/host.fw", func() ([]byte, error) {
			return t.fwFile("/nodes/"+url.PathEscape(n)+"/firewall", fwParts{})
		}})
	}
	return files
}

// clusterFiles are the files that exist once.
func (t *Tree) clusterFiles() []file {
	list := func(resource, id string, kind func(client.Object) string) func() ([]byte, error) {
		return func() ([]byte, error) { return t.sections(resource, id, kind) }
	}
	byType := func(o client.Object) string { return o.Text("type") }
	as := func(kind string) func(client.Object) string { return func(client.Object) string { return kind } }
	files := []file{
		{dir + "/user.cfg", t.userCfg},
		{dir + "/domains.cfg", t.domainsCfg},
		{dir + "/priv/tfa.cfg", t.tfaCfg},
		{dir + "/datacenter.cfg", t.datacenterCfg},
		{dir + "/firewall/cluster.fw", func() ([]byte, error) { return t.fwFile("/cluster/firewall", fwParts{true, true, true}) }},
		{dir + "/storage.cfg", t.storageCfg},
		{dir + "/jobs.cfg", t.jobsCfg},
		{dir + "/replication.cfg", t.replicationCfg},
		{dir + "/notifications.cfg", t.notificationsCfg},
		{dir + "/ha/resources.cfg", t.haResources},
		{dir + "/ha/groups.cfg", list("/cluster/ha/groups", "group", as("group"))},
		{dir + "/ha/rules.cfg", list("/cluster/ha/rules", "rule", byType)},
		{dir + "/sdn/controllers.cfg", list("/cluster/sdn/controllers", "controller", byType)},
		{dir + "/sdn/ipams.cfg", list("/cluster/sdn/ipams", "ipam", byType)},
		{dir + "/sdn/dns.cfg", list("/cluster/sdn/dns", "dns", byType)},
		{dir + "/sdn/fabrics.cfg", list("/cluster/sdn/fabrics/fabric", "id", func(o client.Object) string { return o.Text("protocol") })},
		{dir + "/sdn/zones.cfg", t.sdn(list("/cluster/sdn/zones", "zone", byType))},
		{dir + "/sdn/vnets.cfg", t.sdn(list("/cluster/sdn/vnets", "vnet", as("vnet")))},
		{dir + "/sdn/subnets.cfg", t.sdn(t.subnetsCfg)},
		{dir + "/sdn/.running-config", t.sdn(t.runningConfig)},
		{dir + "/corosync.conf", t.corosyncConf},
		{dir + "/.members", t.members},
		{dir + "/ceph.conf", t.cephConf},
		{"/etc/hosts", t.hosts},
		{"/etc/os-release", t.osRelease},
		{"/usr/share/perl5/PVE/pvecfg.pm", func() ([]byte, error) { return []byte("'version' => '" + word(t.version) + "'\n"), nil }},
	}
	if len(t.nodes) == 1 {
		files = append(files, file{"/etc/hostname", func() ([]byte, error) { return []byte(t.nodes[0] + "\n"), nil }})
	}
	vnets, _ := t.objects("/cluster/sdn/vnets") // its error is that of vnets.cfg
	for _, v := range vnets {
		if name := v.Text("vnet"); plainName(name) {
			files = append(files, file{dir + "/sdn/firewall/" + name + ".fw", func() ([]byte, error) {
				return t.fwFile("/cluster/sdn/vnets/"+url.PathEscape(name)+"/firewall", fwParts{})
			}})
		}
	}
	return files
}

// sections writes a list of objects as a section configuration file.
func (t *Tree) sections(resource, id string, kind func(client.Object) string) ([]byte, error) {
	list, err := t.objects(resource)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, o := range list {
		putSection(&b, kind(o), o.Text(id), o, false, id)
	}
	return bytesOf(&b), nil
}

// sdn guards the lists that are cut by privileges on zones.
func (t *Tree) sdn(build func() ([]byte, error)) func() ([]byte, error) {
	return func() ([]byte, error) {
		if err := t.whole("/cluster/sdn", "/sdn/zones", "SDN.Audit", "SDN.Allocate"); err != nil {
			return nil, err
		}
		return build()
	}
}

func (t *Tree) subnetsCfg() ([]byte, error) {
	var b strings.Builder
	err := t.eachSubnet("", func(o client.Object) {
		if !o.Has("id") && !o.Has("subnet") {
			return
		}
		putSection(&b, "subnet", subnetID(o), o, true, "id", "subnet", "zone", "cidr", "network", "mask")
	})
	return bytesOf(&b), err
}

func subnetID(o client.Object) string {
	if s := o.Text("subnet"); s != "" {
		return s
	}
	return o.Text("id")
}

func (t *Tree) eachSubnet(query string, use func(client.Object)) error {
	vnets, err := t.objects("/cluster/sdn/vnets" + query)
	if err != nil {
		return err
	}
	for _, v := range vnets {
		list, err := t.objects("/cluster/sdn/vnets/" + url.PathEscape(v.Text("vnet")) + "/subnets" + query)
		if err != nil {
			return err
		}
		for _, o := range list {
			use(o)
		}
	}
	return nil
}

// runningConfig puts together what is applied, as in the file of that name.
func (t *Tree) runningConfig() ([]byte, error) {
	conf := map[string]map[string]map[string]client.Object{}
	n := 0
	add := func(kind, id string, o client.Object) {
		for _, k := range []string{"digest", "state", "pending"} {
			delete(o, k)
		}
		if conf[kind] == nil {
			conf[kind] = map[string]map[string]client.Object{"ids": {}}
		}
		conf[kind]["ids"][id] = o
		n++
	}
	for kind, id := range map[string]string{"zones": "zone", "vnets": "vnet", "controllers": "controller"} {
		list, err := t.objects("/cluster/sdn/" + kind + "?running=1")
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			name := o.Text(id)
			delete(o, id)
			add(kind, name, o)
		}
	}
	err := t.eachSubnet("?running=1", func(o client.Object) {
		id := subnetID(o)
		for _, k := range []string{"id", "subnet", "zone", "cidr", "network", "mask"} {
			delete(o, k)
		}
		add("subnets", id, o)
	})
	if err != nil || n == 0 {
		return nil, err
	}
	return json.Marshal(conf)
}

// datacenterCfg writes the options of the cluster; without Sys.Audit PVE answers a few of them only.
func (t *Tree) datacenterCfg() ([]byte, error) {
	if err := t.needs("/cluster/options", "/", "Sys.Audit"); err != nil {
		return nil, err
	}
	o, err := t.object("/cluster/options")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, k := range o.Keys() {
		v := o.Text(k)
		switch {
		case k == "digest" || k == "allowed-tags" || !o.Has(k) || word(k) != k:
			continue
		case k == "description":
			v = pve.EncodeText(v)
		}
		b.WriteString(k + ": " + line(v) + "\n")
	}
	return bytesOf(&b), nil
}

func (t *Tree) storageCfg() ([]byte, error) {
	if err := t.whole("/storage", "/storage", "Datastore.Audit", "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	return t.sections("/storage", "storage", func(o client.Object) string { return o.Text("type") })
}

// jobsCfg writes backup jobs, those of the old vzdump.cron among them, and realm synchronisation.
func (t *Tree) jobsCfg() ([]byte, error) {
	var b strings.Builder
	for _, job := range [][2]string{{"vzdump", "/cluster/backup"}, {"realm-sync", "/cluster/jobs/realm-sync"}} {
		list, err := t.objects(job[1])
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			putSection(&b, job[0], o.Text("id"), o, false, "id", "starttime", "dow", "last-run")
		}
	}
	return bytesOf(&b), nil
}

func (t *Tree) replicationCfg() ([]byte, error) {
	if err := t.whole("/cluster/replication", "/vms", "VM.Audit"); err != nil {
		return nil, err
	}
	list, err := t.objects("/cluster/replication")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, o := range list {
		putSection(&b, "local", o.Text("id"), o, false, "id", "guest", "jobnum")
	}
	return bytesOf(&b), nil
}

func (t *Tree) notificationsCfg() ([]byte, error) {
	var b strings.Builder
	for _, kind := range []string{"sendmail", "smtp", "gotify", "webhook", "matcher"} {
		resource := "/cluster/notifications/endpoints/" + kind
		if kind == "matcher" {
			resource = "/cluster/notifications/matchers"
		}
		list, err := t.objects(resource)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			putSection(&b, kind, o.Text("name"), o, true, "name")
		}
	}
	return bytesOf(&b), nil
}

func (t *Tree) haResources() ([]byte, error) {
	list, err := t.objects("/cluster/ha/resources")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, o := range list {
		kind, id, _ := strings.Cut(o.Text("sid"), ":")
		putSection(&b, kind, id, o, false, "sid")
	}
	return bytesOf(&b), nil
}

// corosyncConf writes nodes and totem; a standalone node has neither.
func (t *Tree) corosyncConf() ([]byte, error) {
	nodes, err := t.objects("/cluster/config/nodes")
	if err != nil {
		return nil, err
	}
	totem, err := t.object("/cluster/config/totem")
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	var b strings.Builder
	put := func(indent string, o client.Object, skip ...string) {
		for _, k := range o.Keys() {
			if o.Has(k) && !slices.Contains(skip, k) && word(k) == k {
				b.WriteString(indent + k + ": " + line(o.Text(k)) + "\n")
			}
		}
	}
	b.WriteString("nodelist {\n")
	for _, n := range nodes {
		if !n.Has("name") {
			n["name"] = n["node"]
		}
		b.WriteString("  node {\n")
		put("    ", n, "node", "digest")
		b.WriteString("  }\n")
	}
	b.WriteString("}\n\ntotem {\n")
	put("  ", totem, "interface", "digest")
	var links map[string]client.Object
	if totem.Has("interface") && json.Unmarshal(totem["interface"], &links) != nil {
		return nil, shapeError("/cluster/config/totem", "list of interfaces")
	}
	names := client.Object{}
	for k := range links {
		names[k] = nil
	}
	for _, k := range names.Keys() {
		b.WriteString("  interface {\n")
		put("    ", links[k])
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return []byte(b.String()), nil
}

// members writes what pmxcfs says about the cluster now.
func (t *Tree) members() ([]byte, error) {
	list, err := t.objects("/cluster/status")
	if err != nil {
		return nil, err
	}
	type member struct {
		ID     int64  `json:"id"`
		Online int    `json:"online"`
		IP     string `json:"ip"`
	}
	out := map[string]any{}
	nodes := map[string]member{}
	for _, o := range list {
		if o.Text("type") == "cluster" {
			quorate, size := 0, len(t.nodes)
			if o.On("quorate") {
				quorate = 1
			}
			out["cluster"] = map[string]any{"name": o.Text("name"), "quorate": quorate, "nodes": size}
			continue
		}
		m := member{IP: o.Text("ip")}
		m.ID, _ = o.Int("nodeid")
		if o.On("online") {
			m.Online = 1
		}
		nodes[o.Text("name")] = m
		if o.On("local") {
			out["nodename"] = o.Text("name")
		}
	}
	out["nodelist"] = nodes
	return json.Marshal(out)
}

// hosts gives each node's name the address that PVE has for it.
func (t *Tree) hosts() ([]byte, error) {
	list, err := t.objects("/cluster/status")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, o := range list {
		if ip := word(o.Text("ip")); o.Text("type") == "node" && ip != "" {
			b.WriteString(ip + " " + word(o.Text("name")) + "\n")
		}
	}
	return bytesOf(&b), nil
}

// release is the major version, 9 when it is none that is known.
func (t *Tree) release() int {
	if strings.HasPrefix(t.version, "8.") {
		return 8
	}
	return 9
}

// osRelease tells the Debian release from the version: PVE 8 is on Debian 12, 9 on 13.
func (t *Tree) osRelease() ([]byte, error) {
	switch major, _, _ := strings.Cut(t.version, "."); major {
	case "8":
		return []byte("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"), nil
	case "9":
		return []byte("ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"), nil
	}
	return nil, fmt.Errorf("the version %s of Proxmox VE is not known; 8 and 9 are", t.version)
}

// cephConf asks the nodes in turn: only those with Ceph have it.
func (t *Tree) cephConf() ([]byte, error) {
	var errs []error
	for _, n := range t.nodes {
		a, err := t.get("/nodes/" + url.PathEscape(n) + "/ceph/cfg/raw")
		switch {
		case err == nil:
			if text := client.Text(a.Data); text != "" {
				return []byte(text), nil
			}
		case !absent(err):
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(errs...)
}
