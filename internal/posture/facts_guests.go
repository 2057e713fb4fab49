package posture

// GuestFacts holds the facts of the subject guests: virtual machines and containers of the cluster.
type GuestFacts struct{}
