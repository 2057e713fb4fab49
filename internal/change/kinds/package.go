package kinds

import "github.com/castellan-project/castellan/internal/change"

// packages is not written yet.
func packages(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
