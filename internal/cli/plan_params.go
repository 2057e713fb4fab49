package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

func hasControl(cs []posture.Control, id string) bool {
	_, ok := find(cs, id)
	return ok
}

// setParam gives a control a parameter, in the type that the control declares: ID.name=value.
func (f *planFlags) setParam(text string) error {
	left, value, ok := strings.Cut(text, "=")
	id, name, dotted := strings.Cut(left, ".")
	if !ok || !dotted || name == "" {
		return fmt.Errorf("write ID.name=value, as in WEB-02.admin_networks=192.0.2.0/24")
	}
	id = strings.ToUpper(id)
	if !hasControl(f.all, id) {
		return fmt.Errorf("there is no control %s%s", id, likeControls(id, f.all))
	}
	for _, list := range []*[]posture.Control{&f.all, &f.chosen} {
		*list = slices.Clone(*list)
		i := slices.IndexFunc(*list, func(c posture.Control) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		c, err := withParam((*list)[i], name, value)
		if err != nil {
			return err
		}
		(*list)[i] = c
	}
	return nil
}

// withParam returns a control whose parameter has another value, also in its variant for clusters.
func withParam(c posture.Control, name, value string) (posture.Control, error) {
	declared := maps.Clone(c.Params)
	if declared == nil {
		declared = map[string]any{}
	}
	old, ok := declared[name]
	if c.Cluster != nil {
		v := *c.Cluster
		v.Params = maps.Clone(v.Params)
		if x, in := v.Params[name]; in {
			typed, err := typedParam(x, value)
			if err != nil {
				return c, err
			}
			v.Params[name] = typed
			if !ok {
				c.Cluster = &v
				return c, nil
			}
		}
		c.Cluster = &v
	}
	if !ok {
		known := slices.Sorted(maps.Keys(declared))
		if c.Cluster != nil {
			known = append(known, slices.Sorted(maps.Keys(c.Cluster.Params))...)
		}
		slices.Sort(known)
		known = slices.Compact(known)
		if len(known) == 0 {
			return c, fmt.Errorf("%s has no parameters", c.ID)
		}
		return c, fmt.Errorf("%s has no parameter %q; it has %s", c.ID, name, strings.Join(known, ", "))
	}
	typed, err := typedParam(old, value)
	if err != nil {
		return c, err
	}
	declared[name] = typed
	c.Params = declared
	return c, nil
}

// typedParam reads a value in the type of the one that it replaces.
func typedParam(old any, value string) (any, error) {
	switch old := old.(type) {
	case bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", value)
		}
		return b, nil
	case int, int64, uint64:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", value)
		}
		return n, nil
	case float64:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", value)
		}
		return n, nil
	case []any:
		list := []any{}
		for _, w := range strings.Split(value, ",") {
			w = strings.TrimSpace(w)
			if w == "" {
				continue
			}
			var x any = w
			if len(old) > 0 {
				var err error
				if x, err = typedParam(old[0], w); err != nil {
					return nil, err
				}
			}
			list = append(list, x)
		}
		return list, nil
	case string:
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("the value holds characters that cannot be written into a file")
		}
		return value, nil
	}
	return nil, fmt.Errorf("this parameter cannot be given here; write a profile (docs/040-profiles.md)")
}

// likeControls names the ids that look most like one that does not exist.
func likeControls(id string, cs []posture.Control) string {
	ids := make([]string, len(cs))
	for i, c := range cs {
		ids[i] = c.ID
	}
	return "; similar are " + nearest(id, ids)
}
