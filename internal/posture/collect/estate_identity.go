package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// identityFacts fills the subject identity.
func identityFacts(c *Context, cl *inventory.Cluster) posture.IdentityFacts {
	var f posture.IdentityFacts
	return f
}
