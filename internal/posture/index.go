package posture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/castellan-project/castellan/internal/expr"
)

// WriteIndex encodes checked controls in the form that the binary carries.
func WriteIndex(cs []Control) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteString("[\n")
	for i, c := range cs {
		if i > 0 {
			b.WriteString(",")
		}
		if err := enc.Encode(c); err != nil {
			return nil, fmt.Errorf("cannot encode %s: %w", c.ID, err)
		}
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}

// WriteChecks compiles the checks of controls into the form that the binary carries and expr.Env.Preload takes.
func WriteChecks(env *expr.Env, cs []Control) ([]byte, error) {
	var sources []expr.Source
	seen := map[expr.Source]bool{}
	add := func(text string, kind expr.Kind) {
		s := expr.Source{Text: text, Kind: kind}
		if text != "" && !seen[s] {
			seen[s] = true
			sources = append(sources, s)
		}
	}
	for _, c := range cs {
		for _, x := range []Control{c, c.ForCluster()} {
			add(x.Applies, expr.Bool)
			add(x.Check, expr.Bool)
			add(x.Offenders, expr.Strings)
		}
	}
	return env.Encode(sources)
}

// ReadIndex decodes what WriteIndex wrote. It checks nothing again: that was done before it was written.
func ReadIndex(b []byte) ([]Control, error) {
	lines := bytes.Split(bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("[\n")), []byte("]\n")), []byte("\n"))
	lines = lines[:len(lines)-1] // after the last line end
	cs := make([]Control, len(lines))
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for half := range errs { // by two, because half of a short program's time would be spent here
		wg.Go(func() {
			for i := half * len(lines) / 2; i < (half+1)*len(lines)/2; i++ {
				if err := json.Unmarshal(bytes.TrimPrefix(lines[i], []byte(",")), &cs[i]); err != nil {
					errs[half] = fmt.Errorf("the built-in catalogue is damaged: entry %d: %w", i+1, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range cs {
		cs[i].File = "catalogue/" + cs[i].Group + "/" + cs[i].ID + ".yaml"
		normalise(cs[i].Params)
		if cs[i].Cluster != nil {
			normalise(cs[i].Cluster.Params)
		}
	}
	return cs, nil
}

// normalise gives numbers the type that YAML gives them, because CEL tells 4 from 4.0: whole numbers are int64.
func normalise(m map[string]any) {
	for k, v := range m {
		m[k] = whole(v)
	}
}

func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case uint64:
		return int64(v) //nolint:gosec // a parameter above 2^63 is no sensible limit
	case int:
		return int64(v)
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		normalise(v)
	}
	return v
}
