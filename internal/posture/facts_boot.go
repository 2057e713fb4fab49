package posture

// Boot holds the facts of the subject boot.
type Boot struct{}
