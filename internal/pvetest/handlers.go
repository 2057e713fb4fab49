package pvetest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/apischema"
)

//table: the methods that are answered

type handler func(*Server, *call) (any, *failure)

// handlers are the methods that are answered, by the names of the schema.
func handlers() map[string]handler {
	sectionsOf := func(file, id string) handler {
		return func(s *Server, c *call) (any, *failure) { return s.list(c, file, id), nil }
	}
	fw := func(of func(*call) string, part string) handler {
		return func(s *Server, c *call) (any, *failure) { return s.firewall(c, of(c), part) }
	}
	cluster := func(*call) string { return "/etc/pve/firewall/cluster.fw" }
	node := func(c *call) string { return "/etc/pve/nodes/" + c.params["node"] + "/host.fw" }
	vm := func(c *call) string { return "/etc/pve/firewall/" + c.params["vmid"] + ".fw" }
	vnet := func(c *call) string { return "/etc/pve/sdn/firewall/" + c.params["vnet"] + ".fw" }
	h := map[string]handler{
		"GET /version":                 version,
		"POST /access/ticket":          (*Server).logIn,
		"GET /access/ticket":           func(*Server, *call) (any, *failure) { return nil, nil },
		"GET /access/permissions":      permissions,
		"GET /access/users":            users,
		"GET /access/groups":           groups,
		"GET /access/roles":            roles,
		"GET /access/acl":              acl,
		"GET /access/domains":          domains,
		"GET /access/domains/{realm}":  domain,
		"GET /access/tfa":              tfa,
		"GET /access/users/{userid}":   user,
		"GET /pools":                   pools,
		"GET /pools/{poolid}":          pool,
		"GET /cluster/options":         options,
		"GET /cluster/status":          clusterStatus,
		"GET /cluster/resources":       resources,
		"GET /cluster/config/nodes":    configNodes,
		"GET /cluster/config/totem":    totem,
		"GET /cluster/backup":          func(s *Server, c *call) (any, *failure) { return s.jobs("vzdump"), nil },
		"GET /cluster/jobs/realm-sync": func(s *Server, c *call) (any, *failure) { return s.jobs("realm-sync"), nil },
		"GET /cluster/replication":     replication,
		"GET /cluster/ha/resources":    haResources,
		"GET /cluster/ha/groups":       haGroups,
		"GET /cluster/ha/rules":        sectionsOf("/etc/pve/ha/rules.cfg", "rule"),

		"GET /cluster/notifications/matchers":           notification("matcher"),
		"GET /cluster/notifications/endpoints/sendmail": notification("sendmail"),
		"GET /cluster/notifications/endpoints/smtp":     notification("smtp"),
		"GET /cluster/notifications/endpoints/gotify":   notification("gotify"),
		"GET /cluster/notifications/endpoints/webhook":  notification("webhook"),

		"GET /cluster/sdn/zones":                         sectionsOf("/etc/pve/sdn/zones.cfg", "zone"),
		"GET /cluster/sdn/vnets":                         sectionsOf("/etc/pve/sdn/vnets.cfg", "vnet"),
		"GET /cluster/sdn/vnets/{vnet}/subnets":          subnets,
		"GET /cluster/sdn/controllers":                   sectionsOf("/etc/pve/sdn/controllers.cfg", "controller"),
		"GET /cluster/sdn/ipams":                         sectionsOf("/etc/pve/sdn/ipams.cfg", "ipam"),
		"GET /cluster/sdn/dns":                           sectionsOf("/etc/pve/sdn/dns.cfg", "dns"),
		"GET /cluster/sdn/fabrics/fabric":                sectionsOf("/etc/pve/sdn/fabrics.cfg", "id"),
		"GET /cluster/sdn/vnets/{vnet}/firewall/rules":   fw(vnet, "rules"),
		"GET /cluster/sdn/vnets/{vnet}/firewall/options": fw(vnet, "options"),

		"GET /storage": storages,
		"GET /nodes":   nodes,
		"GET /nodes/{node}/hosts": func(s *Server, c *call) (any, *failure) {
			return object{"data": string(s.tree.raw("/etc/hosts")), "digest": digest}, nil
		},
		"GET /nodes/{node}/network":                   network,
		"GET /nodes/{node}/qemu":                      func(s *Server, c *call) (any, *failure) { return s.guestList(c, "qemu"), nil },
		"GET /nodes/{node}/lxc":                       func(s *Server, c *call) (any, *failure) { return s.guestList(c, "lxc"), nil },
		"GET /nodes/{node}/status":                    nodeStatus,
		"GET /nodes/{node}/version":                   version,
		"GET /nodes/{node}/storage":                   nodeStorages,
		"GET /nodes/{node}/storage/{storage}/content": content,
		"GET /nodes/{node}/services/{service}/state":  recordedOr(object{"state": "running", "active-state": "active", "unit-state": "enabled"}),
		"GET /nodes/{node}/apt/versions":              recordedOr([]any{}),
		"GET /nodes/{node}/apt/update":                recordedOr([]any{}),
		"GET /nodes/{node}/certificates/info":         recordedOr([]any{}),
		"GET /nodes/{node}/ceph/cfg/raw":              cephConf,
		"GET /nodes/{node}/tasks":                     tasks,
		"GET /nodes/{node}/tasks/{upid}/status":       taskStatus,
		"GET /nodes/{node}/tasks/{upid}/log":          taskLog,
		"POST /nodes/{node}/termproxy":                consoleOf("termproxy", "vncshell"),
		"POST /nodes/{node}/vncshell":                 consoleOf("vncproxy", "vncshell"),
		"GET /nodes/{node}/vncwebsocket":              websocket,
	}
	for part, name := range map[string]string{"options": "/options", "rules": "/rules", "aliases": "/aliases", "ipset": "/ipset", "entries": "/ipset/{name}"} {
		h["GET /cluster/firewall"+name] = fw(cluster, part)
		h["GET /nodes/{node}/firewall"+name] = fw(node, part)
		for _, kind := range []string{"qemu", "lxc"} {
			h["GET /nodes/{node}/"+kind+"/{vmid}/firewall"+name] = fw(vm, part)
		}
	}
	h["GET /cluster/firewall/groups"] = fw(cluster, "groups")
	h["GET /cluster/firewall/groups/{group}"] = fw(cluster, "group")
	for _, kind := range []string{"qemu", "lxc"} {
		at := "/nodes/{node}/" + kind + "/{vmid}"
		h["GET "+at+"/config"] = ofGuest(kind, guestConfig)
		h["GET "+at+"/pending"] = ofGuest(kind, guestPending)
		h["GET "+at+"/snapshot"] = ofGuest(kind, guestSnapshots)
		h["GET "+at+"/snapshot/{snapname}/config"] = ofGuest(kind, guestSnapshot)
		h["GET "+at+"/status/current"] = ofGuest(kind, guestStatus)
		for _, verb := range []string{"start", "stop", "shutdown", "reboot"} {
			h["POST "+at+"/status/"+verb] = ofGuest(kind, startTask(verb))
		}
		h["POST "+at+"/vncproxy"] = ofGuest(kind, func(s *Server, c *call, g *guest) (any, *failure) { return consoleOf("vncproxy", "vncproxy")(s, c) })
		h["POST "+at+"/termproxy"] = ofGuest(kind, func(s *Server, c *call, g *guest) (any, *failure) { return consoleOf("termproxy", "vncproxy")(s, c) })
		h["GET "+at+"/vncwebsocket"] = websocket
	}
	return h
}

func version(s *Server, _ *call) (any, *failure) {
	v := apischema.Versions()[s.opts.Release]
	release, _, _ := strings.Cut(v, ".")
	_, minor, _ := strings.Cut(v, ".")
	minor, _, _ = strings.Cut(minor, ".")
	return object{"version": v, "release": release + "." + minor, "repoid": "0123456789abcdef"}, nil
}

// list answers the sections of a file that the caller may see.
func (s *Server) list(c *call, file, id string, repeated ...string) []any {
	out := []any{}
	for _, x := range s.tree.sections(file) {
		o := flat(&x, repeated...)
		o[id], o["type"], o["digest"] = x.ID, x.Type, digest
		if id == "zone" && !s.can(c.user, "/sdn/zones/"+x.ID, []string{"SDN.Audit", "SDN.Allocate"}, true) {
			continue
		}
		if zone := x.Value("zone"); id == "vnet" && !s.can(c.user, "/sdn/zones/"+zone+"/"+x.ID, []string{"SDN.Audit", "SDN.Allocate"}, true) {
			continue
		}
		out = append(out, o)
	}
	return out
}

func (s *Server) jobs(kind string) []any {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/jobs.cfg") {
		if x.Type == kind {
			o := flat(&x)
			o["id"], o["type"] = x.ID, kind
			if _, ok := o["enabled"]; !ok && kind == "vzdump" {
				o["enabled"] = 1
			}
			out = append(out, o)
		}
	}
	return out
}

func notification(kind string) handler {
	return func(s *Server, c *call) (any, *failure) {
		out := []any{}
		for _, x := range s.tree.sections("/etc/pve/notifications.cfg") {
			if x.Type == kind {
				o := flat(&x, "mailto", "mailto-user", "match-field", "match-severity", "match-calendar", "target", "header", "secret")
				o["name"], o["origin"] = x.ID, "user-created"
				out = append(out, o)
			}
		}
		return out, nil
	}
}

func replication(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/replication.cfg") {
		vm, _, _ := strings.Cut(x.ID, "-")
		if s.can(c.user, "/vms/"+vm, []string{"VM.Audit"}, false) {
			o := flat(&x)
			o["id"], o["type"], o["guest"] = x.ID, x.Type, number(vm)
			out = append(out, o)
		}
	}
	return out, nil
}

func haResources(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/ha/resources.cfg") {
		o := flat(&x)
		o["sid"], o["type"], o["digest"] = x.Type+":"+x.ID, x.Type, digest
		out = append(out, o)
	}
	return out, nil
}

func haGroups(s *Server, c *call) (any, *failure) {
	if s.opts.Release >= 9 {
		return nil, fail(http.StatusInternalServerError, "cannot index groups: ha groups have been migrated to rules")
	}
	return s.list(c, "/etc/pve/ha/groups.cfg", "group"), nil
}

func subnets(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/sdn/subnets.cfg") {
		if x.Value("vnet") == c.params["vnet"] {
			o := flat(&x)
			o["subnet"], o["id"], o["type"] = x.ID, x.ID, "subnet"
			if all := x.All("dhcp-range"); len(all) > 0 {
				ranges := []any{}
				for _, r := range all {
					ranges = append(ranges, properties(r))
				}
				o["dhcp-range"] = ranges
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// properties gives a property string as an object, as PVE does for some keys.
func properties(s string) object {
	o := object{}
	for _, p := range pve.ParseProperties(s, "") {
		o[p.Key] = number(p.Value)
	}
	return o
}

func storages(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/storage.cfg") {
		if s.can(c.user, "/storage/"+x.ID, []string{"Datastore.Audit", "Datastore.AllocateSpace"}, true) {
			o := flat(&x)
			o["storage"], o["type"], o["digest"] = x.ID, x.Type, digest
			out = append(out, o)
		}
	}
	return out, nil
}

func nodeStorages(s *Server, c *call) (any, *failure) {
	out := []any{}
	for _, x := range s.tree.sections("/etc/pve/storage.cfg") {
		only := pve.List(x.Value("nodes"))
		if (len(only) == 0 || slices.Contains(only, c.params["node"])) && s.can(c.user, "/storage/"+x.ID, []string{"Datastore.Audit", "Datastore.AllocateSpace"}, true) {
			out = append(out, object{"storage": x.ID, "type": x.Type, "content": x.Value("content"), "active": 1, "enabled": 1, "shared": number("0" + x.Value("shared")),
				"total": 1 << 40, "used": 1 << 30, "avail": 1<<40 - 1<<30, "used_fraction": 0.001})
		}
	}
	return out, nil
}

// content lists volumes. As in PVE::Storage::check_volume_access a backup is shown to those only who may restore it.
func content(s *Server, c *call) (any, *failure) {
	all, ok := s.tree.recorded("/nodes/" + c.params["node"] + "/storage/" + c.params["storage"] + "/content").([]any)
	if !ok {
		return []any{}, nil
	}
	path := "/storage/" + c.params["storage"]
	out := []any{}
	for _, x := range all {
		o, _ := x.(object)
		kind, _ := o["content"].(string)
		if want := c.params["content"]; want != "" && want != kind {
			continue
		}
		vm := fmt.Sprint(o["vmid"])
		visible := s.can(c.user, path, []string{"Datastore.Allocate"}, false)
		switch kind {
		case "backup":
			visible = visible || s.can(c.user, path, []string{"Datastore.AllocateSpace"}, false) && s.can(c.user, "/vms/"+vm, []string{"VM.Backup"}, false)
		case "images", "rootdir":
			visible = visible || s.can(c.user, path, []string{"Datastore.Audit"}, false) && s.can(c.user, "/vms/"+vm, []string{"VM.Config.Disk"}, false)
		default:
			visible = visible || s.can(c.user, path, []string{"Datastore.Audit", "Datastore.AllocateSpace"}, true)
		}
		if visible {
			out = append(out, o)
		}
	}
	return out, nil
}

// recordedOr answers what the tree holds as recorded, else what a plain node would say.
func recordedOr(plain any) handler {
	return func(s *Server, c *call) (any, *failure) {
		if v := s.tree.recorded(c.path.String()); v != nil {
			return v, nil
		}
		return plain, nil
	}
}

func cephConf(s *Server, _ *call) (any, *failure) {
	b := s.tree.raw("/etc/pve/ceph.conf")
	if b == nil {
		return nil, fail(http.StatusInternalServerError, "binary not installed: /usr/bin/ceph-mon")
	}
	return string(b), nil
}

// firewall answers one part of a firewall file.
func (s *Server) firewall(c *call, file, part string) (any, *failure) {
	f := s.tree.fw(file)
	switch part {
	case "options":
		f.options["digest"] = digest
		return f.options, nil
	case "rules":
		return orEmpty(f.rules), nil
	case "aliases":
		return orEmpty(f.aliases), nil
	case "ipset":
		return listed(f.ipsets, "name"), nil
	case "groups":
		return listed(f.groups, "group"), nil
	case "entries":
		if l, ok := f.list(f.ipsets, c.params["name"]); ok {
			return l, nil
		}
		return nil, fail(http.StatusInternalServerError, "no such IPSet '%s'", c.params["name"])
	}
	if l, ok := f.list(f.groups, c.params["group"]); ok {
		return l, nil
	}
	return nil, fail(http.StatusInternalServerError, "no such security group '%s'", c.params["group"])
}

func ofGuest(kind string, h func(*Server, *call, *guest) (any, *failure)) handler {
	return func(s *Server, c *call) (any, *failure) {
		g := s.tree.guest(c.params["vmid"])
		if g == nil || g.kind != kind || g.node != c.params["node"] {
			dir := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[kind]
			return nil, fail(http.StatusInternalServerError, "Configuration file 'nodes/%s/%s/%s.conf' does not exist", c.params["node"], dir, c.params["vmid"])
		}
		return h(s, c, g)
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
