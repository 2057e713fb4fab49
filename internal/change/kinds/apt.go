package kinds

import "github.com/castellan-project/castellan/internal/change"

// apt is not written yet.
func apt(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
