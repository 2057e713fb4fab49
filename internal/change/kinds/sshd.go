package kinds

import "github.com/castellan-project/castellan/internal/change"

// sshd is not written yet.
func sshd(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
