package kinds

import "github.com/castellan-project/castellan/internal/change"

// postfix is not written yet.
func postfix(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
