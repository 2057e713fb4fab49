package posture

// SysctlFacts holds the facts of the subject sysctl.
type SysctlFacts struct{}
