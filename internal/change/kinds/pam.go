package kinds

import "github.com/castellan-project/castellan/internal/change"

// pam is not written yet.
func pam(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
