package posture

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/castellan-project/castellan/internal/debian/dpkg"
	"github.com/castellan-project/castellan/internal/expr"
)

// NewEnv returns the environment that checks of controls are compiled in: the subjects of Facts as variables, and the
// functions that CONTRIBUTING.md lists.
func NewEnv() (*expr.Env, error) {
	return expr.New(Facts{}, cel.Function("dpkg_compare",
		cel.Overload("dpkg_compare_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.IntType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				return types.Int(dpkg.Compare(string(a.(types.String)), string(b.(types.String))))
			}))))
}
