package expr

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

var (
	observedType = reflect.TypeFor[Observed]()
	timeType     = reflect.TypeFor[time.Time]()
)

// typeTable tells CEL about Go structs: it is both the type provider of the checker and the adapter at run time.
type typeTable struct {
	*types.Registry
	mu      sync.RWMutex
	structs map[string]*structType
	byType  sync.Map // reflect.Type -> *structType
}

type structType struct {
	name   string
	cel    *types.Type
	fields map[string]*types.FieldType
	names  []string
}

func newTypeTable(base *types.Registry) *typeTable {
	return &typeTable{Registry: base, structs: map[string]*structType{}}
}

func jsonName(f reflect.StructField) string {
	if !f.IsExported() {
		return ""
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func typeName(t reflect.Type) string {
	return "castellan." + strings.NewReplacer("[", "_", "]", "", "/", ".", "*", "").Replace(t.Name())
}

// plain follows facts and pointers to the type that expressions see.
func plain(t reflect.Type) reflect.Type {
	for {
		switch {
		case t.Kind() == reflect.Struct && (t.Implements(observedType) || reflect.PointerTo(t).Implements(observedType)):
			f, ok := t.FieldByName("Value")
			if !ok {
				return t
			}
			t = f.Type
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		default:
			return t
		}
	}
}

// celType maps a Go type to the CEL type that expressions are checked against.
func (tt *typeTable) celType(t reflect.Type) *types.Type {
	t = plain(t)
	switch {
	case t == timeType:
		return types.TimestampType
	case t.Kind() == reflect.Struct:
		return tt.structOf(t).cel
	}
	switch t.Kind() {
	case reflect.Bool:
		return types.BoolType
	case reflect.String:
		return types.StringType
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return types.IntType
	case reflect.Float32, reflect.Float64:
		return types.DoubleType
	case reflect.Slice, reflect.Array:
		return types.NewListType(tt.celType(t.Elem()))
	case reflect.Map:
		return types.NewMapType(types.StringType, tt.celType(t.Elem()))
	default:
		return types.DynType
	}
}

func (tt *typeTable) structOf(t reflect.Type) *structType {
	if s, ok := tt.byType.Load(t); ok {
		return s.(*structType)
	}
	s := tt.describe(t)
	tt.byType.Store(t, s)
	return s
}

func (tt *typeTable) describe(t reflect.Type) *structType {
	name := typeName(t)
	tt.mu.RLock()
	s, ok := tt.structs[name]
	tt.mu.RUnlock()
	if ok {
		return s
	}
	s = &structType{name: name, cel: types.NewObjectType(name), fields: map[string]*types.FieldType{}}
	tt.mu.Lock()
	tt.structs[name] = s
	tt.mu.Unlock()
	for i := range t.NumField() {
		f := t.Field(i)
		field := jsonName(f)
		if field == "" {
			continue
		}
		s.names = append(s.names, field)
		s.fields[field] = &types.FieldType{
			Type:    tt.celType(f.Type),
			IsSet:   func(any) bool { return true },
			GetFrom: tt.getter(i),
		}
	}
	return s
}

// getter reads one field of a struct; a fact without a value gives its problem as the error.
func (tt *typeTable) getter(i int) func(any) (any, error) {
	return func(target any) (any, error) {
		v := reflect.ValueOf(target)
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, fmt.Errorf("this part of the facts is missing")
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || i >= v.NumField() {
			return nil, fmt.Errorf("unexpected %s where a structure belongs", v.Kind())
		}
		return tt.value(v.Field(i))
	}
}

// value unwraps facts and converts to a CEL value. Structures are not copied.
func (tt *typeTable) value(v reflect.Value) (any, error) {
	if o, ok := observed(v); ok {
		got, err := o.Get()
		if err != nil {
			return nil, err
		}
		return tt.NativeToValue(got), nil
	}
	if v.Kind() == reflect.Struct && v.Type() != timeType {
		return &object{table: tt, typ: tt.structOf(v.Type()), value: v}, nil
	}
	return tt.NativeToValue(v.Interface()), nil
}

// observed returns v as a fact, if it is one, without copying it where that can be avoided.
func observed(v reflect.Value) (Observed, bool) {
	if v.Kind() != reflect.Struct || !v.Type().Implements(observedType) {
		return nil, false
	}
	if v.CanAddr() {
		return v.Addr().Interface().(Observed), true
	}
	return v.Interface().(Observed), true
}

// NativeToValue implements types.Adapter.
func (tt *typeTable) NativeToValue(x any) ref.Val {
	switch x := x.(type) {
	case nil:
		return types.NullValue
	case ref.Val:
		return x
	case bool:
		return types.Bool(x)
	case string:
		return types.String(x)
	case int:
		return types.Int(x)
	case []string:
		return types.NewStringList(tt, x)
	case time.Time:
		return types.Timestamp{Time: x}
	case []any:
		return tt.Registry.NativeToValue(x)
	case Observed:
		got, err := x.Get()
		if err != nil {
			return types.WrapErr(err)
		}
		return tt.NativeToValue(got)
	}
	v := reflect.ValueOf(x)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return types.NullValue
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		return &object{table: tt, typ: tt.structOf(v.Type()), value: v}
	case reflect.Slice, reflect.Array:
		return types.NewDynamicList(tt, v.Interface())
	case reflect.Map:
		return newOrderedMap(tt, v)
	case reflect.Bool:
		return types.Bool(v.Bool())
	case reflect.String:
		return types.String(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return types.Int(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return types.Int(int64(v.Uint())) //nolint:gosec // facts hold no number above 2^63
	case reflect.Float32, reflect.Float64:
		return types.Double(v.Float())
	default:
		return types.NewErr("a value of type %T cannot be used in an expression", x)
	}
}

// FindStructType implements types.Provider.
func (tt *typeTable) FindStructType(name string) (*types.Type, bool) {
	if s, ok := tt.find(name); ok {
		return types.NewTypeTypeWithParam(s.cel), true
	}
	return tt.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (tt *typeTable) FindStructFieldNames(name string) ([]string, bool) {
	if s, ok := tt.find(name); ok {
		return s.names, true
	}
	return tt.Registry.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (tt *typeTable) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if s, ok := tt.find(name); ok {
		f, ok := s.fields[field]
		return f, ok
	}
	return tt.Registry.FindStructFieldType(name, field)
}

func (tt *typeTable) find(name string) (*structType, bool) {
	tt.mu.RLock()
	defer tt.mu.RUnlock()
	s, ok := tt.structs[name]
	return s, ok
}

// object is a Go struct as a CEL value.
type object struct {
	table *typeTable
	typ   *structType
	value reflect.Value
}

// ConvertToNative implements ref.Val.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	if o.value.Type().AssignableTo(t) {
		return o.value.Interface(), nil
	}
	return nil, fmt.Errorf("cannot convert %s to %s", o.typ.name, t)
}

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t.TypeName() == o.typ.name {
		return o
	}
	return types.NewErr("cannot convert %s to %s", o.typ.name, t.TypeName())
}

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && reflect.DeepEqual(o.value.Interface(), p.value.Interface()))
}

// Type implements ref.Val.
func (o *object) Type() ref.Type { return o.typ.cel }

// Value implements ref.Val. It is a pointer where there is something to point to.
func (o *object) Value() any {
	if o.value.CanAddr() {
		return o.value.Addr().Interface()
	}
	return o.value.Interface()
}

// Get implements traits.Indexer, for fields reached through dyn.
func (o *object) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	f, ok := o.typ.fields[string(name)]
	if !ok {
		return types.NewErr("no such field: %s", name)
	}
	x, err := f.GetFrom(o.Value())
	if err != nil {
		return types.WrapErr(err)
	}
	return o.table.NativeToValue(x)
}
