package kinds

import "github.com/castellan-project/castellan/internal/change"

// chrony is not written yet.
func chrony(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
