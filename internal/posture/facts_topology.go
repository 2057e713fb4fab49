package posture

// TopologyFacts holds the facts of the subject topology: the networks of the cluster and what runs over which.
type TopologyFacts struct{}
