package kinds

import "github.com/castellan-project/castellan/internal/change"

// mount is not written yet.
func mount(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
