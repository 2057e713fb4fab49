package collect

import (
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/posture"
)

// clusterFacts fills the subject cluster.
func clusterFacts(c *Context, cl *inventory.Cluster) posture.ClusterFacts {
	var f posture.ClusterFacts
	return f
}
