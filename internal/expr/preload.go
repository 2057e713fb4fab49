package expr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"cel.dev/cel-go/cel"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"
)

// Source is an expression with what it must give.
type Source struct {
	Text string
	Kind Kind
}

// Encode compiles expressions and writes them in a form that Preload takes: parsing and checking the expressions of a
// whole catalogue takes longer than judging a host. The form belongs to this version of the program and is not for
// exchange.
func (e *Env) Encode(sources []Source) ([]byte, error) {
	var out []byte
	for _, s := range sources {
		ast, err := e.check(s.Text, s.Kind)
		if err != nil {
			return nil, err
		}
		ce, err := cel.AstToCheckedExpr(ast)
		if err != nil {
			return nil, fmt.Errorf("cannot encode %q: %w", s.Text, err)
		}
		slim(ce)
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(ce)
		if err != nil {
			return nil, fmt.Errorf("cannot encode %q: %w", s.Text, err)
		}
		out = binary.LittleEndian.AppendUint64(out, key(s))
		out = binary.AppendUvarint(out, uint64(len(b)))
		out = append(out, b...)
	}
	return out, nil
}

// slim leaves out what only the compiler needs: places in the text, and the types of all values but structures, whose
// fields are found by their type.
func slim(ce *exprpb.CheckedExpr) {
	ce.SourceInfo = nil
	for id, t := range ce.TypeMap {
		if _, ok := t.TypeKind.(*exprpb.Type_MessageType); !ok {
			delete(ce.TypeMap, id)
		}
	}
}

// key identifies an expression among those of one catalogue.
func key(s Source) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", s.Kind, s.Text) // a hash takes everything
	return h.Sum64()
}

// Preload makes Compile take expressions from what Encode wrote, for the same types, instead of parsing them.
func (e *Env) Preload(b []byte) error {
	e.preloaded = map[uint64][]byte{}
	for len(b) > 0 {
		if len(b) < 9 {
			return errors.New("the compiled checks are cut short")
		}
		k := binary.LittleEndian.Uint64(b)
		n, size := binary.Uvarint(b[8:])
		b = b[8+max(size, 0):]
		if size <= 0 || n > uint64(len(b)) {
			return errors.New("the compiled checks are cut short")
		}
		e.preloaded[k] = b[:n]
		b = b[n:]
	}
	return nil
}

// decoded returns the preloaded form of an expression.
func (e *Env) decoded(s Source) (*cel.Ast, bool) {
	b, ok := e.preloaded[key(s)]
	if !ok {
		return nil, false
	}
	var ce exprpb.CheckedExpr
	if err := proto.Unmarshal(b, &ce); err != nil {
		return nil, false
	}
	return cel.CheckedExprToAst(&ce), true
}
