package kinds

import "github.com/castellan-project/castellan/internal/change"

// line is not written yet.
func line(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
