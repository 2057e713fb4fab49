package posture

// IdentityFacts holds the facts of the subject identity: users, tokens, groups, roles and permissions of the cluster.
type IdentityFacts struct{}
