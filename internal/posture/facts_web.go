package posture

// WebFacts holds the facts of the subject web.
type WebFacts struct{}
