package kinds

import "github.com/castellan-project/castellan/internal/change"

// pvefirewall is not written yet.
func pvefirewall(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
