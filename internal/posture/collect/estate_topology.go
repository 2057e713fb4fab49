package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// topologyFacts fills the subject topology.
func topologyFacts(c *Context, cl *inventory.Cluster) posture.TopologyFacts {
	var f posture.TopologyFacts
	return f
}
