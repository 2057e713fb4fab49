package apischema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-project/castellan/internal/pve"
)

// Check is a permission check of the schema, one of the forms of PVE::RPCEnvironment::exec_api2_perm_check.
type Check struct {
	// Kind is perm, and, or, userid-group, userid-param or perm-modify.
	Kind string
	// Path is the template of perm and perm-modify.
	Path string
	// Privs are the privileges; Any says that one of them suffices.
	Privs []string
	Any   bool
	// RequireParam is a parameter without which the check denies.
	RequireParam string
	// GroupsParam is "", "create" or "update": the groups in the parameter "groups" count too.
	GroupsParam string
	// Param is the word of userid-param: "self" or "Realm.AllocateUser".
	Param string
	// Of are the parts of and, or.
	Of []*Check
}

func parseCheck(raw json.RawMessage) (*Check, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) == 0 {
		return nil, errors.New("a check is a list that begins with its kind")
	}
	c := &Check{}
	if err := json.Unmarshal(parts[0], &c.Kind); err != nil {
		return nil, err
	}
	var err error
	switch c.Kind {
	case "and", "or":
		for _, p := range parts[1:] {
			sub, err := parseCheck(p)
			if err != nil {
				return nil, err
			}
			c.Of = append(c.Of, sub)
		}
	case "perm":
		if len(parts) < 3 {
			return nil, errors.New("perm needs a path and privileges")
		}
		err = errors.Join(json.Unmarshal(parts[1], &c.Path), json.Unmarshal(parts[2], &c.Privs), c.options(parts[3:]))
	case "userid-group":
		if len(parts) < 2 {
			return nil, errors.New("userid-group needs privileges")
		}
		err = errors.Join(json.Unmarshal(parts[1], &c.Privs), c.options(parts[2:]))
	case "userid-param", "perm-modify":
		if len(parts) != 2 {
			return nil, fmt.Errorf("%s needs one word", c.Kind)
		}
		if c.Kind == "perm-modify" {
			err = json.Unmarshal(parts[1], &c.Path)
		} else {
			err = json.Unmarshal(parts[1], &c.Param)
		}
	default:
		return nil, fmt.Errorf("there is no check %q", c.Kind)
	}
	return c, err
}

// options reads the pairs that follow the privileges.
func (c *Check) options(pairs []json.RawMessage) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		var key string
		if err := json.Unmarshal(pairs[i], &key); err != nil {
			return err
		}
		value := strings.Trim(string(pairs[i+1]), `"`)
		switch key {
		case "any":
			c.Any = pve.Truth(value)
		case "require_param":
			c.RequireParam = value
		case "groups_param":
			c.GroupsParam = value
		default:
			return fmt.Errorf("a check has no option %q", key)
		}
	}
	return nil
}

// Oracle answers what the checks ask about the caller and about users. Every function is needed for checks of its kind
// only; one that is nil denies.
type Oracle struct {
	// Caller is who asks: "root@pam", "ci@pve!deploy", or "" for nobody.
	Caller string
	// Check reports whether the caller has all privileges, or any of them, on a path.
	Check func(path string, privs []string, anyOf bool) bool
	// UserExists reports whether there is such a user.
	UserExists func(userid string) bool
	// GroupsOf lists the groups that a user is in.
	GroupsOf func(userid string) []string
}

// Root is the one user for whom nothing is checked. Its tokens are not.
const Root = "root@pam"

// Allowed evaluates the method's permissions for a caller with PVE's order: world, authenticated, root, root only,
// all, check. missing says what is lacking as PVE does ("/vms/100, VM.Audit"), "" when the method is for root@pam only.
func (m *Method) Allowed(o Oracle, params map[string]string) (ok bool, missing string) {
	switch {
	case o.Caller == "":
		return m.User == "world", ""
	case o.Caller == Root, m.User == "world":
		return true, ""
	case m.NoToken && strings.Contains(o.Caller, "!"):
		return false, "API tokens are not accepted here"
	case m.User == "all":
		return true, ""
	case m.Check == nil:
		return false, ""
	}
	return m.Check.eval(&o, params)
}

func (c *Check) eval(o *Oracle, params map[string]string) (ok bool, missing string) {
	switch c.Kind {
	case "and":
		for _, sub := range c.Of {
			if ok, missing := sub.eval(o, params); !ok {
				return false, missing
			}
		}
		return true, ""
	case "or":
		for _, sub := range c.Of {
			ok, m := sub.eval(o, params)
			if ok {
				return true, ""
			}
			if missing == "" {
				missing = m
			}
		}
		return false, missing
	case "perm":
		if c.RequireParam != "" && params[c.RequireParam] == "" {
			return false, "the parameter " + c.RequireParam
		}
		return o.check(expand(c.Path, params), c.Privs, c.Any)
	case "perm-modify":
		return o.modify(expand(c.Path, params), params["path"])
	case "userid-param":
		return o.userParam(c.Param, params["userid"])
	case "userid-group":
		return c.userGroup(o, params)
	}
	return false, c.Kind
}

// check asks the oracle, with PVE's rule for paths (PVE::AccessControl::normalize_path): a path that cannot be
// normalised is denied.
func (o *Oracle) check(path string, privs []string, anyOf bool) (ok bool, missing string) {
	sep := ", "
	if anyOf {
		sep = "|"
	}
	missing = path + ", " + strings.Join(privs, sep)
	if o.Check == nil || !normal(path) {
		return false, missing
	}
	if o.Check(path, privs, anyOf) {
		return true, ""
	}
	return false, missing
}

// modify is PVE::RPCEnvironment::check_perm_modify: who may change ACLs on a path.
func (o *Oracle) modify(path, given string) (ok bool, missing string) {
	if given == "" {
		return o.check("/access", []string{"Permissions.Modify"}, false)
	}
	privs := []string{"Permissions.Modify"}
	for prefix, priv := range map[string]string{"/storage/": "Datastore.Allocate", "/vms/": "VM.Allocate", "/pool/": "Pool.Allocate"} {
		if strings.HasPrefix(path, prefix) && len(path) > len(prefix) {
			privs = append(privs, priv)
		}
	}
	return o.check(path, privs, true)
}

func (o *Oracle) userParam(word, userid string) (ok bool, missing string) {
	if word == "self" {
		if userid == o.Caller && o.UserExists != nil && o.UserExists(userid) {
			return true, ""
		}
		return false, "the user itself"
	}
	i := strings.LastIndexByte(userid, '@')
	if i < 0 {
		return false, "a user id with a realm"
	}
	return o.check("/access/realm/"+userid[i+1:], []string{word}, false)
}

// userGroup demands a privilege on /access/groups, else on the groups that the user is in or is put into.
func (c *Check) userGroup(o *Oracle, params map[string]string) (ok bool, missing string) {
	userid, existing := params["userid"], c.GroupsParam != "create"
	if existing && (o.UserExists == nil || !o.UserExists(userid)) {
		return false, "the user " + userid
	}
	ok, missing = o.check("/access/groups", c.Privs, true)
	if ok {
		return true, ""
	}
	if c.GroupsParam != "" {
		wanted := pve.List(params["groups"])
		if len(wanted) == 0 {
			return false, missing
		}
		for _, g := range wanted {
			if ok, m := o.check("/access/groups/"+g, c.Privs, true); !ok {
				return false, m
			}
		}
	}
	if !existing {
		return true, ""
	}
	if o.GroupsOf != nil {
		for _, g := range o.GroupsOf(userid) {
			if ok, _ := o.check("/access/groups/"+g, c.Privs, true); ok {
				return true, ""
			}
		}
	}
	return false, missing
}

// expand fills a template; a parameter that is missing, empty or "0" becomes "-", as PVE writes it.
func expand(template string, params map[string]string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			b.WriteString("{" + rest)
			return b.String()
		}
		if v := params[name]; pve.Truth(v) {
			b.WriteString(v)
		} else {
			b.WriteByte('-')
		}
		template = after
	}
}

// normal reports whether PVE can normalise an ACL path: letters, digits, dots, underscores, dashes and slashes.
func normal(path string) bool {
	for i := range len(path) {
		c := path[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '/' && c != '-' {
			return false
		}
	}
	return path != ""
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
