package kinds

import "github.com/castellan-project/castellan/internal/change"

// grub is not written yet.
func grub(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
