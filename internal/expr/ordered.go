package expr

import (
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/traits"
)

// orderedMap is a map that is walked in the order of its keys, so that the same facts give the same result and, where
// several facts are unknown, the same reason. Most maps are only looked into; sorting waits until one is walked.
type orderedMap struct {
	traits.Mapper
	adapter types.Adapter
	value   reflect.Value
}

func newOrderedMap(adapter types.Adapter, v reflect.Value) *orderedMap {
	return &orderedMap{Mapper: types.NewDynamicMap(adapter, v.Interface()), adapter: adapter, value: v}
}

// Iterator implements traits.Iterable.
func (m *orderedMap) Iterator() traits.Iterator {
	keys := make([]string, 0, m.value.Len())
	for _, k := range m.value.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return types.NewStringList(m.adapter, keys).Iterator()
}
