package expr

import (
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"
)

// orderedMap is a map that is walked in the order of its keys, so that the same facts give the same result and, where
// several facts are unknown, the same reason.
type orderedMap struct {
	traits.Mapper
	adapter types.Adapter
	keys    []string
}

func newOrderedMap(adapter types.Adapter, v reflect.Value) *orderedMap {
	m := &orderedMap{Mapper: types.NewDynamicMap(adapter, v.Interface()), adapter: adapter, keys: make([]string, 0, v.Len())}
	for _, k := range v.MapKeys() {
		m.keys = append(m.keys, k.String())
	}
	slices.Sort(m.keys)
	return m
}

// Iterator implements traits.Iterable.
func (m *orderedMap) Iterator() traits.Iterator {
	return types.NewStringList(m.adapter, m.keys).Iterator()
}
