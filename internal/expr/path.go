package expr

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// A Path names one fact: fields separated by dots, map keys in brackets: sysctl.keys["kernel.sysrq"].running.
type Path []Step

// Step is a field name or a map key.
type Step struct {
	Name string
	Key  bool
	// field is the index of the field in its structure.
	field int
}

// ParsePath reads a path and checks it against the type of the root, so that a typo is found when controls are
// loaded. A path may start with "params." or be "offenders"; those are not checked here.
func (e *Env) ParsePath(s string) (Path, error) {
	p, err := splitPath(s)
	if err != nil {
		return nil, err
	}
	t := e.root
	for i, st := range p {
		t = plain(t)
		switch {
		case st.Key && t.Kind() == reflect.Map:
			t = t.Elem()
		case !st.Key && t.Kind() == reflect.Struct && t != timeType:
			f, ok := fieldByJSON(t, st.Name)
			if !ok {
				return nil, fmt.Errorf("there is no fact %q: %s has no field %q; known are %s", s, e.before(p, i), st.Name, fieldList(t))
			}
			t = f.Type
			p[i].field = f.Index[0]
		default:
			return nil, fmt.Errorf("there is no fact %q: %s is no structure", s, e.before(p, i))
		}
	}
	return p, nil
}

func (e *Env) before(p Path, i int) string {
	if i == 0 {
		return "the snapshot"
	}
	return p[:i].String()
}

func (p Path) String() string {
	var b strings.Builder
	for i, st := range p {
		switch {
		case st.Key:
			fmt.Fprintf(&b, "[%q]", st.Name)
		case i > 0:
			b.WriteString("." + st.Name)
		default:
			b.WriteString(st.Name)
		}
	}
	return b.String()
}

func splitPath(s string) (Path, error) {
	var p Path
	rest := s
	for rest != "" {
		if strings.HasPrefix(rest, `["`) {
			end := strings.Index(rest[2:], `"]`)
			if end < 0 {
				return nil, fmt.Errorf("the path %q has no closing \"]", s)
			}
			p = append(p, Step{Name: rest[2 : 2+end], Key: true})
			rest = strings.TrimPrefix(rest[end+4:], ".")
			continue
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 {
			return nil, fmt.Errorf("the path %q has an empty name", s)
		}
		p = append(p, Step{Name: rest[:end]})
		rest = rest[end:]
		if strings.HasPrefix(rest, ".") {
			rest = rest[1:]
			if rest == "" {
				return nil, fmt.Errorf("the path %q ends in a dot", s)
			}
		}
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("the path is empty")
	}
	return p, nil
}

func fieldByJSON(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if jsonName(t.Field(i)) == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func fieldList(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		if n := jsonName(t.Field(i)); n != "" {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// Observation is what stands at a path: the value in words, or why it is unknown, and where it comes from.
type Observation struct {
	Value, Origin, Source string
	Err                   error
}

// Look reads the fact at a path.
func (v *Vars) Look(p Path) Observation {
	cur := v.root
	var o Observation
	for _, st := range p {
		cur = follow(cur, &o)
		if o.Err != nil {
			return o
		}
		if st.Key {
			cur = cur.MapIndex(reflect.ValueOf(st.Name))
			if !cur.IsValid() {
				o.Err = fmt.Errorf("there is no %q", st.Name)
				return o
			}
			continue
		}
		cur = cur.Field(st.field)
	}
	cur = follow(cur, &o)
	if o.Err == nil {
		o.Value = Words(cur.Interface())
	}
	return o
}

// follow unwraps facts and pointers, noting the origin of the last fact.
func follow(v reflect.Value, o *Observation) reflect.Value {
	for {
		if obs, ok := observed(v); ok {
			if w, ok := obs.(interface{ Where() (string, string) }); ok {
				o.Origin, o.Source = w.Where()
			}
			if _, err := obs.Get(); err != nil {
				o.Err = err
				return v
			}
			v = v.FieldByName("Value")
			continue
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				o.Err = fmt.Errorf("this part of the facts is missing")
				return v
			}
			v = v.Elem()
			continue
		}
		return v
	}
}

// wordLimit bounds the words for one value, in bytes: evidence is for people.
const wordLimit = 400

// Words writes a value for people: yes and no, lists with commas, structures as compact JSON.
func Words(x any) string {
	switch x := x.(type) {
	case bool:
		if x {
			return "yes"
		}
		return "no"
	case string:
		if x == "" {
			return "(empty)"
		}
		return cut(x)
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case []string:
		if len(x) == 0 {
			return "none"
		}
		return cut(strings.Join(x, ", "))
	case []any:
		parts := make([]string, len(x))
		for i, p := range x {
			parts[i] = Words(p)
		}
		return Words(parts)
	case error:
		return x.Error()
	}
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.String:
		return cut(v.String())
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return "none"
		}
	case reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint32:
		return fmt.Sprint(x)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	if len(b) > wordLimit && v.Kind() == reflect.Slice {
		if names := nameAll(v); names != nil {
			return cut(fmt.Sprintf("%d: %s", len(names), strings.Join(names, ", ")))
		}
	}
	return cut(string(b))
}

// nameAll gives the names of the structures of a long list, by the first field that tells people what each is. A list
// whose elements have no such field gives nil.
func nameAll(v reflect.Value) []string {
	t := v.Type().Elem()
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, want := range []string{"title", "text", "name", "id", "where", "path"} {
		for i := range t.NumField() {
			if jsonName(t.Field(i)) != want || t.Field(i).Type.Kind() != reflect.String {
				continue
			}
			names := make([]string, v.Len())
			for k := range names {
				names[k] = v.Index(k).Field(i).String()
			}
			return names
		}
	}
	return nil
}

func cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= wordLimit {
		return s
	}
	n := wordLimit
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// Field is one fact that expressions can name.
type Field struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// Fields lists every fact, in the order of declaration; inside lists as path[], inside maps as path["key"].
func (e *Env) Fields() []Field {
	var out []Field
	e.walk(e.root, "", &out, 0)
	return out
}

// maxDepth bounds the walk, should a type ever contain itself.
const maxDepth = 12

func (e *Env) walk(t reflect.Type, prefix string, out *[]Field, depth int) {
	for i := range t.NumField() {
		name := jsonName(t.Field(i))
		if name == "" || depth > maxDepth {
			continue
		}
		path := strings.TrimPrefix(prefix+"."+name, ".")
		ft := plain(t.Field(i).Type)
		for ft.Kind() == reflect.Slice || ft.Kind() == reflect.Map {
			if inner := plain(ft.Elem()); inner.Kind() != reflect.Struct || inner == timeType {
				break
			}
			if ft.Kind() == reflect.Slice {
				path += "[]"
			} else {
				path += `["…"]`
			}
			ft = plain(ft.Elem())
		}
		if ft.Kind() == reflect.Struct && ft != timeType {
			e.walk(ft, path, out, depth+1)
			continue
		}
		*out = append(*out, Field{Path: path, Type: e.types.celType(ft).String()})
	}
}
