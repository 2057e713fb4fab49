package apitree

import (
	"encoding/json"
	"strings"
)

// Evidence returns the raw answers by resource, with secrets replaced.
func (t *Tree) Evidence() map[string]json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]json.RawMessage{}
	for resource, a := range t.answers {
		if a.err == nil && a.a.Data != nil {
			out[resource] = conceal(a.a.Data)
		}
	}
	return out
}

// conceal replaces the values of keys that are or may be secrets; what cannot be understood is left out.
func conceal(raw json.RawMessage) json.RawMessage {
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return json.RawMessage(`null`)
	}
	hidden := false
	v = concealIn(v, &hidden, 0)
	if !hidden {
		return raw
	}
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`)
	}
	return b
}

func concealIn(v any, hidden *bool, depth int) any {
	if depth > maxDepth {
		*hidden = true
		return nil
	}
	switch v := v.(type) {
	case []any:
		// A raw setting of a container: ["lxc.environment", "KEY=secret"].
		if len(v) == 2 {
			if k, ok := v[0].(string); ok && strings.HasPrefix(k, "lxc.environment") {
				*hidden = true
				return []any{k, concealed}
			}
		}
		for i := range v {
			v[i] = concealIn(v[i], hidden, depth+1)
		}
	case map[string]any:
		// An entry of /pending: {"key": "env", "value": "secret"}.
		if k, ok := v["key"].(string); ok && maybeSecret(k) {
			for _, part := range []string{"value", "pending"} {
				if _, ok := v[part]; ok {
					v[part], *hidden = concealed, true
				}
			}
		}
		for k, x := range v {
			if s, ok := x.(string); ok && s != "" && maybeSecret(k) {
				v[k], *hidden = concealed, true
				continue
			}
			v[k] = concealIn(x, hidden, depth+1)
		}
	}
	return v
}

// maybeSecret names settings whose value is a secret or may hold one.
func maybeSecret(key string) bool {
	switch key {
	case "env", "keys", "http_proxy", "description", "comment", "args":
		return true
	}
	return secret(key)
}
