package kinds

import "github.com/castellan-project/castellan/internal/change"

// pveacl is not written yet.
func pveacl(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
