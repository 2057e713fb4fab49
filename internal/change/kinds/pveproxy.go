package kinds

import "github.com/castellan-project/castellan/internal/change"

// pveproxy is not written yet.
func pveproxy(*change.Draft, change.Change) error {
	return change.Cannot("changes of this kind are not made yet")
}
