package kinds

import "github.com/castellan-project/castellan/internal/change"

// modprobe is not written yet.
func modprobe(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
