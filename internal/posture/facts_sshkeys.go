package posture

// SSHKeys holds the facts of the subject sshkeys.
type SSHKeys struct{}
