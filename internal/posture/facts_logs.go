package posture

// LogFacts holds the facts of the subject logs.
type LogFacts struct{}
