package posture

// BanFacts holds the facts of the subject bans.
type BanFacts struct{}
