package kinds

import "github.com/castellan-project/castellan/internal/change"

// storage is not written yet.
func storage(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
