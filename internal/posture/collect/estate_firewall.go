package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// firewallFacts fills the subject firewall.
func firewallFacts(c *Context, cl *inventory.Cluster) posture.FirewallFacts {
	var f posture.FirewallFacts
	return f
}
