// Package expr is the expression environment that controls and detection rules share: CEL over typed Go values, with
// three-valued results. It knows nothing of hosts or controls: it is given a Go struct whose fields become the
// variables, and compiles expressions against their types, so that a typo in a field is an error with line and column.
//
// A value that implements [Observed] (a fact) is seen by expressions as the plain value that it carries; when it
// carries a problem instead, that problem becomes the result of every expression that needs it. CEL's own logic makes
// this three-valued: false && problem is false, true || problem is true, everything else stays the problem.
//
// The room must not do I/O and must not let an expression run anything.
package expr

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// CostLimit bounds one evaluation, in CEL's abstract cost units: enough for nested loops over a few thousand items,
// about half a second at most.
const CostLimit = 2_000_000

// Observed is a value that may be unknown. Get returns the plain value or why it is not known.
type Observed interface {
	Get() (any, error)
}

// Env compiles expressions over one Go struct type.
type Env struct {
	cel   *cel.Env
	types *typeTable
	root  reflect.Type
	index map[string]int // variable -> field of root
	// preloaded are compiled expressions by key.
	preloaded map[uint64][]byte
}

// Params is the name of the variable that holds a control's parameters, Now that of the moment of the facts.
const (
	Params = "params"
	Now    = "now"
)

// New returns the environment for the struct type of root. Each field with a JSON name becomes a variable. Extra
// functions come from the caller.
func New(root any, functions ...cel.EnvOption) (*Env, error) {
	rt := reflect.TypeOf(root)
	if rt.Kind() == reflect.Pointer {
		rt = rt.Elem()
	}
	base, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("cannot make the expression types: %w", err)
	}
	e := &Env{types: newTypeTable(base), root: rt, index: map[string]int{}}
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(e.types), cel.CustomTypeProvider(e.types),
		cel.Variable(Params, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(Now, cel.TimestampType),
		ext.Strings(), ext.Lists(), ext.Sets(), ext.Math(),
	}
	for i := range rt.NumField() {
		name := jsonName(rt.Field(i))
		if name == "" {
			continue
		}
		e.index[name] = i
		opts = append(opts, cel.Variable(name, e.types.celType(rt.Field(i).Type)))
	}
	opts = append(opts, netFunctions()...)
	e.cel, err = cel.NewEnv(append(opts, functions...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot make the expression environment: %w", err)
	}
	return e, nil
}

// Error is a mistake in an expression, at a line and column of it (both from 1).
type Error struct {
	Line, Column int
	Text         string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// Kind is what an expression must give.
type Kind int

// The kinds of expressions.
const (
	Bool Kind = iota
	Strings
)

// Program is a compiled expression.
type Program struct {
	env *Env
	prg cel.Program
}

// Compile checks an expression and prepares it. The error is an *Error when the expression is wrong.
func (e *Env) Compile(src string, kind Kind) (*Program, error) {
	ast, ok := e.decoded(Source{src, kind})
	if !ok {
		var err error
		if ast, err = e.check(src, kind); err != nil {
			return nil, err
		}
	}
	// Counting costs a third of the evaluation. What is preloaded was measured when it was shipped.
	var opts []cel.ProgramOption
	if strings.Contains(src, "matches(") {
		opts = append(opts, cel.EvalOptions(cel.OptOptimize)) // compiles regular expressions once
	}
	if !ok {
		opts = append(opts, cel.CostLimit(CostLimit))
	}
	prg, err := e.cel.Program(ast, opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the expression: %w", err)
	}
	return &Program{env: e, prg: prg}, nil
}

// check parses an expression and checks its types.
func (e *Env) check(src string, kind Kind) (*cel.Ast, error) {
	ast, iss := e.cel.Compile(src)
	if iss.Err() != nil {
		first := iss.Errors()[0]
		return nil, &Error{Line: first.Location.Line(), Column: first.Location.Column() + 1, Text: first.Message}
	}
	want, word := cel.BoolType, "true or false"
	if kind == Strings {
		want, word = cel.ListType(cel.StringType), "a list of strings"
	}
	if out := ast.OutputType(); !out.IsExactType(want) && out.Kind() != types.DynKind &&
		!(kind == Strings && out.Kind() == types.ListKind && out.Parameters()[0].Kind() == types.DynKind) {
		return nil, &Error{Line: 1, Column: 1, Text: fmt.Sprintf("the expression gives %s, not %s", out, word)}
	}
	return ast, nil
}

// Vars binds the variables of one evaluation.
type Vars struct {
	env    *Env
	root   reflect.Value
	params map[string]any
	now    time.Time
	cache  map[string]any
}

// Bind prepares the variables: root is a pointer to the struct that the environment was made for. The result may
// serve many evaluations, one after the other.
func (e *Env) Bind(root any, now time.Time) *Vars {
	return &Vars{env: e, root: reflect.ValueOf(root).Elem(), now: now, cache: map[string]any{}}
}

// With returns the same variables with other parameters.
func (v *Vars) With(params map[string]any) *Vars {
	w := *v
	w.params = params
	return &w
}

// ResolveName implements cel's Activation.
func (v *Vars) ResolveName(name string) (any, bool) {
	switch name {
	case Params:
		if v.params == nil {
			return map[string]any{}, true
		}
		return v.params, true
	case Now:
		return types.Timestamp{Time: v.now}, true
	}
	if x, ok := v.cache[name]; ok {
		return x, true
	}
	i, ok := v.env.index[name]
	if !ok {
		return nil, false
	}
	x := v.root.Field(i).Addr().Interface()
	v.cache[name] = x
	return x, true
}

// Parent implements cel's Activation.
func (v *Vars) Parent() cel.Activation { return nil }

// Truth is a three-valued result. The zero Truth is Unknown.
type Truth int

// The truths.
const (
	Unknown Truth = iota
	False
	True
)

// Truth evaluates a Bool program. With Unknown the error says why, wrapping what the unknown fact's Get returned.
func (p *Program) Truth(v *Vars) (Truth, error) {
	out, _, err := p.prg.Eval(v)
	if err != nil {
		return Unknown, clean(err)
	}
	b, ok := out.(types.Bool)
	if !ok {
		return Unknown, fmt.Errorf("the expression gave %s, not true or false", out.Type())
	}
	if b {
		return True, nil
	}
	return False, nil
}

// Strings evaluates a Strings program.
func (p *Program) Strings(v *Vars) ([]string, error) {
	out, _, err := p.prg.Eval(v)
	if err != nil {
		return nil, clean(err)
	}
	native, err := out.ConvertToNative(reflect.TypeFor[[]string]())
	if err != nil {
		return nil, fmt.Errorf("the expression gave no list of strings: %w", err)
	}
	return native.([]string), nil
}

// clean turns CEL's run-time words into ours and keeps the cause reachable for errors.As.
func clean(err error) error {
	var e *types.Err
	if errors.As(err, &e) && e.Unwrap() != nil {
		return e.Unwrap()
	}
	return err
}

var _ ref.Val = (*object)(nil)
