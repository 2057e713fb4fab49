package posture

// AccountFacts holds the facts of the subject accounts.
type AccountFacts struct{}
