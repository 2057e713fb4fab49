package kinds

import "github.com/castellan-project/castellan/internal/change"

// journald is not written yet.
func journald(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
