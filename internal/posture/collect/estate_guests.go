package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// guestsFacts fills the subject guests.
func guestsFacts(c *Context, cl *inventory.Cluster) posture.GuestFacts {
	var f posture.GuestFacts
	return f
}
