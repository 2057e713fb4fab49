package posture

// SSHD holds the facts of the subject sshd.
type SSHD struct{}
