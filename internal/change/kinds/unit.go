package kinds

import "github.com/castellan-project/castellan/internal/change"

// unit is not written yet.
func unit(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
