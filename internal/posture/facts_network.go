package posture

// NetworkFacts holds the facts of the subject network.
type NetworkFacts struct{}
