package kinds

import "github.com/castellan-project/castellan/internal/change"

// datacenter is not written yet.
func datacenter(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
