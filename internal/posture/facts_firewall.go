package posture

// FirewallFacts holds the facts of the subject firewall: the PVE firewall of cluster, nodes and guests.
type FirewallFacts struct{}
