package change

import "time"

// Keeper takes a transaction back at its deadline and at the next start of the host, whatever has become of the process that
// made it: on a host with systemd a timer and a unit. What it calls is [Engine.Recover].
type Keeper interface {
	// Arm sets the deadline of a transaction, or another one than before. When it returns without an error the host will keep it.
	Arm(t Transaction, deadline time.Time) error
	// Disarm forgets a transaction. One that is not known is forgotten already.
	Disarm(t Transaction) error
}
