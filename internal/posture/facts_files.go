package posture

// FileFacts holds the facts of the subject files.
type FileFacts struct{}
