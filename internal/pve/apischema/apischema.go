// Package apischema knows the methods of Proxmox VE's API and what each of them demands of its caller: the permission
// check, whether a token may call it, whether it runs as root, where it is proxied to, and its parameters. It
// canonicalises request paths as pveproxy does and evaluates the checks with an oracle that the caller supplies, so it
// knows neither users nor ACLs. The server for tests answers by it, and the gate will decide by it.
//
// The tables are reduced from the API viewer's data in the public package pve-docs (api-viewer/apidata.js), 8.4.2 and
// 9.1.3; a node of a newer version has methods that are not in them. What a handler checks in code beyond its schema is
// marked ([Method].InCode): for these Proxmox VE is the final judge.
package apischema

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

//go:embed data/*.json.gz
var tables embed.FS

// Method is one method of the API.
type Method struct {
	// HTTP is GET, POST, PUT or DELETE.
	HTTP string
	// Path is the template: "/nodes/{node}/qemu/{vmid}/config".
	Path string
	// Name is the method's name in PVE's source, "vm_config".
	Name string
	// User is "all" (any authenticated user), "world" (anybody) or "".
	User string
	// Check is the permission check; nil with an empty User means root@pam only.
	Check *Check
	// NoToken is true when API tokens are refused.
	NoToken bool
	// Protected methods run in pvedaemon, as root.
	Protected bool
	// ProxyTo is the parameter that names the node which answers: "node" or "".
	ProxyTo string
	// InCode is true when the handler checks more than the schema says.
	InCode bool
	// Params are the names and types of the parameters, those of the path included: string, integer, boolean, ...
	Params map[string]string
}

// RootOnly reports whether only root@pam itself (no token of it) may call the method.
func (m *Method) RootOnly() bool { return m.User == "" && m.Check == nil }

// Schema is the API of one release.
type Schema struct {
	// Version is the version of pve-docs that the table comes from.
	Version string
	root    *branch
	methods int
}

// branch is one level of the path: literal children, or one parameter.
type branch struct {
	literal map[string]*branch
	param   *branch
	name    string // of the parameter that leads here
	rest    bool   // the parameter takes the rest of the path
	methods map[string]*Method
}

// row is a method in the table; names are short because the table is embedded.
type row struct {
	Method    string            `json:"m"`
	Path      string            `json:"p"`
	Name      string            `json:"n,omitempty"`
	User      string            `json:"u,omitempty"`
	Check     json.RawMessage   `json:"c,omitempty"`
	NoToken   bool              `json:"t,omitempty"`
	Protected bool              `json:"r,omitempty"`
	ProxyTo   string            `json:"x,omitempty"`
	InCode    bool              `json:"d,omitempty"`
	Params    map[string]string `json:"a,omitempty"`
}

// Versions are those of the tables by major release of Proxmox VE.
func Versions() map[int]string { return map[int]string{8: "8.4.2", 9: "9.1.3"} }

// Load reads the table of a major release, 8 or 9. It takes a few milliseconds; keep the result.
func Load(release int) (*Schema, error) {
	version, ok := Versions()[release]
	if !ok {
		return nil, fmt.Errorf("cannot load the API schema of Proxmox VE %d: 8 and 9 are known", release)
	}
	packed, err := tables.ReadFile("data/" + version + ".json.gz")
	if err != nil {
		return nil, fmt.Errorf("cannot load the API schema %s: %w", version, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("cannot load the API schema %s: %w", version, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("cannot load the API schema %s: %w", version, err)
	}
	s, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot load the API schema %s: %w", version, err)
	}
	s.Version = version
	return s, nil
}

func parse(text []byte) (*Schema, error) {
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	s := &Schema{root: &branch{}, methods: len(rows)}
	for _, r := range rows {
		m := &Method{HTTP: r.Method, Path: r.Path, Name: r.Name, User: r.User, NoToken: r.NoToken, Protected: r.Protected,
			ProxyTo: r.ProxyTo, InCode: r.InCode, Params: r.Params}
		if len(r.Check) > 0 {
			c, err := parseCheck(r.Check)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
			}
			m.Check = c
		}
		if err := s.add(m); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Schema) add(m *Method) error {
	at := s.root
	for part := range strings.SplitSeq(strings.Trim(m.Path, "/"), "/") {
		if part == "" {
			continue
		}
		name, isParam := strings.CutPrefix(part, "{")
		if !isParam {
			if at.literal == nil {
				at.literal = map[string]*branch{}
			}
			if at.literal[part] == nil {
				at.literal[part] = &branch{}
			}
			at = at.literal[part]
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if at.param == nil {
			// A volume id may contain slashes; PVE's pattern for it takes all that follows.
			at.param = &branch{name: name, rest: name == "volume" && strings.Contains(m.Path, "/content/")}
		}
		if at.param.name != name {
			return fmt.Errorf("%s: the parameters {%s} and {%s} stand at the same place", m.Path, at.param.name, name)
		}
		at = at.param
	}
	if at.methods == nil {
		at.methods = map[string]*Method{}
	}
	at.methods[m.HTTP] = m
	return nil
}

// Len is the number of methods.
func (s *Schema) Len() int { return s.methods }

// All lists every method, in the order of paths within each level.
func (s *Schema) All() []*Method {
	var all []*Method
	var walk func(*branch)
	walk = func(b *branch) {
		for _, h := range []string{"GET", "POST", "PUT", "DELETE"} {
			if m := b.methods[h]; m != nil {
				all = append(all, m)
			}
		}
		for _, k := range sortedKeys(b.literal) {
			walk(b.literal[k])
		}
		if b.param != nil {
			walk(b.param)
		}
	}
	walk(s.root)
	return all
}

// Lookup finds the method that a canonical path leads to, and the parameters in the path. It is nil when the API has
// no such method (PVE answers 501); paths with an encoded slash outside of a volume id are never found.
func (s *Schema) Lookup(httpMethod string, p Path) (*Method, map[string]string) {
	at := s.root
	params := map[string]string{}
	for i, part := range p.Parts {
		if next, ok := at.literal[part]; ok {
			at = next
			continue
		}
		if at.param == nil {
			return nil, nil
		}
		at = at.param
		if at.rest {
			params[at.name] = strings.Join(p.Parts[i:], "/")
			return at.methods[httpMethod], params
		}
		params[at.name] = part
	}
	if p.EncodedSlash || at.methods[httpMethod] == nil {
		return nil, nil
	}
	return at.methods[httpMethod], params
}
