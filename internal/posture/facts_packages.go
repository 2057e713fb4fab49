package posture

// PackageFacts holds the facts of the subject packages.
type PackageFacts struct{}
