package posture

// Kernel holds the facts of the subject kernel.
type Kernel struct{}
