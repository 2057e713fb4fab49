package kinds

import "github.com/castellan-project/castellan/internal/change"

// faillock is not written yet.
func faillock(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
