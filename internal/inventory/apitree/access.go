package apitree

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
	"github.com/castellan-project/castellan/internal/pve/client"
	"github.com/castellan-project/castellan/internal/pve/usercfg"
)

// userCfg writes user.cfg from the lists below /access and /pools.
func (t *Tree) userCfg() ([]byte, error) {
	privs := []string{"User.Modify", "Sys.Audit"}
	if err := t.needs("/access/users", "/access/groups", privs...); err != nil {
		return nil, err
	}
	if err := t.whole("/access/groups", "/access/groups", append(privs, "Group.Allocate")...); err != nil {
		return nil, err
	}
	if err := t.needs("/access/acl", "/access", "Sys.Audit"); err != nil {
		return nil, err
	}
	if err := t.whole("/pools", "/pool", "Pool.Audit"); err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, part := range []func(*strings.Builder) error{t.users, t.groups, t.pools, t.roles, t.acl} {
		if err := part(&b); err != nil {
			return nil, err
		}
		b.WriteString("\n")
	}
	return []byte(b.String()), nil
}

// field makes a value safe between colons; comments and names are percent-encoded as PVE does.
func field(s string) string { return strings.ReplaceAll(line(s), ":", "") }

func record(b *strings.Builder, fields ...string) { b.WriteString(strings.Join(fields, ":") + ":\n") }

func (t *Tree) users(b *strings.Builder) error {
	list, err := t.objects("/access/users?full=1")
	if err != nil {
		return err
	}
	for _, u := range list {
		keys := u.Text("keys")
		if keys != "" && !strings.HasPrefix(keys, "x") {
			keys = concealed // keys of the old form are secrets; that they are there is what counts
		}
		id := field(u.Text("userid"))
		record(b, "user", id, bit(u.On("enable")), seconds(u, "expire"), pve.EncodeText(u.Text("firstname")), pve.EncodeText(u.Text("lastname")),
			field(u.Text("email")), pve.EncodeText(u.Text("comment")), field(keys))
		var tokens []client.Object
		if u.Has("tokens") && json.Unmarshal(u["tokens"], &tokens) != nil {
			return shapeError("/access/users", "tokens of "+id)
		}
		for _, k := range tokens {
			record(b, "token", id+"!"+field(k.Text("tokenid")), seconds(k, "expire"), bit(k.On("privsep")), pve.EncodeText(k.Text("comment")))
		}
	}
	return nil
}

// seconds is a moment in seconds since 1970; a value that is no number is written as it is, so that the parser reports it.
func seconds(o client.Object, key string) string {
	if !o.Has(key) {
		return "0"
	}
	return field(o.Text(key))
}

func (t *Tree) groups(b *strings.Builder) error {
	list, err := t.objects("/access/groups")
	if err != nil {
		return err
	}
	for _, g := range list {
		record(b, "group", field(g.Text("groupid")), strings.Join(pve.List(field(g.Text("users"))), ","), pve.EncodeText(g.Text("comment")))
	}
	return nil
}

// pools asks for the members of each pool by parameter, because the path of a nested one would not be found.
func (t *Tree) pools(b *strings.Builder) error {
	list, err := t.objects("/pools")
	if err != nil {
		return err
	}
	for _, p := range list {
		id := p.Text("poolid")
		found, err := t.objects("/pools?" + url.Values{"poolid": {id}}.Encode())
		if err != nil {
			return err
		}
		var vms, storages []string
		for _, one := range found {
			var members []client.Object
			if one.Has("members") && json.Unmarshal(one["members"], &members) != nil {
				return shapeError("/pools", "members of "+id)
			}
			for _, m := range members {
				if s := m.Text("storage"); s != "" {
					storages = append(storages, field(s))
				} else if vm := m.Text("vmid"); vm != "" {
					vms = append(vms, field(vm))
				}
			}
		}
		slices.Sort(storages)
		record(b, "pool", field(id), pve.EncodeText(p.Text("comment")), strings.Join(vms, ","), strings.Join(slices.Compact(storages), ","))
	}
	return nil
}

// roles writes those of the administrators. A built-in one is written when it gives more than it should: then a line of
// user.cfg changed it, or did until the daemons were started last.
func (t *Tree) roles(b *strings.Builder) error {
	list, err := t.objects("/access/roles")
	if err != nil {
		return err
	}
	for _, r := range list {
		id, privs := field(r.Text("roleid")), pve.List(field(r.Text("privs")))
		if builtin, ok := usercfg.BuiltinRoleOf(t.release(), id); r.On("special") && ok {
			privs = slices.DeleteFunc(privs, func(p string) bool { return builtin.Has(usercfg.PrivsOf(p)) })
			if len(privs) == 0 {
				continue
			}
		} else if r.On("special") {
			continue
		}
		record(b, "role", id, strings.Join(privs, ","))
	}
	return nil
}

func (t *Tree) acl(b *strings.Builder) error {
	list, err := t.objects("/access/acl")
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range list {
		member := field(e.Text("ugid"))
		if e.Text("type") == "group" {
			member = "@" + member
		}
		lines = append(lines, strings.Join([]string{"acl", bit(e.On("propagate")), field(e.Text("path")), member, field(e.Text("roleid")), ""}, ":"))
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return nil
}

// domainsCfg writes the realms.
func (t *Tree) domainsCfg() ([]byte, error) {
	list, err := t.objects("/access/domains")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, d := range list {
		realm := d.Text("realm")
		o, err := t.object("/access/domains/" + url.PathEscape(realm))
		if err != nil {
			return nil, err
		}
		if o.Has("comment") {
			o["comment"] = quote(pve.EncodeText(o.Text("comment")))
		}
		kind := o.Text("type")
		if kind == "" {
			kind = d.Text("type")
		}
		putSection(&b, kind, realm, o, false, "realm")
	}
	return bytesOf(&b), nil
}

func quote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`) // a string always marshals
	}
	return b
}

// tfaCfg writes the second factors, without what they consist of.
func (t *Tree) tfaCfg() ([]byte, error) {
	if err := t.needs("/access/tfa", "/access/groups", "User.Modify", "Sys.Audit"); err != nil {
		return nil, err
	}
	list, err := t.objects("/access/tfa")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	users := map[string]map[string]any{}
	for _, u := range list {
		id := u.Text("userid")
		user := map[string]any{}
		var entries []client.Object
		if u.Has("entries") && json.Unmarshal(u["entries"], &entries) != nil {
			return nil, shapeError("/access/tfa", "entries of "+id)
		}
		for _, e := range entries {
			kind := e.Text("type")
			created, _ := e.Int("created")
			if kind == "recovery" {
				user[kind] = map[string]any{"created": created, "entries": []string{""}}
				continue
			}
			old, _ := user[kind].([]any)
			user[kind] = append(old, map[string]any{"info": map[string]any{"id": e.Text("id"), "created": created, "enable": !e.Has("enable") || e.On("enable")}})
		}
		if u.On("totp-locked") {
			user["totp-locked"] = true
		}
		if until, ok := u.Int("tfa-locked-until"); ok && until > 0 {
			user["tfa-locked-until"] = until
		}
		if len(user) > 0 {
			users[id] = user
		}
	}
	return json.Marshal(map[string]any{"users": users})
}
