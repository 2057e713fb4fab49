package kinds

import "github.com/castellan-project/castellan/internal/change"

// limits is not written yet.
func limits(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
