package kinds

import "github.com/castellan-project/castellan/internal/change"

// sudoers is not written yet.
func sudoers(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
