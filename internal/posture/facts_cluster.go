package posture

// ClusterFacts holds the facts of the subject cluster: membership, high availability and storage of the cluster as a whole.
type ClusterFacts struct{}
