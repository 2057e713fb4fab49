package cli

import (
	"context"
	"fmt"
)

// openAPI connects to the API of a cluster.
func (a *app) openAPI(ctx context.Context, name string, t *targetFlags) (*opened, error) {
	return nil, fmt.Errorf("%s: this build does not read the API", name)
}
