package change

import (
	"path"
	"time"
)

// Keeper takes a transaction back at its deadline and at the next start of the host, whatever has become of the process that
// made it: on a host with systemd a timer and a unit. What it calls is [Engine.Recover].
type Keeper interface {
	// Arm sets the deadline of a transaction, or another one than before. When it returns without an error the host will keep it.
	Arm(t Transaction, deadline time.Time) error
	// Disarm forgets a transaction. One that is not known is forgotten already.
	Disarm(t Transaction) error
}

// ProgramCopy names the copy of castellan, below a state directory, that takes changes back, and gives the SHA-256 of the program in
// hexadecimal digits. A node that hands something to another one puts the copy where the keeper there looks for it.
func ProgramCopy(state string, program []byte) (name, digest string) {
	digest = sum(program)
	return path.Join(state, "bin", "castellan-"+digest[:12]), digest
}
