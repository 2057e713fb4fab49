package pvetest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// hidden are settings whose value the API never shows (PVE::QemuServer, "cipassword").
func hidden(key, v string) string {
	if key == "cipassword" {
		return "**********"
	}
	return v
}

func guestConfig(s *Server, c *call, g *guest) (any, *failure) {
	o := settings(g.sections[0].keys)
	if !pve.Truth(c.params["current"]) {
		// Without "current" PVE answers what the next start will have.
		for _, k := range g.pending() {
			if k.Key != "delete" {
				o[k.Key] = value(k.Key, hidden(k.Key, k.Value))
			}
		}
		for _, k := range g.deleted() {
			delete(o, k)
		}
	}
	o["digest"] = digest
	return o, nil
}

func settings(keys []pve.Property) object {
	o := object{}
	for _, k := range keys {
		if strings.HasPrefix(k.Key, "lxc.") {
			old, _ := o["lxc"].([]any)
			o["lxc"] = append(old, []string{k.Key, k.Value})
			continue
		}
		o[k.Key] = value(k.Key, hidden(k.Key, k.Value))
	}
	return o
}

// pending is what waits for the next start.
func (g *guest) pending() []pve.Property {
	for _, s := range g.sections[1:] {
		if s.name == "PENDING" || s.name == "pve:pending" {
			return s.keys
		}
	}
	return nil
}

func (g *guest) deleted() []string {
	var out []string
	for _, k := range g.pending() {
		if k.Key == "delete" {
			for _, name := range pve.List(k.Value) {
				out = append(out, strings.TrimPrefix(name, "!"))
			}
		}
	}
	return out
}

func guestPending(s *Server, _ *call, g *guest) (any, *failure) {
	var order []string
	byKey := map[string]object{}
	at := func(key string) object {
		if byKey[key] == nil {
			byKey[key] = object{"key": key}
			order = append(order, key)
		}
		return byKey[key]
	}
	for _, k := range g.sections[0].keys {
		if !strings.HasPrefix(k.Key, "lxc.") { // lists are left out by PVE::GuestHelpers::config_with_pending_array
			at(k.Key)["value"] = value(k.Key, hidden(k.Key, k.Value))
		}
	}
	for _, k := range g.pending() {
		if k.Key != "delete" {
			at(k.Key)["pending"] = value(k.Key, hidden(k.Key, k.Value))
		}
	}
	for _, k := range g.deleted() {
		at(k)["delete"] = 1
	}
	out := []any{}
	for _, k := range order {
		out = append(out, byKey[k])
	}
	return out, nil
}

// snapshots are the sections that are neither pending nor special.
func (g *guest) snapshots() []section {
	var out []section
	for _, s := range g.sections[1:] {
		if s.name != "PENDING" && s.name != "pve:pending" && !strings.Contains(s.name, ":") {
			out = append(out, s)
		}
	}
	return out
}

func guestSnapshots(s *Server, _ *call, g *guest) (any, *failure) {
	out := []any{}
	for _, x := range g.snapshots() {
		o := object{"name": x.name, "description": "", "vmstate": 0}
		for _, k := range x.keys {
			switch k.Key {
			case "snaptime", "parent", "description":
				o[k.Key] = value(k.Key, k.Value)
			case "vmstate":
				o["vmstate"] = 1
			}
		}
		out = append(out, o)
	}
	return append(out, object{"name": "current", "running": 0, "digest": digest, "description": "You are here!", "parent": g.get("parent")}), nil
}

func guestSnapshot(s *Server, c *call, g *guest) (any, *failure) {
	for _, x := range g.snapshots() {
		if x.name == c.params["snapname"] {
			return settings(x.keys), nil
		}
	}
	return nil, fail(http.StatusInternalServerError, "snapshot '%s' does not exist", c.params["snapname"])
}

func (s *Server) state(g *guest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.serial; i > 0; i-- {
		for _, t := range s.tasks {
			if t.serial == i && t.vmid == strconv.Itoa(g.id) && t.result != "" {
				return t.result
			}
		}
	}
	return "stopped"
}

func guestStatus(s *Server, c *call, g *guest) (any, *failure) {
	if all, ok := s.tree.recorded("/nodes/" + g.node + "/" + g.kind).([]any); ok {
		for _, x := range all {
			if o, ok := x.(object); ok && number64Of(o["vmid"]) == strconv.Itoa(g.id) {
				return o, nil
			}
		}
	}
	o := s.brief(g)
	delete(o, "id")
	delete(o, "type")
	delete(o, "node")
	o["ha"] = object{"managed": 0}
	return o, nil
}

func number64Of(v any) string {
	n, _ := v.(float64)
	return number64(n)
}
