package kinds

import "github.com/castellan-project/castellan/internal/change"

// account is not written yet.
func account(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
