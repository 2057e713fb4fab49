package posture

// ServiceFacts holds the facts of the subject services.
type ServiceFacts struct{}
