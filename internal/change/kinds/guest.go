package kinds

import "github.com/castellan-project/castellan/internal/change"

// guest is not written yet.
func guest(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
