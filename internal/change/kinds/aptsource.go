package kinds

import "github.com/castellan-project/castellan/internal/change"

// aptsource is not written yet.
func aptsource(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
